import AMQP
import Support
import TestServer
import Testing

/// A broker that announces and sends half a gigabyte.
@Suite(.serialized, .timeLimit(.minutes(6)))
struct HugeMessageTests {
    private static let huge = 500 << 20

    private func settings(_ server: TestServer) throws -> AMQPSettings {
        AMQPSettings(
            url: try TransportURL("rabbit://guest:guest@127.0.0.1:\(server.port)/"), heartbeat: .seconds(30),
            backoff: Backoff(first: .milliseconds(50), cap: .milliseconds(100)), maximumMessageBytes: 1 << 20)
    }

    @Test("a frame that claims 500 MB ends the connection before it is taken in, and the next one works")
    func frame() async throws {
        let connections = Lock(0)
        let taken = Lock<Int?>(nil)
        let server = TestServer { connection in
            let broker = FakeBroker(connection)
            let number = connections.withLock { count in
                count += 1
                return count
            }
            guard broker.acceptConsumer() else { return }
            guard number == 1 else {
                broker.deliver(tag: 1, size: 5, frames: [Array("hello".utf8)])
                return connection.waitForHangUp()
            }
            broker.deliver(tag: 1, size: UInt64(Self.huge), frames: [])
            // Type, channel, size; then what it promised.
            connection.write([3, 0, 1] + FakeBroker.long(UInt32(Self.huge)))
            var sent = 0
            let piece = [UInt8](repeating: 0, count: 1 << 16)
            while sent < Self.huge, connection.write(piece) { sent += piece.count }
            taken.withLock { $0 = sent }
        }
        let before = Memory.megabytes
        let losses = Lock<[AMQPError]>([])
        let consumer = try Consumer(settings: try settings(server), queue: "q") { event in
            if case .disconnected(let error, _) = event { losses.withLock { $0.append(error) } }
        }
        var iterator = consumer.deliveries.makeAsyncIterator()
        let delivery = try #require(await iterator.next())
        #expect(String(decoding: delivery.body, as: UTF8.self) == "hello")
        delivery.ack()
        #expect(losses.withLock { $0.first?.isRetriable } == true, "\(losses.withLock { $0 })")
        try await eventually("the end of the frame") { taken.withLock { $0 != nil } }
        let sent = taken.withLock { $0 ?? 0 }
        #expect(sent < 64 << 20, "\(sent >> 20) MB were taken")
        #expect(Memory.megabytes - before < 200)
        await consumer.close(within: .zero)
    }

    @Test("a message of 500 MB in honest frames arrives as a stub, memory stays, and the next one is whole")
    func message() async throws {
        let peak = Lock(0)
        let server = TestServer { connection in
            let broker = FakeBroker(connection)
            guard broker.acceptConsumer() else { return }
            broker.deliver(tag: 1, size: UInt64(Self.huge), frames: [])
            let piece = [UInt8](repeating: 0, count: 100 << 10)
            for number in 0..<(Self.huge / piece.count) {
                guard broker.send(type: 3, piece) else { return }
                if number % 64 == 0 {
                    let memory = Memory.megabytes
                    peak.withLock { $0 = max($0, memory) }
                }
            }
            broker.deliver(tag: 2, size: 5, frames: [Array("hello".utf8)])
            connection.waitForHangUp()
        }
        let before = Memory.megabytes
        let consumer = try Consumer(settings: try settings(server), queue: "q")
        var iterator = consumer.deliveries.makeAsyncIterator()
        let stub = try #require(await iterator.next())
        #expect(stub.isOversize)
        #expect(stub.bodySize == UInt64(Self.huge))
        #expect(stub.body.isEmpty)
        stub.ack()
        let next = try #require(await iterator.next())
        #expect(String(decoding: next.body, as: UTF8.self) == "hello")
        let most = peak.withLock { $0 }
        #expect(most - before < 200, "memory grew from \(before) to \(most) MB")
        await consumer.close(within: .zero)
    }
}

/// As much of a broker as a consumer without topology needs.
private struct FakeBroker {
    let connection: TestConnection

    init(_ connection: TestConnection) {
        self.connection = connection
    }

    static func short(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
    static func long(_ value: UInt32) -> [UInt8] { short(UInt16(value >> 16)) + short(UInt16(value & 0xffff)) }
    static func longLong(_ value: UInt64) -> [UInt8] { long(UInt32(value >> 32)) + long(UInt32(value & 0xffff_ffff)) }
    static func shortText(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }
    static func longText(_ text: String) -> [UInt8] { long(UInt32(text.utf8.count)) + Array(text.utf8) }

    @discardableResult
    func send(type: UInt8, channel: UInt16 = 1, _ payload: [UInt8]) -> Bool {
        connection.write([type] + Self.short(channel) + Self.long(UInt32(payload.count)) + payload + [0xce])
    }

    private func method(_ channel: UInt16, _ kind: UInt16, _ number: UInt16, _ arguments: [UInt8] = []) {
        send(type: 1, channel: channel, Self.short(kind) + Self.short(number) + arguments)
    }

    /// Answers everything up to `basic.consume`. False when the client has gone.
    func acceptConsumer() -> Bool {
        guard connection.read(8)?.prefix(4) == Array("AMQP".utf8)[...] else { return false }
        method(0, 10, 10, [0, 9] + Self.long(0) + Self.longText("PLAIN") + Self.longText("en_US"))
        while let head = connection.read(7) {
            let size = Int(head[3]) << 24 | Int(head[4]) << 16 | Int(head[5]) << 8 | Int(head[6])
            guard let payload = connection.read(size + 1) else { return false }
            guard head[0] == 1, payload.count > 4 else { continue }
            switch (payload[1], payload[3]) {
            case (10, 11): method(0, 10, 30, Self.short(2_047) + Self.long(131_072) + Self.short(0))
            case (10, 40): method(0, 10, 41, Self.shortText(""))
            case (20, 10): method(1, 20, 11, Self.long(0))
            case (60, 10): method(1, 60, 11)
            case (60, 20):
                method(1, 60, 21, Self.shortText("c"))
                return true
            default: continue
            }
        }
        return false
    }

    /// A delivery of `size` bytes, with these frames of its body.
    func deliver(tag: UInt64, size: UInt64, frames: [[UInt8]]) {
        method(
            1, 60, 60,
            Self.shortText("c") + Self.longLong(tag) + [0] + Self.shortText("x") + Self.shortText("key"))
        send(type: 2, Self.short(60) + Self.short(0) + Self.longLong(size) + Self.short(0))
        for frame in frames { send(type: 3, frame) }
    }
}
