import CRabbitMQ

extension Session {
    /// Declares everything in `topology`, in order: exchanges, queues, bindings.
    mutating func declare(_ topology: Topology) throws(AMQPError) {
        for exchange in topology.exchanges { try declare(exchange) }
        for queue in topology.queues { try declare(queue) }
        for binding in topology.bindings {
            _ = amqp_queue_bind(
                state, Self.channel, pool.bytes(binding.queue), pool.bytes(binding.exchange),
                pool.bytes(binding.routingKey), pool.table(binding.arguments))
            pool.recycle()
            try checkLast("binding \(binding.queue) to \(binding.exchange)")
        }
    }

    private mutating func declare(_ exchange: Topology.Exchange) throws(AMQPError) {
        // The default exchange and the broker's own exist always and cannot be declared.
        guard !exchange.name.isEmpty else { return }
        try obtain(exchange.mode) { session, passive throws(AMQPError) in
            _ = amqp_exchange_declare(
                session.state, Self.channel, session.pool.bytes(exchange.name), session.pool.bytes(exchange.kind),
                passive ? 1 : 0, exchange.durable ? 1 : 0, exchange.autoDelete ? 1 : 0, 0,
                session.pool.table(exchange.arguments))
            session.pool.recycle()
            try session.checkLast("declaring exchange \(exchange.name)")
        }
    }

    private mutating func declare(_ queue: Topology.Queue) throws(AMQPError) {
        try obtain(queue.mode) { session, passive throws(AMQPError) in
            _ = amqp_queue_declare(
                session.state, Self.channel, session.pool.bytes(queue.name), passive ? 1 : 0, queue.durable ? 1 : 0,
                queue.exclusive ? 1 : 0, queue.autoDelete ? 1 : 0, session.pool.table(queue.arguments))
            session.pool.recycle()
            try session.checkLast("declaring queue \(queue.name)")
        }
    }

    /// Looks at a queue that must be there.
    mutating func look(_ queue: String) throws(AMQPError) -> OneShot.QueueState {
        let answer = amqp_queue_declare(
            state, Self.channel, pool.bytes(queue), 1, 0, 0, 0, amqp_empty_table)
        pool.recycle()
        guard let answer else {
            try checkLast("looking at queue \(queue)")
            throw AMQPError(.connection, "no answer about queue \(queue)")
        }
        return OneShot.QueueState(
            messages: Int(answer.pointee.message_count), consumers: Int(answer.pointee.consumer_count))
    }

    /// Runs one declaration as `mode` says. A refused one costs the channel, which is opened anew.
    private mutating func obtain(
        _ mode: Topology.Mode, _ declare: (inout Session, _ passive: Bool) throws(AMQPError) -> Void
    ) throws(AMQPError) {
        switch mode {
        case .declare: try declare(&self, false)
        case .passive: try declare(&self, true)
        case .declareIfMissing:
            do throws(AMQPError) {
                return try declare(&self, true)
            } catch {
                guard error.code == .notFound else { throw error }
            }
            try reopenChannel()
            do throws(AMQPError) {
                return try declare(&self, false)
            } catch {
                // Somebody was quicker and declared it in another way: theirs is the one to use.
                guard error.code == .preconditionFailed else { throw error }
            }
            try reopenChannel()
            try declare(&self, true)
        }
    }

    /// Publisher confirms, from delivery tag 1 on.
    func selectConfirms() throws(AMQPError) {
        if amqp_confirm_select(state, Self.channel) == nil { try checkLast("asking for publisher confirms") }
    }

    /// Subscribes to `queue` with manual acknowledgement; returns the consumer tag.
    func consume(
        _ queue: String, prefetch: Int, exclusive: Bool, arguments: [String: AMQPValue]
    ) throws(AMQPError) -> String {
        if amqp_basic_qos(state, Self.channel, 0, UInt16(clamping: prefetch), 0) == nil {
            try checkLast("setting the prefetch")
        }
        let answer = amqp_basic_consume(
            state, Self.channel, pool.bytes(queue), amqp_bytes_t(len: 0, bytes: nil), 0, 0, exclusive ? 1 : 0,
            pool.table(arguments))
        pool.recycle()
        guard let answer else {
            try checkLast("subscribing to \(queue)")
            throw AMQPError(.connection, "no answer to the subscription to \(queue)")
        }
        return String(wire: answer.pointee.consumer_tag)
    }

    /// Ends the subscription. Unsettled deliveries stay with this channel.
    func cancel(_ consumerTag: String) throws(AMQPError) {
        let answer = amqp_basic_cancel(state, Self.channel, pool.bytes(consumerTag))
        pool.recycle()
        if answer == nil { try checkLast("ending a subscription") }
    }
}
