import HTTPServer
import Kubernetes
import Messages
import ServiceRuntime
import Settings
import Support
import Testing

@testable import Collector

@Suite("Asking kubelets")
struct ScraperTests {
    /// A server that is API server and kubelet at once; what it was asked, in order.
    private final class Cluster: Sendable {
        let server: HTTPServer
        private let asked: Lock<[String]>

        init(
            _ answer: @escaping @Sendable (_ path: String) -> ServerResponse,
            delay: @escaping @Sendable (_ path: String) async -> Void = { _ in }
        ) throws {
            let asked = Lock<[String]>([])
            self.asked = asked
            server = try HTTPServer { request in
                asked.withLock { $0.append(request.path) }
                await delay(request.path)
                return .response(answer(request.path))
            }
        }

        func takeAsked() -> [String] {
            asked.withLock { asked in
                defer { asked = [] }
                return asked
            }
        }
    }

    private static let page = "node_cpu_usage_seconds_total 1\nnode_memory_working_set_bytes 5\n"

    private func scraper(
        _ cluster: Cluster, _ settings: String..., isOnNode: Bool = false
    ) throws -> (KubeletScraper, Metrics) {
        let loaded = try Settings.load(
            file: nil, environment: [:],
            flags: ["cluster=test", "bus.transport_url=rabbit://x/"] + settings.map { "collector.stats.\($0)" })
        let client = KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:\(cluster.server.port)"))
        let metrics = Metrics()
        let log = Logger(service: "collector", write: { _ in })
        return (
            KubeletScraper(client, loaded.collector.stats, isOnNode: isOnNode, log: log, metrics: metrics), metrics
        )
    }

    private func target(port: UInt16 = 1) -> UsageMeter.Target {
        UsageMeter.Target(
            Node(name: "n 1", allocatable: ResourceList(), address: "127.0.0.1", kubeletPort: Int32(port)))
    }

    private func label(_ scraper: KubeletScraper) async -> String {
        do throws(ScrapeError) {
            _ = try await scraper.read(target(), at: .now())
            return "ok"
        } catch {
            return error.label
        }
    }

    @Test("through the API server, the first page")
    func plain() async throws {
        let cluster = try Cluster { _ in .text(Self.page) }
        let (scraper, _) = try scraper(cluster)
        #expect(try await scraper.read(target(), at: .now()).node.memoryBytes == 5)
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n 1/proxy/metrics/resource"])
    }

