import FoundationEssentials
import Messages
import Support

/// What a person may ask the ledger about.
public enum ExplainSubject: Sendable, Equatable {
    /// A pending pod, `namespace/name`.
    case pod(String)
    /// A node by name.
    case node(String)
    /// A group by id.
    case group(String)
}

/// The ledger put together from its records, to be asked about pods, nodes and groups.
///
/// Records say only what changed; feed them in the order of their numbers, beginning with a complete one.
public struct LedgerView: Sendable {
    private(set) var pods: [String: [Evaluation.PodEntry]] = [:]
    private(set) var nodes: [String: Evaluation.NodeEntry] = [:]
    private(set) var groups: [String: Evaluation.GroupEntry] = [:]
    /// Number and time of the last record taken in.
    public private(set) var last: (number: Int64, at: Timestamp, summary: String)?
    /// Whether a complete record has been taken in: without one, silence about something means nothing.
    public private(set) var isComplete = false

    /// Knows nothing yet.
    public init() {}

    /// Takes a record in.
    public mutating func apply(_ evaluation: Evaluation) {
        if evaluation.isComplete {
            pods = [:]
            nodes = [:]
            groups = [:]
            isComplete = true
        }
        for entry in evaluation.pods {
            var known = pods[entry.pod] ?? []
            known.removeAll { $0.outcome.reason == entry.outcome.reason && $0.group == entry.group }
            if entry.count > 0 { known.append(entry) }
            pods[entry.pod] = known.isEmpty ? nil : known
        }
        for entry in evaluation.nodes {
            nodes[entry.node] = entry.outcome.reason == .nodeGone ? nil : entry
        }
        for entry in evaluation.groups { groups[entry.group] = entry }
        last = (evaluation.number, evaluation.at, evaluation.summary)
    }

    /// Entries about a pod: its own, else those of the replicas that it was grouped with.
    func entries(pod: String) -> [Evaluation.PodEntry] {
        if let own = pods[pod] { return own }
        // Replicas differ in what follows the last dash of their names.
        guard let dash = pod.lastIndex(of: "-") else { return [] }
        let stem = pod[...dash]
        return pods.filter { $0.key.hasPrefix(stem) && !$0.key[stem.endIndex...].contains("-") }
            .sorted { $0.key < $1.key }.flatMap(\.value)
    }

    // MARK: Text

    /// The answer for a person, several lines; says so when nothing is known.
    public func text(_ subject: ExplainSubject) -> String {
        var lines: [String]
        switch subject {
        case .pod(let name): lines = podLines(name)
        case .node(let name): lines = nodeLines(name)
        case .group(let name): lines = groupLines(name)
        }
        if let last { lines.append("(evaluation \(last.number), \(last.at): \(last.summary))") }
        return lines.joined(separator: "\n")
    }

    private func podLines(_ name: String) -> [String] {
        let entries = entries(pod: name)
        guard !entries.isEmpty else {
            return ["Pod \(name): not waiting for a node as far as the ledger tells."]
        }
        var lines: [String] = []
        for entry in entries {
            let others = entry.count > 1 ? " (with \(entry.count - 1) like it)" : ""
            var head = "Pod \(entry.pod)\(others): \(Self.sentence(entry.outcome))"
            if let group = entry.group { head += ", in group \(group)" }
            lines.append(head)
            for (group, reason) in entry.groups.sorted(by: { $0.key < $1.key }) {
                lines.append("  group \(group): \(Self.sentence(reason))")
            }
        }
        return lines
    }

    private func nodeLines(_ name: String) -> [String] {
        guard let entry = nodes[name] else { return ["Node \(name): the ledger does not know it."] }
        var lines = ["Node \(name): \(Self.sentence(entry.outcome))"]
        if let group = entry.group { lines.append("  group \(group)") }
        if let utilization = entry.utilization { lines.append("  utilization \(Eligibility.percent(utilization))") }
        if let since = entry.unneededSince { lines.append("  unneeded since \(since)") }
        return lines
    }

    private func groupLines(_ name: String) -> [String] {
        guard let entry = groups[name] else { return ["Group \(name): the ledger does not know it."] }
        var lines = ["Group \(name): size \(entry.size), wanted \(entry.target)"]
        lines += entry.bound.map { "  bound by \(Self.sentence($0))" }
        let mine = nodes.values.filter { $0.group == name }
        let reasons = Dictionary(grouping: mine, by: \.outcome.reason)
        for (reason, entries) in reasons.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            lines.append("  \(entries.count) nodes: \(reason.rawValue)")
        }
        return lines
    }

    static func sentence(_ explanation: Explanation) -> String {
        explanation.detail.isEmpty
            ? explanation.reason.rawValue : "\(explanation.reason.rawValue): \(explanation.detail)"
    }

    // MARK: JSON

    private struct Answer: Encodable {
        var subject: String
        var name: String
        var evaluation: Int64?
        var at: Timestamp?
        var pods: [Evaluation.PodEntry]?
        var node: Evaluation.NodeEntry?
        var group: Evaluation.GroupEntry?
    }

    /// The answer as a JSON object.
    public func json(_ subject: ExplainSubject) -> [UInt8] {
        var answer: Answer
        switch subject {
        case .pod(let name):
            answer = Answer(subject: "pod", name: name)
            answer.pods = entries(pod: name)
        case .node(let name):
            answer = Answer(subject: "node", name: name)
            answer.node = nodes[name]
        case .group(let name):
            answer = Answer(subject: "group", name: name)
            answer.group = groups[name]
        }
        answer.evaluation = last?.number
        answer.at = last?.at
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return (try? encoder.encode(answer)).map { Array($0) } ?? Array("{}".utf8)
    }
}
