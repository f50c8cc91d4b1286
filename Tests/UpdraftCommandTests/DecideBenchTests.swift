import Testing

@testable import UpdraftCommand

/// What the workloads of docs/performance.md come to, whatever time they take.
@Suite("Node counts of the decision engine's workloads")
struct DecideBenchTests {
    /// Least: what the pods' cpu needs. Most: the answer of cluster-autoscaler 1.30.0 where it was not cut short.
    @Test(
        "All pods get a place, on no fewer nodes than they need and no more than the peer's answer",
        arguments: [
            ("up-3000x50", 554, 568), ("up-3000x50-anti-affinity", 554, 588), ("up-3000x50-spread", 554, 589),
            ("up-30000x50", 5_531, 5_681), ("up-30000x50-no-owner", 5_531, 5_681),
            ("up-30000x50-on-5000", 5_531, 5_681),
            ("estimate-51000", 2_595, 2_595),
        ])
    func nodes(workload: String, least: Int, most: Int) throws {
        let result = try #require(DecideBench.run(workload: workload, repetitions: 1))
        #expect(result.unserved == 0)
        #expect((least...most).contains(result.nodes), "\(result.nodes)")
    }

    @Test("All nodes that can go are found at once", arguments: [("down-700-300", 300), ("down-2000x40", 1_200)])
    func removable(workload: String, nodes: Int) throws {
        #expect(try #require(DecideBench.run(workload: workload, repetitions: 1)).nodes == nodes)
    }
}
