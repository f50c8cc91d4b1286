import JSONReader
import Kubernetes
import Messages
import OpenStack
import Support
import Testing

@testable import Actuator
@testable import Notifier

/// Removals while Heat and Kubernetes fail in all the ways that the practice cloud can.
@Suite("Removals under faults, on a practice cloud", .serialized)
struct FaultPracticeTests {
    /// Nodes with pods that have the gate and answer their hook; both services run.
    static func stage(_ count: Int, pace: Double = 0.05, extra: [String] = []) async throws -> PracticeStage {
        let stage = try PracticeStage(desired: count, pace: pace, extra: extra)
        try await stage.ready(count)
        try await stage.control(
            .post, "workloads",
            [
                "name": "web", "replicas": .int(Int64(count * 2)), "grace": 1, "gate": true,
                "hook": ["answer": "done"],
            ])
        stage.startActuator()
        stage.startNotifier()
        try await stage.wait("gates open") {
            try await stage.pods().filter { $0.gate == .serving }.count == count * 2
        }
        return stage
    }

    static func servers(_ stage: PracticeStage) async throws -> Set<String> {
        Set(try await stage.group().members.compactMap(\.serverID))
    }

    static func failures(_ stage: PracticeStage) -> [Explanation] {
        stage.events.compactMap { if case .removalFailed(let event) = $0 { event.removal.reason } else { nil } }
    }

    static func refusals(_ stage: PracticeStage) -> [Explanation] {
        stage.events.compactMap { if case .scaleRefused(let event) = $0 { event.scale.reason } else { nil } }
    }

    /// What the practice cloud found against us.
    static func offences(_ stage: PracticeStage) async throws -> [String] {
        (try await stage.verdict()["findings"]?.arrayValue ?? []).filter { $0["holds"]?.boolValue == false }.map(\.text)
    }

    @Test("Heat and Kubernetes answer 500, 409 and late, and watches are cut at each step: it ends as it should")
    func everything() async throws {
        let stage = try await Self.stage(3)
        let nodes = try await stage.nodes()
        let chosen = nodes[1]
        let moved = try await stage.pods().filter { $0.node == chosen.name && $0.isMoved }
        let before = try await Self.servers(stage)
        let faults: [JSONValue] = [
            ["service": "heat", "method": "PATCH", "status": 409, "count": 2],
            ["service": "heat", "method": "PATCH", "status": 500, "count": 1],
            ["service": "heat", "method": "GET", "status": 500, "count": 4],
            ["service": "heat", "method": "GET", "delay": 0.4, "count": 10],
            ["service": "kubernetes", "method": "POST", "path": "/eviction", "status": 500, "count": 2],
            [
                "service": "kubernetes", "method": "POST", "path": "/eviction", "status": 429, "retry_after": 1,
                "count": 1,
            ],
            ["service": "kubernetes", "method": "PATCH", "path": "/pods/", "status": 500, "count": 4],
            ["service": "kubernetes", "method": "PATCH", "path": "/nodes/", "status": 409, "count": 2],
            [
                "service": "kubernetes", "method": "PATCH", "path": "/nodes/", "status": 503, "retry_after": 1,
                "count": 1,
            ],
            ["service": "hooks", "status": 503, "count": 2],
        ]
        for fault in faults { try await stage.control(.post, "faults", fault) }
        let decision = stage.removal("r1", of: chosen, from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        for (place, step) in ExternalPracticeTests.order.enumerated() {
            try await stage.wait(step.rawValue, within: .seconds(120)) { stage.story.contains(step) }
            // Every other time the events in between are gone for good, and all is listed anew.
            let action = place % 2 == 0 ? "cut-watches" : "expire-watches"
            if step != .removalCompleted { try await stage.control(.post, "actions/\(action)", [:]) }
        }
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        #expect(try await Self.servers(stage) == before.subtracting([chosen.serverID ?? ""]))
        #expect(try await stage.group().desired == 2)
        let told = Set(stage.events.compactMap { if case .podShutdown(let event) = $0 { event.podUID } else { nil } })
        #expect(told == Set(moved.map(\.uid)))
        #expect(Self.failures(stage) == [])
        #expect(try await Self.offences(stage) == [])
        // What was to fail did fail.
        let left = try await stage.look("faults")["faults"]?.arrayValue ?? []
        #expect(
            left.allSatisfy { $0["service"]?.stringValue == "heat" && $0["method"]?.stringValue == "GET" }, "\(left)")
        await stage.close()
    }

