import Messages

/// Places pods of one class on given nodes, first fit, remembering where it stands.
///
/// Within one run room only shrinks, so a node that refused for want of room refuses for good and is never looked at
/// again. Nodes that differ only in wider topology domains (zones) share a cell, whose rules are checked once per pod.
struct Packer {
    /// Nodes that share their domains of all keys but the host name.
    private struct Cell {
        var nodes: [Int32]
        /// All nodes before it refuse for good.
        var hard = 0
        /// All nodes before it refuse until the lowest count of a host name spread rises.
        var soft = 0
        var epoch: Int32 = -1
    }

    let podClass: PodClass
    private var cells: [Cell]
    private let hostSpread: [SpreadCheck]
    private let hostBlocks: [DomainCheck]
    private let hasRules: Bool
    private let wideKeys: [Int]

    init(_ podClass: PodClass, nodes: [Int32], _ world: World) {
        self.podClass = podClass
        hostSpread = podClass.spread.filter { $0.key == Catalog.hostKey }
        hostBlocks = (podClass.blockedBy + podClass.antiAffinity).filter { $0.key == Catalog.hostKey }
        hasRules = !podClass.isPlain
        var keys: Set<Int> = []
        for check in podClass.spread { keys.insert(check.key) }
        for check in podClass.affinity + podClass.antiAffinity + podClass.blockedBy { keys.insert(check.key) }
        keys.remove(Catalog.hostKey)
        wideKeys = keys.sorted()
        cells = []
        if wideKeys.isEmpty {
            cells = [Cell(nodes: nodes)]
        } else {
            var numbers: [[Int]: Int] = [:]
            for node in nodes where world.nodeClass[Int(node)] >= 0 {
                let place = wideKeys.map { world.domain($0, Int(node)) }
                if let number = numbers[place] {
                    cells[number].nodes.append(node)
                } else {
                    numbers[place] = cells.count
                    cells.append(Cell(nodes: [node]))
                }
            }
        }
    }

    /// Places up to `count` pods and reports each node with how many it got. Returns how many were placed.
    mutating func place(
        _ count: Int, in world: inout World, _ catalog: Catalog, report: (_ node: Int, _ count: Int) -> Void
    ) -> Int {
        hasRules
            ? placeOneByOne(count, in: &world, catalog, report: report)
            : placeMany(count, in: &world, catalog, report: report)
    }

    private mutating func placeMany(
        _ count: Int, in world: inout World, _ catalog: Catalog, report: (Int, Int) -> Void
    ) -> Int {
        var rest = count
        let row = catalog.perNode[podClass.predicate] ? [] : catalog.rows[podClass.predicate]
        var index = cells[0].hard
        let end = cells[0].nodes.count
        while rest > 0 && index < end {
            let node = Int(cells[0].nodes[index])
            let number = Int(world.nodeClass[node])
            let fits =
                number >= 0 && world.isOpen[node]
                && (row.isEmpty
                    ? world.verdict(podClass.predicate, node, catalog) == .fits
                    : row[number] == Verdict.fits.rawValue)
            let room = fits ? world.room(podClass.needs, node, limit: rest) : 0
            if room > 0 {
                world.place(podClass, on: node, count: room, catalog)
                report(node, room)
                rest -= room
                if rest == 0 { break }
            }
            index += 1
        }
        cells[0].hard = index
        return count - rest
    }

    private mutating func placeOneByOne(
        _ count: Int, in world: inout World, _ catalog: Catalog, report: (Int, Int) -> Void
    ) -> Int {
        var placed = 0
        while placed < count, let node = next(world, catalog) {
            world.place(podClass, on: node, count: 1, catalog)
            report(node, 1)
            placed += 1
        }
        return placed
    }

    private mutating func next(_ world: World, _ catalog: Catalog) -> Int? {
        let epoch = hostSpread.reduce(Int32(0)) { $0 + world.counters[$1.counter].minimum(minDomains: $1.minDomains) }
        for number in cells.indices {
            if cells[number].epoch != epoch {
                cells[number].epoch = epoch
                cells[number].soft = cells[number].hard
            }
            if let first = cells[number].nodes.first, !wideKeys.isEmpty, !wideRulesAllow(Int(first), world) { continue }
            if let node = scan(number, world, catalog) { return node }
        }
        return nil
    }

    /// Spread and anti-affinity over wider domains; affinity is left to the node check.
    private func wideRulesAllow(_ node: Int, _ world: World) -> Bool {
        for check in podClass.spread where check.key != Catalog.hostKey {
            if world.spreadForbids(check, world.domain(check.key, node)) { return false }
        }
        for check in podClass.blockedBy where check.key != Catalog.hostKey {
            let domain = world.domain(check.key, node)
            if domain >= 0 && world.counters[check.counter].count(domain) > 0 { return false }
        }
        for check in podClass.antiAffinity where check.key != Catalog.hostKey {
            let domain = world.domain(check.key, node)
            if domain >= 0 && world.counters[check.counter].count(domain) > 0 { return false }
        }
        return true
    }

    private mutating func scan(_ number: Int, _ world: World, _ catalog: Catalog) -> Int? {
        var index = max(cells[number].soft, cells[number].hard)
        let end = cells[number].nodes.count
        var onlyHard = index == cells[number].hard
        while index < end {
            let node = Int(cells[number].nodes[index])
            switch look(node, world, catalog) {
            case .fits:
                cells[number].soft = index
                return node
            case .never:
                index += 1
                if onlyHard { cells[number].hard = index }
            case .notNow:
                onlyHard = false
                index += 1
            }
        }
        cells[number].soft = index
        return nil
    }

    private enum Look { case fits, never, notNow }

    private func look(_ node: Int, _ world: World, _ catalog: Catalog) -> Look {
        guard world.nodeClass[node] >= 0, world.isOpen[node],
            world.verdict(podClass.predicate, node, catalog) == .fits,
            world.room(podClass.needs, node, limit: 1) > 0, world.portsFree(podClass, node, catalog)
        else { return .never }
        for check in hostBlocks {
            if world.hosts[node] != nil && world.counters[check.counter].count(node) > 0 { return .never }
        }
        for check in hostSpread where world.spreadForbids(check, world.domain(check.key, node)) {
            return world.hosts[node] == nil ? .never : .notNow
        }
        // With a pod of the set placed, a domain without one refuses until the run ends: affinity only attracts.
        if !podClass.affinity.isEmpty && !world.affinityHolds(podClass, node) { return .notNow }
        return .fits
    }

    /// Nodes were added at the end of the world: they join the cell of their domains.
    mutating func append(_ node: Int, _ world: World) {
        guard !wideKeys.isEmpty else {
            cells[0].nodes.append(Int32(node))
            return
        }
        let place = wideKeys.map { world.domain($0, node) }
        for number in cells.indices {
            guard let first = cells[number].nodes.first else { continue }
            if wideKeys.map({ world.domain($0, Int(first)) }) == place {
                cells[number].nodes.append(Int32(node))
                return
            }
        }
        cells.append(Cell(nodes: [Int32(node)]))
    }
}
