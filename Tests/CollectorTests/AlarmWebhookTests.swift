import HTTPServer
import Messages
import ServiceRuntime
import Support
import Testing

@testable import Collector

@Suite("Alarms that are posted: Alertmanager's webhook and Aodh's")
struct AlarmWebhookTests {
    static let now = Timestamp(seconds: 1_800_000_000)
    /// As Alertmanager 0.27 posts it (its documentation's fields, all of them).
    static let firing = """
        {"version": "4", "groupKey": "{}:{alertname=\\"HighLoad\\"}", "truncatedAlerts": 0, "status": "firing",
         "receiver": "updraft", "groupLabels": {"alertname": "HighLoad"}, "commonLabels": {"alertname": "HighLoad"},
         "commonAnnotations": {}, "externalURL": "http://alertmanager:9093",
         "alerts": [
          {"status": "firing", "labels": {"alertname": "HighLoad", "group": "workers"},
           "annotations": {"summary": "load is\\nhigh"}, "startsAt": "2027-01-15T07:58:03.123Z",
           "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph", "fingerprint": "c9a7f1d2b3e4a5f6"},
          {"status": "resolved", "labels": {"alertname": "HighLoad", "group": "gpu"}, "annotations": {},
           "startsAt": "2027-01-15T07:50:00Z", "endsAt": "2027-01-15T07:59:00+00:00", "generatorURL": "",
           "fingerprint": "00a7f1d2b3e4a5f6"}]}
        """

    @Test("Alertmanager: each alert by its fingerprint, name and state")
    func alertmanager() throws {
        let alarms = try AlarmWebhook.read(Array(Self.firing.utf8), cluster: "prod", at: Self.now).alarms
        #expect(alarms.map(\.alarmID) == ["c9a7f1d2b3e4a5f6", "00a7f1d2b3e4a5f6"])
        #expect(alarms.map(\.name) == ["HighLoad", "HighLoad"])
        #expect(alarms.map(\.state) == ["alarm", "ok"])
        #expect(alarms[0].why == "load is high")
        #expect(alarms.map(\.at) == [Self.now, Self.now])
    }

    @Test("an alert that fires again with its old startsAt is newer than the word that it was resolved")
    func firesAgain() throws {
        func told(_ status: String, ends: String, after seconds: Double) throws -> CloudAlarm? {
            let body = """
                {"version": "4", "alerts": [{"status": "\(status)", "labels": {"alertname": "a"}, "fingerprint": "ab",
                 "startsAt": "2027-01-15T07:00:00Z", "endsAt": "\(ends)"}]}
                """
            return try AlarmWebhook.read(Array(body.utf8), cluster: "prod", at: Self.now + .seconds(seconds)).alarms
                .first
        }
        let first = try #require(try told("firing", ends: "0001-01-01T00:00:00Z", after: 0))
        let over = try #require(try told("resolved", ends: "2027-01-15T07:55:00Z", after: 60))
        let again = try #require(try told("firing", ends: "0001-01-01T00:00:00Z", after: 120))
        #expect([first.state, over.state, again.state] == ["alarm", "ok", "alarm"])
        #expect(first.at < over.at && over.at < again.at)
    }

    @Test("alerts that Alertmanager left out are counted; a senseless count is none")
    func truncated() throws {
        func truncated(_ number: String) throws -> Int {
            let body = #"{"version": "4", "alerts": [], "truncatedAlerts": \#(number)}"#
            return try AlarmWebhook.read(Array(body.utf8), cluster: "prod", at: Self.now).truncated
        }
        #expect(try truncated("7") == 7)
        #expect(try truncated("0") == 0)
        #expect(try truncated("-3") == 0)
        #expect(try truncated("null") == 0)
        #expect(try truncated(#""many""#) == 0)
    }