    @Test("the engine dies while Heat takes the member out: the stack is freed, and the chosen one goes, no other")
    func engine() async throws {
        let stage = try await Self.stage(3, pace: 0.4, extra: ["actuator.heat.timeout=5s"])
        let nodes = try await stage.nodes()
        let chosen = nodes[1]
        let before = try await Self.servers(stage)
        let decision = stage.removal("r1", of: chosen, from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("Heat takes the member out") {
            try await stage.group().members.contains {
                $0.serverID == chosen.serverID && $0.status.text == "DELETE_IN_PROGRESS"
            }
        }
        try await stage.control(.post, "actions/kill-engine", [:])
        try await stage.wait("it is said that the stack stands still") {
            stage.readiness.all["stuck/workers"]?.ok == false
        }
        try await stage.wait("the member is gone", within: .seconds(120)) {
            let group = try await stage.group()
            return group.members.count == 2 && !group.isChanging
        }
        #expect(try await Self.servers(stage) == before.subtracting([chosen.serverID ?? ""]))
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        try await stage.wait("it moves again") { stage.readiness.all["stuck/workers"]?.ok != false }
        #expect(try await Self.offences(stage) == [])
        await stage.close()
    }

    @Test("Heat takes another member than the chosen: an incident, the group is paused and says so")
    func wrongVictim() async throws {
        let stage = try await Self.stage(4)
        let nodes = try await stage.nodes()
        let chosen = nodes[2]
        let before = try await Self.servers(stage)
        try await stage.control(.post, "actions/wrong-victim", ["on": true])
        let decision = stage.removal("r1", of: chosen, from: 4)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("failed") { stage.story.contains(.removalFailed) }
        #expect(Self.failures(stage).first?.reason == .wrongMemberRemoved, "\(Self.failures(stage))")
        // That is known as soon as the lists show it, while the practice Heat still replaces the chosen one.
        try await stage.wait("another one is gone, and the chosen one is replaced") {
            let lost = before.subtracting(try await Self.servers(stage))
            return lost.count == 2 && lost.contains(chosen.serverID ?? "")
        }
        let left = try await Self.servers(stage)
        try await stage.wait("said in /readyz") { stage.readiness.all["incident/workers"]?.ok == false }
        try await stage.wait("said in the group's state") {
            stage.events.contains { event in
                guard case .groupState(let state) = event else { return false }
                return state.problem?.reason == .wrongMemberRemoved
            }
        }
        // Nothing more happens to the group until a person has looked.
        let other = try #require(try await stage.nodes().first { $0.name != chosen.name })
        let second = stage.removal("r2", of: other, from: 3)
        try await stage.decide { .removalDecided(second, ticket: $0) }
        let growth = ScaleDecided(
            cluster: "practice", id: "s1", group: "workers", from: 3, to: 5, reason: Explanation(.podsPending),
            decidedAt: .now(), deadline: .now() + .seconds(60))
        try await stage.decide { .scaleDecided(growth, ticket: $0) }
        try await stage.wait("refused") {
            Self.failures(stage).contains { $0.reason == .groupPaused } && stage.story.contains(.scaleRefused)
        }
        #expect(try await Self.servers(stage) == left)
        // Taking the record away is how a person says: seen.
        let without: JSONValue = ["metadata": ["annotations": [RemovalNames.record: nil]]]
        _ = try await stage.kubernetes.patchNode(chosen.name, .merge, without.bytes)
        try await stage.wait("the group goes on") { stage.readiness.all["incident/workers"]?.ok != false }
        await stage.close()
    }

    @Test("a member fails to come: said, and the nodes that are there stay")
    func failedMember() async throws {
        let stage = try await Self.stage(2)
        let before = try await Self.servers(stage)
        try await stage.control(.post, "actions/fail-members", ["count": 100])
        let growth = ScaleDecided(
            cluster: "practice", id: "s1", group: "workers", from: 2, to: 3, reason: Explanation(.podsPending),
            decidedAt: .now(), deadline: .now() + .seconds(60))
        try await stage.decide { .scaleDecided(growth, ticket: $0) }
        try await stage.wait("failed", within: .seconds(120)) { stage.story.contains(.scaleFailed) }
        let why = stage.events.compactMap { if case .scaleFailed(let event) = $0 { event.scale.reason } else { nil } }
        #expect(why.first?.reason == .heatUpdateFailed, "\(why)")
        #expect(try await Self.servers(stage).isSuperset(of: before))
        // And once Heat can again, the next decision is carried out.
        try await stage.control(.post, "actions/fail-members", ["count": 0])
        for number in 2...20 where !stage.story.contains(.scaleCompleted) {
            // As the Decider does: what was refused, because the group was just being repaired, is decided anew.
            let size = try await stage.group().size
            let refused = stage.story.count { $0 == .scaleRefused }
            let again = ScaleDecided(
                cluster: "practice", id: "s\(number)", group: "workers", from: size, to: 3,
                reason: Explanation(.podsPending), decidedAt: .now(), deadline: .now() + .seconds(60))
            try await stage.decide { .scaleDecided(again, ticket: $0) }
            try await stage.wait("carried out or refused", within: .seconds(120)) {
                stage.story.contains(.scaleCompleted) || stage.story.count { $0 == .scaleRefused } > refused
            }
        }
        #expect(stage.story.contains(.scaleCompleted), "\(Self.refusals(stage))")
        try await stage.ready(3)
        #expect(try await Self.servers(stage).isSuperset(of: before))
        await stage.close()
    }

    @Test("a node falls silent in the drain: its pods go with the machine, and it is the chosen one")
    func silence() async throws {
        let stage = try await Self.stage(3, extra: ["actuator.drain.timeout=120s"])
        let nodes = try await stage.nodes()
        let chosen = nodes[1]
        let before = try await Self.servers(stage)
        let decision = stage.removal("r1", of: chosen, from: 3)
        try await stage.control(.post, "actions/silence-node", ["node": .string(chosen.name)])
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("completed", within: .seconds(120)) { stage.story.contains(.removalCompleted) }
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        #expect(try await Self.servers(stage) == before.subtracting([chosen.serverID ?? ""]))
        #expect(Self.failures(stage) == [])
        await stage.close()
    }

    /// Its wait condition ran out when its server worked.
    @Test(
        "Heat could not make a member whose node a budget keeps: unmarked, and the same size sent once more leaves it there"
    )
    func keptMember() async throws {
        let stage = try PracticeStage(desired: 2, extra: ["actuator.drain.timeout=3s", "notifier.cooldown=1s"])
        try await stage.ready(2)
        try await stage.control(
            .post, "workloads",
            ["name": "held", "replicas": 3, "grace": 1, "antiAffinity": "hostname", "budget": ["minAvailable": 3]])
        // Somebody's growth fails so while no Actuator runs.
        try await stage.control(.post, "actions/fail-members", ["count": 1, "late": true])
        try await stage.openstack.patch(try await stage.group().stack.id, parameters: ["desired": 3])
        try await stage.wait("the growth has failed", within: .seconds(120)) {
            try await stage.group().stack.status.description == "UPDATE_FAILED"
        }
        let failed = try #require(try await stage.group().members.first { $0.isFailed })
        #expect(failed.status.description == "CREATE_FAILED")
        func held() async throws -> Set<String> {
            Set(try await stage.pods().filter { $0.labels["app"] == "held" && $0.phase == .running }.map(\.uid))
        }
        try await stage.wait("its machine is a node and has its pod", within: .seconds(180)) {
            try await held().count == 3
        }
        let (pods, servers) = (try await held(), try await Self.servers(stage))
        stage.startActuator { policy in
            policy.repairAfter = .seconds(3)
            policy.repairInterval = .seconds(6)
        }
        stage.startNotifier()
        try await stage.wait("its pods were told, and stayed", within: .seconds(120)) {
            Self.failures(stage).contains { $0.reason == .evictionBlocked }
        }
        try await stage.wait("unmarked, and the stack is whole again", within: .seconds(120)) {
            let group = try await stage.group()
            return group.members.allSatisfy { !$0.isFailed } && !group.isChanging
                && group.stack.status.description == "UPDATE_COMPLETE"
        }
        // By the same size once more: no update of anybody else came.
        #expect(stage.log.contains { $0.contains("its size 3 is sent again") })
        let after = try await stage.group()
        #expect(after.size == 3 && after.desired == 3, "\(after)")
        #expect(
            after.members.contains { $0.name == failed.name && $0.physicalID == failed.physicalID }, "\(after.members)")
        #expect(try await held() == pods)
        #expect(try await Self.servers(stage) == servers)
        #expect(try await Self.offences(stage) == [])
        await stage.close()
    }
}
