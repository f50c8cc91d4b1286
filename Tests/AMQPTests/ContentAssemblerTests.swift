import Testing

@testable import AMQP

@Suite struct ContentAssemblerTests {
    private let start = ContentAssembler.Start.delivery(tag: 1, redelivered: false, exchange: "x", routingKey: "k")

    private func feed(_ assembler: inout ContentAssembler, _ bytes: [UInt8]) throws(AMQPError) -> ContentAssembler
        .Content?
    {
        let result: Result<ContentAssembler.Content?, AMQPError> = bytes.withUnsafeBytes { raw in
            do throws(AMQPError) {
                return .success(try assembler.body(raw))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    @Test func `A body in pieces becomes one`() throws {
        var assembler = ContentAssembler(limit: 100)
        try assembler.begin(start)
        #expect(try assembler.header(size: 5, properties: .init(messageID: "m")) == nil)
        #expect(try feed(&assembler, [1, 2]) == nil)
        let content = try #require(try feed(&assembler, [3, 4, 5]))
        #expect(content.body == [1, 2, 3, 4, 5])
        #expect(content.properties.messageID == "m")
        #expect(content.start == start)
        #expect(!assembler.isBusy)
    }

    @Test func `An empty body has no body frame`() throws {
        var assembler = ContentAssembler(limit: 100)
        try assembler.begin(start)
        #expect(try assembler.header(size: 0, properties: .init())?.body == [])
    }

    @Test func `A body above the limit is counted and not kept`() throws {
        var assembler = ContentAssembler(limit: 4)
        try assembler.begin(start)
        #expect(try assembler.header(size: 500_000_000_000, properties: .init()) == nil)
        for _ in 0..<100 { #expect(try feed(&assembler, Array(repeating: 7, count: 1_000)) == nil) }
        assembler.reset()
        try assembler.begin(start)
        _ = try assembler.header(size: 6, properties: .init())
        _ = try feed(&assembler, [1, 2, 3])
        let content = try #require(try feed(&assembler, [4, 5, 6]))
        #expect(content.body == [])
        #expect(content.size == 6)
    }

    @Test func `Frames out of order end the connection instead of the process`() throws {
        var assembler = ContentAssembler(limit: 10)
        #expect(throws: AMQPError.self) { try feed(&assembler, [1]) }
        #expect(throws: AMQPError.self) { try assembler.header(size: 1, properties: .init()) }
        try assembler.begin(start)
        #expect(throws: AMQPError.self) { try assembler.begin(start) }
        _ = try assembler.header(size: 1, properties: .init())
        #expect(throws: AMQPError.self) { try feed(&assembler, [1, 2]) }
    }

    @Test func `What AMQP cannot carry is refused before it is written`() {
        func refusal(_ message: OutgoingMessage) -> AMQPError.Code? {
            do throws(AMQPError) {
                try message.validate(maximumBodyBytes: 10)
                return nil
            } catch {
                return error.code
            }
        }
        let long = String(repeating: "k", count: 256)
        #expect(refusal(OutgoingMessage(exchange: "", routingKey: "k", body: [])) == nil)
        #expect(refusal(OutgoingMessage(exchange: "", routingKey: long, body: [])) == .invalid)
        #expect(refusal(OutgoingMessage(exchange: long, routingKey: "", body: [])) == .invalid)
        #expect(
            refusal(OutgoingMessage(exchange: "", routingKey: "", body: [], properties: .init(messageID: long)))
                == .invalid)
        #expect(
            refusal(OutgoingMessage(exchange: "", routingKey: "", body: [], properties: .init(headers: [long: 1])))
                == .invalid)
        #expect(
            refusal(OutgoingMessage(exchange: "", routingKey: "", body: Array(repeating: 0, count: 11))) == .tooLarge)
        let huge = AMQPValue.table(["a": .array([.string(String(repeating: "x", count: 200_000))])])
        #expect(
            refusal(OutgoingMessage(exchange: "", routingKey: "", body: [], properties: .init(headers: ["h": huge])))
                == .tooLarge)
    }
}
