import Decider
import Messages
import Support

/// `updraft explain`: why a pod did or did not trigger, why a node stays or goes, what bound a group.
enum ExplainCommand {
    static let usage = Usage(
        name: "explain", words: "pod NAMESPACE/NAME | node NAME | group NAME | podscaler NAMESPACE/NAME", count: 2...2,
        about: """
            Asks the active Decider over the bus, and prints what it concluded in an evaluation made for the purpose:
              pod    why it did or did not trigger a scale-up, and for each group the first constraint that failed,
                     with the values
              node   why it stays or goes, since when it is unneeded, how much of it is requested
              group  its size, the size wanted, and each limit that bound, with its value and where it was set
              podscaler
                     replicas that are and are wanted, each threshold with its value, and what held the change back
            Pods of one shape share what is said of them.
            """,
        flags: SuiteLink.flags + [SuiteLink.timeoutFlag("10s"), SuiteLink.jsonFlag],
        exitCodes: "0 explained; 1 not known, nobody answered, or no broker; 2 wrong usage or configuration.")

    static func run(_ arguments: [String]) async -> Int32 {
        await usage.run(arguments) { (read) async throws(CommandError) in
            guard let kind = EvaluationRequested.Subject.Kind(rawValue: read.words[0]), kind != .cluster else {
                throw CommandError(
                    "'\(read.words[0].prefix(100))' is neither pod, node, group nor podscaler", exitCode: 2)
            }
            let timeout = try SuiteLink.timeout(read, .seconds(10))
            let link = try await SuiteLink(read)
            let (view, answer) = try await Question.ask(
                link, EvaluationRequested.Subject(kind, read.words[1]), within: timeout)
            guard let explained = Explained(answer, view) else { throw CommandError("the answer says nothing") }
            Terminal.line(
                read.switches.contains("--json") ? String(decoding: explained.json, as: UTF8.self) : explained.text)
            return explained.isKnown ? 0 : 1
        }
    }
}
