import AMQP
import FoundationEssentials
import Messages
import Support

/// A service's side of the bus (docs/architecture.md §3): one connection to publish on, one for each subscription.
/// They connect, and connect again, by themselves; nothing here blocks a thread of the caller.
public final class Bus: Sendable {
    private struct Reader: Sendable {
        var name: String
        var consumer: Consumer
    }

    private struct State {
        var readers: [UInt64: Reader] = [:]
        var pauses: [UInt64: Task<Void, Never>] = [:]
        var nextID: UInt64 = 1
        var closed = false
    }

    /// What it was made with.
    public let settings: BusSettings
    let observer: BusObserver
    private let onEvent: @Sendable (_ connection: String, ConnectionEvent) -> Void
    let publisher: Publisher
    private let state = Lock(State())

    /// Starts connecting. The queues of `standing` exist before anything is published, so that nothing is lost that comes
    /// while nobody reads them yet (a replica that stands by, a service that starts); whether their arguments are right is
    /// told when they are read. `onEvent` is told what happens to connections (`publisher`, or the name of a queue)
    /// on their threads and must return soon. Throws only if the system has no thread or descriptor left.
    public init(
        _ settings: BusSettings, standing: [Subscription] = [], observer: BusObserver = .init(),
        onEvent: @escaping @Sendable (_ connection: String, ConnectionEvent) -> Void = { _, _ in }
    ) throws(BusError) {
        self.settings = settings
        self.observer = observer
        self.onEvent = onEvent
        do throws(AMQPError) {
            publisher = try Publisher(
                settings: settings.connection("publisher"), topology: settings.publisherTopology(standing)
            ) {
                onEvent("publisher", $0)
            }
        } catch {
            throw BusError(error)
        }
    }

    /// How all connections stand.
    public var health: BusHealth {
        let readers = state.withLock { Array($0.readers.values) }
        let own = BusHealth.Problem("publisher", publisher.state)
        let theirs = readers.compactMap { BusHealth.Problem($0.name, $0.consumer.state) }
        return BusHealth(
            connections: 1 + readers.count,
            problems: ([own].compactMap { $0 } + theirs).sorted { $0.connection < $1.connection })
    }

    /// Messages given to the bus and not confirmed yet.
    public var backlog: Int { publisher.backlog }

    /// Ends all subscriptions, lets their handlers finish, confirms what is still to be sent, and disconnects: all
    /// within about the given time.
    public func close(within: Interval = .seconds(10)) async {
        let (readers, pauses) = state.withLock { state in
            state.closed = true
            return (Array(state.readers.values), Array(state.pauses.values))
        }
        for pause in pauses { pause.cancel() }
        await withTaskGroup(of: Void.self) { group in
            for reader in readers {
                group.addTask { await reader.consumer.close(within: within) }
            }
        }
        await publisher.close(flushWithin: within)
    }

    // MARK: - Subscriptions

    /// A subscription's connection, counted as a part of the bus while `body` runs.
    func withReader(
        _ name: String, topology: Topology, prefetch: Int, heartbeat: Interval?,
        _ body: (Consumer) async -> Void
    ) async throws(BusError) {
        let consumer: Consumer
        var connection = settings.connection(name)
        if let heartbeat { connection.heartbeat = min(heartbeat, connection.heartbeat) }
        do throws(AMQPError) {
            consumer = try Consumer(
                settings: connection, topology: topology, queue: name, prefetch: prefetch
            ) { [onEvent] in onEvent(name, $0) }
        } catch {
            throw BusError(error)
        }
        let id: UInt64? = state.withLock { state in
            guard !state.closed else { return nil }
            defer { state.nextID += 1 }
            state.readers[state.nextID] = Reader(name: name, consumer: consumer)
            return state.nextID
        }
        guard let id else {
            await consumer.close(within: .zero)
            throw BusError(.closed, "the bus is closed", isRetriable: false)
        }
        await body(consumer)
        await consumer.close(within: .seconds(1))
        state.withLock { $0.readers[id] = nil }
    }

    /// Waits; shorter if the task is cancelled or the bus is closed.
    func rest(_ pause: Interval) async {
        let task = Task { _ = try? await Task.sleep(for: pause.duration) }
        let id: UInt64? = state.withLock { state in
            guard !state.closed else { return nil }
            defer { state.nextID += 1 }
            state.pauses[state.nextID] = task
            return state.nextID
        }
        guard let id else { return task.cancel() }
        await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        state.withLock { $0.pauses[id] = nil }
    }
}
