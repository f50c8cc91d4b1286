import AMQP
import FoundationEssentials
import Support

/// `updraft bench`: measures, prints a table or JSON. Figures are for comparing; only `--check` holds them to their aims.
enum BenchCommand {
    static let help = """
        updraft bench: measure, and print a table

        usage: updraft bench list [--pods N] [--json]
               updraft bench bus --transport-url URL [--messages N] [--json]
               updraft bench decide [--workload NAME]… [--json]
               updraft bench latency --state DIR --transport-url URL [--rounds N] [--json]
               updraft bench pods --state DIR --transport-url URL [--json]
               updraft bench removal --state DIR --transport-url URL [--nodes N] [--cooldown SECONDS] [--json]
                     [--check]
               updraft bench stats --state DIR --transport-url URL [--nodes N] [--pods N] [--seconds N]
                     [--interval N] [--json]
               updraft bench kubelets [--nodes N] [--pods N]

          list       decode a LIST of pods of the recorded form (default 10000 pods)
          decide     whole evaluations of the decision engine; --help lists the workloads
          bus        publish with confirms and consume, messages of 1 KiB (default 20000)
          stats      one Collector watches pods and asks kubelets (default 5000 of 30 pods, every 15 s, for 60 s);
                     `bench kubelets` serves them
          pods       from load to the last of 40 pods, with machines that start in 60 s: a pod scaler, and a
                     HorizontalPodAutoscaler's rule with nodes for pending pods (about six minutes)
          removal    so many nodes are drained and removed at once on the practice cloud (default 1000)
          latency    from a pod that no node can take to the decision on the bus and to the request at Heat, through the
                     four services (default 40 rounds, the first of which only fills the node that is there)

        --check    exit status 1 when an aim is missed, which is named

        scripts/bench runs all of them, with a RabbitMQ of its own.
        """

    /// One line of the table.
    struct Row: Codable {
        var name: String
        var value: Double
        var unit: String
        var aim: String

        /// Whether the value is not what `aim` says: `< n`, `≤ n` or `≥ n`; without an aim never.
        var isMissed: Bool {
            let words = aim.split(separator: " ")
            guard words.count == 2, let limit = Double(words[1]) else { return false }
            switch words[0] {
            case "<": return !(value < limit)
            case "≤": return !(value <= limit)
            case "≥": return !(value >= limit)
            default: return false
            }
        }
    }

    /// What a run ends with: 1 if aims are to be held and one is missed, which is then named.
    static func status(_ rows: [Row], checks: Bool) -> Int32 {
        guard checks else { return 0 }
        let missed = rows.filter(\.isMissed)
        for row in missed { Terminal.complaint("missed: \(row.name): \(row.value) \(row.unit), the aim is \(row.aim)") }
        return missed.isEmpty ? 0 : 1
    }

