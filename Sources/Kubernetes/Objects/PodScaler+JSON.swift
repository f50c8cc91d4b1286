import JSONReader
import Messages
import Support

extension PodScaler {
    /// Takes over a `spec`. Also that of a HorizontalPodAutoscaler v2, whose fields are all there by the same names.
    mutating func fill(from spec: PodScalerNode) throws(PodScalerMistake) {
        guard spec.value.objectValue != nil else { throw spec.wrong("is missing") }
        if let reference = spec["scaleTargetRef"] {
            target = TargetReference(
                apiVersion: try reference["apiVersion"]?.text() ?? "v1", kind: try reference.needed("kind").text(),
                name: try reference.needed("name").text())
        }
        targetSelector = try spec["targetSelector"]?.selector()
        monitorSelector = try spec["monitorSelector"]?.selector()
        minimum = try spec["minReplicas"]?.int() ?? 1
        maximum = try spec.needed("maxReplicas").int()
        enabled = try spec["enabled"]?.flag() ?? true
        pause = try spec["pause"]?.choice(Pause.self) ?? Pause.none
        dryRun = try spec["dryRun"]?.flag() ?? false
        fallback = try spec["fallbackReplicas"]?.int()
        for item in try spec["thresholds"]?.items() ?? [] {
            switch (item["intention"], item["value"]) {
            case (let intention?, nil): intentions.append(try Intention(own: intention))
            case (nil, let value?): values.append(try ValueThreshold(value))
            default: throw item.wrong("is neither an intention nor a value threshold, or both")
            }
        }
        if let items = try spec["sources"]?.items(), !items.isEmpty {
            var read: [StatSource] = []
            for item in items { read.append(try StatSource(item)) }
            sources = read
        }
        for item in try spec["metrics"]?.items() ?? [] { intentions.append(try Intention(metric: item)) }
        if let behavior = spec["behavior"] {
            if let rules = behavior["scaleUp"] { scaleUp = try ScalingRules(rules, usual: .up) }
            if let rules = behavior["scaleDown"] { scaleDown = try ScalingRules(rules, usual: .down) }
        }
    }
}

extension Intention {
    fileprivate init(own node: PodScalerNode) throws(PodScalerMistake) {
        let stat = try node.needed("stat").text()
        let isExternal = try node["external"]?.flag() ?? false
        let given = ["utilization", "averageValue", "value"].filter { node[$0] != nil }
        guard given.count == 1 else { throw node.wrong("needs one of utilization, averageValue and value") }
        let goal: Goal
        if let percent = node["utilization"] {
            goal = .utilization(try percent.int())
        } else if let average = node["averageValue"] {
            goal = .average(try Self.amount(average, stat, isExternal))
        } else {
            goal = .total(try node.needed("value").quantity())
        }
        self.init(stat: stat, isExternal: isExternal, container: try node["container"]?.text(), goal: goal)
    }

    /// CPU is counted in thousandths of a core, whose quantity is written in cores.
    private static func amount(
        _ node: PodScalerNode, _ stat: String, _ isExternal: Bool
    ) throws(PodScalerMistake) -> Double {
        let amount = try node.quantity()
        return stat == "cpu" && !isExternal ? amount * 1_000 : amount
    }

    /// An item of a HorizontalPodAutoscaler's `metrics`.
    fileprivate init(metric node: PodScalerNode) throws(PodScalerMistake) {
        let type = try node.needed("type")
        switch try type.text() {
        case "Resource":
            let source = try node.needed("resource")
            let name = try Self.resource(source)
            self.init(stat: name, goal: try Self.goal(source, name, isExternal: false))
        case "ContainerResource":
            let source = try node.needed("containerResource")
            let name = try Self.resource(source)
            self.init(
                stat: name, container: try source.needed("container").text(),
                goal: try Self.goal(source, name, isExternal: false))
        case "Pods":
            let source = try node.needed("pods")
            let name = try Self.name(source)
            self.init(stat: name, goal: try Self.goal(source, name, isExternal: false))
        case "External":
            let source = try node.needed("external")
            let name = try Self.name(source)
            self.init(stat: name, isExternal: true, goal: try Self.goal(source, name, isExternal: true))
        case let other: throw type.wrong("\"\(other)\" is none of Resource, ContainerResource, Pods, External")
        }
    }

    private static func resource(_ source: PodScalerNode) throws(PodScalerMistake) -> String {
        let name = try source.needed("name").text()
        guard name == "cpu" || name == "memory" else { throw source.wrong("\"\(name)\" is neither cpu nor memory") }
        return name
    }

    private static func name(_ source: PodScalerNode) throws(PodScalerMistake) -> String {
        let metric = try source.needed("metric")
        if let selector = metric["selector"] {
            throw selector.wrong("series are chosen by labels in sources, not here: name the stat of one")
        }
        return try metric.needed("name").text()
    }

    private static func goal(
        _ source: PodScalerNode, _ name: String, isExternal: Bool
    ) throws(PodScalerMistake) -> Goal {
        let target = try source.needed("target")
        let type = try target.needed("type")
        switch try type.text() {
        case "Utilization": return .utilization(try target.needed("averageUtilization").int())
        case "AverageValue": return .average(try amount(try target.needed("averageValue"), name, isExternal))
        case "Value": return .total(try target.needed("value").quantity())
        case let other: throw type.wrong("\"\(other)\" is none of Utilization, AverageValue, Value")
        }
    }
}

extension ValueThreshold {
    fileprivate init(_ node: PodScalerNode) throws(PodScalerMistake) {
        let increment = try node.needed("increment")
        var written = ""
        if let number = increment.value.intValue { written = "\(number)" } else { written = try increment.text() }
        guard let step = Step(written) else {
            throw increment.wrong("\"\(written)\" is neither a whole number nor a percentage")
        }
        let stat = try node.needed("stat").text()
        let isExternal = try node["external"]?.flag() ?? false
        let isUtilization = try node["utilization"]?.flag() ?? false
        let factor = stat == "cpu" && !isExternal && !isUtilization ? 1_000.0 : 1
        self.init(
            stat: stat, isExternal: isExternal, isUtilization: isUtilization,
            comparison: try node.needed("comparison").choice(Comparison.self),
            value: try node.needed("value").quantity() * factor,
            duration: try node["durationSeconds"]?.seconds() ?? .zero, step: step)
    }
}

extension ScalingRules {
    fileprivate init(_ node: PodScalerNode, usual: ScalingRules) throws(PodScalerMistake) {
        self = usual
        stabilization = try node["stabilizationWindowSeconds"]?.seconds() ?? usual.stabilization
        selection = try node["selectPolicy"]?.choice(Selection.self) ?? usual.selection
        tolerance = try node["tolerance"]?.quantity() ?? usual.tolerance
        guard let items = try node["policies"]?.items(), !items.isEmpty else { return }
        policies = []
        for item in items {
            policies.append(
                Policy(
                    try item.needed("type").choice(Policy.Kind.self), try item.needed("value").int(),
                    per: try item.needed("periodSeconds").seconds()))
        }
    }
}
