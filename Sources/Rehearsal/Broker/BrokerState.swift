import Messages
import Support

/// What the model of RabbitMQ holds.
struct BrokerState {
    var queues: [MessageQueue] = []
    /// The checkpoint queue of the Decider, of length one.
    var checkpoint: [UInt8]?
    /// Who waits for a turn to act, by service; the first has it.
    var lines: [String: [Process]] = [:]
    /// Decisions as they were published, for whoever copies messages.
    var decisions: [Event] = []
}

/// A queue with one active consumer; the next one in line takes over when it goes.
final class MessageQueue {
    struct Message {
        var event: Event
        var at: Timestamp
        /// Its number: the same again when it is delivered again.
        var number: Int
    }

    /// What the handler of a message says when it is done with it.
    enum Settlement: Equatable {
        case done
        case requeue
        /// Again after a lap in the wait queue.
        case retryLater(Interval)
    }

    struct Consumer {
        unowned var process: Process
        var handler: (Event, @escaping (Settlement) -> Void) -> Void
    }

    let name: String
    let topics: Set<Topic>
    /// Nil: nothing is dropped.
    let maximumLength: Int?
    let ttl: Interval?
    var messages: [Message] = []
    var consumers: [Consumer] = []
    /// Handed out and not settled, on the connection of this number.
    var inHand: (message: Message, connection: Int)?
    /// Processes whose handler is still busy: it takes the next message only when it is done with the last.
    var busy: [String: Int] = [:]
    var isPlanned = false

    init(_ name: String, _ topics: Set<Topic>, maximumLength: Int? = nil, ttl: Interval? = nil) {
        self.name = name
        self.topics = topics
        self.maximumLength = maximumLength
        self.ttl = ttl
    }
}
