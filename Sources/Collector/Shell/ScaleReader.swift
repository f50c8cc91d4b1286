import Kubernetes
import Messages
import ServiceRuntime
import Support

/// Reads what is no workload that every cluster has: scalers may name any kind with a `scale` subresource, and such are not
/// watched but asked for by name. Each replica asks, so that whoever becomes active knows them.
struct ScaleReader: Sendable {
    /// What is to be read.
    struct Wanted: Sendable, Hashable {
        var namespace: String
        var reference: TargetReference

        var id: String { reference.id(in: namespace) }
    }

    private static let interval = Interval.seconds(5)
    private static let shortest = Interval.milliseconds(200)
    /// More are not read: one scaler names one.
    private static let maximum = 2_000
    private static let parallel = 8

    let client: KubernetesClient
    let engine: CollectorEngine
    /// Targets of scalers that are no objects.
    let configured: [Wanted]
    let log: Logger
    /// How long an object that may not be read is not asked for again.
    private let pause: Interval
    /// What was last seen of the objects of targets, by id.
    private let seen = Lock<[String: Seen]>([:])

    private struct Seen: Sendable {
        /// The version of the scale, which is that of its object; empty: not known.
        var version = ""
        var isRollingOut = false
        /// Why the object could not be read, which was said, and when it was last tried.
        var refusal: (code: KubernetesError.Code, at: ContinuousClock.Instant)?
    }

    init(
        client: KubernetesClient, engine: CollectorEngine, configured: [Wanted], log: Logger,
        pause: Interval = .minutes(1)
    ) {
        self.pause = pause
        self.client = client
        self.engine = engine
        self.configured = configured
        self.log = log
    }

    /// Runs until the task is cancelled.
    func run() async {
        var known: [String: ScaleTarget] = [:]
        var problems: [String: Explanation] = [:]
        var last: (wanted: Set<Wanted>, at: ContinuousClock.Instant)?
        while !Task.isCancelled {
            // Nil: the scalers are not known yet. Who names another target does not wait: a snapshot may wait for it.
            let wanted = await engine.foreignTargets.map { Set($0 + configured) }
            guard let wanted,
                last.map({ $0.wanted != wanted || $0.at.duration(to: .now) >= Self.interval.duration }) ?? true
            else {
                try? await Task.sleep(for: Self.shortest.duration)
                continue
            }
            last = (wanted, .now)
            let all = wanted.sorted { $0.id < $1.id }
            if all.isEmpty && known.isEmpty {
                await engine.handle(.absent(.scales))
            } else {
                known = await read(all, known)
                tell(known, &problems)
                await engine.handle(.listing(.scales))
                let targets = known.sorted { $0.key < $1.key }.map { ObservedObject.target(ObservedTarget($0.value)) }
                await engine.handle(.observed(.scales, targets))
                await engine.handle(.listed(.scales))
            }
            try? await Task.sleep(for: Self.shortest.duration)
        }
    }

    /// What stands in the way is said once.
    private func tell(_ known: [String: ScaleTarget], _ problems: inout [String: Explanation]) {
        for (id, target) in known.sorted(by: { $0.key < $1.key }) {
            if let problem = target.problem, problems[id]?.reason != problem.reason {
                log.warning(
                    "a target of a pod scaler cannot be read",
                    [.resource: .string(id), .reason: .string(problem.detail)])
            }
        }
        problems = known.compactMapValues(\.problem)
    }

    /// The targets by id; those that are not there are left out.
    func read(_ wanted: [Wanted], _ before: [String: ScaleTarget]) async -> [String: ScaleTarget] {
        let ids = Set(wanted.map(\.id))
        seen.withLock { seen in
            for id in seen.keys where !ids.contains(id) { seen[id] = nil }
        }
        return await withTaskGroup(of: (String, ScaleTarget?).self) { group in
            var found: [String: ScaleTarget] = [:]
            func take(_ result: (String, ScaleTarget?)) { found[result.0] = result.1 }
            for (number, item) in wanted.prefix(Self.maximum).enumerated() {
                if number >= Self.parallel, let result = await group.next() { take(result) }
                group.addTask { (item.id, await read(item, before[item.id])) }
            }
            for await result in group { take(result) }
            return found
        }
    }

    /// The target; nil: there is none.
    private func read(_ wanted: Wanted, _ before: ScaleTarget?) async -> ScaleTarget? {
        let reference = wanted.reference
        var target = ScaleTarget(
            apiVersion: reference.apiVersion, kind: reference.kind, namespace: wanted.namespace, name: reference.name,
            selector: nil, replicas: before?.replicas ?? 0)
        do throws(KubernetesError) {
            switch try await client.scalability(reference.apiVersion, kind: reference.kind) {
            case .not(let why): target.problem = Explanation(.targetNotScalable, why)
            case .scalable(let resource):
                let scale = try await client.scale(of: resource, namespace: wanted.namespace, reference.name)
                target.uid = scale.meta.uid
                target.replicas = Int(scale.replicas)
                target.selector = LabelSelector(text: scale.selector)
                target.isRollingOut = await isRollingOut(resource, wanted, scale.meta.resourceVersion, before)
                if target.selector == nil && !scale.selector.isEmpty {
                    target.problem = Explanation(
                        .targetNotScalable, "its scale has no selector that can be read: \(scale.selector.prefix(200))")
                }
            }
            return target
        } catch {
            if error.code == .notFound { return nil }
            // What was read a moment ago is still the best that is known.
            if error.isRetriable, let before { return before }
            target.problem = Explanation(
                error.isRetriable ? .kubernetesUnreachable : .kubernetesRefused, error.description)
            return target
        }
    }

    /// The `scale` shows no rollout, the object itself may. Who has given no right to read it has none that could be seen.
    /// What has not changed is not read again.
    private func isRollingOut(
        _ resource: ResourceName, _ wanted: Wanted, _ version: String, _ before: ScaleTarget?
    ) async -> Bool {
        let known = seen.withLock { $0[wanted.id] }
        if let known {
            if let refusal = known.refusal {
                if refusal.at.duration(to: .now) < pause.duration { return false }
            } else if !version.isEmpty && known.version == version {
                return known.isRollingOut
            }
        }
        do throws(KubernetesError) {
            let object = try await client.getValue(resource, namespace: wanted.namespace, wanted.reference.name)
            let isUnderWay = ForeignRollout.isUnderWay(object)
            seen.withLock { $0[wanted.id] = Seen(version: version, isRollingOut: isUnderWay) }
            return isUnderWay
        } catch {
            if error.isRetriable { return before?.isRollingOut ?? false }
            seen.withLock { $0[wanted.id] = Seen(refusal: (error.code, .now)) }
            if known?.refusal?.code != error.code {
                log.warning(
                    "rollouts of a pod scaler's target cannot be seen",
                    [.resource: .string(wanted.id), .error: .text(error)])
            }
            return false
        }
    }
}
