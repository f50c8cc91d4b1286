import Decider
import Messages
import Support
import Testing

@testable import UpdraftCommand

/// What status, timeline and cancel make of what they hear.
enum Removals {
    static let start = Timestamp(seconds: 1_800_000_000)

    static func progress(_ seconds: Double, _ node: String = "n1", _ reason: Reason = .nodeUnneeded) -> RemovalProgress
    {
        RemovalProgress(
            id: "r1", group: "workers", node: node, nodeUID: "u", serverID: "s", reason: Explanation(reason),
            pods: 3, at: start + .seconds(seconds))
    }

    static func record(_ phase: RemovalPhase = .cordoned) -> RemovalRecord {
        var record = RemovalRecord(
            id: "r1", group: "workers", nodeUID: "u", serverID: "s", member: "m", memberID: "p", decidedAt: start,
            startedAt: start + .seconds(1), deadline: start + .seconds(100), reason: Explanation(.nodeUnneeded, "idle"))
        record.phase = phase
        record.since = start + .seconds(5)
        return record
    }
}

@Suite("The timeline of a node")
struct NodeTimelineTests {
    private func told(_ node: String = "n1") -> NodeTimeline {
        var timeline = NodeTimeline(node: node)
        let start = Removals.start
        timeline.take(
            at: start,
            .nodeJoined(
                NodeJoined(
                    cluster: "c",
                    arrival: NodeArrival(
                        node: "n1", nodeUID: "u", serverID: "s", group: "workers", after: .seconds(70),
                        at: start - .minutes(60)))))
        timeline.take(
            at: start,
            .removalDecided(
                RemovalDecided(
                    cluster: "c", id: "r1", group: "workers", from: 3,
                    nodes: [
                        RemovalTarget(
                            node: "n1", nodeUID: "u", serverID: "s", podsToMove: 3,
                            reason: Explanation(.nodeUnneeded, "idle"))
                    ],
                    decidedAt: start, deadline: start + .minutes(2))))
        timeline.take(at: start, .removalCordoned(RemovalCordoned(cluster: "c", removal: Removals.progress(1))))
        timeline.take(at: start, .removalNoticed(RemovalNoticed(cluster: "c", removal: Removals.progress(3))))
        timeline.take(at: start, .removalNoticed(RemovalNoticed(cluster: "c", removal: Removals.progress(4))))
        timeline.take(at: start, .removalCordoned(RemovalCordoned(cluster: "c", removal: Removals.progress(9, "n2"))))
        timeline.take(at: start, .removalQuiesced(RemovalQuiesced(cluster: "c", removal: Removals.progress(63))))
        timeline.take(at: start, .removalDrained(RemovalDrained(cluster: "c", removal: Removals.progress(70))))
        return timeline
    }

    @Test("One that was taken back reads so, from the bus and from the record")
    func takenBack() {
        var event = Removals.progress(40, "n1", .loadReturned)
        event.phase = .cancelled
        var record = Removals.record(.cancelled)
        record.outcome = Explanation(.loadReturned)
        for isFromBus in [true, false] {
            var timeline = told()
            if isFromBus {
                timeline.take(at: Removals.start, .removalFailed(RemovalFailed(cluster: "c", removal: event)))
            } else {
                timeline.take(record)
            }
            #expect(timeline.removals.first?.outcome == "cancelled", "\(timeline.text)")
            #expect(timeline.removals.first?.seconds != nil)
        }
    }

    @Test("Every step with its duration, from the decision to the member gone; repeated events count once")
    func whole() throws {
        var timeline = told()
        #expect(timeline.removals.first?.seconds == nil)
        timeline.take(
            at: Removals.start, .removalCompleted(RemovalCompleted(cluster: "c", removal: Removals.progress(151))))
        let removal = try #require(timeline.removals.first)
        #expect(timeline.removals.count == 1)
        #expect(removal.steps.map(\.what) == ["decided", "cordoned", "noticed", "quiesced", "drained", "completed"])
        #expect(removal.steps.map(\.after) == [nil, 1, 2, 60, 7, 81])
        #expect(removal.seconds == 151)
        #expect(timeline.arrival.map(\.what) == ["joined"])
        let text = timeline.text
        #expect(text.contains("completed, 2 min 31 s in all"), "\(text)")
        #expect(text.contains("1m10s after its scale-up began") || text.contains("70"), "\(text)")
    }

