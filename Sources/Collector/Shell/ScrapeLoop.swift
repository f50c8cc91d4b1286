import Support

/// What is due is looked at this often.
private let tick = Interval.milliseconds(200)
/// Targets that came or went, and replicas, are looked at this often.
private let refresh = Interval.seconds(1)

/// Asks each of some targets once an interval, spread over it and so many at a time (`ScrapeSchedule`, `ScrapeQueue`).
struct ScrapeLoop<Target: Sendable, Answer: Sendable>: Sendable {
    private enum Event: Sendable {
        case ticked
        case answered(String, Target, Answer)
    }

    /// Who is to be asked.
    struct Targets {
        /// By name.
        var asked: [String: Target]
        /// Names of which is remembered what was; others may have come back by the next look.
        var kept: Set<String>
    }

    let interval: Interval
    /// How often details are wanted; nil: never.
    let details: Interval?
    /// So many are asked at a time.
    let places: Int
    /// Whether there is one target, and will never be more.
    var isSingle = false

    /// Runs until the task is cancelled.
    /// - Parameters:
    ///   - targets: who is to be asked; nil: not known, and those that were are asked.
    ///   - ask: asks one.
    ///   - outcome: whether it could be reached.
    ///   - answered: takes an answer in, while the next are asked.
    ///   - ticked: what is done now and then.
    func run(
        targets: () async -> Targets?, ask: @escaping @Sendable (_ target: Target, _ details: Bool) async -> Answer,
        outcome: (Answer) -> ScrapeQueue.Outcome, answered: (Target, Answer) async -> Void, ticked: () async -> Void
    ) async {
        var schedule = ScrapeSchedule(interval: interval, details: details)
        var queue = ScrapeQueue(places: places, interval: interval, isSingle: isSingle)
        // An operator who sets the clock must not stop the looking after targets.
        let steady = SteadyClock()
        var known: [String: Target] = [:]
        var names: Set<String> = []
        var refreshAt: Timestamp?
        await withTaskGroup(of: Event.self) { group in
            func sleep() {
                group.addTask {
                    try? await Task.sleep(for: tick.duration)
                    return .ticked
                }
            }
            func start() {
                while let turn = queue.next() {
                    guard let target = known[turn.node] else {
                        queue.dropped(turn.node)
                        continue
                    }
                    group.addTask { .answered(turn.node, target, await ask(target, turn.details)) }
                }
            }
            sleep()
            while let event = await group.next(), !Task.isCancelled {
                let now = Timestamp.now()
                switch event {
                case .ticked:
                    if refreshAt.map({ steady.now >= $0 }) ?? true {
                        refreshAt = steady.now + refresh
                        if let targets = await targets() {
                            known = targets.asked
                            names = Set(known.keys)
                            queue.keep(only: targets.kept)
                        }
                    }
                    queue.add(schedule.due(names, at: now), at: now)
                    start()
                    await ticked()
                    sleep()
                case .answered(let name, let target, let answer):
                    queue.ended(name, outcome(answer), at: now)
                    start()
                    await answered(target, answer)
                }
            }
            group.cancelAll()
        }
    }
}
