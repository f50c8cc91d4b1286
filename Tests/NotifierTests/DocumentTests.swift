import FoundationEssentials
import JSONReader
import Messages
import Settings
import Support
import TestServer
import Testing

@testable import Notifier

/// The examples of docs/notices.md are what the code says and takes.
@Suite("The page for application authors")
struct DocumentTests {
    struct Example {
        var name: String
        var text: String
        var bytes: [UInt8] { Array(text.utf8) }
    }

    static let page: String = {
        let path = #filePath.replacing("Tests/NotifierTests/DocumentTests.swift", with: "docs/notices.md")
        return (try? String(contentsOf: URL(filePath: path), encoding: .utf8)) ?? ""
    }()

    /// Blocks that a comment names.
    static let examples: [Example] = {
        var examples: [Example] = []
        var rest = page[...]
        while let mark = rest.firstRange(of: "<!-- example: ") {
            rest = rest[mark.upperBound...]
            let name = rest.prefix { $0 != " " }
            guard let open = rest.firstRange(of: "```"), let line = rest[open.upperBound...].firstIndex(of: "\n"),
                let close = rest[line...].firstRange(of: "\n```")
            else { break }
            examples.append(Example(name: String(name), text: String(rest[line..<close.lowerBound])))
            rest = rest[close.upperBound...]
        }
        return examples
    }()

    func example(_ name: String) throws -> Example {
        try #require(DocumentTests.examples.first { $0.name == name }, "docs/notices.md has no example \(name)")
    }

    let notice = Notice(
        removal: "r-7f3a", node: "worker-7", serverID: "s",
        pod: NodePod(
            namespace: "shop", name: "web-0", uid: "6b1c9d2e-0000-4000-8000-000000000001", node: "worker-7",
            labels: ["app": "web"]),
        reason: Explanation(.nodeUnneeded, "idle for 10m"),
        deadline: Timestamp("2027-01-15T08:01:00Z") ?? Timestamp(seconds: 0))

    var payload: PodShutdown {
        PodShutdown(
            notice, cluster: "prod", token: "0123456789abcdef0123456789abcdef",
            answerURL: "http://notifier.updraft:8080/answers/r-7f3a/6b1c9d2e-0000-4000-8000-000000000001")
    }

    @Test("the hook gets what the page shows")
    func hook() throws {
        let time = try #require(Timestamp("2027-01-15T08:00:00Z"))
        let sent = try JSONEncoder().encode(CloudEvent.shutdown(payload, of: notice, at: time))
        let (made, shown) = (try JSONValue.parse(Array(sent)), try JSONValue.parse(try example("hook").bytes))
        // Times are compared as times: the page leaves out what is zero.
        #expect(plain(made) == plain(shown))
    }

    private func plain(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members): .object(members.mapValues(plain))
        case .array(let items): .array(items.map(plain))
        case .string(let text): .string(Timestamp(text)?.rfc3339 ?? text)
        default: value
        }
    }

    @Test("the envelope holds the same notice")
    func envelope() throws {
        let received = try MessageCoder.open(try example("envelope").bytes)
        #expect(received.envelope.eventType == PodShutdown.eventType.rawValue)
        #expect(try MessageCoder.payload(PodShutdown.self, of: received) == payload)
    }

    @Test("the answers are answers")
    func answers() throws {
        let bodies = DocumentTests.examples.filter { $0.name == "answer" }.map { AnswerBody($0.bytes) }
        #expect(bodies.map { $0?.word } == [.extend(.seconds(120)), .done])
        #expect(bodies.last??.token == payload.token)
        #expect(DocumentTests.page.contains(#"-d '{"answer": "done"}'"#))
    }

    @Test(
        "what goes on the bus is read",
        arguments: [EventType.podShutdownDone, .podShutdownExtend, .podShutdownRefuse])
    func bus(type: EventType) throws {
        let example = try JSONValue.parse(try example(type.rawValue).bytes)
        let message: JSONValue = [
            "message_id": "m", "publisher_id": "web.web-0", "event_type": .string(type.rawValue), "priority": "INFO",
            "timestamp": "2027-01-15 08:00:00.000000", "payload": example,
        ]
        let envelope: JSONValue = [
            "oslo.version": "2.0", "oslo.message": .string(String(decoding: message.bytes, as: UTF8.self)),
        ]
        let event = try Event(try MessageCoder.open(envelope.bytes))
        let answer: Answer
        switch event {
        case .podShutdownDone(let done): answer = done.answer
        case .podShutdownExtend(let extend):
            answer = extend.answer
            #expect(extend.seconds == 120)
        case .podShutdownRefuse(let refuse): answer = refuse.answer
        default: throw NoAnswer()
        }
        #expect(answer.removal == payload.removal && answer.podUID == payload.podUID && answer.token == payload.token)
    }

    struct NoAnswer: Error {}

    @Test("the configuration is one, and does what the page says")
    func configuration() throws {
        let file = try TemporaryFile(try example("configuration").text)
        let settings = try Settings.load(
            file: file.path, environment: ["CHAT_URL": "https://chat.example.org/x"], flags: [])
        let policy = NotifierPolicy(settings)
        func terms(_ namespace: String, _ priority: Int32 = 0, _ labels: [String: String] = [:]) -> PodTerms {
            policy.pods.terms(
                for: NodePod(namespace: namespace, name: "p", uid: "u", node: "n", labels: labels, priority: priority))
        }
        #expect(terms("batch-1").mayRefuse && terms("batch-1").maximumCooldown == .minutes(60))
        #expect(terms("shop", 1_000).cooldown == .minutes(5))
        #expect(terms("shop", 0, ["tier": "best-effort"]).maximumCooldown == .seconds(5))
        #expect(policy.webhooks.map(\.id) == ["chat"])
        #expect(policy.webhooks.first?.phases == [.noticed, .removed, .cancelled, .failed])
    }

    @Test("every annotation, verdict, variable and metric of the page is one")
    func names() {
        for name in [
            RemovalNames.podRemoval, RemovalNames.podDeadline, RemovalNames.podToken, RemovalNames.podNotice,
            RemovalNames.podAnswer, RemovalNames.shutdownHook, RemovalNames.servingGate,
        ] {
            #expect(DocumentTests.page.contains(name), "\(name)")
        }
        for verdict in AnswerVerdict.allCases where verdict != .unreadable {
            #expect(DocumentTests.page.contains("`\(verdict.rawValue)`"), "\(verdict)")
        }
        for variable in NoticeVariable.allCases {
            #expect(DocumentTests.page.contains("`{{\(variable.rawValue)}}`"), "\(variable)")
        }
    }
}
