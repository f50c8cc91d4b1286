import AMQP
import Bus
import Glibc
import Messages
import ServiceRuntime
import Settings
import Support

/// How a command finds the suite: its configuration, and a broker that was tried.
struct SuiteLink: Sendable {
    /// The suite's configuration.
    let settings: Settings
    private let busSettings: BusSettings

    /// The cluster.
    var cluster: String { settings.cluster }
    /// Whether commands are signed.
    var signs: Bool { busSettings.keys != nil }
    /// What the bus needs to know.
    var forBus: BusSettings { busSettings }

    /// Flags of every command that talks to the suite.
    static let flags = [
        Usage.Flag(
            "--config", "FILE",
            "the suite's configuration (-c); else UPDRAFT_CONFIG, else \(ServiceMain.usualFile)\nif it is there"),
        Usage.Flag("--set", "FIELD=VALUE", "overrides a field of it; may be repeated"),
        Usage.Flag("--cluster", "NAME", "the cluster, where there is no configuration"),
        Usage.Flag(
            "--transport-url", "URL",
            "the broker; others can read it in the process list, so better a file,\nor the variable UPDRAFT_BUS_TRANSPORT_URL"
        ),
        Usage.Flag("--transport-url-file", "FILE", "a file that holds the broker's URL"),
    ]

    static let jsonFlag = Usage.Flag("--json", nil, "print JSON instead of text")

    static func timeoutFlag(_ usual: String) -> Usage.Flag {
        Usage.Flag("--timeout", "TIME", "give up after this, e.g. 30s (default \(usual))")
    }

    /// The configuration that the flags and the environment mean.
    static func settings(
        _ arguments: Usage.Arguments, environment: [String: String] = ServiceMain.environmentVariables()
    ) throws(CommandError) -> Settings {
        var overrides = arguments.values["--set"] ?? []
        if let cluster = arguments.value("--cluster") { overrides.append("cluster=\(cluster)") }
        var url = arguments.value("--transport-url")
        if let path = arguments.value("--transport-url-file") {
            guard let text = DemoFiles.read(path) else {
                throw CommandError("\(path) cannot be read: \(String(cString: strerror(errno)))", exitCode: 2)
            }
            url = String(text.prefix { !$0.isNewline })
        }
        if let url { overrides.append("bus.transport_url=\(url)") }
        var file = arguments.value("--config") ?? environment["UPDRAFT_CONFIG"]
        if file == nil, access(ServiceMain.usualFile, F_OK) == 0 { file = ServiceMain.usualFile }
        do throws(SettingsErrors) {
            return try Settings.load(file: file, environment: environment, flags: overrides, for: "command")
        } catch {
            let hint =
                file == nil
                ? "\n(no configuration file is given: --config FILE, or --cluster NAME and --transport-url-file FILE)"
                : ""
            throw CommandError("\(error)\(hint)", exitCode: 2)
        }
    }

    /// Reads the configuration and makes sure that the broker is there and lets us in.
    init(_ arguments: Usage.Arguments) async throws(CommandError) {
        try await self.init(try Self.settings(arguments))
    }

    init(_ settings: Settings) async throws(CommandError) {
        self.settings = settings
        // Each run has a name of its own, and so has its queue.
        let host = "\(Self.hostName())-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        do throws(SettingsErrors) {
            busSettings = try BusSettings(settings, service: "command", host: host)
        } catch {
            throw CommandError("\(error)", exitCode: 2)
        }
        var quick = busSettings.amqp
        quick.name = "updraft command"
        do throws(AMQPError) {
            try await Progress.during("connecting to \(Self.hosts(quick))") { () async throws(AMQPError) in
                try await OneShot.check(quick)
            }
        } catch {
            throw CommandError("the broker at \(Self.hosts(quick)) cannot be used: \(error.description)")
        }
    }

    private static func hosts(_ settings: AMQPSettings) -> String {
        settings.url.hosts.map { "\($0.host):\($0.port)" }.joined(separator: ", ")
    }

    static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 65)
        guard gethostname(&name, 64) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// How long to wait: `--timeout`, else `usual`.
    static func timeout(_ arguments: Usage.Arguments, _ usual: Interval) throws(CommandError) -> Interval {
        try interval(arguments, "--timeout", in: .milliseconds(100) ... .minutes(24 * 60)) ?? usual
    }

    /// The value of a flag that is a time.
    static func interval(
        _ arguments: Usage.Arguments, _ flag: String, in range: ClosedRange<Interval>
    ) throws(CommandError) -> Interval? {
        guard let text = arguments.value(flag) else { return nil }
        guard let interval = Units.interval(text), range.contains(interval) else {
            throw CommandError(
                "\(flag) \(text): a time like 30s, 10m or 2h, from \(range.lowerBound) to \(range.upperBound)",
                exitCode: 2)
        }
        return interval
    }
}
