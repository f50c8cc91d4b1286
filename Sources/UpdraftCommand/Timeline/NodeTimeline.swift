import Decider
import FoundationEssentials
import Kubernetes
import Messages
import Support

/// The life of one node, step by step. Pure.
struct NodeTimeline: Sendable, Encodable {
    /// A step.
    struct Step: Sendable, Equatable, Encodable {
        var at: Timestamp
        /// e.g. `cordoned`.
        var what: String
        var detail: String
        /// Seconds since the step before, of the same story.
        var after: Double?
        /// Whether its signature holds, where messages are signed.
        var isTrusted = true
    }

    /// A removal.
    struct Removal: Sendable, Encodable {
        var id: String
        var group = ""
        var steps: [Step] = []
        /// `completed`, `failed`, or the phase it is in.
        var outcome = ""
        /// From the decision to the end, in seconds; absent while it lasts.
        var seconds: Double?
    }

    /// A Kubernetes Event on the Node.
    struct Note: Sendable, Equatable, Encodable {
        var at: Timestamp
        var count: Int64
        var reason: String
        var message: String
        var component: String
    }

    let node: String
    /// How it came.
    private(set) var arrival: [Step] = []
    /// Its removals, in order: most often one.
    private(set) var removals: [Removal] = []
    /// Kubernetes Events, where they were read.
    private(set) var events: [Note] = []
    /// What could not be asked.
    var notes: [String] = []
    /// Names in the history, for those who mistyped theirs.
    private var seen: Set<String> = []

    init(node: String) {
        self.node = node
    }

    enum CodingKeys: String, CodingKey { case node, arrival, removals, events, notes }

    var isEmpty: Bool { arrival.isEmpty && removals.isEmpty && events.isEmpty }

    /// Names like it that the history knows.
    var near: [String] { NearNames.best(node, in: seen.sorted()) }

    // MARK: Sources

    /// Takes an entry of the history in; they come in order. Events come at least once: the first of a kind counts.
    mutating func take(at: Timestamp, _ event: Event, isTrusted: Bool = true) {
        switch event {
        case .nodeJoined(let event): arrived("joined", event.arrival, isTrusted)
        case .nodeReady(let event): arrived("ready", event.arrival, isTrusted)
        case .removalDecided(let decision):
            for target in decision.nodes {
                seen.insert(target.node)
                guard target.node == node else { continue }
                step(decision.id, decision.group, "decided", target.reason, at: decision.decidedAt, isTrusted)
            }
        case .removalCancelled(let decision):
            guard removals.contains(where: { $0.id == decision.id }),
                decision.nodes.isEmpty || decision.nodes.contains(node)
            else { return }
            step(decision.id, "", "cancellation asked for", decision.reason, at: decision.decidedAt, isTrusted)
        case .removalCordoned(let event): progress("cordoned", event.removal, isTrusted)
        case .removalNoticed(let event):
            progress("noticed", event.removal, isTrusted, "\(event.removal.pods) pods told")
        case .removalQuiesced(let event): progress("quiesced", event.removal, isTrusted)
        case .removalDrained(let event): progress("drained", event.removal, isTrusted, "its pods are gone")
        case .removalCommitted(let event): progress("removing", event.removal, isTrusted, Self.calling)
        case .removalCompleted(let event):
            progress("completed", event.removal, isTrusted, "member and Node are gone")
        case .removalFailed(let event):
            progress(event.removal.phase == .cancelled ? "cancelled" : "failed", event.removal, isTrusted)
        default: break
        }
    }

    private static let calling = "Heat is called, or lets the member go"

    /// Takes the record on the Node in: where its removal is now.
    mutating func take(_ record: RemovalRecord) {
        step(record.id, record.group, "decided", record.reason, at: record.decidedAt, true)
        step(record.id, record.group, "cordoned", record.reason, at: record.startedAt, true)
        let why = record.outcome ?? record.reason
        if let calledAt = record.calledAt {
            step(record.id, record.group, "removing", record.reason, at: calledAt, true, Self.calling)
        }
        switch record.phase {
        // What the Actuator publishes of this phase has another name.
        case .removed: break
        default: step(record.id, record.group, record.phase.rawValue, why, at: record.since, true)
        }
    }

    /// Takes the Kubernetes Events on the Node in.
    mutating func take(_ observed: [ObservedEvent]) {
        events = observed.map {
            Note(at: $0.firstAt, count: $0.count, reason: $0.reason, message: $0.message, component: $0.component)
        }
    }

