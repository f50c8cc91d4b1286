import Glibc
import Support

/// A TCP server on the loopback interface that does whatever a test's handler does: also what no honest server would.
/// One thread for each connection.
public final class TestServer: Sendable {
    /// The port it listens on.
    public let port: UInt16
    /// `http://127.0.0.1:<port>`
    public var url: String { "http://127.0.0.1:\(port)" }

    private let listener: Int32
    private let counter = Lock(0)

    /// Listens at once and calls `handler` for each connection.
    public init(_ handler: @escaping @Sendable (TestConnection) -> Void) {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                precondition(bind(listener, address, size) == 0, "cannot bind")
                precondition(getsockname(listener, address, &size) == 0, "cannot learn the port")
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        precondition(listen(listener, 512) == 0, "cannot listen")
        let counter = counter
        TestThread.start {
            while true {
                let socket = accept(listener, nil, nil)
                guard socket >= 0 else {
                    // Closed here and nowhere else: a number closed under this thread could already be another
                    // server's, whose connections it would then take.
                    close(listener)
                    return
                }
                counter.withLock { $0 += 1 }
                TestThread.start { handler(TestConnection(socket)) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
    }

    /// Connections accepted so far.
    public var connections: Int { counter.withLock { $0 } }

    /// Returns when somebody has connected; throws when nobody does for half a minute.
    public func connected() async throws {
        try await eventually("a connection to \(url)") { connections > 0 }
    }

    /// A server that answers each request of each connection with what `answer` returns.
    public static func answering(
        _ answer: @escaping @Sendable (TestRequest) -> (status: Int, headers: [(String, String)], body: String)
    ) -> TestServer {
        TestServer { connection in
            while let request = connection.readRequest() {
                let (status, headers, body) = answer(request)
                guard connection.answer(status, headers: headers, body) else { return }
            }
        }
    }
}

/// What a test waited for in vain.
public struct NeverHappened: Error, CustomStringConvertible {
    /// What it was.
    public let description: String
}

/// Returns when `condition` holds; throws when it does not for ten minutes: tests that compute may
/// keep both cores for a while.
public func eventually(_ what: String, _ condition: () -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(600)
    while !condition() {
        guard ContinuousClock.now < end else { throw NeverHappened(description: "waited in vain for \(what)") }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// A detached thread.
final class TestThread {
    private let body: @Sendable () -> Void

    private init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(TestThread(body))
        let code = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<TestThread>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, context.toOpaque())
        precondition(code == 0, "no thread")
        pthread_detach(thread)
    }
}
