import PracticeCloud

extension UpdraftCommand {
    /// All of them, in the order of `--help`.
    static let subcommands: [Subcommand] = [
        Subcommand(name: "demo", summary: "play the main job on the practice cloud, with a verdict") {
            await DemoCommand.run($0)
        },
        Subcommand(name: "doctor", summary: "look at the groups' stacks or at telemetry, say what is wrong, mend it") {
            await Doctor.run($0)
        },
        Subcommand(name: "bench", summary: "measure, and print a table") { await BenchCommand.run($0) },
        Subcommand(name: "trust", summary: "let the Collector's user write to Gnocchi for yours, and take that back") {
            await TrustCommand.run($0)
        },
        Subcommand(name: "practice-cloud", summary: "run a Keystone, Heat, Nova and Kubernetes to rehearse with") {
            await PracticeCloudCommand.run(arguments: $0)
        },
        Subcommand(name: "signal-url", summary: "the address by which an alarm asks for a node more or less") {
            SignalURLCommand.run($0)
        },
        Subcommand(name: "rehearse", summary: "play stories with all four services' logic and every fault") {
            await Rehearse.run($0)
        },
        Subcommand(name: "simulate", summary: "what the decision engine answers to scenario files") {
            await Simulate.run($0)
        },
    ]
}
