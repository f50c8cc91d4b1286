import HTTPClient
import JSONReader
import Support

/// Nova, as docs/openstack/nova.md §6 and §7 measured it. Reading only: servers are made and deleted by Heat.
extension OpenStackClient {
    private static let nova = "compute"
    /// With it flavors show their extra specs and servers carry their flavor. Clouds before Rocky (2018) answer 406.
    private static let microversion = "compute 2.61"

    /// What the project may use and uses.
    public func limits() async throws(OpenStackError) -> NovaLimits {
        try NovaLimits.decode(try await read("limits").json())
    }

    /// A flavor by id.
    public func flavor(_ id: String) async throws(OpenStackError) -> NovaFlavor {
        try NovaFlavor.decode(try await read("flavors/\(PercentEncoding.segment(id))").json().member("flavor"))
    }

    /// All flavors of the project.
    public func flavors() async throws(OpenStackError) -> [NovaFlavor] {
        try await pages("flavors/detail", "flavors", NovaFlavor.decode, id: \.id)
    }

    /// A server by id. That it is gone (`notFound`) is Nova's word alone: machines are given up for it. A 404 of somebody
    /// else's, of a proxy or behind a wrong endpoint, is `malformed`.
    public func server(_ id: String) async throws(OpenStackError) -> NovaServer {
        do throws(OpenStackError) {
            return try NovaServer.decode(
                try await read("servers/\(PercentEncoding.segment(id))").json().member("server"))
        } catch {
            guard error.code == .notFound, error.type != "itemNotFound" else { throw error }
            throw error.withCode(.malformed).adding("this is not Nova's word for a server that is gone (itemNotFound)")
        }
    }

    /// All servers of the project.
    /// - Parameter status: only these, e.g. `ERROR`.
    public func servers(status: String? = nil) async throws(OpenStackError) -> [NovaServer] {
        try await pages(
            "servers/detail", "servers", NovaServer.decode, id: \.id, query: status.map { [("status", $0)] } ?? [])
    }

    /// The server groups of the project.
    public func serverGroups() async throws(OpenStackError) -> [NovaServerGroup] {
        try await read("os-server-groups").json().list("server_groups", NovaServerGroup.decode)
    }

    private func read(_ path: String, _ query: [(String, String)] = []) async throws(OpenStackError) -> Answer {
        do throws(OpenStackError) {
            return try await call(
                Self.nova, .get, path, query: query, headers: ["OpenStack-API-Version": Self.microversion])
        } catch {
            guard error.status == 406 else { throw error }
            return try await call(Self.nova, .get, path, query: query)
        }
    }

    /// Pages by the id of the last entry until a page is empty or brings nothing new.
    private func pages<Element>(
        _ path: String, _ key: String, _ decode: (Field) throws(OpenStackError) -> Element,
        id: (Element) -> String?, query: [(String, String)] = []
    ) async throws(OpenStackError) -> [Element] {
        var all: [Element] = []
        var seen: Set<String> = []
        var marker: String?
        while true {
            let answer = try await read(path, query + (marker.map { [("marker", $0)] } ?? []))
            let root = try answer.json()
            let page = try root.list(key, decode)
            let new = page.filter { element in id(element).map { seen.insert($0).inserted } ?? true }
            all += new
            // Without a link to a next page this was the last.
            guard !new.isEmpty, let last = page.last.flatMap(id), try root.optional("\(key)_links") != nil else {
                return all
            }
            marker = last
        }
    }
}