    static func run(_ arguments: [String]) async -> Int32 {
        guard let what = arguments.first, what != "--help", what != "-h" else {
            Terminal.line(help)
            return arguments.isEmpty ? 2 : 0
        }
        if what == "decide" { return await DecideCommand.run(arguments) }
        var values: [String: String] = [:]
        var asJSON = false
        var checks = false
        var rest = arguments.dropFirst()
        while let flag = rest.popFirst() {
            if flag == "--json" {
                asJSON = true
            } else if flag == "--check" {
                checks = true
            } else if flag.hasPrefix("--"), let value = rest.popFirst() {
                values[String(flag.dropFirst(2))] = value
            } else {
                return wrong("\(flag) needs a value, or is not known")
            }
        }
        do {
            let rows: [Row]
            switch what {
            case "list":
                guard let pods = number(values["pods"], 10_000) else { return wrong("--pods: 1 to 1000000") }
                rows = list(pods)
            case "bus":
                guard let messages = number(values["messages"], 20_000), let url = values["transport-url"] else {
                    return wrong("bus needs --transport-url")
                }
                let result = try await BusBench.run(url: try TransportURL(url), messages: messages, size: 1_024)
                rows = bus(result)
            case "latency":
                guard let rounds = number(values["rounds"], 40), let state = values["state"].map(DemoFiles.absolute),
                    let url = values["transport-url"]
                else { return wrong("latency needs --state and --transport-url") }
                let result = try await LatencyBench.run(rounds: rounds, state: state, transportURL: url)
                rows = [
                    Row(name: "pod created → decision on the bus, p50", value: result.decidedP50, unit: "ms", aim: ""),
                    Row(name: "pod created → decision on the bus, p99", value: result.decidedP99, unit: "ms", aim: ""),
                    Row(name: "pod created → PATCH at Heat, p50", value: result.p50, unit: "ms", aim: ""),
                    Row(name: "pod created → PATCH at Heat, p99", value: result.p99, unit: "ms", aim: "< 100"),
                    Row(name: "pod created → PATCH at Heat, worst", value: result.worst, unit: "ms", aim: ""),
                ]
            case "pods":
                guard let state = values["state"].map(DemoFiles.absolute), let url = values["transport-url"] else {
                    return wrong("pods needs --state and --transport-url")
                }
                let result = try await PodsBench.run(state: state, transportURL: url)
                let what = "load → \(result.pods) pods run"
                rows = [
                    Row(
                        name: "\(what), replicas and nodes in one decision", value: result.together, unit: "s", aim: ""),
                    Row(name: "\(what), HPA's rule and pending pods", value: result.apart, unit: "s", aim: ""),
                ]
            case "removal":
                guard let nodes = number(values["nodes"], 1_000), nodes > 1,
                    let cooldown = number(values["cooldown"], 60), let state = values["state"].map(DemoFiles.absolute),
                    let url = values["transport-url"]
                else { return wrong("removal needs --state and --transport-url, and --nodes of 2 at least") }
                rows = removal(
                    try await RemovalBench.run(nodes: nodes, cooldown: cooldown, state: state, transportURL: url))
            case "stats":
                guard let nodes = number(values["nodes"], 5_000), let pods = number(values["pods"], 30),
                    let seconds = number(values["seconds"], 60),
                    let interval = number(values["interval"], 15), let state = values["state"].map(DemoFiles.absolute),
                    let url = values["transport-url"]
                else { return wrong("stats needs --state and --transport-url") }
                rows = stats(
                    try await StatsBench.run(
                        nodes: nodes, pods: pods, seconds: seconds, interval: interval, state: state, transportURL: url)
                )
            case "kubelets":
                guard let nodes = number(values["nodes"], 5_000), let pods = number(values["pods"], 30) else {
                    return wrong("--nodes, --pods: 1 to 1000000")
                }
                try await StatsBench.serve(nodes: nodes, pods: pods)
                return 0
            default: return wrong("'\(what)' is no benchmark")
            }
            show(rows, asJSON: asJSON)
            return status(rows, checks: checks)
        } catch {
            Terminal.complaint("updraft bench \(what): \(error)")
            return 1
        }
    }

    private static func stats(_ result: StatsBenchResult) -> [Row] {
        let kind = "\(result.nodes) kubelets × \(result.pods) pods every \(result.interval) s"
        return [
            Row(name: "/metrics/resource, read", value: result.parsing, unit: "MB/s", aim: "≥ 200"),
            Row(
                name: "Collector's CPU (\(kind))", value: result.cores * 1_000, unit: "thousandths of a core",
                aim: "< 500"),
            Row(
                name: "Collector's memory, peak", value: result.memory, unit: "MB",
                aim: result.nodes * result.pods <= 30_000 ? "< 150" : "< 200"),
            Row(name: "age of a node's sample on the bus, p50", value: result.p50 * 1_000, unit: "ms", aim: ""),
            Row(name: "age of a node's sample on the bus, p99", value: result.p99 * 1_000, unit: "ms", aim: "< 2000"),
            Row(name: "samples of nodes on the bus", value: result.rate, unit: "/s", aim: ""),
        ]
    }

