import Collector
import Messages
import Support
import Testing

/// A core with its conversation: times in seconds since the start.
struct Talk {
    var core: CollectorCore

    init(batch: Interval = .milliseconds(20)) {
        core = CollectorCore(.init(cluster: "test", replica: "r1", batchWindow: batch))
    }

    static func at(_ seconds: Double) -> Timestamp { Timestamp(seconds: 1_000) + .seconds(seconds) }

    mutating func say(_ seconds: Double, _ events: CollectorEvent...) -> [CollectorAction] {
        events.flatMap { core.handle($0, at: Talk.at(seconds)) }
    }

    /// All kinds listed, with these objects, without this replica being active.
    mutating func sync(
        _ objects: [(ObservedKind, ObservedObject)] = [], but unlisted: ObservedKind? = nil, at seconds: Double = 0
    ) -> [CollectorAction] {
        var actions: [CollectorAction] = []
        for kind in ObservedKind.allCases where kind != unlisted {
            let own = objects.filter { $0.0 == kind }.map(\.1)
            actions += say(seconds, .listing(kind), .observed(kind, own), .listed(kind))
        }
        return actions
    }

    /// Synced and active, the first snapshot published.
    static func running(_ objects: [(ObservedKind, ObservedObject)] = []) -> Talk {
        var talk = Talk()
        _ = talk.sync(objects)
        _ = talk.say(0, .probed)
        _ = talk.say(0, .published(ok: true))
        return talk
    }
}

func node(_ name: String, cpu: Int64 = 4_000) -> ObservedObject {
    .node(Node(name: name, allocatable: ResourceList(cpuMillis: cpu, memoryBytes: 8 << 30, pods: 110)))
}

func pod(_ uid: String, app: String = "web", node: String? = nil) -> ObservedObject {
    .pod(Pod(uid: uid, name: "p-\(uid)", shape: 0, node: node), PodShape(labels: ["app": app]))
}

extension [CollectorAction] {
    var snapshots: [[ClusterSnapshot]] {
        compactMap { if case .publishSnapshot(let parts) = $0 { parts.map(\.self) } else { nil } }
    }

    var deltas: [ClusterDelta] {
        compactMap { if case .publishDelta(let delta) = $0 { delta } else { nil } }
    }
}

@Suite("The Collector's core as a conversation")
struct CoreTests {
    @Test("listed and asked: a snapshot; before that nothing")
    func start() throws {
        var talk = Talk()
        #expect(talk.say(0, .probed) == [.activated(epoch: "r1-1000000000")])
        #expect(talk.core.notReady?.contains("pods: not listed yet") == true)
        var actions = talk.sync([(.nodes, node("n1")), (.pods, pod("a", node: "n1")), (.pods, pod("b"))], at: 1)
        // What comes together with the end of the list belongs to it.
        #expect(actions.isEmpty)
        #expect(talk.core.wakeAt == Talk.at(1.02))
        actions = talk.say(1.02, .ticked)
        #expect(actions.count == 1)
        let parts = try #require(actions.snapshots.first)
        #expect(parts.count == 1)
        #expect(parts[0].epoch == "r1-1000000000")
        #expect(parts[0].sequence == 0)
        #expect(parts[0].nodes.map(\.name) == ["n1"])
        #expect(Set(parts[0].pods.map(\.uid)) == ["a", "b"])
        #expect(parts[0].shapes.count == 1)
        #expect(Set(parts[0].pods.map(\.shape)) == [parts[0].shapes[0].id])
        #expect(talk.core.notReady == nil)
        actions = talk.say(1.1, .published(ok: true))
        #expect(actions.isEmpty)
    }

    @Test("a replica that nothing reaches publishes nothing, and remembers no changes")
    func standby() throws {
        var talk = Talk()
        #expect(talk.sync([(.nodes, node("n1"))]).isEmpty)
        #expect(talk.say(1, .observed(.nodes, [node("n2")])).isEmpty)
        #expect(talk.core.wakeAt == nil)
        let actions = talk.say(60, .probed)
        #expect(actions.first == .activated(epoch: "r1-1060000000"))
        #expect(try #require(actions.snapshots.first)[0].nodes.count == 2)
    }

