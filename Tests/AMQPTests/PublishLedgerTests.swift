import Testing

@testable import AMQP

@Suite struct PublishLedgerTests {
    private typealias Ledger = PublishLedger<String>

    private func ledger(inFlight: Int = 10, waiting: Int = 100, bytes: Int = 1_000) -> Ledger {
        Ledger(.init(inFlight: inFlight, waiting: waiting, bytes: bytes))
    }

    private func message(_ key: String, size: Int = 1, mandatory: Bool = false, id: String? = nil) -> OutgoingMessage {
        OutgoingMessage(
            exchange: "x", routingKey: key, body: Array(repeating: 0, count: size),
            properties: MessageProperties(messageID: id), mandatory: mandatory)
    }

    private func take(_ ledger: inout Ledger, _ maximum: Int = 100) -> [String] {
        var messages: [OutgoingMessage] = []
        ledger.take(upTo: maximum, into: &messages)
        return messages.map(\.routingKey)
    }

    private func settle(_ ledger: inout Ledger, _ tag: UInt64, multiple: Bool = false, nacked: Bool = false) -> [String]
    {
        var completions: [Ledger.Completion] = []
        ledger.settled(tag: tag, multiple: multiple, nacked: nacked, completions: &completions)
        return text(completions)
    }

    private typealias Completion = Ledger.Completion

    private func text(_ completions: [Completion]) -> [String] {
        completions.map { completion in
            completion.error.map { "\(completion.waiter): \($0.code.rawValue)" } ?? completion.waiter
        }
    }

    @Test func `Confirms end what they name, in any order`() throws {
        var ledger = ledger()
        for name in ["a", "b", "c", "d"] { _ = try ledger.submit([message(name)], waiter: name) }
        #expect(take(&ledger) == ["a", "b", "c", "d"])
        #expect(settle(&ledger, 2) == ["b"])
        #expect(settle(&ledger, 3, multiple: true) == ["a", "c"])
        #expect(settle(&ledger, 3) == [])
        #expect(settle(&ledger, 4, nacked: true) == ["d: nacked"])
        #expect(ledger.isEmpty)
        #expect(ledger.bytes == 0)
    }

    @Test func `A batch ends with its last message and its first error`() throws {
        var ledger = ledger()
        _ = try ledger.submit([message("1"), message("2"), message("3")], waiter: "batch")
        #expect(take(&ledger).count == 3)
        #expect(settle(&ledger, 3) == [])
        #expect(settle(&ledger, 1, nacked: true) == [])
        #expect(settle(&ledger, 2) == ["batch: nacked"])
    }

    @Test func `What was unconfirmed when the connection broke is sent again, first and in order`() throws {
        var ledger = ledger(inFlight: 3)
        for name in ["a", "b", "c", "d", "e"] { _ = try ledger.submit([message(name)], waiter: name) }
        #expect(take(&ledger) == ["a", "b", "c"])
        #expect(settle(&ledger, 2) == ["b"])
        #expect(take(&ledger) == ["d"])
        ledger.connectionLost()
        #expect(ledger.inFlightCount == 0)
        #expect(take(&ledger) == ["a", "c", "d"])
        // Delivery tags start anew with the channel.
        #expect(settle(&ledger, 3, multiple: true) == ["a", "c", "d"])
        #expect(take(&ledger) == ["e"])
        #expect(settle(&ledger, 4) == ["e"])
        #expect(ledger.isEmpty)
    }

    @Test func `No more is in flight than allowed`() throws {
        var ledger = ledger(inFlight: 2)
        _ = try ledger.submit((0..<5).map { message("\($0)") }, waiter: "w")
        #expect(take(&ledger) == ["0", "1"])
        #expect(!ledger.canSend)
        #expect(take(&ledger) == [])
        _ = settle(&ledger, 1)
        #expect(ledger.canSend)
        #expect(take(&ledger) == ["2"])
    }

