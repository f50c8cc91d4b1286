import Messages
import Support

/// Telling pods that they may stay after all.
extension NotifierCore {
    /// The node stays: every pod that was told of this removal is told so. The pods are read as well: some may have
    /// been told by a process that is no more, or before the drain began.
    /// - Parameter isNews: the node was under notice when last seen. If not, an earlier process may have said all, and
    ///   the bus hears of it only if a pod is found that was told.
    mutating func withdraw(_ node: NotifiedNode, _ record: RemovalRecord, isNews: Bool) {
        let told = takeCooldown(node.name)?.pods.sorted().compactMap { notices[$0] } ?? []
        for notice in told {
            // A pod that was not told in any way has nothing to be taken back; its tries just end.
            drop(notice.pod.uid)
            if notice.deliveries.values.contains(where: { $0.attempts > 0 }) {
                withdraw(notice.pod, record.id, record, told: notice)
            }
        }
        if isNews {
            sayStays(node.name, node.uid, record, pods: told.count)
        } else {
            staying[node.name] = record
        }
        emit(.readPods(node: node.name))
        hearHeld(record.id)
    }

    /// The pods of a node that stays were read.
    mutating func stays(_ name: String, _ pods: [NodePod]) {
        guard let record = staying.removeValue(forKey: name), let node = nodes[name] else { return }
        let told = pods.filter { $0.annotations[RemovalNames.podRemoval] == record.id }.count
        if told > 0 { sayStays(name, node.uid, record, pods: told) }
    }

    private mutating func sayStays(_ name: String, _ uid: String, _ record: RemovalRecord, pods: Int) {
        let why = record.outcome ?? Explanation(.cancelledByOperator, "the record of the removal is gone")
        emit(.publish(.nodeRemoval(nodeRemoval(name, record, why, pods: pods, withdrawn: true))))
        emit(.nodeEvent(node: name, uid: uid, why))
    }

    /// One pod may stay. `told`: what it was told, if this process did; else all ways are used.
    mutating func withdraw(_ pod: NodePod, _ removal: String, _ record: RemovalRecord?, told: PodNotice? = nil) {
        generations += 1
        let why =
            record?.id == removal
            ? record?.outcome ?? Explanation(.cancelledByOperator)
            : Explanation(.cancelledByOperator, "the removal is over")
        var notice = PodNotice(
            node: pod.node, removal: removal, serverID: record?.serverID ?? "", reason: why, pod: pod,
            terms: policy.pods.terms, deadline: now, withdrawn: true, generation: generations)
        let ways = told.map { old in old.deliveries.filter { $0.value.attempts > 0 }.map(\.key) } ?? channels(for: pod)
        for channel in ways { notice.deliveries[channel] = PodNotice.Delivery() }
        notices[pod.uid] = notice
        start(pod.uid)
    }

    func nodeRemoval(
        _ name: String, _ record: RemovalRecord, _ reason: Explanation, pods: Int, withdrawn: Bool
    ) -> NodeRemoval {
        NodeRemoval(
            cluster: policy.cluster, removal: record.id, node: name, serverID: record.serverID, reason: reason,
            deadline: end(ofNode: name) ?? now, pods: pods, withdrawn: withdrawn)
    }
}
