import Messages

extension NodePod {
    /// A pod as telling and evicting it needs it.
    public init(_ object: PodObject) {
        let gate: Gate
        if !object.readinessGates.contains(RemovalNames.servingGate) {
            gate = .absent
        } else if let condition = object.gateConditions.first(where: { $0.type == RemovalNames.servingGate }) {
            gate = condition.status == "True" ? .serving : .notServing
        } else {
            gate = .unset
        }
        self.init(
            namespace: object.meta.namespace, name: object.meta.name, uid: object.meta.uid,
            node: object.pod.node ?? "", ip: object.address,
            ports: object.ports.compactMap { port in port.name.map { Port(name: $0, number: port.port) } },
            labels: object.shape.labels, annotations: object.shape.annotations,
            ownerKind: object.shape.owner?.kind ?? "", ownerUID: object.shape.owner?.uid ?? "",
            priority: object.shape.priority ?? 0, gracePeriodSeconds: object.shape.gracePeriodSeconds,
            phase: object.pod.phase, deletedAt: object.pod.deletedAt, gate: gate, createdAt: object.pod.createdAt)
    }
}
