import Messages
import Support

/// Sending a size. An update of a stack resizes every group in it to what the stack's parameter says for it, whichever
/// parameter the update names (docs/openstack/heat.md §3 and §4). That parameter may be out of date: a policy's signal
/// leaves it alone, and so does an update that failed half-way. Then the update would take members of a group that nobody
/// has spoken of. So each update says for the other groups of the stack what they have.
extension ActuatorCore {
    /// How often the other groups are read once more for one update.
    private static let triesForOthers = 3

    /// The other groups of the same stack, in the order of their names.
    func others(inStackOf id: String) -> [String] {
        guard let stack = groups[id]?.policy.stack else { return [] }
        return groups.keys.filter { $0 != id && groups[$0]?.policy.stack == stack }.sorted()
    }

    /// Sends the size of a group, and of the others in its stack what they have.
    mutating func send(_ size: Int, for id: String) {
        var keeping: [String: Int] = [:]
        for other in others(inStackOf: id) {
            guard let track = groups[other], let reading = track.reading, let desired = reading.desired else {
                continue
            }
            let has = max(reading.counted.count, track.policy.floor)
            // Where the parameter is the larger one a growth may be on its way, begun by a process that died.
            if has > desired { keeping[other] = has }
        }
        for (other, has) in keeping.sorted(by: { $0.key < $1.key }) {
            let desired = groups[other]?.reading?.desired ?? 0
            note(
                .warning, other, .sizeMismatch,
                "it has \(has) members and desired is \(desired): an update of \(id) sets it to \(has)")
        }
        emit(.resize(group: id, to: size, keeping: keeping))
    }

    /// Whether the stack may be updated as far as its other groups go: none of them is changing by a signal, and what is
    /// known of them is fresh, or an update would take back what a signal did since. If that is all that is missing they
    /// are read, and this group after them; what changes is looked at in its own time.
    /// - Parameter whateverTheirAge: There is no time left to read them once more.
    mutating func othersAllowUpdate(of id: String, whateverTheirAge: Bool = false) -> Bool {
        let tries = whateverTheirAge ? ActuatorCore.triesForOthers : groups[id]?.triesForOthers ?? 0
        var obstacle: String?
        var areOld = false
        for other in others(inStackOf: id) {
            // One that is not there, or does not let us in, does not hold up those that can be read.
            guard let track = groups[other], track.failure?.isRetriable ?? true else { continue }
            // Nor does one that fails again and again: what was seen of it last must do.
            if track.failure != nil {
                guard tries < ActuatorCore.triesForOthers else { continue }
                obstacle = obstacle ?? "group \(other) of the same stack could not be read"
                areOld = true
                groups[id]?.waitsForOthers = true
                readGroup(other, within: .zero)
                continue
            }
            guard let reading = track.reading else {
                obstacle = obstacle ?? "group \(other) of the same stack is not known yet"
                continue
            }
            // (One whose engine died changes no more: an update of the stack is what frees it.)
            if reading.isBusy && !reading.waitsOnlyForHeld && !track.isStuck {
                obstacle = obstacle ?? "group \(other) of the same stack is changing"
                continue
            }
            // A cloud that answers slowly never shows both at one moment.
            guard now - reading.begunAt > policy.freshness, tries < ActuatorCore.triesForOthers else { continue }
            obstacle = obstacle ?? "the size of group \(other) of the same stack is looked up"
            areOld = true
            groups[id]?.waitsForOthers = true
            readGroup(other, within: .zero)
        }
        groups[id]?.triesForOthers = areOld ? tries + 1 : 0
        guard let obstacle else { return true }
        // What a decision is told that waits for this until its time is over.
        groups[id]?.waiting?.lastFailure = ActFailure(.stackInProgress, obstacle, isRetriable: true)
        return false
    }

    /// A group was read: those of its stack that waited for that are looked at anew, before what it showed is old.
    mutating func wakeThoseThatWait(for id: String) {
        for other in others(inStackOf: id) where groups[other]?.waitsForOthers == true {
            groups[other]?.waitsForOthers = false
            readGroup(other, within: .zero)
        }
    }
}
