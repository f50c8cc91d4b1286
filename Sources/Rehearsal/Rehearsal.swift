import Support

/// One run of one seed.
public struct Rehearsal: Sendable {
    /// What came of a run.
    public struct Outcome: Sendable {
        /// The seed.
        public var seed: UInt64
        /// What its story is about.
        public var kind: ScenarioKind
        /// The invariant that did not hold, if any.
        public var violation: Violation?
        /// What happened, a line each; empty unless asked for.
        public var story: [String]
        /// How long the story was, in simulated time.
        public var simulated: Interval
        /// Entries of the agenda that were worked off.
        public var steps: Int
        /// Actions of Actuator and Notifier.
        public var actions: Int
        /// How often a fault struck.
        public var faults: Int
        /// Pods evicted.
        public var evictions: Int
        /// Of them those of pods that had been told.
        public var toldEvictions: Int
        /// Changes of the size that Heat was told and that were none the time before.
        public var resizes: Int
        /// Members that were marked unhealthy by us and were not before.
        public var marks: Int
        /// Marks that were taken back.
        public var unmarks: Int
        /// Hooks that were cleared and had held something.
        public var hooks: Int
        /// How it ended: nodes, members, pods; the same text for ends that are the same.
        public var end: String
    }

    let scenario: Scenario
    /// What the run is for.
    public var options = RehearsalOptions()

    /// The story of a seed.
    public init(seed: UInt64) {
        scenario = Scenario(seed: seed)
    }

    init(_ scenario: Scenario) {
        self.scenario = scenario
    }

    /// Plays it to its end, or to the first violation.
    public func run() -> Outcome {
        let world = World(scenario, options)
        world.run()
        return Outcome(
            seed: scenario.seed, kind: scenario.kind, violation: world.violation, story: world.story.lines,
            simulated: world.now - World.start, steps: world.steps, actions: world.actionsTaken,
            faults: world.strikes.reduce(0, +), evictions: world.audit.evictions,
            toldEvictions: world.audit.toldEvictions, resizes: world.audit.resizes, marks: world.audit.marks,
            unmarks: world.audit.unmarks, hooks: world.audit.hooks, end: world.endText)
    }
}

extension World {
    var endText: String {
        let nodes = cluster.nodes.map { "\($0.name) \($0.record?.phase.rawValue ?? "-")" }.sorted()
        let members = heat.members.map { "\($0.name) \($0.status)" }.sorted()
        let desired = heat.desired.map { "\($0)" }.joined(separator: " and ")
        let pods = cluster.workloads.map { workload in
            "\(workload.plan.name) \(cluster.pods.count { cluster.workloads[$0.workload].uid == workload.uid && $0.isReady })"
        }
        return "nodes \(nodes); members \(members), desired \(desired); pods \(pods)"
    }
}

extension Scenario {
    /// For the head of a story.
    var text: String {
        let workloads = workloads.map { "\($0.name) \($0.replicas) x \($0.cpu)m \($0.kind) \($0.temper)" }
        let faults = Fault.allCases.filter { rates[$0] > 0 }.map { "\($0) \(rates[$0])" }
        return "seed \(seed), \(kind.rawValue): \(nodes) nodes of \(nodeCPU)m, \(minimum) to \(maximum); "
            + "\(workloads.joined(separator: ", ")); faults until \(faultsEnd): \(faults.joined(separator: ", "))"
    }
}
