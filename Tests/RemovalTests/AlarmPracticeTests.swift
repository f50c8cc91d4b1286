import HTTPClient
import HTTPServer
import JSONReader
import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support
import Testing

@testable import Actuator

/// The Actuator's looks at Aodh, Gnocchi and Keystone with real clients.
@Suite("Looks with the login", .serialized, .timeLimit(.minutes(5)))
struct AlarmPracticeTests {
    @Test("a transition that nobody heard is found by looking, with its own time; nothing is said twice as new")
    func missedTransition() async throws {
        let stage = try PracticeStage()
        @Sendable func control(_ path: String, _ body: JSONValue) async throws {
            let response = try await stage.hooks.send(
                HTTPRequest(.post, "\(stage.cloud.controlURL)/practice/\(path)", body: body.bytes))
            #expect(response.status < 300, "\(path): \(String(decoding: response.body, as: UTF8.self))")
        }
        let said = Lock<[CloudAlarm]>([])
        let metrics = Metrics()
        let reader = AlarmReader(
            stage.openstack, cluster: "practice", wanted: ["group cpu"], project: try await stage.openstack.projectID(),
            interval: .seconds(1), log: Logger(service: "test", write: { _ in }), metrics: metrics)
        let watch = Lock(AlarmWatch(cluster: "practice", wanted: ["group cpu"], interval: .seconds(1)))
        func until(_ what: String, _ condition: () -> Bool) async throws {
            let end = Timestamp.now() + .seconds(60)
            while !condition() {
                guard Timestamp.now() < end else {
                    throw PracticeStage.NotInTime(description: "\(what): \(said.withLock { $0 }) \(metrics.text())")
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        func states() -> [String] {
            said.withLock { said in
                said.map(\.state).reduce(into: []) { states, state in if states.last != state { states.append(state) } }
            }
        }
        try await control("alarms", ["name": "group cpu", "state": "ok", "silent": true])
        try await control("alarms", ["name": "another's", "state": "alarm", "silent": true])
        let task = Task {
            await reader.look(watch, busWorks: { true }) { alarm in said.withLock { $0.append(alarm) } }
        }
        try await until("it is ok") { states() == ["ok"] }
        let before = Timestamp.now()
        try await control("alarms", ["name": "group cpu", "state": "alarm", "why": "1 sample outside", "silent": true])
        let after = Timestamp.now()
        try await until("it fires") { states() == ["ok", "alarm"] }
        try await until("it was said again") { said.withLock { $0 }.filter { $0.state == "alarm" }.count >= 2 }
        let fired = said.withLock { $0 }.filter { $0.state == "alarm" }
        #expect(fired.allSatisfy { $0 == fired.first }, "each time the same word: \(fired)")
        let first = try #require(fired.first)
        #expect(first.at >= before && first.at <= after && first.name == "group cpu" && first.why == "1 sample outside")
        #expect(metrics.text().contains("updraft_actuator_alarms_missed_total 1"))
        // Aodh fails for a while; then it is asked as before.
        try await control("faults", ["service": "aodh", "status": 503, "count": 6])
        try await control("alarms", ["name": "group cpu", "state": "insufficient data", "silent": true])
        try await until("looks failed") {
            metrics.text().contains("updraft_actuator_alarm_reads_total{outcome=\"failed\"}")
        }
        try await until("it is unknown") { states() == ["ok", "alarm", "insufficient data"] }
        task.cancel()
        await task.value
        await stage.close()
    }

    @Test("an application credential that will end: Keystone is asked, and it is told in time")
    func ending() async throws {
        let stage = try PracticeStage()
        #expect(try await stage.openstack.delegation()?.expiresAt == nil)
        let response = try await stage.hooks.send(
            HTTPRequest(
                .post, "\(stage.cloud.controlURL)/practice/actions/end-credential",
                body: JSONValue.object(["seconds": 7_000]).bytes))
        #expect(response.status == 200)
        let told = Lock<[DelegationNews]>([])
        let task = Task { await stage.openstack.watchDelegation { news in told.withLock { $0.append(news) } } }
        for _ in 0..<3_000 where told.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(20)) }
        task.cancel()
        await task.value
        let word = try #require(told.withLock { $0 }.first?.word)
        #expect(
            word.isUrgent && word.text.contains("application credential practice-credential ends in 116 min"), "\(word)"
        )
        await stage.close()
    }

