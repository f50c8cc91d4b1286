import Messages

extension Engine {
    /// Nodes that pods are tried on: those that are there, in the order of their names, then those that come.
    func targets(_ pass: ScaleUpPass) -> [Int32] {
        pass.upcoming.isEmpty ? model.order : model.order + pass.upcoming
    }

    /// Places what fits on nodes that are there or coming.
    func placeOnExisting(_ pass: inout ScaleUpPass) {
        let nodes = targets(pass)
        let quiet = Set(pass.quiet.flatMap(\.pods))
        if !quiet.isEmpty {
            // Together with the others, the important ones first.
            pass.demands += pass.quiet
            pass.fitting += pass.quiet.map { _ in 0 }
            pass.quiet = []
            sortDemands(&pass.demands, keepsOrder: configuration.scaleUp.keepsPodOrder)
        }
        if configuration.peer.takesPodsInTurn {
            placeInTurn(&pass, nodes)
        } else {
            placeTogether(&pass, nodes)
        }
        guard !quiet.isEmpty else { return }
        let asking = pass.demands.indices.filter { !(pass.demands[$0].pods.first.map(quiet.contains) ?? false) }
        pass.fitting = asking.map { pass.fitting[$0] }
        pass.demands = asking.map { pass.demands[$0] }
    }

    private func placeTogether(_ pass: inout ScaleUpPass, _ nodes: [Int32]) {
        for number in pass.demands.indices {
            let podClass = pass.demands[number].podClass
            let isFixed = model.catalog.classes[podClass].isFixed
            let named = namedNodes(model.catalog.classes[podClass].shape)
            var packer = Packer(model.catalog.classes[podClass], nodes: named ?? nodes, pass.world)
            let placed = packer.place(pass.demands[number].open, in: &pass.world, model.catalog) { node, count in
                // A DaemonSet's pod ends with its node: it need not find another.
                if !isFixed { pass.held[node, default: []].append(Held(podClass: podClass, count: count)) }
                pass.placements.append(Placement(podClass: podClass, node: node, count: count))
            }
            pass.fitting[number] += placed
            pass.demands[number].open -= placed
        }
    }

    /// As the peer does: pod by pod in the order of the list, the important first, each on the next node after the last pod's that
    /// has room.
    private func placeInTurn(_ pass: inout ScaleUpPass, _ nodes: [Int32]) {
        guard !nodes.isEmpty else { return }
        var queue = pass.demands.indices.flatMap { demand in
            pass.demands[demand].pods.map {
                (demand: demand, pod: $0, uid: $0 < 0 ? "" : model.pods[Int($0)]?.uid ?? "")
            }
        }
        queue.sort { left, right in
            let (one, other) = (pass.demands[left.demand].priority, pass.demands[right.demand].priority)
            return one != other ? one > other : left.uid < right.uid
        }
        var places: [Int32: Int] = [:]
        for (place, node) in nodes.enumerated() { places[node] = place }
        var start = 1 % nodes.count
        var placed = pass.demands.map { _ in [Int32]() }
        var left = placed
        for item in queue {
            let podClass = model.catalog.classes[pass.demands[item.demand].podClass]
            // Room only shrinks.
            if podClass.isPlain && !left[item.demand].isEmpty {
                left[item.demand].append(item.pod)
                continue
            }
            let turn = namedNodes(podClass.shape) ?? Array(nodes[start...] + nodes[..<start])
            var packer = Packer(podClass, nodes: turn, pass.world)
            let number = pass.demands[item.demand].podClass
            let count = packer.place(1, in: &pass.world, model.catalog) { node, count in
                if !podClass.isFixed { pass.held[node, default: []].append(Held(podClass: number, count: count)) }
                pass.placements.append(Placement(podClass: number, node: node, count: count))
                if let place = places[Int32(node)] { start = (place + 1) % nodes.count }
            }
            if count > 0 { placed[item.demand].append(item.pod) } else { left[item.demand].append(item.pod) }
        }
        for number in pass.demands.indices {
            pass.demands[number].pods = placed[number] + left[number]
            pass.demands[number].open -= placed[number].count
            pass.fitting[number] += placed[number].count
        }
    }

    /// The nodes that a pod is held to by name, as each pod of a DaemonSet is: there may be one for every node, and none of them need
    /// be tried on all of the others. Nil when it is not.
    private func namedNodes(_ shape: PodShape) -> [Int32]? {
        guard let terms = shape.nodeAffinity, !terms.isEmpty else { return nil }
        var names: Set<String> = []
        for term in terms {
            guard let field = term.fields.first(where: { $0.key == "metadata.name" && $0.operator == .in }) else {
                return nil
            }
            names.formUnion(field.values)
        }
        return names.sorted().compactMap { model.nodeSlots[$0].map { Int32($0) } }
    }
}
