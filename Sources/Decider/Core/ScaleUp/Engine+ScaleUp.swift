import Messages
import Support

extension Engine {
    func podName(_ index: Int32) -> String {
        guard index >= 0, let pod = model.pods[Int(index)] else { return "" }
        return "\(model.catalog.classes[Int(pod.podClass)].shape.namespace)/\(pod.name)"
    }

    /// The world with the nodes that are coming.
    mutating func worldWithUpcoming(_ standings: [GroupStanding], at now: Timestamp) -> (World, [Int32]) {
        var world = model.world
        if !unequipped.isEmpty { equip(&world, at: now) }
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
        var byClass: [Int32: [Int32]] = [:]
        for index in model.unplaced {
            let brief = model.podBriefs[Int(index)]
            if brief.phase == .succeeded || brief.phase == .failed || brief.isTerminating { continue }
            byClass[brief.podClass, default: []].append(index)
        }
        var numbers: [DemandKey: Int] = [:]
        let isSoft = configuration.scaleUp.softTieBreaks
        var quietNumbers: [DemandKey: Int] = [:]
        for (number, pods) in byClass.sorted(by: { $0.key < $1.key }) {
            let podClass = model.catalog.classes[Int(number)]
            let rule = filter.rule(podClass, isExpendable: model.isExpendable(podClass.shape))
            var asking: [Int32] = []
            var quiet: [Int32] = []
            asking.reserveCapacity(pods.count)
            for index in pods {
                let brief = model.podBriefs[Int(index)]
                switch rule.judge(brief, now) {
                case .asks: asking.append(index)
                case .isNotMeant: break
                case .excused(let reason):
                    if reason.reason == .nominated, isNominatedForLeaving(brief) {
                        asking.append(index)
                        continue
                    }
                    excuse(index, number, reason, &pass)
                    holdNominated(index, brief, podClass, &pass)
                    // The scheduler will put it on a node where there is room.
                    if brief.holds < 0 && (reason.reason == .daemonSetPod || reason.reason == .tooYoung) {
                        quiet.append(index)
                    }
                }
            }
            let wishes = isSoft ? Wishes(podClass.shape) : nil
            Self.add(asking, number, podClass, wishes, to: &pass.demands, &numbers)
            Self.add(quiet, number, podClass, wishes, to: &pass.quiet, &quietNumbers)
        }
        let keepsOrder = configuration.scaleUp.keepsPodOrder
        for number in pass.demands.indices where keepsOrder { sortPods(&pass.demands[number]) }
        for number in pass.quiet.indices where keepsOrder { sortPods(&pass.quiet[number]) }
        sortDemands(&pass.demands, keepsOrder: keepsOrder)
        pass.fitting = Array(repeating: 0, count: pass.demands.count)
    }

    /// Whether the node that a pod is nominated for goes: no preemption there helps it any more.
    private func isNominatedForLeaving(_ pod: PodBrief) -> Bool {
        !configuration.peer.takesPodsInTurn && model.briefs[Int(pod.holds)].isLeaving
    }

    /// A node that a pod is nominated for goes only when there is room for the pod elsewhere.
    private func holdNominated(_ index: Int32, _ brief: PodBrief, _ podClass: PodClass, _ pass: inout ScaleUpPass) {
        guard brief.holds >= 0, !podClass.isFixed, let pod = model.pods[Int(index)], model.holdsRoom(pod) else {
            return
        }
        pass.held[Int(brief.holds), default: []].append(Held(podClass: Int(pod.podClass), count: 1))
    }

    /// Pods of a class, to the demand of those that behave alike.
    private static func add(
        _ pods: [Int32], _ number: Int32, _ podClass: PodClass, _ wishes: Wishes?, to demands: inout [Demand],
        _ numbers: inout [DemandKey: Int]
    ) {
        guard !pods.isEmpty else { return }
        let key = DemandKey(behaviour: podClass.behaviour, priority: podClass.shape.priority ?? 0, wishes: wishes)
        if let known = numbers[key] {
            demands[known].pods += pods
            demands[known].open += pods.count
        } else {
            numbers[key] = demands.count
            demands.append(Demand(podClass: Int(number), pods: pods, priority: key.priority, open: pods.count))
        }
    }

    /// Replicas that do not exist yet ask for room as pods do that wait for it; they are numbers below zero.
    mutating func addComing(_ pass: inout ScaleUpPass, at now: Timestamp) {
        let coming = comingReplicas(at: now)
        guard !coming.isEmpty else { return }
        for item in coming {
            let shape = model.catalog.classes[item.podClass].shape
            if model.isExpendable(shape) { continue }
            let priority = shape.priority ?? 0
            let pods = (0..<item.count).map { -1 - Int32($0) }
            pass.demands.append(
                Demand(podClass: item.podClass, pods: pods, priority: priority, open: item.count, isComing: true))
            pass.fitting.append(0)
        }
        // A template may have made a class that the world does not know yet.
        pass.world.widen(&model.catalog)
        sortDemands(&pass.demands, keepsOrder: configuration.scaleUp.keepsPodOrder)
    }

