import Messages
import Support
import Testing

@testable import Decider

@Suite("Who comes first")
struct OrderTests {
    @Test("Of pods that wait the most important gets the room that there is, then the largest")
    func priority() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 1)])
        let low = Stage.shape(cpu: 1_000, app: "low") { $0.priority = 0 }
        let high = Stage.shape(cpu: 900, app: "high") { $0.priority = 100 }
        let pods = stage.pods("full", 3, Stage.shape(cpu: 1_000), on: "n1")
        stage.snapshot(nodes: [Stage.node("n1")], pods: pods + stage.pods("low", 1, low) + stage.pods("high", 1, high))
        stage.group("w", ["n1"], max: 1)
        stage.evaluate()
        let said = Dictionary(
            (stage.record?.pods ?? []).map { ($0.pod, $0.outcome.reason) }, uniquingKeysWith: { first, _ in first })
        #expect(said == ["default/high-0": .fitsExisting, "default/low-0": .maximumReached])
    }

    @Test("A node takes no more pods than it says, however little they ask for")
    func podSlots() {
        for slots in [2, 3] as [Int64] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            var node = Stage.node("n1")
            node.allocatable.pods = slots
            stage.snapshot(
                nodes: [node],
                pods: stage.pods("on", 2, Stage.shape(cpu: 10), on: "n1")
                    + stage.pods("wait", 1, Stage.shape(cpu: 10, app: "wait")))
            stage.group("w", ["n1"])
            stage.evaluate()
            #expect(stage.sizes == (slots == 2 ? ["w": 2] : [:]))
        }
    }

    @Test("A node that turned unready has the unready time from then on, however long it was unneeded before")
    func unreadyTime() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) {
            $0.scaleDown.unneededTime = .minutes(60)
            $0.scaleDown.unreadyTime = .minutes(20)
        }
        let pods = stage.pods("on", 3, Stage.shape(cpu: 1_000), on: "b")
        stage.snapshot(nodes: [Stage.node("a"), Stage.node("b")], pods: pods)
        stage.group("w", ["a", "b"])
        stage.evaluate()
        stage.evaluate(after: .minutes(15))
        var node = Stage.node("a", readiness: .notReady)
        node.readinessChangedAt = stage.now
        stage.delta(nodes: [node])
        stage.evaluate(after: .minutes(10))
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["a"])
    }

    @Test("A node whose time is running keeps its place when another becomes cheaper to empty")
    func keepsPlace() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let small = Stage.shape(cpu: 200, app: "s")
        let pods =
            stage.pods("a", 1, Stage.shape(cpu: 500, app: "a"), on: "a")
            + stage.pods("b", 2, Stage.shape(cpu: 300, app: "b"), on: "b")
            + stage.pods("c", 3, Stage.shape(cpu: 1_000, app: "c"), on: "c")
        stage.snapshot(nodes: ["a", "b", "c"].map { Stage.node($0) }, pods: pods)
        stage.group("w", ["a", "b", "c"])
        stage.evaluate()
        stage.evaluate(after: .minutes(5))
        // There is room for the pods of one of the two.
        stage.delta(pods: stage.pods("more", 2, small, on: "a"))
        stage.evaluate(after: .minutes(1))
        stage.evaluate(after: .minutes(5))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["a"])
    }

    @Test("A node that could not be emptied leaves the room as it was for the next one")
    func afterFailure() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        var cordoned = Stage.node("a")
        cordoned.unschedulable = true
        let plain = Stage.shape(cpu: 400, app: "p")
        let important = Stage.shape(cpu: 400, app: "p") { $0.priority = 10_000_000 }
        // Tried first, as it is cheaper: of its four pods two fit on c and one on b, the last nowhere.
        let pods =
            stage.pods("a", 4, plain, on: "a") + stage.pods("b", 1, important, on: "b")
            + stage.pods("c", 3, Stage.shape(cpu: 1_000, app: "c"), on: "c")
        stage.snapshot(nodes: [cordoned, Stage.node("b", cpu: 1_000), Stage.node("c")], pods: pods)
        stage.group("w", ["a", "b", "c"])
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["b"])
    }
}
