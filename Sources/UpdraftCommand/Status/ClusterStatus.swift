import Decider
import FoundationEssentials
import Messages
import Support

/// What `updraft status` prints. Pure.
struct ClusterStatus: Sendable, Encodable {
    /// A node group.
    struct Group: Sendable, Encodable {
        var id: String
        var size: Int
        var desired: Int?
        var wanted: Int?
        var min: Int
        var max: Int
        var busy: Bool
        var paused: Bool
        var problem: Explanation?
        var bound: [Explanation]
        var stackStatus: String
        var observedAt: Timestamp
    }

    /// A node under removal.
    struct Removal: Sendable, Encodable {
        var node: String
        var id: String
        var group: String
        var phase: RemovalPhase
        var since: Timestamp
        /// How long until the cooldown ends, in seconds; absent outside of it.
        var cooldownLeft: Double?
        var reason: Explanation
        var outcome: Explanation?
        /// Why the record cannot be read, if so; then the rest says nothing.
        var problem: String?
    }

    /// A pod, or several of one shape, without a node.
    struct Pending: Sendable, Encodable {
        var pod: String
        var count: Int
        var group: String?
        var outcome: Explanation
    }

    /// Something that was decided.
    struct Decision: Sendable, Encodable {
        var at: Timestamp
        var id: String
        var what: String
        var isTrusted: Bool
    }

    var cluster: String
    var at: Timestamp
    /// Whether a Decider answered; else groups, pods and decisions are not known.
    var deciderAnswered = false
    var standing = ""
    var summary = ""
    var groups: [Group] = []
    var removals: [Removal] = []
    var removalCount = 0
    var pending: [Pending] = []
    var decisions: [Decision] = []
    /// What could not be asked.
    var notes: [String] = []

    init(cluster: String, at: Timestamp) {
        self.cluster = cluster
        self.at = at
    }

    /// Takes the Decider's answer in.
    mutating func take(_ answer: Evaluation.Answer, _ view: LedgerView) {
        deciderAnswered = true
        standing = answer.standing
        summary = view.last?.summary ?? ""
        groups = (answer.groups ?? []).map { state in
            Group(
                id: state.group, size: state.size, desired: state.desired, wanted: view.groups[state.group]?.target,
                min: state.min, max: state.max, busy: state.busy, paused: state.paused, problem: state.problem,
                bound: view.groups[state.group]?.bound ?? [], stackStatus: state.stackStatus,
                observedAt: state.observedAt)
        }.sorted { $0.id < $1.id }
        take(removals: (answer.removals ?? []).map { ($0.node, $0.record) }, count: answer.removalCount)
        pending = view.pods.values.joined().map {
            Pending(pod: $0.pod, count: $0.count, group: $0.group, outcome: $0.outcome)
        }.sorted { ($0.pod, $0.group ?? "") < ($1.pod, $1.group ?? "") }
    }

    /// Takes the removals in, given as the records on the nodes.
    mutating func take(removals records: [(node: String, record: String)], count: Int? = nil) {
        removalCount = count ?? records.count
        removals = records.map { node, text in
            do throws(MessageError) {
                let record = try RemovalRecord(text: text)
                var removal = Removal(
                    node: node, id: record.id, group: record.group, phase: record.phase, since: record.since,
                    reason: record.reason, outcome: record.outcome)
                if record.phase == .cordoned || record.phase == .noticed {
                    removal.cooldownLeft = max(.zero, (record.cooldownUntil ?? record.deadline) - at).inSeconds
                }
                return removal
            } catch {
                return Removal(
                    node: node, id: "", group: "", phase: .failed, since: at, reason: Explanation(.notUnderRemoval),
                    problem: error.description)
            }
        }.sorted { $0.node < $1.node }
    }

    /// Takes an entry of the history in.
    mutating func take(_ entry: (at: Timestamp, event: Event, isTrusted: Bool)) {
        let said: (id: String, what: String)
        switch entry.event {
        case .scaleDecided(let decision):
            said = (
                decision.id, "\(decision.group) from \(decision.from) to \(decision.to): \(decision.reason.sentence)"
            )
        case .removalDecided(let decision):
            said = (decision.id, "remove from \(decision.group): \(decision.nodes.map(\.node).joined(separator: ", "))")
        case .removalCancelled(let decision):
            let which = decision.nodes.isEmpty ? "all nodes of \(decision.id)" : decision.nodes.joined(separator: ", ")
            said = (decision.id, "take back \(which): \(decision.reason.sentence)")
        case .scaleRefused(let event): said = (event.scale.id, "refused: \(event.scale.reason.sentence)")
        case .scaleFailed(let event): said = (event.scale.id, "failed: \(event.scale.reason.sentence)")
        default: return
        }
        decisions.append(Decision(at: entry.at, id: said.id, what: said.what, isTrusted: entry.isTrusted))
        if decisions.count > 10 { decisions.removeFirst() }
    }

    // MARK: Text

    var text: String {
        var lines = ["cluster \(cluster) at \(at)\(standing.isEmpty ? "" : ": \(standing)")"]
        if !summary.isEmpty { lines.append("last evaluation: \(summary)") }
        if deciderAnswered {
            lines += ["", "groups"]
            lines += groups.isEmpty ? ["  none is known yet"] : groups.flatMap(line)
            lines += ["", "pods without a node: \(pending.reduce(0) { $0 + $1.count })"]
            lines += pending.prefix(20).map { item in
                let others = item.count > 1 ? " and \(item.count - 1) like it" : ""
                let place = item.group.map { ", in group \($0)" } ?? ""
                return "  \(item.pod)\(others): \(item.outcome.sentence)\(place)"
            }
            if pending.count > 20 { lines.append("  and \(pending.count - 20) more shapes") }
        }
        lines += ["", "nodes under removal: \(removalCount)"]
        lines += removals.prefix(50).map(line)
        if removalCount > 50 { lines.append("  and \(removalCount - 50) more") }
        if !decisions.isEmpty {
            lines += ["", "last decisions"]
            lines += decisions.map { "  \($0.at)  \($0.what)\($0.isTrusted ? "" : "  (not signed by a key of ours)")" }
        }
        if !notes.isEmpty { lines += [""] + notes.map { "note: \($0)" } }
        return lines.joined(separator: "\n")
    }

    private func line(_ group: Group) -> [String] {
        var head = "  \(group.id): size \(group.size)"
        if let desired = group.desired, desired != group.size { head += ", desired \(desired)" }
        if let wanted = group.wanted, wanted != group.size { head += ", wanted \(wanted)" }
        head += ", \(group.min) to \(group.max) allowed, \(group.stackStatus)"
        if group.busy { head += ", busy" }
        if group.paused { head += ", PAUSED" }
        var lines = [head]
        if let problem = group.problem { lines.append("    problem: \(problem.sentence)") }
        lines += group.bound.filter { $0 != group.problem }.map { "    bound by: \($0.sentence)" }
        return lines
    }

    private func line(_ removal: Removal) -> String {
        if let problem = removal.problem { return "  \(removal.node): its record cannot be read: \(problem)" }
        var line = "  \(removal.node): \(removal.phase.rawValue) for \(at - removal.since)"
        if let left = removal.cooldownLeft { line += ", cooldown ends in \(Int(left.rounded(.up))) s" }
        line += " (\(removal.id)): \((removal.outcome ?? removal.reason).sentence)"
        return line
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
