import Messages
import Support

/// Pods that come after the cooldown: one that tolerates every taint, or that names its node, is bound to a node that is
/// being drained. It is told like any other before it is evicted, and has a short time of its own. What the others said
/// is settled; theirs is not opened again.
extension NotifierCore {
    /// The record shows that the cooldown is over: from now on only pods that arrive are told.
    mutating func drain(_ name: String, _ uid: String, _ record: RemovalRecord) {
        guard let cooldown = cooldowns[name] else {
            begin(name, uid, record)
            cooldowns[name]?.stage = .draining
            return timers.set(.node(name), at: now + policy.resync)
        }
        guard cooldown.stage != .draining else { return follow(name, record) }
        cooldowns[name]?.stage = .draining
        cooldowns[name]?.record = record
        if cooldown.shown != nil {
            cooldowns[name]?.shown = nil
            emit(.countdown(node: name, nil))
        }
        timers.set(.node(name), at: now + policy.resync)
        hearHeld(record.id)
        // Who has heard nothing is told as one that comes now.
        for uid in cooldown.pods.sorted() where notices[uid]?.wasReached == false && notices[uid]?.isSettled == false {
            cooldowns[name]?.pods.remove(uid)
            drop(uid)
        }
        // Some may have come while nobody was told any more.
        read(name)
    }

    /// Whether a pod that has no notice gets one.
    func isToBeTold(_ pod: NodePod, _ cooldown: Cooldown) -> Bool {
        switch cooldown.stage {
        case .telling, .cooling: return true
        // The Actuator goes on in a moment; then all that are there are looked at once more.
        case .over: return false
        case .draining:
            // One of a DaemonSet that comes now takes the place of one that was evicted, and stays with the node.
            guard pod.isMoved else { return false }
            guard NoticeMarks(pod.annotations, removal: cooldown.record.id) != nil,
                let deadline = pod.annotations[RemovalNames.podDeadline].flatMap({ Timestamp($0) })
            else { return true }
            // Another process told it by each way. If its time is not over, its answers still count.
            return deadline > now
        }
    }

    /// Whether anything that a pod says can still change something.
    func mayAnswer(_ uid: String, _ cooldown: Cooldown) -> Bool {
        switch cooldown.stage {
        case .telling, .cooling: true
        case .over: false
        case .draining: notices[uid]?.limit != nil
        }
    }

    /// Until when a pod may take that is told now, at the longest; nil while the cooldown runs, where the record says it.
    /// The second half of what is left of the drain is for its eviction.
    func limit(_ terms: PodTerms, _ cooldown: Cooldown) -> Timestamp? {
        guard cooldown.stage == .draining else { return nil }
        let half = max(cooldown.record.deadline - now, .zero) * 0.5
        return now + min(terms.maximumCooldown, half)
    }

    /// Time to look who is there.
    mutating func drainIsDue(_ name: String) {
        read(name)
        timers.set(.node(name), at: now + policy.resync)
    }
}
