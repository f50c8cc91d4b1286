import Messages
import Support

extension Engine {
    /// Spare capacity as pods of the lowest importance: what does not fit asks for nodes like any other.
    mutating func addHeadroom(_ pass: inout ScaleUpPass) {
        for (place, rule) in configuration.headroom.enumerated() {
            let requests: ResourceList
            let count: Int
            switch rule.amount {
            case .pods(let number, let each):
                (count, requests) = (number, each)
            case .percent(let percent, let each):
                requests = piece(each)
                count = podsFor(percent: percent, requests)
            }
            guard count > 0 else { continue }
            let number: Int
            if let known = headroomClasses[place], known.revision == model.classesRevision, known.requests == requests {
                number = known.number
            } else {
                number = model.addClass(
                    PodShape(
                        namespace: "updraft.io", labels: ["updraft.io/headroom": rule.id], requests: requests,
                        priority: Int32.min, nodeSelector: rule.nodeSelector, tolerations: rule.tolerations))
                headroomClasses[place] = (model.classesRevision, requests, number)
                pass.world.widen(&model.catalog)
            }
            var demand = Demand(
                podClass: number, pods: (0..<count).map { -1 - Int32($0) }, priority: Int32.min, open: count,
                isHeadroom: true)
            var packer = Packer(
                model.catalog.classes[number], nodes: targets(pass), pass.world)
            // Held: a node with room that is kept goes only when there is as much on others.
            let placed = packer.place(count, in: &pass.world, model.catalog) { node, count in
                pass.held[node, default: []].append(Held(podClass: number, count: count))
            }
            demand.open -= placed
            pass.demands.append(demand)
            pass.fitting.append(placed)
        }
    }

    /// A piece of as much memory for its cpu as the groups' nodes have: were it of another shape, so many percent of the one would
    /// be more of the other than a node has, and each node that comes would ask for more than it brings. (In steps, so that it
    /// stays the same while a node more or less changes the ratio.)
    private func piece(_ each: ResourceList) -> ResourceList {
        let exact = Double(census.memory) * Double(each.cpuMillis) / Double(census.cpu)
        guard each.cpuMillis > 0, each.memoryBytes > 0, exact.isNormal, exact >= 64, exact < 1e18 else { return each }
        let step = Double(sign: .plus, exponent: exact.exponent - 5, significand: 1)
        var piece = each
        piece.memoryBytes = Int64((exact / step).rounded(.up) * step)
        return piece
    }

    /// How many pods of these requests make up so many percent of what the groups' nodes offer.
    private func podsFor(percent: Double, _ requests: ResourceList) -> Int {
        let (cpu, memory) = (census.cpu, census.memory)
        var pods = 0.0
        if requests.cpuMillis > 0 { pods = max(pods, Double(cpu) * percent / 100 / Double(requests.cpuMillis)) }
        if requests.memoryBytes > 0 {
            pods = max(pods, Double(memory) * percent / 100 / Double(requests.memoryBytes))
        }
        return Int(pods.rounded(.up))
    }
}
