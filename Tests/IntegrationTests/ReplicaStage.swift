import AMQP
import Bus
import Crypto
import FoundationEssentials
import Glibc
import HTTPClient
import JSONReader
import Messages
import PracticeCloud
import Support
import Testing

/// Processes, configuration, broker and cloud of one test.
final class ReplicaStage: Sendable {
    private static let secret = "0123456789abcdef0123456789abcdef"

    let service: String
    let cluster = TestBroker.unique("c")
    let folder: String
    private let transportURL: String
    private let names: [String]
    private let flags: [String]
    private let cloud: PracticeCloud
    private let http = HTTPClient(userAgent: "updraft-test")
    private let processes = Lock<[String: (pid: pid_t, health: Int, answers: Int)]>([:])

    private init(
        _ service: String, _ transportURL: String, _ names: [String], _ flags: [String], _ more: [String]
    ) throws {
        self.service = service
        self.transportURL = transportURL
        self.names = names
        self.flags = flags
        folder = "\(environmentTemporary())/\(TestBroker.unique("updraft-replicas"))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var options = PracticeCloudOptions()
        options.pace = 0.05
        options.boot = .seconds(1)
        options.setGroup(minimum: 1, desired: 1, maximum: 8)
        cloud = try PracticeCloud(options)
        try cloud.cloudsYAML.write(toFile: "\(folder)/clouds.yaml", atomically: true, encoding: .utf8)
        try cloud.kubeconfig.write(toFile: "\(folder)/kubeconfig", atomically: true, encoding: .utf8)
        let text = """
            cluster: \(cluster)
            bus:
              transport_url: \(transportURL)
              keys: [{id: k, key: \(Self.secret)}]
            kubernetes: {kubeconfig: \(folder)/kubeconfig}
            openstack: {cloud: practice, clouds_file: \(folder)/clouds.yaml}
            groups:
            - {id: workers, stack: k8s, resource: workers, desired_parameter: desired, min: 1, max: 8}
            actuator: {resync: 1s, heat: {poll_interval: 200ms}}
            \(more.joined(separator: "\n"))

            """
        try text.write(toFile: "\(folder)/updraft.yaml", atomically: true, encoding: .utf8)
    }

    /// Replicas of a service by their names, two if not said otherwise, which are ended whatever happens.
    /// - Parameters:
    ///   - flags: overrides of the configuration, `FIELD=VALUE`.
    ///   - transportURL: the broker; nil: the one that all tests share.
    ///   - more: lines for the end of the configuration.
    static func with(
        _ service: String, names: [String] = ["a", "b"], flags: [String] = [], transportURL: String? = nil,
        more: [String] = [],
        _ before: (ReplicaStage) async throws -> Void = { _ in },
        then body: (ReplicaStage) async throws -> Void
    ) async throws {
        let url = try #require(transportURL ?? TestBroker.transportURL)
        let stage = try ReplicaStage(service, url, names, flags, more)
        do {
            try await before(stage)
            for name in names { try stage.start(name) }
            try await body(stage)
        } catch {
            stage.end(showing: true)
            throw error
        }
        stage.end(showing: false)
        await stage.http.close()
        await stage.cloud.stop()
    }

