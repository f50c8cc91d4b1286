import AMQP
import HTTPClient
import Support

/// Sends what the model wants sent: notifications to the broker, answers of applications to the Notifier.
struct OutputSender: Sendable {
    private let publisher: Publisher?
    private let client: HTTPClient

    /// `transportURL`: oslo's, nil for no notifications.
    init(transportURL: String?) throws(PracticeCloudError) {
        client = HTTPClient(maximumInFlight: 64, userAgent: "practice-application")
        guard let transportURL else {
            publisher = nil
            return
        }
        do throws(AMQPError) {
            // As Heat, Nova and Aodh declare theirs: not durable.
            let topology = Topology(
                exchanges: ["heat", "nova", "aodh"].map {
                    .init($0, kind: "topic", durable: false, mode: .declareIfMissing)
                })
            publisher = try Publisher(
                settings: AMQPSettings(url: try TransportURL(transportURL), name: "practice-heat"),
                topology: topology)
        } catch {
            throw PracticeCloudError(.broker, "transport URL: \(error.text)")
        }
    }

    /// Sends until the stream ends. Answers are not held up by a broker that is away.
    func run(_ outputs: AsyncStream<PracticeOutput>) async {
        let (messages, queue) = AsyncStream.makeStream(
            of: OutgoingMessage.self, bufferingPolicy: .bufferingNewest(20_000))
        await withDiscardingTaskGroup { group in
            group.addTask {
                // One after the other: their order means something.
                for await message in messages {
                    // Lost after a minute without a broker, as Heat's are.
                    try? await publisher?.publish(message, within: .seconds(60))
                }
            }
            for await output in outputs {
                switch output {
                case .notification(let exchange, let key, let body):
                    guard publisher != nil else { continue }
                    queue.yield(
                        OutgoingMessage(
                            exchange: exchange, routingKey: key, body: body,
                            properties: MessageProperties(
                                contentType: "application/json", contentEncoding: "utf-8", persistent: true,
                                priority: 0)))
                case .post(let post):
                    group.addTask { await self.post(post) }
                }
            }
            queue.finish()
            group.cancelAll()
        }
        await publisher?.close(flushWithin: .seconds(2))
        await client.close()
    }

    /// An application tries a few times, then gives up.
    private func post(_ post: HookModel.Post) async {
        for attempt in 1...5 {
            let request = HTTPRequest(
                .post, post.url, headers: ["Content-Type": "application/json"], body: post.body.bytes,
                timeouts: HTTPTimeouts(connect: .seconds(2), total: .seconds(5)))
            if let response = try? await client.send(request), response.status < 500 { return }
            try? await Task.sleep(for: .milliseconds(200 * attempt))
        }
    }
}
