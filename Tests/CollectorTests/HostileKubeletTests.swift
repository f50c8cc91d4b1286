import Bus
import HTTPClient
import HTTPServer
import Kubernetes
import Messages
import ServiceRuntime
import Settings
import Support
import TestServer
import Testing

@testable import Collector

/// Kubelets that answer what no honest one would, behind a real server; the collecting as in the service.
@Suite("Hostile kubelets", .timeLimit(.minutes(5)))
struct HostileKubeletTests {
    private static let good = "node_cpu_usage_seconds_total 1\nnode_memory_working_set_bytes 5000000\n"

    /// What each node's kubelet answers, and by which name it is to be counted; nil: nothing is wrong.
    private static let pages: [(node: String, page: String, why: String?)] = [
        ("good-1", good, nil), ("good-2", good, nil),
        ("truncated", "node_memory_working_set_bytes 5000000\nnode_cpu_usage_seconds_total 12.5 17", "truncated"),
        ("nan", "node_memory_working_set_bytes 5000000\nnode_cpu_usage_seconds_total NaN\n", "not_finite"),
        ("huge", "node_memory_working_set_bytes 1e300\nnode_cpu_usage_seconds_total 1\n", "out_of_range"),
        ("negative", "node_memory_working_set_bytes -1\nnode_cpu_usage_seconds_total 1\n", "negative"),
        ("unit", "node_memory_working_set_bytes 5e15\nnode_cpu_usage_seconds_total 1\n", "wrong_unit"),
        (
            "long", "node_memory_working_set_bytes{x=\"\(String(repeating: "a", count: 10 << 20))\"} 1\n\(good)",
            "long_line"
        ),
        (
            "labels",
            good + #"pod_memory_working_set_bytes{namespace="../../etc",pod="a"} 5"# + "\n"
                + #"pod_memory_working_set_bytes{namespace="default",pod="x\n$(reboot)"} 5"# + "\n"
                + #"pod_memory_working_set_bytes{namespace="default",pod="web-0"} 5"# + "\n", "bad_name"
        ),
        ("garbage", good + "\u{0}\u{1}{{{{\n", "malformed_line"),
        (
            "year-one", good + "pod_memory_working_set_bytes{namespace=\"default\",pod=\"web-0\"} 5 -62135596800000\n",
            "bad_time"
        ),
    ]

    /// Plays the API server's proxy; what breaks HTTP itself is in the node's name.
    private static func server() -> TestServer {
        TestServer { connection in
            while let request = connection.readRequest() {
                let node = request.path.split(separator: "/").dropFirst(3).first.map(String.init) ?? ""
                switch node {
                case "cut":
                    // More is announced than comes.
                    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n\(good)")
                    return
                case "endless":
                    // More than any kubelet says: 33 MiB and no end.
                    connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    let megabyte = String(repeating: "# nothing\n", count: 104_858)
                    for _ in 0..<64 where !connection.chunk(megabyte) { return }
                    return
                case "no-http":
                    connection.write("\u{16}\u{3}\u{1}\u{2}")
                    return
                default:
                    let page = pages.first { $0.node == node }?.page ?? ""
                    guard connection.answer(page.isEmpty ? 404 : 200, page) else { return }
                }
            }
        }
    }

