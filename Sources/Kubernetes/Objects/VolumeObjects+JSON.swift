import JSONReader
import Messages
import Support

/// A PersistentVolume.
public struct VolumeObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName("persistentvolumes", isNamespaced: false)

    /// Metadata.
    public var meta: ObjectMeta
    /// Where it can be used: any term suffices; nil: anywhere. The zone labels of old volumes are taken for a term.
    public var nodeAffinity: [NodeSelectorTerm]?

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> VolumeObject {
        var full = FullMeta()
        var affinity: [NodeSelectorTerm]?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec":
                try reader.object { (reader, key) throws(JSONError) in
                    guard key == "nodeAffinity" else { return }
                    try reader.objectOrNull { (reader, key) throws(JSONError) in
                        if key == "required" { affinity = try NodeSelectorTerm.readSelector(&reader) }
                    }
                }
            default: try reader.skip()
            }
        }
        guard !full.meta.name.isEmpty else { throw reader.invalid("a volume without name") }
        return VolumeObject(meta: full.meta, nodeAffinity: affinity ?? zoneTerm(full.labels))
    }

    /// A volume in several zones names them joined by two underscores.
    private static func zoneTerm(_ labels: [String: String]) -> [NodeSelectorTerm]? {
        let keys = [
            "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
            "failure-domain.beta.kubernetes.io/region",
        ]
        let requirements = keys.compactMap { key in
            labels[key].map { Requirement(key, .in, $0.components(separatedBy: "__")) }
        }
        return requirements.isEmpty ? nil : [NodeSelectorTerm(expressions: requirements)]
    }
}

extension String {
    /// The parts between the occurrences of `separator`, which must not be empty.
    fileprivate func components(separatedBy separator: String) -> [String] {
        split(separator: separator, omittingEmptySubsequences: true).map(String.init)
    }
}

/// A VolumeAttachment: a volume at a node. The object stays until the volume is detached.
public struct AttachmentObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName(group: "storage.k8s.io", "volumeattachments", isNamespaced: false)

    /// Metadata.
    public var meta: ObjectMeta
    /// Name of the node.
    public var node: String
    /// Name of the PersistentVolume; nil for a volume that stands in a pod.
    public var volume: String?

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> AttachmentObject {
        var full = FullMeta()
        var node = ""
        var volume: String?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec":
                try reader.object { (reader, key) throws(JSONError) in
                    switch key {
                    case "nodeName": node = try reader.string()
                    case "source":
                        try reader.object { (reader, key) throws(JSONError) in
                            if key == "persistentVolumeName" { volume = try reader.stringOrNull() }
                        }
                    default: try reader.skip()
                    }
                }
            default: try reader.skip()
            }
        }
        guard !full.meta.name.isEmpty, !node.isEmpty else { throw reader.invalid("an attachment without name or node") }
        return AttachmentObject(meta: full.meta, node: node, volume: volume)
    }
}
