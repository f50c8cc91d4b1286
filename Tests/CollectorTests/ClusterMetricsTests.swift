import HTTPServer
import JSONReader
import Kubernetes
import Messages
import ServiceRuntime
import Support
import Testing

@testable import Collector

/// What pod scalers name of `external.metrics.k8s.io` and `custom.metrics.k8s.io`, from an API server of the tests' own whose answers
/// are those of the adapters' API types (k8s.io/metrics).
@Suite("Sources of pod scalers: the metrics APIs of the cluster")
struct ClusterMetricsTests {
    private final class Cluster: Sendable {
        struct State {
            var calls: [String] = []
            /// Answers by path: status and body.
            var answers: [String: (Int, String)] = [:]
        }
        let state = Lock(State())
        let server: HTTPServer

        init(_ answers: [String: (Int, String)]) throws {
            let state = state
            state.withLock { $0.answers = answers }
            server = try HTTPServer { request in
                let (status, body) = state.withLock { state in
                    state.calls.append("\(request.method) \(request.target)")
                    return state.answers[request.path]
                        ?? (
                            404,
                            #"{"kind":"Status","status":"Failure","message":"the server could not find it","reason":"NotFound","code":404}"#
                        )
                }
                return .response(.json(status, body))
            }
        }

        func client() -> KubernetesClient {
            KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:\(server.port)"))
        }
    }

    private static let now = Timestamp("2026-11-23T22:23:30Z") ?? Timestamp(seconds: 0)
    private static let external = "/apis/external.metrics.k8s.io"
    private static let custom = "/apis/custom.metrics.k8s.io"
    private static let depth = external + "/v1beta1/namespaces/shop/depth"