    @Test func `Bounds refuse a whole batch and take nothing of it`() throws {
        var ledger = ledger(waiting: 3, bytes: 100)
        _ = try ledger.submit([message("a", size: 60)], waiter: "a")
        let bytes = #expect(throws: AMQPError.self) { try ledger.submit([message("b", size: 60)], waiter: "b") }
        #expect(bytes?.code == .full)
        let count = #expect(throws: AMQPError.self) {
            try ledger.submit([message("c"), message("d"), message("e")], waiter: "c")
        }
        #expect(count?.code == .full)
        #expect(count?.isRetriable == true)
        #expect(take(&ledger) == ["a"])
        // Bytes in flight count until they are settled.
        #expect(throws: AMQPError.self) { try ledger.submit([message("f", size: 60)], waiter: "f") }
        _ = settle(&ledger, 1)
        _ = try ledger.submit([message("g", size: 60)], waiter: "g")
    }

    @Test func `A single message above the byte bound passes when nothing else is held`() throws {
        var ledger = ledger(bytes: 10)
        _ = try ledger.submit([message("big", size: 1_000)], waiter: "big")
        #expect(take(&ledger) == ["big"])
    }

    @Test func `A returned message fails when its confirm comes`() throws {
        var ledger = ledger()
        _ = try ledger.submit([message("k", mandatory: true, id: "1")], waiter: "first")
        _ = try ledger.submit([message("k", mandatory: true, id: "2")], waiter: "second")
        _ = take(&ledger)
        ledger.returned(exchange: "x", routingKey: "k", messageID: "2", error: AMQPError(.unroutable, "NO_ROUTE"))
        #expect(settle(&ledger, 2, multiple: true) == ["first", "second: unroutable"])
    }

    @Test func `Mandatory messages without id get one of their own`() throws {
        var ledger = ledger()
        _ = try ledger.submit(
            [message("k", mandatory: true), message("k", mandatory: true), message("k")], waiter: "w")
        var messages: [OutgoingMessage] = []
        ledger.take(upTo: 10, into: &messages)
        let ids = messages.map(\.properties.messageID)
        #expect(ids[0] != nil && ids[1] != nil && ids[0] != ids[1] && ids[2] == nil)
    }

    @Test func `The message that makes the broker close the channel is found, and only it fails`() throws {
        var ledger = ledger()
        for name in ["a", "bad", "c"] { _ = try ledger.submit([message(name)], waiter: name) }
        #expect(take(&ledger) == ["a", "bad", "c"])
        let refusal = AMQPError(.notFound, "no exchange")
        var completions: [Completion] = []
        ledger.channelRefused(refusal, completions: &completions)
        #expect(text(completions) == [])
        // One at a time now.
        #expect(take(&ledger) == ["a"])
        #expect(settle(&ledger, 1) == ["a"])
        #expect(take(&ledger) == ["bad"])
        ledger.channelRefused(refusal, completions: &completions)
        #expect(text(completions) == ["bad: notFound"])
        #expect(take(&ledger) == ["c"])
        #expect(settle(&ledger, 1) == ["c"])
        // And in bulk again.
        _ = try ledger.submit([message("d"), message("e")], waiter: "de")
        #expect(take(&ledger) == ["d", "e"])
    }

    @Test func `A deadline ends the waiting, whether sent or not`() throws {
        var ledger = ledger(inFlight: 1)
        _ = try ledger.submit([message("sent")], waiter: "sent", deadline: 10)
        _ = try ledger.submit([message("late")], waiter: "late", deadline: 10)
        _ = try ledger.submit([message("patient")], waiter: "patient", deadline: 20)
        #expect(take(&ledger) == ["sent"])
        var completions: [Completion] = []
        ledger.expire(now: 9, completions: &completions)
        #expect(completions.isEmpty)
        ledger.expire(now: 10, completions: &completions)
        #expect(Set(text(completions)) == ["sent: timedOut", "late: timedOut"])
        // Its confirm still counts, but nobody is told twice.
        #expect(settle(&ledger, 1) == [])
        #expect(take(&ledger) == ["patient"])
        #expect(ledger.bytes == 1)
    }

    @Test func `A cancelled batch is not sent again`() throws {
        var ledger = ledger(inFlight: 1)
        let sent = try ledger.submit([message("sent")], waiter: "sent")
        let waiting = try ledger.submit([message("waiting")], waiter: "waiting")
        #expect(take(&ledger) == ["sent"])
        var completions: [Completion] = []
        ledger.cancel(waiting, completions: &completions)
        ledger.cancel(sent, completions: &completions)
        ledger.cancel(sent, completions: &completions)
        #expect(text(completions) == ["waiting: cancelled", "sent: cancelled"])
        ledger.connectionLost()
        #expect(take(&ledger) == [])
        #expect(ledger.isEmpty)
        #expect(ledger.bytes == 0)
    }

    @Test func `The end fails everybody once`() throws {
        var ledger = ledger(inFlight: 1)
        _ = try ledger.submit([message("a"), message("b")], waiter: "ab")
        _ = try ledger.submit([message("c")], waiter: "c", deadline: 5)
        _ = take(&ledger)
        var completions: [Completion] = []
        ledger.failAll(AMQPError(.closed, "bye"), completions: &completions)
        ledger.failAll(AMQPError(.closed, "bye"), completions: &completions)
        #expect(Set(text(completions)) == ["ab: closed", "c: closed"])
        #expect(completions.count == 2)
        #expect(ledger.isEmpty && !ledger.hasDeadlines)
    }

    @Test(arguments: 1...50)
    func `Whatever happens, every message is confirmed once and none is forgotten`(seed: Int) throws {
        var generator = Seeded(seed)
        var ledger = ledger(inFlight: 5)
        var given: Set<String> = []
        var done: [String] = []
        var next: UInt64 = 1
        var unacked: [UInt64] = []
        for round in 0..<400 {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0 where round < 300:
                _ = try ledger.submit([message("\(round)")], waiter: "\(round)")
                given.insert("\(round)")
            case 1, 2:
                for _ in take(&ledger, 3) {
                    unacked.append(next)
                    next += 1
                }
            case 3:
                guard let tag = unacked.randomElement(using: &generator) else { continue }
                let multiple = Bool.random(using: &generator)
                done += settle(&ledger, tag, multiple: multiple)
                unacked.removeAll { multiple ? $0 <= tag : $0 == tag }
            default:
                guard Int.random(in: 0..<10, using: &generator) == 0 else { continue }
                ledger.connectionLost()
                unacked = []
                next = 1
            }
        }
        while !ledger.isEmpty {
            next += UInt64(take(&ledger).count)
            done += settle(&ledger, next - 1, multiple: true)
        }
        #expect(done.count == given.count)
        #expect(Set(done) == given)
        #expect(ledger.bytes == 0)
    }
}