    @Test("The call of Heat is a step of its own, also when the Node is gone, and whatever came of it")
    func calling() throws {
        var timeline = told()
        var completed = Removals.progress(151)
        completed.calledAt = Removals.start + .seconds(80)
        timeline.take(at: Removals.start, .removalCompleted(RemovalCompleted(cluster: "c", removal: completed)))
        timeline.take(at: Removals.start, .removalCompleted(RemovalCompleted(cluster: "c", removal: completed)))
        let removal = try #require(timeline.removals.first)
        #expect(
            removal.steps.map(\.what)
                == ["decided", "cordoned", "noticed", "quiesced", "drained", "removing", "completed"])
        #expect(removal.steps.map(\.after) == [nil, 1, 2, 60, 7, 10, 71])
        #expect(removal.outcome == "completed" && removal.seconds == 151)
        // As the record and the event of a real removal say it.
        let change = RemovalRecord.Change(survivors: [])
        let called = try Removals.record(.drained).applying(
            .removing(change, deadline: Removals.start + .seconds(700)), at: Removals.start + .seconds(80))
        let end = try called.applying(.removed, at: Removals.start + .seconds(151))
        #expect(end.progress(node: "n1", at: Removals.start + .seconds(151)).calledAt == Removals.start + .seconds(80))
        var other = told()
        other.take(end)
        #expect(other.removals.first?.steps.last?.what == "removing")
    }

    @Test("The record on the Node adds where it is now, and repeats nothing")
    func record() throws {
        var timeline = told()
        timeline.take(Removals.record(.removing))
        let removal = try #require(timeline.removals.first)
        #expect(timeline.removals.count == 1)
        #expect(removal.steps.count { $0.what == "cordoned" } == 1)
        #expect(removal.steps.contains { $0.what == "removing" })
    }

    @Test("A node that is not known: names like it")
    func unknown() {
        let timeline = told("n11")
        #expect(timeline.isEmpty)
        #expect(timeline.near.contains("n1"))
    }

    @Test("What is not signed is marked")
    func untrusted() {
        var timeline = NodeTimeline(node: "n1")
        timeline.take(
            at: Removals.start, .removalFailed(RemovalFailed(cluster: "c", removal: Removals.progress(1))),
            isTrusted: false)
        #expect(timeline.text.contains("not signed"))
    }
}

@Suite("The outcome of a cancellation")
struct CancelTests {
    private let watch = CancelWatch(node: "n1", removal: "r1")

    @Test("Taken back, too late, failed otherwise; other nodes and removals do not count")
    func outcomes() {
        func failed(_ reason: Reason, _ node: String = "n1") -> Event {
            .removalFailed(RemovalFailed(cluster: "c", removal: Removals.progress(1, node, reason)))
        }
        #expect(watch.outcome(of: failed(.cancelledByOperator))?.isTakenBack ?? false)
        #expect(watch.outcome(of: failed(.drainTimedOut))?.kind == .failedOtherwise)
        #expect(watch.outcome(of: failed(.cancelledByOperator, "n2")) == nil)
        #expect(CancelWatch(node: "n1", removal: "r2").outcome(of: failed(.cancelledByOperator)) == nil)
        let completed = Event.removalCompleted(RemovalCompleted(cluster: "c", removal: Removals.progress(1)))
        #expect(watch.outcome(of: completed)?.kind == .tooLate)
        #expect(
            watch.outcome(of: .removalCordoned(RemovalCordoned(cluster: "c", removal: Removals.progress(1)))) == nil)
    }
}

extension CancelTests {
    @Test("Somebody else takes the machine of a removal of ours: that cannot be taken back either, and is said at once")
    func taken() throws {
        for phase in [RemovalPhase.cordoned, .noticed, .quiesced, .drained] {
            var record = Removals.record(phase)
            record.taken = true
            let outcome = try #require(CancelOutcome(withoutAsking: "n1", record))
            #expect(outcome.kind == .notOurs && !outcome.isTakenBack)
            #expect(outcome.text.contains("somebody else takes its machine away"), "\(outcome.text)")
            // Its deletion failed: it lives on, and is ours again.
            record.taken = nil
            #expect(CancelOutcome(withoutAsking: "n1", record) == nil)
        }
        var over = Removals.record(.failed)
        over.taken = true
        #expect(CancelOutcome(withoutAsking: "n1", over)?.kind == .overAlready)
    }

    @Test("What the record says already is said at once: over, too late, or somebody else's")
    func atOnce() throws {
        func outcome(_ phase: RemovalPhase, isExternal: Bool = false) -> CancelOutcome? {
            var record = Removals.record(phase)
            if isExternal { record.reason = Explanation(.externalScaleIn, "Heat deletes member m") }
            return CancelOutcome(withoutAsking: "n1", record)
        }
        for phase in [RemovalPhase.cordoned, .noticed, .quiesced, .drained] {
            #expect(outcome(phase) == nil)
            let external = try #require(outcome(phase, isExternal: true))
            #expect(external.kind == .notOurs && !external.isTakenBack)
            #expect(external.text.contains("cannot be taken back: it is somebody else's removal"), "\(external.text)")
            #expect(external.text.contains("Heat deletes member m"), "\(external.text)")
        }
        #expect(outcome(.removing)?.kind == .tooLate)
        #expect(outcome(.cancelled)?.kind == .overAlready)
        #expect(outcome(.failed, isExternal: true)?.kind == .overAlready)
    }
}

