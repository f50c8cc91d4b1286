import Messages
import Support
import Testing

@testable import Notifier

@Suite("Notice and cooldown")
struct NotifierCoreTests {
    @Test("every pod that moves is told by every way it offers; then noticed is said")
    func told() {
        var village = Village()
        village.addPod("web-1", hook: true, gate: .serving)
        village.addPod("plain-1")
        village.addPod("ds-1", owner: "DaemonSet")
        village.cordon()
        village.run(.seconds(1))
        #expect(village.deliveries["web-1"] == [.annotation, .gate, .hook, .bus, .event])
        #expect(village.deliveries["plain-1"] == [.annotation, .bus, .event])
        #expect(village.deliveries["ds-1"] == nil)
        #expect(village.story == [.nodeRemoval, .removalNoticed])
        #expect(village.noticed.last?.deadline == village.core.end(ofNode: "n1"))
    }

    @Test("pods of DaemonSets that are evicted last are told like the others, and are waited for")
    func daemonSets() {
        var village = Village { $0.tellsDaemonSets = true }
        village.addPod("web-1")
        village.addPod("ds-1", hook: true, owner: "DaemonSet")
        village.addPod("ds-stays", owner: "DaemonSet")
        village.pods["ds-stays"]?.annotations[RemovalNames.daemonSetEviction] = "false"
        village.addPod("static", owner: "Node")
        village.cordon()
        village.run(.seconds(1))
        #expect(village.deliveries["ds-1"] == [.annotation, .hook, .bus, .event])
        #expect(village.deliveries["ds-stays"] == nil && village.deliveries["static"] == nil)
        #expect(village.answer("web-1", .done) == .accepted)
        village.run(.seconds(5))
        #expect(!village.story.contains(.removalQuiesced))
        #expect(village.answer("ds-1", .done) == .accepted)
        village.run(.seconds(1))
        #expect(village.quiesced.map(\.reason.reason) == [.allPodsAnswered])
    }

