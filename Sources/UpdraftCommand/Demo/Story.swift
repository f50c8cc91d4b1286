import Messages
import Support

/// What the demo has seen so far: events and observations in, finished steps out. Pure.
///
/// Duplicates change nothing, and an event that overtakes another (each service publishes for itself) finishes the
/// earlier steps with it, so that a message lost to a killed service cannot hang the story.
public struct Story: Sendable {
    /// A step that is done.
    public struct Milestone: Sendable, Equatable {
        /// Which.
        public var step: StoryStep
        /// When it was seen.
        public var at: Timestamp
        /// What exactly, for a person.
        public var detail: String
    }

    /// What the demo looks at besides the bus.
    public enum Observation: Sendable, Equatable {
        /// Pods in the cluster by what they do.
        case pods(pending: Int, running: Int)
        /// The demo itself took the load away.
        case loadRemoved(String)
        /// Nodes and members as Kubernetes and Heat list them.
        case sizes(nodes: Int, members: Int)
    }

    /// Done so far, in order.
    public private(set) var milestones: [Milestone] = []
    /// When the story began.
    public let startedAt: Timestamp
    /// Pods that must run before the load goes.
    public let podsWanted: Int
    /// The removals that were decided: node → server.
    public private(set) var chosen: [String: String] = [:]
    /// Nodes whose removal is complete.
    public private(set) var completed: Set<String> = []
    private var joined: Set<String> = []
    private var grownBy = 0
    private var progress: [StoryStep: Set<String>] = [:]

    /// A story that wants `podsWanted` running pods at its height.
    public init(startedAt: Timestamp, podsWanted: Int) {
        self.startedAt = startedAt
        self.podsWanted = podsWanted
    }

    /// The step that is waited for; nil when the story is over.
    public var waitingFor: StoryStep? {
        StoryStep(rawValue: milestones.count)
    }

    /// Something was seen on the bus. Returns the milestones that it completed.
    public mutating func received(_ event: Event, at now: Timestamp) -> [Milestone] {
        switch event {
        case .scaleDecided(let decision) where decision.to > decision.from:
            grownBy += decision.to - decision.from
            return reached(
                .scaleDecided, at: now,
                "\(decision.group) \(decision.from) → \(decision.to): \(decision.reason.detail)")
        case .scaleStarted(let event) where event.scale.to > event.scale.from:
            return reached(
                .groupResized, at: now, "Heat accepted \(event.scale.group) = \(event.scale.to)")
        case .nodeReady(let event):
            joined.insert(event.arrival.node)
            guard waitingFor.map({ $0 > .podsPending }) ?? false, joined.count >= max(1, grownBy) else { return [] }
            return reached(.nodesReady, at: now, joined.sorted().joined(separator: ", "))
        case .removalDecided(let decision):
            for target in decision.nodes { chosen[target.node] = target.serverID }
            let names = decision.nodes.map { "\($0.node) (\($0.reason.detail))" }
            return reached(.removalDecided, at: now, names.joined(separator: ", "))
        case .removalCordoned(let event): return advanced(.nodeCordoned, event.removal, at: now)
        case .removalNoticed(let event): return advanced(.podsTold, event.removal, at: now)
        case .removalQuiesced(let event): return advanced(.cooldownEnded, event.removal, at: now)
        case .removalDrained(let event): return advanced(.nodeDrained, event.removal, at: now)
        case .removalCompleted(let event):
            completed.insert(event.removal.node)
            return advanced(.memberRemoved, event.removal, at: now)
        default:
            return []
        }
    }

    /// Something was seen by looking. Returns the milestones that it completed.
    public mutating func observed(_ observation: Observation, at now: Timestamp) -> [Milestone] {
        switch observation {
        case .pods(let pending, let running):
            if waitingFor == .podsPending, pending > 0 {
                return reached(.podsPending, at: now, "\(pending) pods wait for room, \(running) run")
            }
            if let waiting = waitingFor, waiting > .podsPending, waiting <= .podsRunning, pending == 0,
                running >= podsWanted
            {
                return reached(.podsRunning, at: now, "\(running) pods")
            }
            return []
        case .loadRemoved(let what):
            guard waitingFor == .loadGone else { return [] }
            return reached(.loadGone, at: now, what)
        case .sizes:
            return []
        }
    }

    /// A step is done when it is done for each chosen node.
    private mutating func advanced(
        _ step: StoryStep, _ removal: RemovalProgress, at now: Timestamp
    ) -> [Milestone] {
        progress[step, default: []].insert(removal.node)
        guard !chosen.isEmpty, let done = progress[step], Set(chosen.keys).isSubset(of: done) else { return [] }
        var detail = done.sorted().joined(separator: ", ")
        if removal.pods > 0 { detail += ": \(removal.pods) pods" }
        if step == .cooldownEnded { detail += " (\(removal.reason.reason.rawValue))" }
        return reached(step, at: now, detail)
    }

    private mutating func reached(_ step: StoryStep, at now: Timestamp, _ detail: String) -> [Milestone] {
        guard let waiting = waitingFor, step >= waiting else { return [] }
        // The load is taken away by the demo: nothing may overtake that.
        if waiting <= .loadGone, step > .loadGone { return [] }
        let first = milestones.count
        for raw in waiting.rawValue...step.rawValue {
            guard let passed = StoryStep(rawValue: raw) else { continue }
            milestones.append(Milestone(step: passed, at: now, detail: passed == step ? detail : "seen with the next"))
        }
        return Array(milestones[first...])
    }
}

extension StoryStep: Comparable {
    /// Whether it comes before.
    public static func < (left: StoryStep, right: StoryStep) -> Bool { left.rawValue < right.rawValue }
}
