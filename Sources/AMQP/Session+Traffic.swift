import CRabbitMQ
import Glibc

extension Session {
    /// Writes one message. May block while the broker does not read.
    func publish(_ message: OutgoingMessage) throws(AMQPError) {
        var properties = pool.properties(message.properties)
        let exchange = pool.bytes(message.exchange)
        let routingKey = pool.bytes(message.routingKey)
        let status = message.body.withUnsafeBytes { body in
            amqp_basic_publish(
                state, Self.channel, exchange, routingKey, message.mandatory ? 1 : 0, 0, &properties,
                amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress)))
        }
        pool.recycle()
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw AMQPError(status: status, doing: "publishing to \(message.routingKey)")
    }

    /// Writes settlements.
    func settle(_ actions: [Settlements.Action]) throws(AMQPError) {
        for action in actions {
            let status =
                switch action {
                case .ack(let tag, let multiple): amqp_basic_ack(state, Self.channel, tag, multiple ? 1 : 0)
                case .nack(let tag, let requeue): amqp_basic_nack(state, Self.channel, tag, 0, requeue ? 1 : 0)
                }
            guard status == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(status: status, doing: "settling a delivery")
            }
        }
    }

    /// Asks for one message of `queue`; it comes (or `.empty` does) by `drain`.
    func get(_ queue: String) throws(AMQPError) {
        var method = amqp_basic_get_t(ticket: 0, queue: pool.bytes(queue), no_ack: 0)
        let status = amqp_send_method(state, Self.channel, AMQP_BASIC_GET_METHOD, &method)
        pool.recycle()
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, doing: "getting a message of \(queue)")
        }
    }

    /// Takes in everything that has arrived, to the end: the library, and TLS beneath it, may hold frames that
    /// `poll` cannot see. Also sends and checks heartbeats, so an idle loop has to call it too. Stops early after
    /// `maximum` events, returning true.
    mutating func drain(into events: inout [Inbound], maximum: Int = 4_096) throws(AMQPError) -> Bool {
        var frame = amqp_frame_t()
        var zero = timeval()
        while events.count < maximum {
            // Everything a frame points to is copied before the next turn. (The library itself refuses to release while it
            // holds half a frame.)
            amqp_maybe_release_buffers(state)
            let status = amqp_simple_wait_frame_noblock(state, &frame, &zero)
            if status == AMQP_STATUS_TIMEOUT.rawValue { return false }
            guard status == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(status: status, doing: "reading from the broker")
            }
            if let event = try take(frame) { events.append(event) }
        }
        return true
    }

    private mutating func take(_ frame: amqp_frame_t) throws(AMQPError) -> Inbound? {
        switch UInt32(frame.frame_type) {
        case UInt32(AMQP_FRAME_METHOD): return try take(frame.payload.method)
        case UInt32(AMQP_FRAME_HEADER):
            guard let decoded = frame.payload.properties.decoded else {
                throw AMQPError(.connection, "the broker sent an empty content header")
            }
            let properties = decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
            return try assembler.header(
                size: frame.payload.properties.body_size, properties: MessageProperties(wire: properties)
            ).map { .content($0) }
        case UInt32(AMQP_FRAME_BODY):
            let fragment = frame.payload.body_fragment
            return try assembler.body(UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len))
                .map { .content($0) }
        default: return nil
        }
    }

    private mutating func take(_ method: amqp_method_t) throws(AMQPError) -> Inbound? {
        switch method.id {
        case AMQP_CONNECTION_BLOCKED_METHOD:
            guard let decoded = method.decoded else { return .blocked("") }
            let blocked = decoded.assumingMemoryBound(to: amqp_connection_blocked_t.self).pointee
            return .blocked(String(wire: blocked.reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .unblocked
        case AMQP_CONNECTION_CLOSE_METHOD:
            let error = AMQPError(closing: method)
            var agreed = amqp_connection_close_ok_t()
            _ = amqp_send_method(state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &agreed)
            throw error ?? AMQPError(.connection, "the broker closed the connection")
        case AMQP_CHANNEL_CLOSE_METHOD:
            return .channelClosed(AMQPError(closing: method) ?? AMQPError(.refused, "the broker closed the channel"))
        case AMQP_BASIC_CANCEL_METHOD: return .cancelled
        case AMQP_BASIC_GET_EMPTY_METHOD: return .empty
        default: return try takeTraffic(method)
        }
    }

    private mutating func takeTraffic(_ method: amqp_method_t) throws(AMQPError) -> Inbound? {
        guard let decoded = method.decoded else { return nil }
        switch method.id {
        case AMQP_BASIC_ACK_METHOD:
            let ack = decoded.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
            return .confirmed(tag: ack.delivery_tag, multiple: ack.multiple != 0, nacked: false)
        case AMQP_BASIC_NACK_METHOD:
            let nack = decoded.assumingMemoryBound(to: amqp_basic_nack_t.self).pointee
            return .confirmed(tag: nack.delivery_tag, multiple: nack.multiple != 0, nacked: true)
        case AMQP_BASIC_DELIVER_METHOD:
            let deliver = decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self).pointee
            try assembler.begin(
                .delivery(
                    tag: deliver.delivery_tag, redelivered: deliver.redelivered != 0,
                    exchange: String(wire: deliver.exchange), routingKey: String(wire: deliver.routing_key)))
        case AMQP_BASIC_RETURN_METHOD:
            let back = decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            try assembler.begin(
                .returned(
                    code: Int(back.reply_code), text: String(wire: back.reply_text),
                    exchange: String(wire: back.exchange), routingKey: String(wire: back.routing_key)))
        case AMQP_BASIC_GET_OK_METHOD:
            let got = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee
            try assembler.begin(
                .gotten(
                    tag: got.delivery_tag, redelivered: got.redelivered != 0, exchange: String(wire: got.exchange),
                    routingKey: String(wire: got.routing_key)))
        default: break
        }
        return nil
    }
}
