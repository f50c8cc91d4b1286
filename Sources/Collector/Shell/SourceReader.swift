import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support

/// Reads the metrics of Gnocchi and the alarms of Aodh that pod scalers name, once an interval, and tells them as external stats:
/// the replica that speaks for the cluster, and only it. Each service is read in rounds of its own: one that hangs makes the
/// values of the other no older.
struct SourceReader: Sendable {
    /// The services.
    enum Service: CaseIterable {
        case gnocchi, aodh

        /// That of a place.
        init(_ place: StatSource.Place) {
            switch place {
            case .gnocchi: self = .gnocchi
            case .alarm: self = .aodh
            }
        }
    }

    /// More are not read; who names them is told so.
    private static let maximum = 500
    /// So many at a time of each service.
    private static let parallel = 8
    /// Alarms of a project that are looked through for a name.
    private static let alarms = 1_000
    /// Where a metric is looked for: so many granules back, and at least so long.
    private static let granules = 4
    private static let shortestPast = Interval.minutes(10)

    /// The sources that scalers name.
    let wanted: @Sendable () async -> [WantedSource]
    let publish: @Sendable (ExternalStats) async -> Void
    let cluster: String
    /// Nil: nothing is read, and who names a source is told why.
    let client: OpenStackClient?
    let absence: SourceTrouble
    let log: Logger
    /// The time of an answer.
    private let clock: @Sendable () -> Timestamp
    private let outcomes: Counter

    init(
        wanted: @escaping @Sendable () async -> [WantedSource],
        publish: @escaping @Sendable (ExternalStats) async -> Void,
        cluster: String, _ client: OpenStackClient?, absence: SourceTrouble = .switchedOff, log: Logger,
        metrics: Metrics, clock: @escaping @Sendable () -> Timestamp = { .now() }
    ) {
        self.wanted = wanted
        self.publish = publish
        self.cluster = cluster
        self.client = client
        self.absence = absence
        self.log = log
        self.clock = clock
        outcomes = metrics.counter(
            "stats_source_reads", "Metrics of Gnocchi and alarms of Aodh that pod scalers name, by what came of it.",
            .label("outcome", atMost: 30))
    }

    /// Runs until the task is cancelled.
    func run(_ rounds: Rounds) async {
        await withTaskGroup { group in
            for service in Service.allCases {
                group.addTask {
                    var troubles: [StatSource.Place: SourceTrouble] = [:]
                    await rounds.run { now in
                        var stats = await read(&troubles, only: service, at: now)
                        stats.interval = rounds.interval
                        if !stats.samples.isEmpty || stats.failures != nil { await publish(stats) }
                    }
                }
            }
        }
        await client?.close()
    }

    /// One reading of each source. What is wrong is told when it begins, changes or ends.
    /// - Parameters:
    ///   - service: whose sources are read; nil: those of all.
    ///   - now: which granules are over.
    func read(
        _ troubles: inout [StatSource.Place: SourceTrouble], only service: Service? = nil, at now: Timestamp
    ) async -> ExternalStats {
        let wanted = Dictionary(grouping: await wanted(), by: \.place)
        var stats = ExternalStats(cluster: cluster, samples: [])
        var failures: [ExternalStats.Failure] = []
        var found: [StatSource.Place: SourceTrouble] = [:]
        // In the same order each time, so that of too many the same are read.
        let places = wanted.map { (place: $0.key, name: $0.value.map { "\($0.namespace) \($0.stat)" }.min() ?? "") }
            .sorted { $0.name < $1.name }.map(\.place)
        let isMine = { (place: StatSource.Place) in service.map { $0 == Service(place) } ?? true }
        let trouble = SourceTrouble(label: "too_many", what: "scalers name more than \(Self.maximum) sources")
        let rest = places.dropFirst(Self.maximum).filter(isMine).map { ($0, SourceValue.missing(trouble)) }
        for (place, value) in await readAll(places.prefix(Self.maximum).filter(isMine), at: now) + rest {
            for source in wanted[place] ?? [] {
                switch value {
                case .known(let number, let at):
                    stats.samples.append(
                        ExternalStats.Sample(
                            stat: source.stat, namespace: source.namespace, value: number, at: min(at, clock())))
                case .missing(let trouble):
                    failures.append(
                        ExternalStats.Failure(
                            stat: source.stat, namespace: source.namespace, why: trouble.what, at: clock()))
                }
            }
            guard case .missing(let trouble) = value else {
                outcomes.increment("ok")
                continue
            }
            outcomes.increment(trouble.label)
            found[place] = trouble
            if troubles[place]?.label != trouble.label {
                log.warning(
                    "a source of a pod scaler cannot be read",
                    [.resource: .string(wanted[place]?.first?.stat ?? ""), .error: .string(trouble.what)])
            }
        }
        for (place, _) in troubles where found[place] == nil && wanted[place] != nil {
            log.info(
                "a source of a pod scaler is read again", [.resource: .string(wanted[place]?.first?.stat ?? "")])
        }
        troubles = found
        stats.samples.sort { ($0.namespace ?? "", $0.stat) < ($1.namespace ?? "", $1.stat) }
        failures.sort { ($0.namespace ?? "", $0.stat) < ($1.namespace ?? "", $1.stat) }
        if !failures.isEmpty { stats.failures = failures }
        return stats
    }

