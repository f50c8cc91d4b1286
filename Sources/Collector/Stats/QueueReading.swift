import JSONReader
import Support

/// What RabbitMQ's management API says of one queue (`GET /api/queues/VHOST/NAME`), by the last part of the stat's name. What is
/// not said is left out: a queue that was just made has no numbers for a while, and one that nothing has passed has no counts.
/// The API's own rates are not used: they are zero until it has gathered enough, and zero is not unknown.
struct QueueReading: Sendable, Equatable {
    /// `…_total`: counted since the broker keeps statistics of the queue.
    var numbers: [String: Double] = [:]

    private static let counts = [("publish", "published"), ("deliver_get", "delivered"), ("ack", "acknowledged")]
    private static let amounts = [
        ("messages", "messages"), ("messages_ready", "ready"), ("messages_unacknowledged", "unacknowledged"),
        ("consumers", "consumers"),
    ]

    /// Decodes an answer.
    init(_ body: [UInt8]) throws(JSONError) {
        let object = try JSONValue.parse(body)
        func take(_ value: JSONValue?, _ name: String) {
            if let number = value?.doubleValue, number.isFinite, number >= 0 { numbers[name] = number }
        }
        for (field, name) in Self.amounts { take(object[field], name) }
        for (field, name) in Self.counts { take(object[path: "message_stats", field], "\(name)_total") }
    }

    /// The last parts of all stats that a queue may have.
    static let stats = amounts.map(\.1) + counts.map(\.1)

    /// The name of the stat that a number becomes: a count becomes a rate.
    static func stat(_ number: String) -> Substring {
        number.hasSuffix("_total") ? number.dropLast("_total".count) : number[...]
    }
}
