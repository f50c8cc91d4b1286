import Messages
import Support
import Testing

@testable import Actuator

/// Two groups in one stack: an update of the one resizes the other to what the stack's parameter says for it.
@Suite("Groups of one stack")
struct GroupsOfOneStackTests {
    /// The core with both groups, and the clock.
    struct Pair {
        var core: ActuatorCore
        var now = World.start
        /// What is asked of Heat, in order.
        var asked: [String] = []
        var notes: [Explanation] = []
        var refusals: [Explanation] = []

        init() {
            let groups = ["a", "b"].map { ActuatorPolicy.Group(id: $0, stack: "k8s", min: 1, max: 9) }
            core = ActuatorCore(policy: ActuatorPolicy(cluster: "prod", groups: groups))
            tell(.tick)
            tell(.nodesListed([]))
            asked = []
        }

        /// Both were read, and this is what the reading of b showed.
        init(b: Int, desired: Int, scaling: Bool = false) {
            self.init()
            for _ in 0..<5 {
                asked = []
                tell(reading("b", members: b, desired: desired, scaling: scaling))
                tell(reading("a", members: 2, desired: 2))
                if asked.isEmpty { return }
            }
        }

        mutating func tell(_ event: ActuatorEvent) {
            for action in core.handle(event, at: now) {
                switch action {
                case .readGroup(let id, _): asked.append("read \(id)")
                case .resize(let id, let size, let others):
                    let kept = others.sorted { $0.key < $1.key }.map { ", \($0.key) \($0.value)" }.joined()
                    asked.append("\(id) \(size)\(kept)")
                case .note(let note): notes.append(note.explanation)
                case .publish(.scaleRefused(let event)): refusals.append(event.scale.reason)
                default: break
                }
            }
        }

        /// The sizes that were sent.
        var sent: [String] { asked.filter { !$0.hasPrefix("read ") } }

        func reading(
            _ id: String, members: Int, desired: Int, scaling: Bool = false, updatedAt: Timestamp? = nil
        ) -> ActuatorEvent {
            let members = (0..<members).map {
                GroupState.Member(
                    name: "m\($0)-\(id)", physicalID: "id-\(id)-\($0)", serverID: "s-\(id)-\($0)",
                    status: "CREATE_COMPLETE", createdAt: World.start + .seconds(-3_600))
            }
            var reading = GroupReading(
                begunAt: now, stackID: "stack", scalingInProgress: scaling, desired: desired, members: members)
            reading.stackUpdatedAt = updatedAt
            return .groupRead(group: id, reading)
        }

        mutating func decide(_ from: Int, _ to: Int, decidedAt: Timestamp? = nil) {
            tell(
                .scaleDecided(
                    ScaleDecided(
                        cluster: "prod", id: "s1", group: "a", from: from, to: to, reason: Explanation(.podsPending),
                        decidedAt: decidedAt ?? now, deadline: now + .seconds(60)), ticket: 1))
        }
    }