    @Test("changes within the window go into one delta; sequences count up")
    func deltas() throws {
        var talk = Talk.running([(.nodes, node("n1"))])
        #expect(talk.say(1.000, .observed(.pods, [pod("a")])).isEmpty)
        #expect(talk.core.wakeAt == Talk.at(1.020))
        #expect(talk.say(1.010, .observed(.pods, [pod("b"), pod("c", app: "db")])).isEmpty)
        let first = try #require(talk.say(1.020, .ticked).deltas.first)
        #expect(first.sequence == 1)
        #expect(Set(first.pods.map(\.uid)) == ["a", "b", "c"])
        #expect(first.shapes.count == 2)
        // While it is being published changes gather, however long that takes.
        #expect(talk.say(1.5, .gone(.pods, key: "a"), .observed(.pods, [pod("d")])).isEmpty)
        let second = try #require(talk.say(1.6, .published(ok: true)).deltas.first)
        #expect(second.sequence == 2)
        #expect(second.removedPods == ["a"])
        #expect(second.pods.map(\.uid) == ["d"])
        // Its shape is known already.
        #expect(second.shapes.isEmpty)
    }

    @Test("an object told again unchanged is no change")
    func unchanged() {
        var talk = Talk.running([(.nodes, node("n1")), (.pods, pod("a"))])
        #expect(talk.say(1, .observed(.nodes, [node("n1")]), .observed(.pods, [pod("a")])).isEmpty)
        #expect(talk.say(2, .ticked).isEmpty)
    }

    @Test("a relist yields the true differences only")
    func relist() throws {
        var talk = Talk.running([(.pods, pod("a")), (.pods, pod("b")), (.pods, pod("c"))])
        let actions = talk.say(
            1, .listing(.pods), .observed(.pods, [pod("a")]), .observed(.pods, [pod("c", node: "n1"), pod("d")]),
            .listed(.pods))
        #expect(actions.isEmpty)
        let delta = try #require(talk.say(1.1, .ticked).deltas.first)
        #expect(delta.removedPods == ["b"])
        #expect(Set(delta.pods.map(\.uid)) == ["c", "d"])
    }

    @Test("nothing happens: an empty delta with the last sequence says that the Collector lives")
    func heartbeat() throws {
        var talk = Talk.running()
        #expect(talk.say(4, .probed, .ticked).isEmpty)
        let delta = try #require(talk.say(5, .ticked).deltas.first)
        #expect(delta.isEmpty)
        #expect(delta.sequence == 0)
    }

    @Test("a watch that fails for long: no more heartbeats, until it works again")
    func stale() throws {
        var talk = Talk.running()
        _ = talk.say(1, .failed(.pods, reason: "refused"))
        #expect(talk.core.notReady == "pods: refused")
        #expect(talk.say(5, .probed).deltas.count == 1)
        _ = talk.say(5, .published(ok: true))
        _ = talk.say(20, .probed, .published(ok: true))
        var said = 0
        for second in stride(from: 21.0, through: 60, by: 1) {
            let actions = talk.say(second, .probed, .failed(.pods, reason: "still refused"))
            if second >= 31 { said += actions.deltas.count }
            if !actions.isEmpty { _ = talk.say(second, .published(ok: true)) }
        }
        #expect(said == 0)
        let actions = talk.say(61, .watching(.pods)) + talk.say(66, .probed)
        #expect(talk.core.notReady == nil)
        #expect(actions.deltas.map(\.isEmpty) == [true])
    }

    @Test("a kind without which a decision could do harm holds everything back; others do not")
    func required() {
        var talk = Talk()
        _ = talk.say(0, .probed)
        var actions: [CollectorAction] = []
        for kind in ObservedKind.allCases where kind != .budgets {
            let event = kind.isRequired ? CollectorEvent.listed(kind) : .failed(kind, reason: "forbidden")
            actions += talk.say(1, event)
        }
        #expect(actions.isEmpty)
        _ = talk.say(2, .failed(.budgets, reason: "GET …: 403: cannot list resource"))
        #expect(talk.core.notReady == "budgets: GET …: 403: cannot list resource")
        #expect(talk.say(3, .absent(.budgets)).snapshots.count == 1)
    }

