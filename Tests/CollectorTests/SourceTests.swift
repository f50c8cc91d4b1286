import HTTPServer
import JSONReader
import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support
import TestServer
import Testing

@testable import Collector

/// Metrics of Gnocchi and alarms of Aodh that pod scalers name, read from a Keystone, Gnocchi and Aodh in one, which answer as running
/// ones were seen to.
@Suite("Sources of pod scalers: Gnocchi and Aodh")
struct SourceTests {
    private static let balancer = "0f8c5c1e-27f4-4b22-9f6e-0a5b7d1e2c3d"
    private static let alarm = "13c177ce-3c7a-4f32-8e7c-111111111111"

    private final class Cloud: Sendable {
        struct State {
            var calls: [String] = []
            var bodies: [String] = []
            /// Answers by `METHOD path`: status and body.
            var answers: [String: (Int, String)] = [:]
            var revoked = false
        }
        let state = Lock(State())
        let server: HTTPServer

        init(_ answers: [String: (Int, String)]) throws {
            let state = state
            state.withLock { $0.answers = answers }
            let port = Lock<UInt16>(0)
            server = try HTTPServer { request in
                let (status, body, headers): (Int, String, [(String, String)]) = state.withLock { state in
                    if request.path == "/identity/v3/auth/tokens" {
                        if state.revoked {
                            return (401, #"{"error":{"code":401,"message":"no","title":"Unauthorized"}}"#, [])
                        }
                        let base = "http://127.0.0.1:\(port.withLock { $0 })"
                        func service(_ type: String) -> String {
                            #"{"type":"\#(type)","endpoints":[{"interface":"public","region_id":"R","region":"R","url":"\#(base)/\#(type)"}]}"#
                        }
                        return (
                            201,
                            """
                            {"token":{"expires_at":"2099-01-01T00:00:00.000000Z","issued_at":"2026-01-01T00:00:00.000000Z",
                             "project":{"id":"p1"},"user":{"id":"u1"},"catalog":[\(service("metric")),\(service("alarming"))]}}
                            """, [("X-Subject-Token", "token-1")]
                        )
                    }
                    if state.revoked { return (401, "{}", []) }
                    state.calls.append("\(request.method) \(request.target)")
                    if !request.body.isEmpty { state.bodies.append(String(decoding: request.body, as: UTF8.self)) }
                    let (status, body) =
                        state.answers["\(request.method) \(request.path)"]
                        ?? (404, #"{"code":404,"title":"Not Found","description":"Resource x does not exist"}"#)
                    return (status, body, [])
                }
                return .response(.json(status, body, headers: headers))
            }
            port.withLock { [server] in $0 = server.port }
        }

        func client() throws -> OpenStackClient {
            var cloud = try CloudConfiguration.load(environment: [
                "OS_AUTH_URL": "http://127.0.0.1:\(server.port)/identity/v3",
                "OS_AUTH_TYPE": "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID": "abc",
                "OS_APPLICATION_CREDENTIAL_SECRET": "hidden-word",
            ])
            cloud.timeout = .seconds(5)
            return OpenStackClient(cloud)
        }
    }

    private let now = Timestamp("2026-11-23T22:23:30Z") ?? Timestamp(seconds: 0)

    private func metric(_ change: (inout GnocchiPlace) -> Void = { _ in }) -> StatSource.Place {
        var place = GnocchiPlace(metric: "connections", resourceType: "loadbalancer", resourceID: Self.balancer)
        change(&place)
        return .gnocchi(place)
    }

    private func wanted(_ stat: String, _ place: StatSource.Place) -> WantedSource {
        WantedSource(namespace: "shop", stat: stat, place: place)
    }

    private func reader(
        _ client: OpenStackClient?, _ wanted: [WantedSource], log: @escaping @Sendable (String) -> Void = { _ in }
    ) -> SourceReader {
        let now = now
        return SourceReader(
            wanted: { wanted }, publish: { _ in }, cluster: "test", client,
            log: Logger(service: "collector", write: { log(String(decoding: $0, as: UTF8.self)) }), metrics: Metrics(),
            clock: { now })
    }

    private static let measures = "/metric/v1/resource/loadbalancer/\(balancer)/metric/connections/measures"

    @Test("How often a source is read is told with its values, so that readers know what is late")
    func interval() async throws {
        let told = Lock<[ExternalStats]>([])
        let sources = [wanted("web/load", metric())]
        let reader = SourceReader(
            wanted: { sources }, publish: { stats in told.withLock { $0.append(stats) } }, cluster: "test", nil,
            log: Logger(service: "collector", write: { _ in }), metrics: Metrics())
        let task = Task { await reader.run(Rounds(interval: .minutes(20)) { true }) }
        try await eventually("the first reading") { told.withLock { !$0.isEmpty } }
        task.cancel()
        await task.value
        #expect(told.withLock { $0.first?.interval } == .minutes(20))
        #expect(told.withLock { $0.first?.failures?.first?.stat } == "web/load")
    }

    @Test("A metric's newest whole granule, with the time of its end; the one that is still filled counts for nothing")
    func granule() async throws {
        let cloud = try Cloud([
            "GET \(Self.measures)": (
                200,
                #"[["2026-11-23T22:00:00+00:00",3600.0,9.0],["2026-11-23T22:21:00+00:00",60.0,2.0],"#
                    + #"["2026-11-23T22:22:00+00:00",60.0,120.5],["2026-11-23T22:23:00+00:00",60.0,3.0]]"#
            )
        ])
        var troubles: [SourceKey: SourceTrouble] = [:]
        let two = [wanted("web/load", metric()), wanted("api/load", metric())]
        let stats = try await reader(cloud.client(), two).read(&troubles, at: now).external
        #expect(
            stats.samples.map { "\($0.namespace ?? "")/\($0.stat) \($0.value) \($0.at.rfc3339)" } == [
                "shop/api/load 120.5 2026-11-23T22:23:00.000000Z", "shop/web/load 120.5 2026-11-23T22:23:00.000000Z",
            ])
        #expect(stats.failures == nil)
        let calls = cloud.state.withLock { $0.calls }
        #expect(calls.count == 1, "one metric is read once, whoever names it: \(calls)")
        let call = try #require(calls.first)
        #expect(call.contains("granularity=60") && call.contains("aggregation=mean") && !call.contains("refresh"))
    }

