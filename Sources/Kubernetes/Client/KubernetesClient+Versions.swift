import JSONReader
import Support

/// What is known about the server's versions; asked once and forgotten when an answer contradicts it.
struct ServerVersions: Sendable {
    /// Version of `policy` that serves budgets.
    var budgets: String?
    /// API version that the body of an eviction names; the empty text: none.
    var evictions: String?
    /// Kinds with a `scale` subresource, by API version and kind.
    var scalable: [String: ResourceName] = [:]
    /// Kinds of the objects that metrics are of, likewise.
    var kinds: [String: ResourceName] = [:]
}

/// What `/version` says.
public struct ServerVersion: Sendable, Hashable {
    /// e.g. `v1.20.2`.
    public var gitVersion: String
    /// e.g. 1.
    public var major: Int
    /// e.g. 20; a `+` that some vendors add is dropped.
    public var minor: Int
}

extension KubernetesClient {
    /// What the server says that it is.
    public func serverVersion() async throws(KubernetesError) -> ServerVersion {
        let call = Call(.get, "/version")
        let response = try await request(call)
        return try decode(response, call.operation) { (reader) throws(JSONError) in
            var version = ServerVersion(gitVersion: "", major: 0, minor: 0)
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "gitVersion": version.gitVersion = try reader.string()
                case "major": version.major = try Self.number(&reader)
                case "minor": version.minor = try Self.number(&reader)
                default: try reader.skip()
                }
            }
            return version
        }
    }

    private static func number(_ reader: inout JSONReader) throws(JSONError) -> Int {
        Int(try reader.string().prefix(while: \.isNumber)) ?? 0
    }

    /// The version under which the server has a kind: budgets are policy/v1 from 1.21, v1beta1 until 1.24.
    func resolved(_ resource: ResourceName) async throws(KubernetesError) -> ResourceName {
        guard resource == BudgetObject.resource else { return resource }
        var resource = resource
        if let known = versions.withLock({ $0.budgets }) {
            resource.version = known
            return resource
        }
        let call = Call(.get, "/apis/policy")
        let response = try await request(call)
        var offered: [String] = []
        try decode(response, call.operation) { (reader) throws(JSONError) in
            try reader.object { (reader, key) throws(JSONError) in
                guard key == "versions" else { return }
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    try reader.object { (reader, key) throws(JSONError) in
                        if key == "version" { offered.append(try reader.string()) }
                    }
                }
            }
        }
        guard let version = ["v1", "v1beta1"].first(where: offered.contains) else {
            throw KubernetesError(
                .notFound, operation: call.operation,
                message: "the server offers policy in \(offered.joined(separator: ", ")): neither v1 nor v1beta1")
        }
        versions.withLock { $0.budgets = version }
        resource.version = version
        return resource
    }

    /// Asks for the version of budgets again next time: the server may have been upgraded.
    func forgetVersion(of resource: ResourceName) {
        if resource.group == "policy" { versions.withLock { $0.budgets = nil } }
    }

    /// The API version for the body of an eviction, as the list of the core API names it: `policy/v1beta1` until 1.21,
    /// `policy/v1` from 1.22. Not to be derived from that of budgets (1.21 has budgets v1 and evictions v1beta1). Nil
    /// where the server does not say: all accept a body that names none.
    func evictionVersion() async throws(KubernetesError) -> String? {
        if let known = versions.withLock({ $0.evictions }) { return known.isEmpty ? nil : known }
        let call = Call(.get, "/api/v1")
        let response = try await request(call)
        let found = try decode(response, call.operation) { (reader) throws(JSONError) in
            var found: String?
            try reader.object { (reader, key) throws(JSONError) in
                guard key == "resources" else { return }
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    var (name, group, version) = ("", "", "")
                    try reader.object { (reader, key) throws(JSONError) in
                        switch key {
                        case "name": name = try reader.string()
                        case "group": group = try reader.string()
                        case "version": version = try reader.string()
                        default: try reader.skip()
                        }
                    }
                    if name == "pods/eviction", !group.isEmpty, !version.isEmpty { found = "\(group)/\(version)" }
                }
            }
            return found
        }
        versions.withLock { $0.evictions = found ?? "" }
        return found
    }

    func forgetEvictionVersion() {
        versions.withLock { $0.evictions = nil }
    }
}
