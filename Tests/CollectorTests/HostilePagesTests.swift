import Bus
import Kubernetes
import Messages
import ServiceRuntime
import Settings
import Support
import TestServer
import Testing

@testable import Collector

/// `/stats/summary`, `/metrics/cadvisor` and `metrics.k8s.io` that say what no honest ones would, behind a real server; the
/// collecting as in the service. `HostileKubeletTests` has `/metrics/resource`.
@Suite("Hostile pages of every source", .timeLimit(.minutes(5)))
struct HostilePagesTests {
    /// One node's page.
    private struct Page: Sendable {
        var node: String
        var text: String
        /// By which names it is to be counted; empty: nothing is wrong.
        var why: Set<String> = []
        /// Whether something about the node is left.
        var isUsed = true
        /// The memory that is measured of the node.
        var memory: Int64? = 5_000_000
    }

    private static let longLine = String(repeating: "a", count: 10 << 20)

    private static func summary(
        memory: String = "5000000", cpu: String = "1000000000", more: String = ""
    ) -> String {
        #"{"node":{"cpu":{"usageCoreNanoSeconds":\#(cpu)},"memory":{"workingSetBytes":\#(memory)}\#(more)},"#
            + #""pods":[{"podRef":{"name":"web-0","namespace":"default"},"memory":{"workingSetBytes":7}}]}"#
    }

    private static let summaries: [Page] = [
        Page(node: "good", text: summary()),
        Page(node: "cut", text: String(summary().dropLast(40)), why: ["malformed_page"], isUsed: false),
        Page(node: "nan", text: summary(memory: "NaN"), why: ["malformed_page"], isUsed: false),
        Page(node: "huge", text: summary(cpu: "1e300"), why: ["out_of_range"]),
        Page(node: "negative", text: summary(cpu: "-1"), why: ["negative"]),
        Page(node: "unit", text: summary(memory: "5000000000000000"), why: ["wrong_unit"], memory: nil),
        Page(
            node: "disk", text: summary(more: #","fs":{"usedBytes":5e15,"capacityBytes":1e11}"#), why: ["wrong_unit"]),
        // JSON has no lines: one of 10 MB that says nothing that is wanted is passed over.
        Page(node: "long", text: summary(more: #","x":"\#(longLine)""#)),
        Page(
            node: "name",
            text: summary().replacing("web-0", with: longLine), why: ["bad_name"]),
        Page(
            node: "nothing", text: #"{"node":{"memory":{"workingSetBytes":-1}},"pods":[]}"#, why: ["negative"],
            isUsed: false),
    ]

    private static func cgroups(memory: String = "5000000", cpu: String = "1", more: String = "") -> String {
        """
        container_cpu_usage_seconds_total{cpu="total",id="/"} \(cpu)
        container_memory_working_set_bytes{id="/"} \(memory)
        \(more)container_memory_working_set_bytes{container="",id="/k/p",namespace="default",pod="web-0"} 7

        """
    }

    private static let cadvisor: [Page] = [
        Page(node: "good", text: cgroups()),
        Page(node: "cut", text: String(cgroups().dropLast(2)), why: ["truncated"]),
        Page(node: "nan", text: cgroups(cpu: "NaN"), why: ["not_finite"]),
        Page(node: "huge", text: cgroups(cpu: "1e300"), why: ["out_of_range"]),
        Page(node: "unit", text: cgroups(memory: "5e15"), why: ["wrong_unit"], memory: nil),
        Page(
            node: "disk",
            text: cgroups(
                more: "container_fs_usage_bytes{id=\"/\",device=\"/dev/vda1\"} 5e15\n"
                    + "container_fs_limit_bytes{id=\"/\",device=\"/dev/vda1\"} 1e11\n"), why: ["wrong_unit"]),
        Page(node: "long", text: cgroups(more: "x{y=\"\(longLine)\"} 1\n"), why: ["long_line"]),
        Page(
            node: "nothing", text: "container_memory_working_set_bytes{id=\"/\"} NaN\n", why: ["not_finite"],
            isUsed: false),
    ]

    /// Runs the collecting over one page for each node, until each was asked and the good one again and again.
    /// - Parameter answer: to the path of a request.
    private func collect(
        _ source: String, nodes: [String], pods: UsageMeter.PodsOnNode? = nil, until isDone: (Outcome) -> Bool,
        _ answer: @escaping @Sendable (_ path: String) -> String?
    ) async throws -> Outcome {
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                let page = answer(request.path)
                guard connection.answer(page == nil ? 404 : 200, page ?? "") else { return }
            }
        }
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://x:x@127.0.0.1:1/", "collector.stats.interval=1s",
                "collector.stats.source=\(source)", "collector.stats.timeout=20s",
            ])
        let log = Lock<[String]>([])
        let logger = Logger(
            service: "collector", write: { line in log.withLock { $0.append(String(decoding: line, as: UTF8.self)) } })
        let metrics = Metrics()
        let client = KubernetesClient(KubernetesConfiguration(server: server.url))
        let scraper = KubeletScraper(client, settings.collector.stats, log: logger, metrics: metrics)
        let bus = try Bus(try BusSettings(settings, service: "collector", host: "test"))
        let all = nodes.map { name in
            Node(name: name, allocatable: ResourceList(cpuMillis: 4_000, memoryBytes: 8 << 30), address: "127.0.0.1")
        }
        let measured = Lock<[String: [UsageMeter.Measured]]>([:])
        let collector = UsageCollector(
            UsageSource(nodes: { all }, pods: { _ in pods }, cluster: { nil }), scraper, bus, nil, cluster: "test",
            settings.collector.stats, log: logger, metrics: metrics
        ) { one in measured.withLock { $0[one.node.node, default: []].append(one) } }
        let task = Task { await collector.run() }
        func outcome() -> Outcome {
            Outcome(
                measured: measured.withLock { $0 }, log: log.withLock { $0.joined() }, metrics: metrics.text())
        }
        try await eventually("\(source): all of it came in") { isDone(outcome()) }
        task.cancel()
        await bus.close(within: .zero)
        await task.value
        await scraper.close()
        await client.close()
        withExtendedLifetime(server) {}
        return outcome()
    }

