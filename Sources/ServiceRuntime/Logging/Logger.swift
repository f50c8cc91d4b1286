import Glibc
import Settings
import Support

/// Writes the log: a JSON object a line to standard error, each by one `write(2)`, so that lines of several threads do
/// not mix and none is lost when the process is killed.
public struct Logger: Sendable {
    private final class Output: Sendable {
        let level: Settings.Log.Level
        let redaction: Redaction
        let write: @Sendable ([UInt8]) -> Void
        let clock: @Sendable () -> Timestamp

        init(
            level: Settings.Log.Level, redaction: Redaction, clock: @escaping @Sendable () -> Timestamp,
            write: @escaping @Sendable ([UInt8]) -> Void
        ) {
            self.level = level
            self.redaction = redaction
            self.clock = clock
            self.write = write
        }
    }

    private let output: Output
    private let fixed: [(LogKey, LogValue)]

    /// A log of its own.
    ///
    /// - Parameters:
    ///   - service: the short name, in every entry.
    ///   - level: entries below it are left out.
    ///   - secrets: values that are replaced by `***` wherever they appear; passwords in URLs always are.
    ///   - clock: the time of an entry.
    ///   - write: takes a finished line; standard error unless a test wants it.
    public init(
        service: String, host: String = "", level: Settings.Log.Level = .info, secrets: [String] = [],
        clock: @escaping @Sendable () -> Timestamp = { .now() },
        write: @escaping @Sendable ([UInt8]) -> Void = Logger.standardError
    ) {
        output = Output(level: level, redaction: Redaction(secrets: secrets), clock: clock, write: write)
        fixed = [(.service, .string(service))] + (host.isEmpty ? [] : [(.host, .string(host))])
    }

    /// Writes an entry.
    public func log(
        _ level: Settings.Log.Level, _ message: String, _ fields: KeyValuePairs<LogKey, LogValue> = [:]
    ) {
        guard level >= output.level else { return }
        var line = LogLine()
        line.add(.time, .string(output.clock().rfc3339))
        line.add(.level, .string(level.rawValue))
        for (key, value) in fixed { line.add(key, value) }
        line.add(.message, output.redaction.apply(.string(message)))
        for (key, value) in fields { line.add(key, output.redaction.apply(value)) }
        output.write(line.finish())
    }

    /// For finding faults.
    public func debug(_ message: String, _ fields: KeyValuePairs<LogKey, LogValue> = [:]) {
        log(.debug, message, fields)
    }

    /// What a reader of the log wants to know of normal work.
    public func info(_ message: String, _ fields: KeyValuePairs<LogKey, LogValue> = [:]) {
        log(.info, message, fields)
    }

    /// Something went wrong and is being dealt with.
    public func warning(_ message: String, _ fields: KeyValuePairs<LogKey, LogValue> = [:]) {
        log(.warning, message, fields)
    }

    /// Something went wrong and somebody should look.
    public func error(_ message: String, _ fields: KeyValuePairs<LogKey, LogValue> = [:]) {
        log(.error, message, fields)
    }

    /// One `write(2)` to standard error. A short write goes on with the rest; an error is swallowed, for there is nowhere
    /// to tell of it.
    public static let standardError: @Sendable ([UInt8]) -> Void = { line in
        var rest = line[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
