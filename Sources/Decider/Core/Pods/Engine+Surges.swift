import Messages

extension Engine {
    /// Workloads that have one replica more while their only pod moves (`actuator.drain.surge`), with the replicas that the Actuator
    /// set: by the target's id, from the records of removals on the nodes.
    func surged() -> [String: Int] {
        var found: [String: Int] = [:]
        // (Also of removals that are over: what they raised may not be put back yet.)
        for slot in model.order {
            for surge in model.nodes[Int(slot)]?.surges ?? [] {
                let target = TargetReference(apiVersion: surge.apiVersion, kind: surge.kind, name: surge.name)
                found[target.id(in: surge.namespace)] = surge.to
            }
        }
        return found
    }

    /// Pods of a node that have their successor already, or are about to: it takes room of its own, so no more is kept for them. By
    /// UID.
    func succeeded(on slot: Int) -> Set<String> {
        Set((model.nodes[slot]?.surges ?? []).map(\.podUID))
    }
}