    @Test("readers that ask get a snapshot, many at once get one")
    func requests() throws {
        var talk = Talk.running([(.pods, pod("a"))])
        #expect(talk.say(0.5, .snapshotRequested(why: "gap"), .snapshotRequested(why: "gap")).isEmpty)
        #expect(talk.core.wakeAt == Talk.at(1))
        // Those who did not ask do not wait for it.
        _ = talk.say(0.6, .observed(.pods, [pod("b")]))
        #expect(talk.core.wakeAt == Talk.at(0.62))
        #expect(talk.say(0.62, .ticked).deltas.first?.pods.map(\.uid) == ["b"])
        _ = talk.say(0.63, .published(ok: true))
        let parts = try #require(talk.say(1, .ticked).snapshots.first)
        #expect(parts[0].sequence == 1)
        #expect(parts[0].pods.count == 2)
        _ = talk.say(1.1, .published(ok: true))
        // What the snapshot said is not said again.
        #expect(talk.say(1.2, .ticked).isEmpty)
        #expect(talk.say(5, .snapshotRequested(why: "started")).snapshots.count == 1)
    }

    @Test(
        "a burst around the first snapshots is not cut in two: neither by the list's end nor by a snapshot that is due")
    func burstAtTheStart() throws {
        var talk = Talk()
        _ = talk.say(0, .probed)
        // The list holds the first pod of a burst, the watch brings the rest while it goes on.
        _ = talk.sync([(.nodes, node("n1")), (.pods, pod("0"))], at: 1)
        for number in 1...8 {
            let time = 1 + Double(number) * 0.003
            #expect(talk.say(time, .observed(.pods, [pod("\(number)")])).isEmpty)
        }
        let wake = try #require(talk.core.wakeAt)
        #expect(wake > Talk.at(1.028) && wake < Talk.at(1.030))
        #expect(try #require(talk.say(1.030, .ticked).snapshots.first)[0].pods.count == 9)
        _ = talk.say(1.031, .published(ok: true))
        // The Decider asked at its start; its snapshot falls due in the middle of the next burst.
        _ = talk.say(1.5, .snapshotRequested(why: "the Decider started"))
        var published: [Int] = []
        for number in 9...18 {
            let time = 2.015 + Double(number - 8) * 0.002
            let actions = talk.say(time, .observed(.pods, [pod("\(number)")]), .ticked)
            published += actions.snapshots.map { $0[0].pods.count } + actions.deltas.map { $0.pods.count }
        }
        #expect(published == [])
        let due = try #require(talk.core.wakeAt)
        #expect(due <= Talk.at(2.045))
        #expect(try #require(talk.say(2.045, .ticked).snapshots.first)[0].pods.count == 19)
    }

    @Test("a single change waits for the window and no longer, also while a snapshot waits for its distance")
    func singleChange() throws {
        var talk = Talk.running([(.nodes, node("n1"))])
        _ = talk.say(0.1, .snapshotRequested(why: "gap"))
        _ = talk.say(0.2, .observed(.pods, [pod("a")]))
        #expect(talk.core.wakeAt == Talk.at(0.22))
        #expect(talk.say(0.22, .ticked).deltas.count == 1)
    }

    @Test("what could not be published is made good by a snapshot")
    func lost() throws {
        var talk = Talk.running()
        _ = talk.say(1, .observed(.pods, [pod("a")]))
        #expect(talk.say(1.1, .ticked).deltas.count == 1)
        let parts = try #require(talk.say(3, .published(ok: false)).snapshots.first)
        #expect(parts[0].sequence == 1)
        #expect(parts[0].pods.map(\.uid) == ["a"])
    }

