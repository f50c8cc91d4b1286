/// Something that `updraft doctor heat` has to say.
struct HeatFinding: Sendable, Hashable {
    /// How bad it is.
    enum Weight: String, Sendable, Hashable, CaseIterable {
        /// For information.
        case note
        /// It will hurt some day, or hinders something.
        case warning
        /// Something does not work.
        case problem
    }

    /// What is found, a word for programs.
    enum Kind: String, Sendable, Hashable, CaseIterable {
        case unreadable, unusableKind, stackFailed, stackBusy, stackStuck, sizeMismatch, memberFailed, memberMarked,
            memberHalfDeleted, serverGone, serverFailed, serverUnknown, nodeMissing, nodeUnready, nodeUnowned,
            hookPending,
            timeoutTooShort, parameterMissing, noHook, hookOnNothing, minimumIgnored, recordUnreadable, incident, limits
    }

    /// What can be done about it from here, safely.
    enum Repair: Sendable, Hashable {
        /// The pre-delete hook of a member whose node is drained holds it for nothing.
        case clearHook(member: String, resource: String)
        /// The size that is there is sent again, so that what a dead engine left is taken up.
        case resend(size: Int)
        /// A mark that no removal claims would cost a machine with the next update.
        case unmark(member: String)

        /// For the question and the report.
        var text: String {
            switch self {
            case .clearHook(let member, let resource): "clear the pre-delete hook of \(resource) in member \(member)"
            case .resend(let size): "send the size \(size), which is that of the members there, once more"
            case .unmark(let member): "take back the mark of member \(member)"
            }
        }
    }

    var kind: Kind
    var weight: Weight
    /// What is found, with names and values.
    var what: String
    /// What it means.
    var meaning: String
    /// How to mend it.
    var mend: String
    /// What `--repair` would do.
    var repair: Repair?
}
