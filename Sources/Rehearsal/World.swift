import Messages
import Support

/// Everything of one run: simulated time, the models of Heat, Kubernetes and RabbitMQ, and the processes.
///
/// One task owns it. Whatever happens is an entry of the agenda; whatever is random comes from one generator, in the
/// order in which it happens. Nothing iterates over a `Dictionary` or a `Set` where order could matter: their order
/// differs from process to process.
final class World {
    static let start = Timestamp(seconds: 1_800_000_000)

    let scenario: Scenario
    let options: RehearsalOptions
    private(set) var now = World.start
    var random: SplitMix64
    private var agenda = DeadlineQueue<() -> Void>()
    private(set) var story: Story
    private(set) var violation: Violation?
    private(set) var steps = 0
    private(set) var strikes = [Int](repeating: 0, count: Fault.allCases.count)

    var heat = HeatState()
    var cluster = ClusterState()
    var broker = BrokerState()
    var audit = Audit()
    var processes: [Process] = []
    var crashesLeft: Int
    /// Actions of Actuator and Notifier so far: for crashes before or after the n-th.
    var actionsTaken = 0
    private var wellSince: Timestamp?
    private var isOver = false

    init(_ scenario: Scenario, _ options: RehearsalOptions) {
        self.scenario = scenario
        self.options = options
        random = SplitMix64(seed: scenario.seed)
        story = Story(isKept: options.keepsStory)
        crashesLeft = scenario.crashes
    }

    // MARK: Time

    /// Does something later.
    func after(_ pause: Interval, _ act: @escaping () -> Void) {
        agenda.add(act, due: now + pause)
    }

    var faultsEnd: Timestamp { World.start + scenario.faultsEnd }
    var faultsAreOn: Bool { now < faultsEnd }

    /// Whether a fault strikes now.
    func strikes(_ fault: Fault) -> Bool {
        let rate = scenario.rates[fault]
        guard rate > 0, faultsAreOn, random.chance(rate) else { return false }
        strikes[fault.rawValue] += 1
        return true
    }

    /// A line of the story.
    func say(_ who: String, _ what: @autoclosure () -> String) {
        if story.isKept, violation == nil { story.say(now, who, what()) }
    }

    /// An invariant does not hold. The first one ends the run.
    func violated(_ invariant: Invariant, _ detail: @autoclosure () -> String) {
        guard violation == nil else { return }
        let found = Violation(invariant: invariant, detail: detail(), at: now - World.start)
        say("VIOLATION", "\(invariant.rawValue): \(found.detail)")
        violation = found
    }

    // MARK: Running

    func run() {
        say("scenario", scenario.text)
        startHeat()
        startCluster()
        for index in 0..<scenario.replicas {
            processes.append(CollectorProcess(self, "collector-\(index)"))
            processes.append(DeciderProcess(self, "decider-\(index)"))
        }
        for index in 0..<scenario.actors {
            let suffix = scenario.actors > 1 ? "-\(index)" : ""
            processes.append(ActuatorProcess(self, "actuator" + suffix))
            processes.append(NotifierProcess(self, "notifier" + suffix))
        }
        for process in processes { process.start() }
        for (index, item) in scenario.script.enumerated() {
            after(item.at) { self.play(item.step, number: index) }
        }
        after(.seconds(1)) { self.mischief() }
        after(scenario.faultsEnd) { self.watchForTheEnd() }
        while violation == nil, !isOver, let (time, act) = agenda.popFirst() {
            now = time
            steps += 1
            act()
        }
        agenda.removeAll()
        for process in processes { process.end() }
    }

    /// After the faults: is all well, and does it stay so?
    private func watchForTheEnd() {
        let troubles = troubles()
        if troubles.isEmpty {
            if wellSince == nil { wellSince = now }
            if let since = wellSince, now - since >= .seconds(20) {
                say("end", "all is well")
                isOver = true
                return
            }
        } else {
            wellSince = nil
            if now >= faultsEnd + scenario.patience {
                return violated(.nothingPendingForEver, troubles.joined(separator: "; "))
            }
        }
        after(.seconds(5)) { self.watchForTheEnd() }
    }

    // MARK: Calls over the network

    /// The other side of a call.
    enum Service {
        case heat, kubernetes

