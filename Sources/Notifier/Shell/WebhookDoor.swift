import HTTPClient
import Messages
import Settings
import Support

/// What the engine asks of webhooks. A seam, so that it can be tested without any.
protocol WebhookSending: Sendable {
    /// Sends one message once.
    func send(_ message: WebhookMessage) async -> WebhookOutcome
}

/// Sends messages to the configured webhooks.
final class WebhookDoor: WebhookSending {
    /// Of an answer nothing but the status matters.
    static let maximumReplyBytes = 64 << 10

    private struct Line: Sendable {
        var settings: Settings.Notifier.Webhook
        var http: HTTPClient
    }

    private let lines: [String: Line]
    private let isDryRun: Bool

    init(_ webhooks: [Settings.Notifier.Webhook], userAgent: String, isDryRun: Bool) {
        let lines = webhooks.map { webhook in
            let tls = TLSSettings(caFile: webhook.caFile, insecureSkipVerify: webhook.insecure)
            return (webhook.id, Line(settings: webhook, http: HTTPClient(tls: tls, userAgent: userAgent)))
        }
        self.lines = Dictionary(lines) { first, _ in first }
        self.isDryRun = isDryRun
    }

    /// Sends one message once. No error that is told shows the address: chat systems write their secret into it.
    func send(_ message: WebhookMessage) async -> WebhookOutcome {
        guard let line = lines[message.webhook] else {
            return .failed("there is no such webhook", isRetriable: false, after: nil)
        }
        if isDryRun { return .taken }
        let settings = line.settings
        var headers: HTTPHeaders = ["Content-Type": settings.contentType, "Idempotency-Key": message.id]
        for header in settings.headers { headers[header.name] = header.value.revealed }
        let request = HTTPRequest(
            .post, settings.url.revealed, headers: headers, body: Array(settings.body.filled(message.values).utf8),
            timeouts: HTTPTimeouts(connect: settings.timeout, total: settings.timeout),
            maximumResponseBytes: WebhookDoor.maximumReplyBytes, retry: .none)
        do throws(HTTPError) {
            return WebhookDoor.outcome(try await line.http.send(request))
        } catch {
            // An answer that is too large was one.
            if let status = error.status { return WebhookDoor.outcome(HTTPResponse(status: status)) }
            let isRetriable = error.isRetriable || error.code == .tls
            return .failed("no answer: \(error.code)", isRetriable: isRetriable, after: nil)
        }
    }

    private static func outcome(_ response: HTTPResponse) -> WebhookOutcome {
        switch response.status {
        case 200..<300: return .taken
        case 300..<400:
            return .failed("it answered \(response.status); redirects are not followed", isRetriable: false, after: nil)
        case 408, 425, 429, 500...:
            // Dates are not worth reading here: every chat system says seconds.
            let after = response.headers["Retry-After"].flatMap { Double($0) }
            return .failed(
                "it answered \(response.status)", isRetriable: true,
                after: after.flatMap { $0.isFinite && $0 > 0 ? .seconds(min($0, 86_400)) : nil })
        default:
            return .failed("it answered \(response.status)", isRetriable: false, after: nil)
        }
    }

    /// Ends it.
    func close() async {
        for line in lines.values { await line.http.close() }
    }
}
