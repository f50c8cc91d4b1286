import HTTPClient
import HTTPServer
import Settings
import Support
import Testing

@testable import ServiceRuntime

@Suite struct HealthTests {
    private func get(_ server: HealthServer, _ path: String) async throws -> (status: Int, body: String) {
        let client = HTTPClient(userAgent: "test")
        let response = try await client.send(HTTPRequest(.get, "http://\(server.address)\(path)"))
        await client.close()
        return (response.status, String(decoding: response.body, as: UTF8.self))
    }

    @Test func readinessNamesWhatFails() async throws {
        let readiness = Readiness()
        let server = try HealthServer(
            listen: ListenAddress(host: "127.0.0.1", port: 0), readiness: readiness, metrics: Metrics())
        defer { server.stop() }
        var answer = try await get(server, "/readyz")
        #expect(answer.status == 503)
        #expect(answer.body == #"{"status":"not ready","failing":{},"conditions":[]}"#)

        readiness.failed("heat", "401 from \"keystone\"")
        readiness.ok("kubernetes")
        readiness.probe("bus") { "connecting" }
        answer = try await get(server, "/readyz")
        #expect(answer.status == 503)
        #expect(
            answer.body
                == #"{"status":"not ready","failing":{"bus":"connecting","heat":"401 from \"keystone\""},"conditions":["bus","heat","kubernetes"]}"#
        )

        readiness.ok("heat")
        readiness.probe("bus") { nil }
        answer = try await get(server, "/readyz")
        #expect(answer.status == 200)
        #expect(answer.body == #"{"status":"ready","failing":{},"conditions":["bus","heat","kubernetes"]}"#)
        // A note is neither good nor bad.
        readiness.note("replica", "standby")
        answer = try await get(server, "/readyz")
        #expect(answer.status == 200)
        #expect(answer.body.hasSuffix(#""conditions":["bus","heat","kubernetes"],"notes":{"replica":"standby"}}"#))
    }

    @Test func theOtherPages() async throws {
        let metrics = Metrics()
        metrics.counter("x", "X.").increment()
        let pulse = Pulse()
        let server = try HealthServer(
            listen: ListenAddress(host: "127.0.0.1", port: 0), readiness: Readiness(), metrics: metrics, pulse: pulse)
        defer { server.stop() }
        #expect(try await get(server, "/healthz") == (200, #"{"status":"ok"}"#))
        #expect(try await get(server, "/metrics").body.contains("updraft_x_total 1\n"))
        #expect(try await get(server, "/nope").status == 404)
        server.page("/status") { _ in .text("fine") }
        #expect(try await get(server, "/status") == (200, "fine"))
        pulse.tick(at: .now() - .seconds(3_600))
        let stuck = try await get(server, "/healthz")
        #expect(stuck.status == 503 && stuck.body.hasPrefix(#"{"status":"stuck","seconds":36"#))
        pulse.tick()
        #expect(try await get(server, "/healthz").status == 200)
    }

    @Test func turningIsToldOnce() {
        let turned = Lock<[String]>([])
        let readiness = Readiness { name, state in turned.withLock { $0.append("\(name) \(state.ok) \(state.reason)") }
        }
        readiness.failed("bus", "one")
        readiness.failed("bus", "one")
        readiness.failed("bus", "two since 5.1 s")
        readiness.failed("bus", "two since 6.2 s")
        readiness.failed("bus", "queue workers-1")
        readiness.failed("bus", "queue workers-2")
        readiness.ok("bus")
        readiness.ok("bus")
        #expect(
            turned.withLock { $0 } == [
                "bus false one", "bus false two since 5.1 s", "bus false queue workers-1", "bus false queue workers-2",
                "bus true ",
            ])
        // The page shows the newest all the same.
        readiness.failed("bus", "two since 5.1 s")
        readiness.failed("bus", "two since 6.2 s")
        #expect(readiness.all["bus"]?.reason == "two since 6.2 s")
        readiness.remove("bus")
        #expect(!readiness.isReady)
    }

    @Test("the metric shows each kind of condition as it stands now, the worst of a kind, and nothing that is gone")
    func readyMetric() {
        let metrics = Metrics()
        let readiness = Readiness()
        metrics.gauge("ready", "Conditions.", .label("condition", atMost: 50)) { readiness.byKind }
        func lines() -> [String] {
            metrics.text().split(separator: "\n").filter { $0.hasPrefix("updraft_ready{") }.map(String.init)
        }
        readiness.probe("bus") { "connecting" }
        for index in 0..<100 { readiness.ok("removal/node-\(index)") }
        #expect(lines() == [#"updraft_ready{condition="bus"} 0"#, #"updraft_ready{condition="removal"} 1"#])
        readiness.failed("removal/node-7", "its record is broken")
        #expect(lines().last == #"updraft_ready{condition="removal"} 0"#)
        for index in 0..<100 { readiness.remove("removal/node-\(index)") }
        #expect(lines() == [#"updraft_ready{condition="bus"} 0"#])
    }

    @Test func theHealthCheckOfAProgram() async throws {
        let readiness = Readiness()
        let server = try HealthServer(
            listen: ListenAddress(host: "127.0.0.1", port: 0), readiness: readiness, metrics: Metrics())
        readiness.failed("bus", "connecting")
        let address = server.address
        // On a thread of its own: it blocks, as a program of its own may.
        func ask() async -> (ready: Bool, text: String) {
            await withCheckedContinuation { continuation in
                Deadline.after(.zero) { continuation.resume(returning: HealthCheck.ask(address)) }
            }
        }
        #expect(await ask() == (false, #"{"status":"not ready","failing":{"bus":"connecting"},"conditions":["bus"]}"#))
        readiness.ok("bus")
        #expect(await ask().ready)
        server.stop()
        let refused = await ask()
        #expect(!refused.ready && refused.text == "no answer from \(address): Connection refused")
    }
}
