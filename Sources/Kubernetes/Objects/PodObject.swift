import JSONReader
import Messages
import Support

/// A pod as the API server has it, reduced. `pod.shape` is not set: numbers are given by whoever keeps a table.
public struct PodObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName("pods")

    /// A condition of a pod.
    public struct Condition: Sendable, Hashable {
        /// e.g. `Ready` or `updraft.io/serving`.
        public var type: String
        /// `True`, `False` or `Unknown`.
        public var status: String
        /// A word for programs.
        public var reason: String

        /// From its parts.
        public init(type: String, status: String, reason: String = "") {
            self.type = type
            self.status = status
            self.reason = reason
        }
    }

    /// Metadata.
    public var meta: ObjectMeta
    /// What differs between replicas.
    public var pod: Pod
    /// What replicas share.
    public var shape: PodShape
    /// `status.podIP`; nil until the pod runs.
    public var address: String?
    /// Ports of its containers.
    public var ports: [ContainerPort]
    /// `spec.readinessGates`.
    public var readinessGates: [String]
    /// Conditions of the gates above: the standard ones are in `pod`.
    public var gateConditions: [Condition]

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> PodObject {
        var full = FullMeta()
        var spec = PodSpec()
        var status = PodStatus()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec": spec = try PodSpec.read(&reader, isTemplate: false)
            case "status": status = try PodStatus.read(&reader)
            default: try reader.skip()
            }
        }
        guard !full.meta.uid.isEmpty else { throw reader.invalid("a pod without uid") }
        spec.shape.adopt(full)
        let scheduling = spec.nodeName == nil ? status.scheduling : .scheduled
        let pod = Pod(
            uid: full.meta.uid, name: full.meta.name, shape: 0, node: spec.nodeName,
            nominatedNode: status.nominatedNode, phase: status.phase, scheduling: scheduling, ready: status.ready,
            createdAt: full.meta.createdAt,
            unschedulableSince: scheduling == .unschedulable ? status.unschedulableSince : nil,
            deletedAt: full.meta.deletedAt,
            claims: spec.claims.isEmpty ? [] : spec.claims(of: full.meta.name), startedAt: status.startedAt,
            readyChangedAt: status.readyChangedAt)
        return PodObject(
            meta: full.meta, pod: pod, shape: spec.shape, address: status.address, ports: spec.ports,
            readinessGates: spec.readinessGates,
            gateConditions: spec.readinessGates.isEmpty
                ? [] : status.others.filter { spec.readinessGates.contains($0.type) })
    }
}

extension PodShape {
    /// Takes over what stands in the metadata.
    mutating func adopt(_ full: FullMeta) {
        namespace = full.meta.namespace
        labels = full.labels
        annotations = full.annotations
        owner = full.controller.map {
            Owner(kind: $0.kind, apiVersion: $0.apiVersion, name: $0.name, uid: $0.uid)
        }
        // The DaemonSet controller pins each of its pods to its node by name. Such a pod is never placed anywhere
        // else, and with the name in it each would be a shape of its own.
        if owner?.kind == "DaemonSet", let terms = nodeAffinity {
            let rest = terms.map { NodeSelectorTerm(expressions: $0.expressions) }
            // A term with nothing but the name allowed every node before the controller put the name in.
            nodeAffinity = rest.contains { $0.expressions.isEmpty } ? nil : rest
        }
    }
}

/// `status` of a pod, reduced.
private struct PodStatus {
    var phase = Pod.Phase.unknown
    var nominatedNode: String?
    var address: String?
    var ready = false
    var scheduling = Pod.Scheduling.unseen
    var unschedulableSince: Timestamp?
    var startedAt: Timestamp?
    var readyChangedAt: Timestamp?
    var others: [PodObject.Condition] = []

    static func read(_ reader: inout JSONReader) throws(JSONError) -> PodStatus {
        var status = PodStatus()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "phase":
                switch try reader.word() {
                case "Running": status.phase = .running
                case "Pending": status.phase = .pending
                case "Succeeded": status.phase = .succeeded
                case "Failed": status.phase = .failed
                default: status.phase = .unknown
                }
            case "conditions":
                try reader.arrayOrNull { (reader) throws(JSONError) in try status.readCondition(&reader) }
            case "nominatedNodeName":
                status.nominatedNode = try reader.stringOrNull().flatMap { $0.isEmpty ? nil : $0 }
            case "startTime": status.startedAt = try reader.time()
            case "podIP": status.address = try reader.stringOrNull().flatMap { $0.isEmpty ? nil : $0 }
            default: try reader.skip()
            }
        }
        return status
    }

    private enum Kind {
        case ready, scheduled, other
    }

    private mutating func readCondition(_ reader: inout JSONReader) throws(JSONError) {
        var kind = Kind.other
        var name: String?
        var isTrue = false
        var isFalse = false
        var isUnschedulable = false
        var reason: String?
        var since: Timestamp?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "type":
                switch try reader.word() {
                case "Ready": kind = .ready
                case "PodScheduled": kind = .scheduled
                case "Initialized", "ContainersReady", "PodReadyToStartContainers": name = nil
                case let word: name = word.text
                }
            case "status":
                let word = try reader.word()
                isTrue = word == "True"
                isFalse = word == "False"
            case "reason":
                if try reader.isNull() { return }
                let word = try reader.word()
                // The scheduler's own mishap (a node that it did not know yet, a bind that failed): it tries again, and
                // until then the pod asks for room like any other.
                isUnschedulable = word == "Unschedulable" || word == "SchedulerError"
                if name != nil { reason = word.text }
            case "lastTransitionTime": since = try reader.time()
            default: try reader.skip()
            }
        }
        switch kind {
        case .ready:
            ready = isTrue
            readyChangedAt = since
        case .scheduled:
            if isTrue {
                scheduling = .scheduled
            } else if isFalse {
                scheduling = isUnschedulable ? .unschedulable : .gated
                unschedulableSince = since
            }
        case .other:
            guard let name else { return }
            others.append(
                PodObject.Condition(
                    type: name, status: isTrue ? "True" : isFalse ? "False" : "Unknown", reason: reason ?? ""))
        }
    }
}
