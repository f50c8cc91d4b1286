/// Follows what a Collector tells of a cluster: puts the parts of snapshots together, and notices when something is missing
/// between two messages. Pure.
///
/// It keeps no cluster, only where in the stream a reader is. The rules are those of docs/messages.md: the parts of a
/// snapshot come in order, deltas of one epoch are numbered without a gap, an empty delta repeats the last number.
public struct ClusterFeed: Sendable {
    /// What to do with a part of a snapshot.
    public enum SnapshotStep: Sendable {
        /// It was the last part: these, in their order, are the cluster, in place of all that was known.
        case whole([ClusterSnapshot])
        /// Further parts are to come.
        case waiting
        /// Older than what is known, or told twice: leave it out.
        case ignored
        /// Parts before it are missing: a snapshot is needed.
        case gap(String)
    }

    /// What to do with a delta.
    public enum DeltaStep: Sendable, Equatable {
        /// Take it in.
        case changed
        /// Nothing changed; the Collector lives.
        case heartbeat
        /// Older than what is known: leave it out.
        case ignored
        /// Something before it is missing: a snapshot is needed.
        case gap(String)
    }

    /// The epoch of what is known; empty before the first whole snapshot.
    public private(set) var epoch = ""
    /// The number of the last delta that is in what is known.
    public private(set) var sequence: Int64 = 0
    /// Whether a whole snapshot came.
    public private(set) var isComplete = false
    private var parts: [ClusterSnapshot] = []

    /// Nothing came yet.
    public init() {}

    /// Takes a part of a snapshot.
    public mutating func take(_ part: ClusterSnapshot) -> SnapshotStep {
        if isComplete && part.epoch == epoch && part.sequence < sequence {
            // Deltas overtook it.
            parts = []
            return .ignored
        }
        if part.part == 0 {
            parts = []
        } else {
            guard let last = parts.last, last.epoch == part.epoch, last.sequence == part.sequence,
                last.parts == part.parts, part.part <= last.part + 1
            else {
                parts = []
                return .gap("part \(part.part) of a snapshot came without the parts before")
            }
            if part.part <= last.part { return .ignored }
        }
        parts.append(part)
        guard part.part == part.parts - 1 else { return .waiting }
        defer { parts = [] }
        epoch = part.epoch
        sequence = part.sequence
        isComplete = true
        return .whole(parts)
    }

    /// Takes a delta; its number counts from now on if it is to be taken in.
    public mutating func take(_ delta: ClusterDelta) -> DeltaStep {
        guard isComplete else { return .gap("no snapshot yet") }
        guard delta.epoch == epoch else { return .gap("epoch \(delta.epoch) after \(epoch)") }
        let isEmpty = delta.isEmpty && delta.shapes.isEmpty
        if delta.sequence <= sequence { return isEmpty ? .heartbeat : .ignored }
        guard !isEmpty, delta.sequence - 1 == sequence else {
            return .gap("sequence \(delta.sequence) after \(sequence)")
        }
        sequence = delta.sequence
        return .changed
    }
}