    private struct Outcome {
        var measured: [String: [UsageMeter.Measured]]
        var log: String
        var metrics: String

        func rejected(_ why: String) -> Bool { metrics.contains("updraft_stats_rejected_total{why=\"\(why)\"}") }
    }

    private func check(_ source: String, _ path: String, _ pages: [Page]) async throws {
        let words = pages.reduce(into: Set<String>()) { $0.formUnion($1.why) }
        let outcome = try await collect(
            source, nodes: pages.map(\.node),
            until: { outcome in
                pages.allSatisfy {
                    !$0.isUsed || (outcome.measured[$0.node]?.count ?? 0) >= ($0.node == "good" ? 3 : 1)
                } && words.allSatisfy(outcome.rejected) && outcome.log.contains("gave no numbers")
                    && outcome.log.contains("that are not used")
            },
            { asked in
                let parts = asked.split(separator: "/")
                guard asked.hasSuffix("/proxy" + path), parts.count > 3 else { return nil }
                return pages.first { $0.node == parts[3] }?.text
            })
        for page in pages {
            let first = outcome.measured[page.node]?.first
            #expect((first != nil) == page.isUsed, "\(source) \(page.node)")
            guard let first else { continue }
            #expect(Set(first.rejected.counts.keys.map(\.rawValue)) == page.why, "\(source) \(page.node)")
            #expect(first.node.memoryBytes == page.memory, "\(source) \(page.node)")
            #expect(first.node.diskBytes == nil, "\(source) \(page.node)")
        }
        // What was wrong with a node of which nothing is left is in the error's own words.
        #expect(outcome.log.contains("holds no numbers of the node, rejected") || outcome.log.contains("malformed"))
        #expect(outcome.log.count < 100_000, "a long name is in the log")
    }

    @Test("/stats/summary: each is rejected by name, what is good of it is used, and the other nodes go on")
    func summaries() async throws {
        try await check("stats_summary", "/stats/summary", Self.summaries)
    }

