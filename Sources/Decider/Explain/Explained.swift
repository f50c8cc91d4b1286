import FoundationEssentials
import Messages
import Support

/// The answer to `updraft explain`: what the Decider said of one subject, as text and as JSON.
public struct Explained: Sendable, Equatable, Encodable {
    /// What was asked about.
    public var subject: EvaluationRequested.Subject
    /// Whether the Decider knows it.
    public var isKnown: Bool
    /// What is known beside the entries.
    public var standing: String
    /// Names like it, when it is not known.
    public var near: [String]
    /// Entries about the pod, or those that share its shape.
    public var pods: [Evaluation.PodEntry]?
    /// The entry about the node.
    public var node: Evaluation.NodeEntry?
    /// Where the node's removal stands.
    public var removal: RemovalRecord?
    /// The entry about the group.
    public var group: Evaluation.GroupEntry?
    /// Rules on the group, by name.
    public var rules: [Evaluation.RuleEntry]?
    /// The group as the Actuator described it last.
    public var state: GroupState?
    /// About a group: how many of its nodes stay or go, by reason.
    public var nodes: [String: Int]?
    /// The entry about the pod scaler.
    public var scaler: Evaluation.ScalerEntry?
    /// Whether the Decider looked at everything; else `summary` says why it did not.
    public var isComplete: Bool
    /// The evaluation's number.
    public var evaluation: Int64
    /// When it was.
    public var at: Timestamp
    /// What it came to, in a sentence.
    public var summary: String

    /// From the answer and the record that it came with. Nil when the record holds nothing yet.
    public init?(_ answer: Evaluation.Answer, _ view: LedgerView) {
        guard let subject = answer.subject, let last = view.last else { return nil }
        self.subject = subject
        isKnown = answer.isKnown
        standing = answer.standing
        near = answer.near
        isComplete = view.isComplete
        evaluation = last.number
        at = last.at
        summary = last.summary
        switch subject.kind {
        case .pod: pods = answer.entries.flatMap { view.pods[$0] ?? [] }
        case .node:
            node = view.nodes[subject.name]
            removal = answer.removals?.first.flatMap { try? RemovalRecord(text: $0.record) }
        case .group:
            group = view.groups[subject.name]
            state = answer.groups?.first
            rules = view.rules.values.filter { $0.group == subject.name }.sorted { $0.rule < $1.rule }
            let mine = view.nodes.values.filter { $0.group == subject.name }
            nodes = Dictionary(grouping: mine, by: \.outcome.reason.rawValue).mapValues(\.count)
        case .podScaler: scaler = view.scalers[subject.name]
        case .cluster: break
        }
    }

    // MARK: Text

    /// Several lines for a person.
    public var text: String {
        var lines: [String]
        if isKnown {
            switch subject.kind {
            case .pod: lines = podLines
            case .node: lines = nodeLines
            case .group: lines = groupLines
            case .podScaler: lines = scalerLines
            case .cluster: lines = [standing]
            }
        } else {
            lines = ["\(title): the Decider knows no such \(subject.kind.rawValue)"]
            if subject.kind == .pod, !subject.name.contains("/") { lines.append("  a pod is given as NAMESPACE/NAME") }
            if subject.kind == .node { lines.append("  if it is gone: updraft timeline \(subject.name)") }
            if !near.isEmpty { lines.append("  did you mean: \(near.joined(separator: ", "))") }
        }
        if !isComplete { lines.append("  not everything was looked at; the reason stands below") }
        lines.append("(evaluation \(evaluation) at \(at): \(summary))")
        return lines.joined(separator: "\n")
    }

    private var title: String {
        let kind = subject.kind.rawValue
        return kind.prefix(1).uppercased() + kind.dropFirst() + " " + subject.name
    }

    private var podLines: [String] {
        var lines = ["\(title) \(standing)"]
        for entry in pods ?? [] {
            var head = "  \(entry.outcome.sentence)"
            if let group = entry.group { head += ", in group \(group)" }
            if entry.count > 1 { head += " (\(entry.count) pods of this shape)" }
            lines.append(head + "  [\(entry.outcome.reason.rawValue)]")
            for (group, reason) in entry.groups.sorted(by: { $0.key < $1.key }) {
                lines.append("    group \(group): \(reason.sentence)  [\(reason.reason.rawValue)]")
            }
        }
        return lines
    }