    @Test("replaced: after a lease without a word it stands down; later it comes back with a new epoch")
    func standingDown() throws {
        var talk = Talk.running([(.pods, pod("a"))])
        _ = talk.say(4.9, .probed)
        var actions = talk.say(9.9, .ticked)
        guard case .stoodDown = try #require(actions.first) else {
            Issue.record("\(actions)")
            return
        }
        #expect(talk.say(20, .observed(.pods, [pod("b")]), .ticked).isEmpty)
        actions = talk.say(30, .probed)
        #expect(actions.first == .activated(epoch: "r1-1030000000"))
        #expect(try #require(actions.snapshots.first)[0].sequence == 0)
    }

    @Test("a snapshot comes by itself after its interval")
    func interval() {
        var talk = Talk.running()
        var snapshots = 0
        for second in stride(from: 1.0, through: 301, by: 1) {
            let actions = talk.say(second, .probed)
            snapshots += actions.snapshots.count
            if !actions.isEmpty { _ = talk.say(second, .published(ok: true)) }
        }
        #expect(snapshots == 1)
    }

    @Test("a large cluster goes out in parts; each part's pods find their shapes in it or before it")
    func parts() throws {
        let pods = (0..<12_000).map { index in (ObservedKind.pods, pod("\(index)", app: "app-\(index % 3_000)")) }
        var talk = Talk()
        _ = talk.sync(pods)
        let parts = try #require(talk.say(1, .probed).snapshots.first)
        #expect(parts.count > 2)
        #expect(parts.map(\.part) == Array(0..<parts.count))
        #expect(parts.allSatisfy { $0.parts == parts.count })
        var known: Set<Int> = []
        for part in parts {
            known.formUnion(part.shapes.map(\.id))
            #expect(part.pods.allSatisfy { known.contains($0.shape) })
            let (body, _) = try MessageCoder.encode(
                part, messageID: "m", publisherID: "p", priority: .info, timestamp: Talk.at(0))
            #expect(body.count < 3 << 20)
        }
        #expect(parts.reduce(0) { $0 + $1.pods.count } == 12_000)
    }

    @Test("a snapshot says how things were when it was taken, whatever happens while its parts are published")
    func snapshotStays() throws {
        var talk = Talk()
        _ = talk.sync((0..<12_000).map { (ObservedKind.pods, pod("\($0)")) })
        let actions = talk.say(1, .probed)
        let parts = try #require(
            actions.lazy.compactMap { if case .publishSnapshot(let parts) = $0 { parts } else { nil } }.first)
        let before = Array(parts)
        #expect(before.reduce(0) { $0 + $1.pods.count } == 12_000)
        for number in stride(from: 0, to: 12_000, by: 100) {
            _ = talk.say(1.1, .gone(.pods, key: "\(number)"))
            _ = talk.say(1.1, .observed(.pods, [pod("\(number + 1)", node: "n1"), pod("new-\(number)")]))
        }
        #expect(Array(parts) == before)
        // And the changes are told afterwards.
        var removed: Set<String> = []
        var changed: Set<String> = []
        var next = talk.say(1.2, .published(ok: true))
        while let delta = next.deltas.first {
            removed.formUnion(delta.removedPods)
            changed.formUnion(delta.pods.map(\.uid))
            next = talk.say(1.2, .published(ok: true))
        }
        #expect(removed.count == 120 && changed.count == 240)
    }

    @Test("a burst of changes is spread over several deltas, one after the other without a wait")
    func burst() throws {
        var talk = Talk.running()
        _ = talk.say(1, .observed(.pods, (0..<12_000).map { pod("\($0)", app: "app-\($0)") }))
        var total = 0
        var shapes: Set<Int> = []
        var actions = talk.say(1.02, .ticked)
        for sequence in 1..<100 {
            guard let delta = actions.deltas.first else { break }
            #expect(delta.sequence == Int64(sequence))
            shapes.formUnion(delta.shapes.map(\.id))
            #expect(delta.pods.allSatisfy { shapes.contains($0.shape) })
            total += delta.pods.count
            actions = talk.say(1.03, .published(ok: true))
        }
        #expect(total == 12_000)
    }

    @Test("a shape's number is never given again in an epoch")
    func numbers() throws {
        var talk = Talk.running([(.pods, pod("a", app: "old"))])
        _ = talk.say(1, .gone(.pods, key: "a"))
        _ = talk.say(1.1, .ticked)
        #expect(talk.core.shapeCount == 0)
        _ = talk.say(1.2, .published(ok: true), .observed(.pods, [pod("b", app: "new")]))
        let delta = try #require(talk.say(1.3, .ticked).deltas.first)
        #expect(delta.shapes.map(\.id) == [2])
    }

    @Test("emptied ReplicaSets of old Deployments are left out")
    func emptiedReplicaSets() throws {
        func owner(_ name: String, _ replicas: Int32) -> ObservedObject {
            .workload(
                Workload(kind: "ReplicaSet", namespace: "n", name: name, replicas: replicas, currentReplicas: replicas),
                template: nil)
        }
        var talk = Talk.running([(.replicaSets, owner("now", 3)), (.replicaSets, owner("before", 0))])
        #expect(talk.core.count(.replicaSets) == 1)
        _ = talk.say(1, .observed(.replicaSets, [owner("now", 0)]))
        #expect(try #require(talk.say(1.1, .ticked).deltas.first).removedWorkloads == ["ReplicaSet/n/now"])
    }

    @Test("a claim carries its volume's place, also when the volume comes later")
    func claims() throws {
        let terms = [NodeSelectorTerm(expressions: [Requirement("zone", .in, ["a"])])]
        var talk = Talk.running([
            (.claims, .claim(ObservedClaim(namespace: "n", name: "data", isBound: true, volume: "pv1")))
        ])
        _ = talk.say(1, .observed(.volumes, [.volume(ObservedVolume(name: "pv1", nodeAffinity: terms))]))
        let delta = try #require(talk.say(1.1, .ticked).deltas.first)
        #expect(delta.claims == [Claim(namespace: "n", name: "data", isBound: true, nodeAffinity: terms)])
    }
}

