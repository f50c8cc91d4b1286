import Messages
import Support
import Testing

@testable import Actuator

/// Readings of one group do not follow one another without a pause.
@Suite("The pause after a reading")
struct ReadingGapTests {
    /// A core with one group, a clock, and a Heat that answers when the test says so.
    struct Talk {
        var core: ActuatorCore
        var now = World.start
        /// When readings were begun.
        var begun: [Timestamp] = []

        init(longestRest: Interval? = nil) {
            var policy = ActuatorPolicy(cluster: "prod", groups: [.init(id: "g", stack: "k8s", min: 1, max: 9)])
            if let longestRest { policy.longestRest = longestRest }
            core = ActuatorCore(policy: policy)
            tell(.tick)
            answer()
            tell(.nodesListed([NodeView(name: "n1", uid: "u1", serverID: "s1")]))
            answer()
            pass(.seconds(10))
            begun = []
        }

        mutating func tell(_ event: ActuatorEvent) {
            for action in core.handle(event, at: now) {
                if case .readGroup = action { begun.append(now) }
            }
        }

        /// Something happens for which the group is read.
        mutating func ask() { tell(.stackHint) }

        /// The reading under way ends after this time.
        mutating func answer(after time: Interval = .zero) {
            let begunAt = begun.last ?? now
            now = now + time
            let member = GroupState.Member(
                name: "m1", physicalID: "id-1", serverID: "s1", status: "CREATE_COMPLETE", createdAt: World.start)
            tell(.groupRead(group: "g", GroupReading(begunAt: begunAt, stackID: "s", desired: 1, members: [member])))
        }

        /// Lets time pass, and wakes the core when it wants to be woken.
        mutating func pass(_ time: Interval) {
            let end = now + time
            while let next = core.nextWake(), next <= end {
                now = max(now, next)
                tell(.tick)
            }
            now = end
        }
    }

    @Test("one that is asked for alone begins at once, however long the one before took")
    func alone() {
        var talk = Talk()
        talk.ask()
        #expect(talk.begun == [talk.now])
        talk.answer(after: .seconds(2))
        talk.pass(.seconds(2))
        talk.ask()
        #expect(talk.begun.count == 2 && talk.begun.last == talk.now)
    }

    @Test("one that is asked for soon after another begins when as much time has passed as that took, once for all")
    func soonAfter() {
        var talk = Talk()
        talk.ask()
        talk.answer(after: .seconds(2))
        let ended = talk.now
        for _ in 0..<5 {
            talk.ask()
            talk.pass(.milliseconds(100))
        }
        #expect(talk.begun.count == 1)
        talk.pass(.seconds(5))
        #expect(talk.begun.dropFirst() == [ended + .seconds(2)])
        // It is for all who had asked: nothing else is read before the next is asked for, or due.
        talk.answer()
        talk.pass(.seconds(10))
        #expect(talk.begun.count == 2)
    }

    @Test("one that is asked for while another is under way is not lost, and begins after the pause")
    func meanwhile() {
        var talk = Talk()
        talk.ask()
        talk.now = talk.now + .milliseconds(500)
        talk.ask()
        talk.answer(after: .milliseconds(500))
        let ended = talk.now
        #expect(talk.begun.count == 1)
        talk.pass(.milliseconds(999))
        #expect(talk.begun.count == 1)
        talk.pass(.seconds(5))
        #expect(talk.begun.dropFirst() == [ended + .seconds(1)])
    }

    @Test("one that took no time is followed at once")
    func noTime() {
        var talk = Talk()
        talk.ask()
        talk.ask()
        talk.answer()
        #expect(talk.begun == [talk.now, talk.now])
    }

    @Test("the pause is bounded, also after one that failed")
    func bounded() {
        for fails in [false, true] {
            var talk = Talk(longestRest: .seconds(3))
            talk.ask()
            if fails {
                talk.now = talk.now + .seconds(60)
                talk.tell(.groupUnread(group: "g", ActFailure(.heatUnreachable, "no answer", isRetriable: true)))
            } else {
                talk.answer(after: .seconds(60))
            }
            let ended = talk.now
            talk.ask()
            talk.pass(.seconds(5))
            #expect(talk.begun.dropFirst() == [ended + .seconds(3)], "fails: \(fails)")
        }
    }

