import Crypto
import HTTPServer
import JSONReader
import Messages
import OpenStack
import Support
import Testing

@testable import Collector

@Suite("Gnocchi directly")
struct GnocchiSinkTests {
    /// A Keystone and a Gnocchi in one, which answer as a running Gnocchi 4.4 was seen to.
    private final class Cloud: Sendable {
        struct State {
            var resources: Set<String> = []
            var stored: [String: Double] = [:]
            var bodies: [JSONValue] = []
            var calls: [String] = []
            var isRevoked = false
            var policy = "kubernetes"
            /// Metrics that another project made.
            var foreign: Set<String> = []
            /// Resources whose attributes another project guards.
            var guarded: Set<String> = []
            var attributes: [String: JSONValue] = [:]
            /// What every request for measures is answered.
            var refusingAll: Int?
            /// Whether unknown resources are named.
            var isNaming = true
            /// Resources that are there and unknown to this login all the same.
            var hidden: Set<String> = []
        }
        let state: Lock<State>
        private let server: HTTPServer

        init() throws {
            let state = Lock(State())
            self.state = state
            let port = Lock<UInt16>(0)
            server = try HTTPServer { request in
                .response(Cloud.answer(request, state, port.withLock { $0 }))
            }
            port.withLock { [server] in $0 = server.port }
        }

        func client() throws -> OpenStackClient {
            OpenStackClient(
                try CloudConfiguration.load(environment: [
                    "OS_AUTH_URL": "http://127.0.0.1:\(server.port)/identity/v3",
                    "OS_AUTH_TYPE": "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID": "abc",
                    "OS_APPLICATION_CREDENTIAL_SECRET": "secret",
                ]))
        }