        var error: Fault { self == .heat ? .heatError : .kubernetesError }
        var answerLost: Fault { self == .heat ? .heatAnswerLost : .kubernetesAnswerLost }
    }

    /// How a call may fail on its way.
    enum CallFailure {
        case error, answerLost
    }

    /// A request of a process: it travels, has its effect, and the answer travels back; each may go wrong. A request
    /// of a process that died may still arrive.
    func call<Answer>(
        _ process: Process, _ service: Service, _ effect: @escaping () -> Answer,
        failed: @escaping (CallFailure) -> Answer, then: @escaping (Answer) -> Void
    ) {
        let life = process.life
        let isSlow = service == .heat && strikes(.heatSlow)
        let there = random.pause(isSlow ? 500...8_000 : 1...12)
        after(there) {
            if process.life != life && self.random.chance(0.5) { return }
            if self.strikes(service.error) {
                self.say("fault", "\(process.name): \(service) answers 500")
                return self.after(.milliseconds(5)) { if process.life == life { then(failed(.error)) } }
            }
            let answer = effect()
            if self.strikes(service.answerLost) {
                self.say("fault", "\(process.name): the answer of \(service) is lost")
                return self.after(.seconds(5)) { if process.life == life { then(failed(.answerLost)) } }
            }
            let back = self.random.pause(isSlow ? 500...8_000 : 1...12)
            self.after(back) { if process.life == life { then(answer) } }
        }
    }

    // MARK: What people and chance do

    private func play(_ step: ScriptStep, number: Int) {
        switch step {
        case .replicas(let workload, let count): wants(workload, count)
        case .operatorResizes(let change): operatorResizes(by: change)
        case .signal(let change): signal(by: change)
        case .serverDeleted: deleteServer()
        case .operatorCancels: operatorCancels()
        case .repeatedDecisions: repeatDecisions()
        }
    }

    /// Once a second: what needs no occasion.
    private func mischief() {
        guard faultsAreOn else { return }
        if strikes(.strangerUpdates) { strangerUpdates() }
        if strikes(.memberDoubted) { doubtMember() }
        if strikes(.nodeDies) { killNode() }
        for process in processes where process.isLeased && strikes(.freeze) {
            process.freeze(for: random.pause(500...(random.chance(0.2) ? 40_000 : 8_000)))
        }
        for process in processes where strikes(.brokerLost) {
            disconnect(process, for: random.pause(200...(random.chance(0.2) ? 40_000 : 4_000)))
        }
        after(.seconds(1)) { self.mischief() }
    }
}

/// What a run is for.
public struct RehearsalOptions: Sendable {
    /// Whether the story is kept.
    public var keepsStory = false
    /// A rule that is broken on purpose, to see that it is noticed.
    public var sabotage: Sabotage?
    /// Crash before or after the n-th action of Actuator and Notifier together.
    public var crash: CrashPoint?

    /// A plain run.
    public init() {}
}

/// A place where a process is to die: at one action of Actuator or Notifier, counted from 1 in the order in which they
/// are taken.
public struct CrashPoint: Sendable, Equatable {
    /// Which action.
    public var action: Int
    /// After it was done, or before.
    public var isAfter: Bool

    /// From its parts.
    public init(action: Int, isAfter: Bool) {
        self.action = action
        self.isAfter = isAfter
    }
}

/// Rules that can be broken on purpose.
public enum Sabotage: String, Sendable, CaseIterable {
    /// The Actuator evicts as soon as a node is cordoned.
    case evictsUntold
    /// The Actuator lowers the size without a mark.
    case removesUnchosen
    /// The Actuator sends a size beyond the maximum.
    case exceedsMaximum
    /// A decision on the size is carried out twice.
    case appliesTwice
    /// A removal that is over leaves its node cordoned.
    case leavesCordon
    /// The Actuator deletes a Node as soon as it is cordoned.
    case deletesNodeEarly
    /// Decisions are acknowledged and forgotten.
    case forgetsDecisions
    /// The Notifier gives pods no time.
    case hurriesPods
    /// The Notifier accepts a refusal and tells nobody.
    case forgetsRefusals
    /// The Actuator acknowledges cancellations and goes on.
    case ignoresCancellations
    /// Replicas that were raised for a drain stay.
    case keepsSurges
}
