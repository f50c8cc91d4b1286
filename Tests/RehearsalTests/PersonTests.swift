import Messages
import Support
import Testing

@testable import Rehearsal

/// What a rehearsal takes for a reason that not all came to rest, and how little that explains.
@Suite("A failed member whose Node a budget keeps")
struct PersonTests {
    /// Two members are wanted more than there are; the machine of one works, its member is in `status`, and its pod must stay.
    /// Another member is no node, and a pod finds no place.
    private static func world(_ status: String, hasBudget: Bool = true) -> World {
        let world = World(Scenario(seed: 1), RehearsalOptions())
        world.heat.members = [
            HeatState.Member(
                name: "m1", id: "id-1", server: "s-1", status: "CREATE_COMPLETE", createdAt: World.start),
            HeatState.Member(name: "m2", id: "id-2", server: "s-2", status: status, createdAt: World.start),
            HeatState.Member(
                name: "m3", id: "id-3", server: "s-3", status: "CREATE_COMPLETE", createdAt: World.start),
        ]
        world.heat.desired = [4]
        world.heat.sizeBy = [.stranger]
        world.heat.capacity = [4]
        world.heat.status = "UPDATE_FAILED"
        world.cluster.nodes = [node(1), node(2)]
        let plan = WorkloadPlan(name: "db", replicas: 2, cpu: 100, minAvailable: hasBudget ? 1 : nil)
        world.cluster.workloads = [ClusterState.Workload(plan: plan, replicas: 2, uid: "uid-db")]
        world.cluster.allowed = [hasBudget ? 0 : nil]
        world.cluster.pods = [pod("db-1", on: "n2"), pod("db-2", on: nil)]
        return world
    }

    private static func node(_ number: Int) -> ClusterState.Node {
        ClusterState.Node(
            name: "n\(number)", uid: "uid-\(number)", server: "s-\(number)", createdAt: World.start, version: 1,
            isReady: true, readinessChangedAt: World.start)
    }

    private static func pod(_ name: String, on node: String?) -> ClusterState.Pod {
        var pod = ClusterState.Pod(workload: 0, name: name, uid: "uid-\(name)", createdAt: World.start, gate: .absent)
        pod.node = node
        pod.phase = node == nil ? .pending : .running
        pod.isReady = node != nil
        return pod
    }

    private static func record(_ id: String, _ number: Int) -> RemovalRecord {
        RemovalRecord(
            id: id, group: "workers", nodeUID: "uid-\(number)", serverID: "s-\(number)", member: "m\(number)",
            memberID: "id-\(number)", decidedAt: World.start, startedAt: World.start, deadline: World.start,
            reason: Explanation(.memberFailed))
    }

    @Test("only one that Heat could not make or change, and that a budget keeps")
    func which() {
        for status in ["CREATE_FAILED", "UPDATE_FAILED"] {
            #expect(Self.world(status).keptByBudgets == ["n2"], "\(status)")
            #expect(Self.world(status, hasBudget: false).keptByBudgets.isEmpty, "\(status)")
        }
        for status in ["CHECK_FAILED", "DELETE_FAILED", "CREATE_COMPLETE"] {
            #expect(Self.world(status).keptByBudgets.isEmpty, "\(status)")
        }
        let dead = Self.world("CREATE_FAILED")
        dead.cluster.nodes[1].isReady = false
        #expect(dead.keptByBudgets.isEmpty)
    }

    @Test("it explains sizes, members that are no nodes, pods without a place, and its own drain")
    func explained() {
        let world = Self.world("CREATE_FAILED")
        world.cluster.nodes[1].record = Self.record("failed-n2-1800000000", 2)
        world.cluster.nodes[1].unschedulable = true
        let troubles = world.troubles().joined(separator: "; ")
        for word in ["removal failed-n2", "m2 is CREATE_FAILED", "m3 has no node", "4 wanted", "db-2 has no node"] {
            #expect(troubles.contains(word), "\(word): \(troubles)")
        }
        #expect(world.troubles(apartFrom: world.keptByBudgets).isEmpty, "\(world.troubles(apartFrom: ["n2"]))")
    }

