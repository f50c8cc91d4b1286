import Messages
import ServiceRuntime
import Settings

/// `updraft signal-url GROUP up|down`: prints the address that an alarm calls to get a graceful scale-in (or a node
/// more).
enum SignalURLCommand {
    static let help = """
        usage: updraft signal-url GROUP up|down [--step N] [--config FILE] [--set a.b=c]…
               updraft signal-url --alarms [--config FILE] [--set a.b=c]…

        Prints the address by which an alarm asks for N nodes (default 1) more or fewer, to be given to Aodh as alarm
        action instead of the URL of a Heat policy. The Collector must listen (collector.signals.listen). The address
        holds a token: whoever has it may use it. It changes with the first of bus.keys (or the transport URL).

          --alarms         prints the address that takes the states of alarms, for decider.rules: of Alertmanager (webhook,
                           send_resolved: true) and of Aodh (as alarm, ok and insufficient data action)
          --step N         1 to 100
          --config FILE    the configuration of the suite; else UPDRAFT_CONFIG or /etc/updraft/updraft.yaml
          --set a.b=c      overrides a field

        Exit code: 0; 1 if there is no such group or nobody would take the signal; 2 for wrong usage or configuration.
        """

    static func run(
        _ arguments: [String], environment: [String: String] = ServiceMain.environmentVariables()
    ) -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            Terminal.line(help)
            return 0
        }
        var words: [String] = []
        var overrides: [String] = []
        var file: String?
        var step = 1
        var alarms = false
        var rest = arguments[...]
        while let word = rest.popFirst() {
            switch word {
            case "--config", "-c", "--set", "--step":
                guard let value = rest.popFirst() else { return wrong("\(word) needs a value") }
                if word == "--config" || word == "-c" { file = value }
                if word == "--set" { overrides.append(value) }
                if word == "--step" {
                    guard let number = Int(value), (1...ScaleRequested.maximumStep).contains(number) else {
                        return wrong("--step: 1 to \(ScaleRequested.maximumStep)")
                    }
                    step = number
                }
            case "--alarms": alarms = true
            case let word where word.hasPrefix("-"): return wrong("\(word) is no option")
            default: words.append(word)
            }
        }
        let direction = words.count == 2 ? ScaleRequested.Direction(rawValue: words[1]) : nil
        guard alarms ? words.isEmpty : direction != nil else {
            return wrong(
                alarms ? "--alarms goes with no group" : "a group and a direction, up or down, are needed")
        }
        do throws(SettingsErrors) {
            let settings = try Settings.load(
                file: file ?? ServiceMain.configurationFile(environment), environment: environment, flags: overrides,
                for: "collector", isStandIn: true)
            Terminal.warnings(of: settings, "updraft signal-url")
            guard settings.collector.signals.listen != nil else {
                Terminal.complaint(
                    "updraft signal-url: collector.signals.listen is not set: nobody would take the signal")
                return 1
            }
            guard let direction else {
                Terminal.line(base(settings) + SignalURL(settings).alarmsPath)
                return 0
            }
            guard settings.groups.contains(where: { $0.id == words[0] }) else {
                let known = settings.groups.map(\.id).joined(separator: ", ")
                Terminal.complaint("updraft signal-url: no group \(words[0]); there are \(known)")
                return 1
            }
            Terminal.line(url(settings, group: words[0], direction, step: step))
            return 0
        } catch {
            Terminal.complaint(error.description)
            return 2
        }
    }

    static func url(
        _ settings: Settings, group: String, _ direction: ScaleRequested.Direction, step: Int
    ) -> String {
        base(settings) + SignalURL(settings).path(group: group, direction, step: step)
    }

    private static func base(_ settings: Settings) -> String {
        settings.collector.signals.baseURL ?? "http://COLLECTOR"
    }

    private static func wrong(_ what: String) -> Int32 {
        Terminal.complaint("updraft signal-url: \(what); --help tells more")
        return 2
    }
}
