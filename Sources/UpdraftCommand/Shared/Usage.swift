/// What a command takes: its help is written from this, and its arguments are read by it.
struct Usage: Sendable {
    /// A flag; without `value` it is a switch.
    struct Flag: Sendable, Equatable {
        var name: String
        var value: String?
        var about: String

        init(_ name: String, _ value: String? = nil, _ about: String) {
            self.name = name
            self.value = value
            self.about = about
        }
    }

    /// Why the arguments cannot be used.
    struct Mistake: Error, Equatable {
        let text: String
    }

    /// Arguments that were read.
    struct Arguments: Sendable, Equatable {
        /// What is no flag, in order.
        var words: [String] = []
        /// Values by flag, in order.
        var values: [String: [String]] = [:]
        /// Switches that were given.
        var switches: Set<String> = []

        /// The last value of a flag.
        func value(_ flag: String) -> String? { values[flag]?.last }
    }

    /// The command's name.
    var name: String
    /// The words after it, as the help shows them.
    var words: String
    /// How many words there must be.
    var count: ClosedRange<Int>
    /// What it does.
    var about: String
    /// Its flags.
    var flags: [Flag]
    /// What its exit codes mean.
    var exitCodes: String

    /// The text of `--help`.
    var help: String {
        let shown = flags.map { flag in flag.value.map { "\(flag.name) \($0)" } ?? flag.name }
        let width = (shown.map(\.count).max() ?? 0) + 2
        let lines = zip(flags, shown).map { flag, text in
            let lines = flag.about.split(separator: "\n")
            let head = "  \(text)\(String(repeating: " ", count: width - text.count))\(lines.first ?? "")"
            let pad = String(repeating: " ", count: width + 2)
            return ([head] + lines.dropFirst().map { pad + $0 }).joined(separator: "\n")
        }
        return """
            usage: updraft \(name)\(words.isEmpty ? "" : " \(words)") [FLAGS]

            \(about)

            \(lines.joined(separator: "\n"))

            Exit code: \(exitCodes)
            """
    }

    /// Reads `arguments`; a flag's value may follow it or be joined by `=`.
    func parse(_ arguments: [String]) throws(Mistake) -> Arguments {
        var read = Arguments()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-"), argument.count > 1 else {
                read.words.append(argument)
                continue
            }
            var name = argument == "-c" ? "--config" : argument
            var attached: String?
            if argument.hasPrefix("--"), let equals = argument.firstIndex(of: "=") {
                name = String(argument[..<equals])
                attached = String(argument[argument.index(after: equals)...])
            }
            guard let flag = flags.first(where: { $0.name == name }) else {
                throw Mistake(
                    text: "\(argument.prefix(100)) is not known; updraft \(self.name) --help lists what there is")
            }
            guard flag.value != nil else {
                guard attached == nil else { throw Mistake(text: "\(name) takes no value") }
                read.switches.insert(name)
                continue
            }
            guard let value = attached ?? rest.popFirst(), !value.isEmpty else {
                throw Mistake(text: "\(name) needs a value")
            }
            read.values[name, default: []].append(value)
        }
        guard count.contains(read.words.count) else {
            throw Mistake(text: "usage: updraft \(name) \(words); updraft \(name) --help tells more")
        }
        return read
    }

    /// Runs `body` with the arguments read; `--help` and mistakes are dealt with, and a failure is printed.
    func run(
        _ arguments: [String], _ body: (Arguments) async throws(CommandError) -> Int32
    ) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            Terminal.line(help)
            return 0
        }
        let read: Arguments
        do throws(Mistake) {
            read = try parse(arguments)
        } catch {
            Terminal.complaint("updraft \(name): \(error.text)")
            return 2
        }
        do throws(CommandError) {
            return try await body(read)
        } catch {
            Terminal.complaint("updraft \(name): \(error.text)")
            return error.exitCode
        }
    }
}

/// Why a command failed.
struct CommandError: Error, Equatable {
    /// For a person.
    var text: String
    /// 1 failed, 2 wrong usage or configuration.
    var exitCode: Int32 = 1
    /// Whether the same command may succeed later.
    var isRetriable: Bool { exitCode == 1 }

    init(_ text: String, exitCode: Int32 = 1) {
        self.text = text
        self.exitCode = exitCode
    }
}
