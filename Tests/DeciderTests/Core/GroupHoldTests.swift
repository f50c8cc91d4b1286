import Messages
import Support
import Testing

@testable import Decider

@Suite("Groups that let no node go")
struct GroupHoldTests {
    /// `held` has one node with a little pod, `free` has another such; each of the pods fits on the other's node.
    private func stage(
        min: Int, _ change: (inout DeciderConfiguration) -> Void = { _ in },
        state: (inout GroupState) -> Void = { _ in }
    ) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "free", min: 0, max: 9), GroupRules(id: "held", min: min, max: 9)]) {
            $0.scaleDown.smallestGroup = 0
            change(&$0)
        }
        // The held group's node would be the cheaper one to empty.
        stage.snapshot(
            nodes: [Stage.node("f"), Stage.node("h")],
            pods: stage.pods("f", 2, Stage.shape(cpu: 500), on: "f")
                + stage.pods("h", 1, Stage.shape(cpu: 500), on: "h"))
        stage.group("free", ["f"])
        var held = Stage.group("held", ["h"], at: stage.now)
        state(&held)
        stage.group(held)
        stage.evaluate()
        return stage
    }

    private func said(_ stage: Stage, _ node: String) -> Explanation? {
        stage.record?.nodes.first { $0.node == node }?.outcome
    }

    @Test("A group at its minimum: its node takes the pods of another's, and its own time does not run")
    func minimum() {
        var free = stage(min: 0)
        #expect(said(free, "h")?.reason == .notUnneededLongEnough)
        free.evaluate(after: .minutes(11))
        #expect(free.removed.flatMap(\.nodes).map(\.node) == ["h"])
        var held = stage(min: 1)
        #expect(said(held, "h") == Explanation(.minimumReached, "size 1, at least 1 (group held.min)"))
        #expect(said(held, "f")?.reason == .notUnneededLongEnough)
        held.evaluate(after: .minutes(11))
        #expect(held.removed.flatMap(\.nodes).map(\.node) == ["f"])
    }

    @Test("Nodes that are on their way out count as gone: the last one is no candidate meanwhile")
    func minimumWhileRemoving() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 1, max: 9)])
        stage.snapshot(nodes: [Stage.node("a"), Stage.node("b")])
        stage.group("w", ["a", "b"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["a"])
        stage.evaluate(after: .seconds(10))
        #expect(said(stage, "b") == Explanation(.minimumReached, "size 1, at least 1 (group w.min)"))
    }

    @Test("A paused group's node takes pods of others; the time of its own nodes begins when the pause ends")
    func paused() {
        var stage = stage(min: 0, state: { $0.paused = true })
        #expect(said(stage, "h")?.reason == .groupPaused)
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["f"])
        // Also while the other's removal goes on.
        stage.group("held", ["h"])
        stage.evaluate(after: .seconds(10))
        stage.evaluate(after: .seconds(10))
        #expect(stage.removed.isEmpty)
    }

    @Test("A problem of the moment stops neither the time of its nodes nor the removal of another's")
    func problem() {
        let problem = Explanation(.heatUnreachable, "no answer")
        var stage = stage(min: 0)
        #expect(said(stage, "h")?.reason == .notUnneededLongEnough)
        stage.now = stage.now + .minutes(6)
        var state = Stage.group("held", ["h"], at: stage.now)
        state.problem = problem
        stage.group(state)
        stage.evaluate(after: .seconds(1))
        #expect(said(stage, "h") == problem)
        #expect(said(stage, "f")?.reason == .notUnneededLongEnough)
        stage.now = stage.now + .seconds(30)
        stage.group("held", ["h"])
        stage.evaluate(after: .seconds(20))
        stage.evaluate(after: .minutes(4))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["h"])
    }

    @Test("A dead node at the minimum is a candidate where Heat replaces it, and none where it does not")
    func dead() {
        for replaces in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 2, max: 9)]) { $0.health.replacesAtMinimum = replaces }
            stage.snapshot(nodes: [Stage.node("a"), Stage.node("b", readiness: .notReady)])
            stage.group("w", ["a", "b"], min: 2)
            stage.evaluate()
            #expect(said(stage, "b")?.reason == (replaces ? .notUnreadyLongEnough : .minimumReached))
            #expect(said(stage, "a")?.reason == .minimumReached)
        }
    }
}
