import HTTPClient
import JSONReader
import Messages
import Support
import TestServer
import Testing

@testable import Notifier
@testable import Settings

@Suite("Node-wide webhooks", .timeLimit(.minutes(6)))
struct WebhookTests {
    static let start = Village.start

    func record(_ phase: RemovalPhase = .cordoned, id: String = "r1", since: Timestamp = start) -> RemovalRecord {
        var record = Village.record("n1", at: since)
        record.id = id
        record.phase = phase
        record.since = since
        return record
    }

    func core(_ plans: WebhookPlan...) -> WebhookCore { WebhookCore(plans, cluster: "prod") }

    func sends(_ actions: [WebhookCore.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .send(let message, let attempt): "\(message.webhook) \(message.id) \(attempt)"
            case .givenUp(let message, let why): "\(message.webhook) \(message.id) given up: \(why)"
            }
        }
    }

    func message(_ actions: [WebhookCore.Action]) -> WebhookMessage? {
        if case .send(let message, _)? = actions.first { message } else { nil }
    }

    @Test("each webhook is told of its phases, once, with the values of the record")
    func phases() throws {
        var core = core(
            WebhookPlan(id: "chat", phases: [.cordoned, .cancelled]), WebhookPlan(id: "log", phases: [.noticed]))
        let first = core.recordSeen("n1", record(), isFirst: false, at: WebhookTests.start)
        #expect(sends(first) == ["chat r1/n1/cordoned 1"])
        #expect(core.recordSeen("n1", record(), isFirst: false, at: WebhookTests.start).isEmpty)
        let values = try #require(message(first)).values
        #expect(Set(values.keys) == Set(NoticeVariable.allCases))
        #expect(values[.node] == "n1" && values[.group] == "workers" && values[.phase] == "cordoned")
        #expect(values[.reason] == "NodeUnneeded" && values[.cluster] == "prod" && values[.removal] == "r1")
        var noticed = record(.noticed)
        noticed.cooldownUntil = WebhookTests.start + .seconds(30)
        let second = core.recordSeen("n1", noticed, isFirst: false, at: WebhookTests.start)
        #expect(sends(second) == ["log r1/n1/noticed 1"])
        #expect(message(second)?.values[.deadline] == (WebhookTests.start + .seconds(30)).rfc3339)
        var cancelled = record(.cancelled)
        cancelled.outcome = Explanation(.loadReturned, "3 pods pending")
        #expect(core.recordSeen("n1", cancelled, isFirst: false, at: WebhookTests.start).isEmpty)
        let told = core.sent(try #require(message(first)), .taken, at: WebhookTests.start)
        #expect(sends(told) == ["chat r1/n1/cancelled 1"])
        #expect(message(told)?.values[.reason] == "LoadReturned")
        #expect(message(told)?.values[.detail] == "3 pods pending")
    }

    @Test("of one node one thing after the other; another node does not wait")
    func order() throws {
        var core = core(WebhookPlan(id: "chat", phases: Set(RemovalPhase.allCases)))
        let now = WebhookTests.start
        let first = core.recordSeen("n1", record(), isFirst: false, at: now)
        #expect(core.recordSeen("n1", record(.noticed), isFirst: false, at: now).isEmpty)
        #expect(core.recordSeen("n1", record(.quiesced), isFirst: false, at: now).isEmpty)
        #expect(sends(core.recordSeen("n2", record(), isFirst: false, at: now)) == ["chat r1/n2/cordoned 1"])
        let second = core.sent(try #require(message(first)), .taken, at: now)
        #expect(sends(second) == ["chat r1/n1/noticed 1"])
        // What was answered already, or was never asked, changes nothing.
        #expect(core.sent(try #require(message(first)), .taken, at: now).isEmpty)
        #expect(sends(core.sent(try #require(message(second)), .taken, at: now)) == ["chat r1/n1/quiesced 1"])
        #expect(core.pending == 2)
    }

    @Test("what fails is tried again with growing waits, then given up, and the next goes on")
    func retried() throws {
        var core = core(
            WebhookPlan(
                id: "chat", phases: [.cordoned, .noticed], attempts: 4, backoff: .seconds(2),
                maximumBackoff: .seconds(5)))
        var now = WebhookTests.start
        let first = try #require(message(core.recordSeen("n1", record(), isFirst: false, at: now)))
        _ = core.recordSeen("n1", record(.noticed), isFirst: false, at: now)
        var waits: [Interval] = []
        for attempt in 2...4 {
            #expect(core.sent(first, .failed("503", isRetriable: true, after: nil), at: now).isEmpty)
            let next = core.nextWake()
            let wake = try #require(next)
            waits.append(wake - now)
            #expect(core.due(at: wake - .milliseconds(1)).isEmpty)
            now = wake
            #expect(sends(core.due(at: now)) == ["chat r1/n1/cordoned \(attempt)"])
        }
        #expect(waits == [.seconds(2), .seconds(4), .seconds(5)])
        let end = core.sent(first, .failed("503", isRetriable: true, after: nil), at: now)
        #expect(sends(end) == ["chat r1/n1/cordoned given up: 503", "chat r1/n1/noticed 1"])
    }

    @Test("one that asks to be left alone is; one that says no is not asked again")
    func asked() throws {
        var core = core(WebhookPlan(id: "chat", phases: [.cordoned]))
        let now = WebhookTests.start
        let first = try #require(message(core.recordSeen("n1", record(), isFirst: false, at: now)))
        #expect(core.sent(first, .failed("429", isRetriable: true, after: .seconds(30)), at: now).isEmpty)
        #expect(core.nextWake() == now + .seconds(30))
        _ = core.due(at: now + .seconds(30))
        #expect(
            sends(core.sent(first, .failed("404", isRetriable: false, after: nil), at: now))
                == ["chat r1/n1/cordoned given up: 404"])
        #expect(core.nextWake() == nil)
        #expect(core.pending == 0)
    }

    @Test("who takes over tells what has just happened, not what is long past")
    func takingOver() {
        var core = core(WebhookPlan(id: "chat", phases: Set(RemovalPhase.allCases)))
        let now = WebhookTests.start + .minutes(10)
        #expect(core.recordSeen("old", record(.noticed), isFirst: true, at: now).isEmpty)
        let fresh = record(.noticed, since: now - .seconds(90))
        #expect(sends(core.recordSeen("fresh", fresh, isFirst: true, at: now)) == ["chat r1/fresh/noticed 1"])
        // Once it has taken over, all is news.
        #expect(sends(core.recordSeen("old", record(.quiesced), isFirst: false, at: now)) == ["chat r1/old/quiesced 1"])
        #expect(core.recordSeen("old", record(.cordoned, id: "r2"), isFirst: false, at: now).isEmpty)
    }

    @Test("a webhook that is away for ever costs bounded memory, and says what it loses")
    func bounded() {
        var core = core(WebhookPlan(id: "chat", phases: [.cordoned]))
        var lost = 0
        for index in 0..<(WebhookCore.maximumWaiting + 5) {
            for action in core.recordSeen("n\(index)", record(), isFirst: false, at: WebhookTests.start) {
                if case .givenUp = action { lost += 1 }
            }
        }
        #expect(lost == 5)
        #expect(core.pending == WebhookCore.maximumWaiting)
    }

    @Test("it delays nothing: the cooldown of a node ends while its webhook fails")
    func delays() {
        var village = Village {
            $0.webhooks = [WebhookPlan(id: "chat", phases: Set(RemovalPhase.allCases), attempts: 3)]
        }
        village.webhookOutcome = .failed("timed out", isRetriable: true, after: nil)
        village.addPod("web-1")
        village.cordon()
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - Village.start <= .seconds(61))
        #expect(village.webhookCalls == Array(repeating: "r1/n1/cordoned", count: 3))
        #expect(village.webhooksGivenUp == ["r1/n1/cordoned"])
    }

    // MARK: Events

    func event(
        _ phase: RemovalPhase = .removed, _ node: String = "n1", reason: Reason = .nodeUnneeded,
        at time: Timestamp = start
    ) -> RemovalProgress {
        var record = record(phase)
        record.outcome = Explanation(reason, "3 pods lost")
        return record.progress(node: node, at: time)
    }

    @Test("the Node is gone before its record says removed: the event tells it, and what was lost")
    func nodeGone() throws {
        var village = Village {
            $0.webhooks = [WebhookPlan(id: "chat", phases: [.cordoned, .removed, .failed])]
        }
        village.cordon()
        village.feed(.nodeGone(name: "n1", uid: "uid-n1"))
        #expect(village.webhookCalls == ["r1/n1/cordoned"])
        let completed = RemovalCompleted(cluster: "prod", removal: event(reason: .podsLost, at: village.now))
        let step = try #require(RemovalStep(.removalCompleted(completed)))
        village.feed(.removalHeard(step.progress, step.phase))
        #expect(village.webhookCalls == ["r1/n1/cordoned", "r1/n1/removed"])
        // Events come at least once.
        village.feed(.removalHeard(step.progress, step.phase))
        #expect(village.webhookCalls.count == 2)

        var core = core(WebhookPlan(id: "chat", phases: [.removed]))
        let values = try #require(message(core.eventHeard(step.progress, .removed, at: Self.start))).values
        #expect(Set(values.keys) == Set(NoticeVariable.allCases))
        #expect(values[.reason] == "PodsLost" && values[.detail] == "3 pods lost" && values[.phase] == "removed")
    }

    @Test("what record and event both say is told once, in whichever order they come")
    func twice() {
        var core = core(WebhookPlan(id: "chat", phases: Set(RemovalPhase.allCases)))
        let now = Self.start
        #expect(sends(core.recordSeen("n1", record(), isFirst: false, at: now)) == ["chat r1/n1/cordoned 1"])
        #expect(core.eventHeard(event(.cordoned), .cordoned, at: now).isEmpty)
        // The watch missed a phase.
        #expect(core.recordSeen("n1", record(.quiesced), isFirst: false, at: now).isEmpty)
        #expect(core.pending == 2)
        #expect(core.eventHeard(event(.noticed), .noticed, at: now).isEmpty)
        #expect(core.pending == 3)
        #expect(core.eventHeard(event(.quiesced), .quiesced, at: now).isEmpty)
        #expect(core.pending == 3)
        // The event first.
        #expect(sends(core.eventHeard(event(.drained, "n2"), .drained, at: now)) == ["chat r1/n2/drained 1"])
        #expect(core.recordSeen("n2", record(.drained), isFirst: false, at: now).isEmpty)
        #expect(core.pending == 4)
    }

    @Test("who takes over hears what waited in the queue; what the Actuator merely says again is not news")
    func waited() {
        var core = core(WebhookPlan(id: "chat", phases: Set(RemovalPhase.allCases)))
        let now = Self.start + .minutes(10)
        #expect(core.recordSeen("n1", record(.noticed), isFirst: true, at: now).isEmpty)
        #expect(core.eventHeard(event(.noticed, at: now), .noticed, at: now).isEmpty)
        #expect(core.pending == 0)
        #expect(
            sends(core.eventHeard(event(.noticed, at: Self.start), .noticed, at: now)) == ["chat r1/n1/noticed 1"])
    }

    @Test("which events are steps of a removal that a Node was under")
    func steps() {
        func phase(_ event: Event) -> RemovalPhase? { RemovalStep(event)?.phase }
        func failed(_ progress: RemovalProgress) -> Event {
            .removalFailed(RemovalFailed(cluster: "prod", removal: progress))
        }
        #expect(phase(.removalQuiesced(RemovalQuiesced(cluster: "prod", removal: event(.noticed)))) == .quiesced)
        #expect(phase(failed(event(.cancelled))) == .cancelled)
        #expect(phase(failed(event(.failed))) == .failed)
        // The Node went in the middle of it.
        #expect(phase(failed(event(.noticed))) == .failed)
        var refused = event()
        refused.phase = nil
        #expect(phase(failed(refused)) == nil)
        var machine = event()
        machine.nodeUID = RemovalNames.unregistered
        #expect(phase(.removalCompleted(RemovalCompleted(cluster: "prod", removal: machine))) == nil)
        #expect(
            phase(
                .nodeReady(
                    NodeReady(
                        cluster: "prod",
                        arrival: NodeArrival(
                            node: "n1", nodeUID: "u", serverID: "s", group: "workers", at: Self.start)))) == nil)
    }

    @Test("what was said is forgotten in the end")
    func memory() {
        var core = core(WebhookPlan(id: "chat", phases: [.removed]))
        for index in 0..<1_000 {
            let now = Self.start + .minutes(Double(index))
            _ = core.eventHeard(event(.removed, "n\(index)"), .removed, at: now)
        }
        #expect(core.remembered < 70)
    }

    // MARK: Sending

    func settings(_ lines: String, environment: [String: String] = [:]) throws -> [Settings.Notifier.Webhook] {
        let file = try TemporaryFile("cluster: prod\nnotifier:\n  webhooks:\n" + lines)
        return try Settings.load(file: file.path, environment: environment, flags: []).notifier.webhooks
    }

    @Test("the message is what the template says, with its headers and secrets")
    func sending() async throws {
        let seen = Lock<[TestRequest]>([])
        let server = TestServer.answering { request in
            seen.withLock { $0.append(request) }
            return (200, [], "ok")
        }
        let webhooks = try settings(
            """
                - id: chat
                  url_env: CHAT_URL
                  headers:
                  - {name: Authorization, value_env: CHAT_TOKEN}
                  body: '{"text": "{{node}} in {{group}}: {{phase}}, {{detail}}"}'
                - id: ticket
                  url: \(server.url)/ticket?x=1
                  content_type: text/plain; charset=utf-8
                  body: "{{cluster}}/{{node}} {{reason}} until {{deadline}} ({{removal}})"
            """, environment: ["CHAT_URL": "\(server.url)/hooks/T000", "CHAT_TOKEN": "Bearer of-the-chat"])
        let door = WebhookDoor(webhooks, userAgent: "test", isDryRun: false)
        var hostile = record(.failed)
        hostile.outcome = Explanation(.heatRefused, "\"}, \"text\": \"\\ \n\u{7}<script>")
        var core = core(
            WebhookPlan(id: "chat", phases: [.failed]), WebhookPlan(id: "ticket", phases: [.failed]))
        for action in core.recordSeen("n1", hostile, isFirst: false, at: WebhookTests.start) {
            if case .send(let message, _) = action { #expect(await door.send(message) == .taken) }
        }
        await door.close()
        let requests = seen.withLock { $0 }
        let chat = try #require(requests.first { $0.path == "/hooks/T000" })
        #expect(chat.method == "POST")
        #expect(chat.headers["authorization"] == "Bearer of-the-chat")
        #expect(chat.headers["content-type"] == "application/json")
        #expect(chat.headers["idempotency-key"] == "r1/n1/failed")
        #expect(
            try JSONValue.parse(chat.body)["text"]?.stringValue
                == "n1 in workers: failed, \"}, \"text\": \"\\ \n\u{7}<script>")
        let ticket = try #require(requests.first { $0.path == "/ticket" })
        #expect(ticket.headers["content-type"] == "text/plain; charset=utf-8")
        #expect(ticket.text == "prod/n1 HeatRefused until \(hostile.deadline.rfc3339) (r1)")
    }

    @Test("what each answer of a webhook leads to; no error shows its address")
    func answers() async throws {
        func outcome(_ status: Int, _ headers: [(String, String)] = []) async throws -> WebhookOutcome {
            let server = TestServer.answering { _ in (status, headers, "no") }
            let door = WebhookDoor(
                try settings("  - {id: chat, url: '\(server.url)/secret-path', timeout: 20s}"), userAgent: "test",
                isDryRun: false)
            let outcome = await door.send(WebhookMessage(webhook: "chat", node: "n", removal: "r", phase: .failed))
            await door.close()
            return outcome
        }
        #expect(try await outcome(204) == .taken)
        #expect(
            try await outcome(429, [("Retry-After", "30")])
                == .failed("it answered 429", isRetriable: true, after: .seconds(30)))
        #expect(
            try await outcome(503, [("Retry-After", "-1e999")])
                == .failed("it answered 503", isRetriable: true, after: nil))
        #expect(try await outcome(404) == .failed("it answered 404", isRetriable: false, after: nil))
        #expect(
            try await outcome(302, [("Location", "http://127.0.0.1:1/")])
                == .failed("it answered 302; redirects are not followed", isRetriable: false, after: nil))
        let door = WebhookDoor(
            try settings("  - {id: chat, url: 'http://127.0.0.1:1/secret-path'}"), userAgent: "test", isDryRun: false)
        let refused = await door.send(WebhookMessage(webhook: "chat", node: "n", removal: "r", phase: .failed))
        #expect(refused == .failed("no answer: refused", isRetriable: true, after: nil))
        await door.close()
    }
}
