import Rehearsal
import Support

/// `updraft rehearse`: the four services' logic together, with everything that may fail, from one seed each.
enum Rehearse {
    static let help = """
        usage: updraft rehearse [--seed N] [--runs K] [--tasks T] [--verbose]

        Plays stories with the logic of all four services and models of Heat, Kubernetes and RabbitMQ under a simulated
        clock. Each seed is a story of its own: load that comes and goes, calls that fail, messages that are lost or come
        twice, processes that die. Whatever happens, pods are told before they go, only chosen machines go, and in the end
        all comes to rest (docs/rehearsal.md). Nothing outside is touched.

          --seed N     the first seed, from 0; 1 if not given
          --runs K     so many seeds, one after the other; 1 if not given
          --tasks T    so many at once; 2 if not given
          --verbose    print the story of each seed, also of one that goes well

        A seed that fails prints its story and is played again in the same way with: updraft rehearse --seed N --verbose

        Exit code: 0 if every seed went well, 1 if not, 2 for wrong usage.
        """

    struct Options {
        var seed: UInt64 = 1
        var runs = 1
        var tasks = 2
        var isVerbose = false
    }

    static func run(_ arguments: [String]) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            Terminal.line(help)
            return 0
        }
        guard let options = parse(arguments) else {
            Terminal.complaint(help)
            return 2
        }
        let started = Timestamp.now()
        let last = options.seed + UInt64(options.runs)
        var next = options.seed
        var total = Totals()
        await withTaskGroup(of: Rehearsal.Outcome.self) { group in
            func add() {
                guard next < last, total.failed.count < 5 else { return }
                let seed = next
                next += 1
                group.addTask { play(seed, keepsStory: options.isVerbose) }
            }
            for _ in 0..<options.tasks { add() }
            for await outcome in group {
                total.take(outcome)
                if options.isVerbose { for line in outcome.story { Terminal.line(line) } }
                if let violation = outcome.violation { report(outcome, violation, options) }
                add()
            }
        }
        Terminal.line(total.text(Timestamp.now() - started))
        return total.failed.isEmpty ? 0 : 1
    }

    private static func play(_ seed: UInt64, keepsStory: Bool) -> Rehearsal.Outcome {
        var rehearsal = Rehearsal(seed: seed)
        rehearsal.options.keepsStory = keepsStory
        return rehearsal.run()
    }

    /// The story of a seed that failed: it is played once more, with a story.
    private static func report(_ outcome: Rehearsal.Outcome, _ violation: Violation, _ options: Options) {
        Terminal.line(
            "seed \(outcome.seed) (\(outcome.kind.rawValue)) FAILED after \(violation.at): \(violation.invariant.rawValue): \(violation.detail)"
        )
        guard !options.isVerbose else { return }
        let again = play(outcome.seed, keepsStory: true)
        for line in again.story { Terminal.line(line) }
        if again.violation != violation {
            Terminal.line("and played once more it went another way: \(again.violation.map { $0.detail } ?? "well")")
        }
    }

    private static func parse(_ arguments: [String]) -> Options? {
        var options = Options()
        var rest = arguments[...]
        while let word = rest.popFirst() {
            switch word {
            case "--verbose": options.isVerbose = true
            case "--seed":
                guard let text = rest.popFirst(), let seed = UInt64(text), seed < UInt64.max >> 1 else { return nil }
                options.seed = seed
            case "--runs":
                guard let text = rest.popFirst(), let runs = Int(text), (1...100_000_000).contains(runs) else {
                    return nil
                }
                options.runs = runs
            case "--tasks":
                guard let text = rest.popFirst(), let tasks = Int(text), (1...1_000).contains(tasks) else { return nil }
                options.tasks = tasks
            default: return nil
            }
        }
        return options
    }

    /// What all runs came to.
    private struct Totals {
        var runs = 0
        var failed: [UInt64] = []
        var simulated = Interval.zero
        var steps = 0
        var faults = 0
        var evictions = 0

        mutating func take(_ outcome: Rehearsal.Outcome) {
            runs += 1
            if outcome.violation != nil { failed.append(outcome.seed) }
            simulated = simulated + outcome.simulated
            steps += outcome.steps
            faults += outcome.faults
            evictions += outcome.evictions
        }

        func text(_ took: Interval) -> String {
            let hours = Int(simulated.inSeconds / 3_600)
            let verdict = failed.isEmpty ? "all well" : "\(failed.count) FAILED: \(failed.sorted())"
            return "\(runs) seeds in \(took), \(hours) simulated hours, \(steps) steps, \(faults) faults, "
                + "\(evictions) evictions: \(verdict)"
        }
    }
}
