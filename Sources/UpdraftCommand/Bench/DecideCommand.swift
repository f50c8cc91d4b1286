import JSONReader

/// `updraft bench decide`: how long the decision engine takes.
enum DecideCommand {
    static let help = """
        usage: updraft bench decide [--workload NAME]… [--growth] [--json] [--check] [--list]

        Measures whole evaluations of the decision engine on clusters made up in memory (docs/performance.md). Without
        --workload all are run. NAME-x3 is a workload with three times the nodes and the pods; --growth runs each with
        1, 3 and 10 times as many. Build with -c release for figures that mean something. Beside each stand its aims and
        what cluster-autoscaler took. The peak is that of the process: the largest so far where it runs several workloads.

          --check  exit status 1 when an aim is missed (of memory only where one workload is run)
          --list   print the names of what would be run, and run nothing

        Workloads: \(DecideBench.workloads.joined(separator: ", "))
        """

    static func run(_ arguments: [String]) async -> Int32 {
        var rest = arguments[...]
        guard let subject = rest.popFirst(), subject == "decide" else {
            let wantsHelp = arguments.first == "--help" || arguments.first == "-h"
            wantsHelp ? Terminal.line(help) : Terminal.complaint(help)
            return wantsHelp ? 0 : 2
        }
        var names: [String] = []
        var isJSON = false
        var grows = false
        var checks = false
        var lists = false
        while let argument = rest.popFirst() {
            switch argument {
            case "--json": isJSON = true
            case "--growth": grows = true
            case "--check": checks = true
            case "--list": lists = true
            case "--workload":
                guard let name = rest.popFirst() else {
                    Terminal.complaint(help)
                    return 2
                }
                names.append(name)
            case "--help", "-h":
                Terminal.line(help)
                return 0
            default:
                Terminal.complaint("updraft bench: unknown argument \(argument)\n\n\(help)")
                return 2
            }
        }
        if names.isEmpty { names = DecideBench.workloads }
        if grows { names = names.flatMap { [$0, "\($0)-x3", "\($0)-x10"] } }
        if lists {
            for name in names { Terminal.line(name) }
            return 0
        }
        var hasMissed = false
        for name in names {
            guard let result = DecideBench.run(workload: name) else {
                Terminal.complaint("updraft bench: no workload \(name)\n\n\(help)")
                return 2
            }
            var aim = DecideBench.aims[name] ?? DecideBench.Aim()
            // Of several the peak is that of the largest so far.
            if names.count > 1 { aim.peak = nil }
            if !aim.missed(by: result).isEmpty { hasMissed = true }
            Terminal.line(isJSON ? json(result, aim).text : line(result, aim))
        }
        return checks && hasMissed ? 1 : 0
    }

    private static func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }

    static func line(_ result: DecideBenchResult, _ aim: DecideBench.Aim) -> String {
        let name = result.workload + String(repeating: " ", count: max(0, 26 - result.workload.count))
        var line =
            "\(name) nodes \(result.nodes), unserved \(result.unserved), median \(rounded(result.median)) ms, "
            + "p99 \(rounded(result.percentile(0.99))) ms, peak \(Int(result.peakMebibytes)) MiB"
        if !aim.text.isEmpty {
            let missed = aim.missed(by: result)
            line += " (aim: \(aim.text); \(missed.isEmpty ? "kept" : "MISSED: \(missed.joined(separator: ", "))"))"
        }
        if let peer = aim.peer { line += " (cluster-autoscaler 1.30.0: \(peer))" }
        return line
    }

    private static func json(_ result: DecideBenchResult, _ aim: DecideBench.Aim) -> JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { .double($0) } ?? .null }
        return [
            "workload": .string(result.workload), "nodes": .int(Int64(result.nodes)),
            "unserved": .int(Int64(result.unserved)), "medianMilliseconds": .double(rounded(result.median)),
            "aimMilliseconds": number(aim.median), "aimP99Milliseconds": number(aim.p99),
            "aimPeakMebibytes": number(aim.peak), "missed": .array(aim.missed(by: result).map { .string($0) }),
            "peer": aim.peer.map { .string($0) } ?? .null,
            "p99Milliseconds": .double(rounded(result.percentile(0.99))),
            "runs": .int(Int64(result.milliseconds.count)), "peakMebibytes": .double(rounded(result.peakMebibytes)),
        ]
    }
}
