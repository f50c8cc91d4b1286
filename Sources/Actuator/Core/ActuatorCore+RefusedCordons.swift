import Messages
import Support

/// Nodes whose machine somebody else takes away and that the API server does not let us cordon: a role that is being
/// rolled out, a webhook that denies. Their pods cannot be told, and what holds the machine is never let go without
/// that; so it is tried again at each resync for as long as the machine is there, and said loudly meanwhile.
extension ActuatorCore {
    /// The cordon of such a node was refused. Whether that is news: the bus is told once, not at each try.
    mutating func cordonIsRefused(_ node: String, _ record: RemovalRecord, _ failure: ActFailure) -> Bool {
        let before = refusedCordons[node].flatMap { $0.member.physicalID == record.memberID ? $0 : nil }
        refusedCordons[node] = RefusedCordon(
            uid: record.nodeUID, group: record.group,
            member: ExpectedMember(name: record.member, physicalID: record.memberID, serverID: record.serverID),
            at: now, failure: failure)
        readGroup(record.group)
        guard before == nil else { return false }
        if failure.reason != .dryRun {
            warn(node, Explanation(failure.reason, "\(RefusedCordon.what): \(failure.detail)"))
        }
        return true
    }

    /// Whether it is time to try to cordon it (again).
    func mayCordon(_ view: NodeView) -> Bool {
        guard let refused = refusedCordons[view.name], refused.uid == view.uid else { return true }
        return now >= nextTry(refused)
    }

    /// A little earlier than the resync, or every second one would be left out by a hair.
    private func nextTry(_ refused: RefusedCordon) -> Timestamp { refused.at + policy.resync * 0.9 }

    /// A fresh reading is in: forgets those that were cordoned since or that nobody takes any more. What is to be said
    /// of the others, sorted.
    mutating func refusedCordons(in group: String, _ reading: GroupReading) -> [String] {
        var obstacles: [String] = []
        for (node, refused) in refusedCordons.sorted(by: { $0.key < $1.key }) where refused.group == group {
            let isUnderRemoval = removals[node].map { $0.editing == nil && !$0.record.phase.isOver } ?? false
            guard nodes[node]?.uid == refused.uid, !isUnderRemoval,
                let member = reading.member(id: refused.member.physicalID),
                !member.status.hasPrefix("DELETE_") || member.isLeaving
            else {
                refusedCordons[node] = nil
                continue
            }
            // Of one that was deleted in Nova only Nova knows whether it still goes.
            if !member.isLeaving, now >= nextTry(refused) { ask(refused.member.serverID) }
            // In a dry run nobody refuses anything: nothing is wrong that `/readyz` should say.
            if refused.failure.reason == .dryRun { continue }
            obstacles.append("\(node) (member \(member.name)): \(RefusedCordon.what): \(refused.failure.detail)")
        }
        return obstacles
    }
}

/// A node that could not be cordoned for a removal by somebody else.
struct RefusedCordon: Sendable {
    static let what = "it cannot be cordoned, so its pods are not told that its machine goes"

    var uid: String
    var group: String
    var member: ExpectedMember
    /// When that was tried last, and what came of it.
    var at: Timestamp
    var failure: ActFailure
}