    private static func group(_ name: String, _ versions: String...) -> (Int, String) {
        let all = versions.map { #"{"groupVersion":"\#(name)/\#($0)","version":"\#($0)"}"# }
        return (
            200,
            #"{"kind":"APIGroup","apiVersion":"v1","name":"\#(name)","versions":[\#(all.joined(separator: ","))],"preferredVersion":\#(all.first ?? "{}")}"#
        )
    }

    private static let served = [
        external: group("external.metrics.k8s.io", "v1beta1"),
        custom: group("custom.metrics.k8s.io", "v1beta1", "v1beta2"),
        "/api/v1": (
            200,
            #"{"resources":[{"name":"services","namespaced":true,"kind":"Service"},{"name":"services/status","namespaced":true,"kind":"Service"}]}"#
        ),
        "/apis/networking.k8s.io/v1": (
            200, #"{"resources":[{"name":"ingresses","namespaced":true,"kind":"Ingress"}]}"#
        ),
    ]

    private func item(_ value: String, _ timestamp: String = #""2026-11-23T22:23:00Z""#) -> String {
        #"{"metricName":"depth","metricLabels":{"queue":"a"},"timestamp":\#(timestamp),"window":60,"value":\#(value)}"#
    }

    private func list(_ items: String...) -> (Int, String) {
        (200, #"{"kind":"ExternalMetricValueList","metadata":{},"items":[\#(items.joined(separator: ","))]}"#)
    }

    private func wanted(_ stat: String, _ place: KubernetesPlace, in namespace: String = "shop") -> WantedSource {
        WantedSource(namespace: namespace, stat: stat, place: .kubernetes(place))
    }

    private func reader(
        _ cluster: Cluster, _ wanted: [WantedSource], log: @escaping @Sendable (String) -> Void = { _ in }
    ) -> SourceReader {
        SourceReader(
            wanted: { wanted }, publish: { _ in }, cluster: "test", nil,
            clusterMetrics: ClusterMetricsReader(client: cluster.client()),
            log: Logger(service: "collector", write: { log(String(decoding: $0, as: UTF8.self)) }), metrics: Metrics(),
            clock: { Self.now })
    }

    private func read(_ cluster: Cluster, _ sources: [WantedSource]) async -> ExternalStats {
        var troubles: [SourceKey: SourceTrouble] = [:]
        return await reader(cluster, sources).read(&troubles, at: Self.now).external
    }

    @Test(
        "External: the sum of all series that the labels choose, each rounded up to thousandths, of the oldest one's time"
    )
    func sums() async throws {
        var answers = Self.served
        answers[Self.depth] = list(
            item(#""1500m""#), item(#""10k""#, #""2026-11-23T22:22:10Z""#), item(#""100u""#), item("7", "null"),
            item(#""1Ki""#))
        let cluster = try Cluster(answers)
        let selector = LabelSelector([Requirement("zone", .in, ["a", "b"]), Requirement("queue", .in, ["x"])])
        let place = KubernetesPlace(metric: "depth", selector: selector)
        let stats = await read(cluster, [wanted("web/depth", place), wanted("api/load", place)])
        #expect(stats.samples.map(\.value) == [11_032.501, 11_032.501] && stats.failures == nil)
        #expect(stats.samples.map(\.stat) == ["api/load", "web/depth"])
        #expect(stats.samples.first?.at == Timestamp("2026-11-23T22:22:10Z"))
        let calls = cluster.state.withLock { $0.calls }
        #expect(
            calls == [
                "GET \(Self.external)", "GET \(Self.depth)?labelSelector=queue%3Dx%2Czone%20in%20%28a%2Cb%29",
            ], "read once, whoever names it, with neither a login of OpenStack nor openstack_stats.enabled")
    }

    @Test("One metric of two namespaces is two, each told to its own")
    func namespaces() async throws {
        var answers = Self.served
        answers[Self.depth] = list(item(#""1""#))
        answers[Self.external + "/v1beta1/namespaces/till/depth"] = list(item(#""2""#))
        let place = KubernetesPlace(metric: "depth")
        let stats = await read(try Cluster(answers), [wanted("a/d", place), wanted("a/d", place, in: "till")])
        #expect(stats.samples.map { "\($0.namespace ?? "") \($0.value)" } == ["shop 1.0", "till 2.0"])
    }

    @Test(
        "Object: the one value of the object, by the resource of its kind, in the newest version that the server has",
        arguments: [
            (["v1beta1", "v1beta2"], "v1", "Service", "services", "v1beta2"),
            (["v1beta1"], "networking.k8s.io/v1", "Ingress", "ingresses.networking.k8s.io", "v1beta1"),
            (["v1beta2"], "networking.k8s.io/v1beta1", "Ingress", "ingresses.networking.k8s.io", "v1beta2"),
            (["v1beta2"], "v1", "Namespace", nil, "v1beta2"),
        ] as [([String], String, String, String?, String)])
    func object(offered: [String], apiVersion: String, kind: String, resource: String?, version: String) async throws {
        var answers = Self.served
        answers[Self.custom] = (
            200, #"{"versions":[\#(offered.map { #"{"version":"\#($0)"}"# }.joined(separator: ","))]}"#
        )
        answers["/apis/networking.k8s.io"] = Self.group("networking.k8s.io", "v1")
        let place = resource.map { "\($0)/front" } ?? "metrics"
        let path = "\(Self.custom)/\(version)/namespaces/shop/\(place)/hits"
        answers[path] = list(
            #"{"describedObject":{"kind":"\#(kind)","namespace":"shop","name":"front"},"metric":{"name":"hits","selector":null},"timestamp":"2026-11-23T22:23:10Z","value":"1500m"}"#
        )
        let cluster = try Cluster(answers)
        let object = TargetReference(apiVersion: apiVersion, kind: kind, name: "front")
        let selector = LabelSelector([Requirement("verb", .in, ["GET"])])
        let stats = await read(
            cluster, [wanted("web/hits", KubernetesPlace(metric: "hits", selector: selector, object: object))])
        #expect(stats.samples.map(\.value) == [1.5], "\(stats.failures ?? []), \(cluster.state.withLock { $0.calls })")
        #expect(stats.samples.first?.at == Timestamp("2026-11-23T22:23:10Z"))
        #expect(cluster.state.withLock { $0.calls.last } == "GET \(path)?metricLabelSelector=verb%3DGET")
    }

    @Test(
        "Answers that are none give no value, and not zero; each says what is wrong",
        arguments: [
            ("{", "malformed", "cannot be read"), ("[]", "malformed", "no list of items"),
            (#"{"kind":"Status"}"#, "malformed", "no list of items"),
            (#"{"items":{}}"#, "malformed", "no list of items"),
            (#"{"items":[5]}"#, "malformed", "nothing is no quantity"),
            (#"{"items":[]}"#, "no_value", "has no value at the moment"),
            (#"{"items":null}"#, "no_value", "has no value at the moment"),
            (#"{"items":[{"value":"-1"}]}"#, "negative", "is negative"),
            (#"{"items":[{"value":"10"},{"value":"-1m"}]}"#, "negative", "is negative"),
            (#"{"items":[{"value":"NaN"}]}"#, "malformed", "no quantity"),
            (#"{"items":[{"value":"1e18"}]}"#, "malformed", "no quantity, or too large"),
            (#"{"items":[{"value":"99E"}]}"#, "malformed", "no quantity, or too large"),
            (#"{"items":[{"value":"9000000000000000"}]}"#, "too_large", "is above"),
            (#"{"items":[{"value":"9e15"},{"value":"9e15"}]}"#, "too_large", "is above"),
            (#"{"items":[{"value":true}]}"#, "malformed", "no quantity"),
            (#"{"items":[{"value":"1","timestamp":"yesterday"}]}"#, "malformed", "is no time"),
            (#"{"items":[{"value":"1","timestamp":5}]}"#, "malformed", "is no time"),
        ])
    func hostile(body: String, label: String, words: String) async throws {
        var answers = Self.served
        answers[Self.depth] = (200, body)
        var troubles: [SourceKey: SourceTrouble] = [:]
        let source = wanted("web/depth", KubernetesPlace(metric: "depth"))
        let cluster = try Cluster(answers)
        let stats = await reader(cluster, [source]).read(&troubles, at: Self.now).external
        withExtendedLifetime(cluster) {}
        #expect(stats.samples.isEmpty && troubles.values.map(\.label) == [label], "\(troubles)")
        #expect(stats.failures?.first?.why.contains(words) == true, "\(stats.failures ?? [])")
        #expect(stats.failures?.first?.why.contains("depth in namespace shop") == true)
    }

    @Test("A value of the future counts as of now")
    func future() async throws {
        var answers = Self.served
        answers[Self.depth] = list(item(#""1""#, #""2099-01-01T00:00:00Z""#))
        let stats = await read(try Cluster(answers), [wanted("web/depth", KubernetesPlace(metric: "depth"))])
        #expect(stats.samples.map(\.at) == [Self.now])
    }

    @Test("Two values of one object are none")
    func two() async throws {
        var answers = Self.served
        answers[Self.custom + "/v1beta2/namespaces/shop/services/front/hits"] = list(item(#""1""#), item(#""2""#))
        let object = TargetReference(apiVersion: "v1", kind: "Service", name: "front")
        let stats = await read(
            try Cluster(answers), [wanted("web/hits", KubernetesPlace(metric: "hits", object: object))])
        #expect(stats.samples.isEmpty && stats.failures?.first?.why.contains("has 2 values") == true)
    }

    @Test(
        "Unknown, forbidden, not served and out of order are told apart",
        arguments: [
            (false, 404, "metric_unknown", "does not know depth in namespace shop"),
            (
                false, 403, "forbidden",
                "the Collector may not read depth in namespace shop (403), see deploy/kubernetes/rbac.yaml"
            ),
            (false, 401, "unauthorized", "may not read"), (false, 503, "unavailable", "(503), its adapter fails"),
            (false, 500, "unavailable", "(500), its adapter fails"), (false, 429, "unavailable", "(429)"),
            (false, 400, "invalid", "cannot be asked for (400)"),
            (true, 404, "not_served", "the API server has no external.metrics.k8s.io: no adapter serves it"),
            (true, 403, "forbidden", "may not read the API itself"),
            (true, 503, "unavailable", "cannot tell the API itself"),
        ])
    func refusals(ofAPI: Bool, status: Int, label: String, words: String) async throws {
        var answers = Self.served
        answers[Self.depth] = list(item(#""3""#))
        let good = answers
        answers[ofAPI ? Self.external : Self.depth] = (
            status, #"{"kind":"Status","message":"said so","code":\#(status)}"#
        )
        let cluster = try Cluster(answers)
        let lines = Lock<[String]>([])
        let source = wanted("web/depth", KubernetesPlace(metric: "depth"))
        let reader = reader(cluster, [source]) { line in lines.withLock { $0.append(line) } }
        var troubles: [SourceKey: SourceTrouble] = [:]
        for _ in 1...2 {
            let stats = await reader.read(&troubles, at: Self.now).external
            #expect(stats.samples.isEmpty && stats.failures?.map(\.stat) == ["web/depth"])
            #expect(stats.failures?.first?.why.contains(words) == true, "\(stats.failures ?? [])")
        }
        #expect(troubles.values.map(\.label) == [label])
        cluster.state.withLock { $0.answers = good }
        #expect(await reader.read(&troubles, at: Self.now).external.samples.map(\.value) == [3])
        #expect(lines.withLock { $0.count } == 2, "\(lines.withLock { $0 })")
    }

    @Test("A version that is not spoken here, a kind that is not there, a server that is away: each is told")
    func others() async throws {
        var answers = Self.served
        answers[Self.external] = Self.group("external.metrics.k8s.io", "v3")
        answers["/apis/example.org"] = (200, #"{"versions":5}"#)
        let cluster = try Cluster(answers)
        func object(_ apiVersion: String, _ kind: String) -> KubernetesPlace {
            KubernetesPlace(
                metric: "hits", object: TargetReference(apiVersion: apiVersion, kind: kind, name: "front"))
        }
        let sources = [
            wanted("a", KubernetesPlace(metric: "depth")), wanted("b", object("v1", "Shop")),
            wanted("c", object("none.example/v1", "Shop")), wanted("d", object("../v1", "Shop")),
            wanted("e", object("example.org/v1", "Shop")),
        ]
        let stats = await read(cluster, sources)
        let words = [
            "in v3 and not in v1beta1", "has no kind Shop in v1", "has no none.example/v1",
            "apiVersion \"../v1\" is none",
            "cannot be read",
        ]
        #expect(stats.failures?.count == words.count && stats.samples.isEmpty)
        for (failure, words) in zip(stats.failures ?? [], words) {
            #expect(failure.why.contains(words), "\(failure.why)")
        }
        cluster.server.stop()
        let away = await read(cluster, sources)
        #expect(away.samples.isEmpty && away.failures?.count == sources.count)
        #expect(away.failures?.first?.why.contains("no answer about the API itself") == true, "\(away)")
    }

    private static let rps = custom + "/v1beta2/namespaces/shop/pods/*/rps"

    private func ofPod(_ name: String, _ value: String, _ timestamp: String = #""2026-11-23T22:23:00Z""#) -> String {
        #"{"describedObject":{"kind":"Pod","namespace":"shop","name":"\#(name)"},"metric":{"name":"rps"},"timestamp":\#(timestamp),"value":\#(value)}"#
    }

    private func podSource(_ pods: String = "app=web") -> WantedSource {
        let verb = LabelSelector([Requirement("verb", .in, ["GET"])])
        return WantedSource(
            namespace: "shop", stat: "web/rps",
            place: .kubernetes(KubernetesPlace(metric: "rps", selector: verb, isOfPods: true)),
            pods: LabelSelector(text: pods))
    }

    @Test(
        "Pods: the value of each, of the scaler's pods and of the series that labels choose; told under the scaler's name"
    )
    func ofPods() async throws {
        var answers = Self.served
        answers[Self.rps] = list(
            ofPod("web-1", #""1500m""#), ofPod("web-2", "7", "null"), ofPod("web-3", #""-1""#), ofPod("gone", #""5""#))
        let cluster = try Cluster(answers)
        var troubles: [SourceKey: SourceTrouble] = [:]
        let (external, ofPods) = await reader(cluster, [podSource()]).read(&troubles, at: Self.now)
        #expect(external.samples.isEmpty && external.failures == nil && troubles.isEmpty)
        #expect(
            cluster.state.withLock { $0.calls.last }
                == "GET \(Self.rps)?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET")
        let told = Lock<[PodStats]>([])
        let pods = SourcePods(
            places: { namespaces in
                let known = (1...3).map { ("web-\($0)", SourcePods.Place(uid: "u\($0)", node: "n")) }
                return Dictionary(
                    uniqueKeysWithValues: namespaces.map { ($0, Dictionary(uniqueKeysWithValues: known)) })
            }, publish: { stats in told.withLock { $0.append(stats) } }, clock: { Self.now })
        await pods.tell(ofPods, cluster: "test")
        let samples = told.withLock { $0 }.flatMap(\.samples)
        #expect(samples.map { $0.podUID ?? "" } == ["u1", "u2", "u3"], "of pods that nobody knows nothing is told")
        #expect(samples.map(\.values) == [["web/rps": 1.5], ["web/rps": 7], ["web/rps": -1]])
        #expect(samples.first?.at == Timestamp("2026-11-23T22:23:00Z") && samples[1].at == Self.now)
        #expect(samples.allSatisfy { $0.cpuMillis == nil && $0.node == "n" && $0.namespace == "shop" })
    }

    @Test(
        "Answers about pods that are none, and pods that are not known, give no value and say why",
        arguments: [
            (#"{"items":[]}"#, "app=web", "no_value"), (#"{"items":[{"value":"1"}]}"#, "app=web", "malformed"),
            (#"{"items":[{"describedObject":{"name":"web-1"},"value":"NaN"}]}"#, "app=web", "malformed"),
            (#"{"items":[{"describedObject":{"name":"web-1"},"value":"1","timestamp":"x"}]}"#, "app=web", "malformed"),
            (#"{"items":[{"describedObject":[],"value":"1"}]}"#, "app=web", "malformed"),
            (#"{"items":[]}"#, "", "pods_unknown"),
        ])
    func hostilePods(body: String, pods: String, label: String) async throws {
        var answers = Self.served
        answers[Self.rps] = (200, body)
        var troubles: [SourceKey: SourceTrouble] = [:]
        let cluster = try Cluster(answers)
        let (external, ofPods) = await reader(cluster, [podSource(pods)]).read(&troubles, at: Self.now)
        withExtendedLifetime(cluster) {}
        #expect(ofPods.isEmpty && troubles.values.map(\.label) == [label], "\(troubles)")
        #expect(external.failures?.map(\.stat) == ["web/rps"])
    }

    @Test(
        "Which pods a scaler means is what it says, or what its target has; their pages are not asked for such a stat")
    func meant() async {
        let source = StatSource(stat: "rps", place: .kubernetes(KubernetesPlace(metric: "rps", isOfPods: true)))
        func scaler(_ name: String, _ monitor: LabelSelector? = nil) -> PodScaler {
            PodScaler(
                namespace: "shop", name: name,
                target: TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: name),
                monitorSelector: monitor,
                maximum: 5, intentions: [Intention(stat: "rps", goal: .average(1))], sources: [source])
        }
        func labels(_ value: String) -> LabelSelector { LabelSelector([Requirement("app", .in, [value])]) }
        let target = ScaleTarget(
            apiVersion: "apps/v1", kind: "Deployment", namespace: "shop", name: "a", selector: labels("a"), replicas: 1)
        var scaling = ObservedScaling()
        scaling.beginList(.deployments)
        scaling.upsert(.deployments, .target(ObservedTarget(target)))
        let all = [scaler("a"), scaler("b", labels("b")), scaler("c")]
        #expect(all.allSatisfy { $0.problem == nil })
        let found = scaling.sources(all).map { "\($0.stat) \($0.pods?.text ?? "")" }
        #expect(found.sorted() == ["a/rps app=a", "b/rps app=b", "c/rps "])
        #expect(scaling.ownStats(all).isEmpty)
        var wide = scaler("d")
        (wide.target, wide.targetSelector) = (nil, labels("d"))
        #expect(wide.problem?.detail.contains("needs monitorSelector") == true)
    }
}
