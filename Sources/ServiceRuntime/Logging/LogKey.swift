/// The fields of a log entry. One list for all services, so that a question to the logs is asked once; where a field is
/// also in a message's envelope or payload it has the same name.
public enum LogKey: String, Sendable, CaseIterable {
    // Every entry
    case time, level, service, host, message
    // What a message on the bus was
    case eventType = "event_type"
    case cluster, topic
    // What it is about
    case group, node, pod, namespace, server, cloud
    case decision, removal, phase, alarm
    // What happened
    case reason, error, outcome, status, code
    case from, to, deadline
    case attempt, count, total, bytes
    case seconds
    case retryIn = "retry_in"
    // Where
    case address, queue, broker, connection, part, signal, version, resource
    case path, hook, answer, dryRun = "dry_run", details
}

/// A value in a log entry.
public enum LogValue: Sendable, Equatable {
    case string(String)
    case int(Int)
    case double(Double)
    case bool(Bool)
    case strings([String])

    /// The text of anything that can describe itself.
    public static func text(_ value: some CustomStringConvertible) -> LogValue {
        .string(value.description)
    }
}

extension LogValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A whole number.
    public init(integerLiteral value: Int) { self = .int(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// A bool.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A list of texts.
    public init(arrayLiteral elements: String...) { self = .strings(elements) }
}
