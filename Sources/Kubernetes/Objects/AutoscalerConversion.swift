import JSONReader
import Messages
import YAML

/// Turns HorizontalPodAutoscalers into PodScalers (`updraft convert hpa`).
public enum AutoscalerConversion {
    /// One HorizontalPodAutoscaler.
    public struct Converted: Sendable {
        /// `namespace/name`, or the name where it names no namespace.
        public var name: String
        /// The PodScaler as YAML; nil when nothing of it could be kept.
        public var manifest: String?
        /// What was left out or cannot work, for a person.
        public var notes: [String]
        /// Whether it scales by the same as before: no metric was left out, and nothing keeps it from scaling.
        public var isWhole = true
    }

    /// The fields of a HorizontalPodAutoscaler's spec that a PodScaler has by the same names.
    private static let kept = ["scaleTargetRef", "minReplicas", "maxReplicas", "behavior"]

    /// Converts all HorizontalPodAutoscalers of a file: YAML documents, a List, or JSON.
    ///
    /// - Throws: `PodScalerMistake` when a document cannot be read.
    public static func convert(_ text: String, file: String) throws(PodScalerMistake) -> [Converted] {
        var converted: [Converted] = []
        for document in documents(text) {
            let value: JSONValue
            do throws(YAMLError) {
                value = JSONValue(try YAML.parse(document, file: file))
            } catch {
                throw PodScalerMistake(file, error.what)
            }
            for object in value["items"]?.arrayValue ?? (value.isNull ? [] : [value]) {
                converted.append(convert(object))
            }
        }
        return converted
    }

