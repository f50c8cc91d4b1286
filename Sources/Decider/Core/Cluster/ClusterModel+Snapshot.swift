import Messages
import Support

/// The model told again as a snapshot, from which it begins anew.
extension ClusterModel {
    /// Namespace selectors resolve to other namespaces now, or most shapes are not in use any more: all classes are made anew,
    /// pods keep their places.
    mutating func recompileEverything() {
        let numbers = shapeNumbers()
        let snapshot = parts(numbers)
        let gone = evicted.compactMap { item in numbers[Int(item.podClass)].map { (shape: $0, at: item.at) } }
        rebuild(from: [snapshot])
        evicted = gone.map { EvictedPod(podClass: Int32(classNumber(shape: $0.shape, claims: [])), at: $0.at) }
        countedAt = catalog.classes.count
    }

    /// The model as a snapshot.
    private func parts(_ numbers: [Int: Int]) -> ClusterSnapshot {
        let used = shapesInUse(numbers)
        return ClusterSnapshot(
            cluster: cluster, epoch: feed.epoch, sequence: feed.sequence, takenAt: heardAt ?? Timestamp(seconds: 0),
            shapes: shapes.filter { used.contains($0.key) }.map { NumberedShape(id: $0.key, shape: $0.value) },
            nodes: nodes.compactMap { $0?.node },
            pods: pods.enumerated().compactMap { index, record in
                guard let record else { return nil }
                return message(record, shape: numbers[Int(record.podClass)] ?? 0, index: Int32(index))
            },
            budgets: Array(budgets.values), workloads: Array(workloads.values), claims: Array(claims.values),
            namespaces: catalog.namespaces.map { Namespace(name: $0.key, labels: $0.value) }, scaling: scaling.message)
    }

    private func message(_ record: PodRecord, shape: Int, index: Int32) -> Pod {
        let name = record.node >= 0 ? nodes[Int(record.node)]?.node.name : waitsFor(index)
        let held = record.holds >= 0 ? nodes[Int(record.holds)]?.node.name : nil
        let brief = podBriefs[Int(index)]
        return Pod(
            uid: record.uid, name: record.name, shape: shape, node: record.nominated ? nil : name,
            nominatedNode: record.nominated ? (held ?? name) : nil, phase: record.phase,
            scheduling: record.scheduling, ready: brief.isReady, createdAt: record.createdAt,
            unschedulableSince: record.unschedulableSince, deletedAt: record.deletedAt,
            claims: podsWithClaims[index]?.claims ?? [], startedAt: brief.startedAt,
            readyChangedAt: brief.readyChangedAt)
    }

    func waitsFor(_ index: Int32) -> String? {
        orphans.first { $0.value.contains(index) }?.key
    }
}
