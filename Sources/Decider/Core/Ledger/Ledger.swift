import Messages
import Support

/// Remembers what was said last about each pod, node and group, so that only changes are said again.
struct Ledger: Sendable {
    /// The outcome for a node in a form that costs nothing to compare; the text is made when it is said.
    struct NodeOutcome: Sendable, Equatable {
        var reason: Reason
        var detail: String
        var utilization: Double?
        var unneededSince: Timestamp?
        var group: Int32

        static func == (left: NodeOutcome, right: NodeOutcome) -> Bool {
            // Utilization alone changes all the time: a change below five percent is no news.
            left.reason == right.reason && left.detail == right.detail && left.group == right.group
                && left.unneededSince == right.unneededSince
                && abs((left.utilization ?? -1) - (right.utilization ?? -1)) < 0.05
        }
    }

    private(set) var pods: [String: Evaluation.PodEntry] = [:]
    private(set) var nodes: [Int: (name: String, outcome: NodeOutcome)] = [:]
    private(set) var groups: [String: Evaluation.GroupEntry] = [:]
    private(set) var rules: [String: Evaluation.RuleEntry] = [:]
    /// By slot what was said of a plainly loaded node: its load in percent (negative: memory), zero when something else was.
    private var loaded: [Int16] = []
    private(set) var summary = ""

    /// Entries of pods that are new, changed or gone (those with a count of zero).
    mutating func changes(pods now: [Evaluation.PodEntry]) -> [Evaluation.PodEntry] {
        var next: [String: Evaluation.PodEntry] = [:]
        next.reserveCapacity(now.count)
        var changed: [Evaluation.PodEntry] = []
        for entry in now {
            let key = "\(entry.pod) \(entry.outcome.reason.rawValue) \(entry.group ?? "")"
            next[key] = entry
            if pods[key] != entry { changed.append(entry) }
        }
        for (key, entry) in pods.sorted(by: { $0.key < $1.key }) where next[key] == nil {
            var gone = entry
            gone.count = 0
            changed.append(gone)
        }
        pods = next
        return changed
    }

    mutating func changes(groups now: [Evaluation.GroupEntry]) -> [Evaluation.GroupEntry] {
        let changed = now.filter { groups[$0.group] != $0 }
        groups = Dictionary(now.map { ($0.group, $0) }, uniquingKeysWith: { first, _ in first })
        return changed
    }

    /// Entries of rules that do something else now. What was measured changes all the time: that alone is no news.
    mutating func changes(rules now: [Evaluation.RuleEntry]) -> [Evaluation.RuleEntry] {
        let changed = now.filter { entry in
            guard let last = rules[entry.rule] else { return true }
            return last.outcome.reason != entry.outcome.reason || last.since != entry.since || last.group != entry.group
        }
        rules = Dictionary(now.map { ($0.rule, $0) }, uniquingKeysWith: { first, _ in first })
        return changed
    }

    /// Notes that a node is plainly loaded; true when it is news. A change below five percent is none.
    @inline(__always)
    mutating func noteLoaded(_ slot: Int, _ percent: Int16) -> Bool {
        while loaded.count <= slot { loaded.append(0) }
        let last = loaded[slot]
        if last != 0 && (last > 0) == (percent > 0) && abs(last - percent) < 5 { return false }
        loaded[slot] = percent
        nodes[slot] = nil
        return true
    }

    /// Notes a node's outcome; true when it is news.
    mutating func note(_ slot: Int, _ name: String, _ outcome: NodeOutcome) -> Bool {
        if let last = nodes[slot], last.outcome == outcome, last.name == name { return false }
        nodes[slot] = (name, outcome)
        if slot < loaded.count { loaded[slot] = 0 }
        return true
    }

    /// Forgets nodes whose slots are not in use any more.
    mutating func forget(where isGone: (Int, String) -> Bool) {
        let gone = nodes.filter { isGone($0.key, $0.value.name) }.map(\.key)
        for slot in gone { nodes[slot] = nil }
    }

    mutating func forgetAll() {
        pods = [:]
        nodes = [:]
        groups = [:]
        rules = [:]
        loaded = []
    }

    /// The slot is another node's now, or nobody's.
    mutating func forgetLoaded(_ slot: Int) {
        if slot < loaded.count { loaded[slot] = 0 }
    }

    /// Whether the sentence is new.
    mutating func isNews(_ sentence: String) -> Bool {
        defer { summary = sentence }
        return summary != sentence
    }

    static func entry(_ name: String, _ outcome: NodeOutcome, _ groups: [GroupRuntime]) -> Evaluation.NodeEntry {
        Evaluation.NodeEntry(
            node: name, group: outcome.group >= 0 ? groups[Int(outcome.group)].rules.id : nil,
            outcome: Explanation(outcome.reason, outcome.detail), utilization: outcome.utilization,
            unneededSince: outcome.unneededSince)
    }
}
