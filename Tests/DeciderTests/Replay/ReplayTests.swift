import FoundationEssentials
import Messages
import Support
import Testing

@testable import Decider

/// A story as the bus would have carried it, to be replayed.
struct Story {
    var entries: [Recording.Entry] = []
    var now = Stage.start
    private var sequence: Int64 = 1

    mutating func say(_ event: Event) {
        entries.append(Recording.Entry(at: now, event: event))
    }

    mutating func snapshot(nodes: [Node], pods: [Pod], shapes: [PodShape]) {
        say(
            .clusterSnapshot(
                ClusterSnapshot(
                    cluster: "test", epoch: "e1", sequence: sequence, takenAt: now,
                    shapes: shapes.enumerated().map { NumberedShape(id: $0.offset, shape: $0.element) }, nodes: nodes,
                    pods: pods, workloads: [Stage.webOwner])))
    }

    mutating func delta(
        nodes: [Node] = [], removedNodes: [String] = [], pods: [Pod] = [], removedPods: [String] = []
    ) {
        sequence += 1
        say(
            .clusterDelta(
                ClusterDelta(
                    cluster: "test", epoch: "e1", sequence: sequence, takenAt: now, nodes: nodes,
                    removedNodes: removedNodes, pods: pods, removedPods: removedPods)))
    }

    /// The Collector lives; an empty delta repeats the last number.
    mutating func heartbeat() {
        say(.clusterDelta(ClusterDelta(cluster: "test", epoch: "e1", sequence: sequence, takenAt: now)))
    }

    /// Time passes; Collector and Actuator say every five seconds that they live.
    mutating func pass(_ interval: Interval, group: String = "workers", nodes: [String], max: Int = 10) {
        let end = now + interval
        while now < end {
            now = min(end, now + .seconds(5))
            heartbeat()
            say(.groupState(Stage.group(group, nodes, max: max, at: now)))
        }
    }

    func replayed(
        _ configure: (inout DeciderConfiguration) -> Void = { _ in }, model: Replay.Model = Replay.Model()
    ) -> ReplayReport {
        var configuration = DeciderConfiguration(
            cluster: "test", groups: [GroupRules(id: "workers", min: 1, max: 10, origin: "groups[0]")])
        configure(&configuration)
        var replay = Replay(configuration, model)
        for entry in entries { replay.take(entry) }
        return replay.end()
    }
}

@Suite("Replays under changed rules")
struct ReplayTests {
    private static let shapes = [Stage.shape(cpu: 1_000), Stage.shape(cpu: 3_500, app: "busy")]

    private func pod(_ name: String, shape: Int = 0, on node: String? = nil, at time: Timestamp) -> Pod {
        Pod(
            uid: name, name: name, shape: shape, node: node, phase: node == nil ? .pending : .running,
            scheduling: node == nil ? .unschedulable : .scheduled, ready: node != nil, createdAt: time)
    }

    /// One full node; eight pods come and wait, as if the recorded Decider had been off.
    private func load() -> Story {
        var story = Story()
        story.snapshot(
            nodes: [Stage.node("n1")], pods: [pod("busy", shape: 1, on: "n1", at: story.now)], shapes: Self.shapes)
        story.say(.groupState(Stage.group("workers", ["n1"], at: story.now)))
        story.pass(.seconds(30), nodes: ["n1"])
        story.delta(pods: (0..<8).map { pod("web-\($0)", at: story.now) })
        story.pass(.minutes(10), nodes: ["n1"])
        return story
    }

    @Test("What is decided takes effect: nodes come after the provision time and take the pods, once")
    func growth() {
        var model = Replay.Model()
        model.provisionTime = .seconds(60)
        let report = load().replayed({ $0.scaleDown.enabled = false }, model: model)
        #expect(report.scaleUps == 1, "\(report.decisions)")
        #expect(report.nodesAdded == 2)
        #expect(report.peak == 3)
        #expect(report.podsWaited == 8)
        // The engine's window and the provision time.
        #expect(report.longestWait >= .seconds(60) && report.longestWait < .seconds(66), "\(report.longestWait)")
        #expect(report.waitingAtEnd == 0)
        let expected = (630.0 + 2 * 600) / 3_600
        #expect(abs(report.nodeHours - expected) < 0.02, "\(report.nodeHours), expected \(expected)")
    }

    /// What one machine of four cores takes of each quota.
    static let shares: [(GroupState.Quota.Kind, Int64)] = [
        (.instances, 1), (.cores, 4), (.ramMiB, 8_192), (.serverGroupMembers, 1),
    ]

