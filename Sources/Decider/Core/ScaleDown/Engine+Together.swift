import Messages

extension Engine {
    /// Nodes that go at once lose their pods at once, and those are placed anew in another order than node by node: the important and
    /// the large ones first. Where that leaves one without a place, fewer nodes go now, or a new one would be ordered for it.
    /// `order`: the nodes in the order in which they should go; each has a verdict.
    func keepTogether(
        _ chosen: inout [Int: [Int]], _ waiting: inout [Int: Explanation], _ pass: ScaleUpPass, among order: [Int]
    ) {
        guard !chosen.isEmpty, !configuration.peer.takesPodsInTurn else { return }
        let all = Set(chosen.values.joined())
        let going = order.filter { all.contains($0) }
        func haveRoom(_ slots: [Int]) -> Bool {
            self.haveRoom(slots, simulation.verdicts, pass.held, in: pass.world, nodes: model.order)
        }
        if haveRoom(going) { return }
        // One by one, so that a node whose pods find no place this way keeps no other from going.
        var kept: [Int] = []
        var looked: Set<Int> = []
        for slot in going {
            let number = Int(groupOfSlot[slot])
            let isWhole = groups[number].rules.zeroOrMax
            if isWhole, !looked.insert(number).inserted { continue }
            let unit = isWhole ? going.filter { Int(groupOfSlot[$0]) == number } : [slot]
            let isEmpty = unit.allSatisfy { Self.moving(simulation.verdicts[$0]).isEmpty && pass.held[$0] == nil }
            if isEmpty || haveRoom(kept + unit) {
                kept += unit
                continue
            }
            for slot in unit {
                waiting[slot] = Explanation(
                    .noPlaceToMovePods,
                    "not as a scheduler would place them anew, together with those of nodes that go now")
            }
            chosen[number]?.removeAll { unit.contains($0) }
        }
    }

    private static func moving(_ verdict: RemovalVerdict?) -> [Int32] {
        guard case .removable(let pods)? = verdict else { return [] }
        return pods
    }

    /// Whether all pods of these nodes, and what the simulation put on them, find a place on others of `nodes`, taken together.
    func haveRoom(
        _ slots: [Int], _ verdicts: [Int: RemovalVerdict], _ held: [Int: [Held]], in start: World, nodes: [Int32]
    ) -> Bool {
        struct Key: Hashable {
            var behaviour: Int
            var priority: Int32
        }
        var world = start
        var demands: [Demand] = []
        var numbers: [Key: Int] = [:]
        func add(_ podClass: Int, _ pods: [Int32]) {
            let item = model.catalog.classes[podClass]
            let key = Key(behaviour: item.behaviour, priority: item.shape.priority ?? 0)
            if let known = numbers[key] {
                demands[known].pods += pods
                demands[known].open += pods.count
            } else {
                numbers[key] = demands.count
                demands.append(Demand(podClass: podClass, pods: pods, priority: key.priority, open: pods.count))
            }
        }
        for slot in slots {
            for index in Self.moving(verdicts[slot]) {
                guard let pod = model.pods[Int(index)] else { continue }
                let number = Int(pod.podClass)
                world.place(
                    model.catalog.classes[number], on: slot, count: -1, terminating: pod.isTerminating, model.catalog)
                add(number, [index])
            }
            for item in held[slot] ?? [] {
                world.place(model.catalog.classes[item.podClass], on: slot, count: -item.count, model.catalog)
                add(item.podClass, Array(repeating: -1, count: item.count))
            }
            world.makeGhost(slot, model.catalog)
        }
        sortDemands(&demands, keepsOrder: false)
        // Those that want to be near others are looked at again once these have a place.
        while demands.contains(where: { $0.open > 0 }) {
            var placed = 0
            for number in demands.indices where demands[number].open > 0 {
                var packer = Packer(
                    model.catalog.classes[demands[number].podClass], nodes: nodes, world)
                let count = packer.place(demands[number].open, in: &world, model.catalog) { _, _ in }
                demands[number].open -= count
                placed += count
            }
            if placed == 0 { return false }
        }
        return true
    }
}
