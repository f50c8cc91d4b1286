import JSONReader
import Kubernetes
import Messages
import ServiceRuntime
import Support
import Testing

@testable import Actuator
@testable import Notifier

@Suite("Actuator and Notifier on a practice cloud", .serialized)
struct PracticeTests {
    @Test("a group grows, and its nodes join")
    func grows() async throws {
        let stage = try PracticeStage(desired: 2)
        try await stage.ready(2)
        stage.startActuator()
        let decision = ScaleDecided(
            cluster: "practice", id: "s1", group: "workers", from: 2, to: 4, reason: Explanation(.podsPending),
            decidedAt: .now(), deadline: .now() + .minutes(10))
        try await stage.decide { .scaleDecided(decision, ticket: $0) }
        try await stage.wait("completed") { stage.story.contains(.scaleCompleted) }
        try await stage.ready(4)
        try await stage.wait("two nodes announced") { stage.story.filter { $0 == .nodeReady }.count >= 2 }
        #expect(try await stage.group().size == 4)
        await stage.close()
    }

    @Test("a chosen node goes: told, cooled down, drained, its member removed and no other")
    func removes() async throws {
        let stage = try PracticeStage(desired: 3)
        try await stage.ready(3)
        try await stage.control(
            .post, "workloads",
            ["name": "web", "replicas": 6, "grace": 2, "gate": true, "hook": ["answer": "done"]])
        stage.startActuator()
        stage.startNotifier()
        // The gate is opened by the Notifier; without it no pod would become ready.
        try await stage.wait("gates open") {
            let pods = try await stage.pods().filter { $0.gate != .absent }
            return pods.count == 6 && pods.allSatisfy { $0.gate == .serving }
        }
        let nodes = try await stage.nodes()
        let chosen = nodes[1]
        let moved = try await stage.pods().filter { $0.node == chosen.name && $0.isMoved }
        #expect(!moved.isEmpty)
        let decision = stage.removal("r1", of: chosen, from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        let left = try await stage.group()
        #expect(left.size == 2)
        #expect(left.desired == 2)
        #expect(Set(left.members.compactMap(\.serverID)) == Set([nodes[0], nodes[2]].compactMap(\.serverID)))
        let told = Set(stage.events.compactMap { if case .podShutdown(let event) = $0 { event.podUID } else { nil } })
        #expect(told == Set(moved.map(\.uid)))
        // Each is published at least once (a look at the Node may repeat it); what counts is the order of the firsts.
        var order: [EventType] = []
        for event in stage.story where event.rawValue.hasPrefix("updraft.removal") && !order.contains(event) {
            order.append(event)
        }
        #expect(
            order == [
                .removalCordoned, .removalNoticed, .removalQuiesced, .removalDrained, .removalCommitted,
                .removalCompleted,
            ])
        await stage.close()
    }

    @Test("cancelled during the cooldown: the node serves again and its pods are told to stay")
    func cancelled() async throws {
        let stage = try PracticeStage(desired: 2, extra: ["notifier.cooldown=15s"])
        try await stage.ready(2)
        try await stage.control(
            .post, "workloads", ["name": "web", "replicas": 4, "gate": true, "hook": ["answer": "never"]])
        stage.startActuator()
        stage.startNotifier()
        try await stage.wait("gates open") { try await stage.pods().filter { $0.gate == .serving }.count == 4 }
        let chosen = try await stage.nodes()[1]
        let decision = stage.removal("r1", of: chosen, from: 2)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("noticed") { stage.story.contains(.removalNoticed) }
        #expect(try await stage.pods().contains { $0.node == chosen.name && $0.gate == .notServing })
        let cancel = RemovalCancelled(
            cluster: "practice", id: "r1", nodes: [], reason: Explanation(.loadReturned), decidedAt: .now())
        try await stage.decide { .removalCancelled(cancel, ticket: $0) }
        try await stage.wait("uncordoned") {
            try await stage.nodes().allSatisfy { !$0.unschedulable && $0.taints.isEmpty }
        }
        try await stage.wait("gates open again") { try await stage.pods().filter { $0.gate == .serving }.count == 4 }
        try await stage.wait("no pod is left under notice") {
            try await stage.pods().allSatisfy { $0.annotations[RemovalNames.podRemoval] == nil }
        }
        #expect(try await stage.group().size == 2)
        await stage.close()
    }

