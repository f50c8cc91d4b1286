import Messages
import ServiceRuntime
import Support
import TestServer
import Testing

@testable import Notifier

/// The engine with a cluster of the test's own.
@Suite("The Notifier's engine", .timeLimit(.minutes(6)))
struct EngineTests {
    /// A cluster that keeps what is written to its pods.
    final class Cluster: PodTelling {
        struct State {
            var pods: [String: NodePod] = [:]
            var running = 0
            var most = 0
            var told: [NoticeChannel] = []
        }

        let state = Lock(State())
        /// Whether hooks wait until they are let go.
        let hang: Bool
        private let waiting = Lock<[CheckedContinuation<Void, Never>]>([])

        /// Hooks that hang come back.
        func letGo() {
            let all = waiting.withLock { waiting -> [CheckedContinuation<Void, Never>] in
                defer { waiting = [] }
                return waiting
            }
            for continuation in all { continuation.resume() }
        }

        init(pods: Int, hang: Bool = false) {
            self.hang = hang
            state.withLock { state in
                for index in 0..<pods {
                    let name = "web-\(index)"
                    state.pods[name] = NodePod(
                        name: name, uid: name, node: "n1", ip: "10.0.0.1",
                        annotations: [RemovalNames.shutdownHook: "http://:80/"])
                }
            }
        }

        func pods(on node: String) async -> [NodePod]? {
            state.withLock { Array($0.pods.values) }
        }

        func deliver(
            _ notice: Notice, by channel: NoticeChannel, token: String, answerURL: String?
        ) async -> DeliveryOutcome {
            state.withLock { state in
                state.told.append(channel)
                state.running += 1
                state.most = max(state.most, state.running)
                if channel == .annotation {
                    state.pods[notice.pod.name]?.annotations[RemovalNames.podRemoval] = notice.removal
                    state.pods[notice.pod.name]?.annotations[RemovalNames.podToken] = token
                }
            }
            defer { state.withLock { $0.running -= 1 } }
            if channel == .hook, hang {
                await withCheckedContinuation { continuation in waiting.withLock { $0.append(continuation) } }
            }
            return .delivered(answer: nil)
        }

        func record(_ notice: Notice) async {
            state.withLock {
                $0.pods[notice.pod.name]?.annotations[RemovalNames.podNotice] = notice.record
            }
        }

        func recordAnswer(_ notice: Notice, _ word: AnswerWord) async -> Bool {
            state.withLock { $0.pods[notice.pod.name]?.annotations[RemovalNames.podAnswer] = word.text }
            return true
        }

        func openGate(_ pod: NodePod) async -> Bool { true }
        func nodeEvent(_ node: String, _ explanation: Explanation) async {}

        func annotation(_ pod: String, _ name: String) -> String? {
            state.withLock { $0.pods[pod]?.annotations[name] }
        }
    }

    /// A chat that takes everything.
    final class Chat: WebhookSending {
        private let taken = Lock<[String]>([])
        var messages: [String] { taken.withLock { $0 } }

        func send(_ message: WebhookMessage) async -> WebhookOutcome {
            taken.withLock { $0.append(message.id) }
            return .taken
        }
    }

    /// Runs an engine until the body is through.
    func with(
        _ cluster: Cluster, parallelHooks: Int = 100, cooldown: Interval = .seconds(60), chat: Chat = Chat(),
        _ body: (NotifierEngine, Lock<[Event]>, Metrics) async throws -> Void
    ) async throws {
        var policy = Village.policy
        policy.pods.terms.cooldown = cooldown
        policy.webhooks = [WebhookPlan(id: "chat", phases: [.removed])]
        let metrics = Metrics()
        let warm = WarmCluster()
        let record = Village.record("n1", at: .now())
        warm.nodes.replace([NotifiedNode(name: "n1", uid: "uid-n1", record: record)])
        warm.pods.replace([])
        let engine = NotifierEngine(
            policy: policy, pods: cluster, warm: warm, lease: .unlimited,
            observer: NotifierObserver(
                log: Logger(service: "test", level: .error, write: { _ in }), metrics: metrics, readiness: Readiness()),
            tokens: AnswerTokens("secret"), webhooks: chat, parallelHooks: parallelHooks,
            answerURL: { "http://notifier/answers/\($0)/\($1)" })
        let published = Lock<[Event]>([])
        let task = Task {
            await engine.run { event in
                published.withLock { $0.append(event) }
                return true
            }
        }
        do {
            try await body(engine, published, metrics)
        } catch {
            task.cancel()
            cluster.letGo()
            throw error
        }
        task.cancel()
        cluster.letGo()
        await task.value
        #expect(await engine.answer(removal: "r1", podUID: "web-0", .done, token: "", .http) == nil, "it has ended")
        #expect(!engine.hear(EngineTests.completed()), "it has ended, so whoever acts next is to hear it")
    }

