import HTTPServer
import Messages
import Support

/// What becomes of an answer.
struct AnswerReceipt: Sendable, Equatable {
    var verdict: AnswerVerdict
    /// Until when the pod may take now; nil where the answer changed nothing.
    var deadline: Timestamp?
}

/// Takes answers of pods over HTTP: `POST /answers/<removal>/<pod uid>` with `{"answer":"done|extend|refuse",
/// "seconds":30}` and the notice's token, as `Authorization: Bearer <token>` or as `"token"` in the body.
final class AnswerServer: Sendable {
    private let server: HTTPServer
    private let base: String?
    /// Whether the advertised URL means, to whoever reads it, his own machine: only programs beside this one arrive.
    let leadsToReader: Bool

    /// What became of an answer.
    enum Heard: Sendable {
        /// This replica heard it.
        case verdict(AnswerReceipt)
        /// It is on its way to the replica that hears answers.
        case forwarded
        /// Neither: the pod has to try again.
        case lost
    }

    /// Starts to listen. `advertised`: the base URL under which pods reach it; nil: the address itself, if a pod can reach
    /// it at all.
    init(
        host: String, port: UInt16, advertised: String?, tls: ServerTLS? = nil,
        hear:
            @escaping @Sendable (_ removal: String, _ podUID: String, AnswerWord, _ token: String) async -> Heard
    ) throws(HTTPServerError) {
        server = try HTTPServer(
            host: host, port: port, maximumBodyBytes: 16 << 10, maximumConnections: 4_096, tls: tls
        ) { request in .response(await AnswerServer.reply(request, hear))
        }
        let address = host.contains(":") ? "[\(host)]" : host
        let own = AnswerServer.isReachable(host) ? "\(tls == nil ? "http" : "https")://\(address):\(server.port)" : nil
        var base = advertised ?? own
        while base?.hasSuffix("/") == true { base?.removeLast() }
        self.base = base
        leadsToReader = advertised.map { !AnswerServer.isReachable(AnswerServer.host(of: $0)) } ?? false
    }

    /// The host of a URL, without brackets.
    static func host(of url: String) -> String {
        let rest = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? url[...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let place = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        if place.hasPrefix("[") { return String(place.dropFirst().prefix { $0 != "]" }) }
        return String(place.prefix { $0 != ":" })
    }

    /// Whether the address means this machine also to others: not a loopback address, nor the one that stands for all.
    static func isReachable(_ host: String) -> Bool {
        let host = host.lowercased()
        let inner = host.hasPrefix("::ffff:") ? String(host.dropFirst(7)) : host
        if inner.hasPrefix("127.") || inner == "localhost" || inner == "0.0.0.0" { return false }
        // However it is written: nothing but zeros, with a one at the end or not.
        guard inner.contains(":") else { return true }
        return inner.dropLast(inner.hasSuffix("1") ? 1 : 0).contains { $0 != "0" && $0 != ":" }
    }

    /// The port that was got.
    var port: UInt16 { server.port }

    /// Whether pods can be told where to post an answer.
    var hasURL: Bool { base != nil }

    /// Where a pod posts its answer; nil when no address is known under which it would arrive.
    func url(removal: String, podUID: String) -> String? {
        guard let base else { return nil }
        return "\(base)/answers/\(PercentEncoding.segment(removal))/\(PercentEncoding.segment(podUID))"
    }

    /// Ends it.
    func stop() {
        server.stop()
    }

    private static func reply(
        _ request: ServerRequest,
        _ hear: @Sendable (String, String, AnswerWord, String) async -> Heard
    ) async -> ServerResponse {
        // Of the target as sent: an id may hold an encoded slash.
        let path = request.target.prefix { $0 != "?" }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            .compactMap { try? PercentEncoding.decode($0) }
        guard parts.count == 4, parts[1] == "answers", !parts[2].isEmpty, !parts[3].isEmpty else {
            return error(404, "answers are posted to /answers/<removal>/<pod uid>")
        }
        guard request.method == "POST" else { return error(405, "POST") }
        guard let body = AnswerBody(request.body), let word = body.word else {
            return error(
                400, "the body must be {\\\"answer\\\":\\\"done|extend|refuse\\\",\\\"seconds\\\":number for extend}")
        }
        let bearer = request.headers["Authorization"].flatMap { header in
            header.hasPrefix("Bearer ") ? String(header.dropFirst(7)) : nil
        }
        guard let token = bearer ?? body.token else { return error(401, "the notice's token is missing") }
        switch await hear(parts[2], parts[3], word, token) {
        case .verdict(let receipt):
            let deadline = receipt.deadline.map { ",\"deadline\":\"\($0.rfc3339)\"" } ?? ""
            let reason = reason(of: receipt.verdict).map { ",\"reason\":\"\($0)\"" } ?? ""
            return .json(
                status(of: receipt.verdict), "{\"verdict\":\"\(receipt.verdict.rawValue)\"\(deadline)\(reason)}")
        case .forwarded: return .json(202, "{\"verdict\":\"forwarded\"}")
        case .lost:
            return error(503, "nobody can hear it just now; answer again", headers: [("Retry-After", "1")])
        }
    }

    private static func status(of verdict: AnswerVerdict) -> Int {
        switch verdict {
        case .accepted, .clamped, .duplicate: 200
        case .late: 410
        case .notAllowed: 403
        case .irrevocable: 409
        case .forged: 401
        case .unknown: 404
        case .unreadable: 400
        }
    }

    /// Why a refusal did not count, for whoever reads the application's log.
    private static func reason(of verdict: AnswerVerdict) -> String? {
        switch verdict {
        case .notAllowed: "policy does not let this pod refuse"
        case .irrevocable: "somebody else takes the machine away, and nobody here can keep it"
        case .late: "the pod has said done, or its time is over"
        case .accepted, .clamped, .duplicate, .forged, .unknown, .unreadable: nil
        }
    }

    private static func error(
        _ status: Int, _ what: String, headers: [(String, String)] = []
    ) -> ServerResponse {
        .json(status, "{\"error\":\"\(what)\"}", headers: headers)
    }
}
