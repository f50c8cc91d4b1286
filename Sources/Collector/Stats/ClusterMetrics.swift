import JSONReader
import Kubernetes
import Messages
import Support

/// The two APIs that HorizontalPodAutoscalers have the metrics from that are none of pods' resources; adapters serve them
/// (k8s.io/metrics, `pkg/apis/custom_metrics` and `external_metrics`).
enum ClusterMetricsAPI: String, Sendable, CaseIterable {
    case external = "external.metrics.k8s.io"
    case custom = "custom.metrics.k8s.io"

    /// The one that has the metric.
    init(_ place: KubernetesPlace) { self = place.object == nil && !place.isOfPods ? .external : .custom }

    /// Versions that are spoken here, the best first.
    var versions: [String] { self == .external ? ["v1beta1"] : ["v1beta2", "v1beta1"] }

    /// The query item that chooses series.
    var selectorItem: String { self == .external ? "labelSelector" : "metricLabelSelector" }
}

extension KubernetesPlace {
    /// Where the metric is asked for, as client-go's clients of these APIs do.
    /// - Parameters:
    ///   - version: of the API.
    ///   - resource: that of the object's kind; nil: the metric is of none, or of the namespace.
    func path(_ version: String, namespace: String, _ resource: ResourceName?) -> String {
        let start =
            "/apis/\(ClusterMetricsAPI(self).rawValue)/\(version)/namespaces/\(PercentEncoding.segment(namespace))"
        let last = PercentEncoding.segment(metric)
        if isOfPods { return "\(start)/pods/*/\(last)" }
        guard let object else { return "\(start)/\(last)" }
        guard let resource else { return "\(start)/metrics/\(last)" }
        return
            "\(start)/\(PercentEncoding.segment(resource.description))/\(PercentEncoding.segment(object.name))/\(last)"
    }

    /// Whether it is a metric of the namespace itself: as with HorizontalPodAutoscaler, of the scaler's own, whatever name is said.
    var isOfNamespace: Bool { object.map { $0.kind == "Namespace" && $0.group.isEmpty } ?? false }

    /// How errors name it.
    func words(in namespace: String) -> String {
        let labels = selector?.text ?? ""
        let of = isOfPods ? " of pods" : object.map { " of \($0.kind) \($0.name)" } ?? ""
        return
            "\(metric.cut(utf8: 100))\(labels.isEmpty ? "" : "{\(labels.cut(utf8: 100))}")\(of) in namespace \(namespace)"
    }
}

extension SourceValue {
    /// Larger ones are taken for mistakes of whoever tells them (as the Decider takes them).
    private static let largest = Int64(1_000_000_000_000_000)

    /// Of a list of values as both APIs have it. Of a metric of no object the values are added up; of an object there is one. An
    /// answer that is not what it should be is no value, and no zero.
    /// - Parameter now: time of the answer, for values that name none.
    static func of(_ body: [UInt8], _ place: KubernetesPlace, namespace: String, at now: Timestamp) -> SourceValue {
        let api = ClusterMetricsAPI(place).rawValue
        func missing(_ label: String, _ what: String) -> SourceValue {
            .missing(SourceTrouble(label: label, what: "\(api): \(place.words(in: namespace)) \(what)"))
        }
        let answer: JSONValue
        do throws(JSONError) {
            answer = try JSONValue.parse(body, maximumDepth: 32)
        } catch {
            return missing("malformed", "cannot be read: \(error)")
        }
        guard let list = answer["items"], list.isNull || list.arrayValue != nil else {
            return missing("malformed", "cannot be read: the answer has no list of items")
        }
        let items = list.arrayValue ?? []
        if items.isEmpty { return missing("no_value", "has no value at the moment") }
        if place.isOfPods { return ofPods(items, at: now, missing) }
        if place.object != nil && items.count > 1 {
            return missing("ambiguous", "has \(items.count) values, of which none is the one: choose by selector")
        }
        var sum = Int64(0)
        var oldest = now
        for item in items {
            guard let written = item["value"], let millis = Self.millis(written) else {
                let shown = (item["value"]?.text ?? "nothing").cut(utf8: 40)
                return missing("malformed", "cannot be read: \(shown) is no quantity, or too large")
            }
            // A sum that a mistake makes smaller would look like less load.
            if millis < 0 { return missing("negative", "is negative: \(item["value"]?.text.cut(utf8: 40) ?? "")") }
            let (total, isOver) = sum.addingReportingOverflow(millis)
            if isOver || total / 1_000 > Self.largest { return missing("too_large", "is above \(Self.largest)") }
            sum = total
            guard let at = time(of: item, at: now) else {
                return missing("malformed", "cannot be read: \(item["timestamp"]?.text.cut(utf8: 40) ?? "") is no time")
            }
            oldest = min(oldest, at)
        }
        return .known(Double(sum) / 1_000, at: oldest)
    }

    /// Of pods: the value of each, by its name. One that is negative or too large is taken for missing by whoever reads it.
    private static func ofPods(
        _ items: [JSONValue], at now: Timestamp, _ missing: (String, String) -> SourceValue
    ) -> SourceValue {
        var values: [PodValue] = []
        values.reserveCapacity(items.count)
        for item in items {
            guard let name = item[path: "describedObject", "name"]?.stringValue else {
                return missing("malformed", "cannot be read: a value is of no pod")
            }
            guard let millis = item["value"].flatMap(Self.millis) else {
                let shown = (item["value"]?.text ?? "nothing").cut(utf8: 40)
                return missing("malformed", "cannot be read: \(shown) is no quantity, or too large")
            }
            guard let at = time(of: item, at: now) else {
                return missing("malformed", "cannot be read: \(item["timestamp"]?.text.cut(utf8: 40) ?? "") is no time")
            }
            values.append(PodValue(pod: name, value: Double(millis) / 1_000, at: at))
        }
        return .pods(values)
    }

    /// When a value was measured; nil: what is said is no time. An adapter that names none speaks of now.
    private static func time(of item: JSONValue, at now: Timestamp) -> Timestamp? {
        guard let told = item["timestamp"], !told.isNull else { return now }
        return told.stringValue.flatMap { Timestamp($0) }
    }

    /// In thousandths, each rounded up, as HorizontalPodAutoscaler adds them up (`MilliValue`).
    private static func millis(_ value: JSONValue) -> Int64? {
        if let text = value.stringValue { return Quantity.millis(text) }
        // As Kubernetes reads a quantity, it may stand without quotes.
        guard value.doubleValue != nil else { return nil }
        return Quantity.millis(value.text)
    }
}
