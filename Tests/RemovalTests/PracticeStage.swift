import FoundationEssentials
import Glibc
import HTTPClient
import JSONReader
import Kubernetes
import Messages
import OpenStack
import PracticeCloud
import ServiceRuntime
import Settings
import Support

@testable import Actuator
@testable import Notifier

/// The Actuator's and the Notifier's engines against a practice cloud, in one process. The bus is a function call:
/// what one publishes the other hears; decisions are handed in by the test.
final class PracticeStage: Sendable {
    let cloud: PracticeCloud
    let kubernetes: KubernetesClient
    let openstack: OpenStackClient
    let hooks = HTTPClient(tls: TLSSettings(insecureSkipVerify: true), userAgent: "updraft-test")
    let settings: Settings
    /// What the services say of themselves in `/readyz` and `/metrics`.
    let readiness = Readiness()
    let metrics = Metrics()
    private let written = Lock<[String]>([])
    private let door: HookDoor
    private let published = Lock<[Event]>([])
    private let listeners = Lock<[@Sendable (Event) -> Void]>([])
    private let running = Lock(Running())

    private struct Running {
        var actuator: ActuatorEngine?
        var notifier: NotifierEngine?
        var tasks: [String: Task<Void, Never>] = [:]
    }

    struct NotInTime: Error, CustomStringConvertible {
        let description: String
    }

