import Actuator
import Messages
import Support

/// Pods: controllers make them, the scheduler places them, kubelets run and stop them, evictions move them.
extension World {
    func startCluster() {
        for plan in scenario.workloads {
            cluster.workloads.append(
                ClusterState.Workload(plan: plan, replicas: plan.replicas, uid: "uid-\(plan.name)"))
            cluster.allowed.append(nil)
        }
        planControllers()
    }

    func setReplicas(_ workload: Int, _ count: Int) {
        say("cluster", "\(cluster.workloads[workload].plan.name) gets \(count) replicas")
        cluster.workloads[workload].replicas = count
        tell(.workload(cluster.workloads[workload]))
        planControllers()
    }

    /// Somebody wants another number of replicas.
    func wants(_ workload: Int, _ count: Int) {
        cluster.workloads[workload].wanted = count
        cluster.workloads[workload].isClaimed = cluster.workloads[workload].replicas == count
        setReplicas(workload, count)
    }

    func changed(pod index: Int) {
        tell(.pod(cluster.pods[index]))
        lookAtBudget(cluster.pods[index].workload)
    }

    // MARK: Controllers

    func planControllers() {
        guard !cluster.areControllersPlanned else { return }
        cluster.areControllersPlanned = true
        after(random.pause(20...300)) {
            self.cluster.areControllersPlanned = false
            for index in self.cluster.workloads.indices { self.control(index) }
        }
    }

    private func control(_ index: Int) {
        let workload = cluster.workloads[index]
        if workload.plan.kind == "DaemonSet" {
            for node in cluster.nodes where node.kubeletWorks {
                guard !cluster.pods.contains(where: { $0.workload == index && $0.node == node.name }) else { continue }
                let pod = makePod(index, "\(workload.plan.name)-\(node.name)", on: node.name)
                startPod(pod)
            }
            return
        }
        let isStateful = workload.plan.kind == "StatefulSet"
        let active = cluster.pods.filter { $0.workload == index && $0.isActive }
        if active.count < workload.replicas {
            if isStateful {
                // One name, one pod: the one before has to be gone.
                for ordinal in 0..<workload.replicas {
                    let name = "\(workload.plan.name)-\(ordinal)"
                    guard !cluster.pods.contains(where: { $0.name == name }) else { continue }
                    _ = makePod(index, name, on: nil)
                }
            } else {
                for _ in active.count..<workload.replicas {
                    cluster.workloads[index].made += 1
                    _ = makePod(index, "\(workload.plan.name)-\(cluster.workloads[index].made)x", on: nil)
                }
            }
            planScheduling()
        } else if isStateful {
            // The highest ones go, whatever the others do.
            for pod in active where (Int(pod.name.split(separator: "-").last ?? "") ?? 0) >= workload.replicas {
                deletePod(pod.uid, grace: nil)
            }
        } else if active.count > workload.replicas {
            let ordered = active.sorted {
                if ($0.node == nil) != ($1.node == nil) { return $0.node == nil }
                if $0.isReady != $1.isReady { return !$0.isReady }
                return ($0.createdAt, $0.name) > ($1.createdAt, $1.name)
            }
            for pod in ordered.prefix(active.count - workload.replicas) { deletePod(pod.uid, grace: nil) }
        }
    }

    private func makePod(_ workload: Int, _ name: String, on node: String?) -> String {
        cluster.version += 1
        let plan = cluster.workloads[workload].plan
        var pod = ClusterState.Pod(
            workload: workload, name: name, uid: "\(name).\(cluster.version)", node: node, createdAt: now,
            gate: plan.hasGate ? .unset : .absent)
        if plan.temper.hasHook { pod.annotations[RemovalNames.shutdownHook] = "http://:8080/bye" }
        cluster.pods.append(pod)
        tell(.pod(pod))
        return pod.uid
    }

    // MARK: The scheduler

    func planScheduling() {
        guard !cluster.isSchedulingPlanned else { return }
        cluster.isSchedulingPlanned = true
        after(random.pause(10...200)) {
            self.cluster.isSchedulingPlanned = false
            self.schedule()
        }
    }

    private func schedule() {
        for index in cluster.pods.indices {
            let pod = cluster.pods[index]
            guard pod.node == nil, pod.assumed == nil, pod.isActive else { continue }
            guard let node = place(pod) else {
                if pod.unschedulableSince == nil {
                    cluster.pods[index].unschedulableSince = now
                    say("cluster", "no room for \(pod.name)")
                    changed(pod: index)
                }
                continue
            }
            cluster.pods[index].assumed = node.name
            let isSlow = strikes(.slowBinding)
            // A volume that has to be made first may take most of a minute.
            let takes = !isSlow ? 2...60 : random.chance(0.1) ? 5_000...60_000 : 300...3_000
            after(random.pause(takes)) { self.bind(pod.uid, node.name, node.uid) }
        }
    }