    private mutating func arrived(_ what: String, _ arrival: NodeArrival, _ isTrusted: Bool) {
        seen.insert(arrival.node)
        guard arrival.node == node, !self.arrival.contains(where: { $0.what == what && $0.at == arrival.at }) else {
            return
        }
        let after = arrival.after.map { "\($0) after its scale-up began" } ?? ""
        self.arrival.append(
            Step(
                at: arrival.at, what: what,
                detail: ["group \(arrival.group)", after].filter { !$0.isEmpty }.joined(separator: ", "),
                after: self.arrival.last.map { (arrival.at - $0.at).inSeconds }, isTrusted: isTrusted))
    }

    private mutating func progress(
        _ what: String, _ removal: RemovalProgress, _ isTrusted: Bool, _ detail: String? = nil
    ) {
        seen.insert(removal.node)
        guard removal.node == node else { return }
        // Also where the event of the call itself is not known any more.
        if let calledAt = removal.calledAt {
            step(removal.id, removal.group, "removing", removal.reason, at: calledAt, isTrusted, Self.calling)
        }
        step(removal.id, removal.group, what, removal.reason, at: removal.at, isTrusted, detail)
    }

    private mutating func step(
        _ id: String, _ group: String, _ what: String, _ why: Explanation, at: Timestamp, _ isTrusted: Bool,
        _ detail: String? = nil
    ) {
        if !removals.contains(where: { $0.id == id }) { removals.append(Removal(id: id)) }
        guard let index = removals.firstIndex(where: { $0.id == id }) else { return }
        if !group.isEmpty { removals[index].group = group }
        guard !removals[index].steps.contains(where: { $0.what == what }) else { return }
        removals[index].steps.append(
            Step(at: at, what: what, detail: detail ?? why.sentence, isTrusted: isTrusted))
        removals[index].finish()
    }
}

extension NodeTimeline.Removal {
    private static let ends: Set<String> = ["completed", "failed", "cancelled"]

    /// Puts the steps in order and adds up.
    fileprivate mutating func finish() {
        steps = steps.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
        for index in steps.indices {
            steps[index].after = index == 0 ? nil : (steps[index].at - steps[index - 1].at).inSeconds
        }
        let last = steps.last { Self.ends.contains($0.what) } ?? steps.last
        outcome = last?.what ?? ""
        let isOver = Self.ends.contains(outcome)
        seconds = nil
        if isOver, let first = steps.first, let last { seconds = (last.at - first.at).inSeconds }
    }
}

extension NodeTimeline {
    // MARK: Text

    var text: String {
        var lines = ["node \(node)"]
        lines += arrival.map { "  \($0.at)  \($0.what)  \($0.detail)\(mark($0))" }
        for removal in removals {
            var head =
                "removal \(removal.id)\(removal.group.isEmpty ? "" : " of group \(removal.group)"): \(removal.outcome)"
            if let seconds = removal.seconds {
                head += ", \(Self.seconds(seconds)) in all"
            } else {
                head += ", under way"
            }
            lines += ["", head]
            lines += removal.steps.map { step in
                let after = step.after.map { "+\(Self.seconds($0))" } ?? ""
                return "  \(step.at)  \(Self.padded(after, 10))\(Self.padded(step.what, 24))\(step.detail)\(mark(step))"
            }
        }
        if !events.isEmpty {
            lines += ["", "Kubernetes Events"]
            lines += events.map {
                "  \($0.at)  \($0.reason)\($0.count > 1 ? " (\($0.count) times)" : ""): \($0.message)  [\($0.component)]"
            }
        }
        if isEmpty {
            lines.append("  nothing is known of it")
            if !near.isEmpty { lines.append("  did you mean: \(near.joined(separator: ", "))") }
        }
        if !notes.isEmpty { lines += [""] + notes.map { "note: \($0)" } }
        return lines.joined(separator: "\n")
    }

    private func mark(_ step: Step) -> String { step.isTrusted ? "" : "  (not signed by a key of ours)" }

    private static func padded(_ text: String, _ width: Int) -> String {
        text.count >= width ? text + " " : text + String(repeating: " ", count: width - text.count)
    }

    private static func seconds(_ value: Double) -> String {
        value < 120 ? "\(ReplayText.number(value)) s" : "\(Int(value) / 60) min \(Int(value) % 60) s"
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
