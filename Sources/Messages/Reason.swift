/// Why something was done, refused or left alone. One list for events, logs, metrics, the ledger and the docs.
///
/// The raw value is the metric label and the Kubernetes event reason. Cluster-autoscaler's names are kept where the
/// meaning is the same, so that people who come from it find what they know.
public enum Reason: String, Sendable, Codable, CaseIterable {
    // Why a size changes
    /// Pods wait for room that no node has.
    case podsPending = "PodsPending"
    /// The group is below its minimum.
    case belowMinimum = "BelowMinimum"
    /// Spare capacity is kept.
    case headroom = "Headroom"
    /// A rule on stats or an alarm asked for it.
    case ruleFired = "RuleFired"
    /// Node is under its utilization threshold and its pods fit elsewhere.
    case nodeUnneeded = "NodeUnneeded"
    /// Node has been not ready for too long.
    case nodeUnready = "NodeUnready"
    /// Server or member is broken and is replaced or removed.
    case memberFailed = "MemberFailed"
    /// A machine never became a node in time.
    case nodeNeverRegistered = "NodeNeverRegistered"
    /// Several nodes are replaced by fewer or smaller ones.
    case consolidated = "Consolidated"
    /// A person asked for it.
    case requestedByOperator = "RequestedByOperator"
    /// An alarm or a person asked for it by the signal URL.
    case signalled = "Signalled"
    /// No rule is for an alarm that was heard of, or its state is unknown.
    case alarmUnknown = "AlarmUnknown"
    /// Somebody else scaled the group in.
    case externalScaleIn = "ExternalScaleIn"

    // Why a rule does not act
    /// Its condition does not hold.
    case ruleNotMet = "RuleNotMet"
    /// Its condition does not hold for long enough yet.
    case ruleNotLongEnough = "RuleNotLongEnough"
    /// It has asked for nodes not long ago.
    case ruleInCooldown = "RuleInCooldown"
    /// Within its stabilization window it wanted something more careful.
    case ruleStabilizing = "RuleStabilizing"
    /// Its schedule does not hold.
    case ruleOutOfSchedule = "RuleOutOfSchedule"
    /// Nothing is known of its alarm, or too few nodes were measured lately.
    case noMeasurement = "NoMeasurement"

    // Why a pod did not trigger, or a group cannot take it
    /// It fits on a node that is there or coming.
    case fitsExisting = "FitsExisting"
    /// Its priority is below the cut-off.
    case expendable = "Expendable"
    /// Younger than the configured delay.
    case tooYoung = "TooYoung"
    /// It waits on a nominated node for a preemption.
    case nominated = "Nominated"
    /// DaemonSet pods never trigger.
    case daemonSetPod = "DaemonSetPod"
    /// It is for a scheduler that is not served.
    case otherScheduler = "OtherScheduler"
    /// The node has not as much cpu free as the pod requests.
    case insufficientCPU = "InsufficientCPU"
    /// The node has not as much memory free as the pod requests.
    case insufficientMemory = "InsufficientMemory"
    /// The node has not as much ephemeral storage free as the pod requests.
    case insufficientEphemeralStorage = "InsufficientEphemeralStorage"
    /// The node has not as much of another resource free (a GPU, for example) as the pod requests.
    case insufficientResource = "InsufficientResource"
    /// The node runs as many pods as it may.
    case tooManyPods = "TooManyPods"
    /// The pod names another node.
    case nodeNameMismatch = "NodeNameMismatch"
    /// The node is cordoned.
    case nodeUnschedulable = "NodeUnschedulable"
    /// The node's labels are not what the pod's node selector or affinity asks for.
    case nodeAffinityMismatch = "NodeAffinityMismatch"
    /// The node has a taint that the pod does not tolerate.
    case taintNotTolerated = "TaintNotTolerated"
    /// No pod that the pod wants to be with is in the node's topology domain.
    case podAffinityMismatch = "PodAffinityMismatch"
    /// A pod that the pod has to keep away from, or that keeps away from it, is in the node's topology domain.
    case podAntiAffinityConflict = "PodAntiAffinityConflict"
    /// With the pod there, the pods would be spread over the topology domains more unevenly than allowed.
    case topologySpreadConflict = "TopologySpreadConflict"
    /// A host port of the pod is taken on the node.
    case hostPortConflict = "HostPortConflict"
    /// A volume of the pod cannot be used on the node: it is in another zone.
    case volumeZoneConflict = "VolumeZoneConflict"
    /// A volume claim of the pod does not exist.
    case claimMissing = "ClaimMissing"
    /// Another group serves the pod; this one was not needed.
    case otherGroupChosen = "OtherGroupChosen"