    @Test("the token of the notice lets a pod answer, any other does not")
    func answers() async throws {
        let stage = try PracticeStage(desired: 2, extra: ["notifier.cooldown=15s"])
        try await stage.ready(2)
        try await stage.control(.post, "workloads", ["name": "web", "replicas": 2, "antiAffinity": "hostname"])
        try await stage.wait("running") {
            try await stage.pods().filter { $0.isMoved && $0.phase == .running }.count == 2
        }
        stage.startActuator()
        stage.startNotifier()
        let chosen = try await stage.nodes()[0]
        let pod = try #require(try await stage.pods().first { $0.node == chosen.name && $0.isMoved })
        let decision = stage.removal("r1", of: chosen, from: 2)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("noticed") { stage.story.contains(.removalNoticed) }
        let token = try #require(
            try await stage.pods().first { $0.uid == pod.uid }?.annotations[RemovalNames.podToken])
        #expect(await stage.answer("r1", podUID: pod.uid, .done, token: "00") == .forged)
        #expect(await stage.answer("r1", podUID: pod.uid, .done, token: token) == .accepted)
        try await stage.wait("quiesced at once", within: .seconds(5)) { stage.story.contains(.removalQuiesced) }
        await stage.close()
    }

    @Test(
        "both services are ended at each step and started anew: the story ends the same",
        arguments: [
            EventType.removalCordoned, .removalNoticed, .removalQuiesced, .removalDrained, .removalCommitted,
        ])
    func restarts(at step: EventType) async throws {
        let stage = try PracticeStage(desired: 3)
        try await stage.ready(3)
        try await stage.control(.post, "workloads", ["name": "web", "replicas": 6, "grace": 2])
        stage.startActuator()
        stage.startNotifier()
        let nodes = try await stage.nodes()
        let decision = stage.removal("r1", of: nodes[2], from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("\(step.rawValue)") { stage.story.contains(step) }
        await stage.stop("actuator")
        await stage.stop("notifier")
        stage.startActuator()
        stage.startNotifier()
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        let left = try await stage.group()
        #expect(Set(left.members.compactMap(\.serverID)) == Set([nodes[0], nodes[1]].compactMap(\.serverID)))
        await stage.close()
    }

    @Test("the Node is deleted while Heat works and no Actuator runs: it stays for the next, which ends the removal")
    func deletedMeanwhile() async throws {
        let stage = try PracticeStage(desired: 3)
        try await stage.ready(3)
        stage.startActuator()
        stage.startNotifier()
        let nodes = try await stage.nodes()
        let decision = stage.removal("r1", of: nodes[2], from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("Heat is called") { stage.story.contains(.removalCommitted) }
        await stage.stop("actuator")
        #expect(!stage.story.contains(.removalCompleted))
        // As a cloud controller does whose server is gone.
        try await stage.kubernetes.deleteNode(nodes[2].name)
        let held = try await stage.nodes().first { $0.uid == nodes[2].uid }
        #expect(held?.deletedAt != nil, "it is gone, and its record with it")
        stage.startActuator()
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        let left = try await stage.group()
        #expect(Set(left.members.compactMap(\.serverID)) == Set([nodes[0], nodes[1]].compactMap(\.serverID)))
        await stage.close()
    }

    @Test("a token that expires is renewed unseen; a revoked credential is said, and refuses what is asked")
    func credentials() async throws {
        let stage = try PracticeStage(desired: 1)
        try await stage.ready(1)
        stage.startActuator()
        @Sendable func scale(_ id: String, _ from: Int, _ to: Int) -> ScaleDecided {
            ScaleDecided(
                cluster: "practice", id: id, group: "workers", from: from, to: to, reason: Explanation(.podsPending),
                decidedAt: .now(), deadline: .now() + .minutes(10))
        }
        try await stage.wait("the group was read") { stage.story.contains(.groupState) }
        try await stage.control(.post, "actions/expire-tokens", [:])
        try await stage.decide { .scaleDecided(scale("s1", 1, 2), ticket: $0) }
        try await stage.wait("grown with a new token") { stage.story.contains(.scaleCompleted) }
        #expect(stage.readiness.all["group/workers"]?.ok != false)

        try await stage.control(.post, "actions/revoke-credential", [:])
        try await stage.control(.post, "actions/expire-tokens", [:])
        try await stage.wait("it lasts, so it is said") { stage.readiness.all["group/workers"]?.ok == false }
        let reason = try #require(stage.readiness.all["group/workers"]?.reason)
        #expect(reason.hasPrefix(Reason.credentialRefused.rawValue), "\(reason)")
        try await stage.decide { .scaleDecided(scale("s2", 2, 3), ticket: $0) }
        try await stage.wait("refused with the reason") {
            stage.events.contains { event in
                guard case .scaleRefused(let refused) = event else { return false }
                return refused.scale.id == "s2" && refused.scale.reason.reason == .credentialRefused
            }
        }
        let text = stage.metrics.text()
        #expect(text.contains("updraft_actuator_troubles_total{reason=\"\(Reason.credentialRefused.rawValue)\"}"))
        // The rest goes on: Kubernetes is still watched and nothing was changed.
        #expect(try await stage.nodes().count == 2)
        await stage.close()
    }

    @Test(
        "Heat fails for one group, another's stack is not there: said in condition, metric and log; the third grows; it passes"
    )
    func heatAway() async throws {
        let sizes: JSONValue = ["resource": "workers", "desired": 1, "min": 1, "max": 8]
        func group(_ id: String, _ stack: String) -> String {
            "{id: \(id), stack: \(stack), resource: workers, desired_parameter: desired, min: 1, max: 8}"
        }
        let groups = [group("workers", "k8s"), group("spare", "spare"), group("ghost", "no-such-stack")]
        let stage = try PracticeStage(
            extra: ["groups=[\(groups.joined(separator: ", "))]"],
            stacks: [["name": "k8s", "groups": [sizes]], ["name": "spare", "groups": [sizes]]])
        try await stage.ready(2)
        stage.startActuator()
        func condition(_ group: String) -> Readiness.Condition? { stage.readiness.all["group/\(group)"] }
        func states(_ group: String) -> [GroupState] {
            stage.events.compactMap { if case .groupState(let state) = $0, state.group == group { state } else { nil } }
        }
        try await stage.wait("both groups were read") {
            states("workers").last?.problem == nil && states("spare").last?.size == 1
        }
        try await stage.wait("the stack that is not there is said") { condition("ghost")?.ok == false }
        #expect(
            condition("ghost")?.reason.hasPrefix(Reason.stackNotFound.rawValue) == true,
            "\(String(describing: condition("ghost")))")
        #expect(condition("ghost")?.reason.contains("no-such-stack") == true)

        try await stage.control(
            .post, "faults",
            ["service": "heat", "method": "GET", "path": "/spare", "status": 503, "message": "engine away"])
        try await stage.wait("Heat's failure is said") { condition("spare")?.ok == false }
        let reason = condition("spare")?.reason ?? ""
        #expect(reason.contains("503"), "\(reason)")
        // Said last, behind the condition and the log.
        try await stage.wait("the group's state says so") { states("spare").last?.problem != nil }
        let metrics = stage.metrics.text()
        for word in [Reason.stackNotFound.rawValue, String(reason.prefix { $0 != ":" })] {
            #expect(metrics.contains("updraft_actuator_troubles_total{reason=\"\(word)\"} 1"), "\(word)")
            let lines = stage.log.filter { $0.contains(#""level":"warning""#) && $0.contains("\"\(word)\"") }
            #expect(lines.count == 1, "\(word): \(lines)")
        }
        // The other group is as well as ever.
        let decision = ScaleDecided(
            cluster: "practice", id: "s1", group: "workers", from: 1, to: 2, reason: Explanation(.podsPending),
            decidedAt: .now(), deadline: .now() + .minutes(10))
        try await stage.decide { .scaleDecided(decision, ticket: $0) }
        try await stage.wait("it grows") { stage.story.contains(.scaleCompleted) }
        try await stage.ready(3)
        #expect(condition("workers")?.ok != false)
        #expect(condition("spare")?.ok == false)

        try await stage.control(.delete, "faults", [:])
        try await stage.wait("it passed") { condition("spare")?.ok == true }
        try await stage.wait("and the group's state says so") { states("spare").last?.problem == nil }
        await stage.close()
    }

    @Test(
        "nobody listens where Keystone or Heat should be: said in condition, metric, one line of the log, with the address; nodes are seen",
        arguments: ["Keystone", "Heat"])
    func cloudAway(_ which: String) async throws {
        // With Keystone there, the login succeeds, and the catalogue would name the right Heat.
        let stage = try PracticeStage(
            keystone: which == "Keystone" ? "http://127.0.0.1:1/v3" : nil,
            heat: which == "Heat" ? "http://127.0.0.1:1/v1/%(project_id)s" : nil)
        try await stage.ready(3)
        stage.startActuator()
        try await stage.wait("it is said") { stage.readiness.all["group/workers"]?.ok == false }
        let reason = stage.readiness.all["group/workers"]?.reason ?? ""
        #expect(reason.hasPrefix(Reason.heatUnreachable.rawValue) && reason.contains("127.0.0.1:1"), "\(reason)")
        // Until it was looked at some more times: a lasting trouble is no flood.
        try await stage.wait("it is asked again") { stage.log.count { $0.contains("127.0.0.1:1") } >= 1 }
        #expect(
            stage.metrics.text().contains(
                "updraft_actuator_troubles_total{reason=\"\(Reason.heatUnreachable.rawValue)\"} 1"))
        let lines = stage.log.filter { $0.contains(#""level":"warning""#) && $0.contains("127.0.0.1:1") }
        #expect(lines.count == 1, "\(lines)")
        #expect(stage.readiness.all.filter { !$0.value.ok }.map(\.key) == ["group/workers"])
        await stage.close()
    }

    @Test("dry run changes nothing and says so")
    func dryRun() async throws {
        let stage = try PracticeStage(desired: 2, extra: ["actuator.dry_run=true"])
        try await stage.ready(2)
        stage.startActuator()
        let scale = ScaleDecided(
            cluster: "practice", id: "s1", group: "workers", from: 2, to: 4, reason: Explanation(.podsPending),
            decidedAt: .now(), deadline: .now() + .minutes(10))
        try await stage.decide { .scaleDecided(scale, ticket: $0) }
        let removal = stage.removal("r1", of: try await stage.nodes()[0], from: 2)
        try await stage.decide { .removalDecided(removal, ticket: $0) }
        try await stage.wait("refused") {
            stage.story.contains(.scaleRefused) && stage.story.contains(.removalFailed)
        }
        #expect(try await stage.group().size == 2)
        #expect(try await stage.nodes().allSatisfy { !$0.unschedulable })
        await stage.close()
    }
}
