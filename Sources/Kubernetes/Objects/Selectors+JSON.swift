import JSONReader
import Messages

extension LabelSelector {
    /// Reads a `LabelSelector`; nil for `null`.
    static func read(_ reader: inout JSONReader) throws(JSONError) -> LabelSelector? {
        if try reader.isNull() { return nil }
        var selector = LabelSelector()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "matchLabels":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    selector.requirements.append(Requirement(key.text, .in, [try reader.string()]))
                }
            case "matchExpressions": selector.requirements += try Requirement.readAll(&reader)
            default: try reader.skip()
            }
        }
        return selector
    }
}

extension Requirement {
    /// Reads an array of requirements of a label or node selector.
    static func readAll(_ reader: inout JSONReader) throws(JSONError) -> [Requirement] {
        var all: [Requirement] = []
        try reader.arrayOrNull { (reader) throws(JSONError) in
            var requirement = Requirement("", .exists)
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "key": requirement.key = try reader.string()
                case "operator":
                    let word = try reader.word()
                    guard let known = Operator(rawValue: word.text) else {
                        throw reader.invalid("unknown operator of a selector")
                    }
                    requirement.operator = known
                case "values": requirement.values = try reader.stringArray()
                default: try reader.skip()
                }
            }
            all.append(requirement)
        }
        return all
    }
}

extension NodeSelectorTerm {
    /// Reads one term.
    static func read(_ reader: inout JSONReader) throws(JSONError) -> NodeSelectorTerm {
        var term = NodeSelectorTerm()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "matchExpressions": term.expressions = try Requirement.readAll(&reader)
            case "matchFields": term.fields = try Requirement.readAll(&reader)
            default: try reader.skip()
            }
        }
        return term
    }

    /// Reads a `NodeSelector`: its terms; nil for `null`.
    static func readSelector(_ reader: inout JSONReader) throws(JSONError) -> [NodeSelectorTerm]? {
        if try reader.isNull() { return nil }
        var terms: [NodeSelectorTerm] = []
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "nodeSelectorTerms":
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    terms.append(try NodeSelectorTerm.read(&reader))
                }
            default: try reader.skip()
            }
        }
        return terms
    }
}

extension PodAffinityTerm {
    /// Reads a term, or the weighted form of one.
    static func read(_ reader: inout JSONReader) throws(JSONError) -> PodAffinityTerm {
        var term = PodAffinityTerm(selector: nil, topologyKey: "")
        try term.fill(&reader)
        return term
    }

    private mutating func fill(_ reader: inout JSONReader) throws(JSONError) {
        var term = self
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "weight": term.weight = try reader.int32()
            case "podAffinityTerm": try term.fill(&reader)
            case "labelSelector": term.selector = try LabelSelector.read(&reader)
            case "namespaceSelector": term.namespaceSelector = try LabelSelector.read(&reader)
            case "namespaces": term.namespaces = try reader.stringArray()
            case "topologyKey": term.topologyKey = try reader.string()
            case "matchLabelKeys": term.matchLabelKeys = try reader.stringArray()
            default: try reader.skip()
            }
        }
        self = term
    }

    /// Reads `podAffinity` or `podAntiAffinity`: required and preferred terms in one list.
    static func readAll(_ reader: inout JSONReader) throws(JSONError) -> [PodAffinityTerm] {
        var terms: [PodAffinityTerm] = []
        try reader.objectOrNull { (reader, key) throws(JSONError) in
            switch key {
            case "requiredDuringSchedulingIgnoredDuringExecution",
                "preferredDuringSchedulingIgnoredDuringExecution":
                try reader.arrayOrNull { (reader) throws(JSONError) in terms.append(try PodAffinityTerm.read(&reader)) }
            default: try reader.skip()
            }
        }
        return terms
    }
}

extension TopologySpreadConstraint {
    /// Reads one constraint; absent fields have Kubernetes' defaults.
    static func read(_ reader: inout JSONReader) throws(JSONError) -> TopologySpreadConstraint {
        var constraint = TopologySpreadConstraint(maxSkew: 1, topologyKey: "", selector: nil)
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "maxSkew": constraint.maxSkew = try reader.int32(otherwise: 1)
            case "topologyKey": constraint.topologyKey = try reader.string()
            case "whenUnsatisfiable":
                let word = try reader.word()
                constraint.isHard = !(word == "ScheduleAnyway")
            case "labelSelector": constraint.selector = try LabelSelector.read(&reader)
            case "minDomains": constraint.minDomains = try reader.isNull() ? nil : try reader.int32()
            case "nodeAffinityPolicy": constraint.nodeAffinityPolicy = try policy(&reader) ?? .honor
            case "nodeTaintsPolicy": constraint.nodeTaintsPolicy = try policy(&reader) ?? .ignore
            case "matchLabelKeys": constraint.matchLabelKeys = try reader.stringArray()
            default: try reader.skip()
            }
        }
        return constraint
    }

    private static func policy(_ reader: inout JSONReader) throws(JSONError) -> NodePolicy? {
        if try reader.isNull() { return nil }
        return NodePolicy(rawValue: try reader.string())
    }
}

extension Toleration {
    /// Reads one toleration.
    static func read(_ reader: inout JSONReader) throws(JSONError) -> Toleration {
        var toleration = Toleration(key: nil, exists: false)
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "key": toleration.key = try reader.stringOrNull()
            case "operator":
                let word = try reader.word()
                toleration.exists = word == "Exists"
            case "value": toleration.value = try reader.stringOrNull() ?? ""
            case "effect":
                let effect = try reader.stringOrNull() ?? ""
                guard effect.isEmpty || TaintEffect(rawValue: effect) != nil else {
                    throw reader.invalid("unknown effect of a toleration")
                }
                toleration.effect = TaintEffect(rawValue: effect)
            case "tolerationSeconds": toleration.seconds = try reader.isNull() ? nil : try reader.int()
            default: try reader.skip()
            }
        }
        return toleration
    }
}

extension ResourceList {
    /// Reads a map of resource names to quantities; `null` is empty.
    static func read(_ reader: inout JSONReader) throws(JSONError) -> ResourceList {
        var zeros = WrittenZeros()
        return try read(&reader, zeros: &zeros)
    }

    /// The same, and notes which amounts are there and zero.
    static func read(_ reader: inout JSONReader, zeros: inout WrittenZeros) throws(JSONError) -> ResourceList {
        var list = ResourceList()
        var found = zeros
        try reader.objectOrNull { (reader, key) throws(JSONError) in
            // Quantities are strings; a number is accepted too, as the server does.
            let text: String
            if case .number = try reader.kind() {
                let raw = try reader.rawValue()
                text = String(decoding: raw, as: UTF8.self)
            } else {
                text = try reader.string()
            }
            let amount = key == "cpu" ? Quantity.millis(text) : Quantity.units(text)
            guard let amount else { throw reader.invalid("not a quantity") }
            switch key {
            case "cpu":
                list.cpuMillis = amount
                if amount == 0 { found.cpu = true }
            case "memory":
                list.memoryBytes = amount
                if amount == 0 { found.memory = true }
            case "ephemeral-storage": list.ephemeralStorageBytes = amount
            case "pods": list.pods = amount
            default: if amount != 0 { list.extended[key.text] = amount }
            }
        }
        zeros = found
        return list
    }
}
