import Actuator
import Collector
import Decider
import Messages
import Notifier
import Support

/// What a seed is about.
public enum ScenarioKind: String, Sendable, CaseIterable {
    /// Load comes, nodes follow.
    case growth
    /// Load goes, nodes follow.
    case idle
    /// Load returns while nodes leave.
    case cancel
    /// Pods answer their notices in all ways, or not at all.
    case hooks
    /// Disruption budgets stand in the way.
    case budgets
    /// Heat fails in all ways.
    case heat
    /// Machines fail, and Kubernetes answers badly.
    case nodes
    /// The broker fails.
    case broker
    /// Processes die.
    case crashes
    /// All of it.
    case everything
    /// Two replicas each of Actuator and Notifier, which die, freeze and are cut off.
    case replicas
    /// Two groups in one stack.
    case groups
}

/// How the pods of a workload take a notice.
enum Temper: Sendable, Equatable {
    /// They have no hook.
    case deaf
    /// The hook never answers.
    case silent
    /// The hook answers 500.
    case broken
    /// The hook answers 500 so often, then done.
    case flaky(Int)
    /// The hook answers *done*.
    case done
    /// The hook asks for so many seconds more, and some of them later the pod says *done* on the bus.
    case extend(Int)
    /// The hook refuses.
    case refuse
    /// *Done* on the bus after so many seconds.
    case doneOnBus(Int)
    /// *Done* written to the pod's own annotation after so many seconds.
    case doneByAnnotation(Int)
    /// Refuses on the bus.
    case refuseOnBus

    var hasHook: Bool {
        switch self {
        case .silent, .broken, .flaky, .done, .extend, .refuse: true
        case .deaf, .doneOnBus, .doneByAnnotation, .refuseOnBus: false
        }
    }
}

/// A workload of a story.
struct WorkloadPlan: Sendable {
    var name: String
    var kind = "ReplicaSet"
    var replicas: Int
    /// Thousandths of a core that each pod asks for.
    var cpu: Int
    var temper = Temper.deaf
    var hasGate = false
    /// Seconds; and how long it really takes to stop.
    var grace = 5
    var stopTakes = Interval.seconds(1)
    var startTakes = Interval.seconds(1)
    /// A budget: so many must stay.
    var minAvailable: Int?
    /// A second budget on the same pods, so that an eviction is answered with 500.
    var hasTwoBudgets = false
}

/// What people do while the story runs.
enum ScriptStep: Sendable {
    /// A workload gets so many replicas.
    case replicas(workload: Int, Int)
    /// Somebody sets the size of the group to what it is, plus this.
    case operatorResizes(by: Int)
    /// A scaling policy of a group is signalled.
    case signal(by: Int)
    /// Somebody deletes a server in Nova.
    case serverDeleted
    /// Somebody takes a removal back.
    case operatorCancels
    /// The same removal is asked for again by somebody who copies messages.
    case repeatedDecisions
}

/// A story before it happens: all that its seed decides.
struct Scenario: Sendable {
    var seed: UInt64
    var kind: ScenarioKind
    var nodes = 3
    var nodeCPU = 2_000
    var nodePods = 10
    var minimum = 1
    var maximum = 5
    var rates = Rates()
    /// No fault strikes after this.
    var faultsEnd = Interval.seconds(240)
    /// How long after the faults all must be well.
    var patience = Interval.seconds(1_500)
    var workloads: [WorkloadPlan] = []
    var script: [(at: Interval, step: ScriptStep)] = []
    /// Machines leave only when the hook of their server was cleared.
    var hasDeleteHook = false
    /// Until then Heat refuses every lower size.
    var refusesShrinkUntil = Interval.zero
    /// Whether the scheduler spreads pods; else it fills nodes.
    var spreads = true
    /// Milliseconds that a new machine takes in Heat, and then to register.
    var createTakes = 4_000...15_000
    var bootTakes = 3_000...12_000
    var deleteTakes = 1_000...5_000
    /// Replicas of Collector and Decider, which share their work.
    var replicas = 2
    /// Replicas of Actuator and Notifier, of which one acts at a time.
    var actors = 1
    /// Node groups.
    var groups = 1
    var mayRefuse = false
    /// What the Actuator does when a drain takes too long, and before an only pod is evicted.
    var forceTimeout: Interval?
    var surgeTimeout: Interval?
    var loadBalancerWait = Interval.zero
    var crashes = 6

