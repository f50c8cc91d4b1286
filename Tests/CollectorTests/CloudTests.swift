import Crypto
import FoundationEssentials
import HTTPClient
import HTTPServer
import JSONReader
import Messages
import ServiceRuntime
import Settings
import Support
import Testing

@testable import Collector

@Suite("Where the cloud is heard")
struct CloudBrokerTests {
    @Test(
        "what is heard of the cloud and has no broker of its own is heard at Ceilometer's; a Collector of one node hears nothing",
        arguments: [
            ([], true), (["collector.cloud.enabled=false"], false),
            (["collector.cloud.enabled=false", "collector.alarms.enabled=true"], true),
            (["collector.cloud.enabled=false", "collector.hypervisor.enabled=true"], true),
            (["collector.alarms.enabled=true", "collector.node=worker-1"], false),
            (["collector.cloud.transport_url=rabbit://u:p@nova/"], false),
            (["collector.cloud.transport_url=rabbit://u:p@nova/", "collector.alarms.enabled=true"], true),
            (
                [
                    "collector.cloud.transport_url=rabbit://u:p@nova/", "collector.alarms.enabled=true",
                    "collector.alarms.transport_url=rabbit://u:p@aodh/",
                ], false
            ),
        ])
    func broker(_ fields: [String], _ expected: Bool) throws {
        let settings = try Settings.load(
            file: nil, flags: ["cluster=prod", "bus.transport_url=rabbit://u:p@h/"] + fields)
        #expect(Collector.hearsTheCloud(settings.collector) == expected)
    }

    @Test("Nova, Aodh and the hypervisors may be heard by one exchange, each by a queue of its own")
    func oneExchange() throws {
        let all = [
            CloudEars.subscription("openstack"), CloudListener.alarms("openstack"),
            CloudListener.hypervisors("openstack"),
        ]
        #expect(Set(all.map(\.sender)) == ["nova", "aodh", "ceilometer"])
        let settings = try Settings.load(file: nil, flags: ["cluster=prod", "bus.transport_url=rabbit://u:p@h/"])
            .collector
        // By their usual exchanges the queues' names are those that there have always been.
        #expect(CloudEars.subscription(settings.cloud.novaExchange).sender == settings.cloud.novaExchange)
        #expect(CloudListener.alarms(settings.alarms.exchange).sender == settings.alarms.exchange)
        #expect(CloudListener.hypervisors(settings.hypervisor.exchange).sender == settings.hypervisor.exchange)
    }
}

@Suite("What is read of Nova's notifications")
struct NovaReadingTests {
    static let folder = #filePath.replacing("CollectorTests/CloudTests.swift", with: "MessagesTests/Fixtures/oslo/")
    static let names: [String] =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        .filter { $0.hasPrefix("nova.") && $0.hasSuffix(".body") }.sorted()

    static func received(_ name: String) throws -> MessageCoder.Received {
        try MessageCoder.open(Array(try Data(contentsOf: URL(filePath: folder + name + ".body"))))
    }

    @Test(
        "both formats say the same",
        arguments: [
            ("delete.start", "deleting"), ("shutdown.start", "deleting"), ("shutdown.end", "deleting"),
            ("delete.end", "deleted"), ("create.end", "active"), ("power_off.end", "stopped"),
            ("update.active-active.deleting-deleting", "deleting"), ("update.active-deleted.deleting-none", "deleted"),
            ("update.active-error.none-none", "error"), ("update.building-error.scheduling-none", "error"),
            ("update.error-error.deleting-deleting", "deleting"), ("update.building-active.spawning-none", "active"),
        ])
    func bothFormats(event: String, state: String) throws {
        let plain = try NovaReading.read(try Self.received("nova.compute.instance.\(event)"))
        let versioned = try NovaReading.read(try Self.received("nova.instance.\(event)"))
        #expect(
            plain?.state == state && versioned?.state == state,
            "\(event): \(plain?.state ?? "") \(versioned?.state ?? "")")
        #expect(plain?.serverID.utf8.count == 36 && versioned?.serverID.utf8.count == 36)
    }

    @Test("changes that matter to nobody are left out")
    func quiet() throws {
        for name in ["nova.compute.instance.update.active-active.none-none", "nova.instance.power_off.start"] {
            #expect(try NovaReading.read(try Self.received(name)) == nil, "\(name)")
        }
    }

    @Test("a server for which there is no host is in error")
    func noHost() throws {
        for name in ["nova.compute_task.build_instances", "nova.compute_task.build_instances.error"] {
            #expect(try NovaReading.read(try Self.received(name))?.state == "error", "\(name)")
        }
    }

    @Test(
        "every recorded one is read or left out, and what comes out holds nothing but id, state and type",
        arguments: names)
    func reduced(name: String) throws {
        let text = String(
            decoding: try Data(contentsOf: URL(filePath: Self.folder + name)), as: UTF8.self
        ).replacing("BLANKED", with: "gAAAAAlive")
        let received = try MessageCoder.open(Array(text.utf8))
        guard let reading = try NovaReading.read(received) else { return }
        let report = reading.report(
            cluster: "prod", event: received.envelope.eventType, at: Timestamp(seconds: 1_800_000_000))
        let encoded = try MessageCoder.encode(
            report, messageID: "m", publisherID: "updraft-collector.n1", priority: .info,
            timestamp: Timestamp(seconds: 1_800_000_000))
        #expect(!encoded.text.contains("gAAAAA"))
        #expect(encoded.text.utf8.count < 600, "\(encoded.text)")
    }

    @Test(
        "a payload that is not Nova's is an error that shows nothing of it",
        arguments: [
            #"{}"#, #"{"instance_id": 7}"#, #"{"instance_id": {"secret": "hunter2"}}"#, #"{"state": "hunter2"}"#,
            #"{"nova_object.data": "hunter2"}"#, #""hunter2""#,
            #"{"instance_id": "\#(String(repeating: "x", count: 100))"}"#,
        ])
    func malformed(payload: String) throws {
        let inner = #"{"event_type":"compute.instance.delete.start","message_id":"m","payload":\#(payload)}"#
        let body = JSONValue.object(["oslo.version": "2.0", "oslo.message": .string(inner)]).bytes
        let received = try MessageCoder.open(body)
        #expect(throws: MessageError.self) { try NovaReading.read(received) }
        do {
            _ = try NovaReading.read(received)
        } catch {
            #expect(!error.path.contains("hunter2"))
        }
    }
}

