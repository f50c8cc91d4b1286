import JSONReader
import Messages
import Support

/// What the journal learns from changes in Kubernetes.
extension PracticeModel {
    /// Writes down what a change means.
    mutating func observe(_ change: StoreChange, _ difference: ClusterIndex.Difference) {
        switch change.kind {
        case .pod: observePod(change, difference)
        case .node: observeNode(change, difference)
        default: break
        }
    }

    private mutating func observePod(_ change: StoreChange, _ difference: ClusterIndex.Difference) {
        let object = change.new
        let facts: [String: JSONValue] = ["pod": .string(object.key), "uid": .string(object.uid)]
        func with(_ more: [String: JSONValue]) -> [String: JSONValue] { facts.merging(more) { first, _ in first } }
        switch change.action {
        case .added:
            journal.record("pod.created", at: clock, facts)
        case .deleted:
            let pod = difference.oldPod
            journal.record(
                "pod.gone", at: clock,
                with([
                    "node": pod?.node.map { .string($0) } ?? nil, "told": .bool(told.contains(object.uid)),
                    "was_terminating": .bool(pod?.deletion != nil),
                ]))
            told.remove(object.uid)
        case .modified:
            guard let new = difference.newPod, let old = difference.oldPod, let before = change.old else { return }
            if old.node == nil, let node = new.node {
                journal.record("pod.scheduled", at: clock, with(["node": .string(node)]))
            }
            if old.deletion == nil, new.deletion != nil {
                journal.record(
                    "pod.terminating", at: clock,
                    with([
                        "node": new.node.map { .string($0) } ?? nil, "told": .bool(told.contains(object.uid)),
                        "grace": .int(new.grace),
                    ]))
            }
            if old.closedGates != new.closedGates {
                let kind = new.closedGates > 0 ? "pod.gate-closed" : "pod.gate-opened"
                journal.record(kind, at: clock, facts)
            }
            observeAnnotations(object, before)
        }
    }

    private mutating func observeAnnotations(_ object: StoredObject, _ before: StoredObject) {
        guard object.value[path: "metadata", "annotations"] != before.value[path: "metadata", "annotations"] else {
            return
        }
        let old = before.annotations
        let new = object.annotations
        let deadline = "updraft.io/removal-deadline"
        let facts: [String: JSONValue] = [
            "pod": .string(object.key), "uid": .string(object.uid), "via": "annotation",
        ]
        if let value = new[deadline], old[deadline] != value {
            told.insert(object.uid)
            journal.record(
                "pod.told", at: clock, facts.merging(["deadline": .string(value)]) { first, _ in first })
        } else if new[deadline] == nil, old[deadline] != nil {
            told.remove(object.uid)
            journal.record("pod.reprieved", at: clock, facts)
        }
    }

    private mutating func observeNode(_ change: StoreChange, _ difference: ClusterIndex.Difference) {
        let node = difference.newNode ?? difference.oldNode
        var facts: [String: JSONValue] = ["node": .string(change.key)]
        if let server = node?.serverID { facts["server"] = .string(server) }
        func with(_ more: [String: JSONValue]) -> [String: JSONValue] { facts.merging(more) { first, _ in first } }
        if change.action == .deleted {
            journal.record("node.gone", at: clock, facts)
            return
        }
        guard let new = difference.newNode, let old = difference.oldNode else { return }
        if new.isUnschedulable != old.isUnschedulable {
            journal.record(new.isUnschedulable ? "node.cordoned" : "node.uncordoned", at: clock, facts)
        }
        let taintsBefore = Set(old.taints)
        let taintsNow = Set(new.taints)
        for taint in taintsNow.subtracting(taintsBefore) where taint.key.hasPrefix("updraft.io/") {
            journal.record("node.tainted", at: clock, with(["taint": .string(taint.key)]))
        }
        for taint in taintsBefore.subtracting(taintsNow) where taint.key.hasPrefix("updraft.io/") {
            journal.record("node.untainted", at: clock, with(["taint": .string(taint.key)]))
        }
        let phase = "updraft.io/removal"
        if let record = change.new.annotations[phase], change.old?.annotations[phase] != record {
            journal.record("node.removal", at: clock, with(["record": .string(String(record.prefix(1_000)))]))
        }
    }
}
