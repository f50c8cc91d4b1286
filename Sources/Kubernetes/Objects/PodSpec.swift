import JSONReader
import Messages

/// `spec` of a pod or of a template, read into a shape and what else is wanted of it.
struct PodSpec {
    var shape = PodShape()
    var nodeName: String?
    var claims: [String] = []
    var ports: [ContainerPort] = []
    var readinessGates: [String] = []

    static func read(_ reader: inout JSONReader, isTemplate: Bool) throws(JSONError) -> PodSpec {
        var spec = PodSpec()
        var requests = PodRequests()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "containers":
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    let container = try Container.read(&reader, isTemplate: isTemplate)
                    requests.add(container: container)
                    spec.take(ports: container)
                }
            case "initContainers":
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    let container = try Container.read(&reader, isTemplate: isTemplate)
                    requests.add(initContainer: container)
                    if container.isSidecar { spec.take(ports: container) }
                }
            case "volumes": try reader.arrayOrNull { (reader) throws(JSONError) in try spec.readVolume(&reader) }
            case "overhead": requests.set(overhead: try ResourceList.read(&reader))
            case "resources":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    if key == "requests" { requests.set(podLevel: try ResourceList.read(&reader)) }
                }
            case "nodeName": spec.nodeName = try reader.stringOrNull().flatMap { $0.isEmpty ? nil : $0 }
            default: try spec.readPlacement(&reader, key)
            }
        }
        spec.shape.requests = requests.total
        if requests.running != requests.total { spec.shape.runningRequests = requests.running }
        spec.shape.containers = requests.byContainer
        if requests.areWhole { spec.shape.requestsAsWhole = true }
        return spec
    }

    /// The fields that say where the pod may run and how it may be moved.
    private mutating func readPlacement(_ reader: inout JSONReader, _ key: JSONKey) throws(JSONError) {
        switch key {
        case "nodeSelector": shape.nodeSelector = try reader.strings()
        case "affinity": try readAffinity(&reader)
        case "tolerations":
            var tolerations: [Toleration] = []
            try reader.arrayOrNull { (reader) throws(JSONError) in tolerations.append(try Toleration.read(&reader)) }
            shape.tolerations = tolerations
        case "topologySpreadConstraints":
            var constraints: [TopologySpreadConstraint] = []
            try reader.arrayOrNull { (reader) throws(JSONError) in
                constraints.append(try TopologySpreadConstraint.read(&reader))
            }
            shape.topologySpread = constraints
        case "priority": shape.priority = try reader.isNull() ? nil : try reader.int32()
        case "schedulerName": shape.schedulerName = try reader.stringOrNull() ?? shape.schedulerName
        case "restartPolicy": shape.restartPolicy = try reader.stringOrNull() ?? shape.restartPolicy
        case "terminationGracePeriodSeconds":
            if try !reader.isNull() { shape.gracePeriodSeconds = try reader.int() }
        case "readinessGates":
            var gates: [String] = []
            try reader.arrayOrNull { (reader) throws(JSONError) in
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "conditionType" { gates.append(try reader.string()) }
                }
            }
            readinessGates = gates
            shape.hasServingGate = gates.contains(RemovalNames.servingGate)
        default: try reader.skip()
        }
    }

    private mutating func readAffinity(_ reader: inout JSONReader) throws(JSONError) {
        var shape = self.shape
        try reader.objectOrNull { (reader, key) throws(JSONError) in
            switch key {
            case "nodeAffinity":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "requiredDuringSchedulingIgnoredDuringExecution":
                        shape.nodeAffinity = try NodeSelectorTerm.readSelector(&reader)
                    case "preferredDuringSchedulingIgnoredDuringExecution":
                        shape.preferredNodeAffinity = try PodSpec.preferredTerms(&reader)
                    default: try reader.skip()
                    }
                }
            case "podAffinity": shape.podAffinity = try PodAffinityTerm.readAll(&reader)
            case "podAntiAffinity": shape.podAntiAffinity = try PodAffinityTerm.readAll(&reader)
            default: try reader.skip()
            }
        }
        self.shape = shape
    }

    private static func preferredTerms(_ reader: inout JSONReader) throws(JSONError) -> [WeightedNodeTerm] {
        var terms: [WeightedNodeTerm] = []
        try reader.arrayOrNull { (reader) throws(JSONError) in
            var weighted = WeightedNodeTerm(weight: 1, term: NodeSelectorTerm())
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "weight": weighted.weight = try reader.int32(otherwise: 1)
                case "preference": weighted.term = try NodeSelectorTerm.read(&reader)
                default: try reader.skip()
                }
            }
            terms.append(weighted)
        }
        return terms
    }

    private mutating func take(ports container: Container) {
        if !container.ports.isEmpty { ports += container.ports }
        if !container.hostPorts.isEmpty { shape.hostPorts += container.hostPorts }
    }

    private mutating func readVolume(_ reader: inout JSONReader) throws(JSONError) {
        var name = ""
        var kind: String?
        var claim: String?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": name = try reader.string()
            case "hostPath":
                kind = "hostPath"
                try reader.skip()
            case "emptyDir":
                kind = "emptyDir"
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    if key == "medium", case let word = try reader.word(), word == "Memory" { kind = "emptyDirMemory" }
                }
            case "persistentVolumeClaim":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    if key == "claimName" { claim = try reader.string() }
                }
            case "ephemeral":
                // Its claim is named after pod and volume; the pod's name is put in front by the caller.
                claim = ""
                try reader.skip()
            default: try reader.skip()
            }
        }
        if let kind { shape.localVolumes.append(PodShape.LocalVolume(name: name, kind: kind)) }
        if let claim { claims.append(claim.isEmpty ? PodSpec.ephemeralMark + name : claim) }
    }

    /// In front of the name of an ephemeral volume in `claims`; no claim's name can begin so.
    private static let ephemeralMark = "*"

    /// Names of the claims of a pod called `pod`.
    func claims(of pod: String) -> [String] {
        claims.map { $0.hasPrefix(PodSpec.ephemeralMark) ? "\(pod)-\($0.dropFirst())" : $0 }
    }
}
