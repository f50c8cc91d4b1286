import Support

/// A metric of the aggregated metrics APIs of the cluster, in the namespace of the scaler: what a HorizontalPodAutoscaler names as
/// `External`, `Object` or `Pods`.
public struct KubernetesPlace: Sendable, Hashable, Codable {
    /// Name of the metric.
    public var metric: String
    /// Labels of its series; nil: all of them.
    public var selector: LabelSelector?
    /// The object that it is of (`custom.metrics.k8s.io`); nil: of none (`external.metrics.k8s.io`), and the values of all series are
    /// added up.
    public var object: TargetReference?
    /// Whether each of the scaler's pods has a value of its own (`custom.metrics.k8s.io`): a stat of pods, and no external one.
    public var isOfPods: Bool

    /// From its parts.
    public init(
        metric: String, selector: LabelSelector? = nil, object: TargetReference? = nil, isOfPods: Bool = false
    ) {
        self.metric = metric
        self.selector = selector
        self.object = object
        self.isOfPods = isOfPods
    }
}

extension KubernetesPlace {
    private static let longestPart = 253
    private static let longestValue = 63
    /// More of them are nobody's, and would not fit into an address.
    private static let mostRequirements = 50
    private static let mostValues = 50

    /// What is wrong with it; nil: nothing.
    var mistake: String? {
        // Kubernetes' own clients refuse a percent sign in a part of a path as well.
        if !StatSource.isName(metric) || metric.contains("%") {
            return "metric is empty, too long or holds a slash or a percent sign"
        }
        if isOfPods && object != nil { return "describedObject and pods are given, of which one is meant" }
        if let object {
            if !StatSource.isName(object.name) || object.name.contains("%") {
                return "the name of describedObject is empty, too long or holds a slash or a percent sign"
            }
            if object.kind.isEmpty || object.kind.utf8.count > Self.longestPart {
                return "the kind of describedObject is empty or too long"
            }
        }
        return selector?.requirements.isEmpty ?? true ? nil : selectorMistake
    }

    /// As an API server has it: what else stands in a selector would make another one of its text.
    private var selectorMistake: String? {
        let requirements = selector?.requirements ?? []
        if requirements.count > Self.mostRequirements {
            return "selector has more than \(Self.mostRequirements) labels"
        }
        for requirement in requirements {
            let shown = requirement.key.cut(utf8: 60)
            if !Self.isKey(requirement.key) { return "selector: \"\(shown)\" is no key of a label" }
            if requirement.values.count > Self.mostValues {
                return "selector: \"\(shown)\" has more than \(Self.mostValues) values"
            }
            if let value = requirement.values.first(where: { !$0.isEmpty && !Self.isWord($0, Self.longestValue) }) {
                return "selector: \"\(value.cut(utf8: 60))\" of \"\(shown)\" is no value of a label"
            }
            switch requirement.operator {
            case .in, .notIn:
                if requirement.values.isEmpty { return "selector: \"\(shown)\" needs values" }
            case .exists, .doesNotExist: break
            case .greaterThan, .lessThan: return "selector: \"\(shown)\" compares, which labels of a metric do not"
            }
        }
        return nil
    }

    /// `prefix/name`, where the prefix may be left out.
    private static func isKey(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let name = parts.last, isWord(String(name), longestValue) else { return false }
        return parts.count == 1 || isWord(String(parts[0]), longestPart)
    }

    /// Letters and digits, and between them `-`, `_` and `.`.
    private static func isWord(_ text: String, _ longest: Int) -> Bool {
        func isPlain(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 }
        guard (1...longest).contains(text.utf8.count), text.utf8.first.map(isPlain) ?? false,
            text.utf8.last.map(isPlain) ?? false
        else { return false }
        return text.utf8.allSatisfy { isPlain($0) || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E }
    }
}
