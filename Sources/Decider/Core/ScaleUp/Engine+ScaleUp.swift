import Messages
import Support

/// One evaluation's working state of the scale-up side.
struct ScaleUpPass {
    var world: World
    var demands: [Demand] = []
    /// Pods of each demand that fit a node that is there or coming.
    var fitting: [Int] = []
    /// Slots that are taken back.
    var returned: [Int] = []
    /// Slots whose return was asked for before: they count as there.
    var returning: Set<Int> = []
    /// Pods that do not ask for room, by class and reason.
    var excused: [ExcuseKey: Excuse] = [:]
    var plan: ScaleUpPlan?
    /// Scale-up per group, with the reason.
    var growth: [Int: (count: Int, reason: Explanation, pods: Int, sample: [String])] = [:]
    /// Slots of upcoming nodes in `world`.
    var upcoming: [Int32] = []
    var bounds: [Int: [Explanation]] = [:]

    struct ExcuseKey: Hashable {
        var podClass: Int32
        var reason: Reason
    }

    struct Excuse {
        var pod: Int32
        var count: Int
        var explanation: Explanation
    }
}

extension Engine {
    func podName(_ index: Int32) -> String {
        guard index >= 0, let pod = model.pods[Int(index)] else { return "" }
        return "\(model.catalog.classes[Int(pod.podClass)].shape.namespace)/\(pod.name)"
    }

    /// The world with the nodes that are coming.
    mutating func worldWithUpcoming(_ standings: [GroupStanding]) -> (World, [Int32]) {
        var world = model.world
        var slots: [Int32] = []
        for (number, standing) in standings.enumerated() where standing.upcoming > 0 {
            guard let template = templates[number] else { continue }
            for count in 0..<standing.upcoming {
                let slot = world.addTemplate(template, number: 100_000 + count, group: number, &model.catalog)
                slots.append(Int32(slot))
            }
        }
        return (world, slots)
    }

    /// Sorts the pods without a node into demands; those that do not ask for room are set down with the reason.
    func collectDemands(_ pass: inout ScaleUpPass, at now: Timestamp) {
        let filter = PendingFilter(rules: configuration.scaleUp, now: now)
        var numbers: [DemandKey: Int] = [:]
        let keepsOrder = configuration.scaleUp.keepsPodOrder
        var candidates = Array(model.unplaced)
        if keepsOrder { candidates.sort { (model.pods[Int($0)]?.uid ?? "") < (model.pods[Int($1)]?.uid ?? "") } }
        for index in candidates {
            guard let pod = model.pods[Int(index)], pod.phase != .succeeded, pod.phase != .failed, !pod.isTerminating
            else { continue }
            let podClass = model.catalog.classes[Int(pod.podClass)]
            guard pod.scheduling == .gated || pod.holds >= 0 || filter.isUnschedulable(pod, podClass.shape) else {
                continue
            }
            let expendable = model.isExpendable(podClass.shape)
            if let obstacle = filter.obstacle(pod, podClass, isExpendable: expendable) {
                let key = ScaleUpPass.ExcuseKey(podClass: pod.podClass, reason: obstacle.reason)
                if var known = pass.excused[key] {
                    known.count += 1
                    if podName(index) < podName(known.pod) { known.pod = index }
                    pass.excused[key] = known
                } else {
                    pass.excused[key] = ScaleUpPass.Excuse(pod: index, count: 1, explanation: obstacle)
                }
                continue
            }
            let key = DemandKey(behaviour: podClass.behaviour, priority: podClass.shape.priority ?? 0)
            if let number = numbers[key] {
                pass.demands[number].pods.append(index)
            } else {
                numbers[key] = pass.demands.count
                pass.demands.append(
                    Demand(podClass: Int(pod.podClass), pods: [index], priority: key.priority, open: 0))
            }
        }
        for number in pass.demands.indices { pass.demands[number].open = pass.demands[number].pods.count }
        sortDemands(&pass.demands, keepsOrder: keepsOrder)
        pass.fitting = Array(repeating: 0, count: pass.demands.count)
    }

    private struct DemandKey: Hashable {
        var behaviour: Int
        var priority: Int32
    }

    /// Important first, then large first, then by what the pods are: never by the order in which they came.
    private func sortDemands(_ demands: inout [Demand], keepsOrder: Bool) {
        for number in demands.indices {
            demands[number].pods.sort { left, right in
                guard let one = model.pods[Int(left)], let other = model.pods[Int(right)] else { return left < right }
                return one.createdAt != other.createdAt && !keepsOrder
                    ? one.createdAt < other.createdAt : one.uid < other.uid
            }
        }
        struct Rank {
            var priority: Int32
            var size: Double
            var uid: String
        }
        let ranks = demands.map { demand in
            let requests = model.catalog.classes[demand.podClass].shape.requests
            return Rank(
                priority: demand.priority,
                size: keepsOrder
                    ? 0 : Double(requests.cpuMillis) / 1_000 + Double(requests.memoryBytes) / 4_294_967_296,
                uid: demand.pods.first.flatMap { model.pods[Int($0)]?.uid } ?? "")
        }
        let order = demands.indices.sorted { left, right in
            let (one, other) = (ranks[left], ranks[right])
            if one.priority != other.priority { return one.priority > other.priority }
            if one.size != other.size { return one.size > other.size }
            return one.uid < other.uid
        }
        demands = order.map { demands[$0] }
    }

