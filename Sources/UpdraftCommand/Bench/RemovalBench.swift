import Bus
import FoundationEssentials
import Glibc
import HTTPClient
import JSONReader
import Messages
import ServiceRuntime
import Settings
import Support

/// What the removal of many nodes at once took.
struct RemovalBenchResult: Sendable {
    /// Nodes in removal, and how many of them were in their cooldown at the same time.
    var nodes: Int
    var atOnce: Int
    /// Pods told.
    var pods: Int
    /// Seconds from the deadline of a node's cooldown to word of its end on the bus, of nodes that waited until then.
    var late: [Double]
    /// Nodes whose pods had all answered before.
    var answered: Int
    /// Seconds from the decision to the last node cordoned, drained, gone.
    var cordoned: Double
    var drained: Double
    var gone: Double
    /// CPU time in seconds, and peak resident memory in MB (10^6), of the two services that work.
    var notifier: ProcessUsage
    var actuator: ProcessUsage
}

/// `updraft bench removal`: the practice cloud and the four services as processes, and all nodes but one are to go at once.
/// Half of them have a pod whose hook never answers, so that their cooldown ends by time; the pods of the others answer.
enum RemovalBench {
    private static let cluster = "demo"

    /// `cooldown` in seconds; pods that answer take a third of it.
    static func run(
        nodes: Int, cooldown: Int, state: String, transportURL: String
    ) async throws -> RemovalBenchResult {
        var options = DemoOptions()
        options.state = state
        options.transportURL = transportURL
        let suite = DemoSuite(options, programs: DemoFiles.programFolder())
        let http = HTTPClient(userAgent: "updraft-bench")
        do {
            try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
            let result = try await measure(nodes, cooldown, options, suite, http)
            await suite.stop()
            await http.close()
            return result
        } catch {
            let words = await suite.lastWords()
            await suite.stop()
            await http.close()
            throw DemoRun.Failure(description: "\(error)\n\(words)")
        }
    }

    private static func measure(
        _ count: Int, _ cooldown: Int, _ options: DemoOptions, _ suite: DemoSuite, _ http: HTTPClient
    ) async throws -> RemovalBenchResult {
        let folder = "\(options.state)/cloud"
        try await suite.startCloud(
            in: folder,
            arguments: [
                "--pace", "0.01", "--boot", "15", "--min", "1", "--desired", "\(count + 1)", "--max", "\(count + 1)",
                "--flavor", "m1.large", "--transport-url", options.transportURL,
            ])
        let text = try await waitFor("the practice cloud", suite, .seconds(60)) {
            DemoFiles.read("\(folder)/practice.json")
        }
        let practice = try JSONValue.parse(text)
        try DemoFiles.write("0123456789abcdef0123456789abcdef0123456789abcdef", to: "\(options.state)/signing.key")
        try DemoFiles.write(
            configuration(practice, count, cooldown, key: "\(options.state)/signing.key"),
            to: "\(options.state)/updraft.yaml")
        let control = PracticeControl(url: practice["control"]?.stringValue ?? "", http: http)
        _ = try await waitFor("\(count + 1) nodes", suite, .minutes(5)) { () async -> Bool? in
            await control.state().flatMap { $0.readyNodes > count ? true : nil }
        }
        // One of each on a node: more than half of its 4 cores does not go twice.
        try await control.makeWorkload([
            "name": "answers", "replicas": .int(Int64(count)), "cpu": "2100m", "memory": "64Mi", "gate": true,
            "hook": ["answer": "done", "delay": .int(Int64(cooldown / 3))],
        ])
        try await control.makeWorkload([
            "name": "silent", "replicas": .int(Int64(count / 2)), "cpu": "1100m", "memory": "64Mi",
            "hook": ["answer": "never"],
        ])
        _ = try await waitFor("the pods", suite, .minutes(10)) { () async -> Bool? in
            await control.state().flatMap { $0.running >= count + count / 2 ? true : nil }
        }
        for name in DemoOptions.services { try await suite.startService(name) }
        _ = try await waitFor("the services", suite, .minutes(2)) { () async -> Bool? in
            await suite.notReady().isEmpty ? true : nil
        }
        return try await removeAll(count, options, suite, practice, http)
    }

    /// Decides the removal of all nodes but the first, and follows it to its end.
    private static func removeAll(
        _ count: Int, _ options: DemoOptions, _ suite: DemoSuite, _ practice: JSONValue, _ http: HTTPClient
    ) async throws -> RemovalBenchResult {
        let targets = try await nodes(practice, http).dropFirst().prefix(count)
        guard targets.count == count else { throw DemoRun.Failure(description: "only \(targets.count + 1) nodes") }
        let settings = try Settings.load(
            file: "\(options.state)/updraft.yaml", environment: ["UPDRAFT_BUS_TRANSPORT_URL": options.transportURL])
        let bus = try Bus(try BusSettings(settings, service: "bench", host: ServiceMain.hostName()))
        let watched = Lock(Watched())
        let reader = Task {
            let lifecycle = Subscription(
                topics: [.lifecycle], kind: .perishable(maximumLength: 100_000, ttl: .seconds(600)), exclusive: true)
            try? await bus.subscribe(lifecycle) { incoming in
                let now = Timestamp.now()
                watched.withLock { $0.take(incoming.event, at: now) }
                return .done
            }
        }
        defer { reader.cancel() }
        // The queue has to be there before the first word.
        try await Task.sleep(for: .seconds(2))
        let before = try await usage(suite)
        let begun = Timestamp.now()
        _ = try await bus.publish(
            RemovalDecided(
                cluster: cluster, id: "bench", group: "workers", from: count + 1, nodes: Array(targets),
                decidedAt: begun, deadline: begun + .seconds(120)))
        _ = try await waitFor("the removal of \(count) nodes", suite, .minutes(15)) {
            watched.withLock { $0.gone.count + $0.failed.count >= count ? true : nil }
        }
        let after = try await usage(suite)
        let seen = watched.withLock { $0 }
        await bus.close(within: .seconds(2))
        if let failed = seen.failed.sorted(by: { $0.key < $1.key }).first {
            throw DemoRun.Failure(
                description: "\(seen.failed.count) removals failed, \(failed.key): \(failed.value.detail)")
        }
        func last(_ times: [String: Timestamp]) -> Double { ((times.values.max() ?? begun) - begun).inSeconds }
        return RemovalBenchResult(
            nodes: count, atOnce: seen.atOnce, pods: seen.pods, late: seen.late.sorted(), answered: seen.answered,
            cordoned: last(seen.cordoned), drained: last(seen.drained), gone: last(seen.gone),
            notifier: after.notifier.since(before.notifier), actuator: after.actuator.since(before.actuator))
    }