@Suite("Equal histories give equal messages")
struct OrderTests {
    /// Names whose order is neither that of the alphabet nor, but by a miracle, that of a hash table.
    static let names = (0..<40).map { "pod-\(($0 * 17) % 40)" }

    @Test("A snapshot and a delta name objects in the order in which they came")
    func order() throws {
        var talk = Talk.running()
        _ = talk.say(2, .observed(.pods, Self.names.map { pod($0) }))
        let delta = try #require(talk.say(2.1, .ticked).deltas.first)
        #expect(delta.pods.map(\.uid) == Self.names)
        _ = talk.say(2.2, .published(ok: true))
        let parts = try #require(talk.say(4, .snapshotRequested(why: "test")).snapshots.first)
        #expect(parts.flatMap(\.pods).map(\.uid) == Self.names)
    }

    @Test("What goes is named in its order, and its place is taken again")
    func removal() throws {
        var talk = Talk.running(Self.names.map { (.pods, pod($0)) })
        let gone = Array(Self.names.prefix(20))
        for name in gone { _ = talk.say(2, .gone(.pods, key: name)) }
        _ = talk.say(2, .observed(.pods, [pod("new")]))
        let delta = try #require(talk.say(2.1, .ticked).deltas.first)
        #expect(delta.removedPods == gone)
        #expect(delta.pods.map(\.uid) == ["new"])
        #expect(talk.core.count(.pods) == 21)
    }

    @Test("An object that changes, goes and comes back before anybody is told is named once, as it is")
    func cameBack() throws {
        var talk = Talk.running(Self.names.map { (.pods, pod($0)) })
        for round in 0..<200 {
            _ = talk.say(2, .gone(.pods, key: "pod-1"), .observed(.pods, [pod("pod-1", app: "v\(round)")]))
        }
        let delta = try #require(talk.say(2.1, .ticked).deltas.first)
        #expect(delta.pods.map(\.uid) == ["pod-1"])
        #expect(delta.removedPods.isEmpty)
        #expect(delta.shapes.map { $0.shape.labels } == [["app": "v199"]])
    }
}
