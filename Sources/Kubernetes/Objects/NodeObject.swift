import JSONReader
import Messages
import Support

/// A node as the API server has it, reduced.
public struct NodeObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName("nodes", isNamespaced: false)

    /// Metadata.
    public var meta: ObjectMeta
    /// The node.
    public var node: Node
    /// What keeps the object after it was deleted, until whoever set it takes it away.
    public var finalizers: [String]

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> NodeObject {
        var full = FullMeta()
        var node = Node(name: "", allocatable: ResourceList(), readiness: .unknown)
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec": try node.readSpec(&reader)
            case "status": try node.readStatus(&reader)
            default: try reader.skip()
            }
        }
        guard !full.meta.name.isEmpty else { throw reader.invalid("a node without name") }
        node.name = full.meta.name
        node.uid = full.meta.uid
        node.labels = full.labels
        node.annotations = full.annotations
        node.createdAt = full.meta.createdAt
        node.deletedAt = full.meta.deletedAt
        return NodeObject(meta: full.meta, node: node, finalizers: full.finalizers)
    }
}

extension Node {
    fileprivate mutating func readSpec(_ reader: inout JSONReader) throws(JSONError) {
        var node = self
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "providerID": node.providerID = try reader.stringOrNull().flatMap { $0.isEmpty ? nil : $0 }
            case "unschedulable": node.unschedulable = try reader.isNull() ? false : try reader.bool()
            case "taints":
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    if let taint = try Taint.read(&reader) { node.taints.append(taint) }
                }
            default: try reader.skip()
            }
        }
        self = node
    }

    fileprivate mutating func readStatus(_ reader: inout JSONReader) throws(JSONError) {
        var node = self
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "capacity": node.capacity = try ResourceList.read(&reader)
            case "allocatable": node.allocatable = try ResourceList.read(&reader)
            case "conditions":
                try reader.arrayOrNull { (reader) throws(JSONError) in try node.readCondition(&reader) }
            case "addresses":
                var isInternal = false
                try reader.arrayOrNull { (reader) throws(JSONError) in
                    let (type, address) = try Node.address(&reader)
                    // The first internal address; without one, whatever comes first.
                    if type == "InternalIP", !isInternal {
                        node.address = address
                        isInternal = true
                    } else if node.address == nil {
                        node.address = address
                    }
                }
            case "daemonEndpoints":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    guard key == "kubeletEndpoint" else { return }
                    try reader.objectOrNull { (reader, key) throws(JSONError) in
                        guard key == "Port" else { return }
                        let port = try reader.int32()
                        node.kubeletPort = port > 0 ? port : nil
                    }
                }
            default: try reader.skip()
            }
        }
        self = node
    }

    private static func address(_ reader: inout JSONReader) throws(JSONError) -> (type: String, address: String) {
        var type = ""
        var address = ""
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "type": type = try reader.string()
            case "address": address = try reader.string()
            default: try reader.skip()
            }
        }
        return (type, address)
    }

    /// The longest text of a condition that is kept.
    private static let longestReason = 200

    private mutating func readCondition(_ reader: inout JSONReader) throws(JSONError) {
        var type = ""
        var status = ""
        var reason = ""
        var message = ""
        var since: Timestamp?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "type": type = try reader.string()
            case "status": status = try reader.string()
            case "reason": reason = try reader.stringOrNull() ?? ""
            case "message": message = try reader.stringOrNull() ?? ""
            case "lastTransitionTime": since = try reader.time()
            default: try reader.skip()
            }
        }
        if type == "Ready" {
            readiness = status == "True" ? .ready : status == "False" ? .notReady : .unknown
            readinessChangedAt = since
            if readiness != .ready {
                readinessReason = String("\(reason): \(message)".prefix(Node.longestReason))
            }
        } else if status == "True" {
            pressures.append(type)
        }
    }
}

extension Taint {
    /// Reads one taint; nil for an effect that this release does not know, which then binds nobody.
    static func read(_ reader: inout JSONReader) throws(JSONError) -> Taint? {
        var key = ""
        var value = ""
        var effect: TaintEffect?
        try reader.object { (reader, name) throws(JSONError) in
            switch name {
            case "key": key = try reader.string()
            case "value": value = try reader.stringOrNull() ?? ""
            case "effect": effect = TaintEffect(rawValue: try reader.string())
            default: try reader.skip()
            }
        }
        return effect.map { Taint(key: key, value: value, effect: $0) }
    }
}
