import Support

/// What was given to a publisher and is not settled yet. Pure: calls in, completions out.
///
/// A message waits, is in flight (written, with a delivery tag), and ends confirmed or failed. When the connection is
/// lost, everything in flight waits again, before what waited already, in its old order: nothing is lost, at most
/// sent twice.
struct PublishLedger<Waiter> {
    /// A batch that has ended: whom to tell, and the first error among its messages if there was one.
    typealias Completion = (waiter: Waiter, error: AMQPError?)

    /// Bounds on what is held.
    struct Limits: Sendable {
        /// Messages in flight.
        var inFlight: Int
        /// Messages waiting.
        var waiting: Int
        /// Bytes of bodies in flight and waiting together.
        var bytes: Int
    }

    private struct Entry {
        var message: OutgoingMessage
        var batch: UInt64
        var failure: AMQPError?
    }

    private struct Batch {
        var waiter: Waiter
        var remaining: Int
        var failure: AMQPError?
        var deadline: Int64
    }

    private let limits: Limits
    private var waiting = Fifo<Entry>()
    /// Slot i is the message with delivery tag `base + i`; nil once it is settled.
    private var flight = Fifo<Entry?>()
    private var base: UInt64 = 1
    private var unsettled = 0
    private var batches: [UInt64: Batch] = [:]
    private var nextBatch: UInt64 = 1
    private var nextIdentity: UInt64 = 1
    /// Messages to send one at a time, to find the one that makes the broker close the channel.
    private var suspects = 0
    private var timed = 0
    private(set) var bytes = 0

    init(_ limits: Limits) {
        self.limits = limits
    }

    /// Messages not written yet.
    var waitingCount: Int { waiting.count }
    /// Messages written and not settled.
    var inFlightCount: Int { unsettled }
    /// Whether nothing is left to do.
    var isEmpty: Bool { waiting.isEmpty && unsettled == 0 }
    /// Whether any batch has a deadline.
    var hasDeadlines: Bool { timed > 0 }
    /// Whether a message could be written now.
    var canSend: Bool { !waiting.isEmpty && unsettled < allowedInFlight }

    private var allowedInFlight: Int { suspects > 0 ? 1 : limits.inFlight }

    /// Takes a batch in. Throws `.full` at the bounds; then nothing of the batch was taken. `deadline` is in
    /// microseconds on the caller's clock, `.max` for none.
    mutating func submit(
        _ messages: [OutgoingMessage], waiter: Waiter, deadline: Int64 = .max
    ) throws(AMQPError) -> UInt64 {
        let size = messages.reduce(0) { $0 + $1.body.count }
        guard waiting.count + messages.count <= limits.waiting, bytes == 0 || bytes + size <= limits.bytes else {
            throw AMQPError(
                .full,
                "\(waiting.count) messages wait and \(unsettled) are in flight (\(bytes) bytes); limits: "
                    + "\(limits.waiting) messages, \(limits.bytes) bytes")
        }
        let batch = nextBatch
        nextBatch += 1
        batches[batch] = Batch(waiter: waiter, remaining: messages.count, failure: nil, deadline: deadline)
        if deadline != .max { timed += 1 }
        bytes += size
        for message in messages {
            var entry = Entry(message: message, batch: batch, failure: nil)
            if message.mandatory, message.properties.messageID == nil {
                // A return names no delivery tag; it is matched by this.
                entry.message.properties.messageID = "updraft-\(nextIdentity)"
                nextIdentity += 1
            }
            waiting.append(entry)
        }
        return batch
    }

    /// The next messages to write, now counted as in flight with the next delivery tags in this order.
    mutating func take(upTo maximum: Int, into messages: inout [OutgoingMessage]) {
        while messages.count < maximum, unsettled < allowedInFlight, let entry = waiting.popFirst() {
            guard batches[entry.batch] != nil else {
                forget(entry)
                continue
            }
            flight.append(entry)
            unsettled += 1
            messages.append(entry.message)
        }
    }