@Suite("The status of a cluster")
struct ClusterStatusTests {
    @Test("Groups with what bound them, pods, removals with a countdown")
    func whole() throws {
        let now = Removals.start + .seconds(40)
        var status = ClusterStatus(cluster: "c", at: now)
        var record = Removals.record(.noticed)
        record.cooldownUntil = Removals.start + .seconds(61)
        var evaluation = Evaluation(cluster: "c", number: 7, at: now, summary: "nothing to do")
        evaluation.groups = [
            .init(group: "workers", size: 3, target: 4, bound: [Explanation(.maximumReached, "max 4 (groups[0].max)")])
        ]
        evaluation.pods = [.init(pod: "default/web-1", count: 5, outcome: Explanation(.maximumReached, "max 4"))]
        var view = LedgerView()
        view.apply(evaluation)
        var answer = Evaluation.Answer(id: "q", subject: .init(.cluster), isKnown: true, standing: "3 nodes")
        answer.groups = [
            GroupState(
                cluster: "c", group: "workers", min: 1, max: 4, desired: 4, size: 3, busy: true, paused: true,
                observedAt: now)
        ]
        answer.removals = [.init(node: "n1", record: try record.text()), .init(node: "n9", record: "{broken")]
        answer.removalCount = 2
        status.take(answer, view)
        let text = status.text
        for expected in [
            "workers: size 3, desired 4, wanted 4, 1 to 4 allowed", "busy", "PAUSED", "groups[0].max",
            "default/web-1 and 4 like it", "pods without a node: 5", "n1: noticed for", "cooldown ends in 21 s",
            "n9: its record cannot be read", "nothing to do",
        ] {
            #expect(text.contains(expected), "'\(expected)' is missing in:\n\(text)")
        }
        #expect(status.json.contains("\"cooldownLeft\":21"))
    }

    @Test("Of decisions the last ten are kept")
    func decisions() {
        var status = ClusterStatus(cluster: "c", at: Removals.start)
        for number in 0..<15 {
            let decision = ScaleDecided(
                cluster: "c", id: "s\(number)", group: "workers", from: number, to: number + 1,
                reason: Explanation(.podsPending), pods: [], podCount: 1, decidedAt: Removals.start,
                deadline: Removals.start)
            status.take((Removals.start, .scaleDecided(decision), true))
        }
        #expect(status.decisions.map(\.id) == (5..<15).map { "s\($0)" })
    }
}

@Suite("A recording without gaps")
struct GapWatchTests {
    private func delta(_ sequence: Int64, empty: Bool = false, epoch: String = "e") -> Event {
        .clusterDelta(
            ClusterDelta(
                cluster: "c", epoch: epoch, sequence: sequence, takenAt: Removals.start,
                removedNodes: empty ? [] : ["n"]))
    }

    @Test("A snapshot is asked for at the start, after a gap and a new epoch, and not in a loop")
    func asks() {
        var watch = GapWatch()
        let now = Removals.start
        var asked: [Bool] = []
        asked.append(watch.wantsSnapshot(at: now))
        watch.noteConnected()
        asked.append(watch.wantsSnapshot(at: now))
        asked.append(watch.wantsSnapshot(at: now + .seconds(1)))
        asked.append(watch.wantsSnapshot(at: now + .seconds(6)))
        #expect(asked == [false, true, false, true])
        watch.note(.clusterSnapshot(ClusterSnapshot(cluster: "c", epoch: "e", sequence: 4, takenAt: now)))
        asked = [watch.wantsSnapshot(at: now + .seconds(20))]
        watch.note(delta(4, empty: true))
        watch.note(delta(5))
        asked.append(watch.wantsSnapshot(at: now + .seconds(21)))
        watch.note(delta(7))
        asked.append(watch.wantsSnapshot(at: now + .seconds(22)))
        #expect(asked == [false, false, true])
        watch.note(.clusterSnapshot(ClusterSnapshot(cluster: "c", epoch: "e", sequence: 7, takenAt: now)))
        watch.note(delta(1, epoch: "f"))
        asked = [watch.wantsSnapshot(at: now + .seconds(40))]
        #expect(asked == [true], "a new epoch")
        for part in [0, 2] {
            watch.note(
                .clusterSnapshot(
                    ClusterSnapshot(cluster: "c", epoch: "f", sequence: 1, part: part, parts: 3, takenAt: now)))
        }
        asked = [watch.wantsSnapshot(at: now + .seconds(60))]
        #expect(asked == [true], "the last part of a snapshot without the one before makes no whole")
    }
}