    // What bound a group
    /// The group is at its largest size (`groups[].max`).
    case maximumReached = "MaximumReached"
    /// The group is at its smallest size (`groups[].min`).
    case minimumReached = "MinimumReached"
    /// The cluster has as many nodes as it may have.
    case totalNodesReached = "TotalNodesReached"
    /// The cluster has as many cores as it may have.
    case totalCoresReached = "TotalCoresReached"
    /// The cluster has as much memory as it may have.
    case totalMemoryReached = "TotalMemoryReached"
    /// The cluster has as much of another resource (a GPU, for example) as it may have.
    case totalResourceReached = "TotalResourceReached"
    /// A quota of the OpenStack project is used up.
    case quotaReached = "QuotaReached"
    /// As many nodes as may come at once, or within a minute, are coming.
    case batchLimitReached = "BatchLimitReached"
    /// The group is left alone for a while after a failure.
    case groupBackedOff = "GroupBackedOff"
    /// Machines of the group came to replace nodes, which stayed: for a while it takes part in no replacement.
    case replacedInVain = "ReplacedInVain"
    /// Too many nodes of the group are not ready.
    case groupUnhealthy = "GroupUnhealthy"
    /// The group is paused after an incident, until a person has looked.
    case groupPaused = "GroupPaused"
    /// The group's stack is being changed.
    case groupBusy = "GroupBusy"
    /// No such group is configured, or none that can take the pod.
    case groupUnknown = "GroupUnknown"
    /// What a node of the group would be like is not known: it has no ready node, and its flavor is not known.
    case noTemplate = "NoTemplate"
    /// Too many nodes of the cluster are not ready: nothing is changed.
    case clusterUnhealthy = "ClusterUnhealthy"
    /// Nothing has been heard of the cluster or the group for too long.
    case stateStale = "StateStale"
    /// The group takes its share of the nodes beside groups like it.
    case balanced = "Balanced"
    /// More nodes of it would leave more pods without a place.
    case heldBack = "HeldBack"

    // Why a node stays
    /// The node is used more than the threshold.
    case notUnderutilized = "NotUnderutilized"
    /// The node has not been unneeded for long enough.
    case notUnneededLongEnough = "NotUnneededLongEnough"
    /// The node is not ready, and has not been so for long enough.
    case notUnreadyLongEnough = "NotUnreadyLongEnough"
    /// No nodes are removed at all (`decider.scale_down.enabled`).
    case scaleDownDisabled = "ScaleDownDisabled"
    /// An annotation on the node says that it stays.
    case scaleDownDisabledAnnotation = "ScaleDownDisabledAnnotation"
    /// Nodes that are not ready are kept (`decider.scale_down.unready_enabled`).
    case scaleDownUnreadyDisabled = "ScaleDownUnreadyDisabled"
    /// A node came, went or failed to go a short while ago: none goes now.
    case scaleDownInCooldown = "ScaleDownInCooldown"
    /// The node belongs to no configured group.
    case notAutoscaled = "NotAutoscaled"
    /// A pod of the node fits on no other.
    case noPlaceToMovePods = "NoPlaceToMovePods"
    /// A pod of the node may not be moved.
    case blockedByPod = "BlockedByPod"
    /// The node could not be removed a short while ago, and is not looked at again yet (`decider.scale_down.recheck_after`).
    case recentlyUnremovable = "RecentlyUnremovable"
    /// Enough other nodes were found that may go (`decider.scale_down.limit_candidates`).
    case candidateLimitReached = "CandidateLimitReached"
    /// The node is under removal.
    case currentlyBeingDeleted = "CurrentlyBeingDeleted"
    /// As many nodes as may go at once are going.
    case deletionBudgetReached = "DeletionBudgetReached"
    /// Without the node the cluster would be smaller than it has to be.
    case minimalResourceLimitExceeded = "MinimalResourceLimitExceeded"
    /// All nodes of the group go, or none, and not all can.
    case atomicScaleDownFailed = "AtomicScaleDownFailed"
    /// The node waits for a pod that runs to its end.
    case waitingForCompletion = "BlockedByOnCompletionPod"
    /// The node is not known well enough to judge it.
    case noNodeInfo = "NoNodeInfo"
    /// Another zone would be left with too few nodes.
    case zoneBalance = "ZoneBalance"
    /// An annotation on the node or one of its pods asks that it is not disturbed.
    case doNotDisrupt = "DoNotDisrupt"
    /// A rule forbids removals while its condition holds.
    case ruleHolds = "RuleHolds"

