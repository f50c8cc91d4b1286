import Support
import Testing

@testable import ServiceRuntime

@Suite struct MetricsTests {
    private enum Outcome: String, CaseIterable { case done, park }

    /// The lines of our own metrics.
    private func lines(_ metrics: Metrics) -> [String] {
        metrics.text().split(separator: "\n").map(String.init).filter { $0.contains("updraft_") }
    }

    @Test func theTextFormat() {
        let metrics = Metrics()
        let counter = metrics.counter("consumed", "Messages\nhandled.", .label("outcome", Outcome.self))
        counter.increment("done")
        counter.increment("done", by: 2.5)
        metrics.gauge("nodes", "Nodes.").set(3)
        metrics.gauge("backlog", "Waiting.") { 7 }
        metrics.gauge("gone", "Gone.") { nil }
        let histogram = metrics.histogram("took_seconds", "Time.", bounds: [0.1, 1])
        for value in [0.05, 0.1, 0.5, 5] { histogram.observe(value) }
        #expect(
            lines(metrics) == [
                "# HELP updraft_consumed_total Messages\\nhandled.",
                "# TYPE updraft_consumed_total counter",
                "updraft_consumed_total{outcome=\"done\"} 3.5",
                "# HELP updraft_nodes Nodes.",
                "# TYPE updraft_nodes gauge",
                "updraft_nodes 3",
                "# HELP updraft_took_seconds Time.",
                "# TYPE updraft_took_seconds histogram",
                "updraft_took_seconds_bucket{le=\"0.1\"} 2",
                "updraft_took_seconds_bucket{le=\"1\"} 3",
                "updraft_took_seconds_bucket{le=\"+Inf\"} 4",
                "updraft_took_seconds_sum 5.65",
                "updraft_took_seconds_count 4",
                "# HELP updraft_backlog Waiting.",
                "# TYPE updraft_backlog gauge",
                "updraft_backlog 7",
            ])
    }

    @Test func labelValuesAreBounded() {
        let metrics = Metrics()
        let known = metrics.counter("known", "Known.", .label("outcome", Outcome.self))
        let few = metrics.counter("few", "Few.", .label("group", atMost: 2))
        for index in 0..<1_000 {
            known.increment("nonsense\(index)")
            few.increment("group\(index)")
        }
        #expect(known.value("other") == 1_000)
        #expect(few.value("group0") == 1 && few.value("group1") == 1 && few.value("other") == 998)
        #expect(lines(metrics).count == 8)
    }

    @Test func labelValuesAreEscaped() {
        let metrics = Metrics()
        metrics.gauge("x", "X.", .label("name", atMost: 5)).set(1, "a\"b\\c\nd")
        #expect(lines(metrics).last == #"updraft_x{name="a\"b\\c\nd"} 1"#)
    }

    @Test func aNameIsOneMetric() {
        let metrics = Metrics()
        metrics.counter("x", "X.").increment()
        metrics.counter("x", "X.").increment()
        #expect(metrics.counter("x", "X.").value() == 2)
        let gauge = metrics.gauge("y", "Y.", .label("node", atMost: 5))
        gauge.set(1, "a")
        gauge.set(-2, "a")
        #expect(gauge.value("a") == -2)
        gauge.remove("a")
        #expect(!metrics.text().contains("updraft_y{"))
    }

    @Test func theProcessIsMeasured() throws {
        let text = Metrics().text()
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") })
            #expect(try #require(Double(line.split(separator: " ")[1])) >= 0)
        }
    }

    @Test func countingFromManyTasksLosesNothing() async {
        let counter = Metrics().counter("x", "X.", .label("task", atMost: 10))
        await withTaskGroup { group in
            for task in 0..<8 {
                group.addTask { for _ in 0..<1_000 { counter.increment("\(task % 2)") } }
            }
        }
        #expect(counter.value("0") + counter.value("1") == 8_000)
    }
}
