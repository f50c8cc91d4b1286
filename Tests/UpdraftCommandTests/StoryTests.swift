import Messages
import Support
import Testing
import UpdraftCommand

/// The demo's story as a conversation: what it sees, which steps that finishes.
@Suite struct StoryTests {
    static let start = Timestamp(seconds: 1_795_467_769)
    static let why = Explanation(.podsPending, "6 pods need 2 nodes")

    static func scale(_ from: Int, _ to: Int) -> ScaleDecided {
        ScaleDecided(
            cluster: "demo", id: "d1", group: "workers", from: from, to: to, reason: why, podCount: 6,
            decidedAt: start, deadline: start + .minutes(5))
    }

    static func started() -> Event {
        .scaleStarted(
            ScaleStarted(
                cluster: "demo",
                scale: ScaleProgress(id: "d1", group: "workers", from: 2, to: 4, reason: why, at: start)
            ))
    }

    static func ready(_ node: String) -> Event {
        .nodeReady(
            NodeReady(
                cluster: "demo",
                arrival: NodeArrival(
                    node: node, nodeUID: "u-\(node)", serverID: "s-\(node)", group: "workers", at: start)
            ))
    }

    static func progress(_ node: String) -> RemovalProgress {
        RemovalProgress(
            id: "r1", group: "workers", node: node, nodeUID: "u-\(node)", serverID: "s-\(node)",
            reason: Explanation(.allPodsAnswered), pods: 1, at: start)
    }

    static func removal(_ nodes: String...) -> Event {
        .removalDecided(
            RemovalDecided(
                cluster: "demo", id: "r1", group: "workers", from: 4,
                nodes: nodes.map {
                    RemovalTarget(node: $0, nodeUID: "u-\($0)", serverID: "s-\($0)", reason: Explanation(.nodeUnneeded))
                }, decidedAt: start, deadline: start + .minutes(5)))
    }

