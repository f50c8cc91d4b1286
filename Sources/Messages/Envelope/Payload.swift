import FoundationEssentials
import Support

/// The payload of one of Updraft's own event types.
///
/// On the wire a payload also holds `schema`, the version of its form. A reader refuses a schema above its own
/// and ignores fields that it does not know.
public protocol Payload: Sendable, Equatable, Codable {
    /// What the message says, in the past tense where it is an event.
    static var eventType: EventType { get }
    /// The version of the form that this release writes, and the highest that it reads.
    static var schema: Int { get }
    /// The cluster that it is about.
    var cluster: String { get }
    /// What `Codable` cannot check: ranges, cross-field rules. Called after decoding and before encoding.
    func validate() throws(MessageError)
}

extension Payload {
    /// Schema 1 unless a type says otherwise.
    public static var schema: Int { 1 }
    /// Nothing to check beyond the types.
    public func validate() throws(MessageError) {}
}

/// Checks that payloads share.
enum Check {
    /// Refuses an empty identifier, or one of more than 1,024 bytes.
    static func identifier(_ value: String, _ path: String) throws(MessageError) {
        guard !value.isEmpty, value.utf8.count <= 1_024 else {
            throw MessageError(.invalidField, path: "payload.\(path)", what: "1 to 1024 bytes are needed")
        }
    }

    /// Refuses a number outside `range`.
    static func range<Value: Comparable>(_ value: Value, _ range: ClosedRange<Value>, _ path: String)
        throws(MessageError)
    {
        guard range.contains(value) else {
            throw MessageError(
                .invalidField, path: "payload.\(path)",
                what: "\(value) is outside \(range.lowerBound)…\(range.upperBound)")
        }
    }
}
