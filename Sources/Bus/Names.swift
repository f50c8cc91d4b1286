import AMQP
import Messages
import Support

/// Names and arguments of what the bus declares.
extension BusSettings {
    /// Headers that the bus adds to messages that it moves.
    enum Header {
        static let reason = "x-updraft-reason"
        static let detail = "x-updraft-detail"
        static let queue = "x-updraft-queue"
        static let exchange = "x-updraft-exchange"
        static let routingKey = "x-updraft-routing-key"
        static let service = "x-updraft-service"
        static let cluster = "x-updraft-cluster"
        static let bodySize = "x-updraft-body-size"
        static let bodyKept = "x-updraft-body"
        static let laps = "x-updraft-laps"
    }

    private var ourExchange: Topology.Exchange { .init(exchange) }

    /// `updraft.dead`: exchange and queue. What operators changed about the queue is left alone.
    private var dead: Topology {
        Topology(
            exchanges: [.init(deadName)],
            queues: [
                .init(
                    deadName,
                    arguments: [
                        "x-queue-type": .string(queueType.rawValue), "x-max-length": 10_000,
                        "x-max-length-bytes": .int(256 << 20), "x-overflow": "drop-head",
                        "x-message-ttl": .int(7 * 86_400_000),
                    ], mode: .declareIfMissing)
            ],
            bindings: [.init(queue: deadName, exchange: deadName, routingKey: "#")])
    }

    /// What publishing needs, and the queues that are there from the start.
    func publisherTopology(_ standing: [Subscription]) -> Topology {
        var queues = Topology()
        for subscription in standing where !subscription.exclusive {
            queues = queues + topology(subscription)
        }
        // With other arguments they would keep us from publishing anything: their reader says so.
        queues.queues = queues.queues.map { queue in
            var queue = queue
            queue.mode = .declareIfMissing
            return queue
        }
        return Topology(exchanges: [ourExchange]) + dead + queues
    }

    /// `updraft.<cluster>.<service>.<topics…>`.
    func queueName(_ subscription: Subscription) -> String {
        var words = ["updraft", cluster, service] + subscription.topics.map(\.rawValue)
        if let suffix = subscription.suffix { words.append(suffix) }
        if subscription.exclusive { words.append(host) }
        return words.joined(separator: ".")
    }

    /// `updraft.<cluster>.<service>.foreign.<exchange>`, followed by whom it hears where the exchange is called otherwise.
    func queueName(_ subscription: ForeignSubscription) -> String {
        var words = ["updraft", cluster, service, "foreign", subscription.exchange]
        if let sender = subscription.sender, sender != subscription.exchange { words.append(sender) }
        return words.joined(separator: ".")
    }

    /// Everything a subscription needs.
    func topology(_ subscription: Subscription) -> Topology {
        let name = queueName(subscription)
        // The broker moves whole messages, and where they hold tokens that must not be.
        let holdsTokens = subscription.topics.contains(where: \.holdsTokens)
        var arguments: [String: AMQPValue] = holdsTokens ? [:] : ["x-dead-letter-exchange": .string(deadName)]
        switch subscription.kind {
        case .command:
            arguments["x-queue-type"] = .string(queueType.rawValue)
            if queueType == .quorum { arguments["x-delivery-limit"] = .int(Int64(deliveryLimit)) }
            // Far above any use; beyond it the oldest go to updraft.dead, where they are seen, or are dropped.
            arguments["x-max-length"] = 100_000
            arguments["x-overflow"] = "drop-head"
        case .perishable(let length, let ttl):
            // Dropped is dropped: no dead-lettering.
            arguments = perishable(length, ttl)
        }
        if subscription.singleActive { arguments["x-single-active-consumer"] = true }
        if subscription.exclusive { arguments["x-queue-type"] = nil }
        let queue = Topology.Queue(
            name, durable: !subscription.exclusive, exclusive: subscription.exclusive,
            autoDelete: subscription.exclusive, arguments: subscription.exclusive ? exclusive(arguments) : arguments)
        let own = Topology(
            exchanges: [ourExchange], queues: [queue],
            bindings: subscription.topics.map {
                .init(queue: name, exchange: exchange, routingKey: "updraft.\(cluster).\($0.rawValue).*")
            })
        let laps = subscription.exclusive ? [] : subscription.laps
        return own + dead + Topology(queues: laps.map { waitQueue(name, $0) })
    }