    /// `group`: the group as `POST /practice/stacks` takes it, for one that holds deletions or has policies; `stacks`: all of
    /// them, instead; `keystone`, `heat`: where the services look for it, if not where it is.
    init(
        desired: Int = 3, minimum: Int = 1, group: [String: JSONValue]? = nil, pace: Double = 0.05,
        extra: [String] = [], stacks: JSONValue? = nil, keystone: String? = nil, heat: String? = nil
    ) throws {
        var options = PracticeCloudOptions()
        options.pace = pace
        options.boot = .seconds(2)
        options.setGroup(minimum: minimum, desired: desired, maximum: 8)
        if let group {
            let sizes: [String: JSONValue] = [
                "desired": .int(Int64(desired)), "min": .int(Int64(minimum)), "max": 8,
            ]
            let whole = JSONValue.object(group.merging(sizes) { given, _ in given })
            try options.setStacks([["name": "k8s", "timeout_mins": 10, "groups": [whole]]])
        }
        if let stacks { try options.setStacks(stacks) }
        cloud = try PracticeCloud(options)
        let folder = "\(NSTemporaryDirectoryPath.value)/updraft-removal-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let clouds = folder + "/clouds.yaml"
        try cloud.cloudsYAML.write(toFile: clouds, atomically: true, encoding: .utf8)
        kubernetes = KubernetesClient(
            try KubernetesConfiguration.kubeconfig(text: cloud.kubeconfig, file: "practice"), maximumInFlight: 64)
        var configuration = try CloudConfiguration.load(cloud: "practice", file: clouds, environment: [:])
        if let keystone { configuration.authURL = keystone }
        if let heat { configuration.endpointOverrides["orchestration"] = heat }
        openstack = OpenStackClient(configuration)
        settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=practice", "bus.transport_url=rabbit://guest:guest@127.0.0.1:1/",
                "groups=[{id: workers, stack: k8s, resource: workers, desired_parameter: desired, min: \(minimum), max: 8}]",
                "actuator.resync=1s", "actuator.heat.poll_interval=100ms", "actuator.drain.poll_interval=100ms",
                "actuator.drain.eviction_retry=200ms", "actuator.drain.timeout=20s", "notifier.cooldown=2s",
                "notifier.max_cooldown=20s", "notifier.hooks.timeout=1s",
            ] + extra)
        door = HookDoor(settings.notifier.hooks, userAgent: "updraft-test")
    }

    // MARK: Services

    var runtime: (log: Logger, metrics: Metrics, readiness: Readiness) {
        // UPDRAFT_TEST_LOG=1 shows what the services log.
        let isShown = getenv("UPDRAFT_TEST_LOG") != nil
        let written = written
        let write: @Sendable ([UInt8]) -> Void = { line in
            written.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
            if isShown { Logger.standardError(line) }
        }
        return (Logger(service: "test", level: .debug, write: write), metrics, readiness)
    }

    /// - Parameter change: of what no setting says.
    func startActuator(_ change: (inout ActuatorPolicy) -> Void = { _ in }) {
        let (log, metrics, readiness) = runtime
        let isDryRun = settings.actuator.dryRun
        let door = ClusterDoor(kubernetes, host: "test", isDryRun: isDryRun)
        let nodes = WarmTable<NodeView> { $0.name }
        var policy = ActuatorPolicy(settings)
        change(&policy)
        let engine = ActuatorEngine(
            policy: policy,
            cloud: HeatDoor(openstack, groups: settings.groups, isDryRun: isDryRun),
            cluster: door, nodes: nodes, lease: .unlimited,
            observer: ActuatorObserver(log: log, metrics: metrics, readiness: readiness))
        let task = Task {
            await withTaskGroup { group in
                group.addTask { await door.watchNodes(into: nodes) { _ in } }
                await engine.run { event in
                    await self.deliver(event)
                    return true
                }
                group.cancelAll()
            }
        }
        running.withLock { running in
            running.actuator = engine
            running.tasks["actuator"] = task
        }
    }

    func startNotifier() {
        let (log, metrics, readiness) = runtime
        let warm = WarmCluster()
        let engine = NotifierEngine(
            policy: NotifierPolicy(settings),
            pods: PodDoor(
                kubernetes, hooks: door, cluster: "practice", host: "test", isDryRun: settings.notifier.dryRun),
            warm: warm, lease: .unlimited,
            observer: NotifierObserver(log: log, metrics: metrics, readiness: readiness),
            tokens: AnswerTokens(settings), webhooks: WebhookDoor([], userAgent: "updraft-test", isDryRun: false),
            parallelHooks: settings.notifier.hooks.parallel,
            answerURL: { _, _ in nil })
        let task = Task {
            await withTaskGroup { group in
                group.addTask { await warm.watch(self.kubernetes) { _, _ in } }
                await engine.run { event in
                    await self.deliver(event)
                    return true
                }
                group.cancelAll()
            }
        }
        running.withLock { running in
            running.notifier = engine
            running.tasks["notifier"] = task
        }
    }

    /// Ends a service without a goodbye: what it had in memory is gone.
    func stop(_ name: String) async {
        let task = running.withLock { $0.tasks.removeValue(forKey: name) }
        task?.cancel()
        await task?.value
    }

    func close() async {
        await stop("actuator")
        await stop("notifier")
        await kubernetes.close()
        await openstack.close()
        await hooks.close()
        await door.close()
        await cloud.stop()
    }

    /// What Heat's notifications would tell it.
    func tell(_ event: ActuatorEvent) {
        running.withLock { $0.actuator }?.tell(event)
    }

    /// Who is called with everything that is published from now on.
    func listen(_ hear: @escaping @Sendable (Event) -> Void) {
        listeners.withLock { $0.append(hear) }
    }

    func deliver(_ event: Event) async {
        published.withLock { $0.append(event) }
        for hear in listeners.withLock({ $0 }) { hear(event) }
        let actuator = running.withLock { $0.actuator }
        switch event {
        case .removalNoticed(let event): actuator?.tell(.removalNoticed(event.removal))
        case .removalQuiesced(let event): actuator?.tell(.removalQuiesced(event.removal))
        case .cloudServer(let event): actuator?.tell(.serverReported(event))
        default: break
        }
    }

    // MARK: Decisions

    /// Hands a decision to whichever Actuator runs, again and again until it is settled, as the broker does.
    func decide(_ command: @escaping @Sendable (Int) -> ActuatorEvent) async throws {
        for _ in 0..<200 {
            if let engine = running.withLock({ $0.actuator }), await engine.handle(command) == .done { return }
            try await Task.sleep(for: .milliseconds(200))
        }
        throw NotInTime(description: "the decision was never settled")
    }

    func answer(_ removal: String, podUID: String, _ word: AnswerWord, token: String) async -> AnswerVerdict? {
        await running.withLock { $0.notifier }?.answer(
            removal: removal, podUID: podUID, word, token: token, .http)?.verdict
    }

    func removal(_ id: String, of node: Node, from: Int) -> RemovalDecided {
        RemovalDecided(
            cluster: "practice", id: id, group: "workers", from: from,
            nodes: [
                RemovalTarget(
                    node: node.name, nodeUID: node.uid, serverID: node.serverID ?? "",
                    reason: Explanation(.nodeUnneeded))
            ], decidedAt: .now(), deadline: .now() + .seconds(60))
    }

    // MARK: Looking

    /// What the services logged.
    var log: [String] { written.withLock { $0 } }
    var events: [Event] { published.withLock { $0 } }
    var story: [EventType] { events.map(\.type) }

    func nodes() async throws -> [Node] {
        try await kubernetes.all(NodeObject.self).map(\.node).sorted { $0.createdAt < $1.createdAt }
    }

    func pods() async throws -> [NodePod] {
        try await kubernetes.all(PodObject.self).map(NodePod.init)
    }

    func group() async throws -> HeatGroupSnapshot {
        try await openstack.groupSnapshot(stack: "k8s", resource: "workers", desiredParameter: "desired")
    }

    func control(_ method: HTTPMethod, _ path: String, _ body: JSONValue) async throws {
        let response = try await hooks.send(
            HTTPRequest(method, cloud.controlURL + "/practice/" + path, body: body.bytes))
        guard response.status < 300 else { throw NotInTime(description: "\(path): \(response.text)") }
    }

    func wait(
        _ what: String, within: Interval = .seconds(60), until condition: () async throws -> Bool
    ) async throws {
        let end = Timestamp.now() + within
        while true {
            if try await condition() { return }
            guard Timestamp.now() < end else {
                throw NotInTime(description: "\(what): not within \(within); events: \(story.map(\.rawValue))")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// All machines are ready nodes.
    func ready(_ count: Int) async throws {
        try await wait("\(count) nodes ready") {
            try await nodes().filter { $0.readiness == .ready }.count == count
        }
    }
}

/// Where temporary files go.
enum NSTemporaryDirectoryPath {
    static var value: String { FileManager.default.temporaryDirectory.path }
}