    @Test("the cooldown counts down once a second, with how many pods have answered, and ends with the last node's")
    func countsDown() {
        func event(_ node: String, left seconds: Double) -> RemovalProgress {
            var event = Self.progress(node)
            event.deadline = Self.start + .seconds(seconds)
            event.pods = 2
            return event
        }
        var countdown = Countdown()
        countdown.received(.removalCordoned(RemovalCordoned(cluster: "demo", removal: event("n1", left: 8))))
        #expect(!countdown.isDue(at: Self.start))
        countdown.received(.removalNoticed(RemovalNoticed(cluster: "demo", removal: event("n1", left: 8))))
        countdown.received(.removalNoticed(RemovalNoticed(cluster: "demo", removal: event("n2", left: 5))))
        #expect(
            countdown.line(answered: 0, at: Self.start) == "cooldown: at most 8 s left, 0 of 4 pods have answered")
        #expect(countdown.line(answered: 1, at: Self.start + .milliseconds(900)) == nil)
        #expect(
            countdown.line(answered: 3, at: Self.start + .milliseconds(1_100))
                == "cooldown: at most 7 s left, 3 of 4 pods have answered")
        #expect(
            countdown.line(answered: 4, at: Self.start + .milliseconds(2_200))
                == "cooldown: all of 4 pods have answered; 3 s more for those bound before the cordon")
        countdown.received(.removalQuiesced(RemovalQuiesced(cluster: "demo", removal: event("n1", left: 8))))
        countdown.received(.removalQuiesced(RemovalQuiesced(cluster: "demo", removal: event("n2", left: 5))))
        #expect(!countdown.isDue(at: Self.start + .minutes(1)))
    }

    /// A story whose pods run and whose load is gone.
    static func atItsHeight() -> Story {
        var story = Story(startedAt: start, podsWanted: 8)
        _ = story.observed(.pods(pending: 6, running: 2), at: start)
        _ = story.received(.scaleDecided(scale(2, 4)), at: start)
        _ = story.received(started(), at: start)
        _ = story.received(ready("n3"), at: start)
        _ = story.received(ready("n4"), at: start)
        _ = story.observed(.pods(pending: 0, running: 8), at: start)
        _ = story.observed(.loadRemoved("web 6 → 1"), at: start)
        return story
    }

    @Test func theStoryAsItShouldGo() {
        var story = Story(startedAt: Self.start, podsWanted: 8)
        #expect(story.waitingFor == .podsPending)
        #expect(story.observed(.pods(pending: 0, running: 2), at: Self.start).isEmpty)
        #expect(story.observed(.pods(pending: 6, running: 2), at: Self.start).map(\.step) == [.podsPending])
        #expect(story.received(.scaleDecided(Self.scale(2, 4)), at: Self.start).map(\.step) == [.scaleDecided])
        #expect(story.received(Self.started(), at: Self.start).map(\.step) == [.groupResized])
        #expect(story.received(Self.ready("n3"), at: Self.start).isEmpty)
        #expect(story.received(Self.ready("n3"), at: Self.start).isEmpty, "a repeated event counts once")
        #expect(story.received(Self.ready("n4"), at: Self.start).map(\.step) == [.nodesReady])
        #expect(story.observed(.pods(pending: 0, running: 7), at: Self.start).isEmpty)
        #expect(story.observed(.pods(pending: 0, running: 8), at: Self.start).map(\.step) == [.podsRunning])
        #expect(story.waitingFor == .loadGone)
        #expect(story.observed(.loadRemoved("web 6 → 1"), at: Self.start).map(\.step) == [.loadGone])
        #expect(story.received(Self.removal("n3", "n4"), at: Self.start).map(\.step) == [.removalDecided])
        let cordoned = { (node: String) in
            Event.removalCordoned(RemovalCordoned(cluster: "demo", removal: Self.progress(node)))
        }
        #expect(story.received(cordoned("n3"), at: Self.start).isEmpty, "one of two")
        #expect(story.received(cordoned("n4"), at: Self.start).map(\.step) == [.nodeCordoned])
        for node in ["n3", "n4"] {
            let progress = Self.progress(node)
            _ = story.received(.removalNoticed(RemovalNoticed(cluster: "demo", removal: progress)), at: Self.start)
            _ = story.received(.removalQuiesced(RemovalQuiesced(cluster: "demo", removal: progress)), at: Self.start)
            _ = story.received(.removalDrained(RemovalDrained(cluster: "demo", removal: progress)), at: Self.start)
            _ = story.received(.removalCompleted(RemovalCompleted(cluster: "demo", removal: progress)), at: Self.start)
        }
        #expect(story.waitingFor == nil)
        #expect(story.milestones.map(\.step) == StoryStep.allCases)
        #expect(story.completed == ["n3", "n4"])
        #expect(story.chosen == ["n3": "s-n3", "n4": "s-n4"])
    }

    @Test func anEventThatOvertakesAnotherFinishesBoth() {
        var story = Self.atItsHeight()
        _ = story.received(Self.removal("n4"), at: Self.start)
        // The Notifier was killed after it told the pods and before it said so.
        let drained = Event.removalDrained(RemovalDrained(cluster: "demo", removal: Self.progress("n4")))
        #expect(
            story.received(drained, at: Self.start).map(\.step)
                == [.nodeCordoned, .podsTold, .cooldownEnded, .nodeDrained])
    }

    @Test func nothingOvertakesTheDemosOwnAct() {
        var story = Story(startedAt: Self.start, podsWanted: 8)
        _ = story.observed(.pods(pending: 6, running: 2), at: Self.start)
        #expect(story.received(Self.removal("n1"), at: Self.start).isEmpty)
        #expect(story.waitingFor == .scaleDecided)
    }

    @Test func aRemovalThatNobodyDecidedIsNoProgress() {
        var story = Self.atItsHeight()
        let completed = Event.removalCompleted(RemovalCompleted(cluster: "demo", removal: Self.progress("n9")))
        #expect(story.received(completed, at: Self.start).isEmpty)
        #expect(story.waitingFor == .removalDecided)
    }
}
