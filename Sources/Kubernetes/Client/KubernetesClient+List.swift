import HTTPClient
import JSONReader
import Support

/// Which objects of a kind are listed or watched.
public struct Selection: Sendable, Hashable {
    /// Only of this namespace; nil: of all.
    public var namespace: String?
    /// e.g. `spec.nodeName=worker-1`.
    public var fields: String?
    /// e.g. `app=web`.
    public var labels: String?

    /// All objects unless said otherwise.
    public init(namespace: String? = nil, fields: String? = nil, labels: String? = nil) {
        self.namespace = namespace
        self.fields = fields
        self.labels = labels
    }

    /// Everything.
    public static let all = Selection()

    var query: [(String, String)] {
        var query: [(String, String)] = []
        if let fields { query.append(("fieldSelector", fields)) }
        if let labels { query.append(("labelSelector", labels)) }
        return query
    }
}

/// One page of a list.
public struct ListPage<Object: KubernetesResource>: Sendable {
    /// The objects that could be decoded.
    public var items: [Object]
    /// The version of the list: a watch goes on from it.
    public var resourceVersion: String
    /// How to ask for the next page; nil at the end.
    public var next: String?
    /// Why objects could not be decoded.
    public var rejected: [JSONError]
}

extension KubernetesClient {
    /// Objects a page when nobody says otherwise: 500 pods are about 4 MB.
    public static let pageSize = 500

    /// One page of a list, from a quorum read. `continuing` is the `next` of the page before.
    ///
    /// - Throws: `gone` when the list that the page belongs to has expired: begin again.
    public func page<Object: KubernetesResource>(
        _ type: Object.Type, _ selection: Selection = .all, limit: Int = pageSize, continuing: String? = nil,
        retry: RetryPolicy = .standard
    ) async throws(KubernetesError) -> ListPage<Object> {
        let resource = try await resolved(type.resource)
        var query = selection.query
        query.append(("limit", String(limit)))
        if let continuing { query.append(("continue", continuing)) }
        let call = Call(
            .get, resource.path(namespace: selection.namespace), query: query,
            timeouts: HTTPTimeouts(total: .seconds(120), stall: .seconds(60)), maximumResponseBytes: 256 << 20,
            retry: retry)
        do throws(KubernetesError) {
            let response = try await request(call)
            return try decode(response, call.operation) { (reader) throws(JSONError) in
                try ListPage<Object>.read(&reader, version: resource.version)
            }
        } catch {
            if error.code == .notFound { forgetVersion(of: resource) }
            throw error
        }
    }

    /// Lists everything page by page, so that no more than a page is in memory at once.
    ///
    /// - Returns: the version of the list.
    public func list<Object: KubernetesResource>(
        _ type: Object.Type, _ selection: Selection = .all, limit: Int = pageSize,
        _ body: (ListPage<Object>) async throws(KubernetesError) -> Void
    ) async throws(KubernetesError) -> String {
        var next: String?
        while true {
            let page = try await page(type, selection, limit: limit, continuing: next)
            try await body(page)
            guard let more = page.next else { return page.resourceVersion }
            next = more
        }
    }

    /// Lists everything into one array. For small kinds.
    ///
    /// - Throws: `malformed` where an object cannot be decoded: whoever asks for all would take it for one that is not there.
    public func all<Object: KubernetesResource>(
        _ type: Object.Type, _ selection: Selection = .all
    ) async throws(KubernetesError) -> [Object] {
        var objects: [Object] = []
        var next: String?
        repeat {
            let page = try await page(type, selection, continuing: next)
            if let first = page.rejected.first {
                let others = page.rejected.count == 1 ? "" : " (and \(page.rejected.count - 1) others)"
                throw KubernetesError(
                    .malformed, operation: "list of \(type.resource.path(namespace: selection.namespace))",
                    message: "an object cannot be decoded: \(first)\(others)")
            }
            objects += page.items
            next = page.next
        } while next != nil
        return objects
    }
}

extension ListPage {
    /// Reads the body of a list. An item that cannot be decoded is left out and its reason kept.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> ListPage<Object> {
        var page = ListPage<Object>(items: [], resourceVersion: "", next: nil, rejected: [])
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "resourceVersion": page.resourceVersion = try reader.string()
                    case "continue":
                        let token = try reader.stringOrNull() ?? ""
                        page.next = token.isEmpty ? nil : token
                    default: try reader.skip()
                    }
                }
            case "items":
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    let result = try reader.attempt(
                        { (reader) throws(JSONError) in
                            try Object.read(&reader, version: version)
                        }, name: Self.name)
                    switch result {
                    case .success(let object): page.items.append(object)
                    case .failure(let error): page.rejected.append(error)
                    }
                }
            default: try reader.skip()
            }
        }
        return page
    }

    /// `namespace/name` of an object that could not be decoded.
    private static func name(_ object: JSONValue) -> String? {
        guard let name = object[path: "metadata", "name"]?.stringValue?.prefix(253) else { return nil }
        return object[path: "metadata", "namespace"]?.stringValue.map { "\($0.prefix(63))/\(name)" } ?? String(name)
    }
}
