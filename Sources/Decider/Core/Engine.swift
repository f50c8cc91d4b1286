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
    private(set) var groupNumbers: [String: Int]
    /// Group of each node slot, -1 for none.
    var groupOfSlot: [Int32] = []
    private var assignedRevision = -1
    private var groupsRevision = 0
    private(set) var assignedGroupsRevision = -1
    /// Groups of servers that are members.
    var members: [String: Int32] = [:]
    /// Servers of members that were nodes once: they have their time anew when their Node goes.
    private(set) var formerNodes: Set<String> = []
    /// Members that count and have no Node, by group.
    var absentMembers: [[GroupState.Member]] = []
    /// A Node that does not say which server of OpenStack it is: any member may be it.
    var nodeOfUnknownMachine: String?
    var templates: [NodeTemplate?] = []
    private var templatesKey = (-1, -1)
    /// Measured load per node: the larger part of cpu and memory.
    var measured: [String: (value: Double, at: Timestamp)] = [:]
    /// Classes of the headroom's pods, by rule.
    var headroomClasses: [String: (revision: Int, number: Int)] = [:]
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
    mutating func assign() {
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
            formerNodes = formerNodes.union(servers).filter { members[$0] != nil }
            assignedRevision = model.nodesRevision
            assignedGroupsRevision = groupsRevision
        }
        if templatesKey != (model.templatesRevision, groupsRevision) {
            makeTemplates()
            // Looking for DaemonSets may have made classes, which changes nothing that a template depends on.
            templatesKey = (model.templatesRevision, groupsRevision)
        }
    }

    private mutating func makeTemplates() {
        var newest: [Int: Int] = [:]
        var others: [Int: Int] = [:]
        for slot in model.order {
            let index = Int(slot)
            let number = Int(groupOfSlot[index])
            let brief = model.briefs[index]
            guard number >= 0 else { continue }
            if others[number] == nil { others[number] = index }
            guard brief.isReady, !brief.isLeaving, model.world.isOpen[index] else { continue }
            if model.catalog.nodeClasses[Int(model.world.nodeClass[index])].unschedulable { continue }
            if let best = newest[number], model.briefs[best].createdAt >= brief.createdAt { continue }
            newest[number] = index
        }
        templates = groups.indices.map { number in
            template(of: number, model: newest[number], other: others[number])
        }
    }

    /// From a running node; else from the configuration and the flavor; else from the last node that ran; else from one that
    /// does not work.
    private mutating func template(of number: Int, model slot: Int?, other: Int?) -> NodeTemplate? {
        let force = configuration.scaleUp.forcesDaemonSets
        if let slot, let node = model.nodes[slot]?.node {
            groups[number].lastModel = node
            return model.template(from: slot, forceDaemonSets: force)
        }
        let rules = groups[number].rules
        if let flavor = groups[number].state?.flavor {
            let (allocatable, capacity) = ClusterModel.allocatable(
                of: flavor, reserved: rules.template?.reserved ?? ResourceList())
            return model.template(
                labels: rules.template?.labels ?? [:], taints: rules.template?.taints ?? [],
                allocatable: overlaid(allocatable, rules.template?.allocatable),
                capacity: rules.template?.capacity ?? capacity, origin: "flavor \(flavor.name)")
        }
        if let template = rules.template, let allocatable = template.allocatable {
            return model.template(
                labels: template.labels, taints: template.taints, allocatable: allocatable,
                capacity: template.capacity ?? allocatable, origin: "\(rules.origin).template")
        }
        guard let node = groups[number].lastModel ?? other.flatMap({ model.nodes[$0]?.node }) else { return nil }
        return model.template(
            labels: node.labels, taints: ClusterModel.templateTaints(of: node, model.nodeRules),
            allocatable: node.allocatable,
            capacity: node.capacity,
            origin: "\(groups[number].lastModel == nil ? "a node that does not work" : "the last node"), \(node.name)")
    }

    /// What the configuration says goes before what the flavor says.
    private func overlaid(_ base: ResourceList, _ over: ResourceList?) -> ResourceList {
        guard let over else { return base }
        var result = base
        if over.cpuMillis > 0 { result.cpuMillis = over.cpuMillis }
        if over.memoryBytes > 0 { result.memoryBytes = over.memoryBytes }
        if over.ephemeralStorageBytes > 0 { result.ephemeralStorageBytes = over.ephemeralStorageBytes }
        if over.pods > 0 { result.pods = over.pods }
        result.extended.merge(over.extended) { _, new in new }
        return result
    }

    /// A fixed name for a node in timers: its UID, or its name.
    func key(_ slot: Int) -> String {
        guard let node = model.nodes[slot]?.node else { return "" }
        return node.uid.isEmpty ? node.name : node.uid
    }
}
