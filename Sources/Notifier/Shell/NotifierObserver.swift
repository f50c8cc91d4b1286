import Messages
import ServiceRuntime
import Support

/// The Notifier's log entries, metrics and conditions.
struct NotifierObserver: Sendable {
    private let log: Logger
    private let readiness: Readiness
    private let deliveries: Counter
    private let answers: Counter
    private let webhooks: Counter
    private let events: Counter
    private let running: Gauge
    private let ends = Lock<[String: Timestamp]>([:])

    /// Writes to these.
    /// - Parameter webhooks: names of the configured webhooks.
    init(log: Logger, metrics: Metrics, readiness: Readiness, webhooks names: [String] = []) {
        self.log = log
        self.readiness = readiness
        deliveries = metrics.counter(
            "notifier_deliveries", "Tries to tell pods.", .label("channel", NoticeChannel.self),
            .label("outcome", ["delivered", "gone", "expired", "retried", "failed"]))
        answers = metrics.counter(
            "notifier_answers", "Answers of pods.", .label("source", AnswerSource.self),
            .label("verdict", AnswerVerdict.self))
        webhooks = metrics.counter(
            "notifier_webhooks", "Calls of webhooks; `given_up`: messages that a webhook did not get.",
            .label("webhook", names), .label("outcome", ["delivered", "failed", "given_up"]))
        events = metrics.counter("notifier_events", "What became of cooldowns.", .label("event", EventType.self))
        running = metrics.gauge("notifier_cooldowns", "Nodes whose cooldown runs.")
        // Counted down when it is asked for, not when something happens.
        metrics.gauge(
            "notifier_cooldown_seconds_left", "Until the last of the running cooldowns ends at the latest."
        ) { [ends] in max(0, (ends.withLock { $0.values.max() }).map { ($0 - .now()).inSeconds } ?? 0) }
    }

    func published(_ event: Event) {
        events.increment(event.type.rawValue)
        switch event {
        case .removalNoticed(let event): said(.removalNoticed, event.removal)
        case .removalQuiesced(let event): said(.removalQuiesced, event.removal)
        case .nodeRemoval(let event):
            log.info(
                event.withdrawn ? "node stays: pods told" : "node goes: pods told",
                [
                    .removal: .string(event.removal), .node: .string(event.node), .count: .int(event.pods),
                    .reason: .string(event.reason.reason.rawValue),
                ])
        default: break
        }
    }

    private func said(_ type: EventType, _ removal: RemovalProgress) {
        log.info(
            type.rawValue,
            [
                .eventType: .string(type.rawValue), .removal: .string(removal.id), .node: .string(removal.node),
                .reason: .string(removal.reason.reason.rawValue), .details: .string(removal.reason.detail),
                .deadline: .string(removal.deadline?.rfc3339 ?? ""), .count: .int(removal.pods),
            ])
    }

    func delivered(_ channel: NoticeChannel, _ outcome: DeliveryOutcome, _ notice: Notice, _ attempt: Int) {
        let word: String
        var why = ""
        switch outcome {
        case .delivered, .garbled: word = "delivered"
        case .gone: word = "gone"
        case .expired:
            word = "expired"
            why = "its turn came after the pod's deadline"
        case .failed(let text, let isRetriable):
            word = isRetriable ? "retried" : "failed"
            why = text
        }
        deliveries.increment(channel.rawValue, word)
        log.log(
            why.isEmpty ? .debug : .warning, "notice",
            [
                .removal: .string(notice.removal), .pod: .string(notice.pod.id), .part: .string(channel.rawValue),
                .outcome: .string(word), .attempt: .int(attempt), .error: .string(why),
            ])
    }

    func webhook(_ message: WebhookMessage, _ outcome: WebhookOutcome, _ attempt: Int) {
        var why = ""
        if case .failed(let text, _, _) = outcome { why = text }
        webhooks.increment(message.webhook, why.isEmpty ? "delivered" : "failed")
        log.log(
            why.isEmpty ? .debug : .warning, "webhook",
            [
                .hook: .string(message.webhook), .removal: .string(message.removal), .node: .string(message.node),
                .phase: .string(message.phase.rawValue), .attempt: .int(attempt), .error: .string(why),
            ])
    }

    func webhookFailed(_ message: WebhookMessage, _ why: String) {
        webhooks.increment(message.webhook, "given_up")
        log.error(
            "webhook given up",
            [
                .hook: .string(message.webhook), .removal: .string(message.removal), .node: .string(message.node),
                .phase: .string(message.phase.rawValue), .error: .string(why),
            ])
    }

    func heard(_ source: AnswerSource, _ verdict: AnswerVerdict, _ pod: String) {
        answers.increment(source.rawValue, verdict.rawValue)
        let isStrange = verdict == .forged || verdict == .unknown
        log.log(
            isStrange ? .warning : .info, "answer",
            [.pod: .string(pod), .part: .string(source.rawValue), .outcome: .string(verdict.rawValue)])
    }

    func note(_ subject: String, _ explanation: Explanation, isLoud: Bool) {
        log.log(
            isLoud ? .warning : .info, explanation.detail,
            [.resource: .string(subject), .reason: .string(explanation.reason.rawValue)])
    }

    /// Something that lasts; nil: it is well.
    func condition(_ name: String, _ what: String?) {
        readiness.set(name, ok: what == nil, reason: what ?? "")
    }

    /// This replica acts no longer.
    func ended() {
        ends.withLock { $0 = [:] }
        running.set(0)
    }

    /// When a node's cooldown ends; nil: none runs.
    func countdown(_ node: String, _ until: Timestamp?) {
        let count = ends.withLock { ends -> Int in
            ends[node] = until
            return ends.count
        }
        running.set(Double(count))
    }
}
