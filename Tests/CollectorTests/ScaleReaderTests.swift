import HTTPServer
import Kubernetes
import Messages
import ServiceRuntime
import Settings
import Support
import Testing

@testable import Collector

/// Targets of kinds that only some clusters have, read from a server of the tests' own.
@Suite("Reading scales")
struct ScaleReaderTests {
    /// What the server says at the moment.
    private struct Answers {
        var replicas = 3
        var status = 200
        var selector = "app=web"
        var version = ""
        /// How often the object was asked for.
        var reads = 0
        /// The object itself.
        var object = (403, #"{"kind":"Status","message":"may not","code":403}"#)
    }

    private final class Cluster: Sendable {
        let answers = Lock(Answers())
        let server: HTTPServer

        init() throws {
            let answers = answers
            server = try HTTPServer { request in
                switch request.path {
                case "/apis/example.org/v1":
                    return .response(
                        .json(
                            200,
                            #"{"resources":[{"name":"shops","namespaced":true,"kind":"Shop"},{"name":"shops/scale","namespaced":true,"kind":"Scale"},{"name":"tills","namespaced":true,"kind":"Till"}]}"#
                        ))
                case "/apis/example.org/v1/namespaces/n/shops/web/scale":
                    let now = answers.withLock { $0 }
                    return .response(
                        .json(
                            now.status,
                            now.status == 200
                                ? #"{"metadata":{"name":"web","namespace":"n","uid":"u","resourceVersion":"\#(now.version)"},"spec":{"replicas":\#(now.replicas)},"status":{"replicas":1,"selector":"\#(now.selector)"}}"#
                                : #"{"kind":"Status","message":"no","code":\#(now.status)}"#))
                case "/apis/example.org/v1/namespaces/n/shops/web":
                    let (status, body) = answers.withLock {
                        $0.reads += 1
                        return $0.object
                    }
                    return .response(.json(status, body))
                default: return .response(.json(404, #"{"kind":"Status","message":"not there","code":404}"#))
                }
            }
        }
    }

    private func wanted(_ kind: String = "Shop", _ name: String = "web") -> ScaleReader.Wanted {
        ScaleReader.Wanted(
            namespace: "n", reference: TargetReference(apiVersion: "example.org/v1", kind: kind, name: name))
    }

    private func reader(
        _ cluster: Cluster, pause: Interval = .zero, _ write: @escaping @Sendable (String) -> Void = { _ in }
    ) -> ScaleReader {
        ScaleReader(
            client: KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:\(cluster.server.port)")),
            engine: CollectorEngine(.init(cluster: "test", replica: "r"), observer: CollectorObserver()),
            configured: [], log: Logger(service: "collector", write: { write(String(decoding: $0, as: UTF8.self)) }),
            pause: pause)
    }

    @Test("Replicas and selector are those of the scale; a target that is gone is none")
    func reads() async throws {
        let cluster = try Cluster()
        let found = await reader(cluster).read([wanted(), wanted("Shop", "other")], [:])
        #expect(found.keys.sorted() == ["Shop.example.org/n/web"])
        let target = try #require(found["Shop.example.org/n/web"])
        #expect(target.replicas == 3 && target.uid == "u" && target.problem == nil)
        #expect(target.selector == LabelSelector([Requirement("app", .in, ["web"])]))
        #expect(target.apiVersion == "example.org/v1" && target.kind == "Shop")
    }

    @Test("Forbidden, not scalable, a selector that is none: each a problem of the target")
    func problems() async throws {
        let cluster = try Cluster()
        cluster.answers.withLock { $0.status = 403 }
        #expect(await reader(cluster).read([wanted()], [:]).values.first?.problem?.reason == .kubernetesRefused)
        cluster.answers.withLock { $0 = Answers(selector: "app in web") }
        #expect(await reader(cluster).read([wanted()], [:]).values.first?.problem?.reason == .targetNotScalable)
        let till = await reader(cluster).read([wanted("Till")], [:]).values.first
        #expect(till?.problem == Explanation(.targetNotScalable, "Till has no scale subresource"))
    }

    @Test("A rollout is seen in the object itself; without the right to read it none is, which is said once")
    func rollout() async throws {
        let cluster = try Cluster()
        let lines = Lock<[String]>([])
        let reader = reader(cluster) { line in lines.withLock { $0.append(line) } }
        func target() async -> ScaleTarget? { await reader.read([wanted()], [:]).values.first }
        for _ in 1...3 {
            let found = await target()
            #expect(found?.isRollingOut == false && found?.problem == nil && found?.replicas == 3)
        }
        #expect(
            lines.withLock { $0.filter { $0.contains("rollouts of a pod scaler's target cannot be seen") }.count } == 1)
        cluster.answers.withLock { $0.object = (200, #"{"status":{"replicas":3,"updatedReplicas":1}}"#) }
        let found = await target()
        #expect(found?.isRollingOut == true)
        // What was seen a moment ago still holds while the server fails.
        cluster.answers.withLock { $0.object = (500, #"{"kind":"Status","message":"no","code":500}"#) }
        #expect(
            await reader.read([wanted()], ["Shop.example.org/n/web": try #require(found)]).values.first?.isRollingOut
                == true)
        cluster.answers.withLock { $0.object = (200, #"{"status":{"replicas":3,"updatedReplicas":3}}"#) }
        #expect(await target()?.isRollingOut == false)
        for malformed in ["[]", "7", #"{"status":"x","metadata":[]}"#] {
            cluster.answers.withLock { $0.object = (200, malformed) }
            let found = await target()
            #expect(found?.isRollingOut == false && found?.problem == nil, "\(malformed)")
        }
    }

    @Test("An object is read again when its scale has another version; one that may not be read not at once")
    func sparing() async throws {
        let cluster = try Cluster()
        func look(_ reader: ScaleReader, _ version: String, _ status: Int = 200, updated: Int = 1) async -> (Bool?, Int)
        {
            cluster.answers.withLock {
                $0.version = version
                $0.object = (status, #"{"status":{"replicas":3,"updatedReplicas":\#(updated)}}"#)
            }
            let found = await reader.read([wanted()], [:]).values.first
            return (found?.isRollingOut, cluster.answers.withLock { $0.reads })
        }
        let reader = reader(cluster, pause: .minutes(10))
        #expect(await look(reader, "7") == (true, 1))
        #expect(await look(reader, "7") == (true, 1))
        #expect(await look(reader, "8", updated: 3) == (false, 2))
        #expect(await look(reader, "8", updated: 3) == (false, 2))
        #expect(await look(reader, "9", 403) == (false, 3))
        #expect(await look(reader, "10", 403) == (false, 3))
        // Nobody names it any more, then somebody does.
        #expect(await reader.read([], [:]).isEmpty)
        #expect(await look(reader, "10") == (true, 4))
    }

    @Test("While the server is away the target stays as it was; never read it is a problem")
    func away() async throws {
        let cluster = try Cluster()
        let reader = reader(cluster)
        let before = await reader.read([wanted()], [:])
        cluster.server.stop()
        #expect(await reader.read([wanted()], before) == before)
        let problem = await reader.read([wanted()], [:]).values.first?.problem
        #expect(problem?.reason == .kubernetesUnreachable)
    }

    @Test("Only what scalers name and nobody watches is asked for, once the scalers are known")
    func wanted() async throws {
        let engine = CollectorEngine(.init(cluster: "test", replica: "r"), observer: CollectorObserver())
        #expect(await engine.foreignTargets == nil)
        let scalers = [("a", "apps/v1", "Deployment"), ("b", "example.org/v1", "Shop")].map { name, version, kind in
            ObservedObject.scaler(
                PodScaler(
                    namespace: "n", name: name,
                    target: TargetReference(apiVersion: version, kind: kind, name: "web"), maximum: 2))
        }
        await engine.handle(.listing(.podScalers))
        await engine.handle(.observed(.podScalers, scalers))
        await engine.handle(.listed(.podScalers))
        #expect(await engine.foreignTargets?.map(\.id) == ["Shop.example.org/n/web"])
        await engine.stop()
    }
}