    static func removal(_ result: RemovalBenchResult) -> [Row] {
        let what = "\(result.nodes) nodes, \(result.pods) pods told"
        let at = { (share: Double) in
            result.late.isEmpty ? 0 : result.late[min(result.late.count - 1, Int(Double(result.late.count) * share))]
        }
        return [
            Row(name: "nodes in their cooldown at once (\(what))", value: Double(result.atOnce), unit: "", aim: ""),
            Row(name: "decided → the last one cordoned", value: result.cordoned, unit: "s", aim: ""),
            // (Without one there is no deadline to have been met.)
            Row(name: "cooldowns that ended by time", value: Double(result.late.count), unit: "", aim: "≥ 1"),
            Row(name: "cooldowns that ended by answers", value: Double(result.answered), unit: "", aim: ""),
            Row(name: "end of a cooldown after its deadline, p50", value: at(0.5) * 1_000, unit: "ms", aim: ""),
            Row(
                name: "end of a cooldown after its deadline, worst", value: (result.late.last ?? 0) * 1_000, unit: "ms",
                aim: "< 1000"),
            Row(name: "decided → the last one drained", value: result.drained, unit: "s", aim: ""),
            Row(name: "decided → the last one gone", value: result.gone, unit: "s", aim: ""),
            Row(name: "Notifier's CPU time", value: result.notifier.cpu, unit: "s", aim: ""),
            Row(name: "Notifier's memory, peak", value: result.notifier.memory, unit: "MB", aim: ""),
            Row(name: "Actuator's CPU time", value: result.actuator.cpu, unit: "s", aim: ""),
            Row(name: "Actuator's memory, peak", value: result.actuator.memory, unit: "MB", aim: ""),
        ]
    }

    private static func list(_ pods: Int) -> [Row] {
        let result = ListBench.run(pods: pods)
        return [
            Row(name: "LIST of \(pods) pods, all kept", value: result.keptRate, unit: "MB/s", aim: "≥ 500"),
            Row(name: "LIST of \(pods) pods, one at a time", value: result.streamedRate, unit: "MB/s", aim: ""),
            Row(name: "memory of the kept structs", value: Double(result.keptBytes) / 1e6, unit: "MB", aim: ""),
            Row(
                name: "memory of the process, peak (\(result.bytes / 1_000_000) MB of it are the list)",
                value: Double(result.peakBytes) / 1e6, unit: "MB", aim: ""),
        ]
    }

    private static func bus(_ result: BusBenchResult) -> [Row] {
        let kind = "\(result.size) bytes, \(result.queueType)"
        return [
            Row(name: "published, confirmed (\(kind))", value: result.publish.rate, unit: "messages/s", aim: ""),
            Row(
                name: "published, client CPU", value: result.publish.cpuMicroseconds, unit: "µs/message", aim: "≤ 16"),
            Row(name: "each confirm waited for", value: result.publishWaiting.rate, unit: "messages/s", aim: ""),
            Row(
                name: "published and consumed at once", value: result.publishAndConsume.rate, unit: "messages/s",
                aim: ""),
            Row(name: "publish → confirm, p50", value: result.confirmLatency.p50, unit: "ms", aim: ""),
            Row(name: "publish → confirm, p99", value: result.confirmLatency.p99, unit: "ms", aim: ""),
            Row(name: "publish → consumer, p50", value: result.deliveryLatency.p50, unit: "ms", aim: ""),
            Row(name: "publish → consumer, p99", value: result.deliveryLatency.p99, unit: "ms", aim: ""),
        ]
    }

    private static func number(_ text: String?, _ fallback: Int) -> Int? {
        guard let text else { return fallback }
        return Int(text).flatMap { (1...1_000_000).contains($0) ? $0 : nil }
    }

    private static func wrong(_ text: String) -> Int32 {
        Terminal.complaint("updraft bench: \(text); --help tells more")
        return 2
    }

    private static func show(_ rows: [Row], asJSON: Bool) {
        if asJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            for row in rows {
                if let data = try? encoder.encode(row) { Terminal.line(String(decoding: data, as: UTF8.self)) }
            }
            return
        }
        let width = rows.map(\.name.count).max() ?? 0
        for row in rows {
            let number = row.value.rounded() == row.value ? "\(Int(row.value))" : "\((row.value * 10).rounded() / 10)"
            let name = row.name + String(repeating: " ", count: width - row.name.count)
            Terminal.line(
                "\(name)  \(String(repeating: " ", count: max(0, 9 - number.count)))\(number) \(row.unit)"
                    + (row.aim.isEmpty ? "" : "   (aim \(row.aim))"))
        }
    }
}
