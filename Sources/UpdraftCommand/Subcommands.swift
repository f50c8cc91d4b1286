import PracticeCloud

extension UpdraftCommand {
    /// All of them, in the order of `--help`.
    static let subcommands: [Subcommand] = [
        Subcommand(
            name: "explain", summary: "why a pod, node or group is treated as it is", help: ExplainCommand.usage.help
        ) {
            await ExplainCommand.run($0)
        },
        Subcommand(
            name: "status", summary: "groups, pods without a node, removals, last decisions",
            help: StatusCommand.usage.help
        ) {
            await StatusCommand.run($0)
        },
        Subcommand(
            name: "timeline", summary: "every step of a node's life, with its duration",
            help: TimelineCommand.usage.help
        ) {
            await TimelineCommand.run($0)
        },
        Subcommand(name: "cancel", summary: "take a node back that is under removal", help: CancelCommand.usage.help) {
            await CancelCommand.run($0)
        },
        Subcommand(
            name: "record", summary: "write what the Decider reads, for replays", help: RecordCommand.usage.help
        ) {
            await RecordCommand.run($0)
        },
        Subcommand(
            name: "demo", summary: "play the main job on the practice cloud, with a verdict", help: DemoOptions.help
        ) {
            await DemoCommand.run($0)
        },
        Subcommand(
            name: "doctor", summary: "look at the groups' stacks or at telemetry, say what is wrong, mend it",
            help: Doctor.help
        ) {
            await Doctor.run($0)
        },
        Subcommand(name: "bench", summary: "measure, and print a table", help: BenchCommand.help) {
            await BenchCommand.run($0)
        },
        Subcommand(
            name: "trust", summary: "let the Collector's user write to Gnocchi for yours, and take that back",
            help: TrustCommand.help
        ) {
            await TrustCommand.run($0)
        },
        Subcommand(
            name: "practice-cloud", summary: "run a Keystone, Heat, Nova and Kubernetes to rehearse with",
            help: PracticeCloudCommand.help
        ) {
            await PracticeCloudCommand.run(arguments: $0)
        },
        Subcommand(
            name: "signal-url", summary: "the address by which an alarm asks for a node more or less",
            help: SignalURLCommand.help
        ) {
            SignalURLCommand.run($0)
        },
        Subcommand(
            name: "rehearse", summary: "play stories with all four services' logic and every fault", help: Rehearse.help
        ) {
            await Rehearse.run($0)
        },
        Subcommand(
            name: "convert", summary: "PodScalers from HorizontalPodAutoscalers", help: ConvertCommand.help
        ) {
            ConvertCommand.run($0)
        },
        Subcommand(
            name: "simulate", summary: "replay a recording under changed rules; answer scenario files",
            help: Simulate.usage.help
        ) {
            await Simulate.run($0)
        },
    ]
}
