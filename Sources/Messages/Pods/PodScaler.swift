import Support

/// Rules by which the replicas of workloads follow their load: a `PodScaler` object, or an item of `pod_scalers` in the
/// configuration.
///
/// The fields are those of Kubernetes' original auto-scaler proposal (intention and value thresholds, target and monitor
/// selector, minimum and maximum) with the rules of HorizontalPodAutoscaler v2 for how fast.
public struct PodScaler: Sendable, Hashable, Codable {
    /// Where a scaler was said.
    public enum Origin: String, Sendable, Codable {
        /// A `PodScaler` object of the cluster.
        case object
        /// The configuration file.
        case configuration
    }

    /// Which direction is stopped.
    public enum Pause: String, Sendable, Codable, CaseIterable {
        case none, up, down, both
    }

    /// Namespace of the scaler, its targets and its pods.
    public var namespace: String
    /// Name.
    public var name: String
    /// UID of the object; empty for one of the configuration.
    public var uid: String
    /// Generation of the object's spec; zero for one of the configuration.
    public var generation: Int64
    /// Where it was said.
    public var origin: Origin
    /// The workload whose replicas change; nil: those that `targetSelector` finds.
    public var target: TargetReference?
    /// Labels of the workloads whose replicas may change: of several the largest is scaled.
    public var targetSelector: LabelSelector?
    /// Labels of the pods that are measured and counted; nil: the pods of the targets.
    public var monitorSelector: LabelSelector?
    /// Fewest replicas, over all pods monitored; zero: the application may idle.
    public var minimum: Int
    /// Most replicas, over all pods monitored.
    public var maximum: Int
    /// Whether it scales at all.
    public var enabled: Bool
    /// Which direction is stopped.
    public var pause: Pause
    /// Everything is worked out and told, and nothing is changed.
    public var dryRun: Bool
    /// Replicas when no stat can be had; nil: they stay as they are.
    public var fallback: Int?
    /// Thresholds that name what shall hold: HorizontalPodAutoscaler's rule keeps it.
    public var intentions: [Intention]
    /// Thresholds that name a step.
    public var values: [ValueThreshold]
    /// Where external stats of its own come from; nil: it has none.
    public var sources: [StatSource]?
    /// How fast it may grow.
    public var scaleUp: ScalingRules
    /// How fast it may shrink.
    public var scaleDown: ScalingRules
    /// What is wrong with it as it was written; nil: nothing.
    public var mistake: String?

    /// A scaler without thresholds, with HorizontalPodAutoscaler's defaults for the rest.
    public init(
        namespace: String, name: String, uid: String = "", generation: Int64 = 0, origin: Origin = .object,
        target: TargetReference? = nil, targetSelector: LabelSelector? = nil, monitorSelector: LabelSelector? = nil,
        minimum: Int = 1, maximum: Int, enabled: Bool = true, pause: Pause = .none, dryRun: Bool = false,
        fallback: Int? = nil, intentions: [Intention] = [], values: [ValueThreshold] = [],
        sources: [StatSource]? = nil, scaleUp: ScalingRules = .up, scaleDown: ScalingRules = .down,
        mistake: String? = nil
    ) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.generation = generation
        self.origin = origin
        self.target = target
        self.targetSelector = targetSelector
        self.monitorSelector = monitorSelector
        self.minimum = minimum
        self.maximum = maximum
        self.enabled = enabled
        self.pause = pause
        self.dryRun = dryRun
        self.fallback = fallback
        self.intentions = intentions
        self.values = values
        self.sources = sources
        self.scaleUp = scaleUp
        self.scaleDown = scaleDown
        self.mistake = mistake
    }

    /// `namespace/name`.
    public var id: String { "\(namespace)/\(name)" }
}

/// A workload by name.
public struct TargetReference: Sendable, Hashable, Codable {
    /// e.g. `apps/v1`.
    public var apiVersion: String
    /// e.g. `Deployment`.
    public var kind: String
    /// Its name.
    public var name: String

    /// From its parts.
    public init(apiVersion: String, kind: String, name: String) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.name = name
    }

    /// Group of the API version; empty for the core group.
    public var group: Substring { apiVersion.firstIndex(of: "/").map { apiVersion[..<$0] } ?? "" }

    /// Whether it is a Deployment, ReplicaSet, StatefulSet or ReplicationController, in whatever version it is named.
    public var isBuiltIn: Bool {
        switch kind {
        case "Deployment", "ReplicaSet", "StatefulSet", "ReplicationController":
            apiVersion == "apps/v1" || apiVersion == "v1" || ["", "apps", "extensions"].contains(group)
        default: false
        }
    }

    /// How the workload is named in decisions and in the ledger: `kind/namespace/name`, or `kind.group/namespace/name` where it
    /// is of no kind that every cluster has.
    public func id(in namespace: String) -> String {
        isBuiltIn || group.isEmpty ? "\(kind)/\(namespace)/\(name)" : "\(kind).\(group)/\(namespace)/\(name)"
    }
}

/// A threshold that says what shall hold, e.g. "60 % of the requested CPU in use". No step is named: as many replicas as
/// keep it, by HorizontalPodAutoscaler v2's rule.
public struct Intention: Sendable, Hashable, Codable {
    /// What the stat is compared with.
    public enum Goal: Sendable, Hashable, Codable {
        /// Use of a resource in percent of what the pods request.
        case utilization(Int)
        /// The average over the pods.
        case average(Double)
        /// The whole, however many pods there are. For external stats.
        case total(Double)
    }