    @Test("many that ask all the time leave the group alone for half of it")
    func half() {
        var talk = Talk()
        let start = talk.now
        talk.ask()
        for _ in 0..<10 {
            let count = talk.begun.count
            talk.answer(after: .seconds(1))
            while talk.begun.count == count {
                talk.ask()
                talk.pass(.milliseconds(50))
            }
        }
        #expect(talk.begun.count == 11 && talk.now - start >= .seconds(19.9), "\(talk.begun)")
        #expect(talk.now - start <= .seconds(21))
    }

    @Test("what stands marked in Heat does not wait, nor what was seen of a drained node", arguments: [true, false])
    func prompt(isMarked: Bool) {
        var talk = Talk()
        var record = RemovalRecord(
            id: "r1", group: "g", nodeUID: "u1", serverID: "s1", member: "m1", memberID: "id-1", decidedAt: talk.now,
            startedAt: talk.now, deadline: talk.now + .seconds(3_600), reason: Explanation(.nodeUnneeded))
        record.phase = isMarked ? .removing : .drained
        if isMarked { record.change = RemovalRecord.Change(survivors: ["id-2"]) }
        talk.tell(.nodeSeen(NodeView(name: "n1", uid: "u1", serverID: "s1", record: record)))
        #expect(talk.begun.count == 1)
        talk.answer(after: .seconds(2.5))
        if isMarked {
            // It is looked at once more before it is marked.
            talk.tell(.podsRead(node: "n1", []))
            talk.pass(.seconds(1))
            talk.answer(after: .seconds(2.5))
        }
        let ended = talk.now
        talk.begun = []
        if isMarked {
            talk.tell(.marked(group: "g", member: "m1", unhealthy: true, nil))
            #expect(talk.begun == [ended])
        } else {
            talk.now = talk.now + .milliseconds(100)
            talk.tell(.podsRead(node: "n1", []))
            #expect(talk.begun.isEmpty)
            talk.pass(.seconds(1))
            // It has to begin while the look is fresh.
            #expect(talk.begun.first.map { $0 - ended } == .milliseconds(600))
        }
    }

    @Test("drained nodes go where readings take long and looks at pods do not: a look is not old when it is used")
    func looksStayFresh() {
        var policy = ActuatorPolicy(cluster: "prod", groups: [.init(id: "g", stack: "k8s", min: 1, max: 9)])
        policy.coalesce = .zero
        var core = ActuatorCore(policy: policy)
        var now = World.start
        var record = RemovalRecord(
            id: "r1", group: "g", nodeUID: "u1", serverID: "s1", member: "m1", memberID: "id-1", decidedAt: now,
            startedAt: now, deadline: now + .seconds(3_600), reason: Explanation(.nodeUnneeded))
        record.phase = .drained
        var answers: [(at: Timestamp, event: ActuatorEvent)] = []
        var looks = 0
        var isAnnounced = false
        func act(_ event: ActuatorEvent) {
            for action in core.handle(event, at: now) {
                switch action {
                case .readGroup:
                    let members = (1...3).map {
                        GroupState.Member(
                            name: "m\($0)", physicalID: "id-\($0)", serverID: "s\($0)", status: "CREATE_COMPLETE",
                            createdAt: World.start)
                    }
                    let reading = GroupReading(begunAt: now, stackID: "s", desired: 3, members: members)
                    answers.append((now + .seconds(4), .groupRead(group: "g", reading)))
                case .readPods(let node):
                    looks += 1
                    answers.append((now + .milliseconds(50), .podsRead(node: node, [])))
                case .editNode: isAnnounced = true
                default: break
                }
            }
        }
        act(.tick)
        act(.nodesListed([NodeView(name: "n1", uid: "u1", serverID: "s1", record: record)]))
        let end = now + .seconds(60)
        while !isAnnounced, now < end {
            now = now + .milliseconds(50)
            let due = answers.filter { $0.at <= now }
            answers.removeAll { $0.at <= now }
            for answer in due { act(answer.event) }
            act(.tick)
        }
        #expect(isAnnounced && looks <= 2, "\(looks) looks")
    }
}
