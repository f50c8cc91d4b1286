import AMQP
import FoundationEssentials
import Glibc
import Support

/// What the bus can do at one broker.
public struct BusBenchResult: Sendable, Equatable, Codable {
    /// One way of publishing or consuming.
    public struct Rate: Sendable, Equatable, Codable {
        /// Messages.
        public var messages: Int
        /// Messages a second.
        public var rate: Double
        /// CPU time of this process, user and system, in microseconds a message.
        public var cpuMicroseconds: Double
    }

    /// Type of the queue.
    public var queueType: String
    /// Bytes of a body.
    public var size: Int
    /// Published and confirmed, up to 1,000 in flight, by one task a batch of 100.
    public var publish: Rate
    /// The same, by 1,000 tasks that each wait for the confirm of every message.
    public var publishTasks: Rate
    /// Published and confirmed by one task that waits for every confirm.
    public var publishWaiting: Rate
    /// Published by one connection while another consumes and acknowledges.
    public var publishAndConsume: Rate
    /// Publish to confirm at 200 messages a second, in milliseconds.
    public var confirmLatency: Percentiles
    /// Publish to delivery at 200 messages a second, in milliseconds.
    public var deliveryLatency: Percentiles

    /// A distribution.
    public struct Percentiles: Sendable, Equatable, Codable {
        /// The median.
        public var p50: Double
        /// 99 of 100 are no higher.
        public var p99: Double

        init(_ samples: [Double]) {
            let sorted = samples.sorted()
            func at(_ part: Double) -> Double {
                sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
            }
            p50 = at(0.5)
            p99 = at(0.99)
        }
    }
}

/// Measures publishing with confirms and consuming at a real broker. Messages are persistent; queues are made for the
/// purpose and deleted by the broker a minute later.
public enum BusBench {
    /// Runs every measurement with about `messages` messages (at least 1,000) of `size` bytes.
    public static func run(
        url: TransportURL, messages: Int, size: Int, queueType: String = "classic"
    ) async throws(AMQPError) -> BusBenchResult {
        var settings = AMQPSettings(url: url, name: "updraft bench")
        settings.maximumInFlight = 1_000
        let bench = Bench(settings: settings, size: size, queueType: queueType)
        return BusBenchResult(
            queueType: queueType, size: size,
            publish: try await bench.publish(messages),
            publishTasks: try await bench.publishTasks(max(1_000, messages), tasks: 1_000),
            publishWaiting: try await bench.publishTasks(max(100, messages / 20), tasks: 1),
            publishAndConsume: try await bench.publishAndConsume(messages),
            confirmLatency: try await bench.confirmLatency(), deliveryLatency: try await bench.deliveryLatency())
    }
}

private struct Bench: Sendable {
    let settings: AMQPSettings
    let size: Int
    let queueType: String

    /// A queue for one measurement.
    private func queue() -> (name: String, topology: Topology) {
        let name = "updraft.bench.\(UInt64.random(in: 0 ... .max))"
        let arguments: [String: AMQPValue] = ["x-queue-type": .string(queueType), "x-expires": 60_000]
        return (name, Topology(queues: [.init(name, arguments: arguments)]))
    }

    private func message(_ queue: String, _ head: [UInt8] = []) -> OutgoingMessage {
        OutgoingMessage(
            exchange: "", routingKey: queue,
            body: head + Array(repeating: 120, count: max(0, size - head.count)),
            properties: MessageProperties(contentType: "application/json", persistent: true))
    }

    /// A publisher that is connected: connecting is not measured.
    private func publisher(_ topology: Topology, _ queue: String) async throws(AMQPError) -> Publisher {
        let publisher = try Publisher(settings: settings, topology: topology)
        try await publisher.publish(message(queue), within: .seconds(30))
        return publisher
    }

    private func measured(
        _ messages: Int, _ body: () async throws(AMQPError) -> Void
    ) async throws(AMQPError) -> BusBenchResult.Rate {
        let cpu = cpuSeconds()
        let begun = ContinuousClock.now
        try await body()
        let seconds = begun.duration(to: .now).seconds
        return .init(
            messages: messages, rate: Double(messages) / seconds,
            cpuMicroseconds: (cpuSeconds() - cpu) / Double(messages) * 1e6)
    }

