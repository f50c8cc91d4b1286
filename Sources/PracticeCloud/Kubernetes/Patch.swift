import JSONReader

/// The patches of the API server.
enum KubernetesPatch: Sendable {
    /// RFC 7386.
    case merge
    /// Lists of things with a name are merged by it.
    case strategic

    /// `target` with `patch` applied.
    func apply(_ patch: JSONValue, to target: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var members = target.objectValue ?? [:]
        if self == .strategic, case .string("replace")? = changes["$patch"] {
            members = [:]
        }
        for (name, change) in changes {
            if name.hasPrefix("$") {
                if self == .strategic { directive(name, change, &members) } else { members[name] = change }
                continue
            }
            switch change {
            case .null:
                members[name] = nil
            case .object:
                members[name] = apply(change, to: members[name] ?? .object([:]))
            case .array(let elements) where self == .strategic && KubernetesPatch.mergeKey(of: name) != nil:
                members[name] = .array(merge(elements, into: members[name]?.arrayValue ?? [], field: name))
            case .array(let elements) where self == .strategic && name == "finalizers":
                let old = members[name]?.arrayValue ?? []
                members[name] = .array(old + elements.filter { !old.contains($0) })
            default:
                members[name] = change
            }
        }
        return .object(members)
    }

    private func directive(_ name: String, _ change: JSONValue, _ members: inout [String: JSONValue]) {
        let prefix = "$deleteFromPrimitiveList/"
        guard name.hasPrefix(prefix) else { return }
        let field = String(name.dropFirst(prefix.count))
        let gone = change.arrayValue ?? []
        members[field] = .array((members[field]?.arrayValue ?? []).filter { !gone.contains($0) })
    }

    private func merge(_ changes: [JSONValue], into old: [JSONValue], field: String) -> [JSONValue] {
        guard let key = KubernetesPatch.mergeKey(of: field) else { return changes }
        if changes.contains(where: { $0["$patch"]?.stringValue == "replace" }) {
            return changes.filter { $0["$patch"] == nil }
        }
        var result = old
        for change in changes {
            let place = result.firstIndex { $0[key] != nil && $0[key] == change[key] }
            if change["$patch"]?.stringValue == "delete" {
                if let place { result.remove(at: place) }
            } else if let place {
                result[place] = apply(change, to: result[place])
            } else {
                result.append(apply(change, to: .object([:])))
            }
        }
        return result
    }

    /// The `patchMergeKey` of the lists in Kubernetes' types; others (taints, tolerations) are replaced whole.
    private static func mergeKey(of field: String) -> String? {
        switch field {
        case "conditions", "addresses": return "type"
        case "containers", "initContainers", "ephemeralContainers", "volumes", "env", "imagePullSecrets":
            return "name"
        case "ports": return "containerPort"
        case "volumeMounts": return "mountPath"
        case "ownerReferences": return "uid"
        case "topologySpreadConstraints": return "topologyKey"
        case "podIPs", "hostAliases": return "ip"
        default: return nil
        }
    }
}
