import Messages

/// What pods would like of the nodes that they run on: soft rules, which break ties between nodes that are as cheap to remove.
struct Preferences {
    /// Whether any pod has preferred node affinity.
    var onNodes = false
    /// What runs where, if pods of the nodes in question have soft rules on other pods.
    var neighbours: Neighbours?
}

extension Engine {
    /// What is needed to ask for the liking of these nodes' pods. Pods are counted only where one of them has a rule on others.
    func preferences(of slots: [Int]) -> Preferences {
        guard configuration.scaleUp.softTieBreaks else { return Preferences() }
        var isKnown = [Bool](repeating: false, count: model.catalog.classes.count)
        var classes: [Int] = []
        for slot in slots {
            for index in model.nodes[slot]?.pods ?? [] {
                let number = Int(model.podBriefs[Int(index)].podClass)
                guard number >= 0, !isKnown[number] else { continue }
                isKnown[number] = true
                if !model.catalog.classes[number].isFixed { classes.append(number) }
            }
        }
        return Preferences(
            onNodes: classes.contains { !model.catalog.classes[$0].shape.preferredNodeAffinity.isEmpty },
            neighbours: Neighbours(model, for: classes))
    }

    /// How much a node's pods would like to stay: weights of preferred node affinity that it meets and of their preferred rules on
    /// other pods near it, less untolerated `PreferNoSchedule` taints. 0 without soft tie-breaks.
    func liking(_ slot: Int, _ preferences: Preferences) -> Int64 {
        guard configuration.scaleUp.softTieBreaks, let record = model.nodes[slot] else { return 0 }
        let softTaints = record.node.taints.filter { $0.effect == .preferNoSchedule }
        guard preferences.onNodes || preferences.neighbours != nil || !softTaints.isEmpty else { return 0 }
        var sum: Int64 = 0
        for index in record.pods {
            let number = Int(model.podBriefs[Int(index)].podClass)
            guard number >= 0, !model.catalog.classes[number].isFixed else { continue }
            if let neighbours = preferences.neighbours {
                sum += neighbours.leaning(ofRunning: number, to: record.node.labels)
            }
            if softTaints.isEmpty && model.catalog.classes[number].shape.preferredNodeAffinity.isEmpty { continue }
            sum += model.catalog.classes[number].shape.liking(
                labels: record.node.labels, name: record.node.name, softTaints: softTaints)
        }
        return sum
    }
}
