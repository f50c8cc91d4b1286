import Collector
import Messages
import Support

/// The Collector's core with a shell of the model.
final class CollectorProcess: Process {
    private var core: CollectorCore?

    override func begin() {
        core = CollectorCore(world.scenario.collector("\(name).\(life)"))
        let requests = world.queue(
            "collector.requests", [.requests], maximumLength: 1_000, ttl: .seconds(60))
        world.subscribe(self, requests) { [unowned self] event, settle in
            if case .snapshotRequested(let request) = event {
                handle(event.isProbe ? .probed : .snapshotRequested(why: request.why))
            }
            settle(.done)
        }
        world.watch(self) { [unowned self] in hear($0) }
        probe(life)
    }

    override func dropState() { core = nil }

    private func probe(_ life: Int) {
        guard self.life == life else { return }
        if isConnected {
            let question = SnapshotRequested(
                cluster: Scenario.cluster, requester: "updraft-collector.\(name)", why: "which replica is active?")
            world.publish(.snapshotRequested(question), from: self) { _ in }
        }
        world.after(.seconds(1)) { self.probe(life) }
    }

    override func alarmRang() { handle(.ticked) }

    // MARK: What it watches

    private func hear(_ news: Watch.News) {
        switch news {
        case .cut: for kind in ObservedKind.allCases { handle(.failed(kind, reason: "the watch was cut")) }
        case .all(let nodes, let pods): list(nodes, pods)
        case .change(.node(let node)): handle(.observed(.nodes, [.node(node.node(world.scenario))]))
        case .change(.nodeGone(let node)): handle(.gone(.nodes, key: node.name))
        case .change(.pod(let pod)): handle(.observed(.pods, [observed(pod)]))
        case .change(.podGone(let pod)): handle(.gone(.pods, key: pod.uid))
        case .change(.workload(let workload)):
            handle(.observed(workload.observedKind, [workload.observed(world)]))
        case .change(.budget(let workload, let allowed)):
            handle(.observed(.budgets, world.budgets(workload, allowed)))
        }
    }

    private func list(_ nodes: [ClusterState.Node], _ pods: [ClusterState.Pod]) {
        for kind in ObservedKind.allCases {
            guard isUp else { return }
            handle(.listing(kind))
            let objects: [ObservedObject]
            switch kind {
            case .nodes: objects = nodes.map { .node($0.node(world.scenario)) }
            case .pods: objects = pods.map { observed($0) }
            case .budgets:
                objects = world.cluster.workloads.indices.flatMap { index in
                    world.allowance(index).map { world.budgets(index, $0) } ?? []
                }
            default:
                objects = world.cluster.workloads.filter { $0.observedKind == kind }.map { $0.observed(world) }
            }
            handle(.observed(kind, objects))
            handle(.listed(kind))
            handle(.watching(kind))
        }
    }

    private func observed(_ pod: ClusterState.Pod) -> ObservedObject {
        let message = Pod(
            uid: pod.uid, name: pod.name, shape: 0, node: pod.node, phase: pod.phase,
            scheduling: pod.node != nil ? .scheduled : pod.unschedulableSince != nil ? .unschedulable : .unseen,
            ready: pod.isReady, createdAt: pod.createdAt, unschedulableSince: pod.unschedulableSince,
            deletedAt: pod.deletedAt)
        return .pod(message, world.cluster.workloads[pod.workload].shape)
    }

    // MARK: What it publishes

    private func handle(_ event: CollectorEvent) {
        guard let actions = core?.handle(event, at: world.now) else { return }
        carryOut(actions) { action in
            switch action {
            case .publishSnapshot(let parts): publish(parts.map { .clusterSnapshot($0) })
            case .publishDelta(let delta): publish([.clusterDelta(delta)])
            case .activated(let epoch): world.say(name, "publishes from now on, epoch \(epoch)")
            case .stoodDown(let reason): world.say(name, "stands down: \(reason)")
            }
        }
        guard isUp else { return }
        setAlarm(core?.wakeAt)
    }

    private func publish(_ events: [Event]) {
        guard let first = events.first else { return handle(.published(ok: true)) }
        world.publish(first, from: self) { [unowned self] ok in
            if ok { publish(Array(events.dropFirst())) } else { handle(.published(ok: false)) }
        }
    }
}

extension ClusterState.Workload {
    var observedKind: ObservedKind {
        switch plan.kind {
        case "StatefulSet": .statefulSets
        case "DaemonSet": .daemonSets
        default: .replicaSets
        }
    }

    var shape: PodShape {
        PodShape(
            labels: ["app": plan.name],
            owner: PodShape.Owner(kind: plan.kind, apiVersion: "apps/v1", name: plan.name, uid: uid),
            requests: ResourceList(cpuMillis: Int64(plan.cpu), memoryBytes: 64 << 20),
            gracePeriodSeconds: Int64(plan.grace), hasServingGate: plan.hasGate)
    }

    func observed(_ world: World) -> ObservedObject {
        .workload(
            Workload(
                kind: plan.kind, namespace: "default", name: plan.name, uid: uid, replicas: Int32(replicas),
                currentReplicas: Int32(replicas)), template: plan.kind == "DaemonSet" ? shape : nil)
    }
}

extension World {
    /// The budgets of a workload as messages.
    func budgets(_ workload: Int, _ allowed: Int) -> [ObservedObject] {
        let plan = cluster.workloads[workload].plan
        let names = plan.hasTwoBudgets ? ["\(plan.name)-a", "\(plan.name)-b"] : [plan.name]
        return names.map {
            .budget(
                Budget(
                    namespace: "default", name: $0, selector: LabelSelector([Requirement("app", .in, [plan.name])]),
                    disruptionsAllowed: Int32(allowed)))
        }
    }
}
