import Messages

/// Pods of one class put on a node by the simulation.
struct Placement: Sendable, Equatable {
    var podClass: Int
    var node: Int
    var count: Int
}

/// How many nodes of a template a set of demands needs: first-fit decreasing over demands, on new nodes only.
struct Estimator {
    let template: NodeTemplate
    let group: Int
    /// Most nodes.
    let limit: Int
    var strategy = PackingStrategy.firstFit
    private(set) var nodes: [Int32] = []
    /// What was placed where, in order.
    private(set) var placements: [Placement] = []
    private var isCut = false
    /// The peer's estimate since 1.34: a pod that a spread over host names keeps off the newest node is put on any other node, of those
    /// that exist as well, and the estimate counts the nodes that got pods, whichever they are.
    var fillsOthers = false
    /// Nodes that got pods that way, and the new ones of theirs.
    private var filled: Set<Int> = []

    init(template: NodeTemplate, group: Int, limit: Int) {
        self.template = template
        self.group = group
        self.limit = limit
    }

    /// Larger demands first: sum of the parts of cpu and memory of a node that a pod takes. Among equals the order is kept.
    static func order(_ demands: [Demand], template: NodeTemplate, _ catalog: Catalog, keepsOrder: Bool) -> [Int] {
        let cpu = Double(max(1, template.allocatable[Catalog.cpu]))
        let memory = Double(max(1, template.allocatable[Catalog.memory]))
        let scores = demands.map { demand in
            catalog.classes[demand.podClass].needs.reduce(0.0) { sum, need in
                switch need.dimension {
                case Catalog.cpu: sum + Double(need.amount) / cpu
                case Catalog.memory: sum + Double(need.amount) / memory
                default: sum
                }
            }
        }
        return demands.indices.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
    }

    /// Adds nodes to `world` and places pods on them. Returns how many pods of each demand were placed.
    mutating func run(
        _ demands: [Demand], keepsOrder: Bool, _ world: inout World, _ catalog: inout Catalog
    ) -> ScaleUpOption {
        var option = ScaleUpOption(
            group: group, nodes: 0, placed: [:], requested: [Int64](repeating: 0, count: catalog.stride))
        var order = Self.order(demands, template: template, catalog, keepsOrder: keepsOrder)
            .filter { demands[$0].open > 0 }
        func note(_ index: Int, _ placed: Int) {
            guard placed > 0 else { return }
            option.placed[index, default: 0] += placed
            for need in catalog.classes[demands[index].podClass].needs {
                option.requested[need.dimension] += need.amount * Int64(placed)
            }
        }
        if strategy == .interleaved {
            let ruled = order.filter { !catalog.classes[demands[$0].podClass].isPlain }
            for (index, placed) in interleave(ruled, demands, &world, &catalog) { note(index, placed) }
            order.removeAll { !catalog.classes[demands[$0].podClass].isPlain }
        }
        for index in order {
            let number = demands[index].podClass
            let podClass = catalog.classes[number]
            if fillsOthers && podClass.spread.contains(where: { $0.key == Catalog.hostKey }) {
                note(index, placeInTurn(podClass, number, demands[index].open, &world, &catalog))
            } else {
                note(index, place(podClass, number, demands[index].open, &world, &catalog))
            }
        }
        option.nodes = filled.union(nodes.map(Int.init)).count
        option.isCut = isCut
        option.strategy = strategy
        return option
    }

    private mutating func place(
        _ podClass: PodClass, _ number: Int, _ count: Int, _ world: inout World, _ catalog: inout Catalog
    ) -> Int {
        var packer = Packer(podClass, nodes: podClass.isPlain ? nodes : ordered(world), world)
        var placed = packer.place(count, in: &world, catalog) { node, count in
            placements.append(Placement(podClass: number, node: node, count: count))
        }
        while placed < count {
            guard nodes.count < limit else {
                isCut = true
                break
            }
            let node = addNode(&world, &catalog)
            packer.append(node, world)
            let more = packer.place(count - placed, in: &world, catalog) { node, count in
                placements.append(Placement(podClass: number, node: node, count: count))
            }
            guard more > 0 else {
                // It does not fit an empty node, so the rest will not either.
                takeBack(node, &world, catalog)
                break
            }
            placed += more
        }
        return placed
    }

