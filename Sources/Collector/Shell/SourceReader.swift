import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support

/// Reads the metrics of Gnocchi and of the cluster's own metrics APIs and the alarms of Aodh that pod scalers name, once an interval,
/// and tells them as external stats (those of pods as stats of theirs): the replica that speaks for the cluster, and only it. Each
/// service is read in rounds of its own: one that hangs makes the values of the other no older.
struct SourceReader: Sendable {
    /// The services.
    enum Service: CaseIterable {
        case gnocchi, aodh
        /// The two metrics APIs of the cluster, which adapters of their own serve.
        case external, custom

        var isOfCluster: Bool { self == .external || self == .custom }

        /// That of a place.
        init(_ place: StatSource.Place) {
            switch place {
            case .gnocchi: self = .gnocchi
            case .alarm: self = .aodh
            case .kubernetes(let metric): self = ClusterMetricsAPI(metric) == .external ? .external : .custom
            }
        }
    }

    /// More of a service are not read; who names them is told so.
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
    /// The pods of namespaces, and where what they have of their own is told.
    let pods: SourcePods?
    let cluster: String
    /// Nil: nothing of OpenStack is read, and who names a source there is told why.
    let client: OpenStackClient?
    /// The metrics APIs of the cluster, which are read whether OpenStack is or not.
    let clusterMetrics: ClusterMetricsReader?
    let absence: SourceTrouble
    let log: Logger
    /// The time of an answer.
    private let clock: @Sendable () -> Timestamp
    private let outcomes: Counter

    init(
        wanted: @escaping @Sendable () async -> [WantedSource],
        publish: @escaping @Sendable (ExternalStats) async -> Void, pods: SourcePods? = nil,
        cluster: String, _ client: OpenStackClient?, absence: SourceTrouble = .switchedOff,
        clusterMetrics: ClusterMetricsReader? = nil, log: Logger,
        metrics: Metrics, clock: @escaping @Sendable () -> Timestamp = { .now() }
    ) {
        self.wanted = wanted
        self.publish = publish
        self.pods = pods
        self.cluster = cluster
        self.client = client
        self.absence = absence
        self.clusterMetrics = clusterMetrics
        self.log = log
        self.clock = clock
        outcomes = metrics.counter(
            "stats_source_reads",
            "Metrics of Gnocchi and of the cluster's metrics APIs and alarms of Aodh that pod scalers name, by what came of it.",
            .label("outcome", atMost: 40))
    }

    /// Runs until the task is cancelled.
    /// - Parameters:
    ///   - rounds: those of OpenStack's services.
    ///   - own: those of the metrics APIs of the cluster; nil: the same.
    func run(_ rounds: Rounds, cluster own: Rounds? = nil) async {
        await withTaskGroup { group in
            for service in Service.allCases {
                let rounds = service.isOfCluster ? own ?? rounds : rounds
                group.addTask {
                    var troubles: [SourceKey: SourceTrouble] = [:]
                    await rounds.run { now in
                        let (external, ofPods) = await read(&troubles, only: service, at: now)
                        var stats = external
                        stats.interval = rounds.interval
                        if !stats.samples.isEmpty || stats.failures != nil { await publish(stats) }
                        if !ofPods.isEmpty { await pods?.tell(ofPods, cluster: cluster) }
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
        _ troubles: inout [SourceKey: SourceTrouble], only service: Service? = nil, at now: Timestamp
    ) async -> (external: ExternalStats, ofPods: [SourcePods.Reading]) {
        let wanted = Dictionary(
            grouping: await wanted().filter { source in service.map { $0 == Service(source.place) } ?? true }, by: \.key
        )
        var stats = ExternalStats(cluster: cluster, samples: [])
        var ofPods: [SourcePods.Reading] = []
        var failures: [ExternalStats.Failure] = []
        var found: [SourceKey: SourceTrouble] = [:]
        // In the same order each time, so that of too many the same are read.
        let keys = wanted.map { (key: $0.key, name: $0.value.map { "\($0.namespace) \($0.stat)" }.min() ?? "") }
            .sorted { $0.name < $1.name }.map(\.key)
        let trouble = SourceTrouble(label: "too_many", what: "scalers name more than \(Self.maximum) sources")
        let rest = keys.dropFirst(Self.maximum).map { ($0, SourceValue.missing(trouble)) }
        for (key, value) in await readAll(Array(keys.prefix(Self.maximum)), at: now) + rest {
            for source in wanted[key] ?? [] {
                switch value {
                case .known(let number, let at):
                    stats.samples.append(
                        ExternalStats.Sample(
                            stat: source.stat, namespace: source.namespace, value: number, at: min(at, clock())))
                case .pods(let values):
                    ofPods.append(
                        SourcePods.Reading(stat: source.stat, namespace: source.namespace, values: values))
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
            found[key] = trouble
            if troubles[key]?.label != trouble.label {
                log.warning(
                    "a source of a pod scaler cannot be read",
                    [.resource: .string(wanted[key]?.first?.stat ?? ""), .error: .string(trouble.what)])
            }
        }
        for (key, _) in troubles where found[key] == nil && wanted[key] != nil {
            log.info(
                "a source of a pod scaler is read again", [.resource: .string(wanted[key]?.first?.stat ?? "")])
        }
        troubles = found
        stats.samples.sort { ($0.namespace ?? "", $0.stat) < ($1.namespace ?? "", $1.stat) }
        failures.sort { ($0.namespace ?? "", $0.stat) < ($1.namespace ?? "", $1.stat) }
        if !failures.isEmpty { stats.failures = failures }
        return (stats, ofPods)
    }

    private func readAll(_ keys: [SourceKey], at now: Timestamp) async -> [(SourceKey, SourceValue)] {
        let places = keys.map(\.place)
        var alarms: Result<AllAlarms, SourceTrouble>?
        if let client, places.contains(where: \.isNamedAlarm) { alarms = await allAlarms(client) }
        let (list, versions) = (alarms, await clusterMetrics?.versions(for: places) ?? [:])
        return await withTaskGroup(of: (SourceKey, SourceValue).self) { group in
            var values: [(SourceKey, SourceValue)] = []
            for (number, key) in keys.enumerated() {
                if number >= Self.parallel, let value = await group.next() { values.append(value) }
                group.addTask { (key, await read(key, list, versions, at: now)) }
            }
            for await value in group { values.append(value) }
            return values
        }
    }

    private func read(
        _ key: SourceKey, _ alarms: Result<AllAlarms, SourceTrouble>?, _ versions: ClusterMetricsReader.Versions,
        at now: Timestamp
    ) async -> SourceValue {
        guard case .kubernetes(let metric) = key.place else {
            guard let client else { return .missing(absence) }
            return await read(key.place, client, alarms, at: now)
        }
        guard let clusterMetrics else {
            return .missing(SourceTrouble(label: "switched_off", what: "no API server is asked for metrics"))
        }
        return await clusterMetrics.read(metric, in: key.namespace, pods: key.pods, versions, clock: clock)
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
            case .kubernetes: return .missing(absence)
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
