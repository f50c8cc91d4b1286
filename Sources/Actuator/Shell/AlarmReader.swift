import Bus
import Messages
import OpenStack
import ServiceRuntime
import Support

/// Asks Aodh for the alarms that rules are for, and says their states on the bus: for transitions that nobody heard, and
/// since Aodh's notifications bear no names. The Actuator does it since it has the login; only the one that acts.
struct AlarmReader: Sendable {
    private let client: OpenStackClient
    private let cluster: String
    private let project: String?
    private let wanted: Set<String>
    private let interval: Interval
    private let log: Logger
    /// Outlives a lease: what was said before it ended is known when the next one begins.
    private let watch: Lock<AlarmWatch>
    private let reads: Counter
    private let missed: Counter

    private enum Outcome: String, CaseIterable {
        case read, failed
    }

    /// Ids of rules and names beyond these are not asked for, each of which is a call.
    private static let mostAlarms = 200
    private static let tick = Interval.seconds(1)

    /// Nil: no rule is for an alarm of Aodh.
    init?(_ client: OpenStackClient, _ context: ServiceContext) {
        let settings = context.settings
        let wanted = Set(settings.decider.rules.compactMap(\.alarm))
        guard settings.collector.alarms.enabled, !wanted.isEmpty else { return nil }
        self.init(
            client, cluster: settings.cluster, wanted: wanted, project: settings.collector.alarms.projectID,
            interval: settings.actuator.alarmsInterval, log: context.log, metrics: context.metrics)
    }

    init(
        _ client: OpenStackClient, cluster: String, wanted: Set<String>, project: String?, interval: Interval,
        log: Logger, metrics: Metrics
    ) {
        self.client = client
        self.cluster = cluster
        self.project = project
        // What is not asked for is not taken for absent either.
        self.wanted = Set(wanted.sorted().prefix(Self.mostAlarms))
        self.interval = interval
        self.log = log
        if wanted.count > Self.mostAlarms {
            log.warning(
                "decider.rules are for more alarms than Aodh is asked for; of the others what the bus says counts",
                [.total: .int(wanted.count), .count: .int(Self.mostAlarms)])
        }
        watch = Lock(AlarmWatch(cluster: cluster, wanted: self.wanted, interval: interval))
        reads = metrics.counter(
            "actuator_alarm_reads", "Looks at the alarms of Aodh that rules are for, by what came of it.",
            .label("outcome", Outcome.allCases.map(\.rawValue)))
        missed = metrics.counter(
            "actuator_alarms_missed", "Transitions of alarms that were found by looking: nobody had heard of them.")
    }

    /// What was said of alarms; dropped when nobody is there to hear it, since Aodh is asked then.
    private static let signals = Subscription(
        topics: [.signals], kind: .perishable(maximumLength: 500, ttl: .seconds(60)), suffix: "alarms", laps: [])

    /// Until the task is cancelled.
    func run(_ bus: Bus, _ context: ServiceContext, _ lease: Lease) async {
        watch.withLock { $0.begin() }
        await withTaskGroup { group in
            group.addTask {
                await context.supervisor.run("alarms") { part in
                    part.ready()
                    try await bus.subscribe(Self.signals) { incoming in
                        if case .cloudAlarm(let alarm) = incoming.event {
                            watch.withLock { $0.heard(alarm, at: .now()) }
                        }
                        return .done
                    }
                }
            }
            group.addTask {
                await look(watch, busWorks: { bus.health.isReady }) { alarm in
                    _ = await lease.publish(.cloudAlarm(alarm), on: bus, log: log, again: false)
                }
            }
        }
    }

    /// Asks whenever it is time, until the task is cancelled.
    func look(
        _ watch: Lock<AlarmWatch>, busWorks: @Sendable () -> Bool, publish: @Sendable (CloudAlarm) async -> Void
    ) async {
        var told: String?
        while !Task.isCancelled {
            let (now, works) = (Timestamp.now(), busWorks())
            if watch.withLock({ $0.isDue(busWorks: works, at: now) }) {
                watch.withLock { $0.asked(at: now) }
                do throws(OpenStackError) {
                    let (seen, isWhole) = try await read()
                    let own = try await client.projectID()
                    let seesAll = project != nil && project == own
                    reads.increment(Outcome.read.rawValue)
                    if told != nil { log.info("Aodh answers again", [.total: .int(seen.count)]) }
                    told = nil
                    let answer = watch.withLock {
                        $0.answered(seen, askedAt: now, isWhole: isWhole, seesAll: seesAll)
                    }
                    for id in answer.unseen {
                        log.warning(
                            "an alarm of decider.rules is not shown to this login: it is deleted, mistyped or another project's; "
                                + "what the bus and webhooks say of it counts", [.alarm: .string(id)])
                    }
                    for (alarm, before) in answer.missed {
                        missed.increment()
                        log.info(
                            "an alarm had changed its state and nobody had heard of it",
                            [.alarm: .string(alarm.alarmID), .from: .string(before), .to: .string(alarm.state)])
                    }
                    for alarm in answer.alarms { await publish(alarm) }
                } catch {
                    reads.increment(Outcome.failed.rawValue)
                    watch.withLock { $0.failed() }
                    // Once for each kind of trouble. The Actuator can do its work without.
                    if told != error.code.rawValue {
                        log.warning(
                            "Aodh cannot be asked for the alarms of decider.rules; what the bus says counts",
                            [.code: .string(error.code.rawValue), .error: .string(error.description)])
                    }
                    told = error.code.rawValue
                }
            }
            guard (try? await Task.sleep(for: Self.tick.duration)) != nil else { return }
        }
    }

    /// The alarms that rules are for: by id, or by name; and whether those are all of them.
    private func read() async throws(OpenStackError) -> (seen: [AlarmWatch.Seen], isWhole: Bool) {
        var alarms: [OpenStackClient.Alarm] = []
        for word in wanted.sorted() {
            if AlarmWatch.isID(word) {
                if let alarm = try await client.alarm(word) { alarms.append(alarm) }
            } else {
                alarms += try await client.alarms(named: word)
            }
        }
        var seen: [AlarmWatch.Seen] = []
        for alarm in alarms.prefix(Self.mostAlarms) where project == nil || alarm.projectID == project {
            let last: OpenStackClient.AlarmTransition?
            do throws(OpenStackError) {
                last = try await client.lastTransition(ofAlarm: alarm.id)
            } catch {
                // Deleted a moment ago: it is not there.
                if error.code == .notFound { continue }
                throw error
            }
            let isThis = last?.state == alarm.state
            seen.append(
                AlarmWatch.Seen(
                    id: alarm.id, name: alarm.name, state: alarm.state,
                    why: (isThis ? last?.why : nil) ?? alarm.why ?? "",
                    definition: alarm.definition, since: isThis ? last?.at : nil))
        }
        return (seen, alarms.count <= Self.mostAlarms)
    }
}
