import Messages
import Support

/// Empties one node: which pods to evict now, which later, and whether all are gone.
///
/// Order: pods of critical priority (2,000,000,000 and more) wait until the others are gone; among the others, lower
/// priority goes first. Pods of one StatefulSet go one by one, the highest ordinal first, as their controller would.
/// *Gone* means that the object is gone: a pod whose grace period runs is still there.
public struct DrainPlan: Sendable {
    struct Attempt: Sendable {
        var isInFlight = false
        var isAccepted = false
        var retryAt: Timestamp?
        var obstacle: Explanation?
    }

    /// What to do next.
    public enum Step: Sendable, Equatable {
        /// No pod that has to be moved is left.
        case drained
        /// Evict these now (perhaps none) and look again at `again`.
        case evict([Eviction], again: Timestamp)
    }

    /// An eviction to ask for.
    public struct Eviction: Sendable, Equatable {
        /// The pod.
        public var pod: NodePod
        /// Seconds, where the pod's own grace period is too long.
        public var grace: Int64?
    }

    static let criticalPriority: Int32 = 2_000_000_000

    private var attempts: [String: Attempt] = [:]

    /// Nothing was tried yet.
    public init() {}

    /// What keeps the node from being empty: named in the failure when the deadline passes.
    public var obstacle: Explanation? {
        attempts.sorted { $0.key < $1.key }.lazy.compactMap(\.value.obstacle).first
    }

    /// The next step, given the pods that are on the node now.
    public mutating func next(
        pods: [NodePod], at now: Timestamp, deadline: Timestamp, policy: ActuatorPolicy
    ) -> Step {
        let left = pods.filter(\.isMoved)
        let present = Set(left.map(\.uid))
        attempts = attempts.filter { present.contains($0.key) || $0.value.isInFlight }
        guard !left.isEmpty else { return .drained }
        let ordinary = left.filter { $0.priority < DrainPlan.criticalPriority }
        let wave = (ordinary.isEmpty ? left : ordinary).sorted(by: DrainPlan.precedes)
        var room = policy.evictionsAtOnce - attempts.values.count(where: \.isInFlight)
        var ordered = Set(
            wave.filter { $0.ownerKind == "StatefulSet" && isMoving($0) }.map(\.ownerUID))
        var evictions: [Eviction] = []
        for pod in wave where room > 0 && !isMoving(pod) {
            if let retryAt = attempts[pod.uid]?.retryAt, retryAt > now { continue }
            if pod.ownerKind == "StatefulSet", !ordered.insert(pod.ownerUID).inserted { continue }
            attempts[pod.uid, default: Attempt()].isInFlight = true
            evictions.append(Eviction(pod: pod, grace: DrainPlan.grace(pod, at: now, deadline, policy)))
            room -= 1
        }
        return .evict(evictions, again: min(now + policy.drainPoll, deadline))
    }

    /// What became of an eviction.
    public mutating func evicted(
        _ podUID: String, _ outcome: EvictionOutcome, at now: Timestamp, policy: ActuatorPolicy
    ) {
        guard var attempt = attempts[podUID] else { return }
        attempt.isInFlight = false
        switch outcome {
        case .accepted, .gone:
            attempt.isAccepted = true
            attempt.obstacle = nil
        case .blocked(let budget, let retryAfter):
            attempt.retryAt = now + max(retryAfter ?? policy.evictionRetry, .milliseconds(100))
            attempt.obstacle = Explanation(.evictionBlocked, budget)
        case .failed(let failure):
            attempt.retryAt = now + policy.evictionRetry
            attempt.obstacle = failure.explanation
        }
        attempts[podUID] = attempt
    }

    private func isMoving(_ pod: NodePod) -> Bool {
        guard pod.deletedAt == nil else { return true }
        guard let attempt = attempts[pod.uid] else { return false }
        return attempt.isInFlight || attempt.isAccepted
    }

    private static func precedes(_ left: NodePod, _ right: NodePod) -> Bool {
        if left.priority != right.priority { return left.priority < right.priority }
        if left.ownerKind == "StatefulSet", left.ownerUID == right.ownerUID, left.ordinal != right.ordinal {
            return left.ordinal > right.ordinal
        }
        return left.id < right.id
    }

    /// The pod's own grace period, unless policy or the deadline of the drain leaves less; then that, at least 1 s.
    private static func grace(
        _ pod: NodePod, at now: Timestamp, _ deadline: Timestamp, _ policy: ActuatorPolicy
    ) -> Int64? {
        let allowed = Int64(min(policy.maximumGrace, deadline - now).inSeconds)
        return pod.gracePeriodSeconds > allowed ? max(1, allowed) : nil
    }
}

extension NodePod {
    /// The number at the end of a StatefulSet pod's name; -1 if there is none.
    var ordinal: Int {
        guard let last = name.split(separator: "-").last, let number = Int(last) else { return -1 }
        return number
    }
}
