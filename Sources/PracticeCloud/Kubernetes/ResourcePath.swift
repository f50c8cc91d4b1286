import JSONReader

/// A path of the API server, taken apart.
struct ResourcePath: Sendable {
    var kind: KubernetesKind
    /// API version without the group.
    var version: String
    var namespace: String?
    var name: String?
    var subresource: String?
    /// What follows the subresource (the path of a proxied request).
    var rest: [String]

    /// `/api/v1/…` or `/apis/GROUP/VERSION/…`; other paths are 404.
    init(_ segments: [String], minor: Int) throws(KubernetesFailure) {
        var parts = segments[...]
        let group: String
        switch parts.popFirst() {
        case "api": group = ""
        case "apis": group = parts.popFirst() ?? ""
        default: throw .noSuchPath()
        }
        guard let version = parts.popFirst(), KubernetesDiscovery.versions(group, minor: minor).contains(version) else {
            throw .noSuchPath()
        }
        self.version = version
        namespace = nil
        if parts.first == "namespaces", parts.count >= 3, group != "" || parts[parts.startIndex + 2] != "status" {
            namespace = parts[parts.startIndex + 1]
            parts = parts.dropFirst(2)
        }
        guard let plural = parts.popFirst(), let kind = KubernetesKind(rawValue: plural), kind.group == group,
            namespace == nil || kind.isNamespaced
        else { throw .noSuchPath() }
        self.kind = kind
        name = parts.popFirst()
        subresource = parts.popFirst()
        rest = Array(parts)
        if kind.isNamespaced, namespace == nil, name != nil { throw .noSuchPath() }
    }
}

/// What the API server says of itself.
enum KubernetesDiscovery {
    /// The versions of a group that a server of `minor` has, preferred first (the README of the recorded fixtures).
    static func versions(_ group: String, minor: Int) -> [String] {
        switch group {
        case "": return ["v1"]
        case "policy":
            if minor < 21 { return ["v1beta1"] }
            return minor < 25 ? ["v1", "v1beta1"] : ["v1"]
        case "updraft.io": return ["v1alpha1"]
        case "autoscaling": return minor < 23 ? ["v1"] : ["v2", "v1"]
        default: return KubernetesKind.allCases.contains { $0.group == group } ? ["v1"] : []
        }
    }

    /// `/version`.
    static func version(minor: Int) -> JSONValue {
        [
            "major": "1", "minor": .string(String(minor)), "gitVersion": .string("v1.\(minor).2"),
            "gitCommit": "practice", "gitTreeState": "archive", "buildDate": "2021-01-13T00:00:00Z",
            "goVersion": "none", "compiler": "swiftc", "platform": "linux/amd64",
        ]
    }

    static func group(_ name: String, minor: Int) -> JSONValue {
        let versions = versions(name, minor: minor).map { version -> JSONValue in
            ["groupVersion": .string("\(name)/\(version)"), "version": .string(version)]
        }
        return ["name": .string(name), "versions": .array(versions), "preferredVersion": versions.first ?? [:]]
    }

    /// `/api/v1`, `/apis/GROUP/VERSION`.
    static func resources(_ group: String, _ version: String, minor: Int) -> JSONValue {
        var found: [JSONValue] = []
        func add(_ kind: KubernetesKind, _ suffix: String, _ type: String, _ verbs: [JSONValue], _ more: JSONValue) {
            var entry = more
            entry["name"] = .string(kind.rawValue + suffix)
            entry["singularName"] = ""
            entry["namespaced"] = .bool(kind.isNamespaced)
            entry["kind"] = .string(type)
            entry["verbs"] = .array(verbs)
            found.append(entry)
        }
        for kind in KubernetesKind.allCases where kind.group == group {
            add(kind, "", kind.kind, ["create", "delete", "get", "list", "patch", "update", "watch"], [:])
            if kind.hasStatus { add(kind, "/status", kind.kind, ["get", "patch", "update"], [:]) }
            if kind.isScalable {
                add(
                    kind, "/scale", "Scale", ["get", "patch", "update"], ["group": "autoscaling", "version": "v1"])
            }
            if kind == .pod {
                let eviction = minor < 22 ? "v1beta1" : "v1"
                add(
                    kind, "/eviction", "Eviction", ["create"],
                    ["group": "policy", "version": .string(eviction)])
            }
            if kind == .node { add(kind, "/proxy", "NodeProxyOptions", ["get"], [:]) }
        }
        let version = group.isEmpty ? version : "\(group)/\(version)"
        return [
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": .string(version),
            "resources": .array(found),
        ]
    }
}

extension PracticeModel {
    /// Discovery documents; nil if the path is none.
    func discovery(_ segments: [String]) -> JSONValue? {
        let minor = settings.kubernetesMinor
        let groups = Set(KubernetesKind.allCases.map(\.group)).subtracting([""]).sorted()
        switch segments {
        case ["version"]: return KubernetesDiscovery.version(minor: minor)
        case ["api"]:
            return [
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [
                    ["clientCIDR": "0.0.0.0/0", "serverAddress": .string(endpoints.kubernetes)]
                ],
            ]
        case ["api", "v1"]: return KubernetesDiscovery.resources("", "v1", minor: minor)
        case ["apis"]:
            return [
                "kind": "APIGroupList", "apiVersion": "v1",
                "groups": .array(groups.map { KubernetesDiscovery.group($0, minor: minor) }),
            ]
        default: break
        }
        guard segments.first == "apis", segments.count >= 2, groups.contains(segments[1]) else { return nil }
        if segments.count == 2 {
            var value = KubernetesDiscovery.group(segments[1], minor: minor)
            value["kind"] = "APIGroup"
            value["apiVersion"] = "v1"
            return value
        }
        guard segments.count == 3, KubernetesDiscovery.versions(segments[1], minor: minor).contains(segments[2])
        else { return nil }
        return KubernetesDiscovery.resources(segments[1], segments[2], minor: minor)
    }
}
