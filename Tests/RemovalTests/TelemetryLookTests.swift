import HTTPServer
import JSONReader
import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support
import Testing

@testable import Actuator

/// What `updraft doctor telemetry` and the Actuator see of a Gnocchi, which answers as a running one was seen to.
@Suite("Looking at Gnocchi")
struct TelemetryLookTests {
    /// A resource of Gnocchi's.
    private struct Resource: Sendable {
        var type: String
        var name: String
        /// Minutes since it was made.
        var age: Double
        var project = "p1"
        var server: String?
        /// By name: how many minutes ago each of its measures was taken, the newest last.
        var metrics: [String: [Double]]

        var id: String { type == "kubernetes_cluster" ? TelemetryLookTests.clusterID : "id-of-\(name)" }

        func json(_ now: Timestamp) -> JSONValue {
            var json: [String: JSONValue] = [
                "id": .string(id), "type": .string(type), "name": .string(name), "project_id": .string(project),
                "started_at": .string((now - .minutes(age)).rfc3339), "metrics": .object([:]),
            ]
            if let server { json["server_id"] = .string(server) }
            return .object(json)
        }
    }

    /// Keystone, Gnocchi and Nova.
    private final class Cloud: Sendable {
        let world: Lock<[Resource]>
        /// Nova's servers and their states.
        let servers = Lock<[String: String]>([:])
        let server: HTTPServer
        let client: OpenStackClient

        init(_ resources: [Resource]) throws {
            let world = Lock(resources)
            self.world = world
            let servers = servers
            server = try HTTPServer { request in
                .response(Cloud.answer(request, world.withLock { $0 }, servers.withLock { $0 }))
            }
            client = OpenStackClient(
                try CloudConfiguration.load(environment: [
                    "OS_AUTH_URL": "http://127.0.0.1:\(server.port)/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p",
                    "OS_PROJECT_NAME": "p", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
                ]))
        }