    /// Pod by pod, as the peer does: on the new nodes, then on the newest of them, on any other node, on one more.
    private mutating func placeInTurn(
        _ podClass: PodClass, _ number: Int, _ count: Int, _ world: inout World, _ catalog: inout Catalog
    ) -> Int {
        func fits(_ candidates: [Int32], _ estimator: inout Estimator, _ world: inout World, _ catalog: Catalog) -> Bool
        {
            var packer = Packer(podClass, nodes: candidates, world)
            return packer.place(1, in: &world, catalog) { node, count in
                estimator.placements.append(Placement(podClass: number, node: node, count: count))
                estimator.filled.insert(node)
            } == 1
        }
        let existing = (0..<Int32(world.nodeClass.count)).filter {
            world.nodeClass[Int($0)] >= 0 && !nodes.contains($0)
        }
        var placed = 0
        while placed < count, fits(nodes, &self, &world, catalog) { placed += 1 }
        while placed < count {
            if let newest = nodes.last {
                let others = existing + nodes.dropLast()
                if fits([newest], &self, &world, catalog)
                    || isSpreadAlone(podClass, Int(newest), world) && fits(others, &self, &world, catalog)
                {
                    placed += 1
                    continue
                }
            }
            guard nodes.count < limit else {
                isCut = true
                break
            }
            let node = addNode(&world, &catalog)
            guard fits([Int32(node)], &self, &world, catalog) else {
                // It does not fit an empty node, so the rest will not either.
                takeBack(node, &world, catalog)
                break
            }
            placed += 1
        }
        return placed
    }

    /// Whether a node has room for the pod and a spread forbids it.
    private func isSpreadAlone(_ podClass: PodClass, _ node: Int, _ world: World) -> Bool {
        world.room(podClass.needs, node, limit: 1) > 0
            && podClass.spread.contains { world.spreadForbids($0, world.domain($0.key, node)) }
    }

    /// One pod of each demand after the other, until none of them has room or pods left.
    private mutating func interleave(
        _ indices: [Int], _ demands: [Demand], _ world: inout World, _ catalog: inout Catalog
    ) -> [(Int, Int)] {
        var packers = indices.map { Packer(catalog.classes[demands[$0].podClass], nodes: [], world) }
        var known = [Int](repeating: 0, count: indices.count)
        var placed = [Int](repeating: 0, count: indices.count)
        var isDone = [Bool](repeating: false, count: indices.count)
        while isDone.contains(false) {
            for item in indices.indices where !isDone[item] {
                let number = demands[indices[item]].podClass
                while known[item] < nodes.count {
                    packers[item].append(Int(nodes[known[item]]), world)
                    known[item] += 1
                }
                var count = placeOne(&packers[item], number, &world, catalog)
                if count == 0 {
                    if nodes.count < limit {
                        let node = addNode(&world, &catalog)
                        packers[item].append(node, world)
                        known[item] = nodes.count
                        count = placeOne(&packers[item], number, &world, catalog)
                        if count == 0 { takeBack(node, &world, catalog) }
                    } else {
                        isCut = true
                    }
                }
                placed[item] += count
                isDone[item] = count == 0 || placed[item] == demands[indices[item]].open
            }
        }
        return Array(zip(indices, placed))
    }

    private mutating func placeOne(
        _ packer: inout Packer, _ number: Int, _ world: inout World, _ catalog: Catalog
    ) -> Int {
        packer.place(1, in: &world, catalog) { node, count in
            placements.append(Placement(podClass: number, node: node, count: count))
        }
    }

    private func ordered(_ world: World) -> [Int32] {
        switch strategy {
        case .firstFit, .interleaved: return nodes
        case .tightest:
            let cpu = Double(max(1, template.allocatable[Catalog.cpu]))
            let memory = Double(max(1, template.allocatable[Catalog.memory]))
            let room = nodes.map { node in
                Double(world.free(Int(node), Catalog.cpu)) / cpu
                    + Double(world.free(Int(node), Catalog.memory)) / memory
            }
            return nodes.indices.sorted { room[$0] != room[$1] ? room[$0] < room[$1] : $0 < $1 }.map { nodes[$0] }
        }
    }

    private mutating func addNode(_ world: inout World, _ catalog: inout Catalog) -> Int {
        let node = world.addTemplate(template, number: nodes.count, group: group, &catalog)
        nodes.append(Int32(node))
        return node
    }

    private mutating func takeBack(_ node: Int, _ world: inout World, _ catalog: Catalog) {
        nodes.removeLast()
        world.removeTemplate(node, template, catalog)
    }
}

extension World {
    /// Adds a node made from a template, with its DaemonSet and mirror pods counted.
    mutating func addTemplate(
        _ template: NodeTemplate, number: Int, group: Int, _ catalog: inout Catalog
    ) -> Int {
        // Names of nodes that do not exist must not equal real ones: no Kubernetes name holds a space.
        let name = template.hasHost ? "new \(group) \(number)" : ""
        let node = add(
            NodeSeed(
                name: name, host: template.hasHost ? name : nil, nodeClass: template.nodeClass, free: template.free,
                ports: template.ports), &catalog)
        for podClass in template.carried {
            for number in catalog.classes[podClass].bumps where number < counters.count {
                bump(number, node, 1, catalog)
            }
        }
        return node
    }

    /// Takes off a node that `addTemplate` added last.
    mutating func removeTemplate(_ node: Int, _ template: NodeTemplate, _ catalog: Catalog) {
        for podClass in template.carried {
            for number in catalog.classes[podClass].bumps where number < counters.count {
                bump(number, node, -1, catalog)
            }
        }
        remove(node, catalog)
        dropLast(node)
    }
}
