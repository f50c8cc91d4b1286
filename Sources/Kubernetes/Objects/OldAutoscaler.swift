import JSONReader
import Messages

/// What a HorizontalPodAutoscaler of autoscaling/v1 has in annotations, since its spec knows only CPU: metrics with the fields of
/// v2beta1, and `behavior` with the names of Kubernetes' own structures (`pkg/apis/autoscaling/v1/conversion.go`).
enum OldAutoscaler {
    private static let metrics = "autoscaling.alpha.kubernetes.io/metrics"
    private static let behavior = "autoscaling.alpha.kubernetes.io/behavior"

    /// Puts them into the spec, as autoscaling/v2 has them.
    static func complete(_ spec: inout JSONValue, _ object: JSONValue) throws(PodScalerMistake) {
        if let value = try annotation(metrics, object) {
            guard let list = value.arrayValue else { throw PodScalerMistake(metrics, "is no list") }
            var converted: [JSONValue] = []
            for (index, metric) in list.enumerated() { converted.append(try renewed(metric, "\(metrics)[\(index)]")) }
            spec["metrics"] = .array(converted)
        }
        if let value = try annotation(behavior, object) {
            guard value.objectValue != nil else { throw PodScalerMistake(behavior, "is no mapping") }
            spec["behavior"] = lowered(value)
        }
    }

    private static func annotation(_ name: String, _ object: JSONValue) throws(PodScalerMistake) -> JSONValue? {
        guard let text = object["metadata"]?["annotations"]?[name]?.stringValue else { return nil }
        do throws(JSONError) {
            return try JSONValue.parse(text, maximumDepth: 16)
        } catch {
            throw PodScalerMistake(name, "\(error)")
        }
    }

    private static func renewed(_ metric: JSONValue, _ path: String) throws(PodScalerMistake) -> JSONValue {
        guard let type = metric["type"]?.stringValue else { throw PodScalerMistake(path, "has no type") }
        let places = [
            "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "External": "external",
            "Object": "object",
        ]
        // The others have no counterpart, in whatever words.
        guard let place = places[type] else { return metric }
        let source = metric[place] ?? [:]
        var target: JSONValue
        if let percent = source["targetAverageUtilization"] {
            target = ["type": "Utilization", "averageUtilization": percent]
        } else if let average = source["targetAverageValue"] ?? source["averageValue"] {
            target = ["type": "AverageValue", "averageValue": average]
        } else if let value = source["targetValue"] {
            target = ["type": "Value", "value": value]
        } else {
            throw PodScalerMistake("\(path).\(place)", "has no target")
        }
        var renewed: JSONValue = ["type": .string(type)]
        if type == "Resource" || type == "ContainerResource" {
            var resource: JSONValue = ["name": source["name"] ?? .null, "target": target]
            if let container = source["container"] { resource["container"] = container }
            renewed[place] = resource
            return renewed
        }
        var name: JSONValue = ["name": source["metricName"] ?? .null]
        if let selector = source["selector"] ?? source["metricSelector"] { name["selector"] = selector }
        renewed[place] = ["metric": name, "target": target]
        if type == "Object" { renewed[place]?["describedObject"] = source["target"] ?? .null }
        return renewed
    }

    /// Names with a small first letter, and what is null left out.
    private static func lowered(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members):
            var object: [String: JSONValue] = [:]
            for (key, member) in members where !member.isNull {
                object[key.prefix(1).lowercased() + key.dropFirst()] = lowered(member)
            }
            return .object(object)
        case .array(let elements): return .array(elements.map(lowered))
        default: return value
        }
    }
}
