import JSONReader
import Messages
import Support

/// A `PodScaler` of updraft.io/v1alpha1. What cannot be read is kept as a mistake of the scaler, so that it can be told where
/// it was made.
public struct PodScalerObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName(group: "updraft.io", version: "v1alpha1", "podscalers")

    /// Metadata.
    public var meta: ObjectMeta
    /// The scaler.
    public var scaler: PodScaler

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> PodScalerObject {
        var full = FullMeta()
        var spec = JSONValue.null
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec": spec = try reader.value()
            default: try reader.skip()
            }
        }
        guard !full.meta.name.isEmpty else { throw reader.invalid("a PodScaler without name") }
        var scaler = PodScaler(
            namespace: full.meta.namespace, name: full.meta.name, uid: full.meta.uid,
            generation: full.meta.generation, maximum: 0)
        do throws(PodScalerMistake) {
            try scaler.fill(from: PodScalerNode(spec, at: "spec"))
        } catch {
            scaler.mistake = error.description
        }
        return PodScalerObject(meta: full.meta, scaler: scaler)
    }
}

/// A HorizontalPodAutoscaler: only what it scales. Asked for as autoscaling/v1, which every server has (v2 came with
/// Kubernetes 1.23) and which names the target of every HorizontalPodAutoscaler, of whatever version it was made.
public struct AutoscalerObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName(group: "autoscaling", "horizontalpodautoscalers")

    /// Metadata.
    public var meta: ObjectMeta
    /// What it scales.
    public var autoscaler: PodAutoscaler

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> AutoscalerObject {
        var full = FullMeta()
        var target = TargetReference(apiVersion: "", kind: "", name: "")
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec":
                try reader.object { (reader, key) throws(JSONError) in
                    guard key == "scaleTargetRef" else { return try reader.skip() }
                    try reader.object { (reader, key) throws(JSONError) in
                        switch key {
                        case "apiVersion": target.apiVersion = try reader.stringOrNull() ?? ""
                        case "kind": target.kind = try reader.string()
                        case "name": target.name = try reader.string()
                        default: try reader.skip()
                        }
                    }
                }
            default: try reader.skip()
            }
        }
        return AutoscalerObject(
            meta: full.meta,
            autoscaler: PodAutoscaler(namespace: full.meta.namespace, name: full.meta.name, target: target))
    }
}