    @Test("/metrics/cadvisor: each is rejected by name, what is good of it is used, and the other nodes go on")
    func cadvisor() async throws {
        try await check("cadvisor", "/metrics/cadvisor", Self.cadvisor)
    }

    @Test("metrics.k8s.io: an item that cannot be used costs only itself, and is counted by name")
    func metricsAPI() async throws {
        func usage(_ name: String, _ cpu: String, _ memory: String) -> String {
            #"{"metadata":{"name":"\#(name)"},"usage":{"cpu":"\#(cpu)","memory":"\#(memory)"}}"#
        }
        let items = [
            usage("good", "1", "5Mi"), usage("nan", "NaN", "5Mi"), usage("huge", "1", "9E"), usage("unit", "1", "5P"),
            usage("negative", "-1", "5Mi"), usage(Self.longLine, "1", "5Mi"), usage("../..", "1", "5Mi"),
        ]
        let pods =
            #"{"items":[{"metadata":{"name":"web-0","namespace":"default"},"containers":["#
            + #"{"name":"a","usage":{"cpu":"1","memory":"NaN"}},{"name":"b","usage":{"cpu":"1","memory":"7"}}]}]}"#
        var known = UsageMeter.PodsOnNode()
        known.facts[.init(namespace: "default", name: "web-0")] = .init(uid: "u", requests: ResourceList())
        let nodes = ["good", "nan", "huge", "unit", "negative"]
        let outcome = try await collect(
            "metrics_api", nodes: nodes, pods: known,
            until: { outcome in
                nodes.allSatisfy { (outcome.measured[$0]?.count ?? 0) >= ($0 == "good" ? 3 : 1) }
                    && ["bad_name", "wrong_unit", "negative", "out_of_range"].allSatisfy(outcome.rejected)
            },
            { path in
                switch path {
                case MetricsAPI.nodesPath: #"{"items":[\#(items.joined(separator: ","))]}"#
                case MetricsAPI.podsPath: pods
                default: nil
                }
            })
        #expect(outcome.measured["good"]?.first?.node.memoryBytes == 5 << 20)
        #expect(outcome.measured["nan"]?.first?.node.cpuMillis == nil)
        #expect(outcome.measured["nan"]?.first?.node.memoryBytes == 5 << 20)
        #expect(outcome.measured["unit"]?.first?.node.memoryBytes == nil)
        #expect(outcome.measured["huge"]?.first?.node.memoryBytes == nil)
        #expect(outcome.measured["negative"]?.first?.node.cpuMillis == nil)
        let pod = outcome.measured["good"]?.first?.pods.first
        #expect(pod?.cpuMillis == 2_000 && pod?.memoryBytes == nil && pod?.podUID == "u")
    }

    @Test("metrics.k8s.io without one usable node: no numbers, and what was rejected is named and counted")
    func nothingInMetricsAPI() async throws {
        let outcome = try await collect(
            "metrics_api", nodes: ["good"],
            until: {
                $0.rejected("wrong_unit") && $0.rejected("bad_name")
                    && $0.log.contains("does not know the node, rejected wrong_unit: 1, bad_name: 1")
            },
            { path in
                path == MetricsAPI.nodesPath
                    ? #"{"items":[{"metadata":{"name":"good"},"usage":{"cpu":"NaN"}},{"metadata":{"name":"../good"}}]}"#
                    : "{}"
            })
        #expect(outcome.measured.isEmpty)
    }

    @Test("metrics.k8s.io that is cut off gives no numbers, and says so")
    func cutMetricsAPI() async throws {
        let outcome = try await collect(
            "metrics_api", nodes: ["good"],
            until: {
                $0.metrics.contains("updraft_stats_scrapes_total{outcome=\"malformed\"}")
                    && $0.log.contains("malformed")
            },
            { path in
                path == MetricsAPI.nodesPath ? #"{"items":[{"metadata":{"name":"good"},"usage":{"cpu":"1","# : "{}"
            })
        #expect(outcome.measured.isEmpty)
    }
}
