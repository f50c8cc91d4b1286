import FoundationEssentials
import HTTPClient
import Support

/// The practice cloud and the four services as processes: started, killed, started again, stopped.
actor DemoSuite {
    private let options: DemoOptions
    private let programs: String
    private var running: [String: ChildProcess] = [:]
    private var healthPorts: [String: UInt16] = [:]
    private let http = HTTPClient(userAgent: "updraft-demo")

    /// `programs` is the folder of the executables.
    init(_ options: DemoOptions, programs: String) {
        self.options = options
        self.programs = programs
    }

    /// Starts the practice cloud; its state file says where it is once it listens.
    func startCloud(arguments: [String]) throws(ChildProcessError) {
        try start("practice-cloud", executable: "\(programs)/updraft", ["practice-cloud"] + arguments, health: nil)
    }

    /// Starts a service, or starts it again.
    func startService(_ name: String) throws(ChildProcessError) {
        let port = healthPorts[name] ?? DemoFiles.freePort()
        healthPorts[name] = port
        try start(
            name, executable: "\(programs)/updraft-\(name)", ["--config", "\(options.state)/updraft.yaml"], health: port
        )
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
        DemoFiles.append("\(child.pid)\n", to: "\(options.state)/pids")
    }

    /// SIGKILL, wait for the end, start again.
    func killAndRestart(_ name: String) async throws(ChildProcessError) {
        guard let child = running[name] else { return }
        child.signal(9)
        while child.isRunning { try? await Task.sleep(for: .milliseconds(5)) }
        // Two kills of one service at nearly the same time wait for the same end: only the first starts it again, or
        // one of two new ones would be forgotten and run on after the demo.
        guard running[name] === child else { return }
        try startService(name)
    }

    /// Processes that ended by themselves, which none should.
    func ended() -> [ChildProcess] {
        running.values.filter { !$0.isRunning }
    }

    /// Where a service's health server listens.
    func healthURL(_ name: String) -> String {
        "http://127.0.0.1:\(healthPorts[name] ?? 0)"
    }

    /// What is not ready yet, in the services' own words.
    func notReady() async -> [String] {
        var complaints: [String] = []
        for name in DemoOptions.services {
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
