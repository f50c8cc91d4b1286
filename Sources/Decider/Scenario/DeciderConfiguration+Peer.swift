import Support

extension DeciderConfiguration {
    /// Restores cluster-autoscaler's behaviour where ours is deliberately different: one group a decision, no soft
    /// constraints, pods in list order, DaemonSets only as they run, upcoming nodes only by open requests, several removals of
    /// a group at once, groups that may become empty, zones not kept level, few candidates in one
    /// evaluation, and what `PeerRules` names.
    public mutating func makePeerCompatible() {
        peer = .all
        scaleUp.severalGroups = false
        scaleUp.softTieBreaks = false
        scaleUp.retriesPlans = false
        scaleUp.keepsPodOrder = true
        scaleUp.enforcesMinimum = false
        scaleUp.forcesDaemonSets = false
        scaleUp.maximumNodesPerDecision = 1_000
        health.upcomingNeedsRequest = true
        // A scenario has no Collector that could fall silent.
        health.stateTimeout = .minutes(1_000_000)
        health.groupTimeout = .minutes(1_000_000)
        scaleDown.interval = .zero
        scaleDown.smallestGroup = 0
        scaleDown.oneRemovalPerGroup = false
        scaleDown.balancesZones = false
        scaleDown.maximumParallelDrain = 1
        scaleDown.limitsCandidates = true
        scaleDown.unremovableRecheck = .minutes(5)
        health.replacesAtMinimum = false
    }
}
