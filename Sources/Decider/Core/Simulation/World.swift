import Messages

/// A node as the simulation adds it.
struct NodeSeed: Sendable {
    var name: String
    /// Value of the host name label; nil when it lacks the label.
    var host: String?
    var nodeClass: Int
    /// What is free before any pod is placed.
    var free: [Int64]
    var isOpen = true
    /// Host ports taken before any pod is placed.
    var ports: [Int] = []
}

/// Nodes with what is free on them, and pods counted per topology domain: the state that placements change.
///
/// A value: a plan is tried on a copy, which shares what it does not touch. The model keeps one up to date with the cluster, so
/// that an evaluation begins with no work. Slots of nodes that left stay empty (`nodeClass` -1) until used again.
struct World: Sendable {
    private(set) var stride: Int
    /// `stride` numbers per node; negative where running pods already use more than there is.
    private(set) var free: [Int64] = []
    private(set) var nodeClass: [Int32] = []
    /// Whether the node may take pods.
    private(set) var isOpen: [Bool] = []
    private(set) var names: [String] = []
    private(set) var hosts: [String?] = []
    /// Per topology key (but the host name) the domain of each node, -1 for none.
    private(set) var domains: [[Int32]] = [[]]
    private(set) var counters: [DomainCounter] = []
    private(set) var ports: [Int: [Int]] = [:]

    init(stride: Int) {
        self.stride = stride
    }

    var slots: Int { nodeClass.count }

    func free(_ node: Int, _ dimension: Int) -> Int64 {
        dimension < stride ? free[node * stride + dimension] : 0
    }

    func freeVector(_ node: Int) -> [Int64] {
        Array(free[(node * stride)..<(node * stride + stride)])
    }

    func domain(_ key: Int, _ node: Int) -> Int {
        if key == Catalog.hostKey { return hosts[node] == nil ? -1 : node }
        return Int(domains[key][node])
    }

    // MARK: Nodes

    /// Brings the vectors to the catalogue's size after it learned resources, keys or counters.
    /// The caller counts the pods of new counters.
    mutating func widen(_ catalog: inout Catalog) {
        if stride < catalog.stride {
            let wide = catalog.stride
            var grown: [Int64] = []
            grown.reserveCapacity(slots * wide)
            for node in 0..<slots {
                grown.append(contentsOf: free[(node * stride)..<(node * stride + stride)])
                grown.append(contentsOf: repeatElement(0, count: wide - stride))
            }
            free = grown
            stride = wide
        }
        while domains.count < catalog.topologyKeys.count {
            let key = domains.count
            var column: [Int32] = []
            column.reserveCapacity(slots)
            for node in 0..<slots {
                let number = Int(nodeClass[node])
                column.append(
                    number < 0 ? -1 : catalog.domain(key: key, labels: catalog.nodeClasses[number].labels))
            }
            domains.append(column)
        }
        while counters.count < catalog.counters.count {
            let number = counters.count
            counters.append(DomainCounter())
            guard case .spread = catalog.counters[number].kind else { continue }
            for node in 0..<slots where nodeClass[node] >= 0 && takesPart(node, in: number, catalog) {
                counters[number].addNode(domain(catalog.counters[number].key, node))
            }
        }
    }

    /// Adds a node in `slot`, or at the end. Returns its slot.
    mutating func add(_ seed: NodeSeed, slot: Int? = nil, _ catalog: inout Catalog) -> Int {
        let node = slot ?? slots
        if slot == nil {
            free.append(contentsOf: repeatElement(0, count: stride))
            nodeClass.append(-1)
            isOpen.append(false)
            names.append("")
            hosts.append(nil)
            for key in domains.indices where key != Catalog.hostKey { domains[key].append(-1) }
        }
        for dimension in 0..<stride {
            free[node * stride + dimension] = dimension < seed.free.count ? seed.free[dimension] : 0
        }
        nodeClass[node] = Int32(seed.nodeClass)
        isOpen[node] = seed.isOpen
        names[node] = seed.name
        hosts[node] = seed.host
        let labels = catalog.nodeClasses[seed.nodeClass].labels
        for key in domains.indices where key != Catalog.hostKey {
            domains[key][node] = catalog.domain(key: key, labels: labels)
        }
        if !seed.ports.isEmpty { ports[node] = seed.ports }
        for number in catalog.spreadCounters where number < counters.count {
            if takesPart(node, in: number, catalog) {
                counters[number].addNode(domain(catalog.counterKeys[number], node))
            }
        }
        return node
    }

