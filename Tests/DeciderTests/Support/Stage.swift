import Messages
import Support

@testable import Decider

/// A cluster on a stage: builds the messages that the Collector and the Actuator would send, and plays them to a core.
struct Stage {
    static let start = Timestamp(seconds: 1_800_000_000)
    static let gibibyte: Int64 = 1 << 30

    var core: DeciderCore
    var now = Stage.start
    private(set) var sequence: Int64 = 0
    private var shapes: [PodShape] = []
    private var groups: [String: GroupState] = [:]
    /// What the core asked for in the last step.
    private(set) var actions: [DeciderAction] = []

    init(
        groups rules: [GroupRules], term: String = "t", configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) {
        var configuration = DeciderConfiguration(cluster: "test", groups: rules)
        configure(&configuration)
        core = DeciderCore(configuration, term: term)
    }

    /// With rules from elsewhere; their cluster has to be `test`.
    init(_ configuration: DeciderConfiguration) {
        core = DeciderCore(configuration, term: "t")
    }

    // MARK: Building

    static func resources(cpu: Int64, memory: Int64 = 8, pods: Int64 = 110) -> ResourceList {
        ResourceList(cpuMillis: cpu, memoryBytes: memory << 30, pods: pods)
    }

    static func node(
        _ name: String, server: String? = nil, cpu: Int64 = 4_000, memory: Int64 = 8, zone: String? = nil,
        labels: [String: String] = [:],
        taints: [Taint] = [], readiness: Node.Readiness = .ready, createdAt: Timestamp = start - .minutes(60)
    ) -> Node {
        var all = labels
        all["kubernetes.io/hostname"] = name
        if let zone { all["topology.kubernetes.io/zone"] = zone }
        return Node(
            name: name, uid: "uid-\(name)", providerID: "openstack:///\(server ?? "server-\(name)")", labels: all,
            taints: taints,
            allocatable: resources(cpu: cpu, memory: memory), readiness: readiness, createdAt: createdAt)
    }

    static func group(_ id: String, _ nodes: [String], min: Int = 0, max: Int = 10, at time: Timestamp) -> GroupState {
        GroupState(
            cluster: "test", group: id, stackID: "stack", min: min, max: max, desired: nodes.count, size: nodes.count,
            members: nodes.map {
                GroupState.Member(
                    name: "m-\($0)", physicalID: "p-\($0)", serverID: "server-\($0)", status: "CREATE_COMPLETE",
                    createdAt: time - .seconds(1))
            }, observedAt: time)
    }

    static func shape(
        cpu: Int64, memory: Int64 = 0, app: String = "web", owner: String? = "web",
        _ change: (inout PodShape) -> Void = { _ in }
    ) -> PodShape {
        var shape = PodShape(
            labels: ["app": app], owner: owner.map { PodShape.Owner(kind: "ReplicaSet", name: $0) },
            requests: ResourceList(cpuMillis: cpu, memoryBytes: memory << 20))
        change(&shape)
        return shape
    }

    /// The number of a shape; remembered, so that equal shapes share it.
    mutating func number(_ shape: PodShape) -> Int {
        if let known = shapes.firstIndex(of: shape) { return known }
        shapes.append(shape)
        return shapes.count - 1
    }

    mutating func pods(
        _ prefix: String, _ count: Int, _ shape: PodShape, on node: String? = nil, age: Interval = .minutes(5)
    ) -> [Pod] {
        let number = number(shape)
        return (0..<count).map { index in
            Pod(
                uid: "\(prefix)-\(index)", name: "\(prefix)-\(index)", shape: number, node: node,
                phase: node == nil ? .pending : .running, scheduling: node == nil ? .unschedulable : .scheduled,
                ready: node != nil, createdAt: now - age)
        }
    }

    // MARK: Playing

    mutating func snapshot(
        nodes: [Node], pods: [Pod] = [], budgets: [Budget] = [], workloads: [Workload] = [Stage.webOwner],
        claims: [Claim] = [], namespaces: [Namespace] = [], scaling: PodScaling? = nil
    ) {
        sequence += 1
        receive(
            .clusterSnapshot(
                ClusterSnapshot(
                    cluster: "test", epoch: "e1", sequence: sequence, takenAt: now, shapes: numbered(), nodes: nodes,
                    pods: pods, budgets: budgets, workloads: workloads, claims: claims, namespaces: namespaces,
                    scaling: scaling)))
    }

    static let webOwner = Workload(kind: "ReplicaSet", namespace: "default", name: "web", replicas: 100)

    private func numbered() -> [NumberedShape] {
        shapes.enumerated().map { NumberedShape(id: $0.offset, shape: $0.element) }
    }

    mutating func delta(
        nodes: [Node] = [], removedNodes: [String] = [], pods: [Pod] = [], removedPods: [String] = [],
        claims: [Claim] = [], workloads: [Workload] = [], scaling: PodScalingChange? = nil
    ) {
        sequence += 1
        receive(
            .clusterDelta(
                ClusterDelta(
                    cluster: "test", epoch: "e1", sequence: sequence, takenAt: now, shapes: numbered(), nodes: nodes,
                    removedNodes: removedNodes, pods: pods, removedPods: removedPods, workloads: workloads,
                    claims: claims, scaling: scaling)))
    }

    mutating func heartbeat() {
        receive(
            .clusterDelta(ClusterDelta(cluster: "test", epoch: "e1", sequence: sequence, takenAt: now)))
        for group in groups.keys.sorted() {
            guard var state = groups[group] else { continue }
            state.observedAt = now
            receive(.groupState(state))
        }
    }

    mutating func group(_ id: String, _ nodes: [String], min: Int = 0, max: Int = 10) {
        group(Stage.group(id, nodes, min: min, max: max, at: now))
    }

    /// A state of a group that is said again with each heartbeat.
    mutating func group(_ state: GroupState) {
        groups[state.group] = state
        receive(.groupState(state))
    }

    mutating func receive(_ event: Event) {
        actions += core.receive(event, at: now)
    }

    /// Time passes with the Collector and the Actuator alive; the core evaluates once at the end.
    @discardableResult
    mutating func evaluate(after interval: Interval = .zero) -> [Event] {
        now = now + interval
        if interval > .zero { heartbeat() }
        actions = core.evaluate(at: now)
        return decisions
    }

    // MARK: Asking

    /// Decisions of the last evaluation.
    var decisions: [Event] {
        actions.compactMap { action in
            guard case .publish(let event) = action else { return nil }
            if case .evaluation = event { return nil }
            return event
        }
    }

    var scaled: [ScaleDecided] {
        decisions.compactMap { if case .scaleDecided(let decision) = $0 { decision } else { nil } }
    }

    var removed: [RemovalDecided] {
        decisions.compactMap { if case .removalDecided(let decision) = $0 { decision } else { nil } }
    }

    var cancelled: [RemovalCancelled] {
        decisions.compactMap { if case .removalCancelled(let decision) = $0 { decision } else { nil } }
    }

    var record: Evaluation? {
        actions.compactMap { if case .publish(.evaluation(let record)) = $0 { record } else { nil } }.last
    }

    /// Group by size wanted.
    var sizes: [String: Int] {
        Dictionary(scaled.map { ($0.group, $0.to) }, uniquingKeysWith: { _, last in last })
    }
}
