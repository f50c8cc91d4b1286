import Messages
import Support

/// What the model of Heat holds: one stack with one or two AutoScalingGroups. Its rules are those that were measured
/// (`docs/rehearsal.md` names them).
struct HeatState {
    struct Member {
        /// Number of its group.
        var group = 0
        var name: String
        /// `physical_resource_id`.
        var id: String
        var server: String
        var status: String
        var reason = ""
        var createdAt: Timestamp
        /// Since when a check holds it for failed.
        var doubtedAt: Timestamp?
        /// When its deletion failed.
        var failedAt: Timestamp?
        /// Its deletion waits for the pre-delete hook of its server.
        var isHeld = false
        var heldSince: Timestamp?

        var isFailed: Bool { status.hasSuffix("_FAILED") }
        var isInProgress: Bool { status.hasSuffix("_IN_PROGRESS") }
        var isLeaving: Bool { status == "DELETE_IN_PROGRESS" }
        var counts: Bool { !isFailed && status != "DELETE_IN_PROGRESS" }
    }

    var members: [Member] = []
    /// The parameter of each group, and who set it last.
    var desired: [Int] = []
    var sizeBy: [World.Author] = []
    /// What each group was told to be last, by its parameter or by a signal, which leaves that alone.
    var capacity: [Int] = []
    /// Groups that a signal changes just now, or whose engine died doing so; and when a signal was last heard, by group.
    var scaling: Set<Int> = []
    var signalledAt: [Int: Timestamp] = [:]
    /// When the last reading of a group that the Actuator has was begun.
    var readAt: [Int: Timestamp] = [:]
    /// Groups with a signal that whoever sent the update in force could not have seen.
    var unseen: Set<Int> = []
    var status = "CREATE_COMPLETE"
    var reason = ""
    /// Who asked for the update in force.
    var author = World.Author.stranger
    /// Number of the update that is in force; an older one is superseded.
    var update = 0
    /// The last update that the stack shows, and the one that the last reading showed; the last one of somebody else.
    var shown = 0
    var seen = 0
    var strangers = 0
    /// The decision that the update in force carries out.
    var carried: (id: String, group: Int, to: Int)?
    /// Members whose creation or deletion is still under way, by physical id.
    var working: Set<String> = []
    /// What failed in the update under way.
    var failure: String?
    /// When the last update was accepted, as Heat says it: in whole seconds.
    var updatedAt: Timestamp?
    /// Members whose server Nova shows in ERROR, by physical id.
    var broken: Set<String> = []
    /// Members whose server somebody deleted in Nova, which Heat does not notice, by physical id.
    var lost: Set<String> = []
    var born = 0

    var isBusy: Bool { status.hasSuffix("_IN_PROGRESS") }
    func counted(_ group: Int) -> Int { members.count { $0.group == group && $0.counts } }
    func index(id: String) -> Int? { members.firstIndex { $0.id == id } }
}
