import Messages
import Support
import Testing

@testable import Actuator

@Suite("Draining a node")
struct DrainPlanTests {
    let now = Timestamp(seconds: 1_800_000_000)
    let policy = ActuatorPolicy(cluster: "prod", groups: [])

    func pod(
        _ name: String, priority: Int32 = 0, owner: String = "ReplicaSet", ownerUID: String = "", grace: Int64 = 30
    ) -> NodePod {
        NodePod(
            name: name, uid: name, node: "n", ownerKind: owner, ownerUID: ownerUID, priority: priority,
            gracePeriodSeconds: grace)
    }

    func names(_ step: DrainPlan.Step) -> [String] {
        guard case .evict(let evictions, _) = step else { return ["drained"] }
        return evictions.map(\.pod.name)
    }

    @Test("pods of the node itself and finished pods do not keep it")
    func leftOut() {
        var plan = DrainPlan()
        var mirror = pod("static", owner: "Node")
        mirror.annotations[RemovalNames.mirror] = "x"
        var finished = pod("job-1", owner: "Job")
        finished.phase = .succeeded
        let step = plan.next(
            pods: [pod("ds", owner: "DaemonSet"), mirror, finished], at: now, deadline: now + .seconds(60),
            policy: policy)
        #expect(step == .drained)
    }

    @Test("a DaemonSet pod that was not told of this removal stays")
    func untoldDaemonSet() {
        var told = pod("ds-1", owner: "DaemonSet")
        told.annotations[RemovalNames.podNotice] = "r1 annotation=told"
        var before = pod("ds-2", owner: "DaemonSet")
        before.annotations[RemovalNames.podNotice] = "r0 annotation=told"
        var plan = DrainPlan()
        let step = plan.nextOfDaemonSets(
            pods: [told, before, pod("ds-3", owner: "DaemonSet")], of: "r1", at: now, deadline: now + .seconds(60),
            policy: policy)
        #expect(names(step) == ["ds-1"])
    }

    @Test("lower priority first; critical pods when the others are gone")
    func priorities() {
        var plan = DrainPlan()
        let pods = [pod("high", priority: 100), pod("critical", priority: 2_000_000_000), pod("low", priority: -5)]
        let deadline = now + .seconds(60)
        #expect(names(plan.next(pods: pods, at: now, deadline: deadline, policy: policy)) == ["low"])
        #expect(names(plan.next(pods: pods, at: now, deadline: deadline, policy: policy)) == [])
        plan.evicted("low", .accepted, at: now, policy: policy)
        #expect(names(plan.next(pods: pods, at: now, deadline: deadline, policy: policy)) == ["high"])
        plan.evicted("high", .accepted, at: now, policy: policy)
        #expect(names(plan.next(pods: pods, at: now, deadline: deadline, policy: policy)) == [])
        #expect(names(plan.next(pods: [pods[1]], at: now, deadline: deadline, policy: policy)) == ["critical"])
    }

    @Test("a pod that its budget keeps holds up those of higher priority for a while, not until the deadline")
    func prioritiesAndBudgets() {
        var plan = DrainPlan()
        let pods = [pod("high", priority: 100), pod("low"), pod("low-2"), pod("waits", priority: -1)]
        let deadline = now + .seconds(600)
        func next(_ seconds: Double) -> [String] {
            names(
                plan.next(
                    pods: pods, held: ["waits"], at: now + .seconds(seconds), deadline: deadline, policy: policy))
        }
        #expect(next(0) == ["low", "low-2"])
        plan.evicted("low", .blocked(budget: "budget web", retryAfter: nil), at: now, policy: policy)
        plan.evicted("low-2", .accepted, at: now, policy: policy)
        #expect(next(4) == [])
        #expect(next(29) == ["low"])
        plan.evicted("low", .blocked(budget: "budget web", retryAfter: nil), at: now + .seconds(29), policy: policy)
        #expect(next(30) == ["high"])
    }

