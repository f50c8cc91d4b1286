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

    @Test("The end is the same, Heat is called once in effect, and each pod was told")
    func everyAction() throws {
        let undisturbed = Rehearsal(Self.story).run()
        #expect(undisturbed.violation == nil)
        #expect(undisturbed.resizes == 1)
        #expect(undisturbed.evictions > 0)
        for action in 1...undisturbed.actions {
            for isAfter in [false, true] {
                var rehearsal = Rehearsal(Self.story)
                rehearsal.options.crash = CrashPoint(action: action, isAfter: isAfter)
                var outcome = rehearsal.run()
                let asExpected =
                    outcome.violation == nil && outcome.end == undisturbed.end && outcome.resizes == 1
                    && outcome.evictions == undisturbed.evictions
                if asExpected { continue }
                rehearsal.options.keepsStory = true
                outcome = rehearsal.run()
                Issue.record(
                    """
                    crash \(isAfter ? "after" : "before") action \(action): \(outcome.resizes) resizes, \
                    \(outcome.evictions) evictions, \(outcome.end), expected \(undisturbed.end)
                    \(outcome.story.filter { !$0.contains("cluster.delta") && !$0.contains("nothing to do") }.joined(separator: "\n"))
                    """)
                return
            }
        }
    }
}