    /// Places what fits on nodes that are there or coming.
    func placeOnExisting(_ pass: inout ScaleUpPass) {
        let nodes = model.order + pass.upcoming
        for number in pass.demands.indices {
            var packer = Packer(model.catalog.classes[pass.demands[number].podClass], nodes: nodes, pass.world)
            let placed = packer.place(pass.demands[number].open, in: &pass.world, model.catalog) { _, _ in }
            pass.fitting[number] += placed
            pass.demands[number].open -= placed
        }
    }

    /// Keeps room for what removals under way displace. Nodes whose pods have no place any more are returned.
    func reserveForRemovals(_ pass: inout ScaleUpPass, at now: Timestamp) {
        let budgets = BudgetTracker(Array(model.budgets.values))
        let check = DrainCheck(rules: configuration.scaleDown.drain, now: now, budgets: budgets)
        for slot in model.order where model.briefs[Int(slot)].isLeaving && !pass.returning.contains(Int(slot)) {
            let outcome = check.check(Int(slot), model)
            var fits = true
            for index in outcome.evict {
                guard let pod = model.pods[Int(index)], model.holdsRoom(pod), !pod.isTerminating else { continue }
                var packer = Packer(
                    model.catalog.classes[Int(pod.podClass)], nodes: model.order + pass.upcoming, pass.world)
                if packer.place(1, in: &pass.world, model.catalog, report: { _, _ in }) == 0 { fits = false }
            }
            if !fits && canReturn(Int(slot)) { pass.returned.append(Int(slot)) }
        }
        for item in model.evicted where item.at + configuration.scaleDown.evictedMemory > now && isStillMissing(item) {
            var packer = Packer(
                model.catalog.classes[Int(item.podClass)], nodes: model.order + pass.upcoming, pass.world)
            _ = packer.place(1, in: &pass.world, model.catalog) { _, _ in }
        }
    }

    /// Whether the owner of an evicted pod has fewer pods than it wants. Unknown owners: assumed so.
    func isStillMissing(_ item: EvictedPod) -> Bool {
        let shape = model.catalog.classes[Int(item.podClass)].shape
        guard let owner = shape.owner, owner.kind != "DaemonSet",
            shape.annotations["kubernetes.io/config.mirror"] == nil
        else { return false }
        guard let workload = model.workloads["\(owner.kind)/\(shape.namespace)/\(owner.name)"] else { return true }
        return workload.currentReplicas < workload.replicas
    }

    /// Nodes that are on their way back take pods already.
    mutating func reopenReturning(_ pass: inout ScaleUpPass) {
        for slot in model.order where model.briefs[Int(slot)].isUnderRemoval {
            guard let target = removalTarget(Int(slot)), target.isCancelled, !target.isDrained else { continue }
            reopen(Int(slot), &pass.world)
            pass.returning.insert(Int(slot))
        }
    }

    private func removalTarget(_ slot: Int) -> RemovalAct.Target? {
        guard let node = model.nodes[slot]?.node, groupOfSlot[slot] >= 0 else { return nil }
        return groups[Int(groupOfSlot[slot])].memory.removal?.targets.first { $0.node == node.name }
    }

    /// Whether the removal of the node is ours and has not gone too far.
    func canReturn(_ slot: Int) -> Bool {
        guard let target = removalTarget(slot) else { return false }
        return !target.isDrained && !target.isCancelled
    }

    /// Returns nodes under removal that the remaining pods would fit on: faster than any new machine.
    mutating func takeBack(_ pass: inout ScaleUpPass) {
        for slot in pass.returned { reopen(slot, &pass.world) }
        for slot in model.order where model.briefs[Int(slot)].isUnderRemoval && canReturn(Int(slot)) {
            guard pass.demands.contains(where: { $0.open > 0 }) else { return }
            let index = Int(slot)
            let isReturned = pass.returned.contains(index)
            var scratch = pass.world
            if !isReturned { reopen(index, &scratch) }
            var helped = false
            for number in pass.demands.indices where pass.demands[number].open > 0 {
                var packer = Packer(model.catalog.classes[pass.demands[number].podClass], nodes: [slot], scratch)
                let placed = packer.place(pass.demands[number].open, in: &scratch, model.catalog) { _, _ in }
                guard placed > 0 else { continue }
                helped = true
                pass.fitting[number] += placed
                pass.demands[number].open -= placed
            }
            guard helped else { continue }
            pass.world = scratch
            if !isReturned { pass.returned.append(index) }
        }
    }

    /// The node as it will be without the marks of the removal.
    private mutating func reopen(_ slot: Int, _ world: inout World) {
        guard let node = model.nodes[slot]?.node else { return }
        let free = world.freeVector(slot)
        let ports = world.ports[slot] ?? []
        let number = model.catalog.nodeClass(
            NodeClass(
                labels: node.labels, taints: ClusterModel.templateTaints(of: node), unschedulable: false))
        world.remove(slot, model.catalog)
        _ = world.add(
            NodeSeed(
                name: node.name, host: node.labels[NodeClass.hostLabel], nodeClass: number, free: free,
                isOpen: node.readiness == .ready, ports: ports), slot: slot, &model.catalog)
    }
}