    @Test("what the parameter says of the other group is true: nothing is said of it")
    func plain() {
        var pair = Pair(b: 3, desired: 3)
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.asked == ["read a", "a 3"] && !pair.notes.contains { $0.reason == .sizeMismatch })
    }

    @Test("the other group has more than its parameter says: the update would take members that nobody chose")
    func outOfDate() {
        var pair = Pair(b: 4, desired: 3)
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.asked == ["read a", "a 3, b 4"])
        #expect(pair.notes.contains { $0.reason == .sizeMismatch && $0.detail.contains("has 4 members") })
    }

    @Test("what is known of the other group is old: it is read first, then the group itself, then the size is sent")
    func old() {
        var pair = Pair(b: 4, desired: 3)
        pair.now = pair.now + .seconds(20)
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.asked == ["read a", "read b"])
        pair.tell(pair.reading("b", members: 5, desired: 3))
        #expect(pair.asked == ["read a", "read b", "read a"])
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.asked.last == "a 3, b 5")
    }

    @Test("what a signal did to the other group since it was read is not taken back: it is read first")
    func signalSince() {
        var pair = Pair(b: 3, desired: 3)
        pair.now = pair.now + .seconds(20)
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.asked == ["read a", "read b"])
        pair.tell(pair.reading("b", members: 5, desired: 3))
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.sent == ["a 3, b 5"])
    }

    @Test("one answer of the other group that failed does not make what is known of it fresh")
    func otherFails() {
        var pair = Pair(b: 3, desired: 3)
        pair.tell(.groupUnread(group: "b", ActFailure(.heatUnreachable, "500", isRetriable: true)))
        pair.asked = []
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.sent.isEmpty && pair.asked.contains("read b"))
        pair.tell(pair.reading("b", members: 4, desired: 3))
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.sent == ["a 3, b 4"])
    }

    @Test("another group that fails again and again, never read or busy when last read, is waited for three times")
    func otherFailsForEver() {
        for isBusy in [false, true] {
            var pair = isBusy ? Pair(b: 3, desired: 3, scaling: true) : Pair()
            let away = ActuatorEvent.groupUnread(group: "b", ActFailure(.heatUnreachable, "500", isRetriable: true))
            pair.tell(away)
            pair.decide(2, 3)
            for _ in 0..<6 where pair.sent.isEmpty {
                pair.tell(pair.reading("a", members: 2, desired: 2))
                pair.tell(away)
                pair.now = pair.now + .seconds(2)
            }
            #expect(pair.sent == ["a 3"], "\(pair.asked) \(pair.refusals)")
        }
    }

    @Test("a cloud that answers slowly never shows both at one moment: after three times what is known must do")
    func slow() {
        var pair = Pair(b: 4, desired: 3)
        pair.now = pair.now + .seconds(20)
        pair.decide(2, 3)
        for _ in 0..<4 {
            pair.tell(pair.reading("a", members: 2, desired: 2))
            pair.tell(pair.reading("b", members: 4, desired: 3))
            pair.now = pair.now + .seconds(5)
        }
        #expect(pair.asked.filter { $0 == "a 3, b 4" }.count == 1)
    }

    /// A Heat that takes a while to answer, with two groups in its stack and a drained node in the first.
    struct SlowCloud {
        var core: ActuatorCore
        var now = World.start
        let takes: Interval
        var answers: [(at: Timestamp, event: ActuatorEvent)] = []
        var markedAt: Timestamp?
        var sentAt: Timestamp?

        init(takes: Interval) {
            self.takes = takes
            let groups = ["a", "b"].map { ActuatorPolicy.Group(id: $0, stack: "k8s", min: 1, max: 9) }
            core = ActuatorCore(policy: ActuatorPolicy(cluster: "prod", groups: groups))
            var record = RemovalRecord(
                id: "r1", group: "a", nodeUID: "u1", serverID: "s-a-1", member: "m1-a", memberID: "id-a-1",
                decidedAt: now, startedAt: now, deadline: now + .seconds(3_600), reason: Explanation(.nodeUnneeded))
            record.phase = .removing
            record.change = RemovalRecord.Change(survivors: ["id-a-0", "id-a-2"])
            act(.tick)
            act(.nodesListed([NodeView(name: "n1", uid: "u1", serverID: "s-a-1", record: record)]))
        }

        /// Lets time pass until the size was sent.
        mutating func run(within limit: Interval) {
            let end = now + limit
            while sentAt == nil, now < end {
                now = now + .milliseconds(100)
                let due = answers.filter { $0.at <= now }
                answers.removeAll { $0.at <= now }
                for answer in due { act(answer.event) }
                act(.tick)
            }
        }

        private mutating func act(_ event: ActuatorEvent) {
            for action in core.handle(event, at: now) {
                switch action {
                case .readGroup(let id, _): answers.append((now + takes, .groupRead(group: id, reading(id))))
                case .mark(let id, let member, _, _):
                    markedAt = now + takes
                    answers.append((now + takes, .marked(group: id, member: member, unhealthy: true, nil)))
                case .readPods(let node): answers.append((now + takes, .podsRead(node: node, [])))
                case .resize: sentAt = sentAt ?? now
                default: break
                }
            }
        }

        private func reading(_ id: String) -> GroupReading {
            let isMarked = markedAt.map { now >= $0 } ?? false
            let members = (0..<3).map { number in
                GroupState.Member(
                    name: "m\(number)-\(id)", physicalID: "id-\(id)-\(number)", serverID: "s-\(id)-\(number)",
                    status: isMarked && id == "a" && number == 1 ? "CHECK_FAILED" : "CREATE_COMPLETE",
                    statusReason: isMarked && id == "a" && number == 1 ? "updraft removal r1" : "",
                    createdAt: World.start + .seconds(-3_600))
            }
            return GroupReading(begunAt: now, stackID: "stack", desired: 3, members: members)
        }
    }

    @Test(
        "however slowly the cloud answers, a marked member stands so for a bounded time before the size goes",
        arguments: [0.05, 0.4, 2, 4, 8, 20, 45])
    func marksStand(seconds: Double) throws {
        var cloud = SlowCloud(takes: .seconds(seconds))
        cloud.run(within: .minutes(30))
        let markedAt = try #require(cloud.markedAt)
        let sentAt = try #require(cloud.sentAt)
        let bound = ActuatorPolicy(cluster: "", groups: []).markPatience + .seconds(seconds) + .seconds(1)
        #expect(sentAt - markedAt <= max(bound, .seconds(2 * seconds + 1)), "\(sentAt - markedAt)")
    }

    @Test("the other group is scaled by a signal: its change would be lost, so ours waits, and says for what")
    func signal() {
        var pair = Pair(b: 3, desired: 3, scaling: true)
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        // Looked at in its own time: nobody asks again and again.
        #expect(pair.asked == ["read a"])
        pair.now = pair.now + .seconds(2)
        pair.tell(pair.reading("b", members: 4, desired: 3, scaling: false))
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.sent == ["a 3, b 4"])

        var late = Pair(b: 3, desired: 3, scaling: true)
        late.decide(2, 3)
        late.tell(late.reading("a", members: 2, desired: 2))
        late.now = late.now + .seconds(61)
        late.tell(late.reading("b", members: 3, desired: 3, scaling: true))
        late.tell(late.reading("a", members: 2, desired: 2))
        late.decide(2, 3, decidedAt: World.start)
        #expect(late.sent.isEmpty)
        #expect(late.refusals.count == 1, "\(late.refusals)")
    }

    @Test("the other group cannot be read: that does not hold up the one that can")
    func unreadable() {
        var pair = Pair()
        pair.tell(pair.reading("a", members: 2, desired: 2))
        pair.tell(.groupUnread(group: "b", ActFailure(.stackNotFound, "404 no such resource", isRetriable: false)))
        pair.tell(pair.reading("a", members: 2, desired: 2))
        pair.asked = []
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.asked == ["read a", "a 3"])
    }

    @Test("after a restart nothing is sent before the other group is known")
    func restart() {
        var pair = Pair()
        pair.decide(2, 3)
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.asked == ["read a"], "b is being read since the start")
        pair.tell(pair.reading("b", members: 3, desired: 3))
        pair.tell(pair.reading("a", members: 2, desired: 2))
        #expect(pair.sent == ["a 3"])
    }

    @Test("a decision from before this process, and the stack was updated since: what it led to may be undone already")
    func said() {
        var pair = Pair(b: 3, desired: 3)
        pair.decide(2, 3, decidedAt: pair.now + .seconds(-30))
        pair.tell(pair.reading("a", members: 2, desired: 2, updatedAt: pair.now + .seconds(-10)))
        #expect(pair.refusals.map(\.reason) == [.decisionStale] && pair.asked == ["read a"])

        // The update was that of the decision, and failed: it is sent again.
        var again = Pair(b: 3, desired: 3)
        again.decide(2, 3, decidedAt: again.now + .seconds(-30))
        again.tell(again.reading("a", members: 2, desired: 3, updatedAt: again.now + .seconds(-10)))
        #expect(again.asked == ["read a", "a 3"])

        // Nothing happened since: it is carried out.
        var first = Pair(b: 3, desired: 3)
        first.decide(2, 3, decidedAt: first.now + .seconds(-30))
        first.tell(first.reading("a", members: 2, desired: 2, updatedAt: first.now + .seconds(-40)))
        #expect(first.asked == ["read a", "a 3"])
    }

    @Test("a member has failed and the nodes are not known yet (a start): whether it is one decides, so the size waits")
    func nodesUnknown() {
        let group = ActuatorPolicy.Group(id: "a", stack: "k8s", min: 1, max: 9)
        var core = ActuatorCore(policy: ActuatorPolicy(cluster: "prod", groups: [group]))
        let now = World.start
        func reading() -> ActuatorEvent {
            let members = ["CREATE_COMPLETE", "CHECK_FAILED"].enumerated().map { index, status in
                GroupState.Member(
                    name: "m\(index)", physicalID: "id-\(index)", serverID: "s-\(index)", status: status,
                    createdAt: now + .seconds(-3_600))
            }
            return .groupRead(group: "a", GroupReading(begunAt: now, stackID: "stack", desired: 2, members: members))
        }
        func sizes(_ actions: [ActuatorAction]) -> [Int] {
            actions.compactMap { if case .resize(_, let size, _) = $0 { size } else { nil } }
        }
        _ = core.handle(.tick, at: now)
        let decision = ScaleDecided(
            cluster: "prod", id: "s1", group: "a", from: 1, to: 2, reason: Explanation(.podsPending), decidedAt: now,
            deadline: now + .seconds(60))
        _ = core.handle(.scaleDecided(decision, ticket: 1), at: now)
        #expect(sizes(core.handle(reading(), at: now)).isEmpty)
        // An engine that died is no reason either.
        let later = now + .seconds(40)
        var stuck = GroupReading(begunAt: later, stackID: "stack", scalingInProgress: true, desired: 2, members: [])
        stuck.stackStatus = "UPDATE_COMPLETE"
        for minutes in [0.0, 5, 10] {
            stuck.begunAt = later + .minutes(minutes)
            var idle = ActuatorCore(policy: core.policy)
            _ = idle.handle(.tick, at: now)
            #expect(sizes(idle.handle(.groupRead(group: "a", stuck), at: stuck.begunAt)).isEmpty)
        }
        // It is no node: an update may replace it.
        _ = core.handle(.nodesListed([NodeView(name: "n0", uid: "u0", serverID: "s-0")]), at: now)
        #expect(sizes(core.handle(reading(), at: now)) == [2])
    }
}
