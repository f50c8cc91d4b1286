import Messages

/// What is asked of the record of a node's removal. With a thousand survivors of a change in it a record is tens of
/// kilobytes of JSON: it is read when its text is another than before, and at no other time.
struct RemovalBrief: Sendable {
    /// Whether the removal is over. One whose record cannot be read may still run.
    let isOver: Bool
    /// What was raised for the node's pods. (Most removals raise nothing, and a record that cannot be read is the
    /// Actuator's to tell.)
    let surges: [RemovalRecord.Surge]
    /// The record that this was read from.
    private let text: String

    /// Nil: the node has no record. `known`: what was read from its last one.
    init?(_ node: Node, after known: RemovalBrief? = nil) {
        guard let text = node.annotations[RemovalNames.record] else { return nil }
        // (The node's own text, also if it is the same: the old node's is not kept beside it.)
        self.text = text
        if let known, known.text == text {
            isOver = known.isOver
            surges = known.surges
            return
        }
        let record = try? RemovalRecord(text: text)
        isOver = record?.phase.isOver ?? false
        surges = record?.drain?.surges ?? []
    }
}

extension NodeRecord {
    /// What the record of its removal says was raised for its pods.
    var surges: [RemovalRecord.Surge] { removal?.surges ?? [] }

    /// Whether the Actuator has it under removal.
    var isUnderRemoval: Bool { node.hasRemovalTaint || removal?.isOver == false }

    /// Whether it works and nobody is removing it. Cordons and other taints are left to the predicates.
    var takesPods: Bool {
        node.isWorking && node.deletedAt == nil && !isUnderRemoval
            && !node.taints.contains { $0.key == Node.peerDeletionTaint }
    }

    /// The taints of a node without the one that Kubernetes itself lays on a cordoned node, if a removal of it is over
    /// and it is not cordoned any more: the node controller takes it off a moment later. Whoever looked at a node that
    /// was just given back would buy another for its pods. On any other node, and with another effect, the taint is
    /// somebody's own and keeps pods off.
    var lastingTaints: [Taint] {
        guard !node.unschedulable, removal?.isOver == true else { return node.taints }
        return node.taints.filter { $0.key != Taint.cordon.key || $0.effect != Taint.cordon.effect }
    }
}

extension Node {
    /// Whether the Actuator's taint is on it.
    var hasRemovalTaint: Bool { taints.contains { $0.key == RemovalNames.taint } }

    /// Whether the Actuator has it under removal. The record of one that is over stays for a while, on a node that
    /// serves: whoever took that for a removal would buy room for the pods on it. (One that cannot be read may be of a
    /// removal that runs.)
    ///
    /// Reads the record: of a node in a model the model knows it.
    var isUnderRemoval: Bool { hasRemovalTaint || RemovalBrief(self)?.isOver == false }
}
