import Messages
import Support

/// The story while it is played: feeds `Story`, prints its milestones, does the demo's own acts.
actor DemoStory {
    private let options: DemoOptions
    private let suite: DemoSuite
    private let control: PracticeControl
    private var story: Story
    private var facts = Verdict.Facts()
    private var lastSummary = ""
    private var countdown = Countdown()
    private var killing: [String: Task<Void, Never>] = [:]
    private var complaint: String?

    init(options: DemoOptions, suite: DemoSuite, control: PracticeControl) {
        self.options = options
        self.suite = suite
        self.control = control
        story = Story(startedAt: Timestamp.now(), podsWanted: DemoWorkloads.podsWanted)
    }

    /// Something came over the bus.
    func received(_ event: Event) {
        switch event {
        case .evaluation(let evaluation) where !evaluation.summary.isEmpty && evaluation.summary != lastSummary:
            lastSummary = evaluation.summary
            remark("Decider: \(evaluation.summary)")
        case .scaleRefused(let refused):
            remark("Actuator refused: \(refused.scale.reason.reason.rawValue) \(refused.scale.reason.detail)")
        case .scaleFailed(let failed):
            remark("Heat failed: \(failed.scale.reason.reason.rawValue) \(failed.scale.reason.detail)")
        case .removalFailed(let failed):
            remark("removal failed: \(failed.removal.reason.reason.rawValue) \(failed.removal.reason.detail)")
        default: break
        }
        countdown.received(event)
        passed(story.received(event, at: Timestamp.now()))
    }

    /// Plays until the story is over and everything has settled, then judges.
    func run() async throws -> Verdict {
        let deadline = Timestamp.now() + options.limit
        while let waiting = story.waitingFor {
            guard Timestamp.now() < deadline else {
                throw DemoRun.Failure(description: "gave up after \(options.limit), waiting for: \(waiting.title)")
            }
            if let state = await control.state() {
                passed(
                    story.observed(.pods(pending: state.unschedulable, running: state.running), at: Timestamp.now()))
                if story.waitingFor == .loadGone { try await removeLoad(state) }
            }
            if countdown.isDue(at: Timestamp.now()) {
                let answered = Set(await control.journal("pod.answered").map(\.uid)).count
                if let line = countdown.line(answered: answered, at: Timestamp.now()) { remark(line) }
            }
            if let ended = await suite.endedByItself().first {
                throw DemoRun.Failure(description: "\(ended.name) ended by itself; the last lines of its log are below")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        for task in killing.values { await task.value }
        if let complaint { throw DemoRun.Failure(description: complaint) }
        try await settle(until: deadline)
        timeline()
        return try await judge()
    }

    private func removeLoad(_ before: PracticeControl.State) async throws {
        facts.serversBefore = Set(before.members.keys)
        facts.oldest = before.members.min { ($0.value, $0.key) < ($1.value, $1.key) }?.key
        try await control.scale("batch", to: 0)
        try await control.scale("web", to: 1)
        passed(story.observed(.loadRemoved("batch 2 → 0, web 5 → 1"), at: Timestamp.now()))
    }

    /// The last removal may be complete for one node while Heat still tidies up, or a killed service come back.
    private func settle(until deadline: Timestamp) async throws {
        while Timestamp.now() < deadline {
            if let state = await control.state(), !state.isBusy, state.cordoned.isEmpty,
                Set(state.members.keys) == Set(state.nodes.values), await suite.notReady().isEmpty
            {
                return
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func passed(_ milestones: [Story.Milestone]) {
        for milestone in milestones {
            let since = milestone.at - story.startedAt
            Terminal.line("\(Self.column("\(since)", 7))  \(milestone.step.title): \(milestone.detail)")
            let victims = options.kills.filter { $0.step == milestone.step }.map(\.service).sorted()
            for victim in victims { kill(victim) }
        }
    }

    /// Kills of one service wait for each other.
    private func kill(_ service: String) {
        let before = killing[service]
        killing[service] = Task { [suite] in
            await before?.value
            do {
                try await suite.kill(service) { await self.remark($0) }
            } catch {
                complaint = complaint ?? "\(error)"
            }
        }
    }

    private func remark(_ text: String) {
        Terminal.line("         · \(text)")
    }

    private func timeline() {
        Terminal.line("\ntimeline")
        var last = story.startedAt
        for milestone in story.milestones {
            let step = milestone.at - last
            last = milestone.at
            Terminal.line(
                "  \(Self.column("\(milestone.at - story.startedAt)", 7)) \(Self.column("+\(step)", 8))  \(milestone.step.title)"
            )
        }
    }

    private func judge() async throws -> Verdict {
        guard let state = await control.state() else {
            throw DemoRun.Failure(description: "the practice cloud no longer answers")
        }
        facts.serversAfter = Set(state.members.keys)
        facts.nodesAfter = Set(state.nodes.values)
        facts.desired = state.desired
        facts.chosen = Set(story.chosen.values)
        facts.leftCordoned = state.cordoned
        for entry in await control.journal("pod.told") where facts.told[entry.uid] == nil {
            facts.told[entry.uid] = entry.time
        }
        facts.ended = await control.journal("pod.evicted").map {
            Verdict.PodEnd(pod: $0.pod, uid: $0.uid, endedAt: $0.time)
        }
        return Verdict(facts, also: await control.verdict())
    }

    private static func column(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
