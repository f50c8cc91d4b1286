import FoundationEssentials
import Messages
import Support

/// The form of a recording: lines of JSON.
///
/// The first line is a head (`{"recording": 1, "cluster": …, "startedAt": …}`). Every other line is a message as it was on
/// the bus (the inner object of an oslo notification) with the time of its arrival as one more field, `arrived`.
public enum Recording {
    /// The first line.
    public struct Head: Sendable, Equatable, Codable {
        /// The version of the form.
        public var recording: Int
        /// The cluster.
        public var cluster: String
        /// When it began.
        public var startedAt: Timestamp
        /// Who wrote it.
        public var writer: String

        /// A head of this release's form.
        public init(cluster: String, startedAt: Timestamp, writer: String) {
            recording = Recording.version
            self.cluster = cluster
            self.startedAt = startedAt
            self.writer = writer
        }
    }

    /// A message with the time of its arrival.
    public struct Entry: Sendable, Equatable {
        /// When it arrived.
        public var at: Timestamp
        /// What it said.
        public var event: Event

        /// From its parts.
        public init(at: Timestamp, event: Event) {
            self.at = at
            self.event = event
        }
    }

    /// The version that this release writes, and the highest that it reads.
    public static let version = 1
    /// The longest line that is read: above the largest message that the bus takes.
    public static let maximumLineBytes = 256 << 20

    private struct Arrival: Decodable {
        var arrived: Timestamp
    }

    /// The head's line, without a line break.
    public static func line(_ head: Head) throws(DeciderError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(head), as: UTF8.self)
        } catch {
            throw DeciderError(.invalidInput, "the head cannot be written: \(error)")
        }
    }

    /// A message's line, without a line break.
    public static func line(_ entry: Entry, _ envelope: Envelope) throws(DeciderError) -> String {
        do throws(MessageError) {
            let text = try text(entry.event.payload, envelope, entry.at)
            return "{\"arrived\":\"\(entry.at)\",\(text.dropFirst())"
        } catch {
            throw DeciderError(.invalidInput, "a message cannot be written: \(error.description)")
        }
    }

    private static func text(
        _ payload: some Payload, _ envelope: Envelope, _ arrived: Timestamp
    ) throws(MessageError) -> String {
        try MessageCoder.encode(
            payload, messageID: envelope.messageID, publisherID: envelope.publisherID,
            priority: Priority(rawValue: envelope.priority.lowercased()) ?? .info, timestamp: envelope.time ?? arrived,
            maximumBytes: maximumLineBytes
        ).text
    }

    /// Reads the first line.
    public static func head(_ line: [UInt8]) throws(DeciderError) -> Head {
        let head: Head
        do {
            head = try JSONDecoder().decode(Head.self, from: Data(line))
        } catch {
            throw DeciderError(.invalidInput, "line 1: no head of a recording")
        }
        guard (1...version).contains(head.recording) else {
            throw DeciderError(
                .invalidInput, "line 1: form \(head.recording), this release reads up to \(version)")
        }
        return head
    }

    /// Reads any other line. `number` is for the error.
    public static func entry(_ line: [UInt8], number: Int) throws(DeciderError) -> Entry {
        do {
            let arrival = try JSONDecoder().decode(Arrival.self, from: Data(line))
            let received = try MessageCoder.open(line, maximumBytes: maximumLineBytes)
            return Entry(at: arrival.arrived, event: try Event(received))
        } catch let error as MessageError {
            throw DeciderError(.invalidInput, "line \(number): \(error.description)")
        } catch {
            throw DeciderError(.invalidInput, "line \(number): no message with the time of its arrival")
        }
    }
}
