import FoundationEssentials
import JSONReader
import Messages
import Support
import Testing

@testable import Collector

enum Recorded {
    static func bytes(_ name: String) throws -> [UInt8] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        return Array(try Data(contentsOf: folder.appendingPathComponent("Fixtures/\(name)")))
    }
}

@Suite("What kubelets say")
struct KubeletReadingTests {
    @Test("/metrics/resource of a node with pods")
    func metricsResource() throws {
        let reading = try #require(KubeletReading.metricsResource(try Recorded.bytes("metrics-resource.txt")))
        #expect(reading.node.cpuSeconds == 23.1701395726204)
        #expect(reading.node.memoryBytes == 1_066_192_000)
        #expect(reading.node.at == Timestamp(microseconds: 1_795_470_024_117_000))
        #expect(reading.pods.count == 2)
        let pod = try #require(reading.pods[.init(namespace: "default", name: "web-86df7d9d5d-nmf76")])
        #expect(pod.use.cpuSeconds == 10.74557197570801)
        #expect(pod.use.memoryBytes == 375_809_600)
        #expect(reading.malformed == 0)
    }

    @Test("of a real kubelet without containers, and of one without statistics")
    func others() throws {
        let kubelet = try #require(KubeletReading.metricsResource(try Recorded.bytes("metrics-resource-kubelet.txt")))
        #expect(kubelet.node.memoryBytes == 5_946_724_352)
        #expect(kubelet.pods.isEmpty)
        #expect(KubeletReading.metricsResource(try Recorded.bytes("metrics-resource-scrape-error.txt")) == nil)
    }

    @Test("/stats/summary says the same, with uids")
    func summary() throws {
        let reading = try #require(try KubeletReading.statsSummary(try Recorded.bytes("stats-summary.json")))
        #expect(reading.node.memoryBytes == 1_066_192_076)
        #expect(reading.node.cpuMillis == 690)
        let pod = try #require(reading.pods[.init(namespace: "default", name: "web-86df7d9d5d-nmf76")])
        #expect(pod.uid == "6f1be9e7-9089-4ea6-8c27-2a7e90f05232")
        #expect(pod.use.cpuMillis == 320)
        #expect(try KubeletReading.statsSummary(try Recorded.bytes("stats-summary-kubelet.json")) != nil)
        #expect(throws: JSONError.self) { try KubeletReading.statsSummary(try Recorded.bytes("stats-summary-500.txt")) }
    }

