import Support

/// Where a stat of a scaler's own comes from: a metric of Gnocchi or an alarm of Aodh, which the Collector reads with the login of
/// `openstack`, or the metrics APIs of the cluster, where HorizontalPodAutoscalers have theirs from. It tells it as an external stat, or
/// as one of pods.
public struct StatSource: Sendable, Hashable, Codable {
    /// Which service is asked, and for what.
    public enum Place: Sendable, Hashable, Codable {
        /// A metric of Gnocchi.
        case gnocchi(GnocchiPlace)
        /// The state of an alarm of Aodh.
        case alarm(AlarmPlace)
        /// A metric of `external.metrics.k8s.io` or `custom.metrics.k8s.io`.
        case kubernetes(KubernetesPlace)
    }

    /// Its name, as thresholds with `external` name it. Of this scaler only: two scalers may use one name for two things.
    public var stat: String
    /// Which service is asked, and for what.
    public var place: Place
    /// Older values count as missing; nil: `usualMaximumAge`.
    public var maximumAge: Interval?

    /// From its parts.
    public init(stat: String, place: Place, maximumAge: Interval? = nil) {
        self.stat = stat
        self.place = place
        self.maximumAge = maximumAge
    }

    /// Whether each pod has a value of its own.
    public var isOfPods: Bool {
        if case .kubernetes(let metric) = place { metric.isOfPods } else { false }
    }

    /// How old a value may be where the scaler does not say. Gnocchi's newest whole granule is up to one granule old, and seen only
    /// after its next round of aggregation (60 s unless set otherwise): so two granules and a minute.
    /// - Parameter usual: for what is read as it is now.
    public func usualMaximumAge(_ usual: Interval) -> Interval {
        if let maximumAge { return maximumAge }
        switch place {
        case .gnocchi(let metric): return max(usual, metric.granularity * 2 + .minutes(1))
        case .alarm, .kubernetes: return usual
        }
    }
}

/// A metric of Gnocchi: of one resource, or over all resources of a type whose attributes are as said.
public struct GnocchiPlace: Sendable, Hashable, Codable {
    /// How the values of several resources become one.
    public enum Across: String, Sendable, Codable, CaseIterable {
        case mean, sum, max, min
    }

    /// Name of the metric.
    public var metric: String
    /// Type of the resource or resources.
    public var resourceType: String
    /// Id of the resource; nil: those that `match` finds.
    public var resourceID: String?
    /// Attributes with the values that they must have; resources that have ended are left out.
    public var match: [String: String]
    /// One that the metric's archive policy has; whole seconds.
    public var granularity: Interval
    /// An aggregation method that the archive policy has: `mean`, `max`, `rate:mean`, `95pct`.
    public var aggregation: String
    /// How the values of several resources become one.
    public var across: Across

    /// From its parts.
    public init(
        metric: String, resourceType: String = "generic", resourceID: String? = nil, match: [String: String] = [:],
        granularity: Interval = .seconds(60), aggregation: String = "mean", across: Across = .mean
    ) {
        self.metric = metric
        self.resourceType = resourceType
        self.resourceID = resourceID
        self.match = match
        self.granularity = granularity
        self.aggregation = aggregation
        self.across = across
    }
}

/// An alarm of Aodh, and which number each of its states is.
public struct AlarmPlace: Sendable, Hashable, Codable {
    /// Its id; nil: it is found by its name.
    public var id: String?
    /// Its name, which no other alarm of the project may have.
    public var name: String?
    /// The value while it fires.
    public var firing: Double
    /// The value while all is well.
    public var ok: Double
    /// The value while Aodh does not know; nil: then neither do we.
    public var insufficientData: Double?

    /// From its parts.
    public init(
        id: String? = nil, name: String? = nil, firing: Double = 1, ok: Double = 0, insufficientData: Double? = nil
    ) {
        self.id = id
        self.name = name
        self.firing = firing
        self.ok = ok
        self.insufficientData = insufficientData
    }

    /// The value of a state as Aodh names it; nil: unknown.
    public func value(of state: String) -> Double? {
        switch state {
        case "alarm": firing
        case "ok": ok
        case "insufficient data": insufficientData
        default: nil
        }
    }
}

extension PodScaler {
    /// The source of a stat, of one of pods or of an external one; nil: whoever has it tells it.
    public func source(of stat: String, isExternal: Bool = true) -> StatSource? {
        sources?.first { $0.stat == stat && $0.isOfPods != isExternal }
    }

    /// The name under which the value of a source is told on the bus: no other scaler's.
    public func told(_ source: StatSource) -> String { "\(name)/\(source.stat)" }
}

extension StatSource {
    private static let methods: Set<String> = [
        "mean", "min", "max", "sum", "count", "first", "last", "median", "std", "nunique",
    ]
    private static let longestName = 255

    /// What is wrong with it; nil: nothing.
    var mistake: String? {
        if stat.isEmpty || stat.utf8.count > Self.longestName { return "stat is empty or too long" }
        if let maximumAge, !(Interval.seconds(5)...Interval.minutes(1_440)).contains(maximumAge) {
            return "maxAgeSeconds is not within 5…86400"
        }
        switch place {
        case .gnocchi(let metric): return metric.mistake
        case .alarm(let alarm): return alarm.mistake
        case .kubernetes(let metric): return metric.mistake
        }
    }

    static func isName(_ text: String) -> Bool {
        // It becomes a part of a path, where services take an encoded slash for one.
        (1...longestName).contains(text.utf8.count) && !text.contains("/") && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    fileprivate static func isMethod(_ text: String) -> Bool {
        let plain = text.hasPrefix("rate:") ? text.dropFirst("rate:".count) : text[...]
        if methods.contains(String(plain)) { return true }
        guard plain.hasSuffix("pct"), let percent = Int(plain.dropLast("pct".count)) else { return false }
        return (1...99).contains(percent)
    }
}

extension GnocchiPlace {
    fileprivate var mistake: String? {
        if !StatSource.isName(metric) { return "metric is empty, too long or holds a slash" }
        if !StatSource.isName(resourceType) { return "resourceType is empty, too long or holds a slash" }
        if let resourceID, !StatSource.isName(resourceID) {
            return "resourceID is empty, too long or holds a slash"
        }
        if (resourceID == nil) == match.isEmpty { return "one of resourceID and match is needed, not both" }
        if match.count > 10 || match.keys.contains(where: { !StatSource.isName($0) }) {
            return "match has more than 10 attributes, or one without a name"
        }
        if granularity < .seconds(1) || granularity > .minutes(1_440)
            || granularity.microseconds % Interval.seconds(1).microseconds != 0
        {
            return "granularitySeconds is not within 1…86400"
        }
        return StatSource.isMethod(aggregation)
            ? nil : "aggregation \"\(aggregation.cut(utf8: 40))\" is no method of Gnocchi"
    }
}

extension AlarmPlace {
    fileprivate var mistake: String? {
        if (id == nil) == (name == nil) { return "one of id and name is needed, not both" }
        if let id, !StatSource.isName(id) { return "id is empty, too long or holds a slash" }
        if let name, name.isEmpty || name.utf8.count > 255 { return "name is empty or too long" }
        for value in [firing, ok, insufficientData ?? 0] where !value.isFinite || value < 0 {
            return "the value \(value) of a state is negative or no number"
        }
        return nil
    }
}