    private func readAll(
        _ places: [StatSource.Place], at now: Timestamp
    ) async -> [(StatSource.Place, SourceValue)] {
        guard let client else { return places.map { ($0, .missing(absence)) } }
        let list = places.contains(where: \.isNamedAlarm) ? await allAlarms(client) : nil
        return await withTaskGroup(of: (StatSource.Place, SourceValue).self) { group in
            var values: [(StatSource.Place, SourceValue)] = []
            for (number, place) in places.enumerated() {
                if number >= Self.parallel, let value = await group.next() { values.append(value) }
                group.addTask { (place, await read(place, client, list, at: now)) }
            }
            for await value in group { values.append(value) }
            return values
        }
    }

    /// The alarms of the project.
    private struct AllAlarms: Sendable {
        var found: [OpenStackClient.Alarm]
        /// When Aodh told them.
        var at: Timestamp
    }

    private func allAlarms(_ client: OpenStackClient) async -> Result<AllAlarms, SourceTrouble> {
        do throws(OpenStackError) {
            return .success(AllAlarms(found: try await client.alarms(limit: Self.alarms), at: clock()))
        } catch {
            return .failure(SourceTrouble(error))
        }
    }

    private func read(
        _ place: StatSource.Place, _ client: OpenStackClient,
        _ alarms: Result<AllAlarms, SourceTrouble>?, at now: Timestamp
    ) async -> SourceValue {
        do throws(OpenStackError) {
            switch place {
            case .gnocchi(let metric): return try await read(metric, client, at: now)
            case .alarm(let alarm):
                if let id = alarm.id {
                    guard let found = try await client.alarm(id) else {
                        return .missing(
                            SourceTrouble(
                                label: "alarm_unknown", what: "Aodh has no alarm \(id) that this login may see"))
                    }
                    return SourceValue.of(found, alarm, at: clock())
                }
                switch alarms {
                case .success(let all)?:
                    return SourceValue.of(all.found, isWhole: all.found.count < Self.alarms, alarm, at: all.at)
                case .failure(let trouble)?: return .missing(trouble)
                case nil: return .missing(SourceTrouble(label: "alarm_unknown", what: "the alarms were not asked for"))
                }
            }
        } catch {
            return .missing(SourceTrouble(error))
        }
    }

    private func read(
        _ place: GnocchiPlace, _ client: OpenStackClient, at now: Timestamp
    ) async throws(OpenStackError) -> SourceValue {
        let start = now - max(Self.shortestPast, place.granularity * Double(Self.granules))
        let step = Int(place.granularity.inSeconds)
        guard let id = place.resourceID else {
            let measures = try await client.measures(
                across: place.across.rawValue, ofResourceType: place.resourceType, match: place.match,
                metric: place.metric, granularity: step, aggregation: place.aggregation,
                // A sum without one of its parts would look like less load.
                needsAll: place.across == .sum, since: start)
            return SourceValue.of(measures, place, at: now)
        }
        let measures = try await client.measures(
            ofResource: id, type: place.resourceType, metric: place.metric, granularity: step,
            aggregation: place.aggregation, since: start, refresh: false)
        guard let measures else {
            return .missing(
                SourceTrouble(
                    label: "metric_unknown",
                    what: "Gnocchi has no \(place.words), or none that this login may see"))
        }
        return SourceValue.of(measures, place, at: now)
    }
}

extension SourceTrouble {
    fileprivate init(_ error: OpenStackError) {
        self.init(label: error.code.rawValue, what: error.description)
    }
}

extension StatSource.Place {
    fileprivate var isNamedAlarm: Bool {
        if case .alarm(let alarm) = self { alarm.id == nil } else { false }
    }
}