    static let cluster = "rehearsal"
    /// Ids of the groups, in the order of their numbers. They are of one stack, which takes one change at a time.
    static let groups = ["workers", "others"]

    static func number(of group: String) -> Int { groups.firstIndex(of: group) ?? 0 }

    var actuator: ActuatorPolicy {
        var policy = ActuatorPolicy(
            cluster: Scenario.cluster,
            groups: Scenario.groups.prefix(groups).enumerated().map { number, id in
                .init(id: id, stack: "k8s", min: minimum, max: maximum, origin: "groups[\(number)]")
            })
        policy.resync = .seconds(15)
        policy.pods = pods
        policy.maximumCooldown = .seconds(60)
        policy.cooldownMargin = .seconds(30)
        policy.drainTimeout = .seconds(90)
        policy.maximumGrace = .seconds(60)
        policy.heatTimeout = .seconds(240)
        policy.retention = .seconds(150)
        policy.youngNode = .seconds(120)
        policy.flagTimeout = .seconds(60)
        policy.repairAfter = .seconds(30)
        policy.repairInterval = .seconds(120)
        policy.askNovaAfter = .seconds(30)
        for index in policy.groups.indices { policy.groups[index].provisionTimeout = .seconds(100) }
        policy.volumeDetachTimeout = .seconds(20)
        policy.forceTimeout = forceTimeout
        policy.surgeTimeout = surgeTimeout
        policy.loadBalancerWait = loadBalancerWait
        policy.evictsDaemonSets = evictsDaemonSets
        return policy
    }

    private var pods: PodPolicy {
        PodPolicy(terms: PodTerms(cooldown: .seconds(10), maximumCooldown: .seconds(60), mayRefuse: mayRefuse))
    }

    var notifier: NotifierPolicy {
        var policy = NotifierPolicy(cluster: Scenario.cluster)
        policy.pods = pods
        policy.resync = .seconds(15)
        policy.tellsDaemonSets = evictsDaemonSets
        return policy
    }

    /// Pods of DaemonSets go last in half of the scenarios.
    private var evictsDaemonSets: Bool { nodes.isMultiple(of: 2) }

    var decider: DeciderConfiguration {
        var configuration = DeciderConfiguration(
            cluster: Scenario.cluster,
            groups: Scenario.groups.prefix(groups).enumerated().map { number, id in
                GroupRules(
                    id: id, min: minimum, max: maximum,
                    template: .init(
                        allocatable: ResourceList(
                            cpuMillis: Int64(nodeCPU), memoryBytes: 8 << 30, ephemeralStorageBytes: 50 << 30,
                            pods: Int64(nodePods))), origin: "groups[\(number)]")
            })
        configuration.scaleUp.initialBackoff = .seconds(40)
        configuration.scaleUp.maximumBackoff = .seconds(120)
        configuration.scaleUp.decisionLifetime = .seconds(60)
        configuration.scaleDown.unneededTime = .seconds(20)
        configuration.scaleDown.unreadyTime = .seconds(40)
        configuration.scaleDown.delayAfterAdd = .seconds(20)
        configuration.scaleDown.delayAfterFailure = .seconds(30)
        configuration.scaleDown.decisionLifetime = .seconds(60)
        configuration.scaleDown.evictedMemory = .seconds(30)
        configuration.health.provisionTimeout = .seconds(100)
        configuration.health.startupTimeout = .seconds(60)
        configuration.health.stateTimeout = .seconds(30)
        configuration.health.groupTimeout = .seconds(60)
        return configuration
    }

    func collector(_ replica: String) -> CollectorCore.Options {
        CollectorCore.Options(cluster: Scenario.cluster, replica: replica, snapshotInterval: .seconds(120))
    }
}
