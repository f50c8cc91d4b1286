import Bus
import Messages
import Support

/// A queue of one command run, bound to some topics: what it hears comes in order, and the time in between.
struct Hearing: Sendable {
    /// What comes.
    enum Heard: Sendable {
        /// The queue is there: what is published from now on is heard.
        case connected
        /// The connection was lost; it comes back by itself, and what was published meanwhile is not heard.
        case disconnected(String)
        /// A message.
        case message(Incoming)
        /// A quarter of a second went by.
        case tick
    }

    /// The bus, to publish with.
    let bus: Bus
    /// What comes.
    let heard: AsyncStream<Heard>

    /// Listens while `body` runs.
    static func run<Value: Sendable>(
        _ link: SuiteLink, topics: [Topic], maximumLength: Int = 10_000,
        _ body: @Sendable @escaping (Hearing) async throws(CommandError) -> Value
    ) async throws(CommandError) -> Value {
        let (stream, continuation) = AsyncStream.makeStream(of: Heard.self, bufferingPolicy: .unbounded)
        let subscription = Subscription(
            topics: topics, kind: .perishable(maximumLength: maximumLength, ttl: .minutes(10)), exclusive: true,
            prefetch: 256, laps: [])
        let bus: Bus
        do throws(BusError) {
            bus = try Bus(link.forBus) { connection, event in
                guard connection != "publisher" else { return }
                switch event {
                case .connected: continuation.yield(.connected)
                case .disconnected(let error, _): continuation.yield(.disconnected(error.description))
                case .topologyRefused(let error), .awaiting(let error):
                    continuation.yield(.disconnected(error.description))
                case .blocked, .unblocked, .consumerCancelled: break
                }
            }
        } catch {
            throw CommandError(error.description)
        }
        let reading = Task {
            try? await bus.subscribe(subscription) { incoming in
                continuation.yield(.message(incoming))
                return .done
            }
        }
        let ticking = Task {
            while (try? await Task.sleep(for: .milliseconds(250))) != nil { continuation.yield(.tick) }
        }
        let result: Result<Value, CommandError>
        do throws(CommandError) {
            result = .success(try await body(Hearing(bus: bus, heard: stream)))
        } catch {
            result = .failure(error)
        }
        ticking.cancel()
        reading.cancel()
        await bus.close(within: .seconds(2))
        continuation.finish()
        return try result.get()
    }
}