    private var nodeLines: [String] {
        var lines = ["\(title) \(standing)"]
        if let node {
            lines.append("  \(node.outcome.sentence)  [\(node.outcome.reason.rawValue)]")
            if let group = node.group { lines.append("  group \(group)") }
            if let utilization = node.utilization {
                lines.append(
                    "  utilization \(Eligibility.percent(utilization)) (requests of allocatable, the larger of cpu and memory)"
                )
            }
            if let since = node.unneededSince { lines.append("  unneeded since \(since), \(at - since) before") }
        }
        if let removal {
            lines.append("  removal \(removal.id): \(removal.phase.rawValue) since \(removal.since)")
            lines.append("    because it \(removal.reason.sentence)")
            if let until = removal.cooldownUntil { lines.append("    cooldown until \(until)") }
        }
        return lines
    }

    private var groupLines: [String] {
        var lines = ["\(title): \(standing)"]
        if let group { lines.append("  size \(group.size), wanted \(group.target)") }
        if let state {
            let desired = state.desired.map { ", desired \($0)" } ?? ""
            lines.append("  Heat: \(state.stackStatus)\(desired)\(state.busy ? ", a change is under way" : "")")
            if let flavor = state.flavor {
                lines.append("  flavor \(flavor.name): \(flavor.vcpus) cpu, \(flavor.ramMiB) MiB memory")
            }
            lines += state.members.prefix(10).map { "  member \($0.name): \($0.status) \($0.statusReason)" }
        }
        lines += (group?.bound ?? []).map { "  bound by: \($0.sentence)  [\($0.reason.rawValue)]" }
        if group?.bound.isEmpty ?? false { lines.append("  nothing bound it") }
        for rule in rules ?? [] {
            let since = rule.since.map { ", since \($0)" } ?? ""
            lines.append("  rule \(rule.rule)\(since): \(rule.outcome.sentence)  [\(rule.outcome.reason.rawValue)]")
        }
        for (reason, count) in (nodes ?? [:]).sorted(by: { $0.key < $1.key }) {
            let words = Reason(rawValue: reason)?.words ?? reason
            lines.append("  \(count) node\(count == 1 ? "" : "s"): \(words)  [\(reason)]")
        }
        return lines
    }

    /// The sentences of bounds speak of groups; of a scaler the values say enough.
    private static func words(_ why: Explanation) -> String {
        switch why.reason {
        case .maximumReached, .minimumReached, .belowMinimum: why.detail
        default: why.sentence
        }
    }

    private var scalerLines: [String] {
        var lines = ["\(title): \(standing)"]
        guard let scaler else { return lines + ["  pod scaling is switched off (decider.pods.enabled)"] }
        lines.append("  target \(scaler.target ?? "none"): \(scaler.current) replicas, wanted \(scaler.desired)")
        lines.append("  \(Self.words(scaler.outcome))  [\(scaler.outcome.reason.rawValue)]")
        if let problem = scaler.problem, problem != scaler.outcome {
            lines.append("  does not scale: \(problem.sentence)  [\(problem.reason.rawValue)]")
        }
        for threshold in scaler.thresholds {
            let unit = threshold.unit == "%" ? "%" : " (\(threshold.unit))"
            let value = threshold.value.map { ScalerJudge.plain($0) } ?? "unknown"
            let asks = threshold.replicas.map { "asks for \($0)" } ?? "asks for nothing"
            lines.append(
                "  \(threshold.stat): \(value), goal \(ScalerJudge.plain(threshold.goal))\(unit): \(asks); "
                    + "\(threshold.outcome.sentence)  [\(threshold.outcome.reason.rawValue)]")
        }
        lines += scaler.limits.map { "  held back by: \(Self.words($0))  [\($0.reason.rawValue)]" }
        if let scaledAt = scaler.scaledAt { lines.append("  replicas last changed at \(scaledAt)") }
        return lines
    }

    // MARK: JSON

    /// The same as a JSON object.
    public var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? Array("{}".utf8)
    }
}
