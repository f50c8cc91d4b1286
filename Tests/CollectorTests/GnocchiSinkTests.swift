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
                    let unknown = (body.objectValue ?? [:]).keys.filter { !state.resources.contains($0) }
                    guard unknown.isEmpty else {
                        return .json(
                            400,
                            #"{"code":400,"title":"Bad Request","description":{"cause":"Unknown resources","detail":[]}}"#
                        )
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
                if request.path == "/metric/v1/resource/instance" {
                    return .json(
                        400,
                        #"{"code":400,"title":"Bad Request","description":"required key not provided @ data['host']"}"#)
                }
                guard request.path.hasPrefix("/metric/v1/resource/kubernetes_"), let id = body["id"]?.stringValue else {
                    return .json(404, #"{"code":404,"title":"Not Found","description":"no such type"}"#)
                }
                state.bodies.append(body)
                return state.resources.insert(id).inserted ? .json(201, "{}") : .json(409, "{}")
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
        #expect(partial.withLock { $0 } == nil)
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
        // Each of the 64 may leave a sibling that was not asked for yet.
        #expect(cloud.state.withLock { $0.calls.count } - before <= 80)
        await sink.close()
    }
}
