/// `updraft doctor PART`: looks at a part of the installation, and says what is wrong and how to mend it.
enum Doctor {
    /// The parts, each with its own `--help`.
    static let parts: [UpdraftCommand.Subcommand] = [
        .init(name: "heat", summary: "the stacks of the groups; can mend some of it", help: DoctorCommand.help) {
            await DoctorCommand.run($0)
        },
        .init(
            name: "telemetry", summary: "the way of statistics to Ceilometer and Gnocchi, and of alarms back",
            help: TelemetryDoctor.help
        ) {
            await TelemetryDoctor.run(Array($0.dropFirst()))
        },
    ]

    static var help: String {
        let width = parts.map(\.name.count).max() ?? 0
        let lines = parts.map { part in
            "  " + part.name + String(repeating: " ", count: width - part.name.count + 2) + part.summary
        }
        return
            "updraft doctor: look at a part of the installation, say what is wrong, mend it\n\nusage: updraft doctor PART …\n\n"
            + lines.joined(separator: "\n")
            + "\n\nExit code: 0 nothing is wrong, 1 something is, 2 wrong usage.\nupdraft doctor PART --help tells more."
    }

    /// Runs the part that the first of `arguments` names.
    static func run(_ arguments: [String]) async -> Int32 {
        guard let word = arguments.first, word != "--help", word != "-h" else {
            Terminal.line(help)
            return arguments.isEmpty ? 2 : 0
        }
        guard let part = parts.first(where: { $0.name == word }) else {
            Terminal.complaint("updraft doctor: '\(word)' is no part; updraft doctor --help lists them")
            return 2
        }
        return await part.run(arguments)
    }
}
