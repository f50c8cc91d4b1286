import JSONReader
import Kubernetes
import Messages
import Support
import Testing

@testable import Actuator
@testable import Notifier

/// What pods answer, or do not, and how long they take to end; and load that returns while they are told.
@Suite("Pods that answer in all ways, on a practice cloud", .serialized)
struct AnswerPracticeTests {
    /// One node for each kind of pod, by its name, and one that stays.
    struct Nodes {
        var of: [String: Node] = [:]
        var pods: [String: NodePod] = [:]
    }

    /// Each workload has one pod, bound to a node of its own by its name.
    private func place(_ workloads: [String: [String: JSONValue]], _ stage: PracticeStage) async throws -> Nodes {
        var found = Nodes()
        let nodes = try await stage.nodes()
        for (index, (name, more)) in workloads.sorted(by: { $0.key < $1.key }).enumerated() {
            found.of[name] = nodes[index]
            let body: [String: JSONValue] = [
                "name": .string(name), "replicas": 1,
                "nodeSelector": ["kubernetes.io/hostname": .string(nodes[index].name)],
            ]
            try await stage.control(.post, "workloads", .object(body.merging(more) { $1 }))
        }
        let names = Set(workloads.keys)
        try await stage.wait("the pods run") {
            let running = try await stage.pods().filter { $0.phase == .running }
            return Set(running.compactMap { $0.labels["app"] }).isSuperset(of: names)
        }
        for pod in try await stage.pods() {
            if let app = pod.labels["app"], names.contains(app) { found.pods[app] = pod }
        }
        return found
    }

    /// The removal of each node has its pod's name as its id.
    private func first(_ type: EventType, of id: String, _ stage: PracticeStage) -> RemovalProgress? {
        for event in stage.events where event.type == type {
            switch event {
            case .removalNoticed(let event) where event.removal.id == id: return event.removal
            case .removalQuiesced(let event) where event.removal.id == id: return event.removal
            case .removalDrained(let event) where event.removal.id == id: return event.removal
            case .removalCompleted(let event) where event.removal.id == id: return event.removal
            case .removalFailed(let event) where event.removal.id == id: return event.removal
            default: continue
            }
        }
        return nil
    }