    /// The broker confirmed (or refused, `nacked`) one tag, or everything up to it.
    mutating func settled(tag: UInt64, multiple: Bool, nacked: Bool, completions: inout [Completion]) {
        guard tag >= base, tag - base < UInt64(flight.count) else { return }
        let index = Int(tag - base)
        let range = multiple ? 0...index : index...index
        for slot in range {
            guard let entry = flight[slot] else { continue }
            flight[slot] = nil
            unsettled -= 1
            if suspects > 0 { suspects -= 1 }
            let refusal =
                nacked ? AMQPError(.nacked, "the broker refused the message to \(entry.message.routingKey)") : nil
            finish(entry, entry.failure ?? refusal, &completions)
        }
        var done = 0
        while done < flight.count, flight[done] == nil { done += 1 }
        flight.removeFirst(done)
        base += UInt64(done)
    }

    /// A mandatory message came back. Its confirm follows and then fails it.
    mutating func returned(exchange: String, routingKey: String, messageID: String?, error: AMQPError) {
        for slot in 0..<flight.count {
            guard let entry = flight[slot], entry.failure == nil, entry.message.mandatory,
                entry.message.properties.messageID == messageID, entry.message.routingKey == routingKey,
                entry.message.exchange == exchange
            else { continue }
            flight[slot]?.failure = error
            return
        }
    }

    /// The connection is gone: what was in flight waits again, first.
    mutating func connectionLost() {
        var again: [Entry] = []
        for entry in flight.elements {
            guard var entry else { continue }
            guard batches[entry.batch] != nil else {
                forget(entry)
                continue
            }
            entry.failure = nil
            again.append(entry)
        }
        if !again.isEmpty {
            var all = Fifo(again)
            all.append(contentsOf: waiting.elements)
            waiting = all
        }
        flight.removeAll()
        unsettled = 0
        base = 1
    }

    /// The broker closed the channel because of something published on it. If one message was in flight it was that
    /// one, and it fails; else all of them are sent again one by one, so that the culprit shows itself.
    mutating func channelRefused(_ error: AMQPError, completions: inout [Completion]) {
        if unsettled == 1 {
            for slot in 0..<flight.count {
                guard let entry = flight[slot] else { continue }
                flight[slot] = nil
                finish(entry, error, &completions)
            }
            suspects = max(0, suspects - 1)
        } else {
            suspects = max(suspects, unsettled)
        }
        connectionLost()
    }

    /// Fails what has passed its deadline. Messages in flight may still arrive.
    mutating func expire(now: Int64, completions: inout [Completion]) {
        guard timed > 0 else { return }
        for (id, batch) in batches where batch.deadline <= now {
            end(id, AMQPError(.timedOut, "not confirmed by its deadline"), &completions)
        }
        dropForgotten()
    }

    /// The caller lost interest. Messages in flight may still arrive.
    mutating func cancel(_ batch: UInt64, completions: inout [Completion]) {
        guard batches[batch] != nil else { return }
        end(batch, AMQPError(.cancelled, "the publishing task was cancelled"), &completions)
        dropForgotten()
    }

    /// Fails everything.
    mutating func failAll(_ error: AMQPError, completions: inout [Completion]) {
        for id in Array(batches.keys) { end(id, error, &completions) }
        waiting.removeAll()
        flight.removeAll()
        unsettled = 0
        base = 1
        bytes = 0
        suspects = 0
    }

    private mutating func finish(_ entry: Entry, _ failure: AMQPError?, _ completions: inout [Completion]) {
        forget(entry)
        guard var batch = batches[entry.batch] else { return }
        batch.remaining -= 1
        if batch.failure == nil { batch.failure = failure }
        if batch.remaining == 0 {
            end(entry.batch, batch.failure, &completions)
        } else {
            batches[entry.batch] = batch
        }
    }

    private mutating func end(_ id: UInt64, _ failure: AMQPError?, _ completions: inout [Completion]) {
        guard let batch = batches.removeValue(forKey: id) else { return }
        if batch.deadline != .max { timed -= 1 }
        completions.append((batch.waiter, failure))
    }

    /// Makes room at once for what nobody waits for any more.
    private mutating func dropForgotten() {
        guard waiting.elements.contains(where: { batches[$0.batch] == nil }) else { return }
        var kept: [Entry] = []
        for entry in waiting.elements {
            if batches[entry.batch] == nil { forget(entry) } else { kept.append(entry) }
        }
        waiting = Fifo(kept)
    }

    private mutating func forget(_ entry: Entry) {
        bytes -= entry.message.body.count
    }
}
