import Decider
import Messages
import ServiceRuntime
import Settings
import Support

/// `updraft simulate RECORDING --config CHANGED.yaml`: a recorded stream played under changed rules.
enum ReplayCommand {
    static let flags = [
        Usage.Flag("--config", "FILE", "replay a recording with the rules of this configuration of the suite"),
        Usage.Flag("--against", "FILE", "compare with these rules; without it, with what was recorded"),
        Usage.Flag("--set", "FIELD=VALUE", "overrides a field of --config; may be repeated"),
        Usage.Flag(
            "--provision-time", "TIME",
            "a new node is ready after this; without it as measured in the recording, else 90s"),
        Usage.Flag(
            "--removal-time", "TIME",
            "a removed node is gone after this; without it as measured, else notifier.cooldown and 60s"),
        Usage.Flag("--steps", "N", "rows of the course over time (default 20)"),
        Usage.Flag("--json", nil, "print everything as JSON"),
    ]

    static let about = """
        With --config, RECORDING is a file of updraft record. It is played to the engine under the recorded clock, once
        with each set of rules, and the difference is printed: nodes (node-hours, peak), evictions, waiting pods,
        decisions, over time. The same recording and rules give the same answer.
        What a replay cannot know is what the cluster would have done. It assumes: pods come and go as recorded,
        whatever is decided; the groups begin as recorded, each new node is like the group's newest and ready after the
        provision time, each removed one gone after the removal time; nodes that the recorded Decider added are left
        out, and those that it removed stay until the rules at hand remove them. A pod stays on the node on which it was
        recorded if that is there and has room; else it goes to the emptiest node that takes it; else it waits. Heat, quota
        races, refused evictions, answers of pods, slow images and other schedulers are not played; nor are pod scalers, and
        the outcome says so where there were any. Pods that the recorded cluster never had (an autoscaler of replicas would
        have made more) cannot appear.
        """

    /// Everything that is printed.
    struct Result: Sendable, Encodable {
        struct Side: Sendable, Encodable {
            var name: String
            var report: ReplayReport
        }

        var cluster: String
        var from: Timestamp
        var to: Timestamp
        var messages: Int
        var provisionSeconds: Double
        var provisionMeasured: Bool
        var removalSeconds: Double
        var removalMeasured: Bool
        /// How many pod scalers were recorded, whose rules are not played.
        var podScalersNotPlayed = 0
        var base: Side
        var changed: Side
    }

    static func run(_ read: Usage.Arguments) async throws(CommandError) -> Int32 {
        guard read.words.count == 1 else { throw CommandError("one recording is needed with --config", exitCode: 2) }
        guard let steps = Int(read.value("--steps") ?? "20"), (1...10_000).contains(steps) else {
            throw CommandError("--steps \(read.value("--steps") ?? ""): 1 to 10000", exitCode: 2)
        }
        let environment = ServiceMain.environmentVariables()
        let changed = try load(read.value("--config") ?? "", read.values["--set"] ?? [], environment)
        let base = try read.value("--against").map { file throws(CommandError) in
            (name: file, settings: try load(file, [], environment))
        }
        let result = try await replay(
            read.words[0], changed: (read.value("--config") ?? "", changed), base: base,
            provisionTime: try SuiteLink.interval(read, "--provision-time", in: .zero ... .minutes(24 * 60)),
            removalTime: try SuiteLink.interval(read, "--removal-time", in: .zero ... .minutes(24 * 60)))
        Terminal.line(
            read.switches.contains("--json") ? ReplayText.json(result) : ReplayText.text(result, steps: steps))
        return 0
    }

    private static func load(
        _ file: String, _ overrides: [String], _ environment: [String: String]
    ) throws(CommandError) -> Settings {
        do throws(SettingsErrors) {
            return try Settings.load(file: file, environment: environment, flags: overrides, for: "command")
        } catch {
            throw CommandError("\(error)", exitCode: 2)
        }
    }

    /// Plays `path` under the changed rules and, if given, the base rules.
    static func replay(
        _ path: String, changed: (name: String, settings: Settings), base: (name: String, settings: Settings)?,
        provisionTime: Interval? = nil, removalTime: Interval? = nil
    ) async throws(CommandError) -> Result {
        let rules = DeciderConfiguration(changed.settings)
        for side in [changed, base].compactMap({ $0 }) where side.settings.cluster != rules.cluster {
            throw CommandError(
                "\(changed.name) is for cluster \(rules.cluster), \(side.name) for \(side.settings.cluster)",
                exitCode: 2)
        }
        // How long things took is known only at the end, so the file is read twice.
        var history = RecordedHistory(groups: Set(rules.groups.map(\.id)))
        var messages = 0
        try await RecordingFile.read(path) { (head) throws(CommandError) in
            guard head.cluster == rules.cluster else {
                throw CommandError(
                    "\(path) was recorded of cluster \(head.cluster), \(changed.name) is for \(rules.cluster) "
                        + "(--set cluster=\(head.cluster) replays it under its rules)", exitCode: 2)
            }
        } _: { (entry) throws(CommandError) in
            history.take(entry)
            messages += 1
        }
        guard history.hasSnapshot else { throw CommandError("\(path) holds no whole snapshot of the cluster") }
        var model = Replay.Model()
        model.window = changed.settings.decider.batchWindow
        model.provisionTime = provisionTime ?? history.provisionTime ?? model.provisionTime
        model.removalTime = removalTime ?? history.removalTime ?? (changed.settings.notifier.cooldown + .seconds(60))
        var sides = [Replay(rules, model)]
        if let base { sides.append(Replay(DeciderConfiguration(base.settings), model)) }
        let teller = ReplayProgress(total: messages)
        try await RecordingFile.read(path) { (_) throws(CommandError) in
        } _: { (entry) throws(CommandError) in
            for index in sides.indices { sides[index].take(entry) }
            teller.step()
        }
        let recorded = history.end()
        let reports = sides.indices.map { sides[$0].end() }
        return Result(
            cluster: rules.cluster, from: recorded.from, to: recorded.to, messages: messages,
            provisionSeconds: model.provisionTime.inSeconds,
            provisionMeasured: provisionTime == nil && history.provisionTime != nil,
            removalSeconds: model.removalTime.inSeconds,
            removalMeasured: removalTime == nil && history.removalTime != nil,
            podScalersNotPlayed: history.podScalers.count,
            base: base.map { .init(name: $0.name, report: reports[1]) } ?? .init(name: "as recorded", report: recorded),
            changed: .init(name: changed.name, report: reports[0]))
    }
}

/// Says how far a replay has come, on standard error, when it takes longer than two seconds.
final class ReplayProgress: Sendable {
    private struct State {
        var done = 0
        var toldAt: ContinuousClock.Instant
    }

    private let total: Int
    private let state = Lock(State(toldAt: .now))

    init(total: Int) {
        self.total = total
    }

    func step() {
        let done: Int? = state.withLock { state in
            state.done += 1
            guard ContinuousClock.now - state.toldAt > .seconds(2) else { return nil }
            state.toldAt = .now
            return state.done
        }
        if let done { Terminal.complaint("… \(done) of \(total) messages") }
    }
}