    private func told(_ uid: String, _ stage: PracticeStage) throws -> PodShutdown {
        try #require(
            stage.events.lazy.compactMap { event -> PodShutdown? in
                if case .podShutdown(let told) = event, told.podUID == uid, !told.withdrawn { told } else { nil }
            }.first)
    }

    @Test(
        "at once: more time as asked for, a refusal, a hook that never comes back, and a pod that takes long to end")
    func answers() async throws {
        let stage = try PracticeStage(
            desired: 5,
            extra: [
                "actuator.drain.timeout=90s",
                "notifier.policies=[{labels: {app: refuses}, may_refuse: true}]",
            ])
        try await stage.ready(5)
        let nodes = try await place(
            [
                "asks": ["grace": 1, "hook": ["answer": "extend", "seconds": 6]],
                "hangs": ["grace": 1, "hook": ["answer": "done"]],
                "lingers": ["grace": 60, "stopDelay": 7, "hook": ["answer": "done"]],
                "refuses": ["grace": 1, "gate": true, "hook": ["answer": "refuse"]],
            ], stage)
        // Its hook takes the call, and nothing ever comes back in time.
        try await stage.control(
            .post, "faults", ["service": "hooks", "path": "/hooks/default/hangs", "delay": 600])
        stage.startActuator()
        stage.startNotifier()
        let refusing = try #require(nodes.pods["refuses"])
        try await stage.wait("the gate opens") {
            try await stage.pods().contains { $0.uid == refusing.uid && $0.gate == .serving }
        }
        for (name, node) in nodes.of.sorted(by: { $0.key < $1.key }) {
            let decision = stage.removal(name, of: node, from: 5)
            try await stage.decide { .removalDecided(decision, ticket: $0) }
        }

        // The refusal is said, and waits with the broker: meanwhile the pod's 2 s pass, and it is not moved.
        try await stage.wait("the refusal is said") { stage.story.contains(.removalCancelled) }
        try await stage.wait("the others are drained") {
            ["asks", "hangs", "lingers"].allSatisfy { first(.removalDrained, of: $0, stage) != nil }
        }
        #expect(Timestamp.now() > (try told(refusing.uid, stage)).deadline)
        #expect(first(.removalQuiesced, of: "refuses", stage) == nil)
        let cancel = try #require(
            stage.events.lazy.compactMap { event -> RemovalCancelled? in
                if case .removalCancelled(let event) = event { event } else { nil }
            }.first)
        #expect(cancel.id == "refuses" && cancel.reason.reason == .podRefused)
        try await stage.decide { .removalCancelled(cancel, ticket: $0) }
        try await stage.wait("its node serves again, and the pod with it") {
            let node = try await stage.nodes().first { $0.uid == nodes.of["refuses"]?.uid }
            let pod = try await stage.pods().first { $0.uid == refusing.uid }
            return node?.unschedulable == false && node?.taints.isEmpty == true && pod?.gate == .serving
                && pod?.deletedAt == nil && pod?.annotations[RemovalNames.podRemoval] == nil
        }
        #expect(first(.removalFailed, of: "refuses", stage)?.reason.reason == .podRefused)

        // Granted as asked for: six seconds from its answer, not the two of the notice nor the twenty of the policy.
        let asked = try #require(first(.removalQuiesced, of: "asks", stage))
        let notice = try told(nodes.pods["asks"]?.uid ?? "", stage)
        #expect(asked.reason.reason == .cooldownExpired)
        let more = asked.at - notice.deadline
        #expect(more >= .seconds(3.5) && more < .seconds(12), "\(more) more than it was told")

        // To its deadline, and no longer for all its tries.
        let hung = try #require(first(.removalQuiesced, of: "hangs", stage))
        let deadline = try told(nodes.pods["hangs"]?.uid ?? "", stage).deadline
        #expect(hung.reason.reason == .cooldownExpired)
        #expect(hung.at >= deadline && hung.at < deadline + .seconds(6), "\(hung.at - deadline) after its deadline")

        // Its own grace period, and drained only when it had ended.
        let lingers = try #require(first(.removalQuiesced, of: "lingers", stage))
        let drained = try #require(first(.removalDrained, of: "lingers", stage))
        #expect(lingers.reason.reason == .allPodsAnswered)
        #expect(drained.at - lingers.at >= .seconds(6.5), "drained \(drained.at - lingers.at) after the cooldown")

        try await stage.wait("completed") {
            ["asks", "hangs", "lingers"].allSatisfy { first(.removalCompleted, of: $0, stage) != nil }
        }
        try await stage.wait("their Nodes are gone") { try await stage.nodes().count == 2 }
        #expect(try await stage.group().size == 2)
        #expect(try await FaultPracticeTests.offences(stage) == [])
        await stage.close()
    }

    @Test("load returns during the cooldown: the Decider itself takes the removal back, and no machine is made")
    func loadReturns() async throws {
        let stage = try PracticeStage(
            desired: 2,
            extra: [
                "notifier.cooldown=60s", "notifier.max_cooldown=120s", "decider.scale_down.unneeded_time=2s",
                "decider.scale_down.delay_after_add=0s", "decider.scale_down.delay_after_delete=0s",
                "decider.scale_down.delay_after_failure=10m",
            ])
        try await stage.ready(2)
        try await stage.control(
            .post, "workloads",
            ["name": "small", "replicas": 2, "cpu": "100m", "gate": true, "hook": ["answer": "never"]])
        try await stage.wait("one pod on each node") {
            Set(try await stage.pods().filter { $0.isMoved && $0.phase == .running }.map(\.node)).count == 2
        }
        stage.startActuator()
        stage.startNotifier()
        let mind = PracticeMind(stage)
        let thinking = Task { await mind.run() }
        try await stage.wait("a removal is decided and its pod told") { stage.story.contains(.removalNoticed) }
        let decided = try #require(
            stage.events.lazy.compactMap { event -> RemovalDecided? in
                if case .removalDecided(let event) = event { event } else { nil }
            }.first)
        let chosen = try #require(decided.nodes.first?.node)
        let pod = try #require(try await stage.pods().first { $0.node == chosen && $0.isMoved })
        // Two that find no room on one node of four cores.
        try await stage.control(.post, "workloads", ["name": "late", "replicas": 2, "cpu": "2500m"])
        try await stage.wait("it is taken back", within: .seconds(50)) { stage.story.contains(.removalFailed) }
        let cancelled = stage.events.compactMap { event -> Explanation? in
            if case .removalCancelled(let event) = event, event.id == decided.id { event.reason } else { nil }
        }
        #expect(cancelled.first?.reason == .loadReturned, "\(cancelled)")
        try await stage.wait("both new pods run") {
            let late = try await stage.pods().filter { $0.labels["app"] == "late" && $0.phase == .running }
            return Set(late.map(\.node)).count == 2
        }
        try await stage.wait("the pod was told to stay, and serves") {
            let now = try await stage.pods().first { $0.uid == pod.uid }
            return now?.deletedAt == nil && now?.gate == .serving && now?.annotations[RemovalNames.podRemoval] == nil
        }
        #expect(!stage.story.contains(.scaleDecided) && !stage.story.contains(.removalQuiesced), "\(stage.story)")
        #expect(try await stage.group().size == 2)
        thinking.cancel()
        await thinking.value
        await stage.close()
    }
}
