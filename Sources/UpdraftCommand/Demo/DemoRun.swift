import Bus
import FoundationEssentials
import HTTPClient
import JSONReader
import Messages
import ServiceRuntime
import Settings
import Support

/// One run of the demo: brings everything up, plays the story, judges.
struct DemoRun: Sendable {
    /// Why a run could not go on.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    var options: DemoOptions
    var suite: DemoSuite
    var http: HTTPClient

    /// Plays everything and returns the verdict.
    func play() async throws -> Verdict {
        let control = try await start(minimum: DemoWorkloads.nodes, maximum: 6, pace: 0.2)
        let (events, sink) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(100_000))
        let bus = try openBus()
        let reader = Task {
            let everything = Subscription(
                topics: [.decisions, .lifecycle, .ledger],
                kind: .perishable(maximumLength: 100_000, ttl: .seconds(600)), exclusive: true)
            try? await bus.subscribe(everything) { incoming in
                sink.yield(incoming.event)
                return .done
            }
        }
        defer { reader.cancel() }
        do {
            let verdict = try await tell(control, events)
            await bus.close(within: .seconds(2))
            return verdict
        } catch {
            await bus.close(within: .seconds(2))
            throw error
        }
    }

    // MARK: Bringing it up

    /// Starts the practice cloud with one group and the services on it; returns when all are ready.
    /// - Parameters:
    ///   - boot: seconds from an active server to its Node, before `pace`.
    ///   - more: further text of the services' configuration.
    func start(
        minimum: Int, maximum: Int, pace: Double, boot: Int = 15, more: String = ""
    ) async throws -> PracticeControl {
        let control = try await startCloud(minimum, maximum, pace, boot, more)
        try await startServices()
        return control
    }

    private func startCloud(
        _ minimum: Int, _ maximum: Int, _ pace: Double, _ boot: Int, _ more: String
    ) async throws -> PracticeControl {
        say("starting the practice cloud")
        let folder = "\(options.state)/cloud"
        try await suite.startCloud(
            in: folder,
            arguments: [
                "--pace", "\(pace)", "--boot", "\(boot)", "--min", "\(minimum)", "--desired", "\(minimum)", "--max",
                "\(maximum)", "--flavor", "m1.large", "--transport-url", options.transportURL,
            ])
        let text = try await waitFor("the practice cloud", .seconds(30)) { DemoFiles.read("\(folder)/practice.json") }
        let state = try JSONValue.parse(text)
        func field(_ name: String) throws -> String {
            guard let value = state[name]?.stringValue else { throw Failure(description: "practice.json: no \(name)") }
            return value
        }
        try DemoFiles.write(
            (0..<32).map { _ in String(UInt8.random(in: 0...255), radix: 16) }.joined() + "0123456789abcdef",
            to: "\(options.state)/signing.key")
        try DemoFiles.write(
            DemoConfiguration.text(
                kubeconfig: try field("kubeconfig"), clouds: try field("clouds"), cloud: try field("cloud"),
                stack: try field("stack"), resource: try field("resource"), sizes: minimum...maximum,
                key: "\(options.state)/signing.key") + more,
            to: "\(options.state)/updraft.yaml")
        return PracticeControl(url: try field("control"), http: http)
    }

    private func startServices() async throws {
        say(
            options.replicas == 1
                ? "starting the four services, each a process of its own"
                : "starting \(options.replicas) of each of the four services, each a process of its own")
        for name in DemoOptions.services { try await suite.startService(name) }
        var complaints: [String] = []
        do {
            _ = try await waitFor("the services", .seconds(60)) { () async -> Bool? in
                complaints = await suite.notReady()
                return complaints.isEmpty ? true : nil
            }
        } catch {
            throw Failure(description: "\(error)\n  " + complaints.joined(separator: "\n  "))
        }
        say("all are ready")
    }

    /// A connection to the bus as the suite's configuration in the state folder says; `start` writes that.
    func openBus() throws -> Bus {
        let settings = try Settings.load(
            file: "\(options.state)/updraft.yaml", environment: ["UPDRAFT_BUS_TRANSPORT_URL": options.transportURL])
        return try Bus(try BusSettings(settings, service: "demo", host: ServiceMain.hostName()))
    }

    // MARK: The story

    private func tell(_ control: PracticeControl, _ events: AsyncStream<Event>) async throws -> Verdict {
        _ = try await waitFor("the first nodes", .seconds(60)) { () async -> Bool? in
            await control.state().flatMap { $0.readyNodes >= DemoWorkloads.nodes ? true : nil }
        }
        try await control.makeWorkload(DemoWorkloads.base)
        try await control.makeWorkload(DemoWorkloads.batch)
        _ = try await waitFor("the first pods", .seconds(60)) { () async -> Bool? in
            await control.state().flatMap { $0.running >= 4 ? true : nil }
        }
        say("two nodes, full; now the load comes\n")
        let story = DemoStory(options: options, suite: suite, control: control)
        let listener = Task { for await event in events { await story.received(event) } }
        defer { listener.cancel() }
        try await control.makeWorkload(DemoWorkloads.web)
        return try await story.run()
    }

    /// Looks again and again until there is something, or the bound is passed.
    private func waitFor<Value: Sendable>(
        _ what: String, _ bound: Interval, _ look: () async -> Value?
    ) async throws -> Value {
        let deadline = Timestamp.now() + bound
        while true {
            if let value = await look() { return value }
            if let dead = await suite.endedByItself().first {
                throw Failure(description: "\(dead.name) ended by itself; its log: \(dead.logFile)")
            }
            guard Timestamp.now() < deadline else {
                throw Failure(description: "\(what): nothing after \(bound)")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func say(_ text: String) {
        Terminal.line(text)
    }
}
