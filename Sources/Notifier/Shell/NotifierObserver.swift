import Messages
import ServiceRuntime
import Support

/// The Notifier's log entries, metrics and conditions.
struct NotifierObserver: Sendable {
    private let log: Logger
    private let readiness: Readiness
    private let deliveries: Counter
    private let answers: Counter
    private let events: Counter
    private let running: Gauge
    private let longest: Gauge

    /// Writes to these.
    init(log: Logger, metrics: Metrics, readiness: Readiness) {
        self.log = log
        self.readiness = readiness
        deliveries = metrics.counter(
            "notifier_deliveries", "Tries to tell pods.", .label("channel", NoticeChannel.self),
            .label("outcome", ["delivered", "gone", "retried", "failed"]))
        answers = metrics.counter(
            "notifier_answers", "Answers of pods.", .label("source", AnswerSource.self),
            .label("verdict", AnswerVerdict.self))
        events = metrics.counter("notifier_events", "What became of cooldowns.", .label("event", EventType.self))
        running = metrics.gauge("notifier_cooldowns", "Nodes whose cooldown runs.")
        longest = metrics.gauge(
            "notifier_cooldown_seconds_left", "Until the last of the running cooldowns ends at the latest.")
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
        case .delivered: word = "delivered"
        case .gone: word = "gone"
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
        cooldowns([:])
    }

    func cooldowns(_ ends: [String: Timestamp]) {
        running.set(Double(ends.count))
        longest.set(ends.values.max().map { max(0, ($0 - .now()).inSeconds) } ?? 0)
    }
}
