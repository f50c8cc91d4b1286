import Bus
import CMemory
import Glibc
import HTTPServer
import Settings
import Support

/// The version of the suite.
public enum UpdraftVersion {
    /// Semantic version.
    public static let text = "0.1.0"
}

/// What the programs of the four services have in common: flags, configuration, log, health pages, signals, the end.
public enum ServiceMain {
    /// Read when neither flag nor environment names a file.
    public static let usualFile = "/etc/updraft/updraft.yaml"

    /// Runs a service as the whole of a program; never returns.
    ///
    /// `body` gets everything ready to use and returns when `context.shutdown` is requested and what was in hand is
    /// finished. If it takes longer than `shutdown_timeout` the program leaves anyway, with exit code 1. If it throws,
    /// the program fails.
    ///
    /// - Parameters:
    ///   - name: the short name: `decider`.
    ///   - about: one sentence for `--help`.
    ///   - arguments: without the program's name.
    public static func run(
        name: String, about: String, arguments: [String] = Array(CommandLine.arguments.dropFirst()),
        _ body: @escaping @Sendable (ServiceContext) async throws -> Void
    ) async -> Never {
        // Before there are threads. Memory that each arena keeps for itself was a fifth of a large Collector's; two are
        // enough for threads that mostly wait.
        updraft_limit_arenas(2)
        let program = "updraft-\(name)"
        let environment = environmentVariables()
        let flags: ServiceFlags
        do throws(ServiceFlags.Mistake) {
            flags = try ServiceFlags(arguments)
        } catch {
            leave(2, complaint: "\(program): \(error.text); --help lists what there is")
        }
        switch flags.action {
        case .help: leave(0, ServiceFlags.help(program: program, about: about))
        case .version: leave(0, "\(program) \(UpdraftVersion.text)\n")
        case .reference: leave(0, Settings.reference())
        case .run, .checkConfiguration, .checkHealth: break
        }
        let settings: Settings
        do throws(SettingsErrors) {
            settings = try Settings.load(
                file: flags.file ?? configurationFile(environment), environment: environment, flags: flags.overrides,
                for: name)
            _ = try BusSettings(settings, service: name, host: "")
        } catch {
            leave(2, complaint: error.description)
        }
        let listen =
            settings.health.listen
            ?? ListenAddress(host: "127.0.0.1", port: HealthServer.defaultPort(service: name))
        switch flags.action {
        case .checkConfiguration:
            leave(
                0, "the configuration is right\n",
                complaint: settings.warnings.map { "unless the Collector has it otherwise: \($0)" }.joined(
                    separator: "\n"))
        case .checkHealth:
            let answer = HealthCheck.ask(listen)
            leave(answer.ready ? 0 : 1, answer.text + "\n")
        default: await serve(name, settings, listen, body)
        }
    }

    private static func serve(
        _ name: String, _ settings: Settings, _ listen: ListenAddress,
        _ body: @escaping @Sendable (ServiceContext) async throws -> Void
    ) async -> Never {
        let host = hostName()
        let log = Logger(service: name, host: host, level: settings.log.level, secrets: settings.secrets)
        let shutdown = Shutdown()
        let metrics = Metrics()
        metrics.gauge("info", "The version, as a label.", .label("version", [UpdraftVersion.text]))
            .set(1, UpdraftVersion.text)
        let readiness = Readiness { condition, state in
            log.log(
                state.ok ? .info : .warning, state.ok ? "condition holds" : "condition does not hold",
                [.part: .string(condition), .reason: .string(state.reason)])
        }
        metrics.gauge(
            "ready", "Conditions of /readyz by kind: 1 all hold, 0 not.", .label("condition", atMost: 50)
        ) { readiness.byKind }
        let pulse = Pulse()
        let health: HealthServer
        do throws(HTTPServerError) {
            health = try HealthServer(listen: listen, readiness: readiness, metrics: metrics, pulse: pulse)
        } catch {
            log.error("the health pages cannot be served (health.listen)", [.error: .text(error)])
            exit(1)
        }
        let signals = Signals { name in
            log.info("asked to end", [.signal: .string(name)])
            // Counted from here, on a thread of its own: it must also work when no task gets to run.
            Deadline.after(settings.shutdownTimeout) {
                log.error(
                    "did not end in time and leaves anyway", [.seconds: .double(settings.shutdownTimeout.inSeconds)])
                _exit(1)
            }
            shutdown.request(name)
        }
        let context = ServiceContext(
            name: name, host: host, settings: settings, log: log, metrics: metrics, readiness: readiness,
            shutdown: shutdown, health: health)
        log.info(
            "started",
            [
                .version: .string(UpdraftVersion.text), .cluster: .string(settings.cluster),
                .address: .text(health.address),
            ])
        for warning in settings.warnings {
            log.warning(
                "a rule waits for what nobody hears, unless the Collector's own configuration says otherwise",
                [.error: .string(warning.description)])
        }
        let ticking = Task {
            while !Task.isCancelled {
                pulse.tick()
                try? await Task.sleep(for: .seconds(5))
            }
        }
        var code: Int32 = 0
        do {
            try await body(context)
            log.info("ended", [.reason: .string(shutdown.reason ?? "its work is done")])
        } catch {
            log.error("failed", [.error: .string(String(describing: error))])
            code = 1
        }
        ticking.cancel()
        health.stop()
        withExtendedLifetime(signals) {}
        exit(code)
    }

    /// The configuration file when no flag names one: `UPDRAFT_CONFIG`, else the usual one if it is there.
    public static func configurationFile(_ environment: [String: String]) -> String? {
        if let named = environment["UPDRAFT_CONFIG"], !named.isEmpty { return named }
        return access(usualFile, F_OK) == 0 ? usualFile : nil
    }

    private static func leave(_ code: Int32, _ text: String = "", complaint: String = "") -> Never {
        if !text.isEmpty { write(1, text) }
        if !complaint.isEmpty { write(2, complaint + "\n") }
        exit(code)
    }

    private static func write(_ descriptor: Int32, _ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// The environment of this process.
    public static func environmentVariables() -> [String: String] {
        var variables: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        return variables
    }

    /// This machine's name; `localhost` if it has none.
    public static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.isEmpty ? "localhost" : text
    }
}