    private func place(_ pod: ClusterState.Pod) -> ClusterState.Node? {
        let cpu = cluster.workloads[pod.workload].plan.cpu
        var best: (node: ClusterState.Node, free: Int)?
        for node in cluster.nodes where node.isReady && !node.unschedulable && !node.isTainted {
            let here = cluster.pods.filter { ($0.node ?? $0.assumed) == node.name }
            let free =
                scenario.nodeCPU - here.reduce(0) { $0 + cluster.workloads[$1.workload].plan.cpu } - cpu
            guard free >= 0, here.count < scenario.nodePods else { continue }
            if let known = best, scenario.spreads ? known.free >= free : known.free <= free { continue }
            best = (node, free)
        }
        return best?.node
    }

    /// The API server binds a pod also to a node that was cordoned a moment ago.
    private func bind(_ uid: String, _ name: String, _ nodeUID: String) {
        guard let index = cluster.pod(uid: uid) else { return }
        cluster.pods[index].assumed = nil
        guard cluster.pods[index].isActive, let node = cluster.node(name), cluster.nodes[node].uid == nodeUID else {
            return planScheduling()
        }
        cluster.pods[index].node = name
        cluster.pods[index].boundAt = now
        cluster.pods[index].unschedulableSince = nil
        say("cluster", "\(cluster.pods[index].name) is bound to \(name)")
        changed(pod: index)
        startPod(uid)
        // (One whose node stops being ready later is seen to then.)
        if !cluster.nodes[node].isReady { after(.seconds(20)) { self.evictFromDead(name, nodeUID) } }
    }

    // MARK: Kubelets

    private func startPod(_ uid: String) {
        guard let index = cluster.pod(uid: uid) else { return }
        after(cluster.workloads[cluster.pods[index].workload].plan.startTakes) {
            guard let index = self.cluster.pod(uid: uid), let name = self.cluster.pods[index].node,
                let node = self.cluster.node(name), self.cluster.nodes[node].kubeletWorks,
                self.cluster.pods[index].isActive
            else { return }
            self.cluster.pods[index].phase = .running
            self.lookAtReadiness(index)
            self.changed(pod: index)
        }
    }

    func lookAtReadiness(_ index: Int) {
        let pod = cluster.pods[index]
        let nodeWorks = pod.node.flatMap { cluster.node($0) }.map { cluster.nodes[$0].kubeletWorks } ?? false
        cluster.pods[index].isReady =
            pod.phase == .running && pod.isActive && nodeWorks && (pod.gate == .absent || pod.gate == .serving)
    }

    /// Asks a pod to go. `grace`: seconds, else its own.
    func deletePod(_ uid: String, grace: Int64?) {
        guard let index = cluster.pod(uid: uid), cluster.pods[index].deletedAt == nil else { return }
        let pod = cluster.pods[index]
        guard let name = pod.node else { return removePod(uid) }
        let plan = cluster.workloads[pod.workload].plan
        let seconds = grace ?? Int64(plan.grace)
        cluster.pods[index].deletedAt = now + .seconds(Double(seconds))
        cluster.pods[index].isReady = false
        changed(pod: index)
        planControllers()
        let takes = min(plan.stopTakes, .seconds(Double(seconds)))
        after(takes) {
            // A kubelet that does not work stops nothing: the object stays until its node is gone.
            guard let node = self.cluster.node(name), self.cluster.nodes[node].kubeletWorks else { return }
            self.removePod(uid)
        }
    }

    func removePod(_ uid: String) {
        guard let index = cluster.pod(uid: uid) else { return }
        let pod = cluster.pods.remove(at: index)
        say("cluster", "pod \(pod.name) is gone")
        if cluster.workloads[pod.workload].plan.kind == "StatefulSet", let node = pod.node {
            let until = now + random.pause(500...(random.chance(0.1) ? 60_000 : 6_000))
            cluster.attachments.append(.init(node: node, name: "pv-\(pod.name)", until: until))
        }
        tell(.podGone(pod))
        lookAtBudget(pod.workload)
        planControllers()
        planScheduling()
    }

    // MARK: Budgets and evictions

    /// How many pods of a workload its budget lets go now; nil: it has none.
    func allowance(_ workload: Int) -> Int? {
        guard let least = cluster.workloads[workload].plan.minAvailable else { return nil }
        return max(0, healthy(workload) - least)
    }