    @Test("Aodh: by id and name, as of now")
    func aodh() throws {
        let body = """
            {"alarm_name": "group cpu", "alarm_id": "c9a72278-0000", "severity": "moderate", "previous": "ok",
             "current": "insufficient data", "reason": "No datapoint", "reason_data": {}}
            """
        let alarms = try AlarmWebhook.read(Array(body.utf8), cluster: "prod", at: Self.now).alarms
        #expect(
            alarms == [
                CloudAlarm(
                    cluster: "prod", alarmID: "c9a72278-0000", name: "group cpu", state: "insufficient data",
                    why: "No datapoint", at: Self.now)
            ])
    }

    @Test(
        "what is malformed is refused, the field named",
        arguments: [
            ("", "1:1"), ("[]", "alarm_id"), ("{}", "version"), (#"{"version": "3", "alerts": []}"#, "version is '3'"),
            (#"{"version": "4"}"#, "alerts"), (#"{"version": "4", "alerts": [{}]}"#, "alerts[0].labels.alertname"),
            (#"{"version": "4", "alerts": [{"labels": {"alertname": 7}}]}"#, "alertname"),
            (#"{"version": "4", "alerts": [{"labels": {"alertname": "a"}, "fingerprint": "../x"}]}"#, "fingerprint"),
            (
                #"{"version": "4", "alerts": [{"labels": {"alertname": "a"}, "fingerprint": "ab", "status": "on"}]}"#,
                "status is 'on'"
            ),
            (#"{"alarm_id": "a", "current": "melting"}"#, "current is 'melting'"), (#"{"alarm_id": 7}"#, "alarm_id"),
        ])
    func malformed(body: String, what: String) {
        #expect {
            _ = try AlarmWebhook.read(Array(body.utf8), cluster: "prod", at: Self.now)
        } throws: { error in
            let text = (error as? AlarmWebhook.Refusal)?.what ?? ""
            return body.isEmpty ? !text.isEmpty : text.contains(what)
        }
    }

    @Test("an alert that cannot be used costs only itself, and is named: Alertmanager would not send the others again")
    func oneNameless() async throws {
        let body = """
            {"version": "4", "alerts": [
             {"status": "firing", "labels": {"alertname": "a"}, "fingerprint": "aa"},
             {"status": "firing", "labels": {"job": "b"}, "fingerprint": "bb"},
             {"status": "resolved", "labels": {"alertname": "c"}, "fingerprint": "cc"}]}
            """
        let told = try AlarmWebhook.read(Array(body.utf8), cluster: "prod", at: Self.now)
        #expect(told.alarms.map(\.name) == ["a", "c"])
        #expect(told.faults == ["alerts[1].labels.alertname is missing, empty or too long"])
        let (response, taken) = try await ask(
            SignalURL(secret: "a secret", cluster: "prod").alarmsPath, body: body)
        let answer = String(decoding: response.body, as: UTF8.self)
        #expect(response.status == 202 && answer.contains("alerts[1].labels.alertname"), "\(answer)")
        #expect(taken.map(\.state) == ["alarm", "ok"])
    }

    @Test(
        "of too many alerts the first are used and the others told, none is cut off silently; whatever time an alert bears, it is said now"
    )
    func bounds() throws {
        let one =
            #"{"labels": {"alertname": "a"}, "fingerprint": "ab", "status": "firing", "startsAt": "2100-01-01T00:00:00Z"}"#
        let many = #"{"version": "4", "alerts": ["# + Array(repeating: one, count: 1_001).joined(separator: ",") + "]}"
        let told = try AlarmWebhook.read(Array(many.utf8), cluster: "prod", at: Self.now)
        #expect(told.alarms.count == 1_000)
        #expect(told.faults == ["1 alerts beyond the 1000 of one message: group them otherwise"])
        let single = #"{"version": "4", "alerts": [\#(one)]}"#
        #expect(try AlarmWebhook.read(Array(single.utf8), cluster: "prod", at: Self.now).alarms.first?.at == Self.now)
    }

    // MARK: The listener

    private func ask(
        _ target: String, method: String = "POST", body: String = firing, isThere: Bool = true
    ) async throws -> (ServerResponse, [CloudAlarm]) {
        let taken = Lock<[CloudAlarm]>([])
        let server = SignalServer(
            cluster: "prod", groups: ["workers"], urls: SignalURL(secret: "a secret", cluster: "prod"),
            doors: SignalServer.Doors(
                now: { Self.now }, publish: { _ in false },
                publishAlarm: { alarm in
                    taken.withLock { $0.append(alarm) }
                    return isThere
                }))
        let response = await server.reply(
            to: try ServerRequest(
                method: method, target: target, headers: ServerHeaders([]), body: Array(body.utf8)))
        return (response, taken.withLock { $0 })
    }

    @Test("with the right address they go to the bus, each of them")
    func posted() async throws {
        let (response, taken) = try await ask(SignalURL(secret: "a secret", cluster: "prod").alarmsPath)
        #expect(response.status == 202 && String(decoding: response.body, as: UTF8.self) == #"{"alarms":2}"#)
        #expect(taken.map(\.state) == ["alarm", "ok"])
    }

    @Test("a forged address is refused: no token, another installation's, another cluster's, one for a group")
    func forged() async throws {
        let own = SignalURL(secret: "a secret", cluster: "prod")
        for target in [
            "/alarms", "/alarms?token=", "/alarms?token=\(String(repeating: "0", count: 64))",
            SignalURL(secret: "another", cluster: "prod").alarmsPath,
            SignalURL(secret: "a secret", cluster: "test").alarmsPath,
            "/alarms?token=\(own.token(group: "workers", .up, step: 1))",
            "/alarms?token=\(own.token(group: "alarms", .up, step: 1))",
        ] {
            let (response, taken) = try await ask(target)
            #expect(response.status == 401 && taken.isEmpty, "\(target)")
        }
        // Nor does the address for alarms ask for nodes.
        let (response, _) = try await ask("/signal/workers/up?token=\(own.alarmsToken)")
        #expect(response.status == 401)
    }

    @Test("a flood is held back with an answer after which Alertmanager sends again; what is left out is told")
    func flood() async throws {
        let taken = Lock(0)
        let left = Lock(0)
        let own = SignalURL(secret: "a secret", cluster: "prod")
        let server = SignalServer(
            cluster: "prod", groups: ["workers"], urls: own,
            doors: SignalServer.Doors(
                now: { Self.now }, publish: { _ in true },
                publishAlarm: { _ in
                    taken.withLock { $0 += 1 }
                    return true
                }, truncated: { number in left.withLock { $0 += number } }))
        let body = Self.firing.replacing(#""truncatedAlerts": 0"#, with: #""truncatedAlerts": 5"#)
        var answers: [Int: Int] = [:]
        for _ in 0..<150 {
            let response = await server.reply(
                to: try ServerRequest(
                    method: "POST", target: own.alarmsPath, headers: ServerHeaders([]), body: Array(body.utf8)))
            answers[response.status, default: 0] += 1
        }
        #expect(answers == [202: 100, 503: 50])
        #expect(taken.withLock { $0 } == 200 && left.withLock { $0 } == 500)
        // Strangers use up nothing of it, and signals have their own room.
        let signal = await server.reply(
            to: try ServerRequest(
                method: "POST", target: "/signal/workers/up?token=\(own.token(group: "workers", .up, step: 1))",
                headers: ServerHeaders([]), body: []))
        #expect(signal.status == 202)
    }

    @Test(
        "a body that is too large is counted and told as other refusals are: once an hour, and of strangers only that they came"
    )
    func tooLarge() async throws {
        let time = Lock(Self.now)
        let (told, forged, ended) = (Lock<[String]>([]), Lock<[String]>([]), Lock<[Int]>([]))
        let own = SignalURL(secret: "a secret", cluster: "prod")
        let server = try SignalServer(
            cluster: "prod", groups: ["workers"], urls: own,
            doors: SignalServer.Doors(
                now: { time.withLock { $0 } }, publish: { _ in true }, publishAlarm: { _ in true },
                refused: { what in told.withLock { $0.append(what) } },
                forged: { path in forged.withLock { $0.append(path) } },
                ended: { status in ended.withLock { $0.append(status) } })
        ).listen(host: "127.0.0.1", port: 0)
        defer { server.stop() }
        let client = HTTPClientForTests()
        func post(_ path: String) async throws -> Int {
            try await client.post(
                "http://127.0.0.1:\(server.port)\(path)",
                [UInt8](repeating: 0x20, count: SignalServer.maximumBodyBytes + 1))
        }
        #expect(try await post(own.alarmsPath) == 413)
        #expect(try await post(own.alarmsPath) == 413)
        #expect(told.withLock { $0 } == ["it has more than 1048576 bytes: group the alerts otherwise"])
        time.withLock { $0 = $0 + .minutes(61) }
        #expect(try await post(own.alarmsPath) == 413)
        #expect(told.withLock { $0.count } == 2 && forged.withLock { $0 }.isEmpty)
        #expect(try await post("/alarms?token=wrong") == 413)
        #expect(told.withLock { $0.count } == 2 && forged.withLock { $0 } == ["/alarms"])
        #expect(try await post(own.path(group: "workers", .up, step: 1)) == 413)
        #expect(ended.withLock { $0 } == Array(repeating: 413, count: 5))
        #expect(told.withLock { $0.count } == 2 && forged.withLock { $0.count } == 1)
        await client.close()
    }

    @Test("a body that is no alarm is told so; nothing is lost silently when the broker is away")
    func answers() async throws {
        let path = SignalURL(secret: "a secret", cluster: "prod").alarmsPath
        let (bad, _) = try await ask(path, body: #"{"version": "4", "alerts": [{}]}"#)
        #expect(bad.status == 400 && String(decoding: bad.body, as: UTF8.self).contains("alertname"))
        #expect(try await ask(path, method: "GET").0.status == 405)
        #expect(try await ask(path, isThere: false).0.status == 503)
    }
}
