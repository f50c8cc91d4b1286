/// Puts a message together from its frames: method, content header, body frames. Pure.
///
/// The size is known from the content header, before any of the body: beyond the limit the body frames are counted and
/// dropped one by one, so a message of any size costs no more memory than one frame.
struct ContentAssembler: Sendable {
    /// The method the content belongs to.
    enum Start: Sendable, Equatable {
        /// `basic.deliver`.
        case delivery(tag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
        /// `basic.return`.
        case returned(code: Int, text: String, exchange: String, routingKey: String)
        /// `basic.get-ok`.
        case gotten(tag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
    }

    /// A finished message.
    struct Content: Sendable, Equatable {
        var start: Start
        var properties: MessageProperties
        var size: UInt64
        var body: [UInt8]
    }

    private enum State {
        case idle
        case header(Start)
        case body(Content, keep: Bool, missing: UInt64)
    }

    private let limit: UInt64
    private var state = State.idle

    /// Bodies above `limit` bytes are not kept.
    init(limit: Int) {
        self.limit = UInt64(max(0, limit))
    }

    /// Whether a message is under way.
    var isBusy: Bool {
        if case .idle = state { false } else { true }
    }

    /// A method that content follows.
    mutating func begin(_ start: Start) throws(AMQPError) {
        guard !isBusy else { throw Self.outOfOrder("a method inside a message") }
        state = .header(start)
    }

    /// The content header. Returns the message if its body is empty.
    mutating func header(size: UInt64, properties: MessageProperties) throws(AMQPError) -> Content? {
        guard case .header(let start) = state else { throw Self.outOfOrder("a content header without its method") }
        // The body of a message that came back is our own: not needed.
        let keep: Bool
        if case .returned = start { keep = false } else { keep = size <= limit }
        var content = Content(start: start, properties: properties, size: size, body: [])
        guard size > 0 else {
            state = .idle
            return content
        }
        if keep { content.body.reserveCapacity(Int(size)) }
        state = .body(content, keep: keep, missing: size)
        return nil
    }

    /// A piece of the body. Returns the message if it was the last.
    mutating func body(_ fragment: UnsafeRawBufferPointer) throws(AMQPError) -> Content? {
        guard case .body(var content, let keep, var missing) = state else {
            throw Self.outOfOrder("a body frame without its header")
        }
        guard UInt64(fragment.count) <= missing else { throw Self.outOfOrder("more body than its header announced") }
        // Before appending, so that the array is not copied.
        state = .idle
        missing -= UInt64(fragment.count)
        if keep { content.body.append(contentsOf: fragment) }
        guard missing > 0 else { return content }
        state = .body(content, keep: keep, missing: missing)
        return nil
    }

    /// The channel was closed: what was under way will not be finished.
    mutating func reset() {
        state = .idle
    }

    private static func outOfOrder(_ what: String) -> AMQPError {
        AMQPError(.connection, "the broker sent \(what)")
    }
}