        private static func answer(_ request: ServerRequest, _ state: Lock<State>, _ port: UInt16) -> ServerResponse {
            state.withLock { state in
                state.calls.append("\(request.method) \(request.path)")
                if request.path == "/identity/v3/auth/tokens" {
                    if state.isRevoked {
                        return .json(
                            401, #"{"error":{"code":401,"message":"The trust was revoked","title":"Unauthorized"}}"#)
                    }
                    return .json(
                        201,
                        """
                        {"token":{"expires_at":"2099-01-01T00:00:00.000000Z","issued_at":"2026-01-01T00:00:00.000000Z",
                         "project":{"id":"p1"},"user":{"id":"u1"},"catalog":[{"type":"metric","endpoints":[
                          {"interface":"public","region_id":"R","region":"R","url":"http://127.0.0.1:\(port)/metric"}]}]}}
                        """, headers: [("X-Subject-Token", "token-\(state.calls.count)")])
                }
                if state.isRevoked {
                    return .json(401, #"{"message":"The request you have made requires authentication."}"#)
                }
                guard let body = try? JSONValue.parse(request.body) else { return .json(400, "{}") }
                if request.path == "/metric/v1/batch/resources/metrics/measures" {
                    if let status = state.refusingAll { return .json(status, #"{"title":"No","description":""}"#) }
                    let unknown = (body.objectValue ?? [:]).keys.filter {
                        !state.resources.contains($0) || state.hidden.contains($0)
                    }
                    guard unknown.isEmpty else {
                        let detail = state.isNaming ? unknown.sorted() : []
                        let list = detail.map { #"{"resource_id":"\#($0)","original_resource_id":"\#($0)"}"# }
                        return .json(
                            400,
                            #"{"code":400,"title":"Bad Request","description":{"cause":"Unknown resources","detail":["#
                                + list.joined(separator: ",") + "]}}")
                    }
                    let metrics = (body.objectValue ?? [:]).flatMap { resource, metrics in
                        (metrics.objectValue ?? [:]).keys.map { "\(resource)/\($0)" }
                    }
                    // As seen: all of it is refused, without a word which.
                    if !state.foreign.isDisjoint(with: metrics) {
                        return .json(403, #"{"code":403,"title":"Forbidden","description":""}"#)
                    }
                    for (resource, metrics) in body.objectValue ?? [:] {
                        for (name, metric) in metrics.objectValue ?? [:] {
                            guard metric["archive_policy_name"]?.stringValue == state.policy else {
                                return .json(
                                    400,
                                    #"{"code":400,"title":"Bad Request","description":"Archive policy nope does not exist"}"#
                                )
                            }
                            for measure in metric["measures"]?.arrayValue ?? [] {
                                state.stored["\(resource)/\(name)@\(measure["timestamp"]?.stringValue ?? "")"] =
                                    measure["value"]?.doubleValue
                            }
                        }
                    }
                    state.bodies.append(body)
                    return .json(202, "")
                }
                if request.method == "PATCH", let id = request.path.split(separator: "/").last.map(String.init) {
                    if state.guarded.contains(id) {
                        return .json(403, #"{"code":403,"title":"Forbidden","description":""}"#)
                    }
                    guard state.resources.contains(id) else {
                        return .json(404, #"{"code":404,"title":"Not Found","description":"no such resource"}"#)
                    }
                    state.attributes[id] = body
                    return .json(200, "{}")
                }
                if request.path == "/metric/v1/resource/instance" {
                    return .json(
                        400,
                        #"{"code":400,"title":"Bad Request","description":"required key not provided @ data['host']"}"#)
                }
                guard request.path.hasPrefix("/metric/v1/resource/kubernetes_"), let id = body["id"]?.stringValue else {
                    return .json(404, #"{"code":404,"title":"Not Found","description":"no such type"}"#)
                }
                state.bodies.append(body)
                guard state.resources.insert(id).inserted else { return .json(409, "{}") }
                state.attributes[id] = body
                return .json(201, "{}")
            }
        }
    }

    private let now = Timestamp(seconds: 1_795_470_000)
    private let partial = Lock<TelemetryPartial?>(nil)

    private func entry(
        _ kind: TelemetryKind, _ name: String, _ values: [Double]
    ) throws -> TelemetryCore.Entry {
        let points = try values.enumerated().map { index, value in
            try #require(
                TelemetryPoint(
                    kind, id: UUID5(namespace: .dns, name: name), at: now + .minutes(Double(index)),
                    attributes: kind == .instance ? [:] : ["name": name], [(.cpuUsage, value)]))
        }
        return .init(points: points, withAttributes: true)
    }

    private func failure(_ sink: GnocchiSink, _ batch: TelemetryCore.Batch) async -> TelemetryFailure? {
        do throws(TelemetryFailure) {
            partial.withLock { $0 = nil }
            let rest = try await sink.send(batch, at: now)
            partial.withLock { $0 = rest }
            return nil
        } catch {
            return error
        }
    }

    @Test("resources that are missing are made with project and attributes, then the measures are stored")
    func creates() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: "u1", archivePolicy: "kubernetes")
        let batch = TelemetryCore.Batch(
            entries: [try entry(.node, "n1", [0.5, 0.75]), try entry(.instance, "unknown-server", [1])], number: 1)
        #expect(await failure(sink, batch) == nil)
        let state = cloud.state.withLock { $0 }
        #expect(state.resources == [UUID5(namespace: .dns, name: "n1").description])
        #expect(state.stored.values.sorted() == [0.5, 0.75])
        let made = try #require(state.bodies.first)
        #expect(made["project_id"] == "p1")
        #expect(made["user_id"] == "u1")
        #expect(made["name"] == "n1")
        // Known from then on: one request.
        let before = state.calls.count
        let second = TelemetryCore.Batch(entries: [try entry(.node, "n1", [0.25])], number: 2)
        #expect(await failure(sink, second) == nil)
        #expect(cloud.state.withLock { $0.calls.count } == before + 1)
        await sink.close()
    }

    @Test("only what Gnocchi does not know is made; what it lets us not make is told, and left out for a while")
    func unknown() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let nodes = try (0..<20).map { try entry(.node, "n\($0)", [Double($0)]) }
        let servers = try (0..<30).map { try entry(.instance, "server \($0)", [1]) }
        cloud.state.withLock { state in
            state.resources = Set(nodes.dropLast().map { $0.points[0].id.description })
        }
        #expect(await failure(sink, .init(entries: nodes + servers, number: 1)) == nil)
        let rest = try #require(partial.withLock { $0 })
        #expect(rest.metrics == 30 && rest.failure.code == .refused)
        let made = cloud.state.withLock { state in
            state.calls.filter { $0 == "POST /metric/v1/resource/kubernetes_node" }.count
        }
        #expect(made == 1, "19 of the nodes were there")
        #expect(cloud.state.withLock { $0.stored.count } == 20)
        // From then on one request, not one for each server.
        let calls = cloud.state.withLock { $0.calls.count }
        #expect(await failure(sink, .init(entries: nodes + servers, number: 2)) == nil)
        #expect(cloud.state.withLock { $0.calls.count } == calls + 1)
        // They are not counted as taken for that.
        let left = try #require(partial.withLock { $0 })
        #expect(left.metrics == 30 && left.points == 30 && left.failure.code == .refused)
        // A batch of nothing else is no success.
        let alone = await failure(sink, .init(entries: servers, number: 3))
        #expect(alone?.code == .refused && alone?.isRetriable == false)
        #expect(cloud.state.withLock { $0.calls.count } == calls + 1)
        // Ceilometer has learnt of one meanwhile: ten minutes later its samples go.
        cloud.state.withLock { state in _ = state.resources.insert(servers[0].points[0].id.description) }
        let late = try await sink.send(.init(entries: [servers[0]], number: 3), at: now + .minutes(11))
        #expect(late == nil && cloud.state.withLock { $0.stored.count } == 21)
        await sink.close()
    }

    @Test("a Gnocchi that does not name what it does not know: all are made, those that exist stay")
    func unnamed() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let entries = try (0..<3).map { try entry(.node, "n\($0)", [Double($0)]) }
        cloud.state.withLock { state in
            state.isNaming = false
            state.resources = [entries[0].points[0].id.description]
        }
        #expect(await failure(sink, .init(entries: entries, number: 1)) == nil)
        #expect(cloud.state.withLock { $0.stored.count } == 3)
        await sink.close()
    }

    @Test("resources that are there and yet unknown: another tenant's cluster of the same name is named as the cause")
    func otherTenant() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let batch = TelemetryCore.Batch(entries: [try entry(.node, "n1", [1])], number: 1)
        let id = batch.entries[0].points[0].id.description
        cloud.state.withLock { state in
            state.resources = [id]
            state.hidden = [id]
        }
        let refused = try #require(await failure(sink, batch))
        #expect(refused.code == .refused && !refused.isRetriable)
        #expect(refused.text.contains("another tenant's cluster may have the same name"), "\(refused.text)")
        #expect(cloud.state.withLock { $0.calls }.filter { $0.hasPrefix("POST /metric/v1/resource/") }.count == 1)
        await sink.close()
    }

    @Test("attributes of a resource that was there before us are written, once; a pod that moved is told")
    func attributes() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let first = try entry(.node, "n1", [1])
        let id = first.points[0].id.description
        cloud.state.withLock { $0.resources = [id] }
        #expect(await failure(sink, .init(entries: [first], number: 1)) == nil)
        #expect(cloud.state.withLock { $0.attributes[id]?["name"] } == "n1")
        let calls = cloud.state.withLock { $0.calls.count }
        #expect(await failure(sink, .init(entries: [first], number: 2)) == nil)
        #expect(cloud.state.withLock { $0.calls.count } == calls + 1)
        var moved = first
        moved.points[0].attributes["group"] = "gpu"
        #expect(await failure(sink, .init(entries: [moved], number: 3)) == nil)
        #expect(cloud.state.withLock { $0.attributes[id]?["group"] } == "gpu")
        await sink.close()
    }

    @Test("attributes that may not be written cost no measures: they are stored, and the refusal is told")
    func guardedAttributes() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let entries = try (0..<3).map { try entry(.node, "n\($0)", [Double($0)]) }
        let ids = entries.map { $0.points[0].id.description }
        cloud.state.withLock { state in
            state.resources = Set(ids)
            state.guarded = [ids[0]]
        }
        #expect(await failure(sink, .init(entries: entries, number: 1)) == nil)
        #expect(partial.withLock { $0?.failure.code } == .forbidden)
        #expect(cloud.state.withLock { $0.stored.count } == 3)
        #expect(cloud.state.withLock { Set($0.attributes.keys) } == Set(ids.dropFirst()))
        await sink.close()
    }

    @Test("what is remembered of attributes is bounded, and what is still asked for stays")
    func bounded() {
        var written = WrittenAttributes(most: 100)
        written.wrote(["name": "node"], "node")
        var missed = 0
        for number in 0..<10_000 {
            written.wrote(["name": "\(number)"], "pod \(number)")
            if number % 20 == 0, !written.holds(["name": "node"], "node") { missed += 1 }
            if written.count > 101 { missed += 1 }
        }
        #expect(missed == 0)
        #expect(written.count <= 101)
        let changed = written.holds(["name": "other"], "node")
        written.forget("node")
        let gone = written.holds(["name": "node"], "node")
        #expect(!changed && !gone)
    }

    @Test("a revoked login is told as such, is worth waiting for, and what waits goes when it is mended")
    func revoked() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let batch = TelemetryCore.Batch(entries: [try entry(.node, "n1", [0.5])], number: 1)
        #expect(await failure(sink, batch) == nil)
        cloud.state.withLock { $0.isRevoked = true }
        let refused = try #require(await failure(sink, batch))
        #expect(refused.code == .unauthorized)
        #expect(refused.isRetriable)
        #expect(refused.text.contains("revoked"))
        #expect(!refused.text.contains("secret\""))
        cloud.state.withLock { $0.isRevoked = false }
        // A refused login is not repeated at once: Keystone may lock the account. (2 s at the first time.)
        var last: TelemetryFailure? = refused
        for _ in 0..<200 where last != nil {
            last = await failure(sink, batch)
            if last != nil { try await Task.sleep(for: .milliseconds(50)) }
        }
        #expect(last == nil)
        await sink.close()
    }