    private static func documents(_ text: String) -> [String] {
        var documents = [""]
        // (A carriage return and a line feed are one character.)
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            if line == "---" || line.hasPrefix("--- ") {
                documents.append("")
            } else {
                documents[documents.count - 1] += "\(line)\n"
            }
        }
        return documents
    }

    private static func convert(_ object: JSONValue) -> Converted {
        let own = object[path: "metadata", "name"]?.stringValue ?? "?"
        let namespace = object[path: "metadata", "namespace"]?.stringValue
        let name = namespace.map { "\($0)/\(own)" } ?? own
        guard object["kind"]?.stringValue == "HorizontalPodAutoscaler" else {
            let kind = object["kind"]?.stringValue ?? "without kind"
            return Converted(
                name: name, manifest: nil, notes: ["is no HorizontalPodAutoscaler but \(kind)"], isWhole: false)
        }
        let version = object["apiVersion"]?.stringValue ?? ""
        guard ["autoscaling/v1", "autoscaling/v2", "autoscaling/v2beta2"].contains(version) else {
            return Converted(
                name: name, manifest: nil,
                notes: ["apiVersion \(version) is none of autoscaling/v1, autoscaling/v2beta2, autoscaling/v2"],
                isWhole: false)
        }
        var notes: [String] = []
        var old = object["spec"] ?? [:]
        if version == "autoscaling/v1" {
            do throws(PodScalerMistake) {
                try OldAutoscaler.complete(&old, object)
            } catch {
                return Converted(name: name, manifest: nil, notes: [error.description], isWhole: false)
            }
        }
        var spec: JSONValue = [:]
        for key in kept { if let value = old[key] { spec[key] = value } }
        var isWhole = true
        let found = metrics(old)
        notes += found.notes
        if !found.isWhole { isWhole = false }
        spec["metrics"] = .array(found.metrics)
        if !found.sources.isEmpty { spec["sources"] = .array(found.sources) }
        if spec["minReplicas"]?.intValue == 0 {
            notes.append(
                "minReplicas: 0: a target that is at 0 replicas when the scaler comes stays there; scale it to 1 once")
        }
        let unknown = (old.objectValue ?? [:]).keys.filter {
            !kept.contains($0) && !["metrics", "targetCPUUtilizationPercentage"].contains($0)
        }
        for key in unknown.sorted() { notes.append("spec.\(key) has no counterpart and is left out") }
        var metadata: JSONValue = ["name": .string(own)]
        if let namespace { metadata["namespace"] = .string(namespace) }
        if let labels = object[path: "metadata", "labels"] { metadata["labels"] = labels }
        let manifest: JSONValue = [
            "apiVersion": "updraft.io/v1alpha1", "kind": "PodScaler", "metadata": metadata, "spec": spec,
        ]
        // What is wrong with the result is told now rather than by the cluster.
        var scaler = PodScaler(namespace: namespace ?? "default", name: own, maximum: 0)
        do throws(PodScalerMistake) {
            try scaler.fill(from: PodScalerNode(spec, at: "spec"))
        } catch {
            scaler.mistake = error.description
        }
        if let problem = scaler.problem {
            notes.append("it will not scale: \(problem.detail)")
            isWhole = false
        }
        return Converted(name: name, manifest: yaml(manifest), notes: notes, isWhole: isWhole)
    }

    /// What a scaler is driven by.
    private struct Drivers {
        var metrics: [JSONValue] = []
        var sources: [JSONValue] = []
        var notes: [String] = []
        var isWhole = true
        private var names: Set<String> = []

        /// A name for the stat of a source: that of its metric, unless another one has it, or one that kubelets tell.
        mutating func name(_ metric: String) -> String {
            names.formUnion(PodScaler.resources)
            var name = metric
            var number = 2
            while !names.insert(name).inserted {
                name = "\(metric)-\(number)"
                number += 1
            }
            return name
        }
    }

    private static func metrics(_ old: JSONValue) -> Drivers {
        var drivers = Drivers()
        let percent = old["targetCPUUtilizationPercentage"]
        guard let all = old["metrics"]?.arrayValue, !all.isEmpty else {
            if percent == nil {
                drivers.notes.append("it names no metric: 80 % of the requested CPU, as Kubernetes takes it")
            }
            drivers.metrics = [cpu(percent ?? 80)]
            return drivers
        }
        if let percent { drivers.metrics.append(cpu(percent)) }
        for (index, metric) in all.enumerated() {
            let path = "spec.metrics[\(index)]"
            switch metric["type"]?.stringValue {
            case "Object":
                guard let object = metric["object"], object["describedObject"]?.objectValue != nil else {
                    drivers.isWhole = false
                    drivers.notes.append("\(path): names no object; left out")
                    continue
                }
                fromAPI(object, path, &drivers)
            case "External": fromAPI(metric["external"] ?? .null, path, &drivers)
            case "Pods": fromAPI(metric["pods"] ?? .null, path, isOfPods: true, &drivers)
            default: drivers.metrics.append(metric)
            }
        }
        return drivers
    }

    /// A metric of an object, of none or of pods: a stat, and the source that reads it where the HorizontalPodAutoscaler has it from.
    private static func fromAPI(
        _ old: JSONValue, _ path: String, isOfPods: Bool = false, _ drivers: inout Drivers
    ) {
        guard let metric = old["metric"], let name = metric["name"]?.stringValue else {
            drivers.isWhole = false
            drivers.notes.append("\(path): names no metric; left out")
            return
        }
        let stat = drivers.name(name)
        let driver: JSONValue = ["metric": ["name": .string(stat)], "target": old["target"] ?? .null]
        drivers.metrics.append(
            isOfPods ? ["type": "Pods", "pods": driver] : ["type": "External", "external": driver])
        var place: JSONValue = ["metric": .string(name)]
        // An empty one chooses all, as none does.
        if let selector = metric["selector"], selector.objectValue?.isEmpty == false { place["selector"] = selector }
        if let object = old["describedObject"] { place["describedObject"] = object }
        if isOfPods { place["pods"] = true }
        drivers.sources.append(["stat": .string(stat), "kubernetes": place])
    }

    private static func cpu(_ percent: JSONValue) -> JSONValue {
        [
            "type": "Resource",
            "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": percent]],
        ]
    }

    // MARK: Writing

    /// Block style, keys in order; strings quoted as JSON where they could be read as something else.
    private static func yaml(_ value: JSONValue) -> String { lines(value).joined(separator: "\n") + "\n" }

    private static func lines(_ value: JSONValue) -> [String] {
        switch value {
        case .object(let members) where !members.isEmpty:
            return members.sorted { $0.key < $1.key }.flatMap { key, member -> [String] in
                let inner = lines(member)
                if isBlock(member) {
                    if case .array = member { return ["\(plain(key)):"] + inner }
                    return ["\(plain(key)):"] + inner.map { "  \($0)" }
                }
                return ["\(plain(key)): \(inner[0])"]
            }
        case .array(let elements) where !elements.isEmpty:
            return elements.flatMap { element -> [String] in
                lines(element).enumerated().map { $0.offset == 0 ? "- \($0.element)" : "  \($0.element)" }
            }
        case .string(let text): return [plain(text)]
        default: return [value.text]
        }
    }

    private static func isBlock(_ value: JSONValue) -> Bool {
        switch value {
        case .object(let members): !members.isEmpty
        case .array(let elements): !elements.isEmpty
        default: false
        }
    }

    private static func plain(_ text: String) -> String {
        let words: Set<String> = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"]
        let isPlain =
            text.first.map { $0.isLetter && $0.isASCII } ?? false
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                    || [0x2D, 0x2E, 0x2F, 0x5F].contains($0)
            } && !words.contains(text.lowercased())
        return isPlain ? text : JSONValue.string(text).text
    }
}
