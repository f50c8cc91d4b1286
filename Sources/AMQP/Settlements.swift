import Support

/// Which deliveries of one channel are out, and how their outcomes are written. Pure.
///
/// Handlers finish in any order. A multiple ack settles everything up to its tag, so it is used only for an unbroken run
/// of acks from the oldest delivery; acknowledging a tag twice, or one below an earlier multiple ack, would make
/// the broker close the channel.
struct Settlements: Sendable {
    typealias Outcome = SettlementOutcome

    /// A frame to write.
    enum Action: Sendable, Equatable {
        /// `basic.ack`.
        case ack(tag: UInt64, multiple: Bool)
        /// `basic.nack` of one message.
        case nack(tag: UInt64, requeue: Bool)
    }

    private enum Slot {
        case out
        case acked
        case settled
    }

    /// Slot i is the delivery with tag `base + i`.
    private var base: UInt64 = 1
    private var slots = Fifo<Slot>()
    /// Nacks and acks since the last flush, in the order they came.
    private var pending: [(tag: UInt64, outcome: Outcome)] = []
    /// Deliveries not settled yet.
    private(set) var outstanding = 0

    /// A delivery came in. Tags of a channel count up by one from 1.
    mutating func delivered(tag: UInt64) {
        while base + UInt64(slots.count) < tag { slots.append(.settled) }
        guard tag == base + UInt64(slots.count) else { return }
        slots.append(.out)
        outstanding += 1
    }

    /// A handler is done with a delivery. A second outcome for the same tag is ignored.
    mutating func settled(tag: UInt64, as outcome: Outcome) {
        guard tag >= base, tag - base < UInt64(slots.count) else { return }
        let index = Int(tag - base)
        guard case .out = slots[index] else { return }
        slots[index] = .acked
        outstanding -= 1
        pending.append((tag, outcome))
    }

    /// What to write now for everything settled since the last call.
    mutating func flush() -> [Action] {
        guard !pending.isEmpty else { return [] }
        var actions: [Action] = []
        // Nacks first: a multiple ack written later must not cover them.
        for (tag, outcome) in pending where outcome != .ack {
            actions.append(.nack(tag: tag, requeue: outcome == .requeue))
            slots[Int(tag - base)] = .settled
        }
        var run = 0
        var last: UInt64 = 0
        var alone = 0
        while run < slots.count {
            if case .out = slots[run] { break }
            if case .acked = slots[run] {
                last = base + UInt64(run)
                alone += 1
            }
            run += 1
        }
        if alone > 0 { actions.append(.ack(tag: last, multiple: alone > 1)) }
        slots.removeFirst(run)
        base += UInt64(run)
        for (tag, outcome) in pending where outcome == .ack && tag >= base {
            actions.append(.ack(tag: tag, multiple: false))
            slots[Int(tag - base)] = .settled
        }
        pending.removeAll(keepingCapacity: true)
        return actions
    }
}