    @Test(
        "a pod whose StatefulSet is being asked for holds up those of higher priority, one that waits otherwise does not"
    )
    func prioritiesAndSets() {
        let cases: [(Set<String>, [String])] = [(["db-0"], []), ([], ["high"])]
        for (holdingUp, expected) in cases {
            var plan = DrainPlan()
            let step = plan.next(
                pods: [pod("high", priority: 100), pod("db-0", owner: "StatefulSet", ownerUID: "set")], held: ["db-0"],
                holdingUp: holdingUp, at: now, deadline: now + .seconds(60), policy: policy)
            #expect(names(step) == expected)
        }
    }

    @Test(
        "a pod that was evicted and has ended is there until its object is gone; one that others deleted for a while"
    )
    func ended() {
        var plan = DrainPlan()
        var web = pod("web")
        var job = pod("job", owner: "Job")
        job.phase = .succeeded
        job.deletedAt = now
        let deadline = now + .seconds(60)
        #expect(names(plan.next(pods: [web, job], at: now, deadline: deadline, policy: policy)) == ["web"])
        plan.evicted("web", .accepted, at: now, policy: policy)
        web.deletedAt = now + .seconds(30)
        web.phase = .failed
        #expect(names(plan.next(pods: [web, job], at: now, deadline: deadline, policy: policy)) == [])
        #expect(names(plan.next(pods: [job], at: now, deadline: deadline, policy: policy)) == [])
        // Somebody's finalizer may keep it for ever.
        let later = now + policy.strandedAfter
        #expect(plan.next(pods: [job], at: later, deadline: deadline, policy: policy) == .drained)
    }

    @Test("pods of a StatefulSet go one by one, the highest ordinal first")
    func ordered() {
        var plan = DrainPlan()
        var pods = (0..<3).map { pod("db-\($0)", owner: "StatefulSet", ownerUID: "set") }
        let deadline = now + .seconds(60)
        #expect(names(plan.next(pods: pods, at: now, deadline: deadline, policy: policy)) == ["db-2"])
        plan.evicted("db-2", .accepted, at: now, policy: policy)
        pods[2].deletedAt = now + .seconds(30)
        #expect(names(plan.next(pods: pods, at: now, deadline: deadline, policy: policy)) == [])
        pods.removeLast()
        #expect(names(plan.next(pods: pods, at: now, deadline: deadline, policy: policy)) == ["db-1"])
    }

    @Test("a blocked eviction is tried again after its time, and is the obstacle until then")
    func blocked() {
        var plan = DrainPlan()
        let deadline = now + .seconds(60)
        #expect(names(plan.next(pods: [pod("a")], at: now, deadline: deadline, policy: policy)) == ["a"])
        plan.evicted("a", .blocked(budget: "budget web", retryAfter: nil), at: now, policy: policy)
        #expect(plan.obstacle == Explanation(.evictionBlocked, "budget web"))
        #expect(names(plan.next(pods: [pod("a")], at: now + .seconds(4), deadline: deadline, policy: policy)) == [])
        #expect(names(plan.next(pods: [pod("a")], at: now + .seconds(5), deadline: deadline, policy: policy)) == ["a"])
    }

    @Test("a pod of the same name with another uid is another pod")
    func uid() {
        var plan = DrainPlan()
        let deadline = now + .seconds(60)
        _ = plan.next(pods: [pod("a")], at: now, deadline: deadline, policy: policy)
        plan.evicted("a", .accepted, at: now, policy: policy)
        var next = pod("a")
        next.uid = "another"
        #expect(names(plan.next(pods: [next], at: now, deadline: deadline, policy: policy)) == ["a"])
    }

    @Test("grace: the pod's own, no more than policy, no more than the deadline leaves")
    func grace() {
        var plan = DrainPlan()
        let pods = [pod("short", grace: 30), pod("long", grace: 3_600)]
        guard
            case .evict(let evictions, _) = plan.next(
                pods: pods, at: now, deadline: now + .seconds(900), policy: policy)
        else {
            Issue.record("drained")
            return
        }
        #expect(evictions.map(\.grace) == [600, nil])
        plan = DrainPlan()
        guard
            case .evict(let late, _) = plan.next(pods: pods, at: now, deadline: now + .seconds(10), policy: policy)
        else {
            Issue.record("drained")
            return
        }
        #expect(late.map(\.grace) == [10, 10])
    }
}
