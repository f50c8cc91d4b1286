import Messages
import Notifier
import Support

/// What an observer of the models keeps to judge by. It sees what takes effect, never what a core believes.
struct Audit {
    /// What a pod was told of one removal.
    struct Told {
        var attempted: Set<NoticeChannel> = []
        var delivered: Set<NoticeChannel> = []
        /// From when on it has its cooldown at the least: the end that is counted from the try that arrived first.
        var earliest: Timestamp?
        /// Until when it may take, as it was told last.
        var deadline: Timestamp?
        var isDone = false
        /// When the refusal that was accepted was written to it.
        var refusedAt: Timestamp?
    }

    private var told: [String: Told] = [:]
    /// Members whose record said that Heat is called, by physical id.
    var chosen: Set<String> = []
    /// Members that a fault, not we, took away.
    var forgiven: Set<String> = []
    /// When the Actuator last looked at the pods of a node.
    var lookedAt: [String: Timestamp] = [:]
    /// Removals begun, by decision and node.
    var begun: Set<String> = []
    /// Sizes decided that were not yet used for an increase, by decision; in order.
    var growth: [(id: String, group: Int, to: Int)] = []
    var decisions: Set<String> = []
    /// Removals for which Heat was called and whose end was not published yet, by decision and node.
    var untold: Set<String> = []
    /// Removals that were cancelled: acknowledged while they could still be taken back, or written on the Node; by decision
    /// and node, and when.
    var cancelled: [String: Timestamp] = [:]
    var incidents = 0
    var messages = 0
    var evictions = 0
    /// Evictions of pods that had been told.
    var toldEvictions = 0
    var resizes = 0
    /// Marks set and taken back, and hooks cleared, that changed something.
    var marks = 0
    var unmarks = 0
    var hooks = 0

    subscript(pod: String, removal: String) -> Told {
        get { told["\(pod)/\(removal)"] ?? Told() }
        set { told["\(pod)/\(removal)"] = newValue }
    }
}
