import JSONReader
import Messages

/// Whether a kind can be scaled.
public enum Scalability: Sendable, Equatable {
    /// It has a `scale` subresource, under this name.
    case scalable(ResourceName)
    /// It has not; why, for a person.
    case not(String)
}

extension KubernetesClient {
    /// Finds the resource of a kind that has a `scale` subresource. The kinds that every server has are not asked for; what was
    /// found of another is kept until an object is not there.
    public func scalability(_ apiVersion: String, kind: String) async throws(KubernetesError) -> Scalability {
        let reference = TargetReference(apiVersion: apiVersion, kind: kind, name: "")
        if reference.isBuiltIn {
            let group = kind == "ReplicationController" ? "" : "apps"
            return .scalable(ResourceName(group: group, "\(kind.lowercased())s"))
        }
        let known = versions.withLock { $0.scalable["\(apiVersion) \(kind)"] }
        if let known { return .scalable(known) }
        // It goes into a path, and somebody else wrote it.
        let parts = apiVersion.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy(Self.isName), let version = parts.last else {
            return .not("apiVersion \"\(apiVersion.prefix(100))\" is none")
        }
        let group = parts.count == 2 ? String(parts[0]) : ""
        let path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        let call = Call(.get, path)
        let found: Kinds
        do throws(KubernetesError) {
            let response = try await request(call)
            found = try decode(response, call.operation) { (reader) throws(JSONError) in try Kinds(&reader, kind) }
        } catch {
            guard error.code == .notFound else { throw error }
            return .not("the API server has no \(apiVersion)")
        }
        guard let plural = found.plural else { return .not("the API server has no kind \(kind) in \(apiVersion)") }
        guard found.isNamespaced else { return .not("objects of \(kind) are in no namespace") }
        guard found.scales.contains("\(plural)/scale") else { return .not("\(kind) has no scale subresource") }
        let resource = ResourceName(group: group, version: String(version), plural)
        versions.withLock { versions in
            // Nobody scales so many kinds; a server that makes them up must not cost memory.
            if versions.scalable.count >= 1_000 { versions.scalable = [:] }
            versions.scalable["\(apiVersion) \(kind)"] = resource
        }
        return .scalable(resource)
    }

    /// Forgets what was found of a kind: its objects were not where they should be.
    func forgetScalability(of resource: ResourceName) {
        versions.withLock { versions in
            if versions.scalable.contains(where: { $0.value == resource }) {
                versions.scalable = versions.scalable.filter { $0.value != resource }
            }
        }
    }

    private static func isName(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.count <= 253 && !text.hasPrefix(".")
            && text.utf8.allSatisfy { byte in
                (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x2E
            }
    }

    /// What an APIResourceList says of one kind.
    private struct Kinds {
        var plural: String?
        var isNamespaced = false
        /// Names of `scale` subresources.
        var scales: Set<String> = []

        init(_ reader: inout JSONReader, _ wanted: String) throws(JSONError) {
            var (plural, isNamespaced, scales) = (plural, isNamespaced, scales)
            try reader.object { (reader, key) throws(JSONError) in
                guard key == "resources" else { return try reader.skip() }
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    var (name, kind, inNamespace) = ("", "", false)
                    try reader.object { (reader, key) throws(JSONError) in
                        switch key {
                        case "name": name = try reader.string()
                        case "kind": kind = try reader.string()
                        case "namespaced": inNamespace = try reader.bool()
                        default: try reader.skip()
                        }
                    }
                    if name.hasSuffix("/scale") { scales.insert(name) }
                    if kind == wanted, !name.contains("/") { (plural, isNamespaced) = (name, inNamespace) }
                }
            }
            (self.plural, self.isNamespaced, self.scales) = (plural, isNamespaced, scales)
        }
    }
}