    @Test("Over resources: what has ended is left out, and a sum needs all of its parts")
    func aggregate() async throws {
        let cloud = try Cloud([
            "POST /metric/v1/aggregates": (
                200,
                #"{"measures":{"aggregated":[["2026-11-23T22:22:00+00:00",60.0,7.0],["2026-11-23T22:21:00+00:00",60.0,1.0]]}}"#
            )
        ])
        var troubles: [SourceKey: SourceTrouble] = [:]
        for across in [GnocchiPlace.Across.max, .sum] {
            let place = metric {
                $0.resourceID = nil
                $0.match = ["shop": "o'brien \"x\"", "zone": "a"]
                $0.aggregation = "rate:mean"
                $0.across = across
            }
            let stats = try await reader(cloud.client(), [wanted("web/load", place)]).read(&troubles, at: now).external
            #expect(stats.samples.map(\.value) == [7])
        }
        let (calls, bodies) = cloud.state.withLock { ($0.calls, $0.bodies) }
        #expect(calls.map { $0.contains("needed_overlap=0") } == [true, false], "\(calls)")
        let body = try JSONValue.parse(Array((bodies.first ?? "").utf8))
        #expect(body["resource_type"] == "loadbalancer")
        #expect(
            body[path: "search", "and"]
                == [["=": ["shop": "o'brien \"x\""]], ["=": ["zone": "a"]], ["=": ["ended_at": .null]]])
        #expect(body["operations"] == ["aggregate", "max", ["metric", "connections", "rate:mean"]])
    }

