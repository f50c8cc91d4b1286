import Support
import Testing

@testable import Rehearsal

/// One removal, and Actuator or Notifier die just before or just after each of their actions.
@Suite("A process dies at each action")
struct CrashTests {
    /// Three nodes, of which one is not needed; its pods have a hook, a gate, or neither.
    static var story: Scenario {
        var scenario = Scenario(seed: 7, kind: .idle)
        scenario.nodes = 3
        scenario.faultsEnd = .seconds(150)
        scenario.crashes = 1
        scenario.workloads = [
            WorkloadPlan(name: "web", replicas: 2, cpu: 600, temper: .done, hasGate: true),
            WorkloadPlan(name: "db", kind: "StatefulSet", replicas: 2, cpu: 700, temper: .doneOnBus(2)),
            WorkloadPlan(name: "job", replicas: 1, cpu: 300),
        ]
        return scenario
    }

    /// The same where the stack holds each deletion until its hook is cleared.
    static var heldStory: Scenario {
        var scenario = story
        scenario.hasDeleteHook = true
        return scenario
    }

    /// The same where Heat refuses the lower size at first: the mark is taken back, and the node returns.
    static var refusedStory: Scenario {
        var scenario = story
        scenario.refusesShrinkUntil = .seconds(60)
        return scenario
    }

    /// The same where somebody takes the removal back while the pods have their cooldown; it is decided again later.
    static var cancelledStory: Scenario {
        var scenario = story
        scenario.script = [(.seconds(21.5), .operatorCancels)]
        return scenario
    }

    /// The node that is not needed has an only pod, which gets a second one before it goes.
    static var surgedStory: Scenario {
        var scenario = story
        scenario.surgeTimeout = .seconds(40)
        scenario.workloads = [
            WorkloadPlan(name: "web", replicas: 2, cpu: 1_100, temper: .done, hasGate: true),
            WorkloadPlan(name: "only", replicas: 1, cpu: 700, temper: .done),
        ]
        return scenario
    }

    @Test(
        "The end is the same, each Heat call is made once in effect, and each pod was told",
        arguments: [("plain", story), ("held by a hook", heldStory)])
    func everyAction(_ name: String, _ scenario: Scenario) throws {
        let undisturbed = Rehearsal(scenario).run()
        #expect(undisturbed.violation == nil)
        #expect(undisturbed.resizes == 1 && undisturbed.marks == 1 && undisturbed.unmarks == 0)
        #expect(undisturbed.hooks == (scenario.hasDeleteHook ? 1 : 0))
        #expect(undisturbed.evictions > 0 && undisturbed.toldEvictions == undisturbed.evictions)
        play(scenario, undisturbed) {
            $0.violation == nil && $0.end == undisturbed.end && $0.resizes == 1 && $0.marks == 1 && $0.unmarks == 0
                && $0.hooks == undisturbed.hooks && $0.evictions == undisturbed.evictions
                && $0.toldEvictions == $0.evictions
        }
    }

    @Test("A removal that Heat refuses: every mark is taken back, and the node returns")
    func refused() {
        let outcome = Rehearsal(Self.refusedStory).run()
        #expect(outcome.violation == nil)
        #expect(outcome.unmarks >= 1 && outcome.marks == outcome.unmarks + outcome.resizes)
        #expect(outcome.evictions > 0 && outcome.toldEvictions == outcome.evictions)
        #expect(!outcome.end.contains("_FAILED"), "\(outcome.end)")
        playOn(Self.refusedStory, outcome)
    }

    @Test(
        "Taken back, or with a second pod for a while: all serve in the end, and each pod was told",
        arguments: [
            ("taken back", cancelledStory, "updraft.removal.cancelled"),
            ("with a second pod", surgedStory, "only gets 2 replicas"),
        ])
    func others(_ name: String, _ scenario: Scenario, _ sign: String) {
        var rehearsal = Rehearsal(scenario)
        rehearsal.options.keepsStory = true
        let outcome = rehearsal.run()
        #expect(outcome.violation == nil)
        #expect(outcome.toldEvictions == outcome.evictions)
        #expect(outcome.story.contains { $0.contains(sign) }, "\(outcome.story.joined(separator: "\n"))")
        playOn(scenario, outcome)
    }

    /// When a process dies decides how often such a removal is tried, and whether it has come to its end when the story has; but
    /// each mark led to a size or was taken back, no member failed, and each workload has the pods that it shall have.
    private func playOn(_ scenario: Scenario, _ undisturbed: Rehearsal.Outcome) {
        play(scenario, undisturbed) {
            $0.violation == nil && $0.marks == $0.unmarks + $0.resizes && $0.toldEvictions == $0.evictions
                && !$0.end.contains("_FAILED") && pods($0) == pods(undisturbed)
        }
    }

    private func pods(_ outcome: Rehearsal.Outcome) -> Substring? {
        outcome.end.firstRange(of: "; pods ").map { outcome.end[$0.upperBound...] }
    }

    /// Plays the story with a crash before and after each of its actions.
    private func play(
        _ scenario: Scenario, _ undisturbed: Rehearsal.Outcome, _ isAsExpected: (Rehearsal.Outcome) -> Bool
    ) {
        for action in 1...undisturbed.actions {
            for isAfter in [false, true] {
                var rehearsal = Rehearsal(scenario)
                rehearsal.options.crash = CrashPoint(action: action, isAfter: isAfter)
                var outcome = rehearsal.run()
                if isAsExpected(outcome) { continue }
                rehearsal.options.keepsStory = true
                outcome = rehearsal.run()
                Issue.record(
                    """
                    crash \(isAfter ? "after" : "before") action \(action): \(outcome.resizes) resizes, \
                    \(outcome.marks) marks, \(outcome.unmarks) taken back, \(outcome.hooks) hooks cleared, \
                    \(outcome.evictions) evictions, \(outcome.toldEvictions) of them told; \
                    \(outcome.end), expected \(undisturbed.end); \(outcome.violation?.detail ?? "")
                    \(outcome.story.filter { !$0.contains("cluster.delta") && !$0.contains("nothing to do") }.joined(separator: "\n"))
                    """)
                return
            }
        }
    }
}
