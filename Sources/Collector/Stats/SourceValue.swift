import Kubernetes
import Messages
import OpenStack
import Support

/// A source that a scaler names, and where its value is to be told.
struct WantedSource: Sendable, Hashable {
    var namespace: String
    /// Under which name it is told.
    var stat: String
    var place: StatSource.Place
    /// Which pods are meant where each has a value of its own; nil: it is not known yet, or not of pods.
    var pods: LabelSelector?

    /// What is read for it.
    var key: SourceKey {
        if case .kubernetes = place { return SourceKey(place: place, namespace: namespace, pods: pods?.text ?? "") }
        return SourceKey(place: place)
    }
}

/// What is read once, however many scalers name it.
struct SourceKey: Sendable, Hashable {
    var place: StatSource.Place
    /// For the metrics APIs of the cluster, which have them by namespace; empty for OpenStack's services.
    var namespace = ""
    /// A selector, for metrics of pods.
    var pods = ""
}

/// A metric of one pod.
struct PodValue: Sendable, Equatable {
    var pod: String
    var value: Double
    var at: Timestamp
}

/// What was read of a source: a number and its time, or why there is none. Pure.
enum SourceValue: Sendable, Equatable {
    case known(Double, at: Timestamp)
    /// One for each pod.
    case pods([PodValue])
    case missing(SourceTrouble)

    /// Of a metric: the newest granule that is over. One that is still filled would say too little of a count or a sum.
    static func of(_ measures: [OpenStackClient.Measure], _ place: GnocchiPlace, at now: Timestamp) -> SourceValue {
        let wanted = place.granularity.inSeconds
        var newest: (value: Double, end: Timestamp)?
        for measure in measures where measure.granularity == wanted {
            let end = measure.at + place.granularity
            if end <= now, newest.map({ end > $0.end }) ?? true { newest = (measure.value, end) }
        }
        guard let newest else {
            return .missing(
                SourceTrouble(label: "no_measure", what: "Gnocchi has no whole granule of \(place.words) of late"))
        }
        guard newest.value.isFinite else {
            return .missing(SourceTrouble(label: "not_finite", what: "Gnocchi's newest \(place.words) is no number"))
        }
        return .known(newest.value, at: newest.end)
    }

    /// Of an alarm: what the scaler says of its state.
    static func of(_ alarm: OpenStackClient.Alarm, _ place: AlarmPlace, at now: Timestamp) -> SourceValue {
        if let value = place.value(of: alarm.state) { return .known(value, at: now) }
        return .missing(
            SourceTrouble(
                label: "alarm_state",
                what: "Aodh's alarm \(place.words) is in the state '\(alarm.state.cut(utf8: 40))', which has no value"))
    }

    /// Of an alarm by name, out of all of the project.
    static func of(
        _ alarms: [OpenStackClient.Alarm], isWhole: Bool, _ place: AlarmPlace, at now: Timestamp
    ) -> SourceValue {
        let found = alarms.filter { $0.name == place.name }
        if found.count > 1 {
            return .missing(
                SourceTrouble(
                    label: "alarm_ambiguous", what: "Aodh has \(found.count) alarms \(place.words): give the id"))
        }
        if let alarm = found.first { return of(alarm, place, at: now) }
        let more = isWhole ? "" : " among the first \(alarms.count): give the id"
        return .missing(SourceTrouble(label: "alarm_unknown", what: "Aodh has no alarm \(place.words)\(more)"))
    }
}

/// Why a source has no value.
struct SourceTrouble: Error, Sendable, Hashable {
    /// For the metric; there are few of them.
    var label: String
    /// For a person.
    var what: String

    static let switchedOff = SourceTrouble(
        label: "switched_off",
        what: "collector.openstack_stats.enabled is false: the Collector reads no sources of OpenStack")
}

extension GnocchiPlace {
    /// How errors name it.
    var words: String {
        "\(metric) of \(resourceType) \(resourceID ?? match.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")) "
            + "(\(aggregation), \(Int(granularity.inSeconds)) s)"
    }
}

extension AlarmPlace {
    /// How errors name it.
    var words: String { id ?? "'\(name ?? "")'" }
}