    /// `cpu` (thousandths of a core), `memory` (bytes), `disk` (bytes), `received`, `sent` (bytes a second), or a stat by its
    /// own name.
    public var stat: String
    /// Whether it is a value of its own, from the bus, rather than one of each pod.
    public var isExternal: Bool
    /// The container of each pod whose `cpu` or `memory` it is; nil: that of the whole pod.
    public var container: String?
    /// What shall hold.
    public var goal: Goal

    /// From its parts.
    public init(stat: String, isExternal: Bool = false, container: String? = nil, goal: Goal) {
        self.stat = stat
        self.isExternal = isExternal
        self.container = container
        self.goal = goal
    }

    /// The stat in words: `cpu`, or `cpu of app`.
    public var title: String { container.map { "\(stat) of \($0)" } ?? stat }
}

/// A threshold with a step: "when requests per second rise above 50 for 30 seconds, scale up by one".
public struct ValueThreshold: Sendable, Hashable, Codable {
    /// How the stat is compared.
    public enum Comparison: String, Sendable, Codable, CaseIterable {
        case above, atLeast = "at-least", below, atMost = "at-most"

        /// Whether the value has passed the threshold.
        public func holds(_ value: Double, _ threshold: Double) -> Bool {
            switch self {
            case .above: value > threshold
            case .atLeast: value >= threshold
            case .below: value < threshold
            case .atMost: value <= threshold
            }
        }
    }

    /// By how much replicas change.
    public enum Step: Sendable, Hashable, Codable {
        /// So many more, or fewer when negative.
        case replicas(Int)
        /// So many percent more, or fewer when negative; at least one.
        case percent(Double)

        /// Whether it makes fewer.
        public var isNegative: Bool {
            switch self {
            case .replicas(let count): count < 0
            case .percent(let share): share < 0
            }
        }
    }

    /// As with intentions; the average over the pods, or the external value.
    public var stat: String
    /// Whether it is a value of its own, from the bus.
    public var isExternal: Bool
    /// Of a resource: in percent of what the pods request.
    public var isUtilization: Bool
    /// How it is compared.
    public var comparison: Comparison
    /// With what.
    public var value: Double
    /// How long it has to hold.
    public var duration: Interval
    /// The step; it is made again each time that the duration has passed anew.
    public var step: Step

    /// From its parts.
    public init(
        stat: String, isExternal: Bool = false, isUtilization: Bool = false, comparison: Comparison, value: Double,
        duration: Interval, step: Step
    ) {
        self.stat = stat
        self.isExternal = isExternal
        self.isUtilization = isUtilization
        self.comparison = comparison
        self.value = value
        self.duration = duration
        self.step = step
    }
}

/// How fast replicas may change in one direction: `behavior` of HorizontalPodAutoscaler v2.
public struct ScalingRules: Sendable, Hashable, Codable {
    /// Which policy counts when there are several.
    public enum Selection: String, Sendable, Codable, CaseIterable {
        /// The one that allows the largest change.
        case max = "Max"
        /// The one that allows the smallest.
        case min = "Min"
        /// No change in this direction.
        case disabled = "Disabled"
    }

    /// At most so much within a period.
    public struct Policy: Sendable, Hashable, Codable {
        /// What `value` counts.
        public enum Kind: String, Sendable, Codable, CaseIterable {
            case pods = "Pods", percent = "Percent"
        }

        /// What `value` counts.
        public var kind: Kind
        /// How many.
        public var value: Int
        /// Within this.
        public var period: Interval

        /// From its parts.
        public init(_ kind: Kind, _ value: Int, per period: Interval) {
            self.kind = kind
            self.value = value
            self.period = period
        }
    }

    /// Recommendations of this long are looked at, and the most cautious counts.
    public var stabilization: Interval
    /// The policies.
    public var policies: [Policy]
    /// Which policy counts.
    public var selection: Selection
    /// Ratios so close to one change nothing.
    public var tolerance: Double

    /// From its parts.
    public init(
        stabilization: Interval, policies: [Policy], selection: Selection = .max, tolerance: Double = 0.1
    ) {
        self.stabilization = stabilization
        self.policies = policies
        self.selection = selection
        self.tolerance = tolerance
    }

    /// HorizontalPodAutoscaler's defaults for growing: at once, doubled or four more in 15 s.
    public static let up = ScalingRules(
        stabilization: .zero,
        policies: [Policy(.pods, 4, per: .seconds(15)), Policy(.percent, 100, per: .seconds(15))])
    /// Its defaults for shrinking: after 300 s, as far as wanted.
    public static let down = ScalingRules(
        stabilization: .seconds(300), policies: [Policy(.percent, 100, per: .seconds(15))])
}

extension ValueThreshold.Step {
    /// As users write it: `2`, `-1`, `50%`, `-10%`; nil when it is none of these.
    public init?(_ text: String) {
        if text.hasSuffix("%") {
            guard let share = Double(text.dropLast()) else { return nil }
            self = .percent(share)
        } else {
            guard let count = Int(text) else { return nil }
            self = .replicas(count)
        }
    }
}
