import JSONReader
import Messages
import Support

/// Facts of pods and nodes, kept up to date with each change of the store: what scheduler, controllers and kubelets
/// look at instead of JSON.
struct ClusterIndex: Sendable {
    private(set) var pods: [String: PodFacts] = [:]
    private(set) var nodes: [String: NodeFacts] = [:]
    private(set) var podsByNode: [String: Set<String>] = [:]
    private(set) var podsByOwner: [String: Set<String>] = [:]
    private(set) var podsByNamespace: [String: Set<String>] = [:]
    /// Requests of the pods on a node that have not finished; `pods` counts them.
    private(set) var used: [String: ResourceList] = [:]

    /// What a change meant.
    struct Difference: Sendable {
        var oldPod: PodFacts?
        var newPod: PodFacts?
        var oldNode: NodeFacts?
        var newNode: NodeFacts?
    }

    /// Takes a change in.
    mutating func apply(_ change: StoreChange) -> Difference {
        var difference = Difference()
        switch change.kind {
        case .pod:
            difference.oldPod = pods[change.key]
            if change.action == .deleted {
                pods[change.key] = nil
            } else {
                let old: (StoredObject, PodFacts)?
                if let object = change.old, let facts = difference.oldPod { old = (object, facts) } else { old = nil }
                let facts = PodFacts(change.new, old: old)
                pods[change.key] = facts
                difference.newPod = facts
            }
            if let pod = difference.oldPod { unlink(pod) }
            if let pod = difference.newPod { link(pod) }
        case .node:
            difference.oldNode = nodes[change.key]
            if change.action == .deleted {
                nodes[change.key] = nil
            } else {
                let facts = NodeFacts(change.new)
                nodes[change.key] = facts
                difference.newNode = facts
            }
        default: break
        }
        return difference
    }

    private mutating func link(_ pod: PodFacts) {
        podsByNamespace[pod.namespace, default: []].insert(pod.key)
        if let owner = pod.ownerUID { podsByOwner[owner, default: []].insert(pod.key) }
        guard let node = pod.node else { return }
        podsByNode[node, default: []].insert(pod.key)
        if !pod.isTerminal {
            used[node, default: ResourceList()].add(pod.spec.requests)
            used[node]?.pods += 1
        }
    }

    private mutating func unlink(_ pod: PodFacts) {
        podsByNamespace[pod.namespace]?.remove(pod.key)
        if let owner = pod.ownerUID {
            podsByOwner[owner]?.remove(pod.key)
            if podsByOwner[owner]?.isEmpty ?? false { podsByOwner[owner] = nil }
        }
        guard let node = pod.node else { return }
        podsByNode[node]?.remove(pod.key)
        if !pod.isTerminal {
            used[node]?.subtract(pod.spec.requests)
            used[node]?.pods -= 1
        }
        if podsByNode[node]?.isEmpty ?? false {
            podsByNode[node] = nil
            used[node] = nil
        }
    }
}
