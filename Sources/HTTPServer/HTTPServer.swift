import CShimsMicrohttpd
import Support

/// Key and certificate of a TLS server, PEM files.
public struct ServerTLS: Sendable, Hashable {
    /// The certificate, followed by its chain.
    public var certificateFile: String
    /// The private key.
    public var keyFile: String
    /// When set, clients must show a certificate that this CA signed; others get 401.
    public var clientCAFile: String?

    /// From file names.
    public init(certificateFile: String, keyFile: String, clientCAFile: String? = nil) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.clientCAFile = clientCAFile
    }
}

/// A small HTTP/1.1 server: one thread, an async handler, streaming answers.
///
/// The handler runs on the server's own thread until it first suspends: it must not block. While it is suspended, and
/// while a stream has nothing to send, the connection costs no thread and no turn of the loop.
public final class HTTPServer: Sendable {
    /// The address it listens on.
    public let host: String
    /// The port it listens on; the one the system chose when 0 was asked for.
    public let port: UInt16
    private let core: ServerCore
    private let library: Lock<Library?>

    /// The running server of the library.
    private struct Library: @unchecked Sendable {
        // @unchecked: an opaque handle, used once at the end, by whoever takes it out of the lock.
        let pointer: OpaquePointer
    }

    /// Starts listening.
    ///
    /// - Parameters:
    ///   - host: an IP address, or `localhost`. Loopback unless told otherwise.
    ///   - port: 0 for any free one.
    ///   - maximumBodyBytes: a larger request is answered 413 without calling the handler.
    ///   - maximumConnections: more wait in the system's queue until one closes.
    ///   - idleTimeout: a connection that neither sends nor waits for an answer is closed.
    ///   - refused: told of each request whose body is too large, without the body: answered 413, or cut off where that
    ///     was not to be had by reading on. Must not block.
    ///   - handler: answers one request; cancelled when the server stops.
    public init(
        host: String = "127.0.0.1", port: UInt16 = 0, maximumBodyBytes: Int = 16 << 20, maximumConnections: Int = 1024,
        idleTimeout: Interval = .seconds(120), tls: ServerTLS? = nil,
        refused: @escaping @Sendable (ServerRequest) -> Void = { _ in },
        handler: @escaping @Sendable (ServerRequest) async -> ServerReply
    ) throws(HTTPServerError) {
        let pem = try tls.map { tls throws(HTTPServerError) in try PEMFiles(tls) }
        OpenFiles.allow(maximumConnections + 128)
        let socket = try ListeningSocket(host: host, port: port)
        let core = ServerCore(
            maximumBodyBytes: maximumBodyBytes, asksForCertificate: tls?.clientCAFile != nil, refused: refused,
            handler: handler)
        var options = updraft_mhd_options()
        options.listen_socket = socket.descriptor
        options.ipv6 = socket.isIPv6 ? 1 : 0
        options.connection_limit = UInt32(clamping: maximumConnections)
        options.idle_timeout_seconds = UInt32(clamping: Int(idleTimeout.inSeconds.rounded(.up)))
        options.connection_memory = 64 << 10
        // The callbacks get the core without a reference of their own; `stop` gives it back after the thread ended.
        let reference = Unmanaged.passRetained(core)
        let started = PEMFiles.withCStrings(pem) { key, certificate, clientCA in
            options.key_pem = key
            options.certificate_pem = certificate
            options.client_ca_pem = clientCA
            return withUnsafePointer(to: ServerCore.callbacks) { callbacks in
                updraft_mhd_start(&options, callbacks, reference.toOpaque())
            }
        }
        guard let started else {
            reference.release()
            socket.close()
            throw tls == nil
                ? HTTPServerError(.start, "cannot start a server on \(host):\(socket.port)")
                : HTTPServerError(
                    .tls,
                    "cannot use \(tls?.certificateFile ?? "") with \(tls?.keyFile ?? ""): not a certificate and its key"
                )
        }
        self.host = host
        self.port = socket.port
        self.core = core
        library = Lock(Library(pointer: started))
    }

    deinit { stop() }

    /// Requests under way, streams included.
    public var activeRequests: Int { core.count }

    /// Closes every connection and the port; streams see their client gone, running handlers are cancelled. Waits for
    /// the server's thread, which is a matter of milliseconds. Not from within a handler.
    public func stop() {
        guard
            let library = library.withLock({ library in
                defer { library = nil }
                return library
            })
        else { return }
        core.stop()
        updraft_mhd_stop(library.pointer)
        core.stopped()
        Unmanaged.passUnretained(core).release()
    }
}
