import Messages

/// Zones stay level while groups shrink.
extension Engine {
    /// The zone of a node, empty when it says none.
    func zone(of slot: Int) -> String {
        let number = Int(model.world.nodeClass[slot])
        return number < 0 ? "" : model.catalog.nodeClasses[number].labels[configuration.scaleDown.zoneLabel] ?? ""
    }

    /// Groups that are alike but for their zone are kept level together: where each zone has a group of its own, no group could be
    /// kept level by itself. The first of those alike stands for all.
    func zoneSet(of group: Int) -> Int { group < zoneSets.sets.count ? zoneSets.sets[group] : group }

    /// Whether there is one group in the set.
    func isAlone(_ set: Int) -> Bool { groups.indices.count { zoneSet(of: $0) == set } == 1 }

    /// Finds the groups that are alike, when templates changed. `assign` has to be done.
    mutating func findZoneSets() {
        guard configuration.scaleDown.balancesZones, groups.count > 1 else { return zoneSets.sets = [] }
        guard zoneSets.key != templatesKey else { return }
        zoneSets = (templatesKey, Array(groups.indices))
        let rules = configuration.scaleUp.similarity
        var known: [(group: Int, cpu: Int64, sample: Similarity.Sample)] = []
        for number in groups.indices {
            guard let template = templates[number] else { continue }
            let sample = Similarity.sample(of: template, model.catalog)
            let cpu = template.capacity[Catalog.cpu]
            let like = known.first { other in
                (other.cpu == cpu || !rules.labels.isEmpty) && Similarity.alike(other.sample, sample, rules)
            }
            if let like { zoneSets.sets[number] = like.group } else { known.append((number, cpu, sample)) }
        }
    }

    /// Nodes by groups alike and zone, those under removal left out.
    func zoneSizes() -> [Int: [String: Int]] {
        guard configuration.scaleDown.balancesZones else { return [:] }
        struct Place: Hashable {
            var group: Int32
            var nodeClass: Int32
        }
        // Few kinds of nodes: their labels are looked at once each.
        var counts: [Place: (slot: Int, count: Int)] = [:]
        for slot in model.order where groupOfSlot[Int(slot)] >= 0 && !model.briefs[Int(slot)].isLeaving {
            let place = Place(group: groupOfSlot[Int(slot)], nodeClass: model.world.nodeClass[Int(slot)])
            counts[place, default: (Int(slot), 0)].count += 1
        }
        var sizes: [Int: [String: Int]] = [:]
        for (place, item) in counts {
            sizes[zoneSet(of: Int(place.group)), default: [:]][zone(of: item.slot), default: 0] += item.count
        }
        return sizes
    }

    /// Of nodes that cost the same, which come one after the other, those of the fullest zone first. `costs`: one for each slot.
    func levelled<Cost>(_ slots: [Int], costs: [Cost], isAsCheap: (Cost, Cost) -> Bool) -> [Int] {
        guard configuration.scaleDown.balancesZones, slots.count > 1 else { return slots }
        let zones = slots.map { zone(of: $0) }
        guard zones.contains(where: { $0 != zones[0] }) else { return slots }
        var sizes = zoneSizes()
        var result: [Int] = []
        result.reserveCapacity(slots.count)
        var start = 0
        while start < slots.count {
            var end = start + 1
            while end < slots.count && isAsCheap(costs[end - 1], costs[end]) { end += 1 }
            result += level(start..<end, slots, zones, &sizes)
            start = end
        }
        return result
    }

    private func level(
        _ range: Range<Int>, _ slots: [Int], _ zones: [String], _ sizes: inout [Int: [String: Int]]
    ) -> [Int] {
        // By set and zone the places in the list, the last first.
        var queues: [Int: [String: [Int]]] = [:]
        for place in range.reversed() {
            queues[zoneSet(of: Int(groupOfSlot[slots[place]])), default: [:]][zones[place], default: []].append(place)
        }
        return range.map { place in
            let set = zoneSet(of: Int(groupOfSlot[slots[place]]))
            var best: (zone: String, size: Int, place: Int)?
            for (zone, queue) in queues[set] ?? [:] {
                guard let next = queue.last else { continue }
                let size = sizes[set]?[zone] ?? 0
                if let known = best, (-known.size, known.place) < (-size, next) { continue }
                best = (zone, size, next)
            }
            guard let best else { return slots[place] }
            queues[set]?[best.zone]?.removeLast()
            sizes[set]?[best.zone, default: 0] -= 1
            return slots[best.place]
        }
    }
}