    func publish(_ messages: Int) async throws(AMQPError) -> BusBenchResult.Rate {
        let (name, topology) = queue()
        let publisher = try await publisher(topology, name)
        let batch = Array(repeating: message(name), count: 100)
        let rounds = max(1, messages / 1_000)
        let rate = try await measured(rounds * 1_000) { () async throws(AMQPError) in
            try await together(tasks: 10) { task throws(AMQPError) in
                for _ in 0..<rounds { try await publisher.publish(batch) }
            }
        }
        await publisher.close()
        return rate
    }

    func publishTasks(_ messages: Int, tasks: Int) async throws(AMQPError) -> BusBenchResult.Rate {
        let (name, topology) = queue()
        let publisher = try await publisher(topology, name)
        let message = message(name)
        let rate = try await measured(messages / tasks * tasks) { () async throws(AMQPError) in
            try await together(tasks: tasks) { task throws(AMQPError) in
                for _ in 0..<(messages / tasks) { try await publisher.publish(message) }
            }
        }
        await publisher.close()
        return rate
    }

    func publishAndConsume(_ messages: Int) async throws(AMQPError) -> BusBenchResult.Rate {
        let (name, topology) = queue()
        let publisher = try await publisher(topology, name)
        let consumer = try Consumer(settings: settings, topology: topology, queue: name, prefetch: 1_000)
        let batch = Array(repeating: message(name), count: 100)
        let rounds = max(1, messages / 1_000)
        let total = rounds * 1_000
        let rate = try await measured(total) { () async throws(AMQPError) in
            async let consumed: Void = take(total, consumer)
            try await together(tasks: 10) { task throws(AMQPError) in
                for _ in 0..<rounds { try await publisher.publish(batch) }
            }
            await consumed
        }
        await consumer.close()
        await publisher.close()
        return rate
    }

    private func take(_ count: Int, _ consumer: Consumer) async {
        var taken = 0
        for await delivery in consumer.deliveries {
            delivery.ack()
            taken += 1
            if taken == count { return }
        }
    }

    func confirmLatency() async throws(AMQPError) -> BusBenchResult.Percentiles {
        let (name, topology) = queue()
        let publisher = try await publisher(topology, name)
        var samples: [Double] = []
        for _ in 0..<1_000 {
            let begun = ContinuousClock.now
            try await publisher.publish(message(name))
            let took = begun.duration(to: .now)
            samples.append(took.seconds * 1_000)
            try? await Task.sleep(for: .milliseconds(5) - took)
        }
        await publisher.close()
        return .init(samples)
    }

    func deliveryLatency() async throws(AMQPError) -> BusBenchResult.Percentiles {
        let (name, topology) = queue()
        let publisher = try await publisher(topology, name)
        let consumer = try Consumer(settings: settings, topology: topology, queue: name)
        let start = ContinuousClock.now
        let total = 1_000
        async let arrived = latencies(total, consumer, since: start)
        for _ in 0..<total {
            let at = start.duration(to: .now).seconds
            let head = withUnsafeBytes(of: at.bitPattern.littleEndian) { Array($0) }
            try await publisher.publish(message(name, head))
            try? await Task.sleep(for: .milliseconds(5) - (start.duration(to: .now) - .seconds(at)))
        }
        let samples = await arrived
        await consumer.close()
        await publisher.close()
        return .init(samples)
    }

    private func latencies(_ count: Int, _ consumer: Consumer, since start: ContinuousClock.Instant) async -> [Double] {
        var samples: [Double] = []
        var isFirst = true
        for await delivery in consumer.deliveries {
            let now = start.duration(to: .now).seconds
            delivery.ack()
            // The first message made the connection sure and carries no time.
            if isFirst {
                isFirst = false
                continue
            }
            let bits = delivery.body.prefix(8).enumerated().reduce(UInt64(0)) {
                $0 | UInt64($1.element) << (8 * $1.offset)
            }
            samples.append((now - Double(bitPattern: bits)) * 1_000)
            if samples.count == count { break }
        }
        return samples
    }

    /// Runs `body` in so many tasks and throws the first error.
    private func together(
        tasks: Int, _ body: @escaping @Sendable (Int) async throws(AMQPError) -> Void
    ) async throws(AMQPError) {
        let failure = await withTaskGroup(of: AMQPError?.self) { group in
            for task in 0..<tasks {
                group.addTask {
                    do throws(AMQPError) {
                        try await body(task)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            var first: AMQPError?
            for await error in group where first == nil { first = error }
            return first
        }
        if let failure { throw failure }
    }

    private func cpuSeconds() -> Double {
        var usage = rusage()
        // RUSAGE_SELF is 0; the constant's type does not fit the parameter's in the Glibc module.
        getrusage(0, &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

extension Duration {
    fileprivate var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
