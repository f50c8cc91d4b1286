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
            queue, topology: settings.topology(subscription), prefetch: subscription.prefetch,
            heartbeat: subscription.heartbeat
        ) { consumer in
            var giveBacks = Self.giveBacks
            for await delivery in consumer.deliveries {
                // What had arrived already is for whoever reads next.
                guard !Task.isCancelled else { return delivery.nack(requeue: true) }
                switch intake.judge(delivery, now: .now()) {
                case .repeated:
                    observer.refused(.replayed, "delivered again; handled before")
                    delivery.ack()
                case .ignore(let type):
                    if let type { observer.ignored(type) }
                    delivery.ack()
                case .park(let reason, let detail, let received):
                    let isParked = await park(
                        delivery, intake.routingKey(of: delivery), queue, reason, detail, received)
                    // What was refused was not believed; all else counts as handled since it was judged.
                    if !isParked, !reason.isRefusal, let received {
                        intake.willComeAgain(received.envelope.messageID)
                    }
                case .handle(let incoming):
                    let disposition = await handler(incoming)
                    let isOver = await settle(
                        delivery, incoming, disposition, subscription, intake.routingKey(of: delivery), queue,
                        &giveBacks)
                    if !isOver { intake.willComeAgain(incoming.envelope.messageID) }
                    observer.consumed(incoming.event.type, disposition)
                }
            }
        }
    }

    /// Pauses before messages are given back to their queue one after the other: it hands them out again at once, and a
    /// quorum queue only so many times.
    private static let giveBacks = Backoff(first: .milliseconds(100), cap: .seconds(1))

    /// False if the message will come again.
    private func settle(
        _ delivery: Delivery, _ incoming: Incoming, _ disposition: Disposition, _ subscription: Subscription,
        _ routingKey: String, _ queue: String, _ giveBacks: inout Backoff
    ) async -> Bool {
        func parked(_ reason: ParkReason, _ detail: String) async -> Bool {
            await park(
                delivery, routingKey, queue, reason, detail,
                try? MessageCoder.open(delivery.body, maximumBytes: settings.maximumMessageBytes))
        }
        func givenBack() async -> Bool {
            await giveBack(delivery, after: giveBacks.failed(jitter: .random(in: 0...1)))
            return false
        }
        switch disposition {
        case .done:
            delivery.ack()
            giveBacks.succeeded()
            return true
        case .requeue: return await givenBack()
        case .park(let reason): return await parked(.handler, reason)
        case .retryLater(let pause):
            guard incoming.laps < subscription.maximumLaps else {
                return await parked(.lapsExhausted, "put off \(incoming.laps) times")
            }
            guard let lap = subscription.lap(for: pause) else { return await givenBack() }
            do throws(BusError) {
                try await putOff(delivery, incoming.laps, lap, routingKey, queue)
                delivery.ack()
                return false
            } catch {
                // The delivery limit bounds how often this can happen.
                guard error.code == .message else { return await givenBack() }
                // Whatever came with it that cannot be sent will not be otherwise next time.
                return await parked(.handler, "could not be put off: \(error.text)")
            }
        }
    }

    /// One lap: the message goes to a wait queue, whose time to live brings it back.
    private func putOff(
        _ delivery: Delivery, _ laps: Int, _ lap: Interval, _ routingKey: String, _ queue: String
    ) async throws(BusError) {
        var message = OutgoingMessage(
            exchange: "", routingKey: settings.waitQueueName(queue, lap), body: delivery.body,
            properties: delivery.properties, mandatory: true)
        message.properties.headers = message.properties.headers.filter { Self.isOwnHeader($0.key) }
        message.properties.headers[BusSettings.Header.routingKey] = .string(routingKey)
        message.properties.headers[BusSettings.Header.laps] = .int(Int64(laps + 1))
        message.properties.persistent = true
        try await send(message, within: .seconds(30))
    }

    /// The broker's own headers (`x-death`, `x-delivery-count`) stay behind: they grow with each lap.
    private static func isOwnHeader(_ name: String) -> Bool {
        name == SigningKeys.keyHeader || name == SigningKeys.signatureHeader
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
            queue, topology: settings.topology(subscription), prefetch: subscription.prefetch,
            heartbeat: subscription.heartbeat
        ) { consumer in
            var giveBacks = Self.giveBacks
            for await delivery in consumer.deliveries {
                guard !Task.isCancelled else { return delivery.nack(requeue: true) }
                await take(delivery, queue, handler, &giveBacks)
            }
        }
    }

    private func take(
        _ delivery: Delivery, _ queue: String, _ handler: @Sendable (ForeignNotification) async -> Disposition,
        _ giveBacks: inout Backoff
    ) async {
        guard !delivery.isOversize else {
            let detail = "\(delivery.bodySize) bytes, the limit is \(settings.maximumMessageBytes)"
            _ = await park(delivery, delivery.routingKey, queue, .message(.tooLarge), detail, nil)
            return
        }
        let received: MessageCoder.Received
        do throws(MessageError) {
            received = try MessageCoder.open(delivery.body, maximumBytes: settings.maximumMessageBytes)
        } catch {
            _ = await park(delivery, delivery.routingKey, queue, .message(error.code), error.description, nil)
            return
        }
        let disposition = await handler(
            ForeignNotification(
                envelope: received.envelope, received: received, exchange: delivery.exchange,
                routingKey: delivery.routingKey, redelivered: delivery.redelivered))
        switch disposition {
        case .done:
            delivery.ack()
            giveBacks.succeeded()
        case .requeue, .retryLater: await giveBack(delivery, after: giveBacks.failed(jitter: .random(in: 0...1)))
        case .park(let reason): _ = await park(delivery, delivery.routingKey, queue, .handler, reason, received)
        }
        observer.consumedForeign(delivery.exchange, disposition)
    }
}
