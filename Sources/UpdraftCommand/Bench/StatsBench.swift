import AMQP
import Bus
import Collector
import FoundationEssentials
import Glibc
import HTTPClient
import Messages
import PracticeCloud
import Support

/// What one Collector does that asks thousands of kubelets.
struct StatsBenchResult: Sendable {
    /// Nodes asked, and pods of each.
    var nodes: Int
    var pods: Int
    /// Seconds between two looks at a node.
    var interval = 0
    /// CPU time of the Collector in cores, over the measured time.
    var cores: Double
    /// Peak resident memory of the Collector in MB (10^6).
    var memory: Double
    /// Seconds from the kubelet's measuring to this process's reading it from the bus.
    var p50: Double
    var p99: Double
    /// Samples of nodes a second on the bus.
    var rate: Double
    /// Nodes that were heard of.
    var heard: Int
    /// Megabytes a second of reading `/metrics/resource`.
    var parsing: Double
}

/// `updraft bench stats`: kubelets in one process, the Collector in another, this one listens on the bus.
enum StatsBench {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Serves kubelets until the process is ended. Prints the port.
    static func serve(nodes: Int, pods: Int) async throws {
        let farm = try KubeletFarm(nodes: nodes, pods: pods)
        Terminal.line("port \(farm.port)")
        while !Task.isCancelled { try await Task.sleep(for: .seconds(3_600)) }
        farm.stop()
    }

    static func run(
        nodes: Int, pods: Int, seconds: Int, interval: Int, state: String, transportURL: String
    ) async throws -> StatsBenchResult {
        let programs = DemoFiles.programFolder()
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        // The port is read from it: that of an earlier run leads nowhere.
        try? FileManager.default.removeItem(atPath: "\(state)/kubelets.log")
        let farm = try ChildProcess.start(
            name: "kubelets", executable: "\(programs)/updraft",
            arguments: ["bench", "kubelets", "--nodes", "\(nodes)", "--pods", "\(pods)"], environment: [:],
            logFile: "\(state)/kubelets.log")
        // Whoever called this ends what is left, should this be killed.
        farm.note(in: "\(state)/pids")
        do {
            let port = try await port(farm)
            let parsing = try await parsing(port)
            try write(kubeconfig(port), "\(state)/kubeconfig")
            let collector = try ChildProcess.start(
                name: "collector", executable: "\(programs)/updraft-collector",
                arguments: [
                    "--set", "cluster=bench", "--set", "kubernetes.kubeconfig=\(state)/kubeconfig", "--set",
                    "collector.stats.interval=\(interval)s", "--set", "collector.stats.details_interval=0s", "--set",
                    "collector.stats.parallel=64", "--set", "health.listen=127.0.0.1:0", "--log-level", "warning",
                ], environment: ["UPDRAFT_BUS_TRANSPORT_URL": transportURL], logFile: "\(state)/collector.log")
            collector.note(in: "\(state)/pids")
            do {
                var result = try await listen(
                    nodes: nodes, seconds: seconds, interval: interval, collector: collector, transportURL: transportURL
                )
                result.pods = pods
                result.interval = interval
                result.parsing = parsing
                await collector.stop(grace: .seconds(10))
                await farm.stop(grace: .seconds(2))
                return result
            } catch {
                await collector.stop(grace: .seconds(10))
                throw error
            }
        } catch {
            await farm.stop(grace: .seconds(2))
            throw error
        }
    }

    private static func port(_ farm: ChildProcess) async throws -> Int {
        for _ in 0..<300 {
            if let text = try? String(contentsOf: URL(filePath: farm.logFile), encoding: .utf8),
                let line = text.split(separator: "\n").first(where: { $0.hasPrefix("port ") }),
                let port = Int(line.dropFirst(5))
            {
                return port
            }
            if farm.exitStatus() != nil { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw Failure(description: "the kubelets did not start: see \(farm.logFile)")
    }

    /// Reads a page that a kubelet of the farm gave.
    private static func parsing(_ port: Int) async throws -> Double {
        let http = HTTPClient(userAgent: "updraft-bench")
        let page = try await http.send(
            HTTPRequest(.get, "http://127.0.0.1:\(port)/api/v1/nodes/node-0/proxy/metrics/resource"))
        await http.close()
        return CollectorBench.readMetricsPage(page.body, seconds: 2).megabytes
    }

    private static func kubeconfig(_ port: Int) -> String {
        """
        apiVersion: v1
        kind: Config
        current-context: bench
        contexts: [{name: bench, context: {cluster: bench, user: bench}}]
        clusters: [{name: bench, cluster: {server: "http://127.0.0.1:\(port)"}}]
        users: [{name: bench, user: {token: bench}}]

        """
    }

    private static func write(_ text: String, _ path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
    }

    // MARK: Listening

    private struct Heard {
        var ages: [Double] = []
        var nodes: Set<String> = []
        var isMeasuring = false
    }

    private static func listen(
        nodes: Int, seconds: Int, interval: Int, collector: ChildProcess, transportURL: String
    ) async throws -> StatsBenchResult {
        let settings = BusSettings(
            amqp: AMQPSettings(url: try TransportURL(transportURL)), cluster: "bench", service: "bench", host: "bench")
        let bus = try Bus(settings)
        let heard = Lock(Heard())
        let reading = Task {
            let subscription = Subscription(
                topics: [.stats], kind: .perishable(maximumLength: 10_000, ttl: .seconds(60)), exclusive: true,
                prefetch: 64, laps: [])
            try await bus.subscribe(subscription) { incoming in
                guard case .nodeStats(let stats) = incoming.event else { return .done }
                let now = Timestamp.now()
                heard.withLock { heard in
                    for sample in stats.samples where !sample.stale {
                        if heard.isMeasuring { heard.ages.append((now - sample.at).inSeconds) }
                        if sample.cpuMillis != nil { heard.nodes.insert(sample.node) }
                    }
                }
                return .done
            }
        }
        // Every node twice: only then are there rates, and the work is spread over the interval.
        let deadline = Timestamp.now() + .minutes(5)
        while heard.withLock({ $0.nodes.count }) < nodes {
            guard Timestamp.now() < deadline, collector.exitStatus() == nil else {
                throw Failure(
                    description:
                        "heard of \(heard.withLock { $0.nodes.count }) of \(nodes) nodes: see \(collector.logFile)")
            }
            try await Task.sleep(for: .milliseconds(500))
        }
        try await Task.sleep(for: .seconds(interval))
        heard.withLock { $0.isMeasuring = true }
        let before = try ProcessUsage(of: collector.pid).cpu
        let started = Timestamp.now()
        try await Task.sleep(for: .seconds(seconds))
        let passed = (Timestamp.now() - started).inSeconds
        let cores = (try ProcessUsage(of: collector.pid).cpu - before) / passed
        let memory = try ProcessUsage(of: collector.pid).memory
        let result = heard.withLock { $0 }
        reading.cancel()
        await bus.close(within: .seconds(2))
        let ages = result.ages.sorted()
        guard !ages.isEmpty else { throw Failure(description: "nothing was heard: see \(collector.logFile)") }
        func at(_ share: Double) -> Double { ages[min(ages.count - 1, Int(Double(ages.count) * share))] }
        return StatsBenchResult(
            nodes: nodes, pods: 0, cores: cores, memory: memory, p50: at(0.5), p99: at(0.99),
            rate: Double(ages.count) / passed, heard: result.nodes.count, parsing: 0)
    }
}