    /// What was heard on the bus.
    private struct Watched {
        var cordoned: [String: Timestamp] = [:]
        var deadlines: [String: Timestamp] = [:]
        var quiesced: Set<String> = []
        var drained: [String: Timestamp] = [:]
        var gone: [String: Timestamp] = [:]
        var failed: [String: Explanation] = [:]
        var late: [Double] = []
        var answered = 0
        var pods = 0
        var atOnce = 0

        mutating func take(_ event: Event, at now: Timestamp) {
            switch event {
            case .removalCordoned(let event):
                if cordoned[event.removal.node] == nil { cordoned[event.removal.node] = now }
                atOnce = max(atOnce, cordoned.count - quiesced.count)
            case .removalNoticed(let event): deadlines[event.removal.node] = event.removal.deadline
            case .removalQuiesced(let event):
                // It is repeated until the record shows it.
                guard quiesced.insert(event.removal.node).inserted else { return }
                pods += event.removal.pods
                guard event.removal.reason.reason == .cooldownExpired, let deadline = deadlines[event.removal.node]
                else {
                    answered += 1
                    return
                }
                late.append((now - deadline).inSeconds)
            case .removalDrained(let event): if drained[event.removal.node] == nil { drained[event.removal.node] = now }
            case .removalCompleted(let event): if gone[event.removal.node] == nil { gone[event.removal.node] = now }
            case .removalFailed(let event): failed[event.removal.node] = event.removal.reason
            default: break
            }
        }
    }

    private static func usage(
        _ suite: DemoSuite
    ) async throws -> (notifier: ProcessUsage, actuator: ProcessUsage) {
        guard let notifier = await suite.pid(of: "notifier"), let actuator = await suite.pid(of: "actuator") else {
            throw DemoRun.Failure(description: "Notifier or Actuator is not there")
        }
        return (try ProcessUsage(of: notifier), try ProcessUsage(of: actuator))
    }

    /// All nodes, as targets of a removal, by name.
    private static func nodes(_ practice: JSONValue, _ http: HTTPClient) async throws -> [RemovalTarget] {
        let response = try await http.send(
            HTTPRequest(
                .get, (practice["kubernetes"]?.stringValue ?? "") + "/api/v1/nodes",
                headers: ["authorization": "Bearer \(practice["kubernetes_token"]?.stringValue ?? "")"]))
        let items = try JSONValue.parse(response.body)["items"]?.arrayValue ?? []
        return items.compactMap { item -> RemovalTarget? in
            guard let name = item[path: "metadata", "name"]?.stringValue,
                let uid = item[path: "metadata", "uid"]?.stringValue,
                let server = item[path: "spec", "providerID"]?.stringValue?.split(separator: "/").last
            else { return nil }
            return RemovalTarget(
                node: name, nodeUID: uid, serverID: String(server), reason: Explanation(.requestedByOperator, "a bench")
            )
        }.sorted { $0.node < $1.node }
    }

    private static func waitFor<Value: Sendable>(
        _ what: String, _ suite: DemoSuite, _ bound: Interval, _ look: () async -> Value?
    ) async throws -> Value {
        let deadline = Timestamp.now() + bound
        while true {
            if let value = await look() { return value }
            if let dead = await suite.endedByItself().first {
                throw DemoRun.Failure(description: "\(dead.name) ended by itself; its log: \(dead.logFile)")
            }
            guard Timestamp.now() < deadline else {
                throw DemoRun.Failure(description: "\(what): nothing after \(bound)")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private static func configuration(_ practice: JSONValue, _ nodes: Int, _ cooldown: Int, key: String) -> String {
        func field(_ name: String) -> String { practice[name]?.stringValue ?? "" }
        return """
            cluster: \(cluster)
            bus:
              keys:
              - {id: bench, key_file: "\(key)"}
            kubernetes:
              kubeconfig: "\(field("kubeconfig"))"
            openstack:
              cloud: \(field("cloud"))
              clouds_file: "\(field("clouds"))"
            groups:
            - id: workers
              stack: \(field("stack"))
              resource: \(field("resource"))
              desired_parameter: desired
              min: 1
              max: \(nodes + 1)
            collector:
              stats: {enabled: false}
            decider:
              scale_down: {enabled: false}
            notifier:
              cooldown: \(cooldown)s
              max_cooldown: \(2 * cooldown)s
              hooks: {timeout: 3s, attempts: 3}

            """
    }
}