        private static func answer(
            _ request: ServerRequest, _ world: [Resource], _ servers: [String: String]
        ) -> ServerResponse {
            let now = Timestamp.now()
            let gone = ServerResponse.json(404, #"{"code":404,"title":"Not Found","description":"does not exist"}"#)
            var path = request.path.split(separator: "/").map(String.init)[...]
            switch path.popFirst() {
            case "v3"? where path == ["auth", "tokens"]:
                let host = request.headers["Host"] ?? ""
                let services = [("metric", "gnocchi"), ("compute", "nova")].map { type, place in
                    #"{"type":"\#(type)","endpoints":[{"interface":"public","region_id":"r","url":"http://\#(host)/\#(place)"}]}"#
                }
                return .json(
                    201,
                    #"{"token":{"issued_at":"2026-11-23T00:00:00Z","expires_at":"2099-11-23T01:00:00Z","project":{"id":"p1"},"#
                        + #""user":{"id":"u1"},"catalog":[\#(services.joined(separator: ","))]}}"#,
                    headers: [("X-Subject-Token", "token-1")])
            case "nova"?:
                guard let id = path.last, let status = servers[id] else {
                    return .json(404, #"{"itemNotFound":{"code":404,"message":"Instance could not be found."}}"#)
                }
                return .json(200, #"{"server":{"id":"\#(id)","name":"s","status":"\#(status)"}}"#)
            case "gnocchi"? where path.popFirst() == "v1": break
            default: return gone
            }
            switch path.popFirst() {
            case "resource_type"?:
                let names = ["name", "namespace", "pod", "cluster", "node", "group", "server_id"]
                return .json(
                    200,
                    JSONValue.object(["attributes": .object(.init(uniqueKeysWithValues: names.map { ($0, [:]) }))]).text
                )
            case "archive_policy"?:
                return .json(200, #"{"definition":[{"granularity":60}],"aggregation_methods":["mean"]}"#)
            case "search"?:
                let found = world.filter { $0.type == path.last }.sorted { $0.age < $1.age }.prefix(20)
                return .json(200, JSONValue.array(found.map { $0.json(now) }).text)
            case "resource"?:
                let id = path.dropFirst().first
                guard let resource = world.first(where: { $0.id == id }) else { return gone }
                guard resource.project != "hidden" else {
                    return .json(403, #"{"code":403,"title":"Forbidden","description":""}"#)
                }
                path = path.dropFirst(2)
                if path.isEmpty { return .json(200, resource.json(now).text) }
                guard path.count == 3, let measures = resource.metrics[Array(path)[1]] else {
                    guard path.count == 1 else { return gone }
                    let all = resource.metrics.keys.sorted().map { name in
                        #"{"name":"\#(name)","archive_policy":{"name":"kubernetes","definition":[{"granularity":60}]}}"#
                    }
                    return .json(200, "[\(all.joined(separator: ","))]")
                }
                return .json(
                    200,
                    JSONValue.array(
                        measures.map { ago in
                            let at = now - .minutes(ago)
                            return [.string(at.rfc3339), 60.0, .double(Double(at.microseconds) / 1e6)]
                        }
                    ).text)
            default: return gone
            }
        }

        func close() async {
            await client.close()
            server.stop()
        }
    }

    /// `uuid5(uuid5(uuid5(NAMESPACE_DNS, "updraft.io"), "practice"), "cluster")`.
    private static let clusterID = TelemetryLook.id(.cluster, "practice", TelemetryKind.cluster.name())

    /// A cluster whose canary arrives.
    private static let alive = Resource(
        type: "kubernetes_cluster", name: "practice", age: 1_000,
        metrics: [
            "kubernetes.cluster.canary": [2, 1], "kubernetes.cluster.pods.running": [1],
            "kubernetes.cluster.pods.pending": [1],
        ])

    private func findings(_ cloud: Cloud, _ kinds: String) async throws -> TelemetryFindings {
        let context = ServiceContext(
            name: "doctor",
            settings: try Settings.load(
                file: nil, environment: [:],
                flags: [
                    "cluster=practice", "bus.transport_url=rabbit://x:x@127.0.0.1:1/", "collector.telemetry.to=gnocchi",
                    "collector.telemetry.project_id=p1", "collector.telemetry.resources=[\(kinds)]",
                ]),
            log: Logger(service: "doctor", write: { _ in }))
        let findings = await TelemetryLook(context, client: cloud.client).findings()
        #expect(findings.gnocchi?.failure == nil)
        return findings
    }

    /// What is not well.
    private func complaints(_ cloud: Cloud, _ kinds: String) async throws -> [String] {
        try await findings(cloud, kinds).lines(at: .now()).filter { $0.verdict != .ok }.map {
            "\($0.verdict) \($0.text)"
        }
    }

    @Test("pods of Jobs that lived for one reading have no rate, and nothing is said to be undeclared for it")
    func jobs() async throws {
        let jobs = (0..<30).map { number in
            Resource(
                type: "kubernetes_pod", name: "job-\(number)", age: Double(3 + number),
                metrics: ["kubernetes.pod.memory.working_set": [Double(3 + number)]])
        }
        let cloud = try Cloud([Self.alive] + jobs)
        #expect(try await complaints(cloud, "cluster, pod") == [])
        // One that lives on has it.
        let minutes = (0..<10).map { Double(10 - $0) }
        var web = Resource(
            type: "kubernetes_pod", name: "web", age: 12,
            metrics: ["kubernetes.pod.memory.working_set": minutes, "kubernetes.pod.cpu.usage": minutes])
        cloud.world.withLock { $0 = [Self.alive, web] + jobs }
        #expect(try await complaints(cloud, "cluster, pod") == [])
        // Or has it not, and then it is told of that one.
        web.metrics["kubernetes.pod.cpu.usage"] = nil
        cloud.world.withLock { $0 = [Self.alive, web] + jobs }
        #expect(
            try await complaints(cloud, "cluster, pod") == [
                "wrong pod web (and 19 others) has no metric kubernetes.pod.cpu.usage"
            ])
        // What takes one reading none of them lacks.
        cloud.world.withLock { world in
            world =
                [Self.alive]
                + jobs.map { job in
                    var job = job
                    job.metrics = ["kubernetes.pod.network.received": [3]]
                    return job
                }
        }
        #expect(
            try await complaints(cloud, "cluster, pod") == [
                "wrong pod job-0 (and 19 others) has no metric kubernetes.pod.memory.working_set"
            ])
        await cloud.close()
    }

    @Test("why the canary stays away: a meter of other resources is no reason")
    func cause() {
        let now = Timestamp(seconds: 1_795_470_000)
        var findings = TelemetryFindings()
        findings.gnocchi = .init(finestSeconds: 60, clusterExists: true, canary: now - .minutes(60), canarySeconds: 60)
        findings.gnocchi?.missingMeters = [.init(name: "kubernetes.pod.cpu.usage", resource: "pod web")]
        let cause = CanaryReader.cause(findings, at: now)
        #expect(cause.hasPrefix("the last canary in Gnocchi is 3600 s old: is a Collector running"), "\(cause)")
    }

    @Test(
        "the cluster's resource is another project's, told or hidden: a cluster of the same name is named as the cause")
    func otherTenant() async throws {
        let cloud = try Cloud([])
        for (project, told) in [("p9", "the project p9"), ("hidden", "another project")] {
            var theirs = Self.alive
            theirs.project = project
            cloud.world.withLock { $0 = [theirs] }
            let wrong = try await findings(cloud, "cluster").lines(at: .now()).filter { $0.verdict == .wrong }
            #expect(
                wrong.map(\.text) == [
                    "the cluster's resource belongs to \(told), not to collector.telemetry.project_id"
                ])
            #expect(wrong.first?.remedy?.contains("a cluster of the same name") == true)
        }
        await cloud.close()
    }

    @Test("nothing comes of a node although canaries arrive: told if its server runs, and only while they arrive")
    func silentNode() async throws {
        let all = TelemetryKind.node.gauges.map { $0.meter(of: .node) }
        func node(_ name: String, _ server: String?, last: Double) -> Resource {
            Resource(
                type: "kubernetes_node", name: name, age: 500, server: server,
                metrics: .init(uniqueKeysWithValues: all.map { ($0, [last + 1, last]) }))
        }
        let nodes = [
            node("well", "s1", last: 1), node("silent", "s2", last: 30), node("gone", "s3", last: 30),
            node("off", "s4", last: 30), node("foreign", nil, last: 30),
        ]
        let cloud = try Cloud([Self.alive] + nodes)
        cloud.servers.withLock { $0 = ["s1": "ACTIVE", "s2": "ACTIVE", "s4": "SHUTOFF"] }
        let told = try await complaints(cloud, "cluster, node")
        #expect(told.count == 1, "\(told)")
        let line = told.first ?? ""
        #expect(
            line.hasPrefix("warning canaries arrive, but nothing of nodes whose servers run: silent (for 17"), "\(line)"
        )
        // When no statistics arrive at all that is what is told.
        var late = Self.alive
        late.metrics["kubernetes.cluster.canary"] = [31, 30]
        cloud.world.withLock { $0 = [late] + nodes }
        let others = try await complaints(cloud, "cluster, node")
        #expect(others.count == 1 && others[0].hasPrefix("wrong the last canary in Gnocchi is"), "\(others)")
        await cloud.close()
    }
}
