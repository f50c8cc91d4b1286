import Messages
import Settings
import Support

extension ActuatorPolicy {
    /// The policy that the configuration says.
    init(_ settings: Settings) {
        self.init(
            cluster: settings.cluster,
            groups: settings.groups.enumerated().map { index, group in
                var policy = Group(
                    id: group.id, stack: group.stack, min: group.min, max: group.max, origin: "groups[\(index)]")
                policy.provisionTimeout = group.provisionTimeout
                if group.template.isApplied {
                    policy.labels = group.template.labels
                    policy.taints = group.template.taints
                }
                return policy
            })
        let actuator = settings.actuator
        resync = actuator.resync
        pollInterval = min(actuator.heat.pollInterval, actuator.resync)
        pods = settings.notifier.pods
        maximumCooldown = settings.notifier.longestCooldown
        drainTimeout = actuator.drain.timeout
        maximumGrace = actuator.drain.maximumGrace
        evictionRetry = actuator.drain.evictionRetry
        drainPoll = actuator.drain.pollInterval
        evictionsAtOnce = actuator.drain.parallel
        evictsDaemonSets = actuator.drain.daemonSets == .last
        volumeDetachTimeout = actuator.drain.volumeDetachTimeout
        volumesMustDetach = actuator.drain.volumesLeft == .fail
        forceTimeout = actuator.drain.force == .afterDeadline ? actuator.drain.forceTimeout : nil
        forceGrace = actuator.drain.forceGrace
        surgeTimeout = actuator.drain.surge ? actuator.drain.surgeTimeout : nil
        loadBalancerWait = actuator.loadBalancerWait
        heatTimeout = actuator.heat.timeout
        deletionDelay = actuator.deletionDelay
        holdMargin = actuator.external.margin
        releaseAtLimit = actuator.external.releaseAtLimit
        unheldNotice = actuator.external.unheldNotice
    }
}
