import Messages
import Support
import Testing

@testable import Notifier

/// Pods that come to a node that is being drained: they tolerate every taint, or name the node.
@Suite("Pods that come after the cooldown")
struct LatePodTests {
    /// A node whose cooldown is over and whose pods are being evicted.
    static func draining(
        for time: Interval = .seconds(900), _ configure: (inout NotifierPolicy) -> Void = { _ in }
    ) -> Village {
        var village = Village(configure)
        village.addPod("web-1", gate: .serving)
        village.cordon()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        village.drain(for: time)
        return village
    }

    @Test("one that is seen is told at once, by every way, with a time of its own")
    func seen() {
        var village = Self.draining()
        village.run(.seconds(20))
        let arrival = village.now
        village.addPod("late-1", hook: true, gate: .unset)
        village.sees("late-1")
        #expect(village.deliveries["late-1"] == [.annotation, .gate, .hook, .bus, .event])
        #expect(village.pods["late-1"]?.annotations[RemovalNames.podRemoval] == "r1")
        #expect(village.deadlines["late-1"] == [arrival + .seconds(60)])
        #expect(village.pods["late-1"]?.gate == .notServing)
        village.run(.seconds(1))
        #expect(
            village.pods["late-1"]?.annotations[RemovalNames.podNotice]
                == "r1 annotation=told gate=told hook=told bus=told event=told")
        // Nobody is told twice, and the cooldown is not opened again.
        #expect(village.deadlines["web-1"]?.count == 1)
        #expect(village.story.filter { $0 == .removalQuiesced || $0 == .removalNoticed }.count == 2)
    }

    @Test("one that came while nobody looked is found when the drain begins, or by the next look")
    func found() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        village.addPod("late-1")
        village.drain()
        #expect(village.deliveries["late-1"] == [.annotation, .bus, .event])
        village.addPod("late-2")
        village.run(.seconds(31))
        #expect(village.deliveries["late-2"] == [.annotation, .bus, .event])
    }

    @Test("what was written on a pod in vain is written again at the next look: the Actuator waits for it")
    func noticeLost() {
        var village = Self.draining()
        village.addPod("late-1")
        village.sees("late-1")
        let notice = village.pods["late-1"]?.annotations.removeValue(forKey: RemovalNames.podNotice)
        #expect(notice != nil)
        village.run(.seconds(31))
        #expect(village.pods["late-1"]?.annotations[RemovalNames.podNotice] == notice)
        #expect(village.deadlines["late-1"]?.count == 1)
    }

    @Test("one whose telling ended with its process, its time over meanwhile, is told by the ways that are left")
    func halfTold() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        // Another process wrote this on it just before it ended.
        village.addPod("late-1")
        village.pods["late-1"]?.annotations = [
            RemovalNames.podRemoval: "r1", RemovalNames.podDeadline: village.now.rfc3339,
        ]
        village.run(.seconds(5))
        village.core = NotifierCore(policy: village.policy)
        village.drain()
        village.feed(.nodesListed([village.node]))
        village.run(.seconds(1))
        #expect(village.deliveries["late-1"] == [.bus, .event])
        #expect(
            village.pods["late-1"]?.annotations[RemovalNames.podNotice] == "r1 annotation=told bus=told event=told")
    }

    @Test("its time is no more than half of what is left of the drain, however much it asks for")
    func bounded() {
        var village = Self.draining(for: .seconds(50))
        village.run(.seconds(10))
        let arrival = village.now
        village.addPod("late-1")
        village.sees("late-1")
        #expect(village.deadlines["late-1"] == [arrival + .seconds(20)])
        #expect(village.answer("late-1", .extend(.seconds(300))) == .clamped)
        #expect(
            village.pods["late-1"]?.annotations[RemovalNames.podDeadline] == (arrival + .seconds(20)).rfc3339)
    }

    @Test("it may answer; what the others say now is late")
    func answers() {
        var village = Self.draining { $0.pods.terms.mayRefuse = true }
        village.addPod("late-1")
        village.addPod("late-2")
        village.sees("late-1")
        village.sees("late-2")
        #expect(village.answer("late-1", .extend(.seconds(120))) == .accepted)
        #expect(
            village.pods["late-1"]?.annotations[RemovalNames.podDeadline] == (village.now + .seconds(120)).rfc3339)
        #expect(village.answer("late-1", .done) == .accepted)
        #expect(village.pods["late-1"]?.annotations[RemovalNames.podAnswer] == "done")
        // The Actuator goes by the deadline on the pod.
        #expect(village.pods["late-1"]?.annotations[RemovalNames.podDeadline] == village.now.rfc3339)
        #expect(village.answer("web-1", .done) == .late)
        // A drain can still be taken back.
        village.annotate("late-2", "refuse")
        #expect(village.story.last == .removalCancelled)
    }

    @Test("DaemonSet pods, and pods that go already, are not told")
    func others() {
        // (The place of one of a DaemonSet was another one's that was evicted: it stays with the node.)
        var village = Self.draining { $0.tellsDaemonSets = true }
        village.addPod("ds-1", owner: "DaemonSet")
        village.addPod("going")
        village.pods["going"]?.deletedAt = village.now
        village.run(.seconds(60))
        #expect(village.deliveries["ds-1"] == nil && village.deliveries["going"] == nil)
    }

    @Test("killed at any action, whoever takes over tells it and nobody twice")
    func crashes() {
        var when = 1
        var total = 100
        while when <= total {
            for isBefore in [true, false] {
                var village = Self.draining()
                village.run(.seconds(5))
                village.addPod("late-1", hook: true, gate: .unset)
                if isBefore {
                    village.crashBefore = village.steps + when
                } else {
                    village.crashAfter = village.steps + when
                }
                village.sees("late-1")
                village.run(.seconds(40))
                let label = "crash \(isBefore ? "before" : "after") \(when)"
                #expect(village.deliveries["late-1"] == [.annotation, .gate, .hook, .bus, .event], "\(label)")
                #expect(village.pods["late-1"]?.annotations[RemovalNames.podRemoval] == "r1", "\(label)")
                #expect(village.deadlines["web-1"]?.count == 1, "\(label)")
                #expect(village.toldTwice.isEmpty, "\(label): \(village.toldTwice)")
                if village.crashes == 0 { total = min(total, when) }
            }
            when += 1
        }
    }

    @Test("a pod that has no notice although its cooldown is over gets one as soon as it can be written")
    func unwritten() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.broken = [.annotation]
        village.cordon()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podRemoval] == nil)
        village.drain()
        village.run(.seconds(20))
        village.broken = []
        village.run(.seconds(20))
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podRemoval] == "r1")
    }

    @Test("taken back during the drain: it is told to stay, like the others")
    func cancelled() {
        var village = Self.draining()
        village.addPod("late-1", hook: true, gate: .unset)
        village.sees("late-1")
        village.run(.seconds(5))
        village.step(.cancelled(Explanation(.loadReturned)))
        village.run(.seconds(5))
        for pod in ["late-1", "web-1"] {
            #expect(village.pods[pod]?.annotations[RemovalNames.podRemoval] == nil, "\(pod)")
            #expect(village.pods[pod]?.gate == .serving, "\(pod)")
        }
        #expect(village.withdrawals["late-1"] == [.annotation, .gate, .hook, .bus, .event])
    }

    @Test("once Heat is called nobody looks any more")
    func over() {
        var village = Self.draining()
        village.removePod("web-1")
        village.step(.drained(deadline: village.now + .seconds(600)))
        village.step(.removing(RemovalRecord.Change(survivors: []), deadline: village.now + .seconds(600)))
        let pages = village.pages
        village.run(.seconds(120))
        #expect(village.pages == pages)
        #expect(village.core.nextWake() == nil)
    }
}
