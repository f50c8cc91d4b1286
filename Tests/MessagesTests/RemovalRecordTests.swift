import Messages
import Support
import Testing

@Suite("The removal of a node")
struct RemovalRecordTests {
    let now = Timestamp(seconds: 1_800_000_000)

    var record: RemovalRecord {
        RemovalRecord(
            id: "r1", group: "workers", nodeUID: "uid", serverID: "server", member: "m", memberID: "physical",
            decidedAt: now, startedAt: now, deadline: now + .seconds(600), reason: Explanation(.nodeUnneeded))
    }

    func after(_ transitions: RemovalTransition...) throws -> RemovalRecord {
        try transitions.reduce(record) { try $0.applying($1, at: now + .seconds(1)) }
    }

    static let quiesced = RemovalTransition.quiesced(
        Explanation(.allPodsAnswered), deadline: Timestamp(seconds: 1_800_000_900))
    static let drained = RemovalTransition.drained(deadline: Timestamp(seconds: 1_800_005_000))
    static let removing = RemovalTransition.removing(
        .init(survivors: ["abcdefgh-1234"]), deadline: Timestamp(seconds: 1_800_005_000))

    @Test("forward, step by step")
    func forward() throws {
        let last = try after(
            .noticed(until: now), Self.quiesced, Self.drained, Self.removing, .removed)
        #expect(last.phase == .removed)
        #expect(last.change?.survivors == ["abcdefgh"])
    }

    @Test("back from anywhere before Heat is called, and from nowhere after")
    func back() throws {
        let cancel = RemovalTransition.cancelled(Explanation(.loadReturned))
        #expect(try after(cancel).phase == .cancelled)
        #expect(try after(Self.quiesced, cancel).phase == .cancelled)
        #expect(try after(Self.quiesced, Self.drained, cancel).phase == .cancelled)
        #expect(throws: ImpossibleTransition(from: .removing, to: .cancelled)) {
            try after(Self.quiesced, Self.drained, Self.removing, cancel)
        }
        #expect(throws: ImpossibleTransition(from: .cancelled, to: .quiesced)) { try after(cancel, Self.quiesced) }
    }

    @Test("every pair of phases is either allowed or impossible", arguments: RemovalPhase.allCases)
    func pairs(from: RemovalPhase) {
        let allowed = RemovalPhase.allCases.filter { from.allows($0) }
        switch from {
        case .cordoned, .noticed: #expect(allowed == [.noticed, .quiesced, .cancelled, .failed])
        case .quiesced: #expect(allowed == [.drained, .cancelled, .failed])
        case .drained: #expect(allowed == [.removing, .cancelled, .failed])
        case .removing: #expect(allowed == [.removed, .failed])
        case .removed, .cancelled, .failed: #expect(allowed.isEmpty)
        }
    }

    @Test("the text comes back the same, and a text edited by hand is a named mistake")
    func text() throws {
        let value = try after(.noticed(until: now))
        #expect(try RemovalRecord(text: value.text()) == value)
        let broken = try value.text().replacing("\"phase\":\"noticed\"", with: "\"phase\":\"gone\"")
        #expect(throws: MessageError.self) { try RemovalRecord(text: broken) }
        #expect(throws: MessageError.self) { try RemovalRecord(text: "{}") }
        #expect(throws: MessageError.self) { try RemovalRecord(text: "not json") }
    }

    @Test("that somebody else takes the machine is kept through the steps, and absent before")
    func taken() throws {
        let before = try after(.noticed(until: now))
        #expect(!before.isTaken)
        #expect(try !before.text().contains("taken"))
        let taken = try before.applying(.taken(true), at: now + .seconds(2))
        #expect(taken.phase == .noticed && taken.since == before.since && taken.deadline == before.deadline)
        #expect(try RemovalRecord(text: taken.text()).isTaken)
        #expect(try taken.applying(Self.quiesced, at: now + .seconds(3)).isTaken)
        #expect(try taken.applying(.taken(false), at: now + .seconds(3)) == before)
    }

    @Test func whatOthersDoNeedNotWaitForOurSteps() throws {
        var record = RemovalRecord(
            id: "external-m1", group: "workers", nodeUID: "u", serverID: "s", member: "m1", memberID: "p",
            decidedAt: Timestamp(seconds: 1), startedAt: Timestamp(seconds: 1), deadline: Timestamp(seconds: 2),
            reason: Explanation(.externalScaleIn, "Heat deletes it"))
        let now = Timestamp(seconds: 10)
        let released = RemovalTransition.released(nil, deadline: Timestamp(seconds: 20))
        let lost = RemovalTransition.lost(Explanation(.podsLost, "one"))
        #expect(record.isExternal)
        // Pods that were not told are never let go.
        #expect(throws: ImpossibleTransition.self) { try record.applying(released, at: now) }
        let gone = try record.applying(lost, at: now)
        #expect(gone.phase == .removed && gone.lost?.detail == "one")
        record = try record.applying(.noticed(until: Timestamp(seconds: 5)), at: now)
        let letGo = try record.applying(released, at: now)
        #expect(letGo.phase == .removing && letGo.change == nil && letGo.lost == nil)
        #expect(throws: ImpossibleTransition.self) { try letGo.applying(lost, at: now) }
        #expect(try letGo.applying(.removed, at: now).phase == .removed)
        let cancelled = try record.applying(.cancelled(Explanation(.loadReturned)), at: now)
        for transition in [released, lost] {
            #expect(throws: ImpossibleTransition.self) { try cancelled.applying(transition, at: now) }
        }
    }
}