    private func healthy(_ workload: Int) -> Int {
        cluster.pods.count { $0.workload == workload && $0.isReady && $0.isActive }
    }

    private func lookAtBudget(_ workload: Int) {
        guard let allowed = allowance(workload), cluster.allowed[workload] != allowed else { return }
        cluster.allowed[workload] = allowed
        tell(.budget(workload: workload, allowed: allowed))
    }

    /// Why budgets do not let a pod go now, if so.
    func budget(forbidding pod: ClusterState.Pod) -> String? {
        let plan = cluster.workloads[pod.workload].plan
        guard let least = plan.minAvailable, pod.phase == .running else { return nil }
        if plan.hasTwoBudgets { return "two budgets cover \(plan.name)" }
        // A pod that is not ready may go while enough others are; a ready one while one too many is.
        let healthy = healthy(pod.workload)
        guard pod.isReady ? healthy <= least : healthy < least else { return nil }
        return "\(plan.name) needs \(least), \(healthy) are healthy"
    }

    /// The eviction API.
    func evict(_ pod: NodePod, grace: Int64?) -> EvictionOutcome {
        guard let index = cluster.pod(uid: pod.uid) else { return .gone }
        let there = cluster.pods[index]
        if there.deletedAt != nil { return .accepted }
        if strikes(.evictionRefused) {
            say("fault", "429 for the eviction of \(pod.name)")
            return .blocked(budget: "too many requests", retryAfter: .seconds(2))
        }
        if let why = budget(forbidding: there) { return .blocked(budget: why, retryAfter: nil) }
        audit(evictionOf: there)
        say("cluster", "\(pod.name) is evicted from \(pod.node)")
        deletePod(pod.uid, grace: grace)
        return .accepted
    }

    /// A pod is deleted without asking its budgets.
    func deleteForced(_ pod: NodePod, grace: Int64?) -> EvictionOutcome {
        guard let index = cluster.pod(uid: pod.uid) else { return .gone }
        audit(evictionOf: cluster.pods[index])
        say("cluster", "\(pod.name) is deleted from \(pod.node)")
        if grace == 0 { removePod(pod.uid) } else { deletePod(pod.uid, grace: grace) }
        return .accepted
    }

    func attachedVolumes(_ node: String) -> [String] {
        cluster.attachments.filter { $0.node == node && $0.until > now }.map(\.name)
    }

    /// The workload of a pod, as the Actuator's door finds it.
    func workload(of pod: NodePod) -> WorkloadView? {
        guard let index = cluster.workloads.firstIndex(where: { $0.uid == pod.ownerUID }) else { return nil }
        let workload = cluster.workloads[index]
        let ready = cluster.pods.filter { $0.workload == index && $0.isReady && $0.isActive }
        return WorkloadView(
            apiVersion: "apps/v1", kind: workload.plan.kind, namespace: "default", name: workload.plan.name,
            replicas: workload.replicas,
            readyElsewhere: ready.count { $0.node != pod.node }, readyOthers: ready.count { $0.uid != pod.uid },
            isReady: ready.contains { $0.uid == pod.uid })
    }

    func scale(_ decision: PodsDecided) -> WorkloadOutcome {
        guard let index = cluster.workloads.firstIndex(where: { $0.plan.name == decision.name }) else {
            return .failed(ActFailure(.kubernetesRefused, "404 \(decision.name)", isRetriable: false))
        }
        let found = cluster.workloads[index].replicas
        let isReturn = decision.to < decision.from
        if options.sabotage == .keepsSurges && isReturn { return .done }
        if found == decision.to {
            // Raised, as it seems, and by somebody else at that very moment.
            if !isReturn && cluster.workloads[index].wanted == found { cluster.workloads[index].isClaimed = true }
            return .already
        }
        guard found == decision.from else { return .stale(found: found) }
        setReplicas(index, decision.to)
        return .done
    }

    // MARK: What others see

    func nodePod(_ pod: ClusterState.Pod) -> NodePod {
        let workload = cluster.workloads[pod.workload]
        return NodePod(
            name: pod.name, uid: pod.uid, node: pod.node ?? "", ip: pod.phase == .running ? "10.0.0.1" : nil,
            labels: ["app": workload.plan.name], annotations: pod.annotations, ownerKind: workload.plan.kind,
            ownerUID: workload.uid, gracePeriodSeconds: Int64(workload.plan.grace), phase: pod.phase,
            deletedAt: pod.deletedAt, gate: pod.gate,
            createdAt: Timestamp(seconds: pod.createdAt.seconds))
    }

    func nodePods(on node: String) -> [NodePod] {
        cluster.pods.filter { $0.node == node }.map { nodePod($0) }
    }
}