    /// Empties a slot. Its pods have to be taken off before.
    mutating func remove(_ node: Int, _ catalog: Catalog) {
        for number in catalog.spreadCounters where number < counters.count {
            if takesPart(node, in: number, catalog) {
                counters[number].removeNode(domain(catalog.counterKeys[number], node))
            }
        }
        nodeClass[node] = -1
        isOpen[node] = false
        names[node] = ""
        hosts[node] = nil
        for key in domains.indices where key != Catalog.hostKey { domains[key][node] = -1 }
        for dimension in 0..<stride { free[node * stride + dimension] = 0 }
        ports[node] = nil
    }

    /// Forgets the last slot, which has to be empty.
    mutating func dropLast(_ node: Int) {
        guard node == slots - 1, nodeClass[node] < 0 else { return }
        free.removeLast(stride)
        nodeClass.removeLast()
        isOpen.removeLast()
        names.removeLast()
        hosts.removeLast()
        for key in domains.indices where key != Catalog.hostKey { domains[key].removeLast() }
    }

    /// More of a resource than the node says.
    mutating func offer(_ amount: Int64, of dimension: Int, on node: Int) {
        guard dimension < stride else { return }
        free[node * stride + dimension] += amount
    }

    /// Takes back what was offered; pods that were set down on it are left, so at the worst nothing is free.
    mutating func withdraw(_ amount: Int64, of dimension: Int, on node: Int) {
        guard dimension < stride else { return }
        free[node * stride + dimension] = max(0, free[node * stride + dimension] - amount)
    }

    mutating func setOpen(_ node: Int, _ open: Bool) {
        isOpen[node] = open
    }

    /// The emptied node of a removal: it takes no pods, yet stays a topology domain for constraints that ignore taints
    /// (it is tainted until it is gone).
    mutating func makeGhost(_ node: Int, _ catalog: Catalog) {
        isOpen[node] = false
        changeGhost(node, catalog, leaves: true)
    }

    /// Undoes `makeGhost`.
    mutating func unmakeGhost(_ node: Int, _ catalog: Catalog) {
        isOpen[node] = true
        changeGhost(node, catalog, leaves: false)
    }

    private mutating func changeGhost(_ node: Int, _ catalog: Catalog, leaves: Bool) {
        for number in catalog.spreadCounters where number < counters.count {
            guard case .spread(let filter, _) = catalog.counters[number].kind,
                let tolerations = catalog.predicates[filter].tolerations,
                !tolerations.contains(where: { $0.tolerates(.underRemoval) }),
                takesPart(node, in: number, catalog)
            else { continue }
            let domain = domain(catalog.counters[number].key, node)
            if leaves {
                counters[number].removeNode(domain)
            } else {
                counters[number].addNode(domain)
            }
        }
    }

    /// Whether pods on the node count for a spread counter.
    func takesPart(_ node: Int, in number: Int, _ catalog: Catalog) -> Bool {
        guard case .spread(let filter, let keys) = catalog.counters[number].kind else { return true }
        return keys.allSatisfy { domain($0, node) >= 0 } && verdict(filter, node, catalog) == .fits
    }

    func verdict(_ predicate: Int, _ node: Int, _ catalog: Catalog) -> Verdict {
        let number = Int(nodeClass[node])
        if catalog.perNode[predicate] {
            return catalog.predicates[predicate].evaluate(
                catalog.nodeClasses[number], host: hosts[node], name: names[node])
        }
        return Verdict(rawValue: catalog.rows[predicate][number]) ?? .unknown
    }

    // MARK: Pods

    /// Puts `count` pods of a class on a node, or with a negative count takes them off. No check.
    mutating func place(_ podClass: PodClass, on node: Int, count: Int, terminating: Bool = false, _ catalog: Catalog) {
        for need in podClass.needs where need.dimension < stride {
            free[node * stride + need.dimension] -= need.amount * Int64(count)
        }
        for number in terminating ? podClass.terminatingBumps : podClass.bumps where number < counters.count {
            bump(number, node, count, catalog)
        }
        guard !podClass.ports.isEmpty else { return }
        if count > 0 {
            ports[node, default: []].append(contentsOf: podClass.ports)
        } else if var used = ports[node] {
            for port in podClass.ports {
                if let index = used.lastIndex(of: port) { used.remove(at: index) }
            }
            ports[node] = used.isEmpty ? nil : used
        }
    }

    /// Counts pods of a class for one counter alone: it is new and the pods were there before.
    mutating func bump(_ number: Int, _ node: Int, _ count: Int, _ catalog: Catalog) {
        let domain = domain(catalog.counterKeys[number], node)
        guard domain >= 0, !catalog.isSpread[number] || takesPart(node, in: number, catalog) else { return }
        counters[number].bump(domain, by: Int32(count))
    }
}