    @Test("an archive policy that is missing is named, with the file that has it")
    func policy() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "nope")
        let refused = try #require(
            await failure(sink, TelemetryCore.Batch(entries: [try entry(.node, "n1", [0.5])], number: 1)))
        #expect(refused.code == .refused)
        #expect(!refused.isRetriable)
        #expect(refused.text.contains("Archive policy nope does not exist"))
        #expect(refused.text.contains("gnocchi-types.json"))
        await sink.close()
    }

    @Test(
        "one metric that another project made: the others of the batch are stored, it is told, and left out from then on"
    )
    func foreignMetric() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let entries = try (0..<20).map { try entry(.node, "n\($0)", [Double($0)]) }
        #expect(await failure(sink, TelemetryCore.Batch(entries: entries, number: 1)) == nil)
        let id = UUID5(namespace: .dns, name: "n7").description
        cloud.state.withLock { state in
            state.foreign = ["\(id)/kubernetes.node.cpu.usage"]
            state.stored = [:]
        }
        #expect(await failure(sink, TelemetryCore.Batch(entries: entries, number: 2)) == nil)
        let rest = try #require(partial.withLock { $0 })
        #expect(rest.metrics == 1 && rest.failure.code == .forbidden)
        let others: [Double] = (0..<20).filter { $0 != 7 }.map { Double($0) }
        let stored: [Double] = cloud.state.withLock { $0.stored.values.sorted() }
        #expect(stored == others)
        // Known: one request, and nothing more to tell.
        let calls = cloud.state.withLock { $0.calls.count }
        #expect(await failure(sink, TelemetryCore.Batch(entries: entries, number: 3)) == nil)
        #expect(cloud.state.withLock { $0.calls.count } == calls + 1)
        #expect(partial.withLock { $0?.metrics } == 1 && partial.withLock { $0?.points } == 1)
        await sink.close()
    }

    @Test("nothing of a batch may be written: the batch is refused, after a bounded search")
    func allForeign() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let entries = try (0..<200).map { try entry(.node, "n\($0)", [1]) }
        #expect(await failure(sink, TelemetryCore.Batch(entries: entries, number: 1)) == nil)
        let before = cloud.state.withLock { state in
            state.foreign = Set(state.resources.map { "\($0)/kubernetes.node.cpu.usage" })
            return state.calls.count
        }
        let refused = try #require(await failure(sink, TelemetryCore.Batch(entries: entries, number: 2)))
        #expect(refused.code == .forbidden && !refused.isRetriable)
        #expect(refused.text.contains("another tenant whose cluster has the same name"), "\(refused.text)")
        // Each of the 64 may leave a sibling that was not asked for yet.
        let searched = cloud.state.withLock { $0.calls.count }
        #expect(searched - before <= 80)
        // Once, and not for every batch.
        let again = await failure(sink, TelemetryCore.Batch(entries: entries, number: 3))
        #expect(again?.code == .forbidden)
        #expect(cloud.state.withLock { $0.calls.count } - searched <= 2)
        // Nobody is left out for it: what was a fault of the whole service ends for all at once.
        cloud.state.withLock { $0.foreign = [] }
        #expect(await failure(sink, TelemetryCore.Batch(entries: entries, number: 4)) == nil)
        #expect(partial.withLock { $0 } == nil)
        await sink.close()
    }

    @Test("a request that is refused as a whole for a moment costs that batch, and no resource is left out afterwards")
    func refusedOnce() async throws {
        let cloud = try Cloud()
        let sink = GnocchiSink(try cloud.client(), projectID: "p1", userID: nil, archivePolicy: "kubernetes")
        let batch = TelemetryCore.Batch(entries: try (0..<5).map { try entry(.node, "n\($0)", [1]) }, number: 1)
        #expect(await failure(sink, batch) == nil)
        for status in [403, 400, 404] {
            cloud.state.withLock { $0.refusingAll = status }
            let refused = try #require(await failure(sink, batch))
            // No Gnocchi answers 404 there: it is waited for.
            #expect(refused.isRetriable == (status == 404), "\(refused)")
            cloud.state.withLock { state in
                state.refusingAll = nil
                state.stored = [:]
            }
            #expect(await failure(sink, batch) == nil)
            #expect(partial.withLock { $0 } == nil)
            #expect(cloud.state.withLock { $0.stored.count } == 5)
        }
        await sink.close()
    }
}
