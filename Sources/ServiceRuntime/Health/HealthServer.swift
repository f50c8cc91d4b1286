import HTTPServer
import Settings
import Support

/// `/healthz`, `/readyz` and `/metrics`, and what pages a service adds.
public final class HealthServer: Sendable {
    /// A page of a service.
    public typealias Page = @Sendable (ServerRequest) async -> ServerResponse

    private let server: HTTPServer
    private let pages: Pages

    private final class Pages: Sendable {
        let readiness: Readiness
        let metrics: Metrics
        let pulse: Pulse
        let more = Lock<[String: Page]>([:])

        init(readiness: Readiness, metrics: Metrics, pulse: Pulse) {
            self.readiness = readiness
            self.metrics = metrics
            self.pulse = pulse
        }

        func answer(_ request: ServerRequest) async -> ServerResponse {
            guard request.method == "GET" || request.method == "HEAD" else {
                return ServerResponse(status: 405, headers: [("Allow", "GET, HEAD")])
            }
            switch request.path {
            case "/healthz":
                if let stuck = pulse.stuck {
                    return .json(503, #"{"status":"stuck","seconds":\#(Int(stuck.inSeconds))}"#)
                }
                return .json(#"{"status":"ok"}"#)
            case "/readyz": return ready()
            case "/metrics":
                return .text(200, metrics.text(), type: "text/plain; version=0.0.4; charset=utf-8")
            default:
                guard let page = more.withLock({ $0[request.path] }) else {
                    let known = (["/healthz", "/readyz", "/metrics"] + more.withLock { $0.keys.sorted() })
                    return .text(404, "no such page; there are \(known.joined(separator: ", "))\n")
                }
                return await page(request)
            }
        }

        private func ready() -> ServerResponse {
            let all = readiness.all
            let ready = !all.isEmpty && all.values.allSatisfy(\.ok)
            var body = Array((ready ? #"{"status":"ready","failing":{"# : #"{"status":"not ready","failing":{"#).utf8)
            let failing = all.filter { !$0.value.ok }.sorted { $0.key < $1.key }
            for (index, (name, condition)) in failing.enumerated() {
                if index > 0 { body.append(UInt8(ascii: ",")) }
                JSONText.append(name, to: &body)
                body.append(UInt8(ascii: ":"))
                JSONText.append(condition.reason, to: &body, limit: LogLine.maximumText)
            }
            body += Array("},\"conditions\":[".utf8)
            for (index, name) in all.keys.sorted().enumerated() {
                if index > 0 { body.append(UInt8(ascii: ",")) }
                JSONText.append(name, to: &body)
            }
            body.append(UInt8(ascii: "]"))
            let notes = readiness.notes.sorted { $0.key < $1.key }
            for (index, note) in notes.enumerated() {
                body += Array((index == 0 ? ",\"notes\":{" : ",").utf8)
                JSONText.append(note.key, to: &body)
                body.append(UInt8(ascii: ":"))
                JSONText.append(note.value, to: &body, limit: LogLine.maximumText)
            }
            body += Array((notes.isEmpty ? "}" : "}}").utf8)
            return .json(ready ? 200 : 503, body)
        }
    }

    /// Starts serving.
    public init(
        listen: ListenAddress, readiness: Readiness, metrics: Metrics, pulse: Pulse = Pulse()
    ) throws(HTTPServerError) {
        let pages = Pages(readiness: readiness, metrics: metrics, pulse: pulse)
        self.pages = pages
        server = try HTTPServer(
            host: listen.host, port: listen.port, maximumBodyBytes: 64 << 10, maximumConnections: 64,
            idleTimeout: .seconds(30)
        ) { request in .response(await pages.answer(request)) }
    }

    /// The address it serves on.
    public var address: ListenAddress {
        ListenAddress(host: server.host == "localhost" ? "127.0.0.1" : server.host, port: server.port)
    }

    /// Adds a page, for `GET`. It must not block.
    public func page(_ path: String, _ page: @escaping Page) {
        pages.more.withLock { $0[path] = page }
    }

    /// Stops serving.
    public func stop() {
        server.stop()
    }

    /// The port of a service when the configuration names none.
    static func defaultPort(service: String) -> UInt16 {
        switch service {
        case "collector": 9471
        case "decider": 9472
        case "actuator": 9473
        case "notifier": 9474
        default: 0
        }
    }
}

/// Whether tasks still get to run. A service whose every thread is stuck in a call answers its health page (which has a
/// thread of its own) but does nothing else; a task that ticks gives it away.
public final class Pulse: Sendable {
    /// Without a tick for this long the process counts as stuck.
    public static let limit = Interval.seconds(60)

    private let last = Lock<Timestamp?>(nil)

    /// Not ticking yet.
    public init() {}

    /// Says that tasks run.
    public func tick(at time: Timestamp = .now()) {
        last.withLock { $0 = time }
    }

    /// Since when nothing ran, if that is too long. Before the first tick: never.
    public var stuck: Interval? {
        guard let last = last.withLock({ $0 }) else { return nil }
        let silence = Timestamp.now() - last
        return silence > Self.limit ? silence : nil
    }
}
