/// What a taint does.
public enum TaintEffect: String, Sendable, Hashable, Codable, CaseIterable {
    case noSchedule = "NoSchedule"
    case preferNoSchedule = "PreferNoSchedule"
    case noExecute = "NoExecute"
}

/// A taint of a node.
public struct Taint: Sendable, Hashable, Codable {
    /// Its key.
    public var key: String
    /// Its value; empty when it has none.
    public var value: String
    /// Its effect.
    public var effect: TaintEffect

    /// From its parts.
    public init(key: String, value: String = "", effect: TaintEffect) {
        self.key = key
        self.value = value
        self.effect = effect
    }
}

/// A toleration of a pod.
public struct Toleration: Sendable, Hashable, Codable {
    /// Nil with `exists`: every key.
    public var key: String?
    /// `Exists` rather than `Equal`.
    public var exists: Bool
    /// Compared unless `exists`.
    public var value: String
    /// Nil: every effect.
    public var effect: TaintEffect?
    /// For `NoExecute`: how long.
    public var seconds: Int64?

    /// From its parts.
    public init(key: String?, exists: Bool, value: String = "", effect: TaintEffect? = nil, seconds: Int64? = nil) {
        self.key = key
        self.exists = exists
        self.value = value
        self.effect = effect
        self.seconds = seconds
    }

    /// Whether it tolerates `taint` (Kubernetes' `ToleratesTaint`).
    public func tolerates(_ taint: Taint) -> Bool {
        if let effect, effect != taint.effect { return false }
        if let key, !key.isEmpty {
            if key != taint.key { return false }
        } else if !exists {
            return false
        }
        return exists || value == taint.value
    }
}
