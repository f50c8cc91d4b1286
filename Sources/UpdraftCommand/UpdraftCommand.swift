import Glibc
import ServiceRuntime
import Support

/// The user's command: one subcommand a word, each with its own `--help`.
public enum UpdraftCommand {
    /// A subcommand.
    struct Subcommand: Sendable {
        var name: String
        var summary: String
        /// The text of its `--help`.
        var help: String?
        var run: @Sendable ([String]) async -> Int32
    }

    /// Runs `arguments` (without the program's name) and returns the exit code: 0 done, 1 failed, 2 wrong usage.
    public static func run(_ arguments: [String]) async -> Int32 {
        guard let word = arguments.first, word != "--help", word != "-h", word != "help" else {
            Terminal.line(help)
            return arguments.isEmpty ? 2 : 0
        }
        guard word != "--version" else {
            Terminal.line("updraft \(UpdraftVersion.text)")
            return 0
        }
        guard let subcommand = subcommands.first(where: { $0.name == word }) else {
            Terminal.complaint("updraft: '\(word)' is no command; updraft --help lists them")
            return 2
        }
        return await subcommand.run(Array(arguments.dropFirst()))
    }

    static var help: String {
        let width = subcommands.map(\.name.count).max() ?? 0
        let lines = subcommands.map { subcommand in
            "  " + subcommand.name + String(repeating: " ", count: width - subcommand.name.count + 2)
                + subcommand.summary
        }
        return "updraft: autoscaling for Kubernetes on OpenStack Heat\n\nusage: updraft COMMAND [ARGUMENTS]\n\n"
            + lines.joined(separator: "\n")
            + "\n\nupdraft COMMAND --help tells more; updraft --version prints the version."
    }
}