    @Test("What was grown uses up the quotas of the cloud, each by its own measure", arguments: shares)
    func quotas(kind: GroupState.Quota.Kind, each: Int64) {
        var story = Story()
        story.snapshot(
            nodes: [Stage.node("n1")], pods: [pod("busy", shape: 1, on: "n1", at: story.now)], shapes: Self.shapes)
        var state = Stage.group("workers", ["n1"], at: story.now)
        state.flavor = GroupState.Flavor(name: "m1.large", vcpus: 4, ramMiB: 8_192, diskGiB: 40)
        // Room for two machines more, whatever the recorded Decider did.
        state.quotas = [GroupState.Quota(kind, used: each, limit: 3 * each)]
        func pass(_ interval: Interval) {
            let end = story.now + interval
            while story.now < end {
                story.now = min(end, story.now + .seconds(5))
                story.heartbeat()
                state.observedAt = story.now
                story.say(.groupState(state))
            }
        }
        story.say(.groupState(state))
        pass(.seconds(30))
        for round in 0..<3 {
            story.delta(pods: (0..<4).map { pod("web-\(round)-\($0)", at: story.now) })
            pass(.minutes(5))
        }
        let report = story.replayed { $0.scaleDown.enabled = false }
        #expect(report.nodesAdded == 2, "\(report.decisions)")
        #expect(report.waitingAtEnd == 4)
    }

    @Test("A smaller limit costs waiting pods, and fewer node-hours")
    func smallerLimit() {
        let usual = load().replayed { $0.scaleDown.enabled = false }
        let small = load().replayed {
            $0.scaleDown.enabled = false
            $0.groups[0].max = 2
        }
        #expect(small.peak == 2)
        #expect(small.waitingAtEnd == 4)
        #expect(small.nodeHours < usual.nodeHours)
        #expect(small.waited > usual.waited)
    }

    @Test("Nodes that the recorded Decider added are no part of the replay: only its own decisions count")
    func foreignSupply() {
        var story = load()
        // In the recording two nodes came and the pods went there.
        story.say(.groupState(Stage.group("workers", ["n1", "n2", "n3"], at: story.now)))
        story.delta(
            nodes: [Stage.node("n2"), Stage.node("n3")],
            pods: (0..<8).map { pod("web-\($0)", on: $0 < 4 ? "n2" : "n3", at: story.now) })
        story.pass(.minutes(5), nodes: ["n1", "n2", "n3"])
        let frozen = story.replayed {
            $0.scaleDown.enabled = false
            $0.groups[0].max = 1
        }
        #expect(frozen.peak == 1)
        #expect(frozen.waitingAtEnd == 8)
        let usual = story.replayed { $0.scaleDown.enabled = false }
        #expect(usual.peak == 3)
        #expect(usual.nodesAdded == 2)
    }

    /// Three nodes, two of which empty; the recorded Decider removed one after a while.
    private func emptyNodes() -> Story {
        var story = Story()
        let nodes = ["n1", "n2", "n3"].map { Stage.node($0) }
        story.snapshot(nodes: nodes, pods: [pod("busy", shape: 1, on: "n1", at: story.now)], shapes: Self.shapes)
        story.say(.groupState(Stage.group("workers", ["n1", "n2", "n3"], at: story.now)))
        story.pass(.minutes(5), nodes: ["n1", "n2", "n3"])
        var marked = nodes[2]
        marked.taints = [Taint.underRemoval]
        marked.unschedulable = true
        story.delta(nodes: [marked])
        story.pass(.minutes(1), nodes: ["n1", "n2", "n3"])
        story.delta(removedNodes: ["n3"])
        story.pass(.minutes(30), nodes: ["n1", "n2"])
        return story
    }

    @Test("A removal takes its node away after the removal time; rules that forbid removals keep all nodes")
    func removals() {
        let off = emptyNodes().replayed { $0.scaleDown.enabled = false }
        #expect(off.nodesRemoved == 0)
        // The node that the recorded Decider removed stays.
        #expect(off.groups["workers"]?.atEnd == 3)
        let on = emptyNodes().replayed { $0.scaleDown.unneededTime = .minutes(2) }
        #expect(on.nodesRemoved == 2, "\(on.decisions)")
        #expect(on.groups["workers"]?.atEnd == 1)
        let slow = emptyNodes().replayed { $0.scaleDown.unneededTime = .minutes(20) }
        #expect(slow.nodesRemoved == 2, "\(slow.decisions)")
        #expect(on.nodeHours < slow.nodeHours)
        #expect(slow.nodeHours < off.nodeHours)
    }

    @Test("Pods of a removed node move, and count as evicted")
    func evictions() {
        var story = Story()
        story.snapshot(
            nodes: [Stage.node("n1"), Stage.node("n2")],
            pods: [pod("a", on: "n1", at: story.now), pod("b", on: "n2", at: story.now)], shapes: Self.shapes)
        story.say(.groupState(Stage.group("workers", ["n1", "n2"], at: story.now)))
        story.pass(.minutes(30), nodes: ["n1", "n2"])
        let report = story.replayed { $0.scaleDown.unneededTime = .minutes(5) }
        #expect(report.nodesRemoved == 1, "\(report.decisions)")
        #expect(report.evictions == 1)
        #expect(report.waitingAtEnd == 0)
    }

