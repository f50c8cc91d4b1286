import COpenSSL
import CRabbitMQ
import CShimsRabbitMQ
import Glibc
import Support

/// What came in on a session.
enum Inbound: Sendable {
    /// `basic.ack` or `basic.nack` for something published.
    case confirmed(tag: UInt64, multiple: Bool, nacked: Bool)
    /// A delivery, a message that came back, or the answer to a get.
    case content(ContentAssembler.Content)
    /// The answer to a get on an empty queue.
    case empty
    /// The broker ended the subscription.
    case cancelled
    /// `connection.blocked` with its reason.
    case blocked(String)
    /// `connection.unblocked`.
    case unblocked
    /// The broker closed the channel.
    case channelClosed(AMQPError)
}

/// One connection to one broker with one channel. Lives on one thread; every call may block that thread, within the
/// settings' timeout.
struct Session: ~Copyable {
    static let channel: amqp_channel_t = 1

    let state: amqp_connection_state_t
    let descriptor: Int32
    /// Seconds between two heartbeats, as agreed with the broker; after twice that it is given up. 0: there are none.
    let heartbeat: Int64
    let pool = WirePool()
    var assembler: ContentAssembler

    private init(state: amqp_connection_state_t, maximumMessageBytes: Int) {
        self.state = state
        descriptor = amqp_get_sockfd(state)
        heartbeat = Int64(amqp_get_heartbeat(state))
        assembler = ContentAssembler(limit: maximumMessageBytes)
    }

    deinit {
        amqp_destroy_connection(state)
    }

    /// Connects, logs in and opens the channel.
    static func open(_ host: TransportURL.Host, _ settings: AMQPSettings) throws(AMQPError) -> Session {
        guard let state = amqp_new_connection() else { throw AMQPError(.connection, "out of memory") }
        do throws(AMQPError) {
            try connect(state, host, settings)
            try login(state, host, settings)
            limitWriting(state)
            try openChannel(state)
        } catch {
            amqp_destroy_connection(state)
            throw error
        }
        return Session(state: state, maximumMessageBytes: settings.maximumMessageBytes)
    }

    /// Says goodbye to the broker, at most for the settings' timeout.
    consuming func close() {
        _ = amqp_connection_close(state, AMQP_REPLY_SUCCESS)
    }

    private static func connect(
        _ state: amqp_connection_state_t, _ host: TransportURL.Host, _ settings: AMQPSettings
    ) throws(AMQPError) {
        var timeout = timeval(settings.connectTimeout)
        amqp_set_handshake_timeout(state, &timeout)
        amqp_set_rpc_timeout(state, &timeout)
        let socket =
            settings.url.tls ? try tlsSocket(state, host, settings.tls) : amqp_tcp_socket_new(state)
        guard let socket else { throw AMQPError(.connection, "no socket for \(host)") }
        let status = amqp_socket_open_noblock(socket, host.host, Int32(host.port), &timeout)
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw AMQPError(status: status, doing: "connecting to \(host)")
    }

    /// A broker that takes nothing any more is given up by the kernel after the time of two heartbeats: the library would
    /// wait for ever for room to write in.
    private static func limitWriting(_ state: amqp_connection_state_t) {
        var milliseconds = UInt32(clamping: Int64(amqp_get_heartbeat(state)) * 2_000)
        setsockopt(
            amqp_get_sockfd(state), Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds,
            socklen_t(MemoryLayout<UInt32>.size))
    }

    private static func login(
        _ state: amqp_connection_state_t, _ host: TransportURL.Host, _ settings: AMQPSettings
    ) throws(AMQPError) {
        let pool = WirePool()
        var properties = pool.table([
            "product": "updraft",
            "connection_name": .string(settings.name),
            // The library announces neither by itself.
            "capabilities": .table(["consumer_cancel_notify": true, "connection.blocked": true]),
        ])
        var reply = amqp_rpc_reply_t()
        let heartbeat = Int32(clamping: max(1, Int64(settings.heartbeat.inSeconds.rounded())))
        updraft_amqp_login(
            UnsafeMutableRawPointer(state), settings.url.virtualHost, 0, 131_072, heartbeat, &properties, host.user,
            host.password, &reply)
        try check(reply, "logging in at \(host) as \(host.user)")
    }

    /// Throws what a reply says, if it says anything but "fine".
    static func check(_ reply: amqp_rpc_reply_t, _ doing: @autoclosure () -> String) throws(AMQPError) {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            throw AMQPError(closing: reply.reply) ?? AMQPError(.refused, "refused while \(doing())")
        case AMQP_RESPONSE_LIBRARY_EXCEPTION:
            throw AMQPError(status: reply.library_error, doing: doing())
        default: throw AMQPError(.connection, "connection closed while \(doing())")
        }
    }

    private static func openChannel(_ state: amqp_connection_state_t) throws(AMQPError) {
        if amqp_channel_open(state, channel) == nil {
            try check(amqp_get_rpc_reply(state), "opening a channel")
            throw AMQPError(.connection, "no channel")
        }
    }

    /// After the broker closed the channel: agrees, and opens it anew.
    mutating func reopenChannel() throws(AMQPError) {
        assembler.reset()
        var agreed = amqp_channel_close_ok_t()
        let status = amqp_send_method(state, Self.channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &agreed)
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, doing: "closing a channel")
        }
        try Self.openChannel(state)
    }

    /// The reply of the last synchronous call, as an error if it was one.
    func checkLast(_ doing: @autoclosure () -> String) throws(AMQPError) {
        try Self.check(amqp_get_rpc_reply(state), doing())
    }
}

extension timeval {
    init(_ interval: Interval) {
        let microseconds = max(0, interval.microseconds)
        self.init(tv_sec: Int(microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
    }
}

extension AMQPError {
    /// From a status of the library.
    init(status: Int32, doing: String) {
        let text = String(cString: amqp_error_string2(status))
        let code: Code =
            switch amqp_status_enum(rawValue: numericCast(status)) {
            case AMQP_STATUS_TIMEOUT: .timedOut
            case AMQP_STATUS_HEARTBEAT_TIMEOUT: .timedOut
            case AMQP_STATUS_SSL_ERROR, AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED, AMQP_STATUS_SSL_PEER_VERIFY_FAILED,
                AMQP_STATUS_SSL_CONNECTION_FAILED:
                .tls
            case AMQP_STATUS_TABLE_TOO_BIG: .tooLarge
            default: .connection
            }
        self.init(code, "\(text) while \(doing)")
    }

    /// From a `connection.close` or `channel.close` of the broker; nil for any other method. The text is the broker's.
    init?(closing method: amqp_method_t) {
        guard let decoded = method.decoded else { return nil }
        switch method.id {
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            self.init(reply: Int(close.reply_code), text: String(wire: close.reply_text))
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            self.init(reply: Int(close.reply_code), text: String(wire: close.reply_text))
        default: return nil
        }
    }
}