    @Test("a kubelet without the page is asked for the other, and next time for that one first")
    func otherPage() async throws {
        let cluster = try Cluster { path in
            path.hasSuffix("/metrics/resource")
                ? .text("scrape_error 1\n") : .json(#"{"node":{"memory":{"workingSetBytes":7}},"pods":[]}"#)
        }
        let (scraper, metrics) = try scraper(cluster)
        let now = Timestamp.now()
        #expect(try await scraper.read(target(), at: now).node.memoryBytes == 7)
        #expect(cluster.takeAsked().count == 2)
        #expect(metrics.text().contains(#"updraft_stats_detours_total{why="no_numbers"} 1"#))
        _ = try await scraper.read(target(), at: now + .seconds(15))
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n 1/proxy/stats/summary"])
        // After a while the page that is preferred is tried again.
        _ = try await scraper.read(target(), at: now + .minutes(11))
        #expect(cluster.takeAsked().count == 2)
    }

    @Test("a kubelet that does not answer at its own port is asked through the API server")
    func otherRoute() async throws {
        let cluster = try Cluster { _ in .text(Self.page) }
        let (scraper, metrics) = try scraper(cluster, "through=kubelet")
        #expect(try await scraper.read(target(), at: .now()).node.memoryBytes == 5)
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n 1/proxy/metrics/resource"])
        #expect(metrics.text().contains(#"updraft_stats_detours_total{why="refused"} 1"#))
    }

    @Test("on its own node only the kubelet is asked: no right to the API server's proxy and metrics is needed")
    func ownNode() async throws {
        let cluster = try Cluster { _ in .text(Self.page) }
        let (scraper, _) = try scraper(cluster, "through=kubelet", isOnNode: true)
        #expect(await label(scraper) == "refused")
        #expect(cluster.takeAsked().isEmpty)
        // Whoever names another way has given the right to it.
        let (named, _) = try self.scraper(cluster, "through=apiserver", isOnNode: true)
        #expect(await label(named) == "ok")
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n 1/proxy/metrics/resource"])
    }

    @Test("what serves for a plain turn is no habit for one with details: network and file systems are still asked for")
    func detailsByAnotherRoute() async throws {
        let cluster = try Cluster { path in
            path.hasSuffix("/stats/summary")
                ? .json(#"{"node":{"memory":{"workingSetBytes":7}},"pods":[]}"#) : .text(Self.page)
        }
        let (scraper, _) = try scraper(cluster, "through=kubelet")
        let now = Timestamp.now()
        _ = try await scraper.read(target(), at: now)
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n 1/proxy/metrics/resource"])
        _ = try await scraper.read(target(), details: true, at: now + .seconds(15))
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n 1/proxy/stats/summary"])
        _ = try await scraper.read(target(), at: now + .seconds(30))
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n 1/proxy/metrics/resource"])
    }

    /// Kubelets do not answer in time while they are slow; metrics.k8s.io always does.
    private static func slowCluster(_ isSlow: Lock<Bool>) throws -> Cluster {
        try Cluster(
            { path in
                switch path {
                case MetricsAPI.nodesPath:
                    .json(#"{"items":[{"metadata":{"name":"n1"},"usage":{"cpu":"1","memory":"9"}}]}"#)
                case MetricsAPI.podsPath: .json(#"{"items":[]}"#)
                default: .text(Self.page)
                }
            },
            delay: { path in
                if isSlow.withLock({ $0 }), path.contains("/proxy/") { try? await Task.sleep(for: .seconds(3)) }
            })
    }

    @Test("a kubelet that was slow once is asked again two intervals later, not by another way for ten minutes")
    func slowOnce() async throws {
        let isSlow = Lock(true)
        let cluster = try Self.slowCluster(isSlow)
        let (scraper, _) = try scraper(cluster, "timeout=2s", "interval=15s")
        let now = Timestamp.now()
        let target = UsageMeter.Target(Node(name: "n1", allocatable: ResourceList(), address: "127.0.0.1"))
        #expect(try await scraper.read(target, at: now).node.memoryBytes == 9)
        isSlow.withLock { $0 = false }
        _ = cluster.takeAsked()
        // Not at once: a kubelet that hangs would cost its timeout each time.
        #expect(try await scraper.read(target, at: now + .seconds(15)).node.memoryBytes == 9)
        #expect(cluster.takeAsked().allSatisfy { $0.hasPrefix("/apis/metrics.k8s.io/") })
        #expect(try await scraper.read(target, at: now + .seconds(31)).node.memoryBytes == 5)
        #expect(cluster.takeAsked() == ["/api/v1/nodes/n1/proxy/metrics/resource"])
    }

    @Test("a kubelet that never answers costs its timeout ever more rarely, and is well at once when it answers again")
    func slowForEver() async throws {
        let isSlow = Lock(true)
        let cluster = try Self.slowCluster(isSlow)
        let (scraper, _) = try scraper(cluster, "timeout=2s", "interval=15s")
        let target = UsageMeter.Target(Node(name: "n1", allocatable: ResourceList(), address: "127.0.0.1"))
        var now = Timestamp.now()
        var tries = 0
        for _ in 0..<40 {
            #expect(try await scraper.read(target, at: now).node.memoryBytes == 9)
            tries += cluster.takeAsked().contains { $0.contains("/proxy/") } ? 1 : 0
            now = now + .seconds(15)
        }
        // After 0, 30, 90, 210 and 450 seconds.
        #expect(tries == 5)
        isSlow.withLock { $0 = false }
        now = now + .minutes(10)
        #expect(try await scraper.read(target, at: now).node.memoryBytes == 5)
        // That habit is over: the next one begins as short as the first.
        isSlow.withLock { $0 = true }
        #expect(try await scraper.read(target, at: now + .seconds(15)).node.memoryBytes == 9)
        isSlow.withLock { $0 = false }
        #expect(try await scraper.read(target, at: now + .seconds(46)).node.memoryBytes == 5)
    }

    @Test("only the page that the settings name")
    func onePage() async throws {
        let cluster = try Cluster { _ in .text("scrape_error 1\n") }
        let (scraper, _) = try scraper(cluster, "source=metrics_resource")
        #expect(await label(scraper) == "no_numbers")
        #expect(cluster.takeAsked().count == 1)
    }

    @Test("no way works: the first reason is told")
    func failures() async throws {
        let forbidden = try Cluster { _ in
            .json(403, #"{"kind":"Status","message":"cannot get nodes/proxy","code":403}"#)
        }
        #expect(await label(try scraper(forbidden).0) == "forbidden")
        let wrong = try Cluster { _ in .text("{") }
        #expect(await label(try scraper(wrong, "source=stats_summary").0) == "malformed")
    }
}
