import CShimsMicrohttpd
import Support

/// What the library's callbacks reach: the handler, the limits and the requests under way.
final class ServerCore: Sendable {
    private struct State {
        var stopping = false
        var nextID: UInt64 = 0
        var exchanges: [UInt64: Exchange] = [:]
    }

    let handler: @Sendable (ServerRequest) async -> ServerReply
    let maximumBodyBytes: Int
    let asksForCertificate: Bool
    let tooLarge: ServerReply
    let refused: @Sendable (ServerRequest) -> Void
    private let state = Lock(State())
    private let watch = Lock<HangupWatch?>(nil)

    init(
        maximumBodyBytes: Int, asksForCertificate: Bool, refused: @escaping @Sendable (ServerRequest) -> Void,
        handler: @escaping @Sendable (ServerRequest) async -> ServerReply
    ) {
        self.handler = handler
        self.refused = refused
        self.maximumBodyBytes = maximumBodyBytes
        self.asksForCertificate = asksForCertificate
        tooLarge = .response(.text(413, "a body may have at most \(maximumBodyBytes) bytes\n"))
    }

    /// Started with the first stream: most servers never have one.
    var hangups: HangupWatch? {
        watch.withLock { watch in
            if watch == nil {
                watch = HangupWatch { [weak self] id in self?.exchange(id)?.abandon() }
            }
            return watch
        }
    }

    /// Requests under way.
    var count: Int { state.withLock { $0.exchanges.count } }

    func begin(_ connection: Connection, target: String?) -> Exchange {
        state.withLock { state in
            state.nextID += 1
            let exchange = Exchange(
                id: state.nextID, connection: connection, target: target, core: self, abandoned: state.stopping)
            state.exchanges[exchange.id] = exchange
            return exchange
        }
    }

    func completed(_ exchange: Exchange) {
        state.withLock { _ = $0.exchanges.removeValue(forKey: exchange.id) }
        exchange.completed()
    }

    private func exchange(_ id: UInt64) -> Exchange? {
        state.withLock { $0.exchanges[id] }
    }

    /// Lets every request go: afterwards none is suspended and none will be.
    func stop() {
        let all = state.withLock { state in
            state.stopping = true
            return Array(state.exchanges.values)
        }
        for exchange in all { exchange.abandon() }
    }

    /// After the library's thread has ended.
    func stopped() {
        watch.withLock { $0?.stop() }
    }

    /// The library's callbacks, all on its own thread. They are plain functions, so no isolation can be inferred.
    static let callbacks = updraft_mhd_callbacks(
        begin: { server, connection, target in
            guard let server, let connection else { return nil }
            let core = Unmanaged<ServerCore>.fromOpaque(server).takeUnretainedValue()
            let exchange = core.begin(
                Connection(pointer: connection), target: target.flatMap { String(validatingCString: $0) })
            return Unmanaged.passRetained(exchange).toOpaque()
        },
        access: { _, _, context, method, data, size in
            guard let context, let method, let size else { return 0 }
            let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
            return exchange.access(method: method, data: data, size: size) ? 1 : 0
        },
        completed: { server, _, context in
            guard let server, let context else { return }
            let core = Unmanaged<ServerCore>.fromOpaque(server).takeUnretainedValue()
            core.completed(Unmanaged<Exchange>.fromOpaque(context).takeRetainedValue())
        })
}
