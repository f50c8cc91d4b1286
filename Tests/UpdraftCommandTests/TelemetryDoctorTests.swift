import Actuator
import OpenStack
import ServiceRuntime
import Support
import Testing

@testable import UpdraftCommand

@Suite("updraft doctor telemetry")
struct TelemetryDoctorTests {
    private let now = Timestamp(seconds: 1_795_470_000)

    /// Everything as it should be.
    private var healthy: TelemetryFindings {
        var findings = TelemetryFindings()
        findings.wantsAlarms = true
        findings.alarmHistory = .init(kept: 2, missing: 0)
        findings.broker = .init(
            exchangeExists: true, samples: .init(messages: 3, consumers: 1), alarmExchangeExists: true)
        findings.gnocchi = .init(
            finestSeconds: 60, clusterExists: true, canary: now - .seconds(40), canarySeconds: 60)
        return findings
    }

    /// The one line that is not ok, after a change of what is healthy.
    private func complaint(_ change: (inout TelemetryFindings) -> Void) throws -> TelemetryFindings.Line {
        var findings = healthy
        change(&findings)
        let bad = findings.lines(at: now).filter { $0.verdict != .ok }
        #expect(bad.count == 1, "\(bad.map(\.text))")
        return try #require(bad.first)
    }

    @Test("all is well")
    func well() {
        let lines = healthy.lines(at: now)
        #expect(lines.allSatisfy { $0.verdict == .ok }, "\(lines)")
        #expect(lines.count == 4)
    }