    /// Keystone and Gnocchi, as far as the canary needs them. While `refusal` is set, Keystone answers with that status.
    private static func cloud(
        _ canary: Lock<Timestamp?>, refusal: Lock<Int?> = Lock(nil), logins: Lock<Int> = Lock(0)
    ) throws -> HTTPServer {
        try HTTPServer { request in
            let host = request.headers["Host"] ?? ""
            if request.path == "/v3/auth/tokens" {
                logins.withLock { $0 += 1 }
                if let status = refusal.withLock({ $0 }) {
                    return .response(.json(status, #"{"error":{"code":\#(status),"message":"not now"}}"#))
                }
                var response = ServerResponse.json(
                    201,
                    #"{"token":{"issued_at":"2026-11-23T00:00:00Z","expires_at":"2026-11-23T01:00:00Z","project":{"id":"p1"},"#
                        + #""user":{"id":"u1"},"catalog":[{"type":"metric","endpoints":[{"interface":"public","region_id":"r","#
                        + #""url":"http://\#(host)/gnocchi"}]}]}}"#)
                response.headers.append(("X-Subject-Token", "token-1"))
                return .response(response)
            }
            guard request.path.hasSuffix("/kubernetes.cluster.canary/measures"), let sent = canary.withLock({ $0 })
            else {
                return .response(
                    .json(404, #"{"code":404,"title":"Not Found","description":"Resource does not exist"}"#))
            }
            let value = Double(sent.microseconds) / 1e6
            return .response(.json(200, "[[\"\(sent.rfc3339)\",60.0,\(value)]]"))
        }
    }

    /// An Actuator's, whose Collector sends statistics of this project to Ceilometer.
    private static func context(project: String, _ lines: Lock<[String]>) throws -> ServiceContext {
        ServiceContext(
            name: "actuator",
            settings: try Settings.load(
                file: nil, environment: [:],
                flags: [
                    "cluster=practice", "bus.transport_url=rabbit://x:x@127.0.0.1:1/",
                    "collector.telemetry.to=ceilometer", "collector.telemetry.project_id=\(project)",
                    "collector.telemetry.interval=1s",
                ]),
            log: Logger(
                service: "actuator",
                write: { line in lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }))
    }

    /// A login at that cloud; its token is of the project p1.
    private static func login(_ server: HTTPServer) throws -> OpenStackClient {
        OpenStackClient(
            try CloudConfiguration.load(environment: [
                "OS_AUTH_URL": "http://127.0.0.1:\(server.port)/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p",
                "OS_PROJECT_NAME": "p", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
            ]))
    }

    @Test("a login of another project does not see the canary: that is said, nothing is looked for and none is missed")
    func canaryOfAnother() async throws {
        // Nothing is there that it could see.
        let server = try Self.cloud(Lock(nil))
        let lines = Lock<[String]>([])
        let context = try Self.context(project: "p2", lines)
        let client = try Self.login(server)
        let reader = try #require(CanaryReader(client, context, patience: .zero))
        let task = Task { await reader.run() }
        let end = Timestamp.now() + .seconds(90)
        while context.readiness.notes["statistics"] == nil {
            guard Timestamp.now() < end else {
                throw PracticeStage.NotInTime(
                    description: "it says why: \(lines.withLock { $0 }) \(context.readiness.all)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        // By itself: nobody ends it.
        await task.value
        #expect(
            context.readiness.notes["statistics"]
                == "not looked for: the Actuator's login is of another project than collector.telemetry.project_id")
        #expect(context.readiness.all["statistics"] == nil)
        #expect(!context.metrics.text().contains("updraft_actuator_canary_missing "))
        let said = lines.withLock { $0 }.filter { $0.contains("is not looked for") }
        #expect(said.count == 1 && said[0].contains(#""p1""#) && said[0].contains(#""p2""#), "\(said)")
        #expect(!lines.withLock { $0 }.contains { $0.contains("do not arrive") })
        await client.close()
        server.stop()
    }

    @Test("there is no login yet: said once for each kind of trouble, and when it works")
    func canaryWithoutLogin() async throws {
        let refusal = Lock<Int?>(503)
        let logins = Lock(0)
        let server = try Self.cloud(Lock(.now()), refusal: refusal, logins: logins)
        let lines = Lock<[String]>([])
        let context = try Self.context(project: "p1", lines)
        let client = try Self.login(server)
        let reader = try #require(CanaryReader(client, context, loginRetry: .milliseconds(20)))
        let task = Task { await reader.run() }
        func until(_ what: String, _ condition: () -> Bool) async throws {
            let end = Timestamp.now() + .seconds(90)
            while !condition() {
                guard Timestamp.now() < end else {
                    throw PracticeStage.NotInTime(description: "\(what): \(lines.withLock { $0 })")
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        func said(_ text: String) -> [String] { lines.withLock { $0 }.filter { $0.contains(text) } }
        try await until("it tries again and again") { logins.withLock { $0 } >= 7 }
        #expect(said("no login to look for statistics").count == 1, "\(lines.withLock { $0 })")
        refusal.withLock { $0 = 401 }
        try await until("another trouble is said") { said("no login to look for statistics").count == 2 }
        refusal.withLock { $0 = nil }
        try await until("it works") { said("works again").count == 1 }
        try await until("it was read") { context.metrics.text().contains("updraft_actuator_canary_age_seconds") }
        #expect(said("no login to look for statistics").count == 2)
        task.cancel()
        await task.value
        await client.close()
        server.stop()
    }

    @Test("the canary stays away: metric, log and condition, with the first thing that is wrong; it comes again")
    func canary() async throws {
        let sent = Lock<Timestamp?>(.now())
        let server = try Self.cloud(sent)
        let lines = Lock<[String]>([])
        let context = try Self.context(project: "p1", lines)
        let client = try Self.login(server)
        let reader = try #require(CanaryReader(client, context, patience: .seconds(3)))
        let task = Task { await reader.run() }
        func until(_ what: String, _ condition: () -> Bool) async throws {
            let end = Timestamp.now() + .seconds(90)
            while !condition() {
                guard Timestamp.now() < end else {
                    throw PracticeStage.NotInTime(
                        description: "\(what): \(lines.withLock { $0 }) \(context.metrics.text())")
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        #expect(!context.metrics.text().contains("updraft_actuator_canary_missing "), "nothing is known yet")
        try await until("it was read") { context.metrics.text().contains("updraft_actuator_canary_age_seconds") }
        #expect(context.readiness.all["statistics"]?.ok != false)
        try await until("it is missed") { context.readiness.all["statistics"]?.ok == false }
        let reason = context.readiness.all["statistics"]?.reason ?? ""
        #expect(
            reason.contains("the last canary is") && reason.contains("the cloud's broker cannot be reached"),
            "\(reason)")
        #expect(reason.contains("collector.telemetry.transport_url"), "\(reason)")
        #expect(context.metrics.text().contains("updraft_actuator_canary_missing 1"))
        // The condition does not go on saying what was wrong then.
        try await until("the cause is looked for again") {
            context.readiness.all["statistics"].map { !$0.ok && $0.reason != reason } == true
        }
        #expect(lines.withLock { $0 }.filter { $0.contains("statistics do not arrive in Gnocchi") }.count == 1)
        let sender = Task {
            while !Task.isCancelled {
                sent.withLock { $0 = .now() }
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        try await until("it comes again") { context.readiness.all["statistics"]?.ok == true }
        #expect(context.metrics.text().contains("updraft_actuator_canary_missing 0"))
        sender.cancel()
        task.cancel()
        await task.value
        // Whoever stands by says nothing of it.
        #expect(context.readiness.all["statistics"] == nil)
        await client.close()
        server.stop()
    }
}