@Suite("Signals of alarms")
struct SignalTests {
    static let start = Timestamp(seconds: 1_800_000_000)
    static let urls = SignalURL(secret: "a secret of the installation", cluster: "prod")

    final class Bus: Sendable {
        let taken = Lock<[ScaleRequested]>([])
        let time = Lock(SignalTests.start)
        let isThere: Bool
        private let made = Lock<SignalServer?>(nil)

        init(isThere: Bool = true) {
            self.isThere = isThere
        }

        /// The same each time: it counts.
        var server: SignalServer {
            if let server = made.withLock({ $0 }) { return server }
            let server = SignalServer(
                cluster: "prod", groups: ["workers"], urls: SignalTests.urls,
                doors: SignalServer.Doors(
                    now: { self.time.withLock { $0 } }, newID: { "id" },
                    publish: { signal in
                        self.taken.withLock { $0.append(signal) }
                        return self.isThere
                    }))
            made.withLock { $0 = server }
            return server
        }
    }

    static func ask(
        _ bus: Bus, _ target: String, method: String = "POST", headers: [(String, String)] = [], body: [UInt8] = []
    ) async throws -> ServerResponse {
        await bus.server.reply(
            to: try ServerRequest(
                method: method, target: target, headers: ServerHeaders(headers.map { (name: $0.0, value: $0.1) }),
                body: body))
    }

    @Test("Aodh's call becomes a request, with the alarm's name and reason")
    func aodh() async throws {
        let bus = Bus()
        let body = """
            {"alarm_name": "group cpu", "alarm_id": "c9a72278", "severity": "moderate", "previous": "ok",
             "current": "alarm", "reason": "Transition to alarm due to 2 samples\\noutside", "reason_data": {}}
            """
        let response = try await Self.ask(
            bus, Self.urls.path(group: "workers", .down, step: 1), body: Array(body.utf8))
        #expect(response.status == 202)
        #expect(String(decoding: response.body, as: UTF8.self) == #"{"id":"signal-workers-down-id"}"#)
        let signal = try #require(bus.taken.withLock { $0.first })
        #expect(signal.direction == .down && signal.step == 1 && signal.group == "workers")
        #expect(signal.who == "alarm group cpu (c9a72278)")
        #expect(signal.why == "Transition to alarm due to 2 samples outside")
        #expect(signal.deadline > signal.at)
    }

