import Messages
import Support
import Testing

@testable import Decider

@Suite("What the model knows of the records of removals on nodes")
struct RemovalBriefTests {
    private let record = RemovalRecord(
        id: "r", group: "w", nodeUID: "uid-n1", serverID: "server-n1", member: "n1", memberID: "n1",
        decidedAt: Stage.start, startedAt: Stage.start, deadline: Stage.start + .minutes(5),
        reason: Explanation(.nodeUnneeded))

    private func over() throws -> String {
        try record.applying(.cancelled(Explanation(.loadReturned)), at: Stage.start).text()
    }

    private func node(_ text: String?, taints: [Taint] = []) -> Node {
        var node = Stage.node("n1", taints: taints)
        node.annotations[RemovalNames.record] = text
        return node
    }

    @Test(
        "A node follows its record: closed while that runs or cannot be read, open and without a cordon when it is over"
    )
    func followed() throws {
        let running = try record.text()
        let later = try record.applying(.noticed(until: Stage.start + .minutes(5)), at: Stage.start).text()
        let over = try over()
        let steps: [(text: String?, isUnderRemoval: Bool)] = [
            (nil, false), (running, true), (later, true), (over, false), ("{}", true), (over, false), ("", true),
            (running, true), (over, false), (nil, false),
        ]
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 5)])
        stage.snapshot(nodes: [Stage.node("n1")])
        stage.group("w", ["n1"])
        for (text, isUnderRemoval) in steps {
            stage.delta(nodes: [node(text, taints: [.cordon])])
            stage.evaluate(after: .seconds(1))
            let model = stage.core.engine.model
            let slot = try #require(model.nodeSlots["n1"])
            #expect(model.briefs[slot].isUnderRemoval == isUnderRemoval, "\(text ?? "none")")
            #expect(model.briefs[slot].isLeaving == isUnderRemoval, "\(text ?? "none")")
            #expect(model.world.isOpen[slot] == !isUnderRemoval, "\(text ?? "none")")
            let taints = model.catalog.nodeClasses[Int(model.world.nodeClass[slot])].taints
            let lasting: [Taint] = text == over ? [] : [.cordon]
            #expect(taints == lasting, "\(text ?? "none")")
        }
    }

    @Test("The Actuator's taint tells of a removal whatever the record says, and without one")
    func tainted() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 5)])
        let texts: [String?] = [nil, try over(), try record.text(), "{}"]
        for text in texts {
            stage.snapshot(nodes: [node(text, taints: [.underRemoval])])
            let model = stage.core.engine.model
            let slot = try #require(model.nodeSlots["n1"])
            #expect(model.briefs[slot].isUnderRemoval && !model.world.isOpen[slot], "\(text ?? "none")")
        }
    }

    @Test("What a record says stays known when its node changes otherwise, or is told again, and goes with the record")
    func kept() throws {
        var raised = record
        raised.drain = .init(surges: [
            .init(
                apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: "web", from: 1, to: 2,
                podUID: "web-0", since: Stage.start)
        ])
        let before = node(try raised.text())
        var unready = before
        unready.readiness = .notReady
        var labelled = unready
        labelled.labels["tier"] = "front"
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 5)])
        func succeeded() throws -> Set<String> {
            let engine = stage.core.engine
            let slot = try #require(engine.model.nodeSlots["n1"])
            #expect(engine.model.briefs[slot].isUnderRemoval == (engine.model.nodes[slot]?.removal != nil))
            return engine.succeeded(on: slot)
        }
        stage.snapshot(nodes: [before])
        #expect(try succeeded() == ["web-0"])
        for node in [unready, labelled] {
            stage.delta(nodes: [node])
            #expect(try succeeded() == ["web-0"])
        }
        stage.snapshot(nodes: [labelled])
        #expect(try succeeded() == ["web-0"])
        stage.delta(nodes: [node("{}")])
        #expect(try succeeded() == [])
        // Another Node of the name.
        stage.delta(nodes: [before])
        stage.delta(removedNodes: ["n1"])
        stage.delta(nodes: [node(nil)])
        #expect(try succeeded() == [])
        stage.snapshot(nodes: [before])
        #expect(try succeeded() == ["web-0"])
        stage.snapshot(nodes: [node(nil)])
        #expect(try succeeded() == [])
    }

    @Test("Pods that leave a node under removal are missed until their owner has replaced them, as its record says")
    func evicted() throws {
        let cases: [(text: String?, count: Int)] = [(nil, 0), (try record.text(), 1), (try over(), 0), ("{}", 1)]
        for (text, count) in cases {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 5)])
            stage.snapshot(nodes: [Stage.node("n1")], pods: stage.pods("web", 1, Stage.shape(cpu: 100), on: "n1"))
            stage.delta(nodes: [node(text)])
            stage.delta(removedPods: ["web-0"])
            #expect(stage.core.engine.model.evicted.count == count, "\(text ?? "none")")
        }
    }
}
