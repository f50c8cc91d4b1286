import Bus
import HTTPServer
import Messages
import ServiceRuntime
import Settings
import Support
import TestServer
import Testing

@testable import Collector

@Suite("Stats of pods' own")
struct PodScrapingTests {
    @Test("The annotation: a port, and a path if it is another than /metrics")
    func endpoints() throws {
        #expect(PodEndpoint("http://:8080")?.url("10.0.0.1") == "http://10.0.0.1:8080/metrics")
        #expect(PodEndpoint("http://:9102/stats?x=1")?.url("fd00::1") == "http://[fd00::1]:9102/stats?x=1")
        for wrong in [
            "", "x", "0", "70000", "8080/a b", "-1/metrics", "8080/é", "8080/a#b", "8080/\n", "@host:80/x", "80@host/x",
        ] {
            #expect(PodEndpoint("http://:" + wrong) == nil, "\(wrong)")
        }
        for wrong in ["8080/metrics", "http://10.0.0.1:80/x", "https://:8080/x", "http://:", ""] {
            #expect(PodEndpoint(wrong) == nil, "\(wrong)")
        }
        #expect(PodEndpoint("http://:80/" + String(repeating: "a", count: 600)) == nil)
    }

    @Test("A page: the sum over the series of each metric that is wanted; what is no number is missing")
    func pages() {
        let text = """
            # TYPE http_requests_total counter
            http_requests_total{code="200"} 10
            http_requests_total{code="500"} 5
            http_requests_total_more 99
            sessions 7 1700000000000
            broken{x="1"} NaN
            broken{x="2"} 3
            temperature -3
            not a line
            cut_off 12
            """
        let page = PodPage(
            Array(text.utf8), names: ["http_requests_total", "sessions", "broken", "temperature", "cut_off", "absent"])
        // The last line has no end: it may be a part of a number.
        #expect(page.sums == ["http_requests_total": 15, "sessions": 7, "temperature": -3])
        #expect(page.rejected[.notFinite] == 1 && page.rejected[.malformedLine] == 1 && page.rejected[.truncated] == 1)
        #expect(PodPage([0xFF, 0x0A, 0x00, 0x0A], names: ["a"]).sums.isEmpty)
    }

    private func page(_ sums: [String: Double]) -> PodPage {
        PodPage(Array(sums.map { "\($0.key) \($0.value)\n" }.joined().utf8), names: Set(sums.keys))
    }

    @Test("What counts up becomes a rate; started anew, twice at once or after a long time it is unknown, and not zero")
    func rates() {
        var meter = RateMeter()
        let start = Timestamp(seconds: 1_000)
        func take(_ total: Double, _ seconds: Double) -> [String: Double] {
            meter.take(page(["r_total": total, "depth": 4]).sums, of: "u", at: start + .seconds(seconds))
        }
        #expect(take(100, 0) == ["depth": 4])
        #expect(take(130, 15) == ["depth": 4, "r_total": 2])
        #expect(take(130, 30) == ["depth": 4, "r_total": 0])
        #expect(take(5, 45) == ["depth": 4], "it was started anew")
        #expect(take(20, 60) == ["depth": 4, "r_total": 1])
        #expect(take(20, 60) == ["depth": 4])
        #expect(take(900, 60 + 700) == ["depth": 4], "the rate would be over more than ten minutes")
        meter.keep(only: [])
        #expect(take(930, 60 + 715) == ["depth": 4], "it was forgotten")
    }

    private func pod(_ uid: String, address: String?, phase: Pod.Phase = .running, scrape: String? = "http://:8080")
        -> ObservedObject
    {
        let shape = PodShape(
            namespace: "n", labels: ["app": "web"], annotations: scrape.map { ["updraft.io/scrape": $0] } ?? [:])
        return .pod(
            Pod(uid: uid, name: "web-\(uid)", shape: 0, node: "node-1", phase: phase, createdAt: Talk.at(0)), shape,
            address: address)
    }

    private func scaler(_ stat: String, isExternal: Bool = false, namespace: String = "n") -> PodScaler {
        PodScaler(
            namespace: namespace, name: stat,
            target: TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web"), maximum: 5,
            intentions: [Intention(stat: stat, isExternal: isExternal, goal: .average(5))])
    }

