import Messages
import Support
import Testing

@testable import Decider

@Suite("Rules on alarms and measured load")
struct RuleTests {
    /// Three nodes of 4 cores, a pod of 1 core on the first two; the load alone would keep every node.
    static func stage(
        _ rules: ScalingRule..., min: Int = 1, max: Int = 6, used: Int64 = 1_000,
        configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "workers", min: min, max: max)]) {
            $0.scaleDown.utilizationThreshold = 0.01
            $0.rules = rules
            configure(&$0)
        }
        let shape = Stage.shape(cpu: used)
        let pods = stage.pods("a", 1, shape, on: "n1") + stage.pods("b", 1, shape, on: "n2")
        stage.snapshot(nodes: ["n1", "n2", "n3"].map { Stage.node($0) }, pods: pods)
        stage.group("workers", ["n1", "n2", "n3"], min: min, max: max)
        stage.evaluate(after: .seconds(1))
        return stage
    }

    static func rule(
        _ direction: ScalingRule.Direction, when condition: ScalingRule.Condition = .alarm(ScalingRule.Alarm("a1")),
        name: String = "busy", _ change: (inout ScalingRule) -> Void = { _ in }
    ) -> ScalingRule {
        var rule = ScalingRule(name, group: "workers", direction, when: condition)
        change(&rule)
        return rule
    }

    static func alarm(
        _ stage: Stage, _ state: String, id: String = "a1", name: String? = nil, why: String = "1 sample outside",
        at: Timestamp? = nil
    ) -> Event {
        .cloudAlarm(
            CloudAlarm(cluster: "test", alarmID: id, name: name, state: state, why: why, at: at ?? stage.now))
    }

    /// The same utilization of every node.
    static func load(_ stage: Stage, _ values: [String: Double], stale: Bool = false, at: Timestamp? = nil) -> Event {
        .nodeStats(
            NodeStats(
                cluster: "test",
                samples: values.sorted { $0.key < $1.key }.map {
                    NodeStats.Sample(node: $0.key, at: at ?? stage.now, cpuUtilization: $0.value, stale: stale)
                }))
    }

    static let even = ["n1": 0.9, "n2": 0.9, "n3": 0.9]

    /// What was said last of a rule; a record holds it only when it is news.
    private func entry(_ stage: Stage, _ rule: String = "busy") -> Evaluation.RuleEntry? {
        stage.core.engine.ledger.rules[rule]
    }

    // MARK: Alarms

    @Test("an alarm fires: a node more, and the ledger says which rule and why")
    func alarmUp() {
        var stage = Self.stage(Self.rule(.up) { $0.step = .nodes(2) })
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 5])
        #expect(stage.scaled.first?.reason.reason == .ruleFired)
        #expect(stage.scaled.first?.reason.detail == "rule busy: alarm a1 is in state alarm: 1 sample outside")
        let signal = stage.record?.signals?.first
        #expect(
            signal?.who == "rule busy" && signal?.change == 2 && signal?.decided == 2, "\(String(describing: signal))")
        #expect(entry(stage)?.outcome.reason == .ruleFired && entry(stage)?.since != nil)
        #expect(stage.record?.rules?.map(\.rule) == ["busy"])
    }

    @Test("back to ok: a rule on that state lets the cheapest node go, by a removal with notice")
    func okDown() {
        var stage = Self.stage(
            Self.rule(.down, when: .alarm(ScalingRule.Alarm("a1", state: .ok))) { $0.repeats = false })
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.isEmpty && stage.record?.signals == nil)
        stage.receive(Self.alarm(stage, "ok"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n3"])
        #expect(stage.removed.first?.nodes.first?.reason.reason == .ruleFired)
    }

    @Test("an alarm never removes a node whose pods fit nowhere else, and never goes below the minimum")
    func guards() {
        var full = Self.stage(Self.rule(.down) { $0.step = .nodes(3) }, used: 3_000)
        full.receive(Self.alarm(full, "alarm"))
        full.evaluate(after: .seconds(1))
        #expect(full.removed.flatMap(\.nodes).map(\.node) == ["n3"])
        #expect(full.record?.signals?.first?.outcome.reason == .noPlaceToMovePods)
        var least = Self.stage(Self.rule(.down), min: 3)
        least.receive(Self.alarm(least, "alarm"))
        least.evaluate(after: .seconds(1))
        #expect(least.removed.isEmpty && least.record?.signals?.first?.outcome.reason == .minimumReached)
        var most = Self.stage(Self.rule(.up) { $0.step = .nodes(50) }, max: 4)
        most.receive(Self.alarm(most, "alarm"))
        most.evaluate(after: .seconds(1))
        #expect(most.sizes == ["workers": 4])
        #expect(most.record?.signals?.first?.outcome.reason == .maximumReached)
    }

    @Test("no node goes while an alarm fires: not by itself, not by a signal; a dead one does")
    func hold() {
        var stage = Self.stage(Self.rule(.hold, name: "calm")) {
            $0.scaleDown.utilizationThreshold = 0.5
            $0.scaleDown.unneededTime = .seconds(10)
            $0.scaleDown.unreadyTime = .seconds(10)
        }
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(20))
        stage.receive(SignalTests.request(stage, .down))
        stage.evaluate(after: .seconds(20))
        #expect(stage.removed.isEmpty)
        let last = stage.core.engine.ledger.nodes.values.first { $0.name == "n3" }?.outcome.reason
        #expect(last == .ruleHolds, "\(String(describing: last))")
        // The request has waited in vain; its record says for what.
        stage.evaluate(after: .seconds(121))
        let signal = stage.record?.signals?.first
        #expect(signal?.outcome.reason == .decisionExpired && signal?.outcome.detail.contains("RuleHolds") == true)
        stage.delta(nodes: [Stage.node("n3", readiness: .notReady)])
        stage.evaluate(after: .seconds(20))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n3"], "\(stage.record?.summary ?? "")")
    }

    @Test("when the alarm is over, nodes go again")
    func holdEnds() {
        var stage = Self.stage(Self.rule(.hold, name: "calm")) {
            $0.scaleDown.utilizationThreshold = 0.5
            $0.scaleDown.unneededTime = .seconds(10)
        }
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(20))
        stage.evaluate(after: .seconds(20))
        #expect(stage.removed.isEmpty)
        stage.receive(Self.alarm(stage, "ok"))
        stage.evaluate(after: .seconds(11))
        #expect(!stage.removed.isEmpty)
    }

    @Test("a transition that was missed and is found by looking acts once; said again and again it does nothing more")
    func foundByLooking() {
        var stage = Self.stage(
            Self.rule(.up) {
                $0.repeats = false
                $0.cooldown = .seconds(1)
            })
        let heard = stage.now
        stage.receive(Self.alarm(stage, "ok", at: heard))
        stage.evaluate(after: .minutes(10))
        // It fired five minutes ago, and nobody heard it.
        let fired = stage.now - .minutes(5)
        var scaled = 0
        for _ in 0..<3 {
            stage.receive(Self.alarm(stage, "alarm", name: "group cpu", at: fired))
            stage.evaluate(after: .seconds(120))
            scaled += stage.scaled.count
        }
        #expect(scaled == 1)
        #expect(entry(stage)?.since == fired)
        // Nor does an older word, which the broker had kept.
        stage.receive(Self.alarm(stage, "ok", at: heard + .seconds(1)))
        stage.evaluate(after: .seconds(1))
        #expect(entry(stage)?.since == fired)
    }

    @Test("a rule names an alarm by its name, the bus does not: once the name is known each transition counts at once")
    func byName() {
        var stage = Self.stage(Self.rule(.up, when: .alarm(ScalingRule.Alarm("group cpu"))) { $0.repeats = false })
        stage.receive(Self.alarm(stage, "ok"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.signals?.first?.outcome.reason == .alarmUnknown)
        stage.receive(Self.alarm(stage, "ok", name: "group cpu"))
        stage.evaluate(after: .seconds(1))
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.count == 1)
    }

    @Test("an alarm that no rule is for, a state that does not exist: on the ledger by name, and nothing happens")
    func unknown() {
        var stage = Self.stage(Self.rule(.up))
        stage.receive(Self.alarm(stage, "alarm", id: "other", name: "somebody's"))
        stage.receive(Self.alarm(stage, "melting"))
        stage.evaluate(after: .seconds(1))
        let told = stage.record?.signals ?? []
        #expect(told.map(\.outcome.reason) == [.alarmUnknown, .alarmUnknown])
        #expect(told.first?.who == "alarm somebody's (other)")
        #expect(told.last?.outcome.detail.contains("melting") == true)
        #expect(stage.decisions.isEmpty)
    }

    @Test(
        "a flood of alarms that no rule is for: twenty are named, one entry says how many more there were",
        arguments: [1, 20, 980])
    func flood(more: Int) {
        var stage = Self.stage(Self.rule(.up))
        for number in 0..<20 + more { stage.receive(Self.alarm(stage, "alarm", id: "x\(number)")) }
        stage.evaluate(after: .seconds(1))
        let told = stage.record?.signals ?? []
        #expect(told.count == 21)
        #expect(told.allSatisfy { $0.outcome.reason == .alarmUnknown })
        #expect(told.dropLast().map(\.id) == (0..<20).map { "x\($0)" })
        #expect(told.last?.who == (more == 1 ? "and 1 more alarm" : "and \(more) more alarms"))
        #expect(told.last?.id == "\(more)")
        // The next evaluation begins anew.
        stage.receive(Self.alarm(stage, "alarm", id: "late"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.signals?.map(\.id) == ["late"])
    }

    @Test("late and repeated words of an alarm change nothing")
    func order() {
        var stage = Self.stage(Self.rule(.up))
        stage.receive(Self.alarm(stage, "ok"))
        stage.receive(Self.alarm(stage, "alarm", at: stage.now - .seconds(10)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty)
        stage.receive(Self.alarm(stage, "alarm"))
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
    }

    @Test("a word that was said before the newest one is late, also if the newest one only repeated the state")
    func lateAfterRepeat() {
        var stage = Self.stage(Self.rule(.hold))
        let start = stage.now
        stage.receive(Self.alarm(stage, "alarm", at: start))
        stage.evaluate(after: .seconds(20))
        stage.receive(Self.alarm(stage, "alarm", at: start + .seconds(20)))
        stage.receive(Self.alarm(stage, "ok", at: start + .seconds(10)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.removalHolds[0]?.reason == .ruleHolds)
        #expect(stage.core.engine.memory.alarms?["a1"]?.at == start, "since when it fires is not the last word's time")
        stage.receive(Self.alarm(stage, "ok"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.removalHolds.isEmpty)
    }

    @Test("an alertname stands for all alerts of that name: one that fires is enough, ok is when all are")
    func alertname() {
        let isOK = Self.rule(.down, when: .alarm(ScalingRule.Alarm("HighLoad", state: .ok)), name: "over")
        var stage = Self.stage(Self.rule(.hold, when: .alarm(ScalingRule.Alarm("HighLoad"))), isOK)
        stage.receive(Self.alarm(stage, "alarm", id: "f1", name: "HighLoad"))
        stage.receive(Self.alarm(stage, "alarm", id: "f2", name: "HighLoad"))
        stage.evaluate(after: .seconds(1))
        stage.receive(Self.alarm(stage, "ok", id: "f1", name: "HighLoad"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.removalHolds[0]?.reason == .ruleHolds && stage.removed.isEmpty)
        stage.receive(Self.alarm(stage, "ok", id: "f2", name: "HighLoad"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.removalHolds.isEmpty && stage.removed.count == 1)
    }

    @Test(
        "alerts of one name that take turns are one condition without a break: it counts from the first, and asks once")
    func takingTurns() {
        var stage = Self.stage(
            Self.rule(.up, when: .alarm(ScalingRule.Alarm("HighLoad"))) {
                $0.duration = .minutes(10)
                $0.repeats = false
                $0.cooldown = .seconds(1)
            })
        let start = stage.now
        stage.receive(Self.alarm(stage, "alarm", id: "f1", name: "HighLoad"))
        stage.evaluate(after: .minutes(5))
        stage.receive(Self.alarm(stage, "alarm", id: "f2", name: "HighLoad"))
        stage.evaluate(after: .minutes(1))
        stage.receive(Self.alarm(stage, "ok", id: "f1", name: "HighLoad"))
        stage.evaluate(after: .minutes(5))
        #expect(stage.scaled.count == 1, "eleven minutes have passed")
        #expect(entry(stage)?.since == start)
        stage.receive(Self.alarm(stage, "alarm", id: "f1", name: "HighLoad"))
        stage.receive(Self.alarm(stage, "ok", id: "f2", name: "HighLoad"))
        stage.evaluate(after: .minutes(20))
        #expect(stage.scaled.isEmpty && entry(stage)?.since == start)
        // All are over, if only for a moment: it begins anew.
        stage.receive(Self.alarm(stage, "ok", id: "f1", name: "HighLoad"))
        stage.receive(Self.alarm(stage, "alarm", id: "f1", name: "HighLoad", at: stage.now + .seconds(1)))
        stage.evaluate(after: .minutes(5))
        #expect(entry(stage)?.outcome.reason == .ruleNotLongEnough)
    }

    @Test("an alarm that is not heard of any more counts as unknown where the rule says so")
    func forgotten() {
        var stage = Self.stage(
            Self.rule(.hold, when: .alarm(ScalingRule.Alarm("a1", maximumAge: .minutes(10)))))
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .minutes(9))
        #expect(stage.core.engine.removalHolds.count == 1)
        stage.receive(Self.alarm(stage, "alarm", at: stage.now))
        stage.evaluate(after: .minutes(9))
        #expect(stage.core.engine.removalHolds.count == 1)
        stage.evaluate(after: .minutes(2))
        #expect(stage.core.engine.removalHolds.isEmpty)
        #expect(entry(stage)?.outcome.reason == .noMeasurement)
    }

    @Test("a hold that says so holds also while the alarm's own state is unknown: what it watches is not measured")
    func holdsWhileInsufficient() {
        for holds in [true, false] {
            var stage = Self.stage(Self.rule(.hold) { $0.holdsUnknown = holds })
            stage.receive(Self.alarm(stage, "alarm"))
            stage.evaluate(after: .seconds(1))
            #expect(stage.core.engine.removalHolds.count == 1)
            stage.receive(Self.alarm(stage, "insufficient data"))
            stage.evaluate(after: .seconds(1))
            #expect(stage.core.engine.removalHolds.count == (holds ? 1 : 0))
            stage.receive(Self.alarm(stage, "ok"))
            stage.evaluate(after: .seconds(1))
            #expect(stage.core.engine.removalHolds.isEmpty)
        }
    }

    @Test("an alarm that was deleted says nothing beside a new one of its name")
    func deletedBesideNew() {
        var stage = Self.stage(Self.rule(.hold, when: .alarm(ScalingRule.Alarm("HighLoad", state: .ok))))
        stage.receive(
            .cloudAlarm(
                CloudAlarm(
                    cluster: "test", alarmID: "old", name: "HighLoad", state: "insufficient data", why: "deleted",
                    at: stage.now, isGone: true)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.removalHolds.isEmpty)
        stage.receive(Self.alarm(stage, "ok", id: "new", name: "HighLoad"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.removalHolds.count == 1)
    }

    @Test("who repeats an older word of the same state keeps the alarm fresh")
    func olderWordRefreshes() {
        var stage = Self.stage(Self.rule(.hold, when: .alarm(ScalingRule.Alarm("a1", maximumAge: .minutes(10)))))
        let before = stage.now - .minutes(5)
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .minutes(9))
        stage.receive(Self.alarm(stage, "alarm", at: before))
        stage.evaluate(after: .minutes(9))
        #expect(stage.core.engine.removalHolds.count == 1)
        stage.evaluate(after: .minutes(2))
        #expect(stage.core.engine.removalHolds.isEmpty)
    }

    @Test("a hold that says so holds also while nothing is known of its alarm, at once; others do not")
    func holdsWhileUnknown() {
        for holds in [true, false] {
            var stage = Self.stage(
                Self.rule(.hold, when: .alarm(ScalingRule.Alarm("a1", maximumAge: .minutes(10)))) {
                    $0.holdsUnknown = holds
                    $0.duration = .minutes(5)
                })
            stage.evaluate(after: .seconds(1))
            #expect(stage.core.engine.removalHolds.count == (holds ? 1 : 0))
            if holds {
                #expect(entry(stage)?.outcome.reason == .ruleHolds)
                #expect(entry(stage)?.outcome.detail.contains("nothing is known of alarm a1") == true)
            }
            stage.receive(Self.alarm(stage, "ok"))
            stage.evaluate(after: .seconds(1))
            #expect(stage.core.engine.removalHolds.isEmpty)
            // Not heard of any more.
            stage.evaluate(after: .minutes(11))
            #expect(stage.core.engine.removalHolds.count == (holds ? 1 : 0))
        }
    }

    @Test("when an alarm was last heard is saved to a minute, or to a quarter of a shorter limit", arguments: [10, 2])
    func heard(limit: Double) throws {
        let rule = Self.rule(.hold, when: .alarm(ScalingRule.Alarm("a1", maximumAge: .minutes(limit))))
        var stage = Self.stage(rule)
        var saved: [UInt8]?
        var saves = 0
        for _ in 0..<80 {
            stage.now = stage.now + .seconds(15)
            stage.receive(Self.alarm(stage, "alarm"))
            stage.evaluate(after: .milliseconds(1))
            guard stage.actions.contains(where: { if case .saveCheckpoint = $0 { true } else { false } }) else {
                continue
            }
            saved = try stage.core.engine.checkpoint()
            saves += 1
        }
        // Twenty minutes: the word alone brings a save in each step, no more.
        #expect(saves <= (limit == 10 ? 24 : 44), "\(saves)")
        var next = Self.stage(rule)
        next.now = stage.now
        try next.core.restore(try #require(saved))
        next.evaluate(after: .seconds(1))
        #expect(next.core.engine.removalHolds.count == 1)
        next.evaluate(after: .minutes(limit))
        #expect(next.core.engine.removalHolds.isEmpty)
    }

    // MARK: Time

    @Test("the condition has to hold for its duration without a break")
    func duration() {
        var stage = Self.stage(Self.rule(.up) { $0.duration = .minutes(2) })
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(60))
        #expect(entry(stage)?.outcome.reason == .ruleNotLongEnough)
        stage.receive(Self.alarm(stage, "ok"))
        stage.receive(Self.alarm(stage, "alarm", at: stage.now + .seconds(1)))
        stage.evaluate(after: .seconds(100))
        #expect(stage.scaled.isEmpty)
        stage.evaluate(after: .seconds(30))
        #expect(stage.sizes == ["workers": 4])
    }

    @Test("it asks again after the cooldown while the alarm lasts, or once only")
    func cooldown() {
        var stage = Self.stage(Self.rule(.up) { $0.cooldown = .minutes(5) })
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
        stage.delta(nodes: [Stage.node("n4")])
        stage.group("workers", ["n1", "n2", "n3", "n4"], min: 1, max: 6)
        stage.evaluate(after: .minutes(4))
        #expect(stage.scaled.isEmpty && entry(stage)?.outcome.reason == .ruleInCooldown)
        stage.evaluate(after: .minutes(2))
        #expect(stage.sizes == ["workers": 5])

        var once = Self.stage(Self.rule(.up) { $0.repeats = false })
        once.receive(Self.alarm(once, "alarm"))
        once.evaluate(after: .seconds(1))
        #expect(once.sizes == ["workers": 4])
        once.delta(nodes: [Stage.node("n4")])
        once.group("workers", ["n1", "n2", "n3", "n4"], min: 1, max: 6)
        once.evaluate(after: .minutes(10))
        #expect(once.scaled.isEmpty)
        once.receive(Self.alarm(once, "ok"))
        once.evaluate(after: .seconds(1))
        once.receive(Self.alarm(once, "alarm"))
        once.evaluate(after: .seconds(1))
        #expect(once.sizes == ["workers": 5])
    }

    @Test("once each time means acting once: what was refused is asked for again, until something comes of it")
    func onceAfterRefusal() {
        var stage = Self.stage(Self.rule(.up) { $0.repeats = false })
        stage.group("workers", ["n1", "n2", "n3"], min: 1, max: 3)
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.signals?.first?.outcome.reason == .maximumReached && stage.scaled.isEmpty)
        stage.group("workers", ["n1", "n2", "n3"], min: 1, max: 6)
        stage.evaluate(after: .seconds(61))
        #expect(stage.sizes == ["workers": 4], "\(String(describing: entry(stage)))")
        stage.evaluate(after: .minutes(10))
        #expect(stage.scaled.isEmpty)
    }

    @Test("a rule that wants more takes the place of one for fewer that waits")
    func upRuleBeforeDown() {
        let fewer = Self.rule(.down, when: .alarm(ScalingRule.Alarm("idle")), name: "idle")
        let more = Self.rule(.up, when: .alarm(ScalingRule.Alarm("a1")))
        let calm = Self.rule(.hold, when: .alarm(ScalingRule.Alarm("calm")), name: "calm")
        var stage = Self.stage(calm, fewer, more)
        stage.receive(Self.alarm(stage, "alarm", id: "calm"))
        stage.receive(Self.alarm(stage, "alarm", id: "idle"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.groups[0].memory.rule == "idle" && stage.removed.isEmpty)
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
        #expect(stage.record?.signals?.map(\.outcome.reason) == [.superseded, .ruleFired])
        #expect(stage.core.engine.memory.rules?["idle"]?.refusedAt == stage.now)
    }

    @Test("what came to nothing starts no long cooldown: it is asked for again after a minute")
    func refusedRests() {
        var stage = Self.stage(Self.rule(.down), min: 3)
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.signals?.first?.outcome.reason == .minimumReached)
        stage.evaluate(after: .seconds(50))
        #expect(stage.record?.signals == nil && entry(stage)?.outcome.reason == .ruleInCooldown)
        stage.evaluate(after: .seconds(15))
        #expect(stage.record?.signals?.first?.outcome.reason == .minimumReached)
    }

    @Test("outside its schedule it does nothing")
    func schedule() throws {
        // The stage begins on a Friday at 08:00 UTC.
        let schedule = try #require(Schedule("0 9 * * *", duration: .minutes(60)))
        var stage = Self.stage(Self.rule(.up) { $0.schedule = schedule })
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty && entry(stage)?.outcome.reason == .ruleOutOfSchedule)
        stage.evaluate(after: .minutes(61))
        #expect(stage.sizes == ["workers": 4], "\(stage.now)")
    }

    @Test("a request that still waits is withdrawn when its condition is over")
    func withdrawn() {
        var stage = Self.stage(Self.rule(.down), Self.rule(.hold, when: .alarm(ScalingRule.Alarm("a2")), name: "calm"))
        stage.receive(Self.alarm(stage, "alarm", id: "a2"))
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.isEmpty && stage.record?.signals == nil)
        stage.receive(Self.alarm(stage, "ok"))
        stage.receive(Self.alarm(stage, "ok", id: "a2"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.isEmpty)
        #expect(
            stage.record?.signals?.first?.outcome.reason == .superseded, "\(String(describing: stage.record?.signals))")
    }

    @Test("what a rule knows survives the Decider: alarms, durations, cooldowns")
    func restart() throws {
        let rules = [
            Self.rule(.up) { $0.duration = .minutes(2) },
            Self.rule(.hold, when: .alarm(ScalingRule.Alarm("a2")), name: "calm"),
        ]
        var stage = Self.stage(rules[0], rules[1])
        stage.receive(Self.alarm(stage, "alarm"))
        stage.receive(Self.alarm(stage, "alarm", id: "a2"))
        stage.evaluate(after: .seconds(60))
        let saved = try stage.core.engine.checkpoint()
        var next = Self.stage(rules[0], rules[1])
        next.now = stage.now
        try next.core.restore(saved)
        next.evaluate(after: .seconds(1))
        #expect(next.core.engine.removalHolds.count == 1 && next.scaled.isEmpty)
        next.evaluate(after: .seconds(60))
        #expect(next.sizes == ["workers": 4])
        var third = Self.stage(rules[0], rules[1])
        third.now = next.now
        try third.core.restore(try next.core.engine.checkpoint())
        third.evaluate(after: .seconds(30))
        #expect(third.scaled.isEmpty, "it is in its cooldown")
        // A checkpoint of the time before rules.
        let plain = try #require(String(bytes: Self.stage().core.engine.checkpoint(), encoding: .utf8))
        #expect(!plain.contains("\"rules\"") && !plain.contains("\"alarms\""))
        try third.core.restore(Array(plain.utf8))
    }

    /// A Decider with other rules goes on from the checkpoint of one.
    private func takenOver(_ stage: Stage, _ rule: ScalingRule, _ configure: (inout Stage) -> Void = { _ in }) throws
        -> Stage
    {
        var next = Self.stage(rule)
        next.now = stage.now
        try next.core.restore(try stage.core.engine.checkpoint())
        configure(&next)
        next.evaluate(after: .seconds(1))
        return next
    }

    @Test("a rule that means something else under the same name inherits no time of its condition")
    func sameNameOtherCondition() throws {
        var stage = Self.stage(Self.rule(.up) { $0.duration = .minutes(2) })
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .minutes(1))
        stage.evaluate(after: .seconds(50))
        #expect(stage.scaled.isEmpty)
        // Now it is about the load, which was never measured before.
        let other = Self.rule(.up, when: Self.hot) { $0.duration = .minutes(2) }
        var next = try takenOver(stage, other) { $0.receive(Self.load($0, Self.even)) }
        #expect(entry(next)?.since == next.now, "\(String(describing: entry(next)))")
        next.receive(Self.load(next, Self.even))
        next.evaluate(after: .minutes(1))
        #expect(next.scaled.isEmpty && entry(next)?.outcome.reason == .ruleNotLongEnough)
        next.receive(Self.load(next, Self.even))
        next.evaluate(after: .minutes(1))
        #expect(next.sizes == ["workers": 4])
        // The same condition with another duration: the time counts, as it held all along.
        let same = try takenOver(stage, Self.rule(.up) { $0.duration = .seconds(100) })
        #expect(same.sizes == ["workers": 4])
    }

    @Test("another rule under the same name rests after what was done to its group, not after what it never did")
    func sameNameOtherGroup() throws {
        func rule(_ group: String, _ name: String) -> ScalingRule {
            ScalingRule("busy", group: group, .up, when: .alarm(ScalingRule.Alarm(name)))
        }
        var stage = Self.stage(rule("workers", "a1"))
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
        let memory = try #require(stage.core.engine.memory.rules?["busy"])
        #expect(memory.askedAt == stage.now && memory.askedFor != nil)
        let here = RuleMemory(of: rule("workers", "a2"), memory)
        #expect(here.askedAt == stage.now && here.askedFor == nil && here.holdsSince == nil)
        let there = RuleMemory(of: rule("others", "a1"), memory)
        #expect(there.askedAt == nil && there.holdsSince == nil)
        // A checkpoint of the time before rules had more than a name.
        var old = memory
        old.of = nil
        #expect(RuleMemory(of: rule("workers", "a1"), old) == memory)
    }

    @Test("a request that waits is withdrawn when its rule is gone, or another one")
    func withdrawnWithItsRule() throws {
        let calm = Self.rule(.hold, when: .alarm(ScalingRule.Alarm("a2")), name: "calm")
        var stage = Self.stage(Self.rule(.down), calm)
        stage.receive(Self.alarm(stage, "alarm", id: "a2"))
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.groups[0].memory.rule == "busy" && stage.removed.isEmpty)
        let other = ScalingRule.Condition.alarm(ScalingRule.Alarm("a3"))
        for rule in [Self.rule(.down, when: other), Self.rule(.down, when: other, name: "other")] {
            let next = try takenOver(stage, rule)
            #expect(next.removed.isEmpty && next.core.engine.groups[0].memory.signal == nil)
            let outcome = next.record?.signals?.first?.outcome
            #expect(outcome?.reason == .superseded, "\(rule.name): \(String(describing: next.record?.signals))")
        }
        // The same rule goes on: nothing forbids it now.
        let same = try takenOver(stage, Self.rule(.down))
        #expect(same.removed.flatMap(\.nodes).map(\.node) == ["n3"])
    }

    // MARK: Thresholds

    static let hot = ScalingRule.Condition.threshold(ScalingRule.Threshold("cpu.utilization", .gt, 0.8))
    static let cold = ScalingRule.Condition.threshold(ScalingRule.Threshold("cpu.utilization", .lt, 0.3))

    @Test("a threshold on the mean of the group's nodes")
    func threshold() {
        var stage = Self.stage(Self.rule(.up, when: Self.hot))
        #expect(entry(stage)?.outcome.reason == .noMeasurement)
        stage.receive(Self.load(stage, ["n1": 0.9, "n2": 0.6, "n3": 0.7, "foreign": 5]))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty && entry(stage)?.outcome.reason == .ruleNotMet)
        stage.receive(Self.load(stage, Self.even))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
        #expect(
            stage.scaled.first?.reason.detail == "rule busy: mean cpu.utilization of 3 nodes is 0.9, gt 0.8",
            "\(String(describing: stage.scaled.first?.reason))")
    }

    @Test("what was measured long ago, or is stale, does not count")
    func stale() {
        var stage = Self.stage(Self.rule(.up, when: Self.hot))
        stage.receive(Self.load(stage, Self.even, stale: true))
        stage.receive(Self.load(stage, Self.even, at: stage.now - .minutes(3)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty)
        stage.receive(Self.load(stage, Self.even))
        stage.evaluate(after: .minutes(3))
        #expect(stage.scaled.isEmpty && entry(stage)?.outcome.reason != .ruleFired)
    }

    @Test(
        "what a failed page left of disk and network grows old by its own time; CPU of the same sample counts",
        arguments: [("disk.utilization", false), ("network.received", false), ("cpu.utilization", true)])
    func details(_ metric: String, _ firesAtOnce: Bool) {
        var stage = Self.stage(Self.rule(.up, when: .threshold(ScalingRule.Threshold(metric, .gt, 0.8))))
        func load(_ age: Interval) -> Event {
            .nodeStats(
                NodeStats(
                    cluster: "test",
                    samples: ["n1", "n2", "n3"].map { name in
                        var sample = NodeStats.Sample(node: name, at: stage.now, cpuUtilization: 0.9)
                        (sample.diskUtilization, sample.receivedPerSecond) = (0.9, 1_000)
                        sample.detailsAt = stage.now - age
                        return sample
                    }))
        }
        stage.receive(load(.minutes(3)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty == !firesAtOnce)
        guard !firesAtOnce else { return }
        #expect(entry(stage)?.outcome.reason == .noMeasurement)
        stage.receive(load(.minutes(1)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
    }

    @Test("no node goes by what is known of some nodes only")
    func partial() {
        var stage = Self.stage(Self.rule(.down, when: Self.cold))
        stage.receive(Self.load(stage, ["n1": 0.1, "n2": 0.1]))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.isEmpty && entry(stage)?.outcome.reason == .noMeasurement)
        stage.receive(Self.load(stage, ["n1": 0.1, "n2": 0.1, "n3": 0.1]))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n3"])
    }

    @Test("the simulation's step: as many as bring the mean back to the threshold, those on their way counted")
    func simulation() {
        var stage = Self.stage(
            Self.rule(.up, when: Self.hot) { ($0.step, $0.cooldown) = (.simulation, .zero) }, max: 20)
        stage.receive(Self.load(stage, ["n1": 1.6, "n2": 1.6, "n3": 1.6]))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 6])
        stage.receive(Self.load(stage, ["n1": 1.6, "n2": 1.6, "n3": 1.6]))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty, "three are on their way")
        #expect(entry(stage)?.outcome.reason == .balanced)
        // Down: as many as leave the mean below the threshold; 3 · 0.1 on two nodes is 0.15, on one 0.3.
        var idle = Self.stage(Self.rule(.down, when: Self.cold) { $0.step = .simulation })
        idle.receive(Self.load(idle, ["n1": 0.1, "n2": 0.1, "n3": 0.1]))
        idle.evaluate(after: .seconds(1))
        #expect(idle.removed.flatMap(\.nodes).count == 1)
    }

    @Test("with an alarm the simulation's step is what waiting pods need, or all that may go")
    func simulationWithAlarm() {
        var stage = Self.stage(Self.rule(.up) { $0.step = .simulation })
        let waiting = stage.pods("w", 12, Stage.shape(cpu: 2_000))
        stage.delta(pods: waiting)
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 6])
        #expect(stage.record?.signals?.first?.decided == 1, "a node that pods need anyway is a node more as well")
        var idle = Self.stage(Self.rule(.down) { $0.step = .simulation })
        idle.receive(Self.alarm(idle, "alarm"))
        idle.evaluate(after: .seconds(1))
        #expect(idle.removed.flatMap(\.nodes).count == 2)
        #expect(idle.record?.signals?.first?.outcome.reason == .ruleFired)
    }

    @Test("a percentage is of the group's size, one node at least")
    func percent() {
        var stage = Self.stage(Self.rule(.up) { $0.step = .percent(50) })
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 5])
        var down = Self.stage(Self.rule(.down) { $0.step = .percent(50) })
        down.receive(Self.alarm(down, "alarm"))
        down.evaluate(after: .seconds(1))
        #expect(down.removed.flatMap(\.nodes).count == 1)
    }

    @Test("the stabilization window: of the sizes that it wanted the most careful counts")
    func stabilization() {
        var stage = Self.stage(
            Self.rule(.up, when: Self.hot) {
                ($0.step, $0.stabilizationWindow, $0.cooldown) = (.simulation, .seconds(60), .zero)
            }, max: 20)
        func measure(_ value: Double) {
            stage.receive(Self.load(stage, ["n1": value, "n2": value, "n3": value]))
            stage.evaluate(after: .seconds(20))
        }
        measure(1.6)
        #expect(stage.scaled.isEmpty, "before, nothing was wanted")
        measure(0.95)
        measure(1.6)
        measure(1.6)
        // Within the last minute it wanted 6, 4 (for 0.95), and 6 nodes.
        #expect(stage.sizes == ["workers": 4], "\(stage.record?.summary ?? "")")
    }

    @Test("hypervisors: a counter of nanoseconds is cores in use; one that falls says nothing")
    func hypervisor() {
        let cores = ScalingRule.Threshold("cpu", .gt, 3.5, source: .hypervisor, maximumAge: .minutes(15))
        var stage = Self.stage(Self.rule(.up, when: .threshold(cores)))
        func say(_ totals: [String: Double], meter: String = "cpu") {
            stage.receive(
                .cloudStats(
                    CloudStats(
                        cluster: "test",
                        samples: totals.sorted { $0.key < $1.key }.map {
                            CloudStats.Sample(
                                serverID: "server-\($0.key)", node: $0.key, meter: meter, kind: "cumulative",
                                unit: "ns",
                                value: $0.value, at: stage.now)
                        })))
            stage.evaluate(after: .seconds(300))
        }
        say(["n1": 0, "n2": 0, "n3": 5e12])
        #expect(entry(stage)?.outcome.reason == .noMeasurement)
        say(["n1": 9e11, "n2": 9e11, "n3": 1e9], meter: "other")
        say(["n1": 9e11, "n2": 9e11, "n3": 1e9])
        #expect(stage.scaled.isEmpty, "1.5 cores each: 900 s of cpu in 600 s; the third was reset")
        say(["n1": 21e11, "n2": 21e11, "n3": 12e11])
        #expect(stage.sizes == ["workers": 4], "\(String(describing: entry(stage)))")
        #expect(stage.scaled.first?.reason.detail.contains("mean cpu of 3 nodes") == true)
    }

    /// CPU that the hypervisors of the three nodes counted, in core seconds, at times by their own clock.
    private static func counted(_ stage: inout Stage, _ readings: [(seconds: Double, at: Timestamp)]) {
        for reading in readings {
            stage.receive(
                .cloudStats(
                    CloudStats(
                        cluster: "test",
                        samples: ["n1", "n2", "n3"].map {
                            CloudStats.Sample(
                                serverID: "server-\($0)", node: $0, meter: "cpu", kind: "cumulative", unit: "ns",
                                value: reading.seconds * 1e9, at: reading.at)
                        })))
        }
        stage.evaluate(after: .seconds(1))
    }

    private static let busyCores = ScalingRule.Condition.threshold(
        ScalingRule.Threshold("cpu", .gt, 3.5, source: .hypervisor, maximumAge: .minutes(15)))

    @Test(
        "hypervisors: of samples that come in a heap, by a clock that is ahead, the rate is by the samples' own times")
    func hypervisorAhead() {
        var stage = Self.stage(Self.rule(.up, when: Self.busyCores))
        let ahead = stage.now + .minutes(30)
        // Ten core seconds in ten: one core.
        Self.counted(&stage, (0..<6).map { (100 + 10 * Double($0), ahead + Interval.seconds(10 * Double($0))) })
        #expect(entry(stage)?.outcome.detail.contains("mean cpu of 3 nodes is 1,") == true)
        #expect(stage.scaled.isEmpty, "\(String(describing: entry(stage)))")
        // Still as fresh as when they came, no fresher.
        stage.evaluate(after: .minutes(16))
        #expect(entry(stage)?.outcome.reason == .noMeasurement)
        // The clock is put right: what it says now counts, from the second reading on.
        let right = stage.now
        Self.counted(&stage, [(400, right - .seconds(10)), (440, right)])
        #expect(stage.sizes == ["workers": 4], "\(String(describing: entry(stage)))")
    }

    @Test("hypervisors: two readings within a second are one; the next is compared with the older")
    func hypervisorTwice() {
        var stage = Self.stage(Self.rule(.up, when: Self.busyCores))
        let start = stage.now
        Self.counted(&stage, [(100, start - .seconds(20)), (102, start - .seconds(20) + Interval(microseconds: 300))])
        #expect(entry(stage)?.outcome.reason == .noMeasurement)
        Self.counted(&stage, [(120, start)])
        #expect(entry(stage)?.outcome.detail.contains("mean cpu of 3 nodes is 1,") == true)
        // A late one, and one that is said again.
        Self.counted(&stage, [(110, start - .seconds(10)), (120, start)])
        #expect(entry(stage)?.outcome.detail.contains("mean cpu of 3 nodes is 1,") == true && stage.scaled.isEmpty)
    }

    @Test("hypervisors: more CPU than a node has is not believed")
    func hypervisorTooMuch() {
        var stage = Self.stage(Self.rule(.up, when: Self.busyCores))
        let start = stage.now
        Self.counted(&stage, [(100, start - .seconds(600)), (100 + 8 * 300, start - .seconds(300))])
        #expect(entry(stage)?.outcome.reason == .noMeasurement && stage.scaled.isEmpty)
        #expect(stage.core.engine.standing(at: stage.now).unbelieved == 3)
        Self.counted(&stage, [(100 + 12 * 300, start)])
        #expect(stage.sizes == ["workers": 4], "four cores: \(String(describing: entry(stage)))")
        #expect(stage.core.engine.standing(at: stage.now).unbelieved == 3)
    }

    @Test("max, min and sum")
    func aggregates() {
        let values = [0.2, 0.5, 0.8]
        func reading(_ aggregate: ScalingRule.Threshold.Aggregate) -> Double? {
            ScalingRule.Threshold("cpu.utilization", .gt, 1, aggregate: aggregate).reading(values, nodes: 3, .down)
                .value
        }
        #expect(reading(.max) == 0.8 && reading(.min) == 0.2 && reading(.sum) == 1.5 && reading(.mean) == 0.5)
        let none = ScalingRule.Threshold("cpu.utilization", .lt, 1).reading([], nodes: 0, .down)
        #expect(none.holds == nil)
    }

    @Test(
        "a hold ends by the measures of all nodes only: the one that is missing may be the one that is too loaded to answer"
    )
    func partlyMeasured() {
        let hot = ScalingRule.Threshold("cpu.utilization", .gt, 0.9, aggregate: .max)
        #expect(hot.reading([0.3, 0.3], nodes: 3, .hold).holds == nil)
        #expect(hot.reading([0.3, 0.95], nodes: 3, .hold).holds == true)
        #expect(hot.reading([0.3, 0.3, 0.3], nodes: 3, .hold).holds == false)
        #expect(hot.reading([0.3, 0.3], nodes: 3, .up).holds == false)
    }

    @Test("measured load is looked at every few seconds, although nothing else happens")
    func pulse() {
        let stage = Self.stage(Self.rule(.up, when: Self.hot))
        var engine = stage.core.engine
        let result = engine.evaluate(at: stage.now)
        #expect(result.nextDeadline.map { $0 <= stage.now + .seconds(5) } == true)
    }

    @Test("updraft explain group tells what each rule does, or why nothing")
    func explained() throws {
        var stage = Self.stage(Self.rule(.hold, name: "calm"), Self.rule(.up, when: Self.hot))
        stage.receive(Self.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        var view = LedgerView()
        let complete = stage.core.evaluate(at: stage.now, complete: true)
        for case .publish(.evaluation(let record)) in complete { view.apply(record) }
        #expect(view.rules["calm"]?.outcome.reason == .ruleHolds)
        #expect(view.rules["busy"]?.outcome.reason == .noMeasurement)
        #expect(view.rules["busy"]?.outcome.sentence.contains("cpu.utilization is known of 0 of 3 nodes") == true)
    }
}