    func types(_ published: Lock<[Event]>) -> [EventType] { published.withLock { $0.map(\.type) } }

    @Test("told, answered with the token of the notice, over; a forged token changes nothing")
    func answers() async throws {
        let cluster = Cluster(pods: 2)
        try await with(cluster) { engine, published, metrics in
            try await eventually("noticed") { types(published).contains(.removalNoticed) }
            try await eventually("recorded") { cluster.annotation("web-1", RemovalNames.podNotice) != nil }
            #expect(
                cluster.annotation("web-0", RemovalNames.podNotice)
                    == "r1 annotation=told hook=told bus=told event=told")
            let shutdowns = published.withLock { events in
                events.compactMap { if case .podShutdown(let notice) = $0 { notice } else { nil } }
            }
            #expect(shutdowns.count == 2)
            let notice = try #require(shutdowns.first { $0.pod == "web-0" })
            #expect(notice.answerURL == "http://notifier/answers/r1/web-0")
            #expect(cluster.annotation("web-0", RemovalNames.podToken) == notice.token)
            let forged = await engine.answer(removal: "r1", podUID: "web-1", .done, token: notice.token, .bus)
            #expect(forged == AnswerReceipt(verdict: .forged))
            // Any replica makes the same token.
            let token = AnswerTokens("secret").token(removal: "r1", podUID: "web-0")
            #expect(token == notice.token)
            let first = await engine.answer(removal: "r1", podUID: "web-0", .extend(.seconds(1e5)), token: token, .http)
            #expect(first?.verdict == .clamped)
            #expect(first?.deadline.map { $0 > notice.deadline } == true)
            for (pod, verdict) in [("web-0", AnswerVerdict.accepted), ("web-1", .accepted), ("web-1", .late)] {
                let token = AnswerTokens("secret").token(removal: "r1", podUID: pod)
                #expect(await engine.answer(removal: "r1", podUID: pod, .done, token: token, .bus)?.verdict == verdict)
            }
            #expect(cluster.annotation("web-1", RemovalNames.podAnswer) == "done")
            try await eventually("over") { types(published).contains(.removalQuiesced) }
            let text = metrics.text()
            #expect(text.contains(#"updraft_notifier_answers_total{source="bus",verdict="forged"} 1"#), "\(text)")
            #expect(text.contains(#"updraft_notifier_deliveries_total{channel="hook",outcome="delivered"} 2"#))
            #expect(text.contains("updraft_notifier_cooldowns 0"))
            #expect(text.contains("updraft_notifier_cooldown_seconds_left 0"))
        }
    }

    static func completed(_ id: String = "r0") -> Event {
        var record = Village.record("gone", at: .now())
        record.id = id
        return .removalCompleted(RemovalCompleted(cluster: "prod", removal: record.progress(node: "gone", at: .now())))
    }

    @Test("the end of a removal whose Node is gone comes by the bus, and is told to the webhooks once")
    func ends() async throws {
        let chat = Chat()
        try await with(Cluster(pods: 1), chat: chat) { engine, _, _ in
            #expect(engine.hear(Self.completed()))
            #expect(engine.hear(Self.completed()))
            #expect(engine.hear(Self.completed("r2")))
            try await eventually("told") { chat.messages.count == 2 }
            #expect(chat.messages.sorted() == ["r0/gone/removed", "r2/gone/removed"])
        }
    }

    @Test("hooks that hang: a bounded number at once, and the node's cooldown ends all the same")
    func hanging() async throws {
        let cluster = Cluster(pods: 20, hang: true)
        try await with(cluster, parallelHooks: 4, cooldown: .seconds(3)) { _, published, metrics in
            try await eventually("all but the hooks were told") {
                cluster.state.withLock { $0.told.filter { $0 == .event }.count } == 20
            }
            #expect(metrics.text().contains("updraft_notifier_cooldowns 1"))
            try await eventually("over") { types(published).contains(.removalQuiesced) }
            #expect(cluster.state.withLock { $0.told.filter { $0 == .hook }.count } == 4)
            // Their pods' time is over, so the rest is not called: at their addresses there may be others by now.
            cluster.letGo()
            let expired = #"updraft_notifier_deliveries_total{channel="hook",outcome="expired"} 16"#
            try await eventually("the others are given up") { metrics.text().contains(expired) }
            #expect(cluster.state.withLock { $0.told.filter { $0 == .hook }.count } == 4)
            try await eventually("recorded") {
                (0..<20).filter {
                    cluster.annotation("web-\($0)", RemovalNames.podNotice)
                        == "r1 annotation=told hook=expired bus=told event=told"
                }.count == 16
            }
        }
    }
}