    private func excuse(_ index: Int32, _ podClass: Int32, _ reason: Explanation, _ pass: inout ScaleUpPass) {
        let key = ScaleUpPass.ExcuseKey(podClass: podClass, reason: reason.reason)
        guard var known = pass.excused[key] else {
            pass.excused[key] = ScaleUpPass.Excuse(pod: index, count: 1, explanation: reason)
            return
        }
        known.count += 1
        if podName(index) < podName(known.pod) { known.pod = index }
        pass.excused[key] = known
    }

    private struct DemandKey: Hashable {
        var behaviour: Int
        var priority: Int32
        var wishes: Wishes?
    }

    /// The soft rules of a shape, where it has some: pods that want other things are not to speak for each other.
    private struct Wishes: Hashable {
        var nodes: [WeightedNodeTerm]
        var near: [PodAffinityTerm]
        var far: [PodAffinityTerm]
        var spread: [TopologySpreadConstraint]
        /// Those that bear soft taints on nodes.
        var tolerations: [Toleration]

        init?(_ shape: PodShape) {
            nodes = shape.preferredNodeAffinity
            near = shape.podAffinity.filter { $0.weight != nil }
            far = shape.podAntiAffinity.filter { $0.weight != nil }
            spread = shape.topologySpread.filter { !$0.isHard }
            tolerations = shape.tolerations.filter { $0.effect == nil || $0.effect == .preferNoSchedule }
            if nodes.isEmpty && near.isEmpty && far.isEmpty && spread.isEmpty && tolerations.isEmpty { return nil }
        }
    }

    /// Brings the pods of a demand into an order that does not depend on how they came: the oldest first.
    func sortPods(_ demand: inout Demand) {
        let keepsOrder = configuration.scaleUp.keepsPodOrder
        demand.pods.sort { left, right in
            guard left >= 0, right >= 0 else { return left > right }
            let (one, other) = (model.podBriefs[Int(left)].createdAt, model.podBriefs[Int(right)].createdAt)
            if one != other && !keepsOrder { return one < other }
            return (model.pods[Int(left)]?.uid ?? "") < (model.pods[Int(right)]?.uid ?? "")
        }
    }

    /// Important first, then large first, then by what the pods are: never by the order in which they came.
    func sortDemands(_ demands: inout [Demand], keepsOrder: Bool) {
        // (Not by way of the engine: a comparison that captures it copies it each time.)
        let pods = model.pods
        // Replicas that come have none.
        func uid(_ index: Int32) -> String { index < 0 ? "" : pods[Int(index)]?.uid ?? "" }
        struct Rank {
            var priority: Int32
            var size: Double
            var uid: String
        }
        let ranks = demands.map { demand in
            let requests = model.catalog.classes[demand.podClass].shape.requests
            let size = Double(requests.cpuMillis) / 1_000 + Double(requests.memoryBytes) / 4_294_967_296
            return Rank(
                priority: demand.priority, size: keepsOrder ? 0 : size,
                uid: keepsOrder ? uid(demand.pods[0]) : "")
        }
        var firsts: [Int: String] = [:]
        func first(_ number: Int) -> String {
            if let known = firsts[number] { return known }
            let least = demands[number].pods.lazy.map { uid($0) }.min() ?? ""
            firsts[number] = least
            return least
        }
        let order = demands.indices.sorted { left, right in
            let (one, other) = (ranks[left], ranks[right])
            if one.priority != other.priority { return one.priority > other.priority }
            if one.size != other.size { return one.size > other.size }
            return keepsOrder ? one.uid < other.uid : first(left) < first(right)
        }
        demands = order.map { demands[$0] }
    }

    /// Whether all pods that need a node are so young that more are to be expected (the peer's rule and numbers).
    func areAllYoung(_ pass: ScaleUpPass, at now: Timestamp) -> Bool {
        var oldest: Timestamp?
        var oldestGPU: Timestamp?
        for demand in pass.demands where demand.open > 0 {
            let requests = model.catalog.classes[demand.podClass].shape.requests.extended
            let wantsGPU = configuration.scaleDown.gpuResources.contains { requests[$0] ?? 0 > 0 }
            for index in demand.pods.suffix(demand.open) where index >= 0 {
                let createdAt = model.podBriefs[Int(index)].createdAt
                oldest = min(oldest ?? createdAt, createdAt)
                if wantsGPU { oldestGPU = min(oldestGPU ?? createdAt, createdAt) }
            }
        }
        return oldest.map { $0 + .seconds(2) > now } ?? false || oldestGPU.map { $0 + .seconds(30) > now } ?? false
    }

