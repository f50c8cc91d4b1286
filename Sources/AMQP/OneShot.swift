import Support

/// Single calls to a broker, each over a connection of its own on a thread of its own.
public enum OneShot {
    /// A message read without taking it away.
    public struct Peeked: Sendable, Equatable {
        /// The content; empty if it is above the settings' size limit.
        public let body: [UInt8]
        /// How long the body was on the wire.
        public let bodySize: UInt64
        /// What travelled with it.
        public let properties: MessageProperties
    }

    /// Connects, logs in and declares `topology`; throws why that fails. For doctors and first starts.
    public static func check(_ settings: AMQPSettings, topology: Topology = .init()) async throws(AMQPError) {
        try await run(settings) { session throws(AMQPError) in try session.declare(topology) }
    }

    /// What a queue holds and who reads it.
    public struct QueueState: Sendable, Equatable {
        /// Messages ready to be delivered.
        public let messages: Int
        /// Consumers.
        public let consumers: Int
    }

    /// Looks at a queue, whoever's it is, and changes nothing. Nil if there is none.
    public static func look(_ settings: AMQPSettings, queue: String) async throws(AMQPError) -> QueueState? {
        do throws(AMQPError) {
            return try await run(settings) { session throws(AMQPError) in try session.look(queue) }
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Declares `topology`, then reads the first message of `queue` and leaves it there. Nil if no message is to be had:
    /// the queue is empty, or what it holds is out with another reader.
    public static func peek(
        _ settings: AMQPSettings, topology: Topology = .init(), queue: String
    ) async throws(AMQPError) -> Peeked? {
        try await run(settings) { session throws(AMQPError) in
            try session.declare(topology)
            try session.get(queue)
            return try firstMessage(&session, settings)
        }
    }

    private static func firstMessage(
        _ session: inout Session, _ settings: AMQPSettings
    ) throws(AMQPError) -> Peeked? {
        let doorbell = try Doorbell()
        let deadline = monotonicNow() + settings.connectTimeout.microseconds
        var events: [Inbound] = []
        while monotonicNow() < deadline {
            _ = try session.drain(into: &events)
            for event in events {
                switch event {
                case .content(let content):
                    return Peeked(body: content.body, bodySize: content.size, properties: content.properties)
                case .empty: return nil
                case .channelClosed(let error): throw error
                default: break
                }
            }
            events = []
            doorbell.wait(socket: session.descriptor, milliseconds: 100)
        }
        throw AMQPError(.timedOut, "no answer to a get")
    }

    /// Runs `body` with a session to the first host that takes one.
    static func run<Value: Sendable>(
        _ settings: AMQPSettings, _ body: @escaping @Sendable (inout Session) throws(AMQPError) -> Value
    ) async throws(AMQPError) -> Value {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, AMQPError>, Never>) in
            do throws(AMQPError) {
                try startThread(named: "amqp once") { continuation.resume(returning: attempt(settings, body)) }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    private static func attempt<Value: Sendable>(
        _ settings: AMQPSettings, _ body: (inout Session) throws(AMQPError) -> Value
    ) -> Result<Value, AMQPError> {
        var last = AMQPError(.invalidURL, "no host")
        for host in settings.url.hosts {
            do throws(AMQPError) {
                var session = try Session.open(host, settings)
                do throws(AMQPError) {
                    let value = try body(&session)
                    session.close()
                    return .success(value)
                } catch {
                    return .failure(error)
                }
            } catch {
                last = error
            }
        }
        return .failure(last)
    }
}
