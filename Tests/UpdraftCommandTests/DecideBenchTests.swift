import FoundationEssentials
import Testing

@testable import UpdraftCommand

/// What the workloads of docs/performance.md come to, whatever time they take.
@Suite("Node counts of the decision engine's workloads")
struct DecideBenchTests {
    /// Least: what the pods' cpu needs. Most: the answer of cluster-autoscaler 1.30.0 where it was not cut short.
    @Test(
        "All pods get a place, on no fewer nodes than they need and no more than the peer's answer",
        arguments: [
            ("up-3000x1", 188, 188), ("up-3000x50", 554, 568), ("up-3000x50-anti-affinity", 554, 588),
            ("up-3000x50-spread", 554, 589),
            ("up-30000x50", 5_531, 5_681), ("up-30000x50-no-owner", 5_531, 5_681),
            ("up-30000x50-on-5000", 5_531, 5_681),
            ("estimate-51000", 2_595, 2_595),
        ])
    func nodes(workload: String, least: Int, most: Int) throws {
        let result = try #require(DecideBench.run(workload: workload, repetitions: 1))
        #expect(result.unserved == 0)
        #expect((least...most).contains(result.nodes), "\(result.nodes)")
    }

    @Test("All pods get a place where there are four groups")
    func fourGroups() throws {
        #expect(try #require(DecideBench.run(workload: "up-3000x50-4-groups", repetitions: 1)).unserved == 0)
    }

    @Test("Every aim of docs/performance.md is one that the command looks at")
    func aims() throws {
        let path = #filePath.replacing(
            "Tests/UpdraftCommandTests/DecideBenchTests.swift", with: "docs/performance.md")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        var seen: Set<String> = []
        for line in text.split(separator: "\n") {
            guard let row = line.firstMatch(of: /^\| `([a-z0-9-]+)`: [^|]*\|([^|]*)\|([^|]*)\|/) else { continue }
            let name = String(row.1)
            let aim = try #require(DecideBench.aims[name], "\(name)")
            let peer = try #require(aim.peer, "\(name)")
            // `12.6–16.5 s` stands for `12.6 s and cut at …; 16.5 s, …`.
            for figure in peer.split(whereSeparator: { $0 == "–" || $0 == " " }) {
                #expect(row.2.contains(figure), "\(name): \(figure)")
            }
            let most = row.3.firstMatch(of: /≤ ([0-9]+) ms/).flatMap { Double($0.1) }
            #expect(aim.median == most, "\(name)")
            seen.insert(name)
        }
        #expect(seen.count == 8, "\(seen.sorted())")
        for part in ["`incremental-5000`: one", "p99 ≤ 2 ms", "`scalers-1000`", "aim: 20 ms", "(238 MiB)"] {
            #expect(text.contains(part), "\(part)")
        }
        #expect(DecideBench.aims["incremental-5000"]?.p99 == 2 && DecideBench.aims["scalers-1000"]?.median == 20)
        #expect(DecideBench.aims["up-30000x50-on-5000"]?.peak == 238)
        #expect(Set(DecideBench.aims.keys).isSubset(of: DecideBench.workloads))
    }

    @Test("What is above an aim is named, and what is kept too")
    func missed() throws {
        let aim = DecideBench.Aim(median: 10, p99: 20, peak: 100, peer: "7 s")
        var result = DecideBenchResult(
            workload: "w", nodes: 1, unserved: 0, milliseconds: [9, 10, 10, 20], peakMebibytes: 100)
        #expect(aim.missed(by: result).isEmpty)
        #expect(
            DecideCommand.line(result, aim).hasSuffix(
                "(aim: median ≤ 10 ms, p99 ≤ 20 ms, peak ≤ 100 MiB; kept) (cluster-autoscaler 1.30.0: 7 s)"))
        result.milliseconds = [11, 11, 11, 21]
        result.peakMebibytes = 101
        #expect(aim.missed(by: result) == ["median", "p99", "peak"])
        #expect(DecideCommand.line(result, aim).contains("; MISSED: median, p99, peak)"))
        #expect(!DecideCommand.line(result, DecideBench.Aim()).contains("aim"))
    }

    @Test("All nodes that can go are found at once", arguments: [("down-700-300", 300), ("down-2000x40", 1_200)])
    func removable(workload: String, nodes: Int) throws {
        #expect(try #require(DecideBench.run(workload: workload, repetitions: 1)).nodes == nodes)
    }
}