    @Test("Only pods that run, with the annotation, whose stats a scaler of their namespace names")
    func which() {
        var talk = Talk()
        _ = talk.sync([
            (.pods, pod("a", address: "10.0.0.1")), (.pods, pod("b", address: nil)),
            (.pods, pod("c", address: "10.0.0.3", scrape: nil)), (.pods, pod("d", address: "10.0.0.4", scrape: "what")),
            (.pods, pod("e", address: "10.0.0.5", phase: .succeeded)), (.podScalers, .scaler(scaler("sessions"))),
        ])
        let found = talk.core.cluster.scrapedPods([
            scaler("hits_total"), scaler("queue", isExternal: true), scaler("cpu"),
        ])
        #expect(found.map(\.uid) == ["a"])
        #expect(found.first?.stats == ["sessions", "hits_total"])
        #expect(found.first?.node == "node-1" && found.first?.namespace == "n")
        // It loses the annotation, or goes.
        _ = talk.say(1, .observed(.pods, [pod("a", address: "10.0.0.1", scrape: nil), pod("b", address: "10.0.0.2")]))
        #expect(talk.core.cluster.scrapedPods([]).map(\.uid) == ["b"])
        _ = talk.say(2, .gone(.pods, key: "b"))
        #expect(talk.core.cluster.scrapedPods([]).isEmpty)
    }

    @Test("Containers whose use is published: those that a scaler of the namespace looks at")
    func containers() {
        func scaler(_ container: String, _ namespace: String = "n") -> PodScaler {
            var scaler = self.scaler("cpu", namespace: namespace)
            scaler.intentions = [Intention(stat: "cpu", container: container, goal: .utilization(60))]
            return scaler
        }
        var talk = Talk()
        _ = talk.sync([(.podScalers, .scaler(scaler("app"))), (.podScalers, .scaler(scaler("log", "other")))])
        let wanted = talk.core.cluster.containers([scaler("proxy"), self.scaler("memory")])
        #expect(wanted == ["n": ["app", "proxy"], "other": ["log"]])
        var sample = PodStats.Sample(namespace: "n", pod: "web-1", node: "node-1", at: Talk.at(0))
        for name in ["app", "log", "proxy"] {
            sample.containers = (sample.containers ?? []) + [PodStats.Container(name: name)]
        }
        var (kept, left) = (sample, sample)
        kept.keepContainers(wanted["n"])
        #expect(kept.containers?.map(\.name) == ["app", "proxy"])
        left.keepContainers(wanted["else"])
        #expect(left.containers == nil)
        left = sample
        left.keepContainers(["none"])
        #expect(left.containers == nil)
    }

    @Test("Nothing is asked for where no scaler names a stat of pods' own")
    func none() {
        var talk = Talk()
        _ = talk.sync([
            (.pods, pod("a", address: "10.0.0.1")), (.podScalers, .scaler(scaler("sessions", namespace: "other"))),
            (.podScalers, .scaler(scaler("memory"))),
        ])
        #expect(talk.core.cluster.scrapedPods([]).isEmpty)
    }

    @Test("A replica that fell silent is left out also where there is no pod to be asked, and no kubelet")
    func silentReplica() async throws {
        var share = ScrapeShare(replica: "a")
        share.heard("dead", at: .now() - .minutes(1))
        let shared = Lock(share)
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: ["cluster=test", "bus.transport_url=rabbit://x:x@127.0.0.1:1/", "collector.stats.enabled=false"])
        let bus = try Bus(try BusSettings(settings, service: "collector", host: "test"))
        let scraper = PodScraper(
            pods: {
                shared.withLock { $0.heard("a", at: .now()) }
                return []
            }, bus, shared, cluster: "test", settings.collector.stats,
            log: Logger(service: "collector", write: { _ in }), metrics: Metrics())
        let task = Task { await scraper.run() }
        try await eventually("the silent one is left out") { shared.withLock { $0.replicas } == ["a"] }
        task.cancel()
        await task.value
        await bus.close(within: .zero)
    }

    @Test("A pod that answers wrongly is an error with a name; no redirect is followed, nothing secret is sent")
    func reading() async throws {
        let headers = Lock<[String]>([])
        let server = try HTTPServer { request in
            headers.withLock { $0 += request.headers.entries.map(\.name) }
            switch request.path {
            case "/metrics": return .response(.text("sessions 3\n"))
            case "/big": return .response(.text(String(repeating: "x", count: 5_000)))
            case "/away":
                return .response(ServerResponse(status: 302, headers: [("Location", "/metrics")], body: []))
            default: return .response(.text(404, "no"))
            }
        }
        let reader = PodReader(timeout: .seconds(5), parallel: 4, maximumBytes: 1_000)
        func read(_ path: String, port: UInt16? = nil) async throws -> String {
            let pod = ScrapedPod(
                uid: "u", namespace: "n", name: "p", node: "node-1", address: "127.0.0.1",
                endpoint: try #require(PodEndpoint("http://:\(port ?? server.port)\(path)")), stats: ["sessions"])
            do throws(ScrapeError) {
                return String(decoding: try await reader.read(pod), as: UTF8.self)
            } catch {
                return error.label
            }
        }
        #expect(try await read("") == "sessions 3\n")
        #expect(try await read("/none") == "status_404")
        #expect(try await read("/away") == "status_302")
        #expect(try await read("/big") == "tooLarge")
        #expect(headers.withLock { !$0.contains { $0.lowercased() == "authorization" } })
        server.stop()
        #expect(try await read("") == "refused")
        await reader.close()
    }
}
