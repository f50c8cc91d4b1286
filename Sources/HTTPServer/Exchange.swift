import CMicrohttpd
import CShimsMicrohttpd
import Support

/// A connection of the library. It is valid from the request line until `completed`, and everything that touches it
/// happens on the server's thread, except resuming it while it is suspended (which the library allows).
struct Connection: @unchecked Sendable {
    // @unchecked: the pointer is only ever used as the type's comment says; the library locks `resume` itself.
    let pointer: OpaquePointer

    func suspend() { MHD_suspend_connection(pointer) }
    func resume() { MHD_resume_connection(pointer) }
}

/// One request from its first line to the last byte of its answer.
///
/// The server's thread drives it; the handler's task ends with `finish`. Between the two stands one lock, and a
/// suspended connection is resumed by whoever clears `suspended`, inside that lock: so exactly once, and never after
/// the server was stopped.
final class Exchange: Sendable {
    private struct State {
        var target: RequestTarget?
        var started = false
        var body: [UInt8] = []
        var discarded = 0
        var tooLarge = false
        var handled = false
        var reply: ServerReply?
        var suspended = false
        var abandoned: Bool
        var task: Task<Void, Never>?
        var stream: StreamSource?
    }

    /// What the server's thread does next.
    private enum Step {
        case goOn
        case close
        case handle(target: RequestTarget, body: [UInt8])
        case answer(ServerReply)
        /// The body is too large.
        case refuse(target: RequestTarget?, cutOff: Bool)
    }

    let id: UInt64
    let connection: Connection
    private let core: ServerCore
    private let state: Lock<State>

    init(id: UInt64, connection: Connection, target: String?, core: ServerCore, abandoned: Bool) {
        self.id = id
        self.connection = connection
        self.core = core
        state = Lock(State(target: target.flatMap { RequestTarget($0) }, abandoned: abandoned))
    }

    // MARK: On the server's thread

    /// The library's access callback. False closes the connection.
    func access(method: UnsafePointer<CChar>, data: UnsafePointer<CChar>?, size: UnsafeMutablePointer<Int>) -> Bool {
        let piece = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size.pointee)
        let step = state.withLock { state in advance(&state, piece) }
        size.pointee = 0
        switch step {
        case .goOn: return true
        case .close: return false
        case .answer(let reply): return answer(reply)
        case .refuse(let target, let cutOff):
            if let target { core.refused(request(String(cString: method), target, [], clientSubject: nil)) }
            return cutOff ? false : answer(core.tooLarge)
        case .handle(let target, let body): return handle(String(cString: method), target, body)
        }
    }

    private func advance(_ state: inout State, _ piece: UnsafeRawBufferPointer) -> Step {
        if state.abandoned { return .close }
        if !state.started {
            state.started = true
            return isRefusedByHead(&state) ? .refuse(target: state.target, cutOff: false) : .goOn
        }
        if !piece.isEmpty {
            if !state.tooLarge, state.body.count + piece.count <= core.maximumBodyBytes {
                state.body.append(contentsOf: piece)
                return .goOn
            }
            // The rest is read and dropped, so that an honest client gets to read the 413 instead of a reset;
            // a dishonest one is cut off.
            state.tooLarge = true
            state.body = []
            state.discarded += piece.count
            return state.discarded > 4 * core.maximumBodyBytes + 1 << 20
                ? .refuse(target: state.target, cutOff: true) : .goOn
        }
        if state.tooLarge { return .refuse(target: state.target, cutOff: false) }
        if state.handled {
            // The handler's task has resumed us. A wake-up without a reply does not happen; suspend again if it does.
            if let reply = state.reply { return .answer(reply) }
            state.suspended = true
            connection.suspend()
            return .goOn
        }
        guard let target = state.target else { return .answer(.response(.text(400, "malformed request target\n"))) }
        state.handled = true
        let body = state.body
        state.body = []
        return .handle(target: target, body: body)
    }

    /// Whether the request can be refused on the head alone, before any of the body is sent.
    private func isRefusedByHead(_ state: inout State) -> Bool {
        guard let text = updraft_mhd_header(connection.pointer, "Content-Length"),
            let length = Int(String(cString: text)), length > core.maximumBodyBytes
        else { return false }
        state.tooLarge = true
        return updraft_mhd_header(connection.pointer, "Expect") != nil
    }

    private func request(
        _ method: String, _ target: RequestTarget, _ body: [UInt8], clientSubject: String?
    ) -> ServerRequest {
        ServerRequest(
            method: method, target: target, headers: connection.headers(), body: body, remote: connection.remote(),
            clientSubject: clientSubject)
    }

    private func handle(_ method: String, _ target: RequestTarget, _ body: [UInt8]) -> Bool {
        let subject = core.asksForCertificate ? connection.clientSubject() : nil
        if core.asksForCertificate, subject == nil {
            return answer(.response(.text(401, "a client certificate is required\n")))
        }
        let request = request(method, target, body, clientSubject: subject)
        let handler = core.handler
        // Runs on this thread up to the handler's first suspension: most handlers never suspend, and then the
        // connection need not either, which saves two system calls and a thread switch for each request.
        let task = Task.immediate { finish(await handler(request)) }
        let (reply, abandoned): (ServerReply?, Bool) = state.withLock { state in
            // The server may have been stopped while the handler ran here: suspended now, nobody would wake us.
            if state.abandoned { return (nil, true) }
            if let reply = state.reply { return (reply, false) }
            state.task = task
            state.suspended = true
            connection.suspend()
            return (nil, false)
        }
        if abandoned {
            task.cancel()
            return false
        }
        return reply.map { answer($0) } ?? true
    }

    private func answer(_ reply: ServerReply) -> Bool {
        switch reply {
        case .hangUp:
            return false
        case .response(let response):
            return connection.queue(response)
        case .stream(let status, let headers, let source):
            let known = state.withLock { state in
                state.stream = source
                return !state.abandoned
            }
            guard known else { return false }
            core.hangups?.watch(connection, id: id)
            return connection.queue(status: status, headers: headers, source)
        }
    }

    /// The request is over; the connection may serve another or be closed.
    func completed() {
        let (stream, task) = state.withLock { state in
            state.abandoned = true
            return (state.stream, state.task)
        }
        if let stream {
            core.hangups?.forget(connection)
            stream.close()
        }
        task?.cancel()
    }

    // MARK: On any thread

    private func finish(_ reply: ServerReply) {
        let late = state.withLock { state in
            state.task = nil
            guard !state.abandoned else { return true }
            state.reply = reply
            wake(&state)
            return false
        }
        if late, case .stream(_, _, let source) = reply { source.close() }
    }

    /// The server stops, or the client of a stream is gone: whatever waits is let go.
    func abandon() {
        let (stream, task) = state.withLock { state in
            state.abandoned = true
            wake(&state)
            return (state.stream, state.task)
        }
        stream?.close()
        task?.cancel()
    }

    private func wake(_ state: inout State) {
        guard state.suspended else { return }
        state.suspended = false
        connection.resume()
    }
}
