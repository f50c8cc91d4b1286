import Testing

@testable import UpdraftCommand

@Suite("Aims of benchmarks")
struct BenchAimTests {
    static func row(_ value: Double, _ aim: String) -> BenchCommand.Row {
        BenchCommand.Row(name: "end of a cooldown after its deadline, worst", value: value, unit: "ms", aim: aim)
    }

    @Test("what an aim says is held to, at its limit too; a row without one is never missed")
    func aims() {
        #expect(!Self.row(999.9, "< 1000").isMissed)
        #expect(Self.row(1_000, "< 1000").isMissed)
        #expect(Self.row(.nan, "< 1000").isMissed)
        #expect(!Self.row(16, "≤ 16").isMissed)
        #expect(Self.row(16.1, "≤ 16").isMissed)
        #expect(!Self.row(500, "≥ 500").isMissed)
        #expect(Self.row(499, "≥ 500").isMissed)
        #expect(!Self.row(1e9, "").isMissed)
    }

    @Test("a missed aim is a failure only where it was asked for")
    func status() {
        let rows = [Self.row(12, "< 1000"), Self.row(1_200, "< 1000"), Self.row(5, "")]
        #expect(BenchCommand.status(rows, checks: false) == 0)
        #expect(BenchCommand.status(rows, checks: true) == 1)
        #expect(BenchCommand.status([rows[0], rows[2]], checks: true) == 0)
    }

    @Test("the removal of many nodes names its aim, and the worst end of a cooldown is what is held to it")
    func removal() {
        for (worst, status) in [(0.2, Int32(0)), (1.2, 1)] {
            let usage = ProcessUsage(cpu: 1, memory: 1)
            let result = RemovalBenchResult(
                nodes: 2, atOnce: 2, pods: 3, late: [0.1, worst], answered: 0, cordoned: 1, drained: 2, gone: 3,
                notifier: usage, actuator: usage)
            #expect(BenchCommand.status(BenchCommand.removal(result), checks: true) == status)
            // None that ended by time: nothing was shown.
            var unshown = result
            unshown.late = []
            #expect(BenchCommand.status(BenchCommand.removal(unshown), checks: true) == 1)
        }
    }
}
