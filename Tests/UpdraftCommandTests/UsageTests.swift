import Decider
import Messages
import Support
import Testing

@testable import UpdraftCommand

@Suite("Arguments of commands")
struct UsageTests {
    private let usage = Usage(
        name: "try", words: "NAME", count: 1...1, about: "Tries.",
        flags: [Usage.Flag("--config", "FILE", "a file"), Usage.Flag("--json", nil, "as JSON")], exitCodes: "0 tried.")

    @Test("Flags may stand anywhere, with their value behind them or joined to them")
    func flags() throws {
        let read = try usage.parse(["--config=a.yaml", "thing", "-c", "b.yaml", "--json"])
        #expect(read.words == ["thing"])
        #expect(read.values["--config"] == ["a.yaml", "b.yaml"])
        #expect(read.value("--config") == "b.yaml")
        #expect(read.switches == ["--json"])
    }

    @Test(
        "Mistakes are named",
        arguments: [
            (["--nothing", "x"], "--nothing"), (["x", "--config"], "--config needs a value"),
            (["x", "--json=1"], "takes no value"), ([], "usage"), (["x", "y"], "usage"),
        ])
    func mistakes(arguments: [String], expected: String) throws {
        let mistake = #expect(throws: Usage.Mistake.self) { try usage.parse(arguments) }
        #expect(mistake?.text.contains(expected) ?? false, "\(mistake?.text ?? "")")
    }

    @Test("Every flag is in the help")
    func help() {
        for flag in usage.flags { #expect(usage.help.contains(flag.name)) }
    }

    @Test("Without a configuration file, cluster and broker are enough; the file's mistakes are exit code 2")
    func settings() throws {
        let read = Usage.Arguments(values: [
            "--cluster": ["prod"], "--transport-url": ["rabbit://u:p@somewhere:5672/v"],
        ])
        let settings = try SuiteLink.settings(read, environment: [:])
        #expect(settings.cluster == "prod")
        #expect(settings.bus.transportURL.revealed == "rabbit://u:p@somewhere:5672/v")
        let error = #expect(throws: CommandError.self) {
            try SuiteLink.settings(Usage.Arguments(values: ["--config": ["/nowhere/updraft.yaml"]]), environment: [:])
        }
        #expect(error?.exitCode == 2)
        #expect(error?.text.contains("/nowhere/updraft.yaml") ?? false)
    }
}

@Suite("Answers in parts")
struct AnswerAssemblyTests {
    private func part(_ part: Int, of parts: Int, number: Int64 = 1, id: String = "q") -> Evaluation {
        var evaluation = Evaluation(
            cluster: "c", number: number, at: Timestamp(seconds: 1), summary: "", isComplete: part == 0,
            nodes: [.init(node: "n\(part)", outcome: Explanation(.nodeUnneeded))],
            answers: [.init(id: id, isKnown: part == 0)])
        (evaluation.part, evaluation.parts) = (part, parts)
        return evaluation
    }

    @Test("The answer is there with its last part; records for others are passed over")
    func whole() throws {
        var assembly = AnswerAssembly(id: "q")
        let others = [assembly.take(part(0, of: 2, id: "other")), assembly.take(part(0, of: 2))]
        #expect(others.allSatisfy { $0 == nil })
        let last = assembly.take(part(1, of: 2))
        let (view, answer) = try #require(last)
        #expect(answer.isKnown)
        #expect(view.nodes.keys.sorted() == ["n0", "n1"])
    }

    @Test("Parts of two answers are not mixed, and a lost part is waited for in the next answer")
    func mixed() {
        var assembly = AnswerAssembly(id: "q")
        let early = [
            part(0, of: 3), part(2, of: 3), part(0, of: 2, number: 2), part(1, of: 2, number: 1),
        ].map { assembly.take($0) }
        #expect(early.allSatisfy { $0 == nil })
        let last = assembly.take(part(1, of: 2, number: 2))
        #expect(last != nil)
    }
}