    @Test("pods known by their containers only are added up, on both pages")
    func containers() throws {
        let text = """
            node_cpu_usage_seconds_total 1
            container_cpu_usage_seconds_total{container="a",namespace="n",pod="p"} 2 5000
            container_cpu_usage_seconds_total{container="b",namespace="n",pod="p"} 3 5000
            container_memory_working_set_bytes{container="a",namespace="n",pod="p"} 100
            container_memory_working_set_bytes{container="b",namespace="n",pod="p"} 1e2
            """
        let pod = try #require(
            KubeletReading.metricsResource(Array(text.utf8))?.pods[.init(namespace: "n", name: "p")])
        #expect(pod.use == .init(at: Timestamp(seconds: 5), cpuSeconds: 5, memoryBytes: 200))
        let summary = #"""
            {"node":{"cpu":{"usageNanoCores":1}},"pods":[{"podRef":{"name":"p","namespace":"n"},"containers":[
             {"cpu":{"usageNanoCores":1000000},"memory":{"workingSetBytes":18446744073709551615}},
             {"cpu":{"usageNanoCores":2000000}}]}]}
            """#
        let second = try #require(
            try KubeletReading.statsSummary(Array(summary.utf8))?.pods[.init(namespace: "n", name: "p")])
        #expect(second.use.cpuMillis == 3)
        #expect((second.use.memoryBytes ?? 0) > 0)
    }

    @Test("NaN, infinities, negative values, wrong lines: passed over, the rest counts")
    func hostile() throws {
        let text = #"""
            # HELP x y
            node_cpu_usage_seconds_total NaN
            node_memory_working_set_bytes +Inf
            node_memory_working_set_bytes 5 not-a-time
            node_memory_working_set_bytes
            node_memory_working_set_bytes{ 7
            node_memory_working_set_bytes 0x10
            {pod="x"} 1
            7up 1
            pod_cpu_usage_seconds_total{namespace="n",pod="a\"b\\c\nd"} 1
            pod_cpu_usage_seconds_total{pod="p",namespace="n",evil="}"} 2
            pod_cpu_usage_seconds_total{namespace="n"} 3
            pod_memory_working_set_bytes{namespace="n",pod="p"} -1
            pod_memory_working_set_bytes{namespace="n",pod="p"} 1e300
            node_cpu_usage_seconds_total 4.5 1000 # {trace="x"} 1
            """#
        let reading = try #require(KubeletReading.metricsResource(Array(text.utf8)))
        #expect(reading.node == .init(at: Timestamp(seconds: 1), cpuSeconds: 4.5))
        #expect(Set(reading.pods.keys.map(\.name)) == ["a\"b\\c\nd", "p"])
        #expect(reading.pods[.init(namespace: "n", name: "p")]?.use.cpuSeconds == 2)
        #expect((reading.pods[.init(namespace: "n", name: "p")]?.use.memoryBytes ?? 0) > 0)
        #expect(reading.malformed == 6)
    }

    @Test("a line of 10 MB, a hundred thousand pods, a body cut off anywhere")
    func huge() throws {
        let line = "node_cpu_usage_seconds_total{x=\"" + String(repeating: "a", count: 10 << 20) + "\"} 1\n"
        let reading = try #require(
            KubeletReading.metricsResource(Array((line + "node_cpu_usage_seconds_total 2").utf8)))
        #expect(reading.node.cpuSeconds == 2)
        #expect(reading.malformed == 1)
        var many = "node_cpu_usage_seconds_total 1\n"
        for index in 0..<20_000 { many += "pod_cpu_usage_seconds_total{namespace=\"n\",pod=\"p\(index)\"} 1\n" }
        #expect(KubeletReading.metricsResource(Array(many.utf8))?.pods.count == KubeletReading.maximumPods)
        let whole = try Recorded.bytes("metrics-resource.txt")
        for length in 0..<whole.count { _ = KubeletReading.metricsResource(Array(whole[..<length])) }
        let summary = try Recorded.bytes("stats-summary.json")
        for length in stride(from: 0, to: summary.count - 2, by: 11) {
            #expect(throws: JSONError.self) { try KubeletReading.statsSummary(Array(summary[..<length])) }
        }
    }
}

@Suite("From counters to use")
struct UsageMeterTests {
    private let target = UsageMeter.Target(
        Node(
            name: "n1", providerID: "openstack:///0123-4567-89",
            allocatable: ResourceList(cpuMillis: 4_000, memoryBytes: 8_000)))

    private func time(_ seconds: Double) -> Timestamp { Timestamp(seconds: 100) + .seconds(seconds) }

    private func reading(_ seconds: Double, cpu: Double, memory: Int64 = 2_000) -> KubeletReading {
        var reading = KubeletReading()
        reading.node = .init(at: time(seconds), cpuSeconds: cpu, memoryBytes: memory)
        reading.pods[.init(namespace: "n", name: "p")] = .init(
            uid: "u", use: .init(at: time(seconds), cpuSeconds: cpu / 2, memoryBytes: 500))
        return reading
    }

    @Test("two readings make a rate, and parts of what is allocatable")
    func rate() throws {
        var meter = UsageMeter(interval: .seconds(15))
        let first = meter.take(reading(0, cpu: 10), of: target, at: time(1))
        #expect(first.node.cpuMillis == nil)
        #expect(first.node.memoryUtilization == 0.25)
        #expect(first.node.serverID == "0123-4567-89")
        #expect(first.pods.first?.memoryBytes == 500)
        let second = meter.take(reading(10, cpu: 30), of: target, at: time(11))
        #expect(second.node.cpuMillis == 2_000)
        #expect(second.node.cpuUtilization == 0.5)
        #expect(second.pods.first?.cpuMillis == 1_000)
        #expect(second.pods.first?.podUID == "u")
        #expect(!second.node.stale)
    }

    @Test("the same reading again keeps its rate; a counter that fell has none until the next")
    func resets() {
        var meter = UsageMeter(interval: .seconds(15))
        _ = meter.take(reading(0, cpu: 10), of: target, at: time(1))
        _ = meter.take(reading(10, cpu: 20), of: target, at: time(11))
        #expect(meter.take(reading(10, cpu: 20), of: target, at: time(12)).node.cpuMillis == 1_000)
        #expect(meter.take(reading(20, cpu: 1), of: target, at: time(21)).node.cpuMillis == nil)
        #expect(meter.take(reading(30, cpu: 2), of: target, at: time(31)).node.cpuMillis == 100)
    }

    @Test("silence: the last numbers, stale after two intervals; then nothing once the node is gone")
    func silence() {
        var meter = UsageMeter(interval: .seconds(15))
        #expect(meter.missed(target, at: time(0)) == nil)
        _ = meter.take(reading(0, cpu: 10), of: target, at: time(0))
        #expect(meter.missed(target, at: time(15))?.stale == false)
        #expect(meter.missed(target, at: time(31))?.stale == true)
        meter.keep(only: [])
        #expect(meter.missed(target, at: time(32)) == nil)
        #expect(meter.count == 0)
    }

    @Test("a kubelet whose clock runs ahead is not fresher than now")
    func clock() {
        var meter = UsageMeter(interval: .seconds(15))
        #expect(meter.take(reading(1_000, cpu: 1), of: target, at: time(0)).node.at == time(0))
    }
}
