import HTTPClient
import JSONReader
import Messages

/// Whether the server has a kind.
public enum KindLookup: Sendable, Equatable {
    /// It has, under this name.
    case found(ResourceName)
    /// It has not; why, for a person.
    case absent(String)
}

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
        guard let place = Self.place(apiVersion) else {
            return .not("apiVersion \"\(apiVersion.prefix(100))\" is none")
        }
        guard let found = try await kinds(place.group, place.version, kind) else {
            return .not("the API server has no \(apiVersion)")
        }
        guard let plural = found.plural else { return .not("the API server has no kind \(kind) in \(apiVersion)") }
        guard found.isNamespaced else { return .not("objects of \(kind) are in no namespace") }
        guard found.scales.contains("\(plural)/scale") else { return .not("\(kind) has no scale subresource") }
        let resource = ResourceName(group: place.group, version: place.version, plural)
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

    /// Finds the resource of a kind, whether it can be scaled or not. Where the server does not have the version, the one that it
    /// prefers of the group counts, as HorizontalPodAutoscaler goes by group and kind alone. What was found is kept.
    public func resource(_ apiVersion: String, kind: String) async throws(KubernetesError) -> KindLookup {
        let key = "\(apiVersion) \(kind)"
        if let known = versions.withLock({ $0.kinds[key] }) { return .found(known) }
        guard var place = Self.place(apiVersion) else {
            return .absent("apiVersion \"\(apiVersion.prefix(100))\" is none")
        }
        var found = try await kinds(place.group, place.version, kind)
        if found?.plural == nil, let other = try await offered(place.group).first, other != place.version {
            place.version = other
            found = try await kinds(place.group, other, kind)
        }
        guard let found else { return .absent("the API server has no \(apiVersion)") }
        guard let plural = found.plural else {
            return .absent("the API server has no kind \(kind) in \(apiVersion)")
        }
        let resource = ResourceName(
            group: place.group, version: place.version, plural, isNamespaced: found.isNamespaced)
        versions.withLock { versions in
            if versions.kinds.count >= 1_000 { versions.kinds = [:] }
            versions.kinds[key] = resource
        }
        return .found(resource)
    }

    /// Forgets where a kind was found.
    public func forgetResource(_ apiVersion: String, kind: String) {
        versions.withLock { $0.kinds["\(apiVersion) \(kind)"] = nil }
    }

    /// The versions in which the server has an API group, the preferred one first; none: it does not have it.
    public func offered(
        _ group: String, retry: RetryPolicy = .standard
    ) async throws(KubernetesError) -> [String] {
        guard Self.isName(group[...]) else { return [] }
        let call = Call(.get, "/apis/\(group)", retry: retry)
        do throws(KubernetesError) {
            let response = try await request(call)
            return try decode(response, call.operation) { (reader) throws(JSONError) in
                var (preferred, all): (String?, [String]) = (nil, [])
                try reader.object { (reader, key) throws(JSONError) in
                    switch key {
                    case "preferredVersion": preferred = try Self.version(&reader)
                    case "versions":
                        try reader.arrayOrNull { (reader) throws(JSONError) in
                            if let version = try Self.version(&reader) { all.append(version) }
                        }
                    default: try reader.skip()
                    }
                }
                return ([preferred].compactMap { $0 } + all.filter { $0 != preferred }).filter { Self.isName($0[...]) }
            }
        } catch {
            guard error.code == .notFound else { throw error }
            return []
        }
    }

    private static func version(_ reader: inout JSONReader) throws(JSONError) -> String? {
        var version: String?
        try reader.object { (reader, key) throws(JSONError) in
            if key == "version" { version = try reader.string() } else { try reader.skip() }
        }
        return version
    }

    /// What the server says of a kind in a version of a group; nil: it does not have that.
    private func kinds(_ group: String, _ version: String, _ kind: String) async throws(KubernetesError) -> Kinds? {
        let call = Call(.get, group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)")
        do throws(KubernetesError) {
            let response = try await request(call)
            return try decode(response, call.operation) { (reader) throws(JSONError) in try Kinds(&reader, kind) }
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Group and version of an API version; nil: it is none. They go into a path, and somebody else wrote them.
    private static func place(_ apiVersion: String) -> (group: String, version: String)? {
        let parts = apiVersion.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy(isName), let version = parts.last else { return nil }
        return (parts.count == 2 ? String(parts[0]) : "", String(version))
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