    @Test("any other body, or none, will do", arguments: ["", "not JSON", "[]", #"{"alarm_id": 7}"#])
    func otherBodies(body: String) async throws {
        let bus = Bus()
        let response = try await Self.ask(
            bus, Self.urls.path(group: "workers", .up, step: 3), body: Array(body.utf8))
        #expect(response.status == 202)
        #expect(bus.taken.withLock { $0.first?.step } == 3)
    }

    @Test("the token may also be the password in the address, or a Bearer token")
    func otherTokens() async throws {
        let token = Self.urls.token(group: "workers", .down, step: 1)
        for credentials in ["x:\(token)", "\(token):"] {
            let header = ("Authorization", "Basic \(Array(credentials.utf8).base64)")
            #expect(try await Self.ask(Bus(), "/signal/workers/down", headers: [header]).status == 202)
        }
        let bearer = ("Authorization", "Bearer \(token)")
        #expect(try await Self.ask(Bus(), "/signal/workers/down", headers: [bearer]).status == 202)
    }

    @Test("what is forged, altered or unknown is refused and goes nowhere")
    func refused() async throws {
        let bus = Bus()
        let token = Self.urls.token(group: "workers", .down, step: 1)
        let up = Self.urls.token(group: "workers", .up, step: 1)
        let foreign = SignalURL(secret: "another", cluster: "prod").token(group: "workers", .down, step: 1)
        let otherCluster = SignalURL(secret: "a secret of the installation", cluster: "test")
            .token(group: "workers", .down, step: 1)
        for target in [
            "/signal/workers/down", "/signal/workers/down?token=", "/signal/workers/down?token=\(up)",
            "/signal/workers/down?token=\(foreign)", "/signal/workers/down?token=\(otherCluster)",
            "/signal/workers/down?step=2&token=\(token)", "/signal/workers/down?token=\(token.dropLast(2))",
            "/signal/workers/down?token=\(String(repeating: "ab", count: 5_000))", "/signal/nobody/down?token=\(token)",
        ] {
            #expect(try await Self.ask(bus, target).status == 401, "\(target)")
        }
        // Only whoever has the address of a group that is not there any more learns that it is not.
        #expect(try await Self.ask(bus, Self.urls.path(group: "gone", .down, step: 1)).status == 404)
        for target in [
            "/", "/signal", "/signal/workers", "/signal/workers/sideways?token=\(token)", "/signal/workers/down/x",
        ] {
            #expect(try await Self.ask(bus, target).status == 404, "\(target)")
        }
        for step in ["0", "-1", "101", "x", "99999999999999999999"] {
            #expect(try await Self.ask(bus, "/signal/workers/down?step=\(step)&token=\(token)").status == 400)
        }
        #expect(try await Self.ask(bus, "/signal/workers/down?token=\(token)", method: "GET").status == 405)
        #expect(bus.taken.withLock { $0 }.isEmpty)
    }

    @Test("rotating keys makes no address invalid until the old key is dropped; a refused one is told of once an hour")
    func rotation() async throws {
        let old = SignalURL(secret: "the old key", cluster: "prod").path(group: "workers", .up, step: 1)
        let told = Lock<[String]>([])
        let time = Lock(Self.start)
        func server(_ urls: SignalURL) -> SignalServer {
            SignalServer(
                cluster: "prod", groups: ["workers"], urls: urls,
                doors: .init(
                    now: { time.withLock { $0 } }, publish: { _ in true }, publishAlarm: { _ in true },
                    forged: { path in told.withLock { $0.append(path) } }))
        }
        func post(_ target: String, _ server: SignalServer) async throws -> Int {
            await server.reply(
                to: try ServerRequest(method: "POST", target: target, headers: ServerHeaders([]), body: [])
            ).status
        }
        let both = SignalURL(secret: "the new key", others: ["the old key"], cluster: "prod")
        let new = both.path(group: "workers", .up, step: 1)
        #expect(new != old)
        let during = server(both)
        #expect(try await post(old, during) == 202)
        #expect(try await post(new, during) == 202)
        // Its body is no alarm, but the token is good.
        #expect(try await post(SignalURL(secret: "the old key", cluster: "prod").alarmsPath, during) == 400)
        #expect(told.withLock { $0 }.isEmpty)
        let after = server(SignalURL(secret: "the new key", cluster: "prod"))
        for _ in 0..<3 { #expect(try await post(old, after) == 401) }
        #expect(try await post("/signal/nobody/up?token=x", after) == 401)
        #expect(told.withLock { $0 } == ["/signal/workers/up"])
        time.withLock { $0 = $0 + .minutes(61) }
        #expect(try await post(old, after) == 401)
        #expect(told.withLock { $0.count } == 2)
    }

    @Test("too many at once are told to wait, and none is lost silently when the broker is away")
    func limits() async throws {
        let bus = Bus()
        let target = Self.urls.path(group: "workers", .down, step: 1)
        for _ in 0..<10 { #expect(try await Self.ask(bus, target).status == 202) }
        let response = try await Self.ask(bus, target)
        #expect(response.status == 429)
        #expect(response.headers.contains { $0.0 == "Retry-After" && $0.1 == "6" })
        bus.time.withLock { $0 = $0 + .seconds(7) }
        #expect(try await Self.ask(bus, target).status == 202)
        #expect(try await Self.ask(bus, target).status == 429)
        #expect(try await Self.ask(Bus(isThere: false), target).status == 503)
    }

    @Test("a body that is too large is refused by the server itself")
    func tooLarge() async throws {
        let server = try Bus().server.listen(host: "127.0.0.1", port: 0)
        defer { server.stop() }
        let client = HTTPClientForTests()
        let url = "http://127.0.0.1:\(server.port)" + Self.urls.path(group: "workers", .down, step: 1)
        #expect(try await client.post(url, [UInt8](repeating: 0x20, count: 2_000_000)) == 413)
        #expect(try await client.post(url, Array("{}".utf8)) == 202)
        await client.close()
    }
}

/// The client, without its module's name for requests in the way of the server's.
struct HTTPClientForTests {
    private let client = HTTPClient()

    func post(_ url: String, _ body: [UInt8]) async throws -> Int {
        try await client.send(HTTPRequest(.post, url, body: body)).status
    }

    func close() async { await client.close() }
}