    /// Keeps room for what removals under way displace. Nodes whose pods have no place any more are returned; where that is not
    /// possible any more, the pods ask for room before they are evicted, so that it is there sooner.
    func reserveForRemovals(_ pass: inout ScaleUpPass, at now: Timestamp) {
        guard !census.leaving.isEmpty || !model.evicted.isEmpty else { return }
        let budgets = BudgetTracker(Array(model.budgets.values))
        var check = DrainCheck(
            rules: configuration.scaleDown.drain, now: now, budgets: budgets, waitsForBudgets: false)
        check.goesAnyway = !configuration.peer.takesPodsInTurn
        var displaced: [Int32] = []
        for slot in census.leaving where !pass.returning.contains(Int(slot)) {
            let outcome = check.check(Int(slot), model)
            let succeeded = succeeded(on: Int(slot))
            var homeless: [Int32] = []
            for index in outcome.evict {
                guard let pod = model.pods[Int(index)], model.holdsRoom(pod), !pod.isTerminating,
                    !succeeded.contains(pod.uid)
                else { continue }
                let podClass = Int(pod.podClass)
                var packer = Packer(model.catalog.classes[podClass], nodes: targets(pass), pass.world)
                let placed = packer.place(1, in: &pass.world, model.catalog) { node, count in
                    pass.held[node, default: []].append(Held(podClass: podClass, count: count))
                }
                if placed == 0 { homeless.append(index) }
            }
            if homeless.isEmpty { continue }
            if canReturn(Int(slot)) {
                pass.returned.append(Int(slot))
            } else if model.briefs[Int(slot)].isUnderRemoval {
                displaced += homeless
            }
        }
        if !displaced.isEmpty { demand(displaced, &pass) }
        for item in missingEvicted(at: now) {
            let podClass = Int(item.podClass)
            var packer = Packer(model.catalog.classes[podClass], nodes: targets(pass), pass.world)
            _ = packer.place(1, in: &pass.world, model.catalog) { node, count in
                pass.held[node, default: []].append(Held(podClass: podClass, count: count))
            }
        }
    }

    /// Pods that still run and will soon have to be somewhere else, as demands. Pods without an owner end with their node.
    private func demand(_ pods: [Int32], _ pass: inout ScaleUpPass) {
        for index in pods {
            guard let pod = model.pods[Int(index)] else { continue }
            let shape = model.catalog.classes[Int(pod.podClass)].shape
            guard shape.owner != nil else { continue }
            pass.demands.append(
                Demand(podClass: Int(pod.podClass), pods: [index], priority: shape.priority ?? 0, open: 1))
            pass.fitting.append(0)
        }
        sortDemands(&pass.demands, keepsOrder: configuration.scaleUp.keepsPodOrder)
    }

    /// Evicted pods that their owners have not replaced yet: of each owner as many as it has too few. Unknown owners, and none that
    /// is known of: all. Pods that stay with their node, of DaemonSets and static ones: never.
    func missingEvicted(at now: Timestamp) -> [EvictedPod] {
        var missing: [String: Int32] = [:]
        return model.evicted.filter { item in
            guard item.at + configuration.scaleDown.evictedMemory > now else { return false }
            let podClass = model.catalog.classes[Int(item.podClass)]
            if podClass.isFixed || podClass.isStatic { return false }
            guard let owner = podClass.shape.owner else { return true }
            let id = "\(owner.kind)/\(podClass.shape.namespace)/\(owner.name)"
            // A ReplicaSet that is not told of is emptied or gone: it makes none anew.
            guard let workload = model.workloads[id] else {
                return configuration.peer.takesPodsInTurn || owner.kind != "ReplicaSet"
            }
            let left = missing[id] ?? workload.replicas - workload.currentReplicas
            missing[id] = left - 1
            return left > 0
        }
    }

    /// Nodes that are on their way back take pods already.
    mutating func reopenReturning(_ pass: inout ScaleUpPass, at now: Timestamp) {
        // Longer than any snapshot takes; a node that is still marked then is not on its way back.
        givenBack = givenBack.filter { $0.value + .seconds(30) > now }
        for slot in census.leaving where model.briefs[Int(slot)].isUnderRemoval {
            let isGivenBack = model.nodes[Int(slot)].map { givenBack[$0.node.name] != nil } ?? false
            let target = removalTarget(Int(slot))
            guard isGivenBack && target == nil || target.map({ $0.isCancelled && !$0.isDrained }) ?? false else {
                continue
            }
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
        for slot in census.leaving where model.briefs[Int(slot)].isUnderRemoval && canReturn(Int(slot)) {
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
                labels: node.labels, taints: ClusterModel.templateTaints(node.taints, model.nodeRules),
                unschedulable: false))
        world.remove(slot, model.catalog)
        _ = world.add(
            NodeSeed(
                name: node.name, host: node.labels[NodeClass.hostLabel], nodeClass: number, free: free,
                isOpen: model.works(node), ports: ports), slot: slot, &model.catalog)
    }
}
