/// The flags that every service takes.
struct ServiceFlags: Equatable {
    /// What the program is to do.
    enum Action: Equatable {
        case run, help, version, checkConfiguration, checkHealth, reference
    }

    /// Why the flags cannot be used.
    struct Mistake: Error, Equatable {
        let text: String
    }

    var action = Action.run
    /// The configuration file.
    var file: String?
    /// `a.b=c`, in order.
    var overrides: [String] = []

    /// From the arguments without the program's name.
    init(_ arguments: some Sequence<String>) throws(Mistake) {
        var rest = Array(arguments)[...]
        while let argument = rest.popFirst() {
            var name = argument
            var attached: String?
            if argument.hasPrefix("--"), let equals = argument.firstIndex(of: "=") {
                name = String(argument[..<equals])
                attached = String(argument[argument.index(after: equals)...])
            }
            func value(_ rest: inout ArraySlice<String>) throws(Mistake) -> String {
                guard let value = attached ?? rest.popFirst(), !value.isEmpty else {
                    throw Mistake(text: "\(name) needs a value")
                }
                return value
            }
            switch name {
            case "--config", "-c": file = try value(&rest)
            case "--set": overrides.append(try value(&rest))
            case "--log-level": overrides.append("log.level=\(try value(&rest))")
            case "--node": overrides.append("collector.node=\(try value(&rest))")
            case "--help", "-h": action = .help
            case "--version": action = .version
            case "--check-config": action = .checkConfiguration
            case "--health-check": action = .checkHealth
            case "--reference": action = .reference
            default: throw Mistake(text: "unknown argument \"\(argument.prefix(100))\"")
            }
        }
    }

    static func help(program: String, about: String) -> String {
        let node =
            program == "updraft-collector"
            ? "\n  --node NAME           nothing but this node's statistics (collector.node)" : ""
        return """
            \(program): \(about)

            Usage: \(program) [--config FILE] [--set section.field=value]… [--log-level LEVEL]

              -c, --config FILE     the configuration, YAML; else UPDRAFT_CONFIG, else \(ServiceMain.usualFile) if it is there
              --set FIELD=VALUE     overrides a field: --set log.level=debug --set groups.workers.max=5
              --log-level LEVEL     debug, info, warning or error\(node)
              --check-config        checks the configuration, prints all mistakes, and ends
              --health-check        asks the running service's /readyz; exit code 0 if it is ready
              --reference           prints the configuration reference (Markdown)
              --version             prints the version
              -h, --help            prints this

            Environment: every field as UPDRAFT_SECTION_FIELD, e.g. UPDRAFT_BUS_TRANSPORT_URL. Flags win over the
            environment, the environment over the file.
            Signals: SIGTERM or SIGINT ends the service in order within shutdown_timeout (20s); a second one at once.
            Exit codes: 0 ended as asked, 1 failed, 2 wrong configuration or arguments.
            The log is JSON lines on standard error; health pages: /healthz, /readyz, /metrics at health.listen.

            """
    }
}