    @Test("A node that fails by itself goes in the replay too")
    func failedNode() {
        var story = Story()
        story.snapshot(
            nodes: [Stage.node("n1"), Stage.node("n2")],
            pods: [pod("a", shape: 1, on: "n1", at: story.now), pod("b", shape: 1, on: "n2", at: story.now)],
            shapes: Self.shapes)
        story.say(.groupState(Stage.group("workers", ["n1", "n2"], at: story.now)))
        story.pass(.minutes(1), nodes: ["n1", "n2"])
        story.delta(removedNodes: ["n2"], removedPods: ["b"])
        story.pass(.minutes(1), nodes: ["n1"])
        #expect(story.replayed().groups["workers"]?.atEnd == 1)
    }

    @Test("The same recording and rules give the same answer")
    func deterministic() {
        #expect(load().replayed() == load().replayed())
    }

    @Test("The recording's own account: node-hours from the groups, waiting pods from the cluster, times as measured")
    func recordedAccount() throws {
        var story = load()
        let progress = ScaleProgress(
            id: "s1", group: "workers", from: 1, to: 3, reason: Explanation(.podsPending), at: story.now)
        story.say(.scaleStarted(ScaleStarted(cluster: "test", scale: progress)))
        story.pass(.seconds(40), nodes: ["n1"])
        for name in ["n2", "n3"] {
            story.say(
                .nodeReady(
                    NodeReady(
                        cluster: "test",
                        arrival: NodeArrival(
                            node: name, nodeUID: name, serverID: name, group: "workers", at: story.now))))
        }
        story.say(.groupState(Stage.group("workers", ["n1", "n2", "n3"], at: story.now)))
        story.delta(pods: (0..<8).map { pod("web-\($0)", on: $0 < 4 ? "n2" : "n3", at: story.now) })
        story.pass(.minutes(1), nodes: ["n1", "n2", "n3"])
        var history = RecordedHistory(groups: ["workers"])
        for entry in story.entries { history.take(entry) }
        #expect(history.provisionTime == .seconds(40))
        #expect(history.hasSnapshot)
        let report = history.end()
        #expect(report.peak == 3)
        #expect(report.podsWaited == 8)
        #expect(report.nodesAdded == 2)
        #expect(report.longestWait == .seconds(640))
    }
}

@Suite("Pod scalers in recordings")
struct RecordedScalerTests {
    @Test("Scalers of a recording are counted once each, from every part and every delta")
    func counted() {
        func scaling(_ names: String...) -> PodScaling {
            PodScaling(scalers: names.map { PodScaler(namespace: "default", name: $0, maximum: 3) })
        }
        var history = RecordedHistory(groups: [])
        let now = Stage.start
        for (part, names) in [scaling("a", "b"), scaling("c")].enumerated() {
            history.take(
                Recording.Entry(
                    at: now,
                    event: .clusterSnapshot(
                        ClusterSnapshot(
                            cluster: "test", epoch: "e", sequence: 1, part: part, parts: 2, takenAt: now,
                            scaling: names))))
        }
        let change = PodScalingChange(changed: scaling("d", "a"), removedScalers: ["default/b"])
        history.take(
            Recording.Entry(
                at: now,
                event: .clusterDelta(
                    ClusterDelta(cluster: "test", epoch: "e", sequence: 2, takenAt: now, scaling: change))))
        #expect(history.podScalers.sorted() == ["a", "b", "c", "d"].map { "default/\($0)" })
    }
}

@Suite("The form of recordings")
struct RecordingTests {
    private let envelope = Envelope(
        messageID: "m1", publisherID: "updraft-collector.h", eventType: EventType.groupState.rawValue, priority: .info,
        timestamp: Stage.start)

    @Test("What is written is read again, and is an oslo notification with one more field")
    func roundTrip() throws {
        let entry = Recording.Entry(
            at: Stage.start + .milliseconds(1_234), event: .groupState(Stage.group("w", ["n"], at: Stage.start)))
        let line = try Recording.line(entry, envelope)
        #expect(!line.contains("\n"))
        #expect(line.contains("\"event_type\":\"updraft.group.state\""))
        #expect(try Recording.entry(Array(line.utf8), number: 2) == entry)
    }

    @Test(
        "Lines that cannot be read are named",
        arguments: ["", "{}", "nothing", "{\"arrived\":\"2026-01-01T00:00:00Z\"}"])
    func broken(line: String) {
        let error = #expect(throws: DeciderError.self) { try Recording.entry(Array(line.utf8), number: 17) }
        #expect(error?.text.contains("line 17") ?? false)
    }

    @Test("A head of a newer form is refused")
    func newer() throws {
        let head = Recording.Head(cluster: "c", startedAt: Stage.start, writer: "w")
        let line = try Recording.line(head)
        #expect(try Recording.head(Array(line.utf8)) == head)
        let newer = line.replacing("\"recording\":1", with: "\"recording\":9")
        let error = #expect(throws: DeciderError.self) { try Recording.head(Array(newer.utf8)) }
        #expect(error?.text.contains("form 9") ?? false)
    }
}