    /// A queue of one process cannot be a quorum queue, so what only those know goes.
    private func exclusive(_ arguments: [String: AMQPValue]) -> [String: AMQPValue] {
        arguments.filter { !["x-delivery-limit", "x-single-active-consumer"].contains($0.key) }
    }

    private func perishable(_ length: Int, _ ttl: Interval) -> [String: AMQPValue] {
        [
            "x-queue-type": "classic", "x-max-length": .int(Int64(max(1, length))), "x-overflow": "drop-head",
            "x-message-ttl": .int(max(1, ttl.microseconds / 1_000)),
        ]
    }

    /// The queue in which messages of `queue` wait for one lap: its time to live brings them back. Redelivery alone
    /// would be at once and use up the delivery limit within milliseconds.
    private func waitQueue(_ queue: String, _ lap: Interval) -> Topology.Queue {
        var arguments: [String: AMQPValue] = [
            "x-queue-type": .string(queueType.rawValue),
            "x-message-ttl": .int(max(1, lap.microseconds / 1_000)),
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": .string(queue),
            "x-max-length": 100_000, "x-overflow": "reject-publish",
        ]
        // Back to the queue or still here: never lost between.
        if queueType == .quorum { arguments["x-dead-letter-strategy"] = "at-least-once" }
        return .init(waitQueueName(queue, lap), arguments: arguments)
    }

    func waitQueueName(_ queue: String, _ lap: Interval) -> String {
        "\(queue).wait.\(max(1, lap.microseconds / 1_000))ms"
    }

    /// Everything a foreign subscription needs: our own queue, bound to their exchange.
    func topology(_ subscription: ForeignSubscription) -> Topology {
        let name = queueName(subscription)
        var arguments = perishable(subscription.maximumLength, subscription.ttl)
        if subscription.singleActive { arguments["x-single-active-consumer"] = true }
        return Topology(
            exchanges: [
                .init(
                    subscription.exchange, durable: false,
                    mode: subscription.declareExchange ? .declareIfMissing : .passive)
            ],
            queues: [.init(name, arguments: arguments)],
            bindings: subscription.routingKeys.map {
                .init(queue: name, exchange: subscription.exchange, routingKey: $0)
            }) + dead
    }

    /// `updraft.<cluster>.<service>.active`.
    var probeQueueName: String { "updraft.\(cluster).\(service).active" }

    /// The queue by which the broker says which replica acts. Old probes say nothing.
    var probeTopology: Topology {
        Topology(queues: [
            .init(
                probeQueueName,
                arguments: [
                    "x-queue-type": .string(queueType.rawValue), "x-single-active-consumer": true,
                    "x-max-length": 100, "x-overflow": "drop-head", "x-message-ttl": 5_000,
                ])
        ])
    }

    /// `updraft.<cluster>.<service>.<name>`.
    func checkpointQueueName(_ name: String) -> String {
        "updraft.\(cluster).\(service).\(name)"
    }

    /// A queue that holds the last message only. A read gives the message back, which counts as a delivery: the limit
    /// is far away (RabbitMQ 4 would else set 20).
    func checkpointTopology(_ name: String, mode: Topology.Mode) -> Topology {
        var arguments: [String: AMQPValue] = [
            "x-queue-type": .string(queueType.rawValue), "x-max-length": 1, "x-overflow": "drop-head",
        ]
        if queueType == .quorum { arguments["x-delivery-limit"] = 1_000_000_000 }
        return Topology(queues: [.init(checkpointQueueName(name), arguments: arguments, mode: mode)])
    }
}
