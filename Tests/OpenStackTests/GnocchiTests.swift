import JSONReader
import Support
import TestServer
import Testing

@testable import OpenStack

@Suite("Gnocchi, Aodh and trusts")
struct GnocchiTests {
    private let trust =
        #"{"id":"t1","trustor_user_id":"u1","trustee_user_id":"u2","project_id":"p1","impersonation":true,"#
        + #""roles":[{"id":"r1","name":"member"}],"expires_at":"2026-12-01T00:00:00.000000Z"}"#

    @Test("a trust is made for the login's own user and project, shown and revoked")
    func trusts() async throws {
        let trust = trust
        let cloud = FakeCloud { request in
            switch (request.method, request.path) {
            case ("POST", "/v3/OS-TRUST/trusts"): .json(#"{"trust":\#(trust)}"#, 201)
            case ("GET", "/v3/OS-TRUST/trusts/t1"): .json(#"{"trust":\#(trust)}"#)
            case ("GET", "/v3/OS-TRUST/trusts"): .json(#"{"trusts":[\#(trust)]}"#)
            case ("DELETE", "/v3/OS-TRUST/trusts/t1"): Reply(status: 204, headers: [], body: "")
            default: .json(#"{"error":{"code":404,"title":"Not Found","message":"Could not find trust: t2."}}"#, 404)
            }
        }
        let client = try cloud.client()
        let made = try await client.createTrust(
            trustee: "u2", roles: ["member"], expiresAt: Timestamp("2026-12-01T00:00:00Z"))
        #expect(made.id == "t1")
        #expect(made.roles == ["member"])
        #expect(made.expiresAt == Timestamp("2026-12-01T00:00:00Z"))
        let sent = try JSONValue.parse(try #require(cloud.requests.last?.body))["trust"]
        #expect(sent?["trustor_user_id"] == "u1")
        #expect(sent?["trustee_user_id"] == "u2")
        #expect(sent?["project_id"] == "p1")
        #expect(sent?["impersonation"] == true)
        #expect(try await client.trust("t1") == made)
        #expect(try await client.trust("t2") == nil)
        #expect(try await client.givenTrusts() == [made])
        #expect(try await client.revokeTrust("t1"))
        #expect(try await !client.revokeTrust("t2"))
    }

    @Test("policies and measures as a running Gnocchi writes them")
    func reading() async throws {
        let cloud = FakeCloud { request in
            if request.path.hasSuffix("/archive_policy/kubernetes") {
                return .json(
                    #"{"name":"kubernetes","back_window":0,"aggregation_methods":["mean","last"],"definition":["#
                        + #"{"granularity":"0:01:00","points":10080,"timespan":"7 days, 0:00:00"},"#
                        + #"{"granularity":"1:00:00","points":8760,"timespan":"365 days, 0:00:00"}]}"#)
            }
            if request.path.hasSuffix("/measures") {
                return .json(
                    #"[["2026-11-23T22:21:00+00:00",3600.0,2.0],["2026-11-23T22:21:00+00:00",60.0,2.25],"#
                        + #"["2026-11-23T22:22:00+00:00",60.0,2.5]]"#)
            }
            return .json(#"{"code":404,"title":"Not Found","description":"Metric nosuch does not exist"}"#, 404)
        }
        let client = try cloud.client()
        #expect(try await client.archivePolicy("kubernetes") == .init(finestSeconds: 60, methods: ["mean", "last"]))
        #expect(try await client.archivePolicy("nosuch") == nil)
        #expect(try await client.resourceTypeAttributes("nosuch") == nil)
        let measures = try #require(try await client.measures(ofResource: "r", metric: "m"))
        #expect(measures.map(\.value) == [2, 2.25, 2.5])
        #expect(measures.last?.at == Timestamp("2026-11-23T22:22:00Z"))
    }

    @Test("alarms by id and by name, with the last transition of their history")
    func alarms() async throws {
        let id = "13c177ce-5a3f-4b69-9d52-7e2c35cd6a10"
        let alarm =
            #"{"alarm_id":"\#(id)","name":"group cpu","state":"alarm","project_id":"p1","user_id":"u1","type":"#
            + #""gnocchi_resources_threshold","state_timestamp":"2026-11-23T20:00:00","state_reason":"Transition to alarm","#
            + #""severity":"low","repeat_actions":false,"alarm_actions":[],"gnocchi_resources_threshold_rule":{"#
            + #""metric":"cpu.utilization","aggregation_method":"mean","comparison_operator":"gt","threshold":0.8,"#
            + #""granularity":60,"evaluation_periods":5}}"#
        let cloud = FakeCloud { request in
            switch request.path {
            case "/aodh/v2/alarms/\(id)": .json(alarm)
            case "/aodh/v2/alarms": .json("[\(alarm)]")
            case "/aodh/v2/alarms/\(id)/history":
                .json(
                    #"[{"event_id":"e2","alarm_id":"\#(id)","type":"rule change","detail":"{\"severity\": \"low\"}","#
                        + #""timestamp":"2026-11-23T22:30:00"},{"event_id":"e1","alarm_id":"\#(id)","type":"state transition","#
                        + #""detail":"{\"state\": \"alarm\", \"transition_reason\": \"1 sample outside\"}","#
                        + #""timestamp":"2026-11-23T22:25:09.507629"}]"#)
            default: .json(#"{"error_message":{"faultstring":"Alarm nosuch not found"}}"#, 404)
            }
        }
        let client = try cloud.client(["OS_ALARMING_ENDPOINT_OVERRIDE": cloud.server.url + "/aodh"])
        let wanted = OpenStackClient.Alarm(
            id: id, name: "group cpu", state: "alarm", projectID: "p1", why: "Transition to alarm",
            definition: "mean of cpu.utilization gt 0.8, 5 times 60 s")
        #expect(try await client.alarm(id) == wanted)
        #expect(try await client.alarm("nosuch") == nil)
        #expect(try await client.alarms(named: "group cpu") == [wanted])
        #expect(cloud.calls.last == "GET /aodh/v2/alarms?q.field=name&q.op=eq&q.value=group%20cpu")
        // To the microsecond the time of the notification.
        #expect(
            try await client.lastTransition(ofAlarm: id)
                == .init(
                    state: "alarm", why: "1 sample outside", at: try #require(Timestamp("2026-11-23T22:25:09.507629Z")))
        )
    }

    @Test(
        "what an alarm watches is for people: whatever Aodh says of it, the alarm is read",
        arguments: [
            (#","type":"event","event_rule":{"event_type":"orchestration.*"}"#, "event"), ("", nil),
            (
                #","type":"prometheus","prometheus_rule":{"query":"up","comparison_operator":"lt","threshold":1}"#,
                "up lt 1"
            ),
            (#","type":7"#, nil), (#","type":"event","event_rule":"odd""#, "event"),
        ] as [(String, String?)])
    func definitions(more: String, words: String?) async throws {
        let cloud = FakeCloud { _ in .json(#"{"alarm_id":"a","name":"n","state":"ok"\#(more)}"#) }
        let client = try cloud.client(["OS_ALARMING_ENDPOINT_OVERRIDE": cloud.server.url + "/aodh"])
        let alarm = try #require(try await client.alarm("a"))
        #expect(alarm.definition == words && alarm.state == "ok")
        await client.close()
    }

    @Test("Gnocchi's own words are in the error: a text, or an object in its place")
    func words() async throws {
        let cloud = FakeCloud { _ in
            .json(
                #"{"code":400,"title":"Bad Request","description":{"cause":"Unknown resources","detail":["#
                    + #"{"resource_id":"x","original_resource_id":"x"}]}}"#, 400)
        }
        let client = try cloud.client()
        do throws(OpenStackError) {
            try await client.storeMeasures([], archivePolicy: "kubernetes")
            Issue.record("nothing was refused")
        } catch {
            #expect(error.code == .badRequest)
            #expect(error.message.contains("Unknown resources"))
        }
    }
}
