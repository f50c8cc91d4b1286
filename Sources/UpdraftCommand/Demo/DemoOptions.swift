import Support

/// What `updraft demo` was asked for.
struct DemoOptions: Sendable {
    /// A kill to be done by the demo: SIGKILL to a service as soon as a step is reached. Alone, it is started again at
    /// once; of several replicas the one that acts is killed, and started again when another has taken over.
    struct Kill: Sendable, Hashable {
        var service: String
        var step: StoryStep
    }

    /// Folder for state and logs.
    var state = ""
    /// The broker.
    var transportURL = ""
    /// The file that it was read from, if it was.
    var transportURLFile: String?
    /// Leave everything running at the end.
    var keep = false
    /// How many of each service.
    var replicas = 1
    /// Services to kill on the way.
    var kills: Set<Kill> = []
    /// The story must be over within this, not counting the start of the processes.
    var limit = Interval.seconds(110)

    static let services = ["collector", "decider", "actuator", "notifier"]

    static let help = """
        updraft demo: the practice cloud and the four services play a story, with a verdict

        usage: updraft demo --state DIR (--transport-url URL | --transport-url-file FILE) [--keep] [--replicas N]
                            [--kill SERVICE@STEP]… [--limit SECONDS]

          --state DIR                folder for state, configuration and logs
          --transport-url URL        the RabbitMQ to use; --transport-url-file FILE reads it from a file
          --keep                     leave everything running afterwards, until Ctrl-C
          --replicas N               run N of each service, 1 to 5 (default 1)
          --kill SERVICE@STEP        SIGKILL a service when a step is reached, then start it again; may be repeated.
                                     With replicas: the one that acts, which stays dead until another has taken over.
                                     SERVICE: \(services.joined(separator: ", ")) or every
                                     STEP: \(StoryStep.allCases.map { "\($0)" }.joined(separator: ", ")) or every
          --limit SECONDS            give up after this (default 110)

        Usually called by scripts/demo, which brings the RabbitMQ. Exit code: 0 if every invariant held.
        """

    /// Nil with a complaint when `arguments` are wrong; `--help` is for the caller. `absolute` makes whole paths: what the demo
    /// writes names its files, and a relative name would be taken from the folder of the file that holds it.
    static func parse(
        _ arguments: [String], absolute: (String) -> String = DemoFiles.absolute, readFile: (String) -> String?
    ) -> (DemoOptions?, complaint: String) {
        var options = DemoOptions()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--keep" {
                options.keep = true
                continue
            }
            guard let value = rest.popFirst() else { return (nil, "\(argument) needs a value, or is not known") }
            switch argument {
            case "--state": options.state = absolute(value)
            case "--transport-url": options.transportURL = value
            case "--transport-url-file":
                guard let text = readFile(value) else { return (nil, "\(value) cannot be read") }
                options.transportURL = String(text.prefix { !$0.isNewline })
                options.transportURLFile = absolute(value)
            case "--kill":
                guard let kills = kills(value) else { return (nil, "--kill \(value): SERVICE@STEP is needed") }
                options.kills.formUnion(kills)
            case "--replicas":
                guard let count = Int(value), (1...5).contains(count) else {
                    return (nil, "--replicas \(value): 1 to 5")
                }
                options.replicas = count
            case "--limit":
                guard let seconds = Double(value), seconds > 0, seconds <= 3_600 else {
                    return (nil, "--limit \(value): 1 to 3600 seconds")
                }
                options.limit = .seconds(seconds)
            default: return (nil, "\(argument) is not known")
            }
        }
        guard !options.state.isEmpty else { return (nil, "--state is needed") }
        guard !options.transportURL.isEmpty else { return (nil, "--transport-url or --transport-url-file is needed") }
        return (options, "")
    }

    private static func kills(_ text: String) -> Set<Kill>? {
        let words = text.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 2 else { return nil }
        let chosen = words[0] == "every" ? services : services.filter { $0 == words[0] }
        let steps = StoryStep.allCases.filter { words[1] == "every" || "\($0)" == words[1] }
        guard !chosen.isEmpty, !steps.isEmpty else { return nil }
        return Set(chosen.flatMap { service in steps.map { Kill(service: service, step: $0) } })
    }
}
