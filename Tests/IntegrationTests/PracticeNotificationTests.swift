import AMQP
import HTTPClient
import JSONReader
import PracticeCloud
import Support
import Testing

/// The practice cloud's Heat on a real broker: a listener with a queue of its own hears a scaling from start to end.
@Suite(.serialized, .enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct PracticeNotificationTests {
    @Test func `A listener hears a policy's scaling in order`() async throws {
        var options = PracticeCloudOptions()
        options.pace = 0.05
        options.transportURL = TestBroker.transportURL
        // Names that no other test's practice cloud has.
        let stack = TestBroker.unique("k8s")
        try options.setStacks([
            [
                "name": .string(stack),
                "groups": [
                    ["desired": 2, "max": 4, "policies": [["resource": "scale_out", "adjustment": 1]]]
                ],
            ]
        ])
        let queue = TestBroker.unique("test.practice")
        let topology = Topology(
            exchanges: [.init("heat", kind: "topic", durable: false, mode: .declareIfMissing)],
            queues: [.init(queue, durable: false, autoDelete: true)],
            bindings: [
                .init(queue: queue, exchange: "heat", routingKey: "notifications.info"),
                .init(queue: queue, exchange: "heat", routingKey: "notifications.error"),
            ])
        let settings = try TestBroker.settings()
        let consumer = try Consumer(settings: settings, topology: topology, queue: queue, prefetch: 50)
        let heard = Lock<[String]>([])
        let listening = Task {
            for await delivery in consumer.deliveries {
                delivery.ack()
                guard let envelope = try? JSONValue.parse(delivery.body),
                    let message = try? JSONValue.parse(envelope["oslo.message"]?.stringValue ?? ""),
                    message["payload"]?["stack_name"]?.stringValue?.hasPrefix(stack) ?? false
                else { continue }
                let type = message["event_type"]?.stringValue ?? ""
                heard.withLock { $0.append(type) }
                if type == "orchestration.autoscaling.end" { break }
            }
        }
        try await eventually("the consumer is there") {
            if case .connected = consumer.state { return true }
            return false
        }
        let cloud = try PracticeCloud(options)
        let client = HTTPClient()
        let signal: JSONValue = ["stack": .string(stack), "policy": "scale_out"]
        let response = try await client.send(
            HTTPRequest(.post, "\(cloud.controlURL)/practice/actions/signal", body: signal.bytes))
        #expect(response.status == 200)
        await listening.value
        let types = heard.withLock { $0 }
        #expect(types.first == "orchestration.autoscaling.start")
        #expect(types.last == "orchestration.autoscaling.end")
        let group = try #require(types.firstIndex(of: "orchestration.stack.update.start"))
        let begun = try #require(types.firstIndex(of: "orchestration.stack.create.start"))
        let made = try #require(types.firstIndex(of: "orchestration.stack.create.end"))
        #expect(group < begun && begun < made)
        await client.close()
        await consumer.close()
        await cloud.stop()
    }
}
