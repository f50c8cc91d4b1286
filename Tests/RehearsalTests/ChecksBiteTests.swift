import Testing

@testable import Rehearsal

/// Each rule is broken on purpose: if its invariant did not notice, it would show nothing when all is well.
@Suite("The checks bite")
struct ChecksBiteTests {
    static let rules: [(Sabotage, Invariant)] = [
        (.evictsUntold, .noPodKilledUntold), (.removesUnchosen, .onlyChosenMembersRemoved),
        (.exceedsMaximum, .sizeWithinLimits), (.appliesTwice, .decisionAppliedOnce),
        (.leavesCordon, .noCordonLeftBehind), (.deletesNodeEarly, .noNodeDeletedAlive),
        (.forgetsDecisions, .nothingPendingForEver), (.hurriesPods, .noPodKilledUntold),
        (.forgetsRefusals, .refusalStands), (.ignoresCancellations, .cancelledStays),
        (.keepsSurges, .nothingPendingForEver),
    ]

    @Test("A rule broken on purpose is noticed", arguments: rules)
    func noticed(_ sabotage: Sabotage, _ invariant: Invariant) throws {
        var seen: [Invariant] = []
        for seed in UInt64(0)..<60 {
            var rehearsal = Rehearsal(seed: seed)
            rehearsal.options.sabotage = sabotage
            rehearsal.options.keepsStory = true
            let outcome = rehearsal.run()
            guard let violation = outcome.violation else { continue }
            seen.append(violation.invariant)
            guard violation.invariant == invariant else { continue }
            // The story ends with what was broken.
            let last = try #require(outcome.story.last)
            #expect(last.contains("VIOLATION") && last.contains(invariant.rawValue) && last.contains(violation.detail))
            return
        }
        Issue.record("\(sabotage) was not noticed as \(invariant) in 60 seeds, but \(seen)")
    }

    @Test("Every invariant has a rule that breaks it")
    func all() {
        #expect(Set(Self.rules.map(\.1)) == Set(Invariant.allCases))
        #expect(Set(Self.rules.map(\.0)) == Set(Sabotage.allCases))
    }
}
