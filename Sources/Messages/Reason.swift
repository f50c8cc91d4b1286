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
    case insufficientCPU = "InsufficientCPU"
    case insufficientMemory = "InsufficientMemory"
    case insufficientEphemeralStorage = "InsufficientEphemeralStorage"
    case insufficientResource = "InsufficientResource"
    case tooManyPods = "TooManyPods"
    case nodeNameMismatch = "NodeNameMismatch"
    case nodeUnschedulable = "NodeUnschedulable"
    case nodeAffinityMismatch = "NodeAffinityMismatch"
    case taintNotTolerated = "TaintNotTolerated"
    case podAffinityMismatch = "PodAffinityMismatch"
    case podAntiAffinityConflict = "PodAntiAffinityConflict"
    case topologySpreadConflict = "TopologySpreadConflict"
    case hostPortConflict = "HostPortConflict"
    case volumeZoneConflict = "VolumeZoneConflict"
    case claimMissing = "ClaimMissing"
    /// Another group serves the pod; this one was not needed.
    case otherGroupChosen = "OtherGroupChosen"

    // What bound a group
    case maximumReached = "MaximumReached"
    case minimumReached = "MinimumReached"
    case totalNodesReached = "TotalNodesReached"
    case totalCoresReached = "TotalCoresReached"
    case totalMemoryReached = "TotalMemoryReached"
    case totalResourceReached = "TotalResourceReached"
    case quotaReached = "QuotaReached"
    case batchLimitReached = "BatchLimitReached"
    case groupBackedOff = "GroupBackedOff"
    case groupUnhealthy = "GroupUnhealthy"
    case groupPaused = "GroupPaused"
    case groupBusy = "GroupBusy"
    case groupUnknown = "GroupUnknown"
    case noTemplate = "NoTemplate"
    case clusterUnhealthy = "ClusterUnhealthy"
    case stateStale = "StateStale"
    case balanced = "Balanced"
    /// More nodes of it would leave more pods without a place.
    case heldBack = "HeldBack"

    // Why a node stays
    case notUnderutilized = "NotUnderutilized"
    case notUnneededLongEnough = "NotUnneededLongEnough"
    case notUnreadyLongEnough = "NotUnreadyLongEnough"
    case scaleDownDisabled = "ScaleDownDisabled"
    case scaleDownDisabledAnnotation = "ScaleDownDisabledAnnotation"
    case scaleDownUnreadyDisabled = "ScaleDownUnreadyDisabled"
    case scaleDownInCooldown = "ScaleDownInCooldown"
    case notAutoscaled = "NotAutoscaled"
    case noPlaceToMovePods = "NoPlaceToMovePods"
    case blockedByPod = "BlockedByPod"
    case recentlyUnremovable = "RecentlyUnremovable"
    case currentlyBeingDeleted = "CurrentlyBeingDeleted"
    case deletionBudgetReached = "DeletionBudgetReached"
    case groupDeletionLimitReached = "NodeGroupMaxDeletionCountReached"
    case minimalResourceLimitExceeded = "MinimalResourceLimitExceeded"
    case atomicScaleDownFailed = "AtomicScaleDownFailed"
    case waitingForCompletion = "BlockedByOnCompletionPod"
    case noNodeInfo = "NoNodeInfo"
    case zoneBalance = "ZoneBalance"
    case doNotDisrupt = "DoNotDisrupt"
    /// A rule forbids removals while its condition holds.
    case ruleHolds = "RuleHolds"

    // Which rule let a pod block its node
    case controllerNotFound = "ControllerNotFound"
    case minReplicasReached = "MinReplicasReached"
    case notReplicated = "NotReplicated"
    case localStorageRequested = "LocalStorageRequested"
    case notSafeToEvict = "NotSafeToEvictAnnotation"
    case unmovableKubeSystemPod = "UnmovableKubeSystemPod"
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
    case memberUnresolved = "MemberUnresolved"
    case nodeGone = "NodeGone"
    case nodeNotReadyForRemoval = "NodeNotReadyForRemoval"
    case heatUnreachable = "HeatUnreachable"
    case heatRefused = "HeatRefused"
    case heatConflict = "HeatConflict"
    case heatUpdateFailed = "HeatUpdateFailed"
    case stackNotFound = "StackNotFound"
    case stackInProgress = "StackInProgress"
    case credentialRefused = "CredentialRefused"
    case kubernetesUnreachable = "KubernetesUnreachable"
    case kubernetesRefused = "KubernetesRefused"
    case evictionBlocked = "EvictionBlocked"
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
    case wrongMemberRemoved = "WrongMemberRemoved"
    case sizeMismatch = "SizeMismatch"
    case provisionTimedOut = "ProvisionTimedOut"
    case loadReturned = "LoadReturned"
    case cancelledByOperator = "CancelledByOperator"
    case podRefused = "PodRefused"
    case superseded = "Superseded"
    /// Somebody else had a machine deleted; it is held past the time that was meant for it.
    case deletionHeld = "DeletionHeld"
    /// A pod came to a node under removal when the others had been told; it has a notice of its own to wait for.
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
    case allPodsAnswered = "AllPodsAnswered"
    case cooldownExpired = "CooldownExpired"
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
