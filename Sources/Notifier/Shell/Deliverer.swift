import Support

/// Runs deliveries: bounded at once, fair among nodes, in order within a lane. What waits costs memory only.
final class Deliverer: Sendable {
    /// What is called, each with a bound of its own: one that hangs does not take the others' places.
    enum Gateway: Sendable, CaseIterable {
        /// The Kubernetes API.
        case api
        /// Kubernetes Events: the same API, and often another store, which may hang while the rest works.
        case events
        /// Hooks of pods.
        case hooks
        /// The message bus.
        case bus
        /// Node-wide webhooks.
        case webhooks
    }

    typealias Job = @Sendable () async -> Void

    private let queues: Lock<[Gateway: DeliveryQueue<Job>]>
    private let bell: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - hooks: calls of pods' hooks at once.
    ///   - others: calls of each other kind at once.
    init(hooks: Int, others: Int = 64) {
        queues = Lock(
            Dictionary(
                uniqueKeysWithValues: Gateway.allCases.map { gateway in
                    (gateway, DeliveryQueue(limit: gateway == .hooks ? hooks : others))
                }))
        (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Hands a job in; it starts when it is its turn.
    func submit(_ gateway: Gateway, lane: String, node: String, isFirst: Bool = true, _ job: @escaping Job) {
        queues.withLock { $0[gateway]?.add(job, lane: lane, node: node, isFirst: isFirst) }
        ring.yield()
    }

    /// Jobs that run and that wait.
    func load(_ gateway: Gateway) -> (running: Int, waiting: Int) {
        queues.withLock { queues in (queues[gateway]?.running ?? 0, queues[gateway]?.waiting ?? 0) }
    }

    /// Runs jobs until the task is cancelled; those that run then are cancelled with it.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await _ in bell {
                for gateway in Gateway.allCases {
                    while let (job, lane) = queues.withLock({ $0[gateway]?.next() }) {
                        group.addTask {
                            await job()
                            self.queues.withLock { $0[gateway]?.finished(lane) }
                            self.ring.yield()
                        }
                    }
                }
            }
        }
    }
}
