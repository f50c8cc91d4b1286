import JSONReader
import Messages
import Support

/// What is wrong in a `PodScaler` or a HorizontalPodAutoscaler, and where.
public struct PodScalerMistake: Error, Sendable, Equatable, CustomStringConvertible {
    /// e.g. `spec.metrics[0].resource.name`.
    public var path: String
    /// What is wrong.
    public var what: String

    /// From its parts.
    public init(_ path: String, _ what: String) {
        self.path = path
        self.what = what
    }

    /// Both.
    public var description: String { "\(path): \(what)" }
}

/// A value of a manifest that knows where it stands.
struct PodScalerNode {
    let value: JSONValue
    let path: String
    /// Names of stats, targets and labels: a message holds many scalers.
    private static let longestText = 1_024

    init(_ value: JSONValue, at path: String) {
        self.value = value
        self.path = path
    }

    /// The member; nil when absent or null.
    subscript(key: String) -> PodScalerNode? {
        guard let member = value[key], !member.isNull else { return nil }
        return PodScalerNode(member, at: "\(path).\(key)")
    }

    func needed(_ key: String) throws(PodScalerMistake) -> PodScalerNode {
        guard let member = self[key] else { throw PodScalerMistake("\(path).\(key)", "is missing") }
        return member
    }

    func wrong(_ what: String) -> PodScalerMistake { PodScalerMistake(path, what) }

    func text() throws(PodScalerMistake) -> String {
        guard let text = value.stringValue else { throw wrong("is no text") }
        guard text.utf8.count <= Self.longestText else { throw wrong("is longer than \(Self.longestText) bytes") }
        return text
    }

    func flag() throws(PodScalerMistake) -> Bool {
        guard let flag = value.boolValue else { throw wrong("is neither true nor false") }
        return flag
    }

    func int() throws(PodScalerMistake) -> Int {
        guard let number = value.intValue, let int = Int(exactly: number) else { throw wrong("is no whole number") }
        return int
    }

    func items() throws(PodScalerMistake) -> [PodScalerNode] {
        guard let items = value.arrayValue else { throw wrong("is no list") }
        return items.enumerated().map { PodScalerNode($0.element, at: "\(path)[\($0.offset)]") }
    }

    func seconds() throws(PodScalerMistake) -> Interval { .seconds(Double(try int())) }

    /// A quantity as Kubernetes writes it (`100m`, `2Gi`, `50`).
    func quantity() throws(PodScalerMistake) -> Double {
        if let number = value.doubleValue {
            // What a quantity can say: beyond it thousandths are no number any more, or none at all.
            guard number == 0 || (1e-9...9e15).contains(abs(number)) else { throw wrong("is out of range") }
            return number
        }
        guard let text = value.stringValue, let millis = Quantity.millis(text) else {
            throw wrong("is no quantity")
        }
        return Double(millis) / 1_000
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ type: Choice.Type
    ) throws(PodScalerMistake) -> Choice where Choice.RawValue == String {
        let text = try text()
        guard let choice = Choice(rawValue: text) else {
            throw wrong("\"\(text)\" is none of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    /// A label selector.
    func selector() throws(PodScalerMistake) -> LabelSelector {
        guard value.objectValue != nil else { throw wrong("is no selector") }
        var selector = LabelSelector()
        if let labels = self["matchLabels"] {
            guard let members = labels.value.objectValue else { throw labels.wrong("is no mapping") }
            for (key, value) in members.sorted(by: { $0.key < $1.key }) {
                let text = try PodScalerNode(value, at: "\(labels.path).\(key)").text()
                selector.requirements.append(Requirement(key, .in, [text]))
            }
        }
        for item in try self["matchExpressions"]?.items() ?? [] {
            let operation = try item.needed("operator")
            var values: [String] = []
            for value in try item["values"]?.items() ?? [] { values.append(try value.text()) }
            switch try operation.text() {
            case "In" where !values.isEmpty: selector.requirements.append(Requirement(try key(item), .in, values))
            case "NotIn" where !values.isEmpty:
                selector.requirements.append(Requirement(try key(item), .notIn, values))
            case "Exists" where values.isEmpty: selector.requirements.append(Requirement(try key(item), .exists))
            case "DoesNotExist" where values.isEmpty:
                selector.requirements.append(Requirement(try key(item), .doesNotExist))
            case "In", "NotIn": throw item.wrong("needs values")
            case "Exists", "DoesNotExist": throw item.wrong("takes no values")
            case let other: throw operation.wrong("\"\(other)\" is none of In, NotIn, Exists, DoesNotExist")
            }
        }
        return selector
    }

    private func key(_ item: PodScalerNode) throws(PodScalerMistake) -> String { try item.needed("key").text() }
}