    @Test(
        "An alarm's state is the number that the scaler names for it; a state without one is unknown, and not zero",
        arguments: [("alarm", 5.0), ("ok", 0), ("insufficient data", nil), ("strange", nil)])
    func alarms(state: String, value: Double?) async throws {
        let alarm = #"{"alarm_id":"\#(Self.alarm)","name":"slow","state":"\#(state)","type":"event","enabled":true}"#
        let cloud = try Cloud([
            "GET /alarming/v2/alarms/\(Self.alarm)": (200, alarm), "GET /alarming/v2/alarms": (200, "[\(alarm)]"),
        ])
        var troubles: [SourceKey: SourceTrouble] = [:]
        let places = [AlarmPlace(id: Self.alarm, firing: 5), AlarmPlace(name: "slow", firing: 5)]
        let stats = try await reader(
            cloud.client(), places.enumerated().map { wanted("web/\($0.offset)", .alarm($0.element)) }
        ).read(&troubles, at: now).external
        #expect(stats.samples.map(\.value) == (value.map { [$0, $0] } ?? []))
        #expect(stats.samples.allSatisfy { $0.at == now })
        #expect((stats.failures?.count ?? 0) == (value == nil ? 2 : 0))
        if value == nil { #expect(stats.failures?.first?.why.contains("'\(state)'") == true) }
    }

    @Test("A name that two alarms have, or none, is told; the other sources go on")
    func names() async throws {
        func alarm(_ id: String, _ name: String) -> String { #"{"alarm_id":"\#(id)","name":"\#(name)","state":"ok"}"# }
        let cloud = try Cloud([
            "GET /alarming/v2/alarms": (200, "[\(alarm("a1", "twice")),\(alarm("a2", "twice")),\(alarm("a3", "one"))]")
        ])
        var troubles: [SourceKey: SourceTrouble] = [:]
        let stats = try await reader(
            cloud.client(),
            ["none", "one", "twice"].map { (name: String) in wanted("web/\(name)", .alarm(AlarmPlace(name: name))) }
        ).read(&troubles, at: now).external
        #expect(stats.samples.map(\.stat) == ["web/one"])
        #expect(
            stats.failures?.map(\.why) == ["Aodh has no alarm 'none'", "Aodh has 2 alarms 'twice': give the id"])
        #expect(cloud.state.withLock { $0.calls.count } == 1, "the alarms are asked for once, however many names")
    }

    @Test(
        "What goes wrong has a name, is told once and with its end, and gives no value",
        arguments: [
            (200, "[]", "no_measure"), (200, #"[["2026-11-23T22:23:00+00:00",60.0,3.0]]"#, "no_measure"),
            (200, #"[["2026-11-23T22:22:00+00:00",60.0,null]]"#, "no_measure"),
            (200, #"[["2026-11-23T22:22:00+00:00",60.0]]"#, "malformed"), (200, "{", "malformed"),
            (200, #"[["yesterday",60.0,1.0]]"#, "malformed"),
            (404, #"{"code":404,"title":"Not Found","description":"no method"}"#, "metric_unknown"),
            (403, #"{"code":403,"title":"Forbidden","description":""}"#, "forbidden"),
            (500, #"{"code":500,"title":"Error","description":"boom"}"#, "server"),
        ])
    func troubles(status: Int, body: String, label: String) async throws {
        let cloud = try Cloud(["GET \(Self.measures)": (status, body)])
        let lines = Lock<[String]>([])
        var troubles: [SourceKey: SourceTrouble] = [:]
        let reader = try reader(cloud.client(), [wanted("web/load", metric())]) { line in
            lines.withLock { $0.append(line) }
        }
        for _ in 1...2 {
            let stats = await reader.read(&troubles, at: now).external
            #expect(stats.samples.isEmpty && stats.failures?.map(\.stat) == ["web/load"])
        }
        #expect(troubles.values.map(\.label) == [label])
        cloud.state.withLock {
            $0.answers["GET \(Self.measures)"] = (200, #"[["2026-11-23T22:22:00+00:00",60.0,3.0]]"#)
        }
        #expect(await reader.read(&troubles, at: now).external.samples.map(\.value) == [3])
        #expect(lines.withLock { $0.count } == 2, "\(lines.withLock { $0 })")
        #expect(lines.withLock { $0 }.first?.contains("cannot be read") == true)
        #expect(lines.withLock { $0 }.last?.contains("is read again") == true)
    }

    @Test("A Gnocchi that hangs keeps no alarm waiting, and an alarm is as of its answer")
    func hanging() async throws {
        let isHanging = Lock(true)
        let server = try HTTPServer { request in
            let base = "http://\(request.headers["Host"] ?? "")"
            if request.path == "/identity/v3/auth/tokens" {
                let services = ["metric", "alarming"].map {
                    #"{"type":"\#($0)","endpoints":[{"interface":"public","region_id":"R","region":"R","url":"\#(base)/\#($0)"}]}"#
                }
                return .response(
                    .json(
                        201,
                        #"{"token":{"expires_at":"2099-01-01T00:00:00.000000Z","issued_at":"2026-01-01T00:00:00.000000Z","#
                            + #""project":{"id":"p1"},"user":{"id":"u1"},"catalog":[\#(services.joined(separator: ","))]}}"#,
                        headers: [("X-Subject-Token", "token-1")]))
            }
            while request.path.hasPrefix("/metric/"), isHanging.withLock({ $0 }) {
                try? await Task.sleep(for: .milliseconds(10))
            }
            guard request.path.hasPrefix("/alarming/") else {
                return .response(.json(200, #"[["2026-11-23T22:22:00+00:00",60.0,7.0]]"#))
            }
            return .response(.json(200, #"[{"alarm_id":"a1","name":"slow","state":"alarm"}]"#))
        }
        let client = OpenStackClient(
            try CloudConfiguration.load(environment: [
                "OS_AUTH_URL": "http://127.0.0.1:\(server.port)/identity/v3",
                "OS_AUTH_TYPE": "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID": "abc",
                "OS_APPLICATION_CREDENTIAL_SECRET": "hidden-word",
            ]))
        let told = Lock<[ExternalStats]>([])
        // More of Gnocchi's than there are places for.
        let all =
            [wanted("web/slow", .alarm(AlarmPlace(name: "slow", firing: 1)))]
            + (0..<20).map { number in wanted("web/\(number)", metric { $0.metric = "m\(number)" }) }
        let start = Timestamp.now()
        let reader = SourceReader(
            wanted: { all }, publish: { stats in told.withLock { $0.append(stats) } }, cluster: "test", client,
            log: Logger(service: "collector", write: { _ in }), metrics: Metrics())
        let task = Task { await reader.run(Rounds(interval: .milliseconds(300), isActive: { true })) }
        func alarms() -> [ExternalStats.Sample] {
            told.withLock { $0 }.flatMap(\.samples).filter { $0.stat == "web/slow" }
        }
        let end = start + .seconds(300)
        while alarms().count < 3, Timestamp.now() < end { try await Task.sleep(for: .milliseconds(10)) }
        #expect(alarms().count >= 3, "\(told.withLock { $0 })")
        let seen = alarms()
        #expect(Set(seen.map(\.at)).count == seen.count && seen.allSatisfy { $0.at > start })
        #expect(told.withLock { $0 }.flatMap(\.samples).allSatisfy { $0.stat == "web/slow" })
        isHanging.withLock { $0 = false }
        task.cancel()
        await task.value
        server.stop()
    }

    @Test("A login that is refused says so, without its secret; a cloud that is away, likewise")
    func login() async throws {
        let cloud = try Cloud([:])
        cloud.state.withLock { $0.revoked = true }
        var troubles: [SourceKey: SourceTrouble] = [:]
        let places = [wanted("web/a", .alarm(AlarmPlace(name: "slow"))), wanted("web/load", metric())]
        let reader = try reader(cloud.client(), places)
        var stats = await reader.read(&troubles, at: now).external
        #expect(stats.failures?.count == 2 && Set(troubles.values.map(\.label)) == ["unauthorized"])
        #expect(!"\(stats)".contains("hidden-word"))
        cloud.server.stop()
        stats = await reader.read(&troubles, at: now).external
        #expect(stats.failures?.count == 2 && stats.samples.isEmpty)
    }

    @Test("Switched off, who names a source is told so; more than 500 are not read, and that is told too")
    func bounds() async throws {
        var troubles: [SourceKey: SourceTrouble] = [:]
        let off = await reader(nil, [wanted("web/load", metric())]).read(&troubles, at: now).external
        #expect(off.failures?.first?.why.contains("collector.openstack_stats.enabled") == true)
        let cloud = try Cloud([:])
        let many = (0..<510).map { number in wanted("web/\(1_000 + number)", metric { $0.metric = "m\(number)" }) }
        let stats = try await reader(cloud.client(), many).read(&troubles, at: now).external
        #expect(cloud.state.withLock { $0.calls.count } == 500)
        #expect(stats.failures?.count == 510)
        #expect(stats.failures?.last?.why == "scalers name more than 500 sources")
    }

    @Test(
        "Only sources of scalers in use are read; of an object and an entry of the configuration with one name the object's"
    )
    func wanted() async throws {
        func scaler(_ name: String, _ metric: String, enabled: Bool = true, minimum: Int = 1) -> PodScaler {
            PodScaler(
                namespace: "shop", name: name,
                target: TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: name), minimum: minimum,
                maximum: 5, enabled: enabled,
                intentions: [Intention(stat: "load", isExternal: true, goal: .average(1))],
                sources: [StatSource(stat: "load", place: .gnocchi(GnocchiPlace(metric: metric, resourceID: "r")))])
        }
        let engine = CollectorEngine(.init(cluster: "test", replica: "r"), observer: CollectorObserver())
        let objects = [scaler("a", "m1"), scaler("b", "m2", enabled: false), scaler("c", "m3", minimum: 9)]
        await engine.handle(.listing(.podScalers))
        await engine.handle(.observed(.podScalers, objects.map { .scaler($0) }))
        await engine.handle(.listed(.podScalers))
        let found = await engine.sources([scaler("a", "m4"), scaler("d", "m5")])
        #expect(
            found.map { "\($0.stat) \($0.place)" }.sorted().map { $0.contains("\"m1\"") || $0.contains("\"m5\"") } == [
                true, true,
            ])
        #expect(Set(found.map(\.stat)) == ["a/load", "d/load"])
        await engine.stop()
    }
}
