import Messages
import Support
import Testing

@testable import Actuator

@Suite("Draining: volumes, DaemonSets, force, load balancers")
struct DrainTests {
    @Test("drained means that the volumes of the pods are detached")
    func volumes() {
        var world = World(nodes: 3)
        world.addPod("db-0", on: "node-m2", owner: "StatefulSet")
        world.volumes = ["pvc-1": world.now + .seconds(40)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.pods.isEmpty })
        world.pass(.seconds(10))
        #expect(world.record("node-m2")?.phase == .quiesced)
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.now - World.start >= .seconds(40))
    }

    @Test("the volumes of DaemonSet pods, and of a pod that came meanwhile, are waited for as well")
    func volumesOfLaterPods() {
        for isLate in [false, true] {
            var world = World(nodes: 3)
            world.policy.evictsDaemonSets = true
            world.restart()
            world.addPod("web-1", on: "node-m2", grace: 5)
            world.addPod("agent-1", on: "node-m2", grace: isLate ? 30 : 5, owner: "DaemonSet")
            world.send(world.removal("r1", ["m2"]))
            #expect(world.run { $0.evictions.contains("agent-1") })
            if isLate {
                world.addPod("late", on: "node-m2", grace: 5)
                world.tell("node-m2", of: "r1")
            }
            let until = world.now + .seconds(60)
            world.volumes = ["pvc-late": until]
            #expect(world.run { $0.story.contains(.removalDrained) })
            #expect(world.now >= until, "late: \(isLate)")
            #expect(world.run { $0.story.contains(.removalCompleted) })
            #expect(world.evictions == (isLate ? ["web-1", "agent-1", "late"] : ["web-1", "agent-1"]))
        }
    }

    @Test("a volume that was given up is not waited for again when the DaemonSets' pods have gone")
    func volumeGivenUp() {
        var world = World(nodes: 3)
        world.policy.evictsDaemonSets = true
        world.restart()
        world.addPod("agent-1", on: "node-m2", owner: "DaemonSet")
        world.volumes = ["pvc-1": world.now + .seconds(100_000)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
        let took = world.now - World.start
        #expect(took >= .seconds(120) && took < .seconds(160), "\(took)")
        #expect(world.warnings.count { $0.reason == .volumesAttached } == 1)
    }

    @Test("volumes that stay: the removal goes on after the time, or fails where policy says so")
    func volumesStay() {
        for mustDetach in [false, true] {
            var world = World(nodes: 3)
            world.policy.volumesMustDetach = mustDetach
            world.restart()
            world.volumes = ["pvc-1": world.now + .seconds(100_000)]
            world.send(world.removal("r1", ["m2"]))
            #expect(world.run { $0.story.contains(.removalCompleted) || $0.story.contains(.removalFailed) })
            if mustDetach {
                #expect(world.reasons(.removalFailed) == [.volumesAttached])
                #expect(world.record("node-m2")?.outcome?.detail.contains("pvc-1") == true)
                #expect(!world.isCordoned("node-m2"))
            } else {
                #expect(world.story.last == .removalCompleted)
            }
            let took = world.now - World.start
            #expect(took >= .seconds(120) && took < .seconds(160), "\(took)")
        }
    }

    @Test("a grace period that is cut to the deadline: the pod that uses all of it does not fail the removal")
    func graceUntilDeadline() {
        for mustDetach in [false, true] {
            var world = World(nodes: 3)
            world.policy.drainTimeout = .seconds(60)
            world.policy.volumesMustDetach = mustDetach
            world.restart()
            world.objectsStay = .seconds(2)
            world.addPod("db-0", on: "node-m2", grace: 600)
            world.volumes = ["pvc-1": world.now + .seconds(68)]
            world.send(world.removal("r1", ["m2"]))
            #expect(world.run { $0.story.contains(.removalCompleted) || $0.story.contains(.removalFailed) })
            #expect(world.story.last == .removalCompleted, "\(world.reasons(.removalFailed))")
            let grace = world.graces["db-0"].flatMap(\.self) ?? 0
            #expect(grace >= 58 && grace <= 60, "\(grace)")
            #expect(world.now - World.start < .seconds(90))
        }
    }

    @Test("after the deadline nothing new is evicted, and what ends does not hide what does not")
    func lateAndEnding() {
        var world = World(nodes: 3)
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.objectsStay = .seconds(5)
        world.addPod("db-0", on: "node-m2", grace: 600)
        world.addPod("web-1", on: "node-m2")
        world.budget["web-1"] = 12
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalFailed) || $0.story.contains(.removalCompleted) })
        #expect(world.reasons(.removalFailed) == [.evictionBlocked])
        #expect(world.evictions == ["db-0"])
        let took = world.now - World.start
        #expect(took < .seconds(68), "\(took)")
        // One that its kubelet never ends is waited for a moment more, no longer.
        world = World(nodes: 3)
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.stuckPods = ["db-0"]
        world.addPod("db-0", on: "node-m2", grace: 600)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalFailed) })
        let stuck = world.now - World.start
        #expect(stuck >= .seconds(70) && stuck < .seconds(80), "\(stuck)")
    }

    @Test("who may not see attachments does not wait for them")
    func volumesForbidden() {
        var world = World(nodes: 3)
        world.volumeFailure = ActFailure(.kubernetesRefused, "403", isRetriable: false)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run(within: .seconds(30)) { $0.story.contains(.removalCompleted) })
        // Nor for ever when the server does not answer.
        world = World(nodes: 3)
        world.volumeFailure = ActFailure(.kubernetesUnreachable, "503", isRetriable: true)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run(within: .seconds(180)) { $0.story.contains(.removalCompleted) })
    }

    @Test(
        "pods that a dead node never lets go of count as gone when their time is over, and on a node that works never")
    func stranded() {
        for isDead in [true, false] {
            var world = World(nodes: 3)
            world.addPod("web-1", on: "node-m2", grace: 20)
            world.stuckPods = ["web-1"]
            if isDead { world.unready = ["node-m2"] }
            world.send(world.removal("r1", ["m2"]))
            #expect(
                world.run(within: .seconds(1_200)) {
                    $0.story.last == .removalCompleted || $0.story.last == .removalFailed
                })
            #expect(world.evictions == ["web-1"])
            #expect(world.story.last == (isDead ? .removalCompleted : .removalFailed))
            // Its grace period, and a while more.
            #expect(world.now - World.start >= .seconds(50))
        }
    }

    @Test("DaemonSet pods are left, or go last and once")
    func daemonSets() {
        for last in [false, true] {
            var world = World(nodes: 3)
            world.policy.evictsDaemonSets = last
            world.restart()
            world.addPod("web-1", on: "node-m2", grace: 5)
            world.addPod("agent-1", on: "node-m2", owner: "DaemonSet")
            world.addPod("agent-stays", on: "node-m2", owner: "DaemonSet")
            world.pods["agent-stays"]?.annotations[RemovalNames.daemonSetEviction] = "false"
            world.addPod("static", on: "node-m2", owner: "Node")
            world.send(world.removal("r1", ["m2"]))
            #expect(world.run { $0.pods["web-1"] == nil })
            if last {
                #expect(world.run { $0.pods["agent-1"] == nil })
                // Its controller is faster than we are: the new one does not hold the node.
                world.addPod("agent-2", on: "node-m2", owner: "DaemonSet")
            }
            #expect(world.run { $0.story.contains(.removalCompleted) })
            #expect(world.evictions == (last ? ["web-1", "agent-1"] : ["web-1"]))
            if last, let web = world.evictedAt["web-1"], let agent = world.evictedAt["agent-1"] {
                #expect(agent - web >= .seconds(5), "before the other pod was gone")
            }
        }
    }

    @Test("a DaemonSet pod that does not go holds the node until the deadline only")
    func stuckDaemonSet() {
        var world = World(nodes: 3)
        world.policy.evictsDaemonSets = true
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.addPod("agent-1", on: "node-m2", owner: "DaemonSet")
        world.stuckPods = ["agent-1"]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.now - World.start >= .seconds(60))
    }

    @Test("force: a pod on which its notice cannot be written is not deleted either, and the failure names it")
    func forcedUntold() {
        var world = World(nodes: 3)
        world.policy.forceTimeout = .seconds(60)
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.addPod("web-1", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.told.contains("node-m2") })
        world.pods["web-1"]?.annotations = [:]
        #expect(world.run(within: .minutes(10)) { $0.record("node-m2")?.drain?.forced != nil })
        #expect(world.run(within: .minutes(10)) { $0.story.contains(.removalFailed) })
        #expect(world.deletions.isEmpty && world.evictions.isEmpty)
        #expect(world.reasons(.removalFailed) == [.podNotTold])
        #expect(world.record("node-m2")?.outcome?.detail.contains("web-1 has no notice") == true)
        #expect(!world.isCordoned("node-m2"))
    }

    @Test("force: only after the deadline, recorded before the first deletion, with the pods' own grace")
    func forced() {
        var world = World(nodes: 3)
        world.policy.forceTimeout = .seconds(120)
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.addPod("web-1", on: "node-m2", grace: 7)
        world.budget["web-1"] = 1_000_000
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.drain?.forced != nil })
        #expect(world.unrecordedDeletions.isEmpty)
        #expect(world.now - World.start >= .seconds(60))
        let why = world.record("node-m2")?.drain?.forced
        #expect(why?.reason == .drainForced)
        #expect(why?.detail.contains("the budget web") == true, "\(why?.detail ?? "")")
        #expect(world.run { $0.deletions == ["web-1"] })
        world.crash()
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(Set(world.deletions) == ["web-1"] && world.unrecordedDeletions.isEmpty)
        #expect(world.graces["web-1"] == .some(nil), "its own grace period")
    }

    @Test("force is for those that had their time: a pod that comes meanwhile has its own")
    func forcedAndLate() {
        var world = World(nodes: 3)
        world.policy.forceTimeout = .seconds(120)
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.addPod("web-1", on: "node-m2", grace: 30)
        world.budget["web-1"] = 1_000_000
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.drain?.forced != nil })
        world.addPod("late", on: "node-m2")
        world.pass(.seconds(10))
        #expect(world.deletions == ["web-1"])
        let deadline = world.now + .seconds(20)
        world.pods["late"]?.annotations = [
            RemovalNames.podRemoval: "r1", RemovalNames.podDeadline: deadline.rfc3339,
            RemovalNames.podNotice: "r1 annotation=told",
        ]
        #expect(world.run { $0.deletions.contains("late") })
        #expect(world.now >= deadline)
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
    }

    @Test("a pod that is deleted and does not go: failed in the end, unless policy kills it")
    func forcedInVain() {
        for grace in [nil, Interval.seconds(3), .zero] {
            var world = World(nodes: 3)
            world.policy.forceTimeout = .seconds(60)
            world.policy.forceGrace = grace
            world.policy.drainTimeout = .seconds(60)
            world.restart()
            world.addPod("web-1", on: "node-m2", grace: 20)
            world.stuckPods = ["web-1"]
            world.send(world.removal("r1", ["m2"]))
            #expect(world.run { $0.story.contains(.removalCompleted) || $0.story.contains(.removalFailed) })
            #expect(
                world.story.last == (grace == .zero ? .removalCompleted : .removalFailed),
                "\(String(describing: grace))")
            // Its own grace runs since the eviction; only a shorter one is said again.
            #expect(world.deletions == (grace == nil ? [] : ["web-1"]))
            if grace != nil { #expect(world.graces["web-1"] == (grace == .zero ? 0 : 3)) }
        }
    }

    @Test("no eviction before load balancers had their time, which counts from the cordon")
    func loadBalancers() {
        var world = World(nodes: 3)
        world.policy.loadBalancerWait = .seconds(30)
        world.restart()
        world.addPod("web-1", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.isCordoned("node-m2") })
        let cordonedAt = world.now
        #expect(world.run { $0.record("node-m2")?.phase == .quiesced })
        #expect(world.now - cordonedAt < .seconds(10))
        world.crash()
        #expect(world.run { $0.story.contains(.removalCompleted) })
        let waited = (world.evictedAt["web-1"] ?? cordonedAt) - cordonedAt
        #expect(waited >= .seconds(30) && waited < .seconds(33), "\(waited)")
        // A cooldown that was longer leaves nothing to wait for.
        world = World(nodes: 3)
        world.policy.loadBalancerWait = .seconds(5)
        world.cooldown = .seconds(20)
        world.restart()
        world.addPod("web-1", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.evictedAt["web-1"] != nil })
        #expect(world.now - World.start < .seconds(23))
    }

    // MARK: StatefulSets

    func quorum(successorTakes: Interval) -> World {
        var world = World(nodes: 3)
        world.policy.drainTimeout = .seconds(200)
        world.restart()
        world.successorTakes = successorTakes
        for name in ["db-0", "db-1"] {
            world.addPod(name, on: "node-m2", owner: "StatefulSet")
            world.pods[name]?.ownerUID = "db"
        }
        world.addPod("web-1", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        return world
    }

    @Test(
        "the next pod of a StatefulSet goes when the last one's successor is ready, for half of the drain's time at most"
    )
    func setsWait() {
        for (takes, least, most) in [(40.0, 40.0, 47.0), (10_000, 95, 105)] {
            var world = quorum(successorTakes: .seconds(takes))
            #expect(world.run { $0.story.contains(.removalCompleted) || $0.story.contains(.removalFailed) })
            #expect(world.story.last == .removalCompleted)
            #expect(world.evictions == ["web-1", "db-1", "db-0"] || world.evictions == ["db-1", "web-1", "db-0"])
            guard let first = world.evictedAt["db-1"], let second = world.evictedAt["db-0"],
                let web = world.evictedAt["web-1"]
            else {
                Issue.record("not evicted: \(world.evictions)")
                continue
            }
            #expect(second - first >= .seconds(least) && second - first < .seconds(most), "\(second - first)")
            #expect(web - World.start < .seconds(6), "others do not wait")
            #expect(world.warnings.contains { $0.detail.contains("1 of 2 other pods are ready") } == (takes > 100))
        }
    }

    @Test("a pod of a StatefulSet that is not ready itself waits for no other")
    func brokenOfSet() {
        var world = quorum(successorTakes: .seconds(10_000))
        world.isBroken = ["db-0"]
        #expect(world.run(within: .seconds(30)) { $0.evictions.contains("db-0") })
        #expect(world.evictions.contains("db-1"))
    }

    /// Of the set one pod is here, and the others are ready; the other pod is of higher priority.
    func classes() -> World {
        var world = quorum(successorTakes: .zero)
        world.pods["db-1"] = nil
        world.pods["web-1"]?.priority = 1_000
        return world
    }

    @Test(
        "a pod of higher priority goes when the eviction of a StatefulSet's pod is accepted, not while its set is asked for"
    )
    func setsAndPriorities() {
        var world = classes()
        #expect(world.run(within: .seconds(30)) { $0.evictions.count == 2 })
        #expect(world.evictions == ["db-0", "web-1"])
        // The set is short: that may last, and nobody else waits for it.
        world = classes()
        world.successorTakes = .seconds(10_000)
        world.evictedAt["db-2"] = world.now
        #expect(world.run(within: .seconds(10)) { $0.evictions == ["web-1"] }, "\(world.evictions)")
    }

    @Test(
        "a StatefulSet's pod that its budget keeps holds up those of higher priority for half a minute, not for a moment"
    )
    func setsAndBudgets() {
        var world = classes()
        world.budget["db-0"] = 1_000_000
        #expect(world.run(within: .seconds(60)) { $0.evictions == ["web-1"] })
        let waited = world.now - World.start
        #expect(waited >= .seconds(30) && waited < .seconds(40), "\(waited)")
    }

    @Test(
        "a StatefulSet that cannot be read holds up those of higher priority for half a minute as well, and then itself only"
    )
    func unreadSets() {
        var world = classes()
        world.workloadFailure = ActFailure(.kubernetesUnreachable, "503", isRetriable: true)
        #expect(world.run(within: .seconds(60)) { $0.evictions == ["web-1"] })
        let waited = world.now - World.start
        #expect(waited >= .seconds(30) && waited < .seconds(40), "\(waited)")
        #expect(world.run(within: .seconds(120)) { $0.evictions == ["web-1", "db-0"] })
        #expect(world.run { $0.story.contains(.removalCompleted) })
    }

    // MARK: Gone

    @Test("a pod that was evicted and has ended is waited for until its object is gone")
    func endedAndThere() {
        var world = World(nodes: 3)
        world.objectsStay = .seconds(20)
        world.addPod("web-1", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.evictions == ["web-1"] })
        world.pods["web-1"]?.phase = .failed
        #expect(world.run { $0.story.contains(.removalDrained) })
        #expect(world.pods["web-1"] == nil, "its object is there")
        #expect(world.run { $0.story.contains(.removalCompleted) })
    }

    @Test("a finalizer that keeps one that has ended for ever: the drain ends by its deadline, as for any other")
    func endedForEver() {
        var world = World(nodes: 3)
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.stuckPods = ["web-1"]
        world.addPod("web-1", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.evictions == ["web-1"] })
        world.pods["web-1"]?.phase = .succeeded
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.drainTimedOut])
        #expect(world.now - World.start < .seconds(80) && !world.isCordoned("node-m2"))
    }

    // MARK: Surge

    func surging() -> World {
        var world = World(nodes: 3)
        world.policy.surgeTimeout = .seconds(60)
        world.restart()
        world.addPod("web-only", on: "node-m2")
        world.addPod("other-1", on: "node-m2")
        return world
    }

    @Test("the only pod of a workload goes when a second one is ready; then the number is put back")
    func surge() {
        var world = surging()
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.replicas == 2 })
        #expect(world.record("node-m2")?.drain?.surges.map(\.name) == ["web"])
        #expect(world.run { $0.evictions.contains("web-only") })
        #expect(world.now >= world.secondPodReadyAt ?? .now())
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.replicas == 1)
        #expect(world.scales == [2, 1])
        #expect(world.evictions == ["other-1", "web-only"], "the others do not wait for it")
    }

    @Test("a second pod that never is ready: evicted all the same, and put back")
    func surgeInVain() {
        var world = surging()
        world.secondPodTakes = .seconds(10_000)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.scales == [2, 1])
        #expect(world.now - World.start >= .seconds(60))
    }

    @Test("somebody else changes the number meanwhile: theirs stays")
    func surgeOverruled() {
        var world = surging()
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.replicas == 2 })
        world.replicas = 5
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.replicas == 5)
    }

    @Test("cancelled or failed while it is raised: put back")
    func surgeCancelled() {
        var world = surging()
        world.secondPodTakes = .seconds(10_000)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.replicas == 2 })
        world.send(world.cancellation())
        #expect(world.run { $0.story.contains(.removalFailed) })
        #expect(world.run { $0.replicas == 1 && $0.record("node-m2")?.drain == nil })
        #expect(!world.isCordoned("node-m2"))
        #expect(world.story.filter { $0 == .removalFailed }.count == 1)
        world.pass(.seconds(700))
        #expect(world.record("node-m2") == nil)
    }

    @Test("cancelled while the number cannot be put back, and decided again: it is put back all the same")
    func surgeOwed() {
        for isCancelledAgain in [false, true] {
            var world = surging()
            world.send(world.removal("r1", ["m2"]))
            #expect(world.run { $0.replicas == 2 })
            world.scaleFailure = ActFailure(.kubernetesUnreachable, "503", isRetriable: true)
            world.send(world.cancellation())
            #expect(world.run { $0.record("node-m2")?.phase == .cancelled })
            world.pass(.seconds(5))
            #expect(world.record("node-m2")?.drain?.surges.count == 1)
            world.send(world.removal("r2", ["m2"]))
            #expect(world.run { $0.record("node-m2")?.id == "r2" })
            world.crash()
            world.pass(.seconds(1))
            world.scaleFailure = nil
            if isCancelledAgain {
                world.send(world.cancellation("r2"))
                #expect(world.run { $0.replicas == 1 && $0.record("node-m2")?.drain == nil })
            } else {
                #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
            }
            #expect(world.replicas == 1 && world.scales == [2, 1], "\(world.scales)")
        }
    }

    @Test(
        "it is taken back while the replica is just being added: put back when that is known, and not before",
        arguments: ["cancelled", "pod deleted", "node deleted", "no answer"])
    func surgeOvertaken(_ how: String) {
        var world = surging()
        world.raisingTakes = .seconds(10)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { !$0.raises.isEmpty })
        switch how {
        case "pod deleted": world.pods["web-only"] = nil
        case "node deleted": world.deleteNode("node-m2")
        default: world.send(world.cancellation())
        }
        world.pass(.seconds(5))
        #expect(world.replicas == 1 && world.scales.isEmpty)
        #expect(world.record("node-m2")?.drain?.surges.count == (how == "node deleted" ? nil : 1))
        if how == "no answer" {
            // It was carried out all the same.
            let lost = world.raises.removeFirst().decision
            world.replicas = 2
            world.scales = [2]
            world.feed(
                .workloadScaled(lost, .failed(ActFailure(.kubernetesUnreachable, "timeout", isRetriable: true))))
        }
        #expect(world.run(within: .seconds(20)) { $0.scales == [2, 1] }, "\(world.scales)")
        world.pass(.minutes(2))
        #expect(world.replicas == 1 && world.scales == [2, 1], "\(world.scales)")
        #expect(world.record("node-m2")?.drain == nil)
    }

    @Test("somebody else takes the machine while it is raised: put back, also after its Node is gone")
    func surgeLost() {
        var world = surging()
        world.others.controllerDeletesNodes = true
        world.secondPodTakes = .seconds(10_000)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.replicas == 2 })
        world.scaleFailure = ActFailure(.kubernetesUnreachable, "503", isRetriable: true)
        world.leave("m2")
        #expect(world.run { $0.nodes["node-m2"] == nil }, "\(world.story)")
        world.pass(.seconds(10))
        #expect(world.replicas == 2)
        world.scaleFailure = nil
        #expect(world.run(within: .minutes(1)) { $0.replicas == 1 })
        #expect(world.scales == [2, 1], "\(world.scales)")
    }

    @Test("killed before or after any action while it surges: no replica is left over, none is missing")
    func surgeCrashes() {
        var total = 80
        var when = 1
        while when <= total {
            for isBefore in [true, false] {
                var world = surging()
                if isBefore { world.crashBefore = when } else { world.crashAfter = when }
                world.send(world.removal("r1", ["m2"]))
                let ended = world.run {
                    $0.nodes.count == 2 && $0.members.count == 2 && $0.inHand.isEmpty && $0.queue.isEmpty
                        && $0.stackStatus == "UPDATE_COMPLETE"
                }
                #expect(ended, "crash \(isBefore ? "before" : "after") \(when)")
                #expect(world.replicas == 1, "crash \(isBefore ? "before" : "after") \(when): \(world.scales)")
                #expect(world.scales.count == 2 || world.scales == [2, 1, 2, 1])
                if world.crashes == 0 { total = min(total, world.steps) }
            }
            when += 1
        }
    }
}
