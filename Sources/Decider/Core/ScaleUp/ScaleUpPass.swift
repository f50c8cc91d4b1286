import Messages
import Support

/// One evaluation's working state of the scale-up side.
struct ScaleUpPass {
    var world: World
    var demands: [Demand] = []
    /// Pods that ask for no new node and yet take room on those that are there: of DaemonSets, and too young ones.
    var quiet: [Demand] = []
    /// The pods that need nodes are so young that more are to be expected: nothing is added or removed.
    var allWait = false
    /// Pods of each demand that fit a node that is there or coming.
    var fitting: [Int] = []
    /// Slots that are taken back.
    var returned: [Int] = []
    /// Slots whose return was asked for before: they count as there.
    var returning: Set<Int> = []
    /// Pods that the simulation put on nodes that are there, by slot.
    var held: [Int: [Held]] = [:]
    /// Pending pods placed on nodes that are there or coming, in order.
    var placements: [Placement] = []
    /// Pods that do not ask for room, by class and reason.
    var excused: [ExcuseKey: Excuse] = [:]
    var plan: ScaleUpPlan?
    /// Scale-up per group, with the reason.
    var growth: [Int: (count: Int, reason: Explanation, pods: Int, sample: [String])] = [:]
    /// Who asked for nodes of it, per group.
    var askers: [Int: Asker] = [:]
    /// Slots of upcoming nodes in `world`.
    var upcoming: [Int32] = []
    var bounds: [Int: [Explanation]] = [:]

    struct ExcuseKey: Hashable {
        var podClass: Int32
        var reason: Reason
    }

    struct Excuse {
        var pod: Int32
        var count: Int
        var explanation: Explanation
    }
}

extension ScaleUpPass {
    /// Whether pods ask for nodes of the group: some group grows now, or this one is about to, as soon as a change that is on its
    /// way or the limit on new nodes lets it. A pod that waits for a node which the group may not get (it is full, a quota is used
    /// up) holds nothing: it has room on none of the nodes, and one node less may be what lets the group have another.
    func wants(_ group: Int) -> Bool {
        if !growth.isEmpty || allWait { return true }
        let isAboutTo = bounds[group]?.contains { $0.reason == .batchLimitReached || $0.reason == .groupBusy } ?? false
        guard let plan, isAboutTo else { return false }
        return demands.indices.contains { index in
            demands[index].open > 0 && index < plan.obstacles.count
                && !(plan.obstacles[index][group]?.reason.isConstraint ?? false)
        }
    }
}

extension Reason {
    /// Whether a pod cannot run on a node for what the two are, rather than because a group may not grow.
    var isConstraint: Bool {
        switch self {
        case .insufficientCPU, .insufficientMemory, .insufficientEphemeralStorage, .insufficientResource, .tooManyPods,
            .nodeNameMismatch, .nodeUnschedulable, .nodeAffinityMismatch, .taintNotTolerated, .podAffinityMismatch,
            .podAntiAffinityConflict, .topologySpreadConflict, .hostPortConflict, .volumeZoneConflict, .claimMissing:
            true
        default: false
        }
    }
}
