import AMQP
import Bus
import Messages
import Settings
import Support
import Testing

@testable import ServiceRuntime

@Suite struct SupervisorTests {
    private struct Broken: Error, CustomStringConvertible { let description: String }

    /// Counts in one place.
    private final class Tally: Sendable {
        private let value = Lock(0)
        func next() -> Int {
            value.withLock { value in
                value += 1
                return value
            }
        }
        var count: Int { value.withLock { $0 } }
    }

    @Test func aPartThatFailsIsStartedAgainWithGrowingWaits() async {
        let waits = Lock<[Interval]>([])
        let written = Written()
        let metrics = Metrics()
        let readiness = Readiness()
        let shutdown = Shutdown()
        let supervisor = Supervisor(
            log: testLogger(written), metrics: metrics, readiness: readiness, shutdown: shutdown,
            backoff: Backoff(first: .seconds(1), cap: .seconds(4)),
            sleep: { wait in waits.withLock { $0.append(wait) } },
            jitter: { 1 })
        let tally = Tally()
        let reasons = Lock<[String]>([])
        await supervisor.run("watch") { part in
            reasons.withLock { $0.append(readiness.all["watch"]?.reason ?? "") }
            let run = tally.next()
            if run == 5 {
                part.ready()
                shutdown.request("enough")
                return
            }
            if run == 2 { return }
            throw Broken(description: "broken \(run)")
        }
        #expect(waits.withLock { $0 } == [.seconds(1), .seconds(2), .seconds(4), .seconds(4)])
        #expect(
            reasons.withLock { $0 } == [
                "starting", "failed: broken 1", "failed: it ended", "failed: broken 3", "failed: broken 4",
            ])
        #expect(readiness.isReady)
        #expect(metrics.counter("restarts", "").value("watch") == 4)
        #expect(written.all.count == 4)
        #expect(written.all[0].contains(#""part":"watch","error":"broken 1","retry_in":"1s""#))
    }

    @Test func theEndIsNotKeptWaitingByAWait() async {
        let shutdown = Shutdown()
        let written = Written()
        let supervisor = Supervisor(
            log: testLogger(written), metrics: Metrics(), readiness: Readiness(), shutdown: shutdown,
            backoff: Backoff(first: .seconds(3_600), cap: .seconds(3_600)))
        async let ended: Void = supervisor.run("a") { _ in throw Broken(description: "x") }
        while written.all.isEmpty { await Task.yield() }
        shutdown.request("SIGTERM")
        await ended
    }

    @Test func onePartDoesNotTakeTheOthersWithIt() async throws {
        let settings = try Settings.load(file: nil, flags: ["cluster=x"])
        let shutdown = Shutdown()
        let readiness = Readiness()
        let context = ServiceContext(
            name: "decider", settings: settings,
            log: testLogger(Written()), readiness: readiness, shutdown: shutdown)
        let tally = Tally()
        async let ended: Void = context.supervisor.run([
            (
                "good",
                { part in
                    part.ready()
                    await shutdown.requested()
                }
            ),
            (
                "bad",
                { _ in
                    if tally.next() == 3 { shutdown.request("seen enough") }
                    throw Broken(description: "x")
                }
            ),
        ])
        await ended
        #expect(readiness.all["good"]?.ok == true)
        #expect(readiness.all["bad"]?.ok == false)
    }
}

@Suite struct ShutdownTests {
    @Test func everyWaiterHearsIt() async {
        let shutdown = Shutdown()
        await withTaskGroup { group in
            for _ in 0..<100 { group.addTask { await shutdown.requested() } }
            group.addTask {
                shutdown.request("SIGTERM")
                shutdown.request("SIGINT")
            }
        }
        #expect(shutdown.reason == "SIGTERM")
        await shutdown.requested()
    }

    @Test func aCancelledWaiterLeaves() async {
        let shutdown = Shutdown()
        let waiting = Task { await shutdown.requested() }
        waiting.cancel()
        await waiting.value
        #expect(!shutdown.isRequested)
    }
}

@Suite struct FlagsTests {
    @Test func whatIsUnderstood() throws {
        let flags = try ServiceFlags([
            "--config", "a.yaml", "--set", "a.b=c", "--set=d.e=f=g", "--log-level=debug", "--check-config",
        ])
        #expect(flags.file == "a.yaml")
        #expect(flags.overrides == ["a.b=c", "d.e=f=g", "log.level=debug"])
        #expect(flags.action == .checkConfiguration)
        #expect(try ServiceFlags([]).action == .run)
        #expect(try ServiceFlags(["-h"]).action == .help)
        #expect(try ServiceFlags(["-c", "x", "--health-check"]).action == .checkHealth)
    }