    @Test("each is rejected by name, what is good of its answer is used, and the other nodes go on")
    func hostile() async throws {
        let server = Self.server()
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://x:x@127.0.0.1:1/", "collector.stats.interval=1s",
                "collector.stats.source=metrics_resource", "collector.stats.timeout=20s",
            ])
        let log = Lock<[String]>([])
        let logger = Logger(
            service: "collector", write: { line in log.withLock { $0.append(String(decoding: line, as: UTF8.self)) } })
        let metrics = Metrics()
        let client = KubernetesClient(KubernetesConfiguration(server: server.url))
        let scraper = KubeletScraper(client, settings.collector.stats, log: logger, metrics: metrics)
        let bus = try Bus(try BusSettings(settings, service: "collector", host: "test"))
        let broken = ["cut", "endless", "no-http"]
        let nodes = (Self.pages.map(\.node) + broken).map { name in
            Node(name: name, allocatable: ResourceList(cpuMillis: 4_000, memoryBytes: 8 << 30), address: "127.0.0.1")
        }
        let measured = Lock<[String: [UsageMeter.Measured]]>([:])
        let collector = UsageCollector(
            UsageSource(nodes: { nodes }, pods: { _ in nil }, cluster: { nil }), scraper, bus, nil, cluster: "test",
            settings.collector.stats, log: logger, metrics: metrics
        ) { one in measured.withLock { $0[one.node.node, default: []].append(one) } }
        let task = Task { await collector.run() }
        // The good ones have been asked again and again while the others had their turns.
        try await eventually("all nodes measured, the good ones three times") {
            let (seen, text) = (measured.withLock { $0 }, metrics.text())
            let told = log.withLock { $0.joined() }
            return told.contains("that are not used") && told.contains("gave no numbers")
                && Self.pages.allSatisfy { (seen[$0.node]?.count ?? 0) >= ($0.why == nil ? 3 : 1) }
                && text.contains("updraft_stats_scrapes_total{outcome=\"transport\"}")
        }
        task.cancel()
        await bus.close(within: .zero)
        await task.value
        await scraper.close()
        await client.close()

        let (seen, text) = (measured.withLock { $0 }, metrics.text())
        for entry in Self.pages {
            let first = try #require(seen[entry.node]?.first)
            let counts = first.rejected.counts.map { $0.key.rawValue }
            #expect(counts == (entry.why.map { [$0] } ?? []), "\(entry.node): \(first.rejected.summary)")
            guard let why = entry.why else { continue }
            #expect(text.contains("updraft_stats_rejected_total{why=\"\(why)\"}"), "\(why) in:\n\(text)")
        }
        for node in broken { #expect(seen[node] == nil, "\(node) was measured") }
        // What is good of an answer counts.
        #expect(seen["nan"]?.first?.node.memoryBytes == 5_000_000)
        #expect(seen["truncated"]?.first?.node.memoryBytes == 5_000_000)
        #expect(seen["long"]?.first?.node.memoryBytes == 5_000_000)
        #expect(seen["unit"]?.first?.node.memoryBytes == nil && seen["huge"]?.first?.node.memoryBytes == nil)
        #expect(seen["labels"]?.first?.pods.map(\.pod) == ["web-0"])
        let told = log.withLock { $0 }
        #expect(told.contains { $0.contains("kubelets gave numbers that are not used") }, "\(told)")
        #expect(told.contains { $0.contains("kubelets gave no numbers") }, "\(told)")
        #expect(!told.contains { $0.contains("reboot") || $0.contains("../../etc") }, "labels are in the log: \(told)")
    }

    // MARK: TLS

    private func label(
        _ server: HTTPServer, _ tls: TLSSettings, token: String = "good-token"
    ) async throws -> String {
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://x/", "collector.stats.source=metrics_resource",
                "collector.stats.through=kubelet",
            ])
        // The API server is not there: nothing can be had by the other way.
        let client = KubernetesClient(
            KubernetesConfiguration(server: "http://127.0.0.1:1", tls: tls, authentication: .token(token)))
        let scraper = KubeletScraper(
            client, settings.collector.stats, log: Logger(service: "collector", write: { _ in }), metrics: Metrics())
        let target = UsageMeter.Target(
            Node(
                name: "n1", allocatable: ResourceList(), address: "127.0.0.1", kubeletPort: Int32(server.port)))
        let label: String
        do throws(ScrapeError) {
            let reading = try await scraper.read(target, at: .now())
            label = "ok \(reading.node.memoryBytes ?? 0)"
        } catch {
            label = error.label
        }
        await scraper.close()
        await client.close()
        return label
    }

    @Test("a kubelet is believed by the cluster's authority, for the address that was asked, and believes a token")
    func tls() async throws {
        let certificates = try #require(Certificates())
        func kubelet(_ certificate: String) throws -> HTTPServer {
            try HTTPServer(
                tls: ServerTLS(
                    certificateFile: certificates.path("\(certificate).pem"),
                    keyFile: certificates.path("\(certificate).key"))
            ) { request in
                guard request.headers["Authorization"] == "Bearer good-token" else {
                    return .response(.text(401, "Unauthorized"))
                }
                return .response(.text(200, Self.good))
            }
        }
        let honest = try kubelet("server")
        let named = try kubelet("named")
        defer {
            honest.stop()
            named.stop()
        }
        let ca = TLSSettings(caFile: certificates.path("ca.pem"))
        #expect(try await label(honest, ca) == "ok 5000000")
        #expect(try await label(honest, TLSSettings(caFile: certificates.path("other.pem"))) == "tls")
        // Its certificate is the authority's, but of another host.
        #expect(try await label(named, ca) == "tls")
        // The name by which the API server is asked is nobody's business here.
        var other = ca
        other.serverName = "updraft.test"
        #expect(try await label(named, other) == "tls")
        #expect(try await label(honest, other) == "ok 5000000")
        // A token that has expired.
        #expect(try await label(honest, ca, token: "old-token") == "status_401")
    }
}
