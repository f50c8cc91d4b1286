import Messages
import Support

extension ReplayWorld {
    /// Places pods that wait, by the engine's own constraints: on the node on which a pod was recorded if that is here and has
    /// room, else on the emptiest that can take it (as the usual scheduler does). Whether any was placed.
    mutating func place(_ engine: Engine, at now: Timestamp) -> Bool {
        let waiting = waiting
        guard !waiting.isEmpty else { return false }
        let model = engine.model
        var world = model.world
        let open = model.order.map(Int.init).filter { slot in
            world.nodeClass[slot] >= 0 && model.nodes[slot]?.takesPods ?? false
        }
        guard !open.isEmpty else { return false }
        let queue = order(waiting, model)
        var placed = false
        func put(_ item: (uid: String, podClass: Int32), on slot: Int) {
            world.place(model.catalog.classes[Int(item.podClass)], on: slot, count: 1, model.catalog)
            assign(item.uid, to: world.names[slot])
            placed = true
        }
        // What was recorded to run somewhere comes first: whoever still waited in the recording had found no room beside it.
        var rest: [(uid: String, podClass: Int32)] = []
        for item in queue {
            guard let name = recorded.pods[item.uid]?.node, let slot = model.nodeSlots[name],
                model.nodes[slot]?.takesPods ?? false,
                world.canHost(model.catalog.classes[Int(item.podClass)], slot, model.catalog)
            else {
                rest.append(item)
                continue
            }
            put(item, on: slot)
        }
        // A class that found no place finds none again before something is taken away.
        var hopeless: Set<Int32> = []
        for item in rest where !hopeless.contains(item.podClass) {
            let podClass = model.catalog.classes[Int(item.podClass)]
            var best: Int?
            var room = -1.0
            for slot in open where world.canHost(podClass, slot, model.catalog) {
                let free = Self.freeShare(slot, world, model)
                if free > room { (best, room) = (slot, free) }
            }
            guard let best else {
                hopeless.insert(item.podClass)
                continue
            }
            put(item, on: best)
        }
        return placed
    }

    /// Higher priority first, then the older, as the scheduler's queue has them.
    private func order(_ waiting: Set<String>, _ model: ClusterModel) -> [(uid: String, podClass: Int32)] {
        let items = waiting.compactMap { uid -> (uid: String, podClass: Int32, priority: Int32, at: Timestamp)? in
            guard let index = model.podIndex(uid), let pod = model.pods[Int(index)] else { return nil }
            let shape = model.catalog.classes[Int(pod.podClass)].shape
            return (uid, pod.podClass, shape.priority ?? 0, pod.createdAt)
        }
        return items.sorted { ($1.priority, $0.at, $0.uid) < ($0.priority, $1.at, $1.uid) }.map {
            ($0.uid, $0.podClass)
        }
    }

    /// How much of the scarcer of cpu and memory is free.
    private static func freeShare(_ slot: Int, _ world: World, _ model: ClusterModel) -> Double {
        guard let allocatable = model.nodes[slot]?.allocatable else { return 0 }
        var share = 1.0
        for dimension in [Catalog.cpu, Catalog.memory]
        where dimension < allocatable.count && allocatable[dimension] > 0 {
            share = min(share, Double(world.free(slot, dimension)) / Double(allocatable[dimension]))
        }
        return max(0, share)
    }
}
