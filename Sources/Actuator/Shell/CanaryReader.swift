import OpenStack
import ServiceRuntime
import Settings
import Support

/// Reads the Collector's canary back from Gnocchi: nothing else tells that samples are lost on their way. When it stays away,
/// looks for the reason. The Actuator does it since it has the login; only the one that acts.
struct CanaryReader: Sendable {
    private let client: OpenStackClient
    private let context: ServiceContext
    private let look: TelemetryLook
    private let telemetry: Settings.Collector.Telemetry
    private let patience: Interval
    private let loginRetry: Interval
    /// For the metrics; nil while nobody looks.
    private let seen: Lock<CanaryWatch?>
    private let failures: Counter

    /// The condition of `/readyz`.
    static let condition = "statistics"
    private static let tick = Interval.seconds(1)

    /// Nil: no canary is sent.
    /// - Parameters:
    ///   - patience: the age from which on the last one counts as missing; nil: the usual.
    ///   - loginRetry: after how long a login that failed is tried again, before the first look.
    init?(
        _ client: OpenStackClient, _ context: ServiceContext, patience: Interval? = nil,
        loginRetry: Interval = .seconds(30)
    ) {
        telemetry = context.settings.collector.telemetry
        guard telemetry.to != .none, telemetry.resources.contains(.cluster) else { return nil }
        self.client = client
        self.context = context
        self.loginRetry = loginRetry
        self.patience = patience ?? CanaryWatch.patience(telemetry.interval)
        look = TelemetryLook(context, client: client)
        let seen = Lock<CanaryWatch?>(nil)
        self.seen = seen
        context.metrics.gauge(
            "actuator_canary_age_seconds",
            "Age of the newest canary in Gnocchi, below zero where a sender's clock is ahead; not there before one was found, and "
                + "while nobody looks."
        ) { seen.withLock { $0?.age(at: .now())?.inSeconds } }
        context.metrics.gauge(
            "actuator_canary_missing",
            "1 while statistics do not arrive in Gnocchi, as the canary shows; not there where that is not known."
        ) { seen.withLock { $0?.verdict(at: .now()).map { $0 ? 1 : 0 } } }
        failures = context.metrics.counter(
            "actuator_canary_failures", "Looks for the canary that Gnocchi did not answer.")
    }

    /// Until the task is cancelled.
    func run() async {
        defer {
            context.readiness.remove(Self.condition)
            seen.withLock { $0 = nil }
        }
        guard await mayRead() else { return }
        var watch = CanaryWatch(interval: telemetry.interval, patience: patience, began: .now())
        var told: String?
        var cause: (text: String, at: Timestamp)?
        while !Task.isCancelled {
            if watch.isDue(at: .now()) {
                do throws(OpenStackError) {
                    let sent = try await look.canary(client)?.sent
                    let now = Timestamp.now()
                    let turn = watch.read(sent, at: now)
                    told = nil
                    seen.withLock { $0 = watch }
                    switch turn {
                    case .arrives:
                        cause = nil
                        context.log.info("statistics arrive in Gnocchi again")
                        context.readiness.ok(Self.condition)
                    case .missing, .ahead: cause = await tell(watch.age(at: now), nil)
                    case nil:
                        // One cause is mended and another one is left: what the condition says must not be old.
                        guard let last = cause, now < last.at || now - last.at >= patience * 0.5 else { break }
                        cause = await tell(watch.age(at: now), last.text)
                    }
                } catch {
                    watch.failed(at: .now())
                    failures.increment()
                    // Once for each kind of trouble.
                    if told != error.code.rawValue {
                        // What another project has is forbidden, not hidden.
                        let hint =
                            error.code == .forbidden
                            ? "; has another tenant's cluster the same name? It must be unique in the cloud" : ""
                        context.log.warning(
                            "Gnocchi cannot be asked whether statistics arrive",
                            [.code: .string(error.code.rawValue), .error: .string(error.description + hint)])
                    }
                    told = error.code.rawValue
                }
            }
            guard (try? await Task.sleep(for: Self.tick.duration)) != nil else { return }
        }
    }

    /// A login of another project does not see the resource, and would miss what is there.
    private func mayRead() async -> Bool {
        var told: String?
        while !Task.isCancelled {
            do throws(OpenStackError) {
                let own = try await client.projectID()
                if told != nil { context.log.info("the login to look for statistics in Gnocchi works again") }
                told = nil
                guard own != telemetry.projectID else { return true }
                context.log.info(
                    "whether statistics arrive in Gnocchi is not looked for: the login is of another project than "
                        + "collector.telemetry.project_id",
                    [.from: .string(own ?? ""), .to: .string(telemetry.projectID)])
                context.readiness.note(
                    Self.condition,
                    "not looked for: the Actuator's login is of another project than collector.telemetry.project_id")
                return false
            } catch {
                // Once for each kind of trouble.
                if told != error.code.rawValue {
                    context.log.warning(
                        "there is no login to look for statistics in Gnocchi; it is tried again",
                        [.code: .string(error.code.rawValue), .error: .string(error.description)])
                }
                told = error.code.rawValue
                guard (try? await Task.sleep(for: loginRetry.duration)) != nil else { return false }
            }
        }
        return false
    }

    /// Says that they stay away, and why; in the log if that is news.
    private func tell(_ age: Interval?, _ before: String?) async -> (text: String, at: Timestamp) {
        let seen =
            age.map {
                $0 < .zero
                    ? "the last canary was sent \(Int(-$0.inSeconds)) s after now"
                    : "the last canary is \(Int($0.inSeconds)) s old"
            } ?? "no canary has arrived"
        let cause = await cause()
        if cause != before {
            context.log.error(
                "statistics do not arrive in Gnocchi", [.details: .string(seen), .reason: .string(cause)])
        }
        context.readiness.failed(Self.condition, "\(seen); \(cause)")
        return (cause, .now())
    }

    /// The first thing that is wrong on the way, with how to mend it.
    private func cause() async -> String {
        Self.cause(await look.findings(), at: .now())
    }

    /// The same, of what was found.
    static func cause(_ findings: TelemetryFindings, at now: Timestamp) -> String {
        var findings = findings
        // Neither how alarms come back nor other meters are a reason why the canary does not arrive.
        findings.wantsAlarms = false
        findings.gnocchi?.missingMeters = []
        let lines = findings.lines(at: now)
        guard let first = lines.first(where: { $0.verdict == .wrong }) else {
            return "nothing is seen to be wrong: `updraft doctor telemetry` looks again"
        }
        return first.text + (first.remedy.map { ": \($0)" } ?? "")
    }
}