    @Test("each missing piece is named, with how to mend it")
    func pieces() throws {
        let cases: [(words: String, remedy: String, change: (inout TelemetryFindings) -> Void)] = [
            ("cannot be reached: refused", "transport_url", { $0.broker = .init(failure: "refused") }),
            ("exchange does not exist", "ceilometer-agent-notification", { $0.broker?.exchangeExists = false }),
            ("no queue notifications.sample", "topics", { $0.broker?.samples = nil }),
            ("nobody reads", "start", { $0.broker?.samples = .init(messages: 9, consumers: 0) }),
            (
                "5000 messages wait", "messages_per_second",
                { $0.broker?.samples = .init(messages: 5_000, consumers: 1) }
            ),
            ("Aodh's exchange", "messagingv2", { $0.broker?.alarmExchangeExists = false }),
            (
                "Aodh's broker cannot be reached: refused", "collector.alarms.transport_url",
                { $0.broker?.alarmFailure = "refused" }
            ),
            ("record_history is off", "record_history = true", { $0.alarmHistory = .init(kept: 0, missing: 1) }),
            ("history of 1 of 3 alarms", "next change", { $0.alarmHistory = .init(kept: 2, missing: 1) }),
            ("Gnocchi cannot be asked", "login", { $0.gnocchi = .init(failure: "401") }),
            ("no resource type kubernetes_pod", "gnocchi-setup", { $0.gnocchi?.missingTypes = ["kubernetes_pod"] }),
            ("kubernetes_node.group", "PATCH", { $0.gnocchi?.missingAttributes = ["kubernetes_node.group"] }),
            ("no archive policy", "gnocchi-setup", { $0.gnocchi?.finestSeconds = nil }),
            ("points of 300 s: too coarse", "60 s", { $0.gnocchi?.finestSeconds = 300 }),
            ("keep points of 300 s", "delete the metrics", { $0.gnocchi?.canarySeconds = 300 }),
            (
                "node worker-1 has no metric kubernetes.node.cpu.usage, kubernetes.node.pods.running",
                "kubernetes_resources.yaml",
                {
                    $0.gnocchi?.missingMeters = [
                        .init(name: "kubernetes.node.cpu.usage", resource: "node worker-1"),
                        .init(name: "kubernetes.node.pods.running", resource: "node worker-1"),
                    ]
                }
            ),
            (
                "node worker-1 has no metric kubernetes.node.disk.used", "collector.stats.source",
                {
                    $0.gnocchi?.missingMeters = [
                        .init(name: "kubernetes.node.disk.used", resource: "node worker-1", isCertain: false)
                    ]
                }
            ),
            (
                "points of 300 s, by the archive policy low: kubernetes.node.cpu.usage", "delete the metrics",
                {
                    $0.gnocchi?.coarseMeters = [
                        .init(
                            name: "kubernetes.node.cpu.usage", resource: "node worker-1", policy: "low", seconds: 300)
                    ]
                }
            ),
            (
                "trust t1 ends in 5 days", "",
                {
                    $0.delegation = .init(
                        kind: .trust, id: "t1", expiresAt: Timestamp(seconds: 1_795_470_000) + .minutes(7_300))
                }
            ),
            (
                "Collector's login for Gnocchi is refused: 401", "clouds_file", { $0.writer = .init(failure: "401") }
            ),
            (
                "Collector's login for Gnocchi could not be tried from here: no such file", "where the Collector runs",
                { $0.writer = .init(untried: "no such file") }
            ),
            (
                "of the Collector: the login's trust t2 has ended", "",
                {
                    $0.writer = .init(
                        delegation: .init(kind: .trust, id: "t2", expiresAt: Timestamp(seconds: 1_795_469_000)))
                }
            ),
            ("no canary", "is not handled by Gnocchi", { $0.gnocchi?.canary = nil }),
            (
                "no canary", "project_id",
                {
                    $0.gnocchi?.canary = nil
                    $0.gnocchi?.clusterExists = false
                }
            ),
            (
                "sent 3600 s after now", "a sender's clock is ahead",
                { $0.gnocchi?.canary = Timestamp(seconds: 1_795_470_000) + .minutes(60) }
            ),
            ("is 3600 s old", "updraft_telemetry_working", { $0.gnocchi?.canary = Timestamp(seconds: 1_795_466_400) }),
        ]
        for entry in cases {
            let line = try complaint(entry.change)
            #expect(line.text.contains(entry.words), "\(line.text)")
            #expect(
                entry.remedy.isEmpty || line.remedy?.contains(entry.remedy) == true,
                "\(entry.words): \(line.remedy ?? "no remedy")"
            )
        }
    }

    @Test(
        "the Collector's login is wrong only if Keystone refuses it: what is not reached or readable from here is a warning"
    )
    func untried() throws {
        let codes: [(OpenStackError.Code, TelemetryFindings.Line.Verdict)] = [
            (.unauthorized, .wrong), (.configuration, .warning), (.transport, .warning), (.server, .warning),
        ]
        for (code, verdict) in codes {
            let error = OpenStackError(code, call: "POST identity auth/tokens", message: "what was said")
            let line = try complaint { $0.writer = TelemetryFindings.Writer(error) }
            #expect(line.verdict == verdict, "\(code)")
            #expect(line.text.contains("what was said"), "\(line.text)")
        }
    }

    @Test("to Gnocchi directly the broker's queue is nobody's business")
    func direct() {
        var findings = healthy
        findings.viaCeilometer = false
        findings.broker?.samples = nil
        findings.broker?.exchangeExists = false
        #expect(findings.lines(at: now).allSatisfy { $0.verdict == .ok })
    }
}

@Suite("updraft trust")
struct TrustCommandTests {
    @Test("arguments")
    func arguments() throws {
        let options = try TrustCommand.options(
            [
                "create", "--trustee", "u2", "--role", "member", "--role", "reader", "--expires", "1.5", "--cloud",
                "prod",
            ])
        #expect(
            options
                == .init(words: ["create"], trustee: "u2", roles: ["member", "reader"], days: 1.5, cloud: "prod"))
        for wrong in [["create", "--trustee"], ["create", "--expires", "-1"], ["show", "--nonsense", "x"]] {
            #expect(throws: TrustCommand.Mistake.self) { try TrustCommand.options(wrong) }
        }
    }
}
