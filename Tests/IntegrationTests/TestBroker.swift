import AMQP
import Bus
import FoundationEssentials
import Glibc
import Support
import TestServer
import Testing

/// The broker that the tests talk to: a private node, given by `UPDRAFT_TEST_TRANSPORT_URL` (its URL) and, for tests that do
/// things to it, `UPDRAFT_TEST_BROKER_DIR` (the folder given to `scripts/broker start`).
enum TestBroker {
    static let transportURL = environment("UPDRAFT_TEST_TRANSPORT_URL")
    static let directory = environment("UPDRAFT_TEST_BROKER_DIR")

    /// The condition of every suite here.
    static var isGiven: Bool { transportURL != nil }
    /// What a skipped suite says.
    static let missing: Comment =
        "SKIPPED: UPDRAFT_TEST_TRANSPORT_URL is not set; scripts/broker start DIR prints a URL for it"

    static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    static func settings(_ text: String? = transportURL) throws -> AMQPSettings {
        AMQPSettings(
            url: try TransportURL(try #require(text)), heartbeat: .seconds(4),
            backoff: Backoff(first: .milliseconds(50), cap: .milliseconds(500)),
            absenceBackoff: Backoff(first: .milliseconds(50), cap: .milliseconds(500)), name: "updraft tests")
    }

    static func bus(
        cluster: String, service: String, keys: SigningKeys? = nil, standing: [Subscription] = [],
        observer: BusObserver = .init(), change: (inout BusSettings) -> Void = { _ in }
    ) throws -> Bus {
        var settings = BusSettings(
            amqp: try settings(), cluster: cluster, service: service, host: "test-host", keys: keys)
        change(&settings)
        return try Bus(settings, standing: standing, observer: observer)
    }

    /// Takes a queue away, with whatever it holds.
    static func delete(queue: String) async throws {
        let directory = try #require(directory, "UPDRAFT_TEST_BROKER_DIR is not set")
        let result = try await Command.run(["\(repository)/scripts/broker", "ctl", directory, "delete_queue", queue])
        guard result.status == 0 else { throw Failure("\(queue) was not deleted: \(result.output)") }
    }

    /// A name nobody else uses.
    static func unique(_ prefix: String) -> String {
        "\(prefix)-\(UInt32.random(in: 0 ... .max))"
    }

    /// The repository's folder.
    static var repository: String {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/")
    }
}

/// A broker of one test's own, for what would disturb others.
final class OwnBroker: Sendable {
    let directory: String
    let url: String
    let settings: AMQPSettings

    /// Starts it, with more lines for `rabbitmq.conf`.
    init(configuration: String = "", files: [String: [UInt8]] = [:]) async throws {
        directory = "\(environmentTemporary())/\(TestBroker.unique("updraft-broker"))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for (name, bytes) in files {
            try Data(bytes).write(to: URL(filePath: "\(directory)/\(name)"))
        }
        let path = "\(directory)/more.conf"
        try Data(configuration.utf8).write(to: URL(filePath: path))
        let result = try await Command.run(
            ["\(TestBroker.repository)/scripts/broker", "start", directory],
            environment: ["UPDRAFT_RABBITMQ_CONFIG": path])
        guard result.status == 0, let url = result.output.split(separator: "\n").last else {
            throw Failure("the broker did not start: \(result.output)")
        }
        self.url = String(url)
        settings = try TestBroker.settings(self.url)
    }

    @discardableResult
    func run(_ command: String, _ arguments: String...) async throws -> String {
        let result = try await Command.run(["\(TestBroker.repository)/scripts/broker", command, directory] + arguments)
        guard result.status == 0 else { throw Failure("\(command) \(arguments): \(result.output)") }
        return result.output
    }

    /// Stops the broker's process where it stands: its connections stay open, and nobody answers.
    func freeze() throws { try signal(SIGSTOP) }

    /// Lets it go on.
    func thaw() throws { try signal(SIGCONT) }

    private func signal(_ number: Int32) throws {
        let path = "\(directory)/node.pid"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        guard let process = pid_t(text.prefix { $0.isNumber }), process > 1, kill(process, number) == 0 else {
            throw Failure("no process to signal: \(path) says \(text)")
        }
    }

    /// Stops it and removes its folder.
    func end() async throws {
        try await run("kill")
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Starts a broker, runs `body`, and ends the broker whatever happens.
    static func with(
        configuration: String = "", files: [String: [UInt8]] = [:], _ body: (OwnBroker) async throws -> Void
    ) async throws {
        let broker = try await OwnBroker(configuration: configuration, files: files)
        do {
            try await body(broker)
        } catch {
            try await broker.end()
            throw error
        }
        try await broker.end()
    }
}

func environmentTemporary() -> String {
    TestBroker.environment("TMPDIR") ?? "/tmp"
}

/// A failure with a text.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs other programs.
enum Command {
    struct Result: Sendable {
        let status: Int32
        let output: String
    }

    /// Runs `command` to its end, off the cooperative pool; output and errors together.
    static func run(_ command: [String], environment: [String: String] = [:]) async throws -> Result {
        let output = "\(environmentTemporary())/\(TestBroker.unique("updraft-output"))"
        let process = try spawn(command, environment: environment, output: output)
        let status = await wait(process)
        let text = (try? Data(contentsOf: URL(filePath: output))).map { String(decoding: $0, as: UTF8.self) } ?? ""
        unlink(output)
        return Result(status: status, output: text)
    }

    /// Starts `command`, its output going to a file.
    static func spawn(_ command: [String], environment: [String: String] = [:], output: String) throws -> pid_t {
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        return try Spawn.start(command, environment: variables, output: output, appends: false)
    }

    /// The exit status, once it has ended.
    static func wait(_ process: pid_t) async -> Int32 {
        while true {
            var status: Int32 = 0
            let ended = waitpid(process, &status, WNOHANG)
            if ended == process { return (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f) }
            if ended < 0 { return -1 }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// Things that happened, in order, from any thread.
final class Log<Element: Sendable>: Sendable {
    private let elements = Lock<[Element]>([])

    func add(_ element: Element) { elements.withLock { $0.append(element) } }
    var all: [Element] { elements.withLock { $0 } }
    var count: Int { elements.withLock { $0.count } }
}

/// Waits until `condition` holds; records an issue and throws if it does not within a generous bound.
func eventually(
    _ what: String, within seconds: Double = 120, sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    Issue.record("not within \(seconds) s: \(what)", sourceLocation: sourceLocation)
    throw Failure("not within \(seconds) s: \(what)")
}

extension Consumer {
    /// The next `count` deliveries, each acknowledged.
    func take(_ count: Int) async -> [Delivery] {
        var taken: [Delivery] = []
        for await delivery in deliveries {
            delivery.ack()
            taken.append(delivery)
            if taken.count == count { break }
        }
        return taken
    }
}

extension Delivery {
    var text: String { String(decoding: body, as: UTF8.self) }
}

/// The code of the error that `body` throws; nil if it throws none.
func failure(_ body: () async throws -> Void) async -> AMQPError? {
    do {
        try await body()
        return nil
    } catch let error as AMQPError {
        return error
    } catch {
        Issue.record("not an AMQPError: \(error)")
        return nil
    }
}