    @Test func whatIsNot() {
        for (arguments, text) in [
            (["--config"], "--config needs a value"), (["--set="], "--set needs a value"),
            (["--frobnicate"], "unknown argument \"--frobnicate\""), (["file"], "unknown argument \"file\""),
        ] {
            let mistake = #expect(throws: ServiceFlags.Mistake.self) { try ServiceFlags(arguments) }
            #expect(mistake?.text == text)
        }
    }

    @Test func theHelpNamesEveryFlag() {
        let help = ServiceFlags.help(program: "updraft-x", about: "does x")
        for flag in ["--config", "--set", "--log-level", "--check-config", "--health-check", "--version", "--help"] {
            #expect(help.contains(flag))
        }
        #expect(!help.contains("--node"), "only the Collector reads one node")
        #expect(ServiceFlags.help(program: "updraft-collector", about: "").contains("\n  --node NAME "))
    }
}

@Suite struct BusLinkTests {
    @Test func theConfigurationOfTheBus() throws {
        let settings = try Settings.load(
            file: nil,
            flags: [
                "cluster=prod", "bus.transport_url=rabbits://u:p@h1,h2:1234/v", "bus.tls.ca_file=/ca.pem",
                "bus.heartbeat=5s", "bus.queue_type=classic", "bus.keys=[{id: k, key: 0123456789abcdef}]",
            ])
        let bus = try BusSettings(settings, service: "decider", host: "h")
        #expect(bus.amqp.url.hosts.map(\.host) == ["h1", "h2"])
        #expect(bus.amqp.url.tls && bus.amqp.tls.caFile == "/ca.pem")
        #expect(bus.amqp.heartbeat == .seconds(5))
        #expect(bus.queueType == .classic)
        #expect(bus.keys?.keys.map(\.id) == ["k"])
        #expect(bus.cluster == "prod" && bus.service == "decider")
        let plain = try BusSettings(
            try Settings.load(file: nil, flags: ["cluster=x"]), service: "decider", host: "h")
        #expect(plain.keys == nil)
    }

    @Test func aWrongURLIsAMistakeWithoutItsPassword() throws {
        let settings = try Settings.load(
            file: nil, flags: ["cluster=x", "bus.transport_url=http://u:hunter2@h/"])
        let errors = #expect(throws: SettingsErrors.self) {
            try BusSettings(settings, service: "decider", host: "h")
        }
        #expect(errors?.mistakes.first?.path == "bus.transport_url")
        #expect(errors?.description.contains("hunter2") == false)
    }

    @Test func whatHappensOnTheBusIsCountedAndLogged() {
        let metrics = Metrics()
        let written = Written()
        let hooks = BusHooks(log: testLogger(written), metrics: metrics)
        hooks.observer.published(.decisions, .milliseconds(3))
        hooks.observer.parked(.message(.malformed), "offset 3")
        hooks.observer.refused(.unsigned, "no header")
        hooks.observer.consumed(.nodeStats, .park(reason: "x"))
        hooks.heard("publisher", .connected(host: "h:5672"))
        hooks.heard("publisher", .blocked(reason: "memory"))
        hooks.heard("updraft.c.actuator.foreign.heat", .awaiting(AMQPError(.notFound, "no exchange 'heat'")))
        hooks.observer.parkFailed(.message(.malformed), BusError(.broker, "nacked", isRetriable: true))
        let text = metrics.text()
        for line in [
            #"updraft_bus_publish_seconds_count{topic="decisions"} 1"#,
            #"updraft_bus_parked_total{reason="malformed"} 1"#,
            #"updraft_bus_consumed_total{event="updraft.node.stats",outcome="park"} 1"#,
            #"updraft_bus_connection_events_total{event="blocked"} 1"#,
            #"updraft_bus_connection_events_total{event="awaiting"} 1"#,
            #"updraft_bus_park_failures_total{code="broker"} 1"#,
        ] {
            #expect(text.contains(line))
        }
        #expect(written.all.count == 6)
        // That a service of the cloud does not run is no trouble of ours.
        #expect(written.all[4].contains(#""level":"info""#) && written.all[4].contains("heat"), "\(written.all[4])")
        #expect(written.all[5].contains("a message could not be parked"))
        #expect(written.all[0].contains(#""message":"a message was parked","reason":"malformed","details":"offset 3""#))
    }
}