    // Which rule let a pod block its node
    /// The pod has no controller that is there and would make it anew.
    case controllerNotFound = "ControllerNotFound"
    /// Its controller has fewer replicas than a removal asks for.
    case minReplicasReached = "MinReplicasReached"
    /// The pod has no controller: nobody would make it anew.
    case notReplicated = "NotReplicated"
    /// The pod has a local volume, whose data would be lost.
    case localStorageRequested = "LocalStorageRequested"
    /// An annotation on the pod says that it may not be evicted.
    case notSafeToEvict = "NotSafeToEvictAnnotation"
    /// A pod of `kube-system` without a PodDisruptionBudget.
    case unmovableKubeSystemPod = "UnmovableKubeSystemPod"
    /// A PodDisruptionBudget allows no more disruptions.
    case notEnoughBudget = "NotEnoughPdb"

    // Why an act was refused, failed or stopped
    /// What the decision saw is no longer so.
    case decisionStale = "DecisionStale"
    /// The deadline passed before the act.
    case decisionExpired = "DecisionExpired"
    /// Done before: the same decision id.
    case alreadyApplied = "AlreadyApplied"
    /// Dry run: everything but the last call.
    case dryRun = "DryRun"
    /// Which member of the Heat group the node is cannot be told.
    case memberUnresolved = "MemberUnresolved"
    /// The Node object does not exist (any more).
    case nodeGone = "NodeGone"
    /// Heat does not answer, or with an error of its own.
    case heatUnreachable = "HeatUnreachable"
    /// Heat does not accept the request.
    case heatRefused = "HeatRefused"
    /// Heat is busy with another change of the stack.
    case heatConflict = "HeatConflict"
    /// The change of the stack ended with an error.
    case heatUpdateFailed = "HeatUpdateFailed"
    /// The stack, or the group in it, does not exist.
    case stackNotFound = "StackNotFound"
    /// The stack was being changed the whole time.
    case stackInProgress = "StackInProgress"
    /// A service does not accept our login, or it may not do this.
    case credentialRefused = "CredentialRefused"
    /// The Kubernetes API does not answer, or with an error of its own.
    case kubernetesUnreachable = "KubernetesUnreachable"
    /// Somebody else changed the object at the same moment, at each try until the deadline.
    case kubernetesConflict = "KubernetesConflict"
    /// The Kubernetes API does not accept the request.
    case kubernetesRefused = "KubernetesRefused"
    /// A PodDisruptionBudget forbids an eviction just now, or other pods of its StatefulSet are not ready.
    case evictionBlocked = "EvictionBlocked"
    /// The pods were not gone when the time of the drain was over.
    case drainTimedOut = "DrainTimedOut"
    /// Pods were deleted without asking their budgets, because the drain's deadline had passed and policy says so.
    case drainForced = "DrainForced"
    /// Annotations of a drained node ask that its machine is not deleted yet.
    case deletionDelayed = "DeletionDelayed"
    /// Volumes of pods that are gone are still attached to the node.
    case volumesAttached = "VolumesAttached"
    /// A workload got one replica more before its only pod was evicted.
    case surged = "Surged"
    /// Nova knows no such server (any more); Heat does not notice.
    case serverGone = "ServerGone"
    /// Nova says that the server is in ERROR; Heat does not notice.
    case serverFailed = "ServerFailed"
    /// The annotation of a removal cannot be read.
    case recordUnreadable = "RecordUnreadable"
    /// Something of a removal was left behind that no removal claims.
    case leftover = "Leftover"
    /// Heat made a new machine in place of the one to be removed.
    case memberReplaced = "MemberReplaced"
    /// A change of the stack does not move on: its engine died.
    case stackStuck = "StackStuck"
    /// A Node's provider id is missing or no server of any group.
    case providerUnknown = "ProviderUnknown"
    /// Heat removed another member than the chosen one: an incident, the group is paused.
    case wrongMemberRemoved = "WrongMemberRemoved"
    /// The group has another size than was asked for, or than its parameter says.
    case sizeMismatch = "SizeMismatch"
    /// A machine did not become a ready node in time.
    case provisionTimedOut = "ProvisionTimedOut"
    /// The node is needed again: its removal is taken back.
    case loadReturned = "LoadReturned"
    /// Somebody cancelled it, or took its record away.
    case cancelledByOperator = "CancelledByOperator"
    /// A pod refused the removal of its node, and may.
    case podRefused = "PodRefused"
    /// A later decision took its place.
    case superseded = "Superseded"
    /// Somebody else had a machine deleted; it is held past the time that was meant for it.
    case deletionHeld = "DeletionHeld"
    /// A pod was not told: it came to a node under removal when the others had been, or less than its cooldown was left.
    /// Without a notice of its own it is not moved.
    case podNotTold = "PodNotTold"
    /// A machine went, by somebody else's act, before all of its pods were told and gone.
    case podsLost = "PodsLost"