    @Test("all answer done: the cooldown ends at once")
    func allDone() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.addPod("web-2")
        village.hookAnswers["web-1"] = .done
        village.cordon()
        village.run(.seconds(5))
        #expect(!village.story.contains(.removalQuiesced))
        #expect(village.answer("web-2", .done) == .accepted)
        village.run(.seconds(1))
        #expect(village.quiesced.map(\.reason.reason) == [.allPodsAnswered])
    }

    @Test("nobody answers: it ends at the deadline, on time, and names who did not")
    func silent() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(village.quiesced.first?.reason.reason == .cooldownExpired)
        #expect(village.quiesced.first?.reason.detail.contains("default/web-1") == true)
        #expect(ended - Village.start <= .seconds(61))
        #expect(ended - Village.start >= .seconds(60))
    }

    @Test("nothing to tell: over at once")
    func nothing() {
        var village = Village()
        village.addPod("ds-1", owner: "DaemonSet")
        village.cordon()
        village.run(.seconds(1))
        #expect(village.quiesced.map(\.reason.reason) == [.nothingToTell])
        #expect(village.story.contains(.removalNoticed))
    }

    @Test("a pod that was bound a moment after the cordon is found, told, and has its time")
    func lateBinding() {
        var village = Village { $0.bindingGrace = .seconds(5) }
        village.cordon()
        village.run(.seconds(1))
        #expect(village.noticed.count == 1)
        #expect(village.quiesced.isEmpty)
        // Nobody watches pods without the gate.
        village.addPod("web-1")
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(village.deliveries["web-1"]?.contains(.annotation) == true)
        #expect(village.quiesced.map(\.reason.reason) == [.cooldownExpired])
        #expect(ended - Village.start >= .seconds(65))
    }

    @Test("without such a pod the cooldown ends when none can come any more")
    func noLateBinding() {
        var village = Village { $0.bindingGrace = .seconds(5) }
        village.addPod("web-1", hook: true)
        village.hookAnswers["web-1"] = .done
        village.cordon()
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(village.quiesced.map(\.reason.reason) == [.allPodsAnswered])
        #expect(ended - Village.start >= .seconds(5) && ended - Village.start <= .seconds(6))
    }

    @Test("a pod that goes by itself counts as answered")
    func goes() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        village.run(.seconds(2))
        village.removePod("web-1")
        village.run(.seconds(1))
        #expect(village.quiesced.map(\.reason.reason) == [.allPodsAnswered])
    }

    @Test("more time is granted within policy, and noticed is said again with the new deadline")
    func extend() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        village.run(.seconds(10))
        #expect(village.answer("web-1", .extend(.seconds(120))) == .accepted)
        #expect(village.noticed.count == 2)
        #expect(village.answer("web-1", .extend(.seconds(100_000))) == .clamped)
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - Village.start >= .seconds(599))
        #expect(ended - Village.start <= .seconds(601))
    }

    @Test("who asks for a little more time each moment has it, and floods nobody")
    func extendAgainAndAgain() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        village.run(.seconds(1))
        for _ in 0..<300 {
            village.run(.milliseconds(10))
            _ = village.answer("web-1", .extend(.seconds(60)))
        }
        let most = Int((village.now - Village.start).inSeconds) + 2
        #expect(village.noticed.count <= most && most < 150, "\(village.noticed.count) of \(most)")
        let told = village.noticed.last?.deadline ?? Village.start
        #expect(village.now + .seconds(60) - told <= .seconds(1))
        village.run(.seconds(58))
        #expect(village.quiesced.isEmpty)
    }

    @Test("asking for less time than there is takes nothing away")
    func less() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        village.run(.seconds(1))
        #expect(village.answer("web-1", .extend(.seconds(2))) == .accepted)
        village.run(.seconds(30))
        #expect(village.quiesced.isEmpty)
    }

    @Test("a refusal counts only where policy says so; then the removal is cancelled")
    func refuse() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        village.run(.seconds(1))
        #expect(village.answer("web-1", .refuse) == .notAllowed)
        #expect(!village.story.contains(.removalCancelled))
        village = Village { $0.pods.terms.mayRefuse = true }
        village.addPod("web-1")
        village.cordon()
        village.run(.seconds(1))
        #expect(village.answer("web-1", .refuse) == .accepted)
        #expect(village.story.contains(.removalCancelled))
    }

    @Test("nobody can refuse what somebody else does: the machine goes, and no cancellation is said")
    func refuseExternal() {
        var village = Village { $0.pods.terms.mayRefuse = true }
        village.addPod("web-1", hook: true)
        village.hookAnswers["web-1"] = .refuse
        var record = Village.record("n1", at: village.now)
        record.reason = Explanation(.externalScaleIn, "Heat deletes member m")
        village.node.record = record
        village.feed(.nodeSeen(village.node))
        village.run(.seconds(1))
        #expect(village.heard == [.irrevocable])
        #expect(village.answer("web-1", .refuse) == .irrevocable)
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podAnswer] == nil)
        // What it may still say counts.
        #expect(village.answer("web-1", .done) == .accepted)
        #expect(!village.story.contains(.removalCancelled))
        // Also not by whoever takes over and finds a refusal on the pod.
        village.annotate("web-1", "refuse")
        village.crash()
        village.run(.seconds(5))
        #expect(!village.story.contains(.removalCancelled))
    }

    @Test("forged, unknown, duplicate and late answers change nothing and are counted")
    func strange() {
        var village = Village()
        village.addPod("web-1")
        village.addPod("web-2")
        village.cordon()
        village.run(.seconds(1))
        #expect(village.answer("web-1", .done, isAuthentic: false) == .forged)
        #expect(village.answer("nobody", .done) == .unknown)
        #expect(village.answer("web-1", .done, removal: "r0") == .unknown)
        #expect(village.answer("web-1", .done) == .accepted)
        #expect(village.answer("web-1", .done) == .duplicate)
        #expect(village.answer("web-1", .extend(.seconds(60))) == .late)
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(village.answer("web-2", .done) == .late)
        #expect(village.heard == [.forged, .unknown, .unknown, .accepted, .duplicate, .late, .late])
    }

    @Test("a pod may answer by its annotation")
    func annotation() {
        var village = Village()
        village.addPod("web-1")
        village.cordon()
        village.run(.seconds(1))
        village.pods["web-1"]?.annotations[RemovalNames.podAnswer] = "done"
        village.sees("web-1")
        village.run(.seconds(1))
        #expect(village.quiesced.map(\.reason.reason) == [.allPodsAnswered])
    }

    @Test("a hook that fails is tried again, then given up, and does not hold the node beyond its deadline")
    func failingHook() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.failures["web-1"] = 100
        village.cordon()
        village.run(.seconds(1))
        #expect(village.story.contains(.removalNoticed))
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(village.hookTries["web-1"] == 5)
        #expect(ended - Village.start <= .seconds(61))
    }

    @Test("cancelled: everyone who was told is told to stay, the gate is true again")
    func cancelled() {
        var village = Village()
        village.addPod("web-1", hook: true, gate: .serving)
        village.cordon()
        village.run(.seconds(5))
        village.step(.cancelled(Explanation(.loadReturned)))
        village.run(.seconds(2))
        #expect(village.withdrawals["web-1"] == [.annotation, .gate, .hook, .bus, .event])
        #expect(village.pods["web-1"]?.gate == .serving)
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podRemoval] == nil)
        #expect(village.quiesced.isEmpty)
        #expect(village.answer("web-1", .done) != .accepted)
    }

    @Test("cancelled during the drain, when nothing is awaited any more: told to stay as well")
    func cancelledLate() {
        var village = Village()
        village.addPod("web-1", gate: .serving)
        village.cordon()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        village.step(.quiesced(Explanation(.cooldownExpired), deadline: village.now + .seconds(900)))
        village.run(.seconds(5))
        village.step(.cancelled(Explanation(.loadReturned)))
        village.run(.seconds(2))
        #expect(village.pods["web-1"]?.gate == .serving)
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podRemoval] == nil)
    }

    @Test("what the Actuator has not heard is said again")
    func again() {
        var village = Village()
        village.cordon()
        village.run(.seconds(12))
        #expect(village.quiesced.count == 3)
        village.step(.quiesced(Explanation(.nothingToTell), deadline: village.now + .seconds(900)))
        village.run(.seconds(120))
        #expect(village.quiesced.count == 3)
    }

    @Test("a gate that cannot be opened is tried again, also when nothing else happens to the pod")
    func gateAgain() {
        var village = Village()
        village.gateFailures = 2
        village.addPod("web-1", node: "n2", gate: .unset)
        village.sees("web-1")
        village.run(.seconds(10))
        #expect(village.pods["web-1"]?.gate == .unset)
        village.run(.seconds(60))
        #expect(village.pods["web-1"]?.gate == .serving && village.gateFailures == 0)
    }

    @Test("a pod with the gate serves until it is told otherwise")
    func gates() {
        var village = Village()
        village.addPod("web-1", node: "n2", gate: .unset)
        village.sees("web-1")
        village.run(.seconds(1))
        #expect(village.pods["web-1"]?.gate == .serving)
    }

    @Test("killed at any action and made anew, each pod is told and the cooldown keeps its deadline")
    func crashes() {
        var when = 1
        var total = 100
        while when <= total {
            for isBefore in [true, false] {
                var village = Village()
                village.addPod("web-1", hook: true, gate: .serving)
                village.addPod("web-2")
                if isBefore { village.crashBefore = when } else { village.crashAfter = when }
                village.cordon()
                let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
                let label = "crash \(isBefore ? "before" : "after") \(when)"
                #expect(village.deliveries["web-1"]?.contains(.hook) == true, "\(label)")
                #expect(village.pods["web-1"]?.gate == .notServing, "\(label)")
                #expect(village.pods["web-2"]?.annotations[RemovalNames.podDeadline] != nil, "\(label)")
                #expect(village.story.contains(.removalNoticed), "\(label)")
                #expect(ended - Village.start <= .seconds(62), "\(label)")
                if village.crashes == 0 { total = min(total, village.steps) }
            }
            when += 1
        }
    }

    @Test("killed at any action of a cancellation, nobody is left under notice")
    func crashesOfCancellation() {
        var when = 1
        var total = 100
        while when <= total {
            var village = Village()
            village.addPod("web-1", hook: true, gate: .serving)
            village.cordon()
            village.run(.seconds(5))
            village.crashAfter = village.steps + when
            village.step(.cancelled(Explanation(.loadReturned)))
            village.run(.seconds(20))
            #expect(village.pods["web-1"]?.gate == .serving, "crash after \(when)")
            #expect(village.pods["web-1"]?.annotations[RemovalNames.podRemoval] == nil, "crash after \(when)")
            if village.crashes == 0 { total = min(total, when) }
            when += 1
        }
    }

    @Test("a hook that never comes back holds neither the notice nor the node beyond its deadline")
    func hangingHook() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.hanging = ["web-1"]
        village.cordon()
        village.run(.seconds(59))
        #expect(village.story.isEmpty, "one way is still being tried")
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(village.story == [.nodeRemoval, .removalNoticed, .removalQuiesced])
        #expect(ended - Village.start <= .seconds(61))
    }

    @Test("a hook whose turn comes after the pod's time is not called, and that is recorded")
    func expiredHook() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.hanging = ["web-1"]
        village.cordon()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        village.drain()
        // It comes back from the line in which it waited.
        village.feed(.delivered(DeliveryID(podUID: "web-1", channel: .hook, generation: 1), .expired))
        #expect(
            village.pods["web-1"]?.annotations[RemovalNames.podNotice]
                == "r1 annotation=told hook=expired bus=told event=told")
        village.run(.seconds(60))
        #expect(village.hookTries["web-1"] == nil)
    }

    @Test("a hook whose turn came too late is called all the same if the pod was granted more time")
    func expiredAndExtended() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.hanging = ["web-1"]
        village.cordon()
        village.run(.seconds(50))
        #expect(village.answer("web-1", .extend(.seconds(100))) == .accepted)
        village.run(.seconds(15))
        village.hanging = []
        village.feed(.delivered(DeliveryID(podUID: "web-1", channel: .hook, generation: 1), .expired))
        village.run(.seconds(2))
        #expect(village.hookTries["web-1"] == 1)
        #expect(village.story.filter { $0 == .removalQuiesced }.isEmpty)
    }

    @Test("a hook that failed is not tried again when the pod's time is over")
    func noLateTry() {
        var village = Village {
            $0.pods.terms.cooldown = .seconds(2)
        }
        village.addPod("web-1", hook: true)
        village.failures["web-1"] = 100
        village.cordon()
        village.run(.seconds(30))
        // At once and after one second; the next would have been after three.
        #expect(village.hookTries["web-1"] == 2)
        #expect(
            village.pods["web-1"]?.annotations[RemovalNames.podNotice]
                == "r1 annotation=told hook=expired bus=told event=told")
    }

    @Test("the annotation goes first: whoever finds a pod knows what it was told")
    func annotationFirst() {
        var village = Village()
        village.addPod("web-1", hook: true, gate: .serving)
        village.broken = [.annotation]
        village.cordon()
        village.run(.seconds(10))
        #expect(village.order.isEmpty)
        village.broken = []
        village.run(.seconds(10))
        #expect(village.order == ["web-1 annotation", "web-1 gate", "web-1 hook", "web-1 bus", "web-1 event"])
        // Its time began when it was told.
        #expect(village.core.end(ofNode: "n1").map { $0 > Village.start + .seconds(65) } == true)
        village.order = []
        village.step(.cancelled(Explanation(.loadReturned)))
        #expect(
            village.order
                == [
                    "web-1 gate stay", "web-1 hook stay", "web-1 bus stay", "web-1 event stay", "web-1 annotation stay",
                ])
    }

    @Test("an annotation that cannot be written does not keep a pod from being told by the other ways")
    func annotationBroken() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.broken = [.annotation]
        village.cordon()
        village.run(.seconds(40))
        #expect(village.deliveries["web-1"] == [.hook, .bus, .event])
        #expect(village.story.contains(.removalNoticed))
    }

    @Test("a pod that could not be told in any way keeps its node: it is never said that the cooldown is over")
    func unreachable() {
        var village = Village()
        village.addPod("web-1", hook: true, gate: .serving)
        village.addPod("web-2")
        village.broken = Set(NoticeChannel.allCases)
        village.cordon()
        village.run(.seconds(580))
        #expect(village.story.isEmpty)
        // Tried as long as there is time for its whole cooldown (`OwnTimeTests`).
        village.broken = []
        village.run(.seconds(20))
        #expect(village.deliveries["web-1"]?.contains(.annotation) == true)
    }

    @Test("read in vain, the pods of a node that stays are read again")
    func stayingUnread() {
        var village = Village()
        village.addPod("web-1", gate: .serving)
        village.cordon()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        village.step(.quiesced(Explanation(.cooldownExpired), deadline: village.now + .seconds(900)))
        // Whoever takes over knows of nobody who was told.
        village.readsFail = true
        village.crash()
        village.step(.cancelled(Explanation(.loadReturned)))
        village.run(.seconds(20))
        #expect(village.pods["web-1"]?.gate == .notServing)
        village.readsFail = false
        village.run(.seconds(6))
        #expect(village.pods["web-1"]?.gate == .serving)
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podRemoval] == nil)
    }

    @Test("a cancellation that was told before is not told to the bus again by whoever takes over")
    func stayingTwice() {
        var village = Village()
        village.addPod("web-1", gate: .serving)
        village.cordon()
        village.run(.seconds(2))
        village.step(.cancelled(Explanation(.loadReturned)))
        #expect(village.story == [.nodeRemoval, .removalNoticed, .nodeRemoval])
        village.order = []
        village.crash()
        village.run(.seconds(10))
        #expect(village.story.count == 3)
        #expect(village.order.isEmpty)
    }

    @Test(
        "whatever a record becomes, in whatever order, pods are under notice exactly while the node is",
        arguments: [UInt64](1...200))
    func anyOrder(seed: UInt64) {
        var seed = seed
        func random(_ bound: Int) -> Int {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(seed >> 33) % bound
        }
        var village = Village()
        village.addPod("web-1", hook: true, gate: .serving)
        village.addPod("web-2")
        var story: [String] = []
        for _ in 0..<12 {
            // Also what no Actuator writes: backwards, another removal in the middle, no record.
            let phases = RemovalPhase.allCases + [nil]
            let phase = phases[random(phases.count)]
            var record = phase.map { _ in Village.record("n1", at: village.now) }
            record?.id = "r\(random(3))"
            if let phase { record?.phase = phase }
            story.append(record.map { "\($0.id) \($0.phase.rawValue)" } ?? "none")
            village.node.record = record
            village.feed(.nodeSeen(village.node))
            if random(4) == 0 { village.crash() }
            village.run(.seconds(Double(random(40))))
        }
        village.run(.seconds(60))
        let record = village.node.record
        let isTelling = record?.phase == .cordoned || record?.phase == .noticed
        // Also there whoever has no notice gets one.
        let isDraining = record?.phase == .quiesced || record?.phase == .drained
        for name in ["web-1", "web-2"] {
            let removal = village.pods[name]?.annotations[RemovalNames.podRemoval]
            if isTelling || isDraining {
                #expect(removal == record?.id, "\(name) after \(story)")
            } else if record?.phase.isUnderNotice != true {
                #expect(removal == nil, "\(name) after \(story)")
            }
        }
        if isTelling { #expect(village.pods["web-1"]?.gate == .notServing, "\(story)") }
        if record?.phase.isUnderNotice != true { #expect(village.pods["web-1"]?.gate == .serving, "\(story)") }
        // What was said to be over was over.
        #expect(village.quiesced.allSatisfy { $0.id.hasPrefix("r") }, "\(story)")
    }

    @Test("a thousand cooldowns of ten pods at once: each ends on time, from one timer queue")
    func thousand() {
        var core = NotifierCore(policy: Village.policy)
        var now = Village.start
        var events = 0
        var spent = Duration.zero
        func handle(_ event: NotifierEvent) -> [NotifierAction] {
            events += 1
            let begin = ContinuousClock.now
            defer { spent += ContinuousClock.now - begin }
            return core.handle(event, at: now)
        }
        var ends: [String: Timestamp] = [:]
        var late: [Interval] = []
        // Each delivery arrives at once; every tenth hook fails for ever.
        func perform(_ first: [NotifierAction]) {
            var work = first[...]
            while let action = work.popFirst() {
                switch action {
                case .deliver(let id, _, _):
                    let fails = id.channel == .hook && id.podUID.hasSuffix("-7")
                    work += handle(.delivered(id, fails ? .failed("503", isRetriable: true) : .delivered(answer: nil)))
                case .publish(.removalQuiesced(let event)):
                    // Said again later, since no record ever shows it here.
                    if let end = ends.removeValue(forKey: event.removal.node) { late.append(now - end) }
                case .readPods(let node) where now > Village.start + .seconds(2):
                    work += handle(.podsUnread(node: node))
                default: break
                }
            }
        }
        perform(handle(.nodesListed([])))
        for index in 0..<1_000 {
            now = Village.start + .milliseconds(Int64(index))
            let name = "n\(index)"
            let record = Village.record(name, at: now)
            perform(handle(.nodeSeen(NotifiedNode(name: name, uid: "uid-\(name)", record: record))))
            let pods = (0..<10).map {
                NodePod(
                    name: "\(name)-\($0)", uid: "\(name)-\($0)", node: name, ip: "10.0.0.1",
                    annotations: [RemovalNames.shutdownHook: "http://:80/"])
            }
            perform(handle(.podsRead(node: name, pods)))
            ends[name] = now + .seconds(60)
        }
        while let wake = core.nextWake(), wake < Village.start + .seconds(70) {
            now = max(now, wake)
            perform(handle(.tick))
        }
        #expect(late.count == 1_000)
        #expect(late.allSatisfy { $0 >= .zero && $0 <= .milliseconds(1) }, "latest: \(late.max() ?? .zero)")
        let each = spent / max(1, events)
        print("1,000 nodes with 10 pods: \(events) events, \(each) each")
        #expect(each < .milliseconds(5))
    }
}
