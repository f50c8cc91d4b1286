import FoundationEssentials
import Glibc
import HTTPClient
import Support

/// The practice cloud and the four services as processes: started, killed, started again, stopped.
actor DemoSuite {
    private let options: DemoOptions
    private let programs: String
    private var running: [String: ChildProcess] = [:]
    private var healthPorts: [String: UInt16] = [:]
    private var answerPorts: [String: UInt16] = [:]
    private var chosenPorts: Set<UInt16> = []
    /// Those that are being killed.
    private var victims: Set<String> = []
    private let http = HTTPClient(userAgent: "updraft-demo")

    /// `programs` is the folder of the executables.
    init(_ options: DemoOptions, programs: String) {
        self.options = options
        self.programs = programs
    }

    /// Starts the practice cloud with its state in `folder`; `practice.json` there says where it is once it listens. The state folder
    /// may have served another run: what that left running is ended first.
    func startCloud(in folder: String, arguments: [String]) throws(ChildProcessError) {
        ChildProcess.endNoted(in: "\(options.state)/pids")
        // It would lead to a cloud that is gone.
        unlink("\(folder)/practice.json")
        try start(
            "practice-cloud", executable: "\(programs)/updraft", ["practice-cloud", "--state-dir", folder] + arguments,
            health: nil)
    }

    /// The names of a service's replicas: `actuator`, `actuator-2`, …
    private func replicas(of service: String) -> [String] {
        (1...options.replicas).map { $0 == 1 ? service : "\(service)-\($0)" }
    }

    /// Starts all replicas of a service.
    func startService(_ service: String) throws(ChildProcessError) {
        for name in replicas(of: service) { try startReplica(name, of: service) }
    }

    private func startReplica(_ name: String, of service: String) throws(ChildProcessError) {
        let port = healthPorts[name] ?? newPort()
        healthPorts[name] = port
        var arguments = ["--config", "\(options.state)/updraft.yaml"]
        // Each replica takes answers of pods at an address of its own.
        if service == "notifier" {
            let port = answerPorts[name] ?? newPort()
            answerPorts[name] = port
            // Pods here are on this machine too.
            arguments += [
                "--set", "notifier.listen=127.0.0.1:\(port)",
                "--set", "notifier.advertise_url=http://127.0.0.1:\(port)",
            ]
        }
        try start(name, executable: "\(programs)/updraft-\(service)", arguments, health: port)
    }

    /// A free port, and no other process of this suite's: one that was started a moment ago may not listen yet. 0: none is free.
    private func newPort() -> UInt16 {
        while true {
            let port = DemoFiles.freePort()
            if port == 0 || chosenPorts.insert(port).inserted { return port }
        }
    }

    private func start(
        _ name: String, executable: String, _ arguments: [String], health: UInt16?
    ) throws(ChildProcessError) {
        var environment = [
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": options.state,
            "UPDRAFT_BUS_TRANSPORT_URL": options.transportURL,
        ]
        if let health { environment["UPDRAFT_HEALTH_LISTEN"] = "127.0.0.1:\(health)" }
        let child = try ChildProcess.start(
            name: name, executable: executable, arguments: arguments, environment: environment,
            logFile: "\(options.state)/\(name).log")
        running[name] = child
        child.note(in: "\(options.state)/pids")
    }

    /// SIGKILL to the replica of a service that acts, and start it again: at once if it is the only one, else when
    /// another acts. Returns its name. One call at a time for each service.
    @discardableResult
    func kill(_ service: String, told: @Sendable (String) async -> Void = { _ in }) async throws -> String {
        var victim = service
        if options.replicas > 1 { victim = try await active(of: service, other: nil) }
        guard let child = running[victim] else { return victim }
        victims.insert(victim)
        defer { victims.remove(victim) }
        await told("SIGKILL to \(victim)")
        child.signal(9)
        while child.isRunning { try? await Task.sleep(for: .milliseconds(5)) }
        running[victim] = nil
        let killedAt = Timestamp.now()
        if options.replicas > 1 {
            let next = try await active(of: service, other: victim)
            await told("\(next) took over after \(Timestamp.now() - killedAt)")
        }
        try startReplica(victim, of: service)
        return victim
    }

    /// The replica that says in its metrics that it acts, once there is one.
    private func active(of service: String, other: String?) async throws -> String {
        let deadline = Timestamp.now() + .seconds(30)
        while Timestamp.now() < deadline {
            for name in replicas(of: service) where name != other && running[name] != nil {
                if await isActive(name) { return name }
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw DemoRun.Failure(description: "no replica of \(service) acts")
    }

    private func isActive(_ name: String) async -> Bool {
        guard let answer = try? await http.send(HTTPRequest(.get, healthURL(name) + "/metrics")) else { return false }
        return answer.body.split(separator: UInt8(ascii: "\n")).contains { $0.elementsEqual("updraft_active 1".utf8) }
    }

    /// Processes that ended by themselves, which none should.
    func endedByItself() -> [ChildProcess] {
        running.filter { !$0.value.isRunning && !victims.contains($0.key) }.map(\.value)
    }

    /// The process of a replica.
    func pid(of name: String) -> Int32? { running[name]?.pid }

    /// Where a service's health server listens.
    func healthURL(_ name: String) -> String {
        "http://127.0.0.1:\(healthPorts[name] ?? 0)"
    }

    /// What is not ready yet, in the services' own words. Who stands by is ready, so one of each must act too.
    func notReady() async -> [String] {
        var complaints: [String] = []
        for service in DemoOptions.services {
            var acts = false
            for name in replicas(of: service) where !acts { acts = await isActive(name) }
            if !acts { complaints.append("\(service): no replica acts yet") }
        }
        for name in DemoOptions.services.flatMap({ replicas(of: $0) }) {
            do throws(HTTPError) {
                let response = try await http.send(HTTPRequest(.get, healthURL(name) + "/readyz"))
                if response.status != 200 {
                    complaints.append("\(name): \(String(decoding: response.body.prefix(300), as: UTF8.self))")
                }
            } catch {
                complaints.append("\(name) does not answer yet")
            }
        }
        return complaints
    }

    /// The last lines of every log, for a person who must find out what went wrong.
    func lastWords(lines: Int = 12) -> String {
        running.keys.sorted().map { name in
            let text = DemoFiles.read("\(options.state)/\(name).log") ?? ""
            let last = text.split(separator: "\n").suffix(lines).map { "    " + $0.prefix(400) }
            return "  \(name):\n" + last.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    /// Stops everything: services first, in no order, then the cloud.
    func stop() async {
        let services = running.filter { $0.key != "practice-cloud" }.map(\.value)
        await withTaskGroup(of: Void.self) { group in
            for child in services { group.addTask { await child.stop(grace: .seconds(8)) } }
        }
        if let cloud = running["practice-cloud"] { await cloud.stop(grace: .seconds(3)) }
        running = [:]
    }
}