    /// Nothing is to be told to a pod: its node stays.
    case notUnderRemoval = "NotUnderRemoval"

    // Pod scalers
    /// A stat is above what a scaler's thresholds allow.
    case statAbove = "StatAboveThreshold"
    /// Every stat is below what a scaler's thresholds ask for.
    case statBelow = "StatBelowThreshold"
    /// The replicas are what the thresholds ask for.
    case scalerSatisfied = "ScalerSatisfied"
    /// A scaler cannot be used as it is written.
    case scalerInvalid = "ScalerInvalid"
    /// A scaler is switched off.
    case scalerDisabled = "ScalerDisabled"
    /// A scaler's direction is paused.
    case scalerPaused = "ScalerPaused"
    /// Two scalers name one workload.
    case scalerConflict = "ScalerConflict"
    /// A HorizontalPodAutoscaler scales the workload.
    case autoscalerOwnsTarget = "AutoscalerOwnsTarget"
    /// There is no such workload.
    case targetNotFound = "TargetNotFound"
    /// The kind of the workload has no `scale` subresource, or one that cannot be used.
    case targetNotScalable = "TargetNotScalable"
    /// Somebody set the replicas to zero: that is respected.
    case targetIsZero = "TargetIsZero"
    /// A new version is being rolled out: nothing is taken away meanwhile.
    case rolloutInProgress = "RolloutInProgress"
    /// No value of the stat is known, or it is no number.
    case statUnknown = "StatUnknown"
    /// The values of the stat are too old.
    case statStale = "StatStale"
    /// No stat can be had, so the replicas are those that the scaler names for that.
    case fallbackReplicas = "FallbackReplicas"
    /// A recommendation of a moment ago was more cautious.
    case scalingStabilized = "ScalingStabilized"
    /// A policy allows no larger change within its period.
    case scalingPolicyLimited = "ScalingPolicyLimited"
    /// Replicas that are about to exist need room.
    case replicasComing = "ReplicasComing"

    // Cooldown
    /// Every pod said that it is ready to go: the cooldown ends early.
    case allPodsAnswered = "AllPodsAnswered"
    /// The time of the pods is over.
    case cooldownExpired = "CooldownExpired"
    /// No pod on the node has to move.
    case nothingToTell = "NothingToTell"
}

extension Reason {
    /// Whether a removal for this reason is of a machine that is no good: where its group cannot spare a member, Heat
    /// replaces the machine instead (marked unhealthy, and the same size sent again).
    public var isOfBrokenMachine: Bool {
        switch self {
        case .nodeUnready, .memberFailed, .nodeNeverRegistered, .serverGone, .serverFailed: true
        default: false
        }
    }
}

/// A reason with its values: what bound, how much, where the limit was set.
public struct Explanation: Sendable, Hashable, Codable {
    /// The reason.
    public var reason: Reason
    /// Values for a person, e.g. `needs 2000m cpu, 350m free`, `max 10 (groups[0].max)`.
    public var detail: String

    /// From its parts.
    public init(_ reason: Reason, _ detail: String = "") {
        self.reason = reason
        self.detail = detail
    }
}
