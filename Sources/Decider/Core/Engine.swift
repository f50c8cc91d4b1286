import Messages
import Support

/// The decision engine of one cluster: what is known, what is under way, and what follows from it.
///
/// A value without clock, randomness or I/O: equal inputs give equal decisions.
public struct Engine: Sendable {
    /// The rules.
    public internal(set) var configuration: DeciderConfiguration
    /// Part of every decision's id, different each time a Decider takes over, so that ids are never used twice.
    public let term: String
    var model: ClusterModel
    var groups: [GroupRuntime]
    var memory: EngineMemory
    /// What the last checkpoint holds of it; nil: that is not known, so it has to be saved.
    var savedMemory: EngineMemory?
    /// Whether alarms or requests said anything that is not in a checkpoint.
    var hasUnsavedSignals = false
    private(set) var groupNumbers: [String: Int]
    /// Group of each node slot, -1 for none.
    var groupOfSlot: [Int32] = []
    private var assignedRevision = -1
    private var groupsRevision = 0
    private(set) var assignedGroupsRevision = -1
    /// Groups of servers that are members.
    var members: [String: Int32] = [:]
    /// Members that count and have no Node, by group.
    var absentMembers: [[GroupState.Member]] = []
    /// A Node that does not say which server of OpenStack it is: any member may be it.
    var nodeOfUnknownMachine: String?
    var templates: [NodeTemplate?] = []
    private(set) var templatesKey = (-1, -1)
    /// By group the first of those that are alike but for their zone, and the templates that this was found out of.
    var zoneSets: (key: (Int, Int), sets: [Int]) = ((-1, -1), [])
    /// When the next young node will have worked long enough to be a model.
    var templatesValidUntil: Timestamp?
    /// Young nodes that lack a GPU which their group's nodes have: it comes when its driver is set up.
    var unequipped: [UnequippedNode] = []
    /// Measured load per node: the larger part of cpu and memory.
    var measured: [String: (value: Double, at: Timestamp)] = [:]
    /// Classes of the headroom's pods, by rule.
    var headroomClasses: [Int: (revision: Int, requests: ResourceList, number: Int)] = [:]
    /// Nodes that an increase was short of when its time ran out, in this evaluation.
    var timedOut: [Int: Int] = [:]
    /// Nodes that are coming, of all groups, in this evaluation.
    var coming = 0
    var ledger = Ledger()
    var simulation = ScaleDownSimulation()
    /// The shortest time between two simulations of removals.
    var shortestPause: Interval?
    /// Nodes that were found unremovable and are not looked at before then, by their key.
    var unremovableUntil: [String: Timestamp] = [:]
    var census = Census()
    /// Nodes whose removal was given up, and when: the Actuator's word may come before the Collector has seen the marks go.
    var givenBack: [String: Timestamp] = [:]
    /// Groups that no ready node goes from, and the rule that says so.
    var removalHolds: [Int: Explanation] = [:]
    /// Measured load, as far as a rule is on it.
    var measurements: RuleMeasurements
    /// When this process first looked at its rules: nothing was measured before.
    var judgedSince: Timestamp?
    /// What became of requests from outside, for the next record.
    var signalOutcomes: [Evaluation.SignalEntry] = []
    /// Nodes that could be replaced by others, and what the ledger says of them.
    var replaceable: (slots: [Int], reason: Explanation)?
    /// Nodes of which the ledger has been told that they are replaced.
    var toldReplaced: Set<Int> = []
    /// Nodes that the ledger has been told of, by slot.
    var ledgerSlots: [String: Int] = [:]
    var departuresRevision = -1
    /// Pod scalers between two evaluations.
    var podScaling = PodScalingState()

    /// An engine that knows nothing of its cluster yet.
    public init(_ configuration: DeciderConfiguration, term: String) {
        self.configuration = configuration
        self.term = term
        model = ClusterModel(
            cluster: configuration.cluster, expendableCutoff: configuration.scaleUp.expendablePriorityCutoff,
            nodeRules: configuration.nodeRules)
        groups = configuration.groups.map(GroupRuntime.init)
        groupNumbers = Dictionary(
            configuration.groups.enumerated().map { ($0.element.id, $0.offset) },
            uniquingKeysWith: { first, _ in first })
        memory = EngineMemory(cluster: configuration.cluster)
        measurements = RuleMeasurements(configuration.rules)
        savedMemory = memoryToSave
    }

    /// Whether a whole snapshot has been taken in.
    public var isReady: Bool { model.isComplete }

    /// Nodes, pods and pods without a node, for metrics.
    public var counts: (nodes: Int, pods: Int, pending: Int) {
        (model.nodeSlots.count, model.podCount, model.unplaced.count)
    }

    // MARK: What the groups are

    mutating func noteGroupsChanged() { groupsRevision += 1 }

    /// A group more, while running: for scenarios.
    mutating func add(_ rules: GroupRules) {
        groupNumbers[rules.id] = groups.count
        groups.append(GroupRuntime(rules: rules))
        configuration.groups.append(rules)
        noteGroupsChanged()
    }

    /// Other rules for a group, while running: for scenarios.
    mutating func change(_ rules: GroupRules) {
        guard let number = groupNumbers[rules.id], groups[number].rules != rules else { return }
        groups[number].rules = rules
        configuration.groups[number] = rules
        noteGroupsChanged()
    }

    /// What was decided is taken as done, for scenarios: sizes are said anew before the next evaluation.
    mutating func forgetActs() {
        for number in groups.indices {
            groups[number].memory.scale = nil
            groups[number].memory.removal = nil
        }
    }

    /// Finds the group of every node by its server, and a template for every group, when something changed.
    mutating func assign(at now: Timestamp) {
        if assignedRevision != model.nodesRevision || assignedGroupsRevision != groupsRevision {
            members = [:]
            for (number, group) in groups.enumerated() {
                for member in group.state?.members ?? [] {
                    if let server = member.serverID { members[server] = Int32(number) }
                }
            }
            groupOfSlot = model.nodes.map { record in
                record?.serverID.flatMap { members[$0] } ?? -1
            }
            let servers = Set(model.nodes.compactMap { $0?.serverID })
            absentMembers = groups.map { group in
                (group.state?.members ?? []).filter { member in
                    !member.isFailed && !member.isLeaving && !(member.serverID.map(servers.contains) ?? false)
                }
            }
            nodeOfUnknownMachine = model.nodes.compactMap { record in
                record.flatMap { $0.node.mayBeAnyServer && !$0.node.isControlPlane ? $0.node.name : nil }
            }.min()
            assignedRevision = model.nodesRevision
            assignedGroupsRevision = groupsRevision
        }
        if templatesKey != (model.templatesRevision, groupsRevision) || templatesValidUntil.map({ now >= $0 }) ?? false
        {
            makeTemplates(at: now)
            // Looking for DaemonSets may have made classes, which changes nothing that a template depends on.
            templatesKey = (model.templatesRevision, groupsRevision)
        }
    }

    /// A fixed name for a node in timers: its UID, or its name.
    func key(_ slot: Int) -> String {
        guard let node = model.nodes[slot]?.node else { return "" }
        return node.uid.isEmpty ? node.name : node.uid
    }
}
