import JSONReader

/// `updraft bench decide`: how long the decision engine takes.
enum DecideCommand {
    static let help = """
        usage: updraft bench decide [--workload NAME]… [--growth] [--json]

        Measures whole evaluations of the decision engine on clusters made up in memory (docs/performance.md). Without
        --workload all are run. NAME-x3 is a workload with three times the nodes and the pods; --growth runs each with
        1, 3 and 10 times as many. Build with -c release for figures that mean something.

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
        while let argument = rest.popFirst() {
            switch argument {
            case "--json": isJSON = true
            case "--growth": grows = true
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
        for name in names {
            guard let result = DecideBench.run(workload: name) else {
                Terminal.complaint("updraft bench: no workload \(name)\n\n\(help)")
                return 2
            }
            Terminal.line(isJSON ? json(result).text : line(result))
        }
        return 0
    }

    private static func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }

    private static func line(_ result: DecideBenchResult) -> String {
        let name = result.workload + String(repeating: " ", count: max(0, 26 - result.workload.count))
        let aim = DecideBench.aims[result.workload].map { " (aim: \(Int($0)) ms)" } ?? ""
        return "\(name) nodes \(result.nodes), unserved \(result.unserved), median \(rounded(result.median)) ms\(aim), "
            + "p99 \(rounded(result.percentile(0.99))) ms, peak \(Int(result.peakMebibytes)) MiB"
    }

    private static func json(_ result: DecideBenchResult) -> JSONValue {
        [
            "workload": .string(result.workload), "nodes": .int(Int64(result.nodes)),
            "unserved": .int(Int64(result.unserved)), "medianMilliseconds": .double(rounded(result.median)),
            "aimMilliseconds": DecideBench.aims[result.workload].map { .double($0) } ?? .null,
            "p99Milliseconds": .double(rounded(result.percentile(0.99))),
            "runs": .int(Int64(result.milliseconds.count)), "peakMebibytes": .double(rounded(result.peakMebibytes)),
        ]
    }
}