    static let beside: [(String, @Sendable (World) -> Void)] = [
        (
            "messages wait in actuator.decisions",
            { world in PersonTests.wait(.scaleDecided(PersonTests.growth), in: world) }
        ),
        ("nobody said how", { $0.audit.untold.insert("r1/n1") }),
        ("removal r1 of n1", { $0.cluster.nodes[0].record = PersonTests.record("r1", 1) }),
        ("removal r2 of n2", { $0.cluster.nodes[1].record = PersonTests.record("r2", 2) }),
        ("n1 is cordoned", { $0.cluster.nodes[0].unschedulable = true }),
        ("n1 is not ready", { $0.cluster.nodes[0].isReady = false }),
        ("n1 is deleted and held", { $0.cluster.nodes[0].isBeingDeleted = true }),
        ("m1 is CHECK_FAILED", { $0.heat.members[0].status = "CHECK_FAILED" }),
        ("the stack is", { $0.heat.status = "UPDATE_IN_PROGRESS" }),
        ("scaling_in_progress", { $0.heat.scaling = [0] }),
        (
            "still told",
            { world in
                var told = PersonTests.pod("db-3", on: "n1")
                told.annotations[RemovalNames.podRemoval] = "r0"
                world.cluster.pods[1] = told
            }
        ),
    ]

    private static let growth = ScaleDecided(
        cluster: "rehearsal", id: "s1", group: "workers", from: 2, to: 3, reason: Explanation(.podsPending),
        decidedAt: World.start, deadline: World.start)

    private static func wait(_ event: Event, in world: World) {
        let queue = MessageQueue("actuator.decisions", [.decisions])
        queue.messages = [MessageQueue.Message(event: event, at: World.start, number: 1)]
        world.broker.queues = [queue]
    }

    @Test("whatever else is pending beside it is a fault", arguments: beside.indices)
    func notExplained(_ index: Int) {
        let (word, change) = Self.beside[index]
        let world = Self.world("CREATE_FAILED")
        // Its budget goes on forbidding: three more pods would have to run.
        world.cluster.workloads[0].plan.minAvailable = 4
        change(world)
        #expect(world.keptByBudgets == ["n2"])
        let troubles = world.troubles(apartFrom: world.keptByBudgets)
        #expect(troubles.contains { $0.contains(word) }, "\(word): \(troubles)")
    }

    @Test("the removal of a machine that is no node waits for the stack too; another decision in hand does not")
    func inHand() {
        let world = Self.world("CREATE_FAILED")
        for (uid, isExplained) in [(RemovalNames.unregistered, true), ("uid-1", false)] {
            let target = RemovalTarget(
                node: "s-3", nodeUID: uid, serverID: "s-3", reason: Explanation(.nodeNeverRegistered))
            let decision = RemovalDecided(
                cluster: "rehearsal", id: "u1", group: "workers", from: 2, nodes: [target], decidedAt: World.start,
                deadline: World.start)
            let queue = MessageQueue("actuator.decisions", [.decisions])
            queue.inHand = (MessageQueue.Message(event: .removalDecided(decision), at: World.start, number: 1), 1)
            world.broker.queues = [queue]
            #expect(world.troubles(apartFrom: ["n2"]).isEmpty == isExplained, "\(uid)")
        }
    }

    /// A member that took too long for Heat, a server deleted in Nova, and a budget that is full because a pod is pending.
    @Test("a story that ends so says so, and only when patience is at its end")
    func story() {
        var rehearsal = Rehearsal(seed: 7_313)
        rehearsal.options.keepsStory = true
        let outcome = rehearsal.run()
        #expect(outcome.violation == nil, "\(outcome.story.suffix(20).joined(separator: "\n"))")
        guard outcome.waitsForPerson else { return }
        #expect(outcome.simulated >= rehearsal.scenario.faultsEnd + rehearsal.scenario.patience)
        #expect(outcome.story.last?.contains("a person has to help") == true, "\(outcome.story.last ?? "")")
    }
}
