import Messages
import Support
import Testing

@testable import Decider

@Suite("What is known does not grow with time")
struct LongLifeTests {
    @Test("Jobs bring a shape each: those that nobody has any more are forgotten, and nothing else is")
    func shapes() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let anti = Stage.shape(cpu: 1_500, app: "db") { shape in
            shape.podAntiAffinity = [
                PodAffinityTerm(
                    selector: LabelSelector([Requirement("app", .in, ["db"])]), topologyKey: "kubernetes.io/hostname")
            ]
        }
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: stage.pods("db", 1, anti, on: "n1"))
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        var engine = stage.core.engine
        var most = 0
        for number in 0..<9_000 {
            let shape = Stage.shape(cpu: 100, app: "job-\(number)", owner: "job-\(number)")
            let pod = Pod(
                uid: "job-\(number)", name: "job-\(number)", shape: 10 + number, node: "n2", phase: .running,
                scheduling: .scheduled)
            let delta = ClusterDelta(
                cluster: "test", epoch: "e1", sequence: Int64(number) + 2, takenAt: stage.now,
                shapes: [NumberedShape(id: 10 + number, shape: shape)], pods: [pod],
                removedPods: number < 5 ? [] : ["job-\(number - 5)"])
            let outcome = engine.apply(delta, at: stage.now)
            #expect(outcome == .applied)
            most = max(most, engine.model.catalog.classes.count)
        }
        #expect(most <= 2 * ClusterModel.fewClasses + 100, "\(most) classes")
        // The pods that are there hold their room, and keep away whom they kept away.
        #expect(engine.counts.pods == 6)
        let slot = engine.model.nodeSlots["n2"] ?? 0
        #expect(engine.model.world.free(slot, Catalog.cpu) == 4_000 - 5 * 100)
        let more = Pod(uid: "db-1", name: "db-1", shape: 0, scheduling: .unschedulable)
        _ = engine.apply(
            ClusterDelta(
                cluster: "test", epoch: "e1", sequence: 9_002, takenAt: stage.now,
                shapes: [NumberedShape(id: 0, shape: anti)], pods: [more]), at: stage.now)
        let number = engine.model.podIndex("db-1").flatMap { engine.model.pods[Int($0)]?.podClass } ?? 0
        let podClass = engine.model.catalog.classes[Int(number)]
        #expect(!engine.model.world.canHost(podClass, engine.model.nodeSlots["n1"] ?? 0, engine.model.catalog))
        #expect(engine.model.world.canHost(podClass, slot, engine.model.catalog))
    }

    @Test("A recording's shapes are told once each, and forgotten when nothing has them")
    func recordedShapes() {
        var cluster = RecordedCluster()
        let begins = cluster.apply(
            ClusterSnapshot(
                cluster: "test", epoch: "e", sequence: 1, takenAt: Stage.start,
                shapes: [NumberedShape(id: 0, shape: Stage.shape(cpu: 1))],
                pods: [Pod(uid: "kept", name: "kept", shape: 0)]))
        #expect(begins)
        for (all, expected) in [(false, [0]), (false, []), (true, [0])] {
            let told = cluster.takeShapes(all: all).map(\.id)
            #expect(told == expected)
        }
        for number in 1..<5_000 {
            let step = cluster.apply(
                ClusterDelta(
                    cluster: "test", epoch: "e", sequence: Int64(number) + 1, takenAt: Stage.start,
                    shapes: [NumberedShape(id: number, shape: Stage.shape(cpu: Int64(number)))],
                    pods: [Pod(uid: "p\(number)", name: "p\(number)", shape: number)], removedPods: ["p\(number - 1)"]))
            #expect(step == .changed)
            let told = cluster.takeShapes(all: false).map(\.id)
            #expect(told == [number])
        }
        #expect(cluster.shapes.count <= 1_001)
        #expect(cluster.shapes[0] != nil && cluster.shapes[4_999] != nil)
    }
}
