import Messages
import Support

/// The ledger put together from its records, to be asked about pods, nodes and groups.
///
/// Records say only what changed; feed them in the order of their numbers, beginning with a complete one.
public struct LedgerView: Sendable {
    /// By the name that stands for them: entries about pods without a node.
    public private(set) var pods: [String: [Evaluation.PodEntry]] = [:]
    /// By name.
    public private(set) var nodes: [String: Evaluation.NodeEntry] = [:]
    /// By id.
    public private(set) var groups: [String: Evaluation.GroupEntry] = [:]
    /// By id (`namespace/name`): pod scalers.
    public private(set) var scalers: [String: Evaluation.ScalerEntry] = [:]
    /// Rules, by name.
    public private(set) var rules: [String: Evaluation.RuleEntry] = [:]
    /// The last record taken in, its entries left out.
    public private(set) var last: Evaluation?
    /// Whether a complete record has been taken in: without one, silence about something means nothing.
    public private(set) var isComplete = false

    /// Knows nothing yet.
    public init() {}

    /// Takes a record, or a part of one, in.
    public mutating func apply(_ evaluation: Evaluation) {
        if evaluation.isComplete {
            pods = [:]
            nodes = [:]
            groups = [:]
            scalers = [:]
            rules = [:]
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
        for entry in evaluation.scalers ?? [] { scalers[entry.scaler] = entry.isGone == true ? nil : entry }
        for entry in evaluation.rules ?? [] { rules[entry.rule] = entry }
        var short = evaluation
        (short.pods, short.nodes, short.groups, short.rules, short.scalers) = ([], [], [], nil, nil)
        last = short
    }

    /// How many pods wait for a node, and how many of them will get a new one.
    public var waiting: (pods: Int, served: Int) {
        var total = (pods: 0, served: 0)
        for entry in pods.values.joined() {
            total.pods += entry.count
            if entry.group != nil { total.served += entry.count }
        }
        return total
    }
}
