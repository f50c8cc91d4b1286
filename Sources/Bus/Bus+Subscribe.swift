import AMQP
import Messages
import Support

extension Bus {
    /// Reads one queue of our messages until the bus is closed or the task is cancelled; then returns, the handler
    /// having finished. `handler` gets them one after the other, checked: what is malformed, unknown, for another cluster, not
    /// properly signed or too large never reaches it and is parked in `updraft.dead` with its reason.
    ///
    /// A handler must be idempotent (messages can come twice) and quick: while it runs, the next message waits.
    public func subscribe(
        _ subscription: Subscription, handler: @Sendable (Incoming) async -> Disposition
    ) async throws(BusError) {
        let queue = settings.queueName(subscription)
        var intake = Intake(
            settings, queue: queue, maximumLaps: subscription.maximumLaps,
            longestLap: subscription.laps.max() ?? .zero)
        try await withReader(
            queue, topology: settings.topology(subscription), prefetch: subscription.prefetch, isForeign: false,
            heartbeat: subscription.heartbeat
        ) { consumer in
            for await delivery in consumer.deliveries {
                // What had arrived already is for whoever reads next.
                guard !Task.isCancelled else { return delivery.nack(requeue: true) }
                switch intake.judge(delivery, now: .now()) {
                case .repeated:
                    observer.refused(.replayed, "delivered again; handled before")
                    delivery.ack()
                case .park(let reason, let detail, let received):
                    await park(delivery, intake.routingKey(of: delivery), queue, reason, detail, received)
                case .handle(let incoming):
                    let disposition = await handler(incoming)
                    if disposition == .requeue { intake.willComeAgain(incoming.envelope.messageID) }
                    if case .retryLater = disposition { intake.willComeAgain(incoming.envelope.messageID) }
                    await settle(delivery, incoming, disposition, subscription, intake.routingKey(of: delivery), queue)
                    observer.consumed(incoming.event.type, disposition)
                }
            }
        }
    }

    private func settle(
        _ delivery: Delivery, _ incoming: Incoming, _ disposition: Disposition, _ subscription: Subscription,
        _ routingKey: String, _ queue: String
    ) async {
        switch disposition {
        case .done: delivery.ack()
        case .requeue: delivery.nack(requeue: true)
        case .park(let reason):
            await park(
                delivery, routingKey, queue, .handler, reason,
                try? MessageCoder.open(delivery.body, maximumBytes: settings.maximumMessageBytes))
        case .retryLater(let pause):
            guard incoming.laps < subscription.maximumLaps else {
                await park(
                    delivery, routingKey, queue, .lapsExhausted, "put off \(incoming.laps) times",
                    try? MessageCoder.open(delivery.body, maximumBytes: settings.maximumMessageBytes))
                return
            }
            await putOff(delivery, incoming.laps, pause, subscription, routingKey, queue)
        }
    }

    /// One lap: the message goes to a wait queue, whose time to live brings it back.
    private func putOff(
        _ delivery: Delivery, _ laps: Int, _ pause: Interval, _ subscription: Subscription, _ routingKey: String,
        _ queue: String
    ) async {
        let sorted = subscription.laps.sorted()
        guard !subscription.exclusive, let lap = sorted.first(where: { $0 >= pause }) ?? sorted.last else {
            return delivery.nack(requeue: true)
        }
        var message = OutgoingMessage(
            exchange: "", routingKey: settings.waitQueueName(queue, lap), body: delivery.body,
            properties: delivery.properties, mandatory: true)
        message.properties.headers = message.properties.headers.filter { Self.isOwnHeader($0.key) }
        message.properties.headers[BusSettings.Header.routingKey] = .string(routingKey)
        message.properties.headers[BusSettings.Header.laps] = .int(Int64(laps + 1))
        message.properties.persistent = true
        do throws(BusError) {
            try await send(message, within: .seconds(30))
            delivery.ack()
        } catch {
            // The delivery limit bounds how often this can happen.
            delivery.nack(requeue: true)
        }
    }

    /// The broker's own headers (`x-death`, `x-delivery-count`) stay behind: they grow with each lap.
    private static func isOwnHeader(_ name: String) -> Bool {
        name == SigningKeys.keyHeader || name == SigningKeys.signatureHeader
    }

    /// Moves a delivery to `updraft.dead`. It is acknowledged only when it is there.
    func park(
        _ delivery: Delivery, _ routingKey: String, _ queue: String, _ reason: ParkReason, _ detail: String,
        _ received: MessageCoder.Received?
    ) async {
        if case .refused(let refusal) = reason { observer.refused(refusal, detail) }
        let message = Parking.message(
            delivery, routingKey: routingKey, queue: queue, reason: reason, detail: detail, received: received,
            settings: settings)
        do throws(BusError) {
            try await send(message, within: .seconds(30))
            observer.parked(reason, detail)
            delivery.ack()
        } catch {
            delivery.nack(requeue: true)
        }
    }

    // MARK: - Other services' notifications

    /// Reads notifications of another service from a queue of our own until the bus is closed or the task is cancelled. Their
    /// exchange is never changed; while it does not exist, this waits for it. What is malformed is parked without
    /// its body.
    public func subscribeForeign(
        _ subscription: ForeignSubscription, handler: @Sendable (ForeignNotification) async -> Disposition
    ) async throws(BusError) {
        let queue = settings.queueName(subscription)
        try await withReader(
            queue, topology: settings.topology(subscription), prefetch: subscription.prefetch, isForeign: true,
            heartbeat: subscription.heartbeat
        ) { consumer in
            for await delivery in consumer.deliveries {
                guard !Task.isCancelled else { return delivery.nack(requeue: true) }
                await take(delivery, queue, handler)
            }
        }
    }

    private func take(
        _ delivery: Delivery, _ queue: String, _ handler: @Sendable (ForeignNotification) async -> Disposition
    ) async {
        guard !delivery.isOversize else {
            let detail = "\(delivery.bodySize) bytes, the limit is \(settings.maximumMessageBytes)"
            return await park(delivery, delivery.routingKey, queue, .message(.tooLarge), detail, nil)
        }
        let received: MessageCoder.Received
        do throws(MessageError) {
            received = try MessageCoder.open(delivery.body, maximumBytes: settings.maximumMessageBytes)
        } catch {
            return await park(delivery, delivery.routingKey, queue, .message(error.code), error.description, nil)
        }
        let disposition = await handler(
            ForeignNotification(
                envelope: received.envelope, received: received, exchange: delivery.exchange,
                routingKey: delivery.routingKey, redelivered: delivery.redelivered))
        switch disposition {
        case .done: delivery.ack()
        // A queue without delivery limit: given back at once, it would spin.
        case .requeue, .retryLater:
            try? await Task.sleep(for: .milliseconds(200))
            delivery.nack(requeue: true)
        case .park(let reason): await park(delivery, delivery.routingKey, queue, .handler, reason, received)
        }
        observer.consumedForeign(delivery.exchange, disposition)
    }
}