    private func start(_ name: String) throws {
        var path = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &path, path.count)
        let own = String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let programs = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
        let (health, answers) = (Int.random(in: 20_000..<26_000), Int.random(in: 26_000..<32_000))
        let pid = try Command.spawn(
            [
                // Without the tests' own variables, which no program knows. `env` becomes the program: one process.
                "env", "-i", "HOME=\(folder)", "\(programs)/updraft-\(service)", "--config", "\(folder)/updraft.yaml",
                "--set",
                "health.listen=127.0.0.1:\(health)", "--set", "notifier.listen=127.0.0.1:\(answers)",
            ] + flags.flatMap { ["--set", $0] }, output: "\(folder)/\(name).log")
        processes.withLock { $0[name] = (pid, health, answers) }
    }

    /// Starts one anew that was killed.
    func restart(_ name: String) throws {
        if let process = processes.withLock({ $0[name] }) {
            var status: Int32 = 0
            waitpid(process.pid, &status, 0)
        }
        try start(name)
    }

    private func end(showing: Bool) {
        for (name, process) in processes.withLock({ $0 }) {
            kill(process.pid, SIGKILL)
            var status: Int32 = 0
            waitpid(process.pid, &status, 0)
            guard showing, let log = try? String(contentsOfFile: "\(folder)/\(name).log", encoding: .utf8) else {
                continue
            }
            print("last lines of \(name):\n" + log.split(separator: "\n").suffix(25).joined(separator: "\n"))
        }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// The keys of its configuration.
    var keys: SigningKeys? {
        SigningKeys([SigningKeys.Key(id: "k", secret: Array(Self.secret.utf8))].compactMap { $0 })
    }

    /// The token of a notice, as `AnswerTokens` makes it: the same in every replica.
    static func token(removal: String, podUID: String) -> String {
        let key = hmacSHA256(key: Array(secret.utf8), Array("updraft answer token".utf8))
        let text = "\(removal.utf8.count)\n\(removal)\n\(podUID)"
        return Array(hmacSHA256(key: key, Array(text.utf8)).prefix(16)).hex
    }

    func signal(_ name: String, _ number: Int32) {
        if let process = processes.withLock({ $0[name] }) { kill(process.pid, number) }
    }

    func log(_ name: String) -> String {
        (try? String(contentsOfFile: "\(folder)/\(name).log", encoding: .utf8)) ?? ""
    }

    /// Waits for the end of a process: its exit code, or 128 and the signal that ended it; nil: not in that time.
    func ended(_ name: String, within seconds: Double) async throws -> Int32? {
        guard let process = processes.withLock({ $0.removeValue(forKey: name) }) else { return nil }
        let deadline = ContinuousClock.now + .seconds(seconds)
        var status: Int32 = 0
        while waitpid(process.pid, &status, WNOHANG) != process.pid {
            guard ContinuousClock.now < deadline else {
                kill(process.pid, SIGKILL)
                waitpid(process.pid, &status, 0)
                return nil
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        return (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }

    /// Which processes have not ended.
    var running: [String] {
        processes.withLock { $0 }.filter { waitpid($0.value.pid, nil, WNOHANG) == 0 }.keys.sorted()
    }

    // MARK: Looking

    func get(_ name: String, _ path: String) async throws -> HTTPResponse {
        let port = processes.withLock { $0[name]?.health ?? 0 }
        return try await http.send(
            HTTPRequest(
                .get, "http://127.0.0.1:\(port)\(path)", timeouts: HTTPTimeouts(total: .seconds(2)), retry: .none))
    }

    func answer(_ name: String, removal: String, podUID: String, token: String) async throws -> HTTPResponse {
        let port = processes.withLock { $0[name]?.answers ?? 0 }
        return try await http.send(
            HTTPRequest(
                .post, "http://127.0.0.1:\(port)/answers/\(removal)/\(podUID)",
                headers: ["Authorization": "Bearer \(token)"], body: Array(#"{"answer":"done"}"#.utf8)))
    }

    /// False also while it does not answer.
    func isActive(_ name: String) async throws -> Bool {
        guard let answer = try? await get(name, "/metrics") else { return false }
        return answer.text.split(separator: "\n").contains("updraft_active 1")
    }

    /// Exactly one acts, and both are ready.
    func oneActs() async throws {
        try await eventually("one of two acts, both are ready") {
            var ready = true
            for name in names where (try? await get(name, "/readyz"))?.status != 200 { ready = false }
            let (a, b) = (try await isActive("a"), try await isActive("b"))
            #expect(!(a && b))
            return ready && a != b
        }
    }

    func roles() async throws -> (active: String, standby: String) {
        try await isActive("a") ? ("a", "b") : ("b", "a")
    }

    func decide(from: Int, to: Int) async throws {
        try await publish(
            ScaleDecided(
                cluster: cluster, id: "s\(to)", group: "workers", from: from, to: to, reason: Explanation(.podsPending),
                decidedAt: .now(), deadline: .now() + .seconds(120)))
    }

    func publish(_ payload: some Payload) async throws {
        let amqp = try TestBroker.settings(transportURL)
        let bus = try TestBroker.bus(cluster: cluster, service: "test", keys: keys) { $0.amqp = amqp }
        // Whoever has just begun to act may still be declaring its queue.
        try await eventually("it is on the bus") { (try? await bus.publish(payload)) != nil }
        await bus.close()
    }

    private func control(_ path: String) async throws -> JSONValue {
        let response = try await http.send(HTTPRequest(.get, "\(cloud.controlURL)/practice/\(path)"))
        return try JSONValue.parse(response.body)
    }

    /// How often Heat was asked to change the stack.
    func patches() async throws -> Int {
        let entries = try await control("journal?kind=heat.request")["entries"]?.arrayValue ?? []
        return entries.filter { $0["method"]?.stringValue == "PATCH" }.count
    }

    /// The server of the group's first member, once it runs.
    func server() async throws -> String? {
        try await control("journal?kind=server.active")["entries"]?.arrayValue?.first?["server"]?.stringValue
    }

    /// Members that Heat lists.
    func size() async throws -> Int {
        let entries = try await control("journal?kind=member.created")["entries"]?.arrayValue ?? []
        return entries.count
    }
}
