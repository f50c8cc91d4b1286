import AMQP
import Bus
import Crypto
import FoundationEssentials
import JSONReader
import Messages
import Support
import Testing

/// Notices and answers on a real broker, as applications see them: an unmodified oslo.messaging, and plain AMQP.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct NoticeTests {
    private func notice(_ cluster: String, _ pod: String, withdrawn: Bool = false) -> PodShutdown {
        PodShutdown(
            cluster: cluster, removal: "r1", namespace: "shop", pod: pod, podUID: "uid-\(pod)", labels: ["app": "wéb"],
            node: "worker-7", reason: Explanation(.nodeUnneeded, "idle"), deadline: .now() + .seconds(60),
            answerURL: "http://notifier/answers/r1/uid-\(pod)", token: "token-\(pod)", withdrawn: withdrawn)
    }

    /// Whether commands are signed or not: applications have no keys.
    @Test(arguments: [true, false]) func `An application with oslo messaging is told and answers`(isSigned: Bool)
        async throws
    {
        let cluster = TestBroker.unique("c")
        let keys = isSigned ? SigningKeys([SigningKeys.Key(id: "k1", secret: randomBytes(32))].compactMap { $0 }) : nil
        let url = try #require(TestBroker.transportURL)
        let output = "\(environmentTemporary())/\(TestBroker.unique("updraft-oslo"))"
        func lines() -> [Substring] {
            let data = (try? Data(contentsOf: URL(filePath: output))) ?? Data()
            return String(decoding: data, as: UTF8.self).split(separator: "\n")
        }
        defer { try? FileManager.default.removeItem(atPath: output) }
        let notifier = try TestBroker.bus(cluster: cluster, service: "notifier", keys: keys)
        let answers = Log<Answer>()
        let hearing = Task {
            try await notifier.subscribe(Subscription(topics: [.answers])) { incoming in
                if case .podShutdownDone(let done) = incoming.event { answers.add(done.answer) }
                return .done
            }
        }
        try await eventually("it stands") { notifier.health.connections == 2 && notifier.health.problems.isEmpty }
        let process = try Command.spawn(
            [
                "/usr/bin/python3", "\(TestBroker.repository)/Tests/IntegrationTests/oslo/peer.py", "application", url,
                "updraft", "updraft.\(cluster)", "2",
            ], output: output)
        try await eventually("it listens") { lines().contains("READY") }
        try await notifier.publish(notice(cluster, "web-0"))
        try await notifier.publish(notice(cluster, "web-1", withdrawn: true))
        let status = await Command.wait(process)
        #expect(status == 0, "\(lines().joined(separator: "\n"))")
        try await eventually("the answer arrived") { answers.count == 1 }
        #expect(answers.all == [Answer(removal: "r1", podUID: "uid-web-0", token: "token-web-0")])
        await notifier.close()
        try await hearing.value
    }

    @Test func `A plain AMQP consumer reads a notice as the page says`() async throws {
        let cluster = TestBroker.unique("c")
        let bus = try TestBroker.bus(cluster: cluster, service: "notifier")
        try await eventually("connected") { bus.health.isReady }
        let queue = TestBroker.unique("test.notices")
        let topology = Topology(
            queues: [.init(queue)],
            bindings: [.init(queue: queue, exchange: "updraft", routingKey: "updraft.\(cluster).notices.info")])
        let consumer = try Consumer(settings: try TestBroker.settings(), topology: topology, queue: queue)
        var iterator = consumer.deliveries.makeAsyncIterator()
        let sent = notice(cluster, "web-0")
        // The queue may be bound a little later than this: published until it is there.
        let publishing = Task {
            while !Task.isCancelled {
                _ = try? await bus.publish(sent)
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        let delivery = try #require(await iterator.next())
        publishing.cancel()
        let text = try #require(try JSONValue.parse(delivery.body)["oslo.message"]?.stringValue)
        let message = try JSONValue.parse(text)
        #expect(message["event_type"]?.stringValue == "updraft.pod.shutdown")
        #expect(message[path: "payload", "pod"]?.stringValue == "web-0")
        #expect(message[path: "payload", "labels", "app"]?.stringValue == "wéb")
        #expect(message[path: "payload", "token"]?.stringValue == "token-web-0")
        #expect(message[path: "payload", "deadline"]?.stringValue == sent.deadline.rfc3339)
        await consumer.close()
        await bus.close()
    }
}
