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
            name: "record", summary: "write what the Decider reads, for rehearsals", help: RecordCommand.usage.help
        ) {
            await RecordCommand.run($0)
        },
        Subcommand(
            name: "demo", summary: "play the main job on the practice cloud, with a verdict", help: DemoOptions.help
        ) {
            await DemoCommand.run($0)
        },
        Subcommand(
            name: "doctor", summary: "look at the Heat stacks of the groups, say what is wrong, mend it",
            help: DoctorCommand.help
        ) {
            await DoctorCommand.run($0)
        },
        Subcommand(name: "bench", summary: "measure, and print a table", help: BenchCommand.help) {
            await BenchCommand.run($0)
        },
        Subcommand(
            name: "practice-cloud", summary: "run a Keystone, Heat, Nova and Kubernetes to rehearse with",
            help: PracticeCloudCommand.help
        ) {
            await PracticeCloudCommand.run(arguments: $0)
        },
        Subcommand(
            name: "simulate", summary: "rehearse changed rules on a recording; answer scenario files",
            help: Simulate.usage.help
        ) {
            await Simulate.run($0)
        },
    ]
}
