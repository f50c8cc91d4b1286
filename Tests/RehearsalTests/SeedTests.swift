import Support
import TestServer
import Testing

@testable import Rehearsal

@Suite("Rehearsals of seeds")
struct SeedTests {
    @Test("The same seed gives the same story, to the letter")
    func sameStory() {
        for seed in [UInt64(4), 29, 2_026] {
            var rehearsal = Rehearsal(seed: seed)
            rehearsal.options.keepsStory = true
            let first = rehearsal.run()
            let second = rehearsal.run()
            #expect(first.story.count > 50)
            #expect(first.story == second.story)
            #expect(first.end == second.end)
        }
    }

    @Test("A run that keeps no story goes the same way as one that does")
    func quietRun() {
        for seed in UInt64(0)..<10 {
            var rehearsal = Rehearsal(seed: seed)
            let quiet = rehearsal.run()
            rehearsal.options.keepsStory = true
            let told = rehearsal.run()
            #expect(quiet.story.isEmpty)
            #expect(quiet.steps == told.steps && quiet.simulated == told.simulated && quiet.end == told.end)
        }
    }

    /// A process has a hash seed of its own, so whatever depends on the order of a dictionary differs from one to the
    /// next.
    @Test("The same seed gives the same story in two processes")
    func sameStoryElsewhere() throws {
        let arguments = ["rehearse", "--seed", "9", "--runs", "12", "--tasks", "1", "--verbose"]
        let first = try Program.output("updraft", arguments)
        let second = try Program.output("updraft", arguments)
        #expect(first.count > 1_000)
        #expect(first.dropLast() == second.dropLast())
    }

    @Test("Different seeds give different stories")
    func differentStories() {
        let lengths = Set((UInt64(0)..<20).map { Rehearsal(seed: $0).run().steps })
        #expect(lengths.count > 15)
    }

    /// A member that took too long for Heat, a server deleted in Nova, and a budget that is full because a pod is pending: an
    /// update would take the kept pods, so the pending one got its node only when Heat's doubt was taken back.
    @Test("A failed member whose node works and is kept by a budget stops its group not for ever")
    func keptByBudget() {
        var rehearsal = Rehearsal(seed: 7_313)
        rehearsal.options.keepsStory = true
        let outcome = rehearsal.run()
        #expect(outcome.violation == nil, "\(outcome.story.suffix(20).joined(separator: "\n"))")
        #expect(outcome.story.last?.contains("all is well") == true, "\(outcome.story.last ?? "")")
    }

    @Test("The generator gives the numbers that its authors give")
    func generator() {
        // From the reference implementation (Vigna, splitmix64.c) with seed 1234567.
        var generator = SplitMix64(seed: 1_234_567)
        let numbers = (0..<5).map { _ in generator.next() }
        #expect(
            numbers == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
                4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
            ])
    }
}

@Suite("Many seeds")
struct ManySeedsTests {
    /// `updraft rehearse` plays as many as one has time for.
    @Test("Whatever fails, pods are told before they go, only chosen machines go, and all comes to rest")
    func manySeeds() async {
        let outcomes = await withTaskGroup(of: [Rehearsal.Outcome].self) { group in
            for part in UInt64(0)..<4 {
                group.addTask { (part * 75..<(part + 1) * 75).map { Rehearsal(seed: $0).run() } }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for outcome in outcomes {
            guard let violation = outcome.violation else { continue }
            var again = Rehearsal(seed: outcome.seed)
            again.options.keepsStory = true
            let story = again.run().story.filter { !$0.contains("cluster.delta") && !$0.contains("nothing to do") }
            Issue.record(
                """
                seed \(outcome.seed): \(violation.invariant.rawValue): \(violation.detail); \
                updraft rehearse --seed \(outcome.seed) --verbose
                \(story.suffix(150).joined(separator: "\n"))
                """)
        }
        // Stories in which nothing happens would show nothing.
        #expect(Set(outcomes.map(\.kind)) == Set(ScenarioKind.allCases))
        #expect(outcomes.reduce(0) { $0 + $1.evictions } > 100)
        #expect(outcomes.reduce(0) { $0 + $1.resizes } > 100)
        #expect(outcomes.reduce(0) { $0 + $1.faults } > 1_000)
    }
}
