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
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("/metrics/resource of a node with pods and containers")
    func metricsResource() throws {
        let reading = try #require(KubeletReading.metricsResource(try Recorded.bytes("metrics-resource.txt")))
        #expect(reading.node.cpuSeconds == 23.1701395726204)
        #expect(reading.node.memoryBytes == 1_066_192_000)
        #expect(reading.node.at == Timestamp(microseconds: 1_795_470_024_117_000))
        #expect(reading.pods.count == 2)
        let pod = try #require(reading["default", "web-86df7d9d5d-nmf76"])
        #expect(pod.use.cpuSeconds == 10.74557197570801)
        #expect(pod.use.memoryBytes == 375_809_600)
        let container = try #require(pod.containers.first)
        #expect(pod.containers.count == 1)
        #expect(container.use.cpuSeconds == 10.74557197570801)
        #expect(reading.rejected.isEmpty)
    }

    @Test("of a real kubelet without containers, and of one without statistics")
    func others() throws {
        let kubelet = try #require(KubeletReading.metricsResource(try Recorded.bytes("metrics-resource-kubelet.txt")))
        #expect(kubelet.node.memoryBytes == 5_946_724_352)
        #expect(kubelet.pods.isEmpty)
        #expect(KubeletReading.metricsResource(try Recorded.bytes("metrics-resource-scrape-error.txt")) == nil)
    }

    @Test("/stats/summary says the same, with uids, network and file systems")
    func summary() throws {
        let reading = try #require(try KubeletReading.statsSummary(try Recorded.bytes("stats-summary.json")))
        #expect(reading.node.memoryBytes == 1_066_192_076)
        #expect(reading.node.cpuMillis == 690)
        #expect(reading.node.traffic != nil)
        #expect((reading.node.disk?.capacityBytes ?? 0) > 0)
        let pod = try #require(reading["default", "web-86df7d9d5d-nmf76"])
        #expect(pod.uid == "6f1be9e7-9089-4ea6-8c27-2a7e90f05232")
        #expect(pod.use.cpuMillis == 320)
        #expect(pod.containers.first?.use.disk != nil)
        #expect(reading.rejected.isEmpty)
        let real = try #require(try KubeletReading.statsSummary(try Recorded.bytes("stats-summary-kubelet.json")))
        #expect(real.node.memoryBytes != nil)
        #expect(throws: JSONError.self) { try KubeletReading.statsSummary(try Recorded.bytes("stats-summary-500.txt")) }
    }

    @Test("/metrics/cadvisor: cgroups by id, the pause container and the pods' cables left out")
    func cadvisor() throws {
        let labels = #"container="",id="/kubepods/x",image="",name="",namespace="n",pod="p""#
        let text = #"""
            # TYPE container_cpu_usage_seconds_total counter
            container_cpu_usage_seconds_total{container="",cpu="total",id="/",image="",name="",namespace="",pod=""} 100 5000
            container_cpu_usage_seconds_total{container="",cpu="total",id="/system.slice",image="",name="",namespace="",pod=""} 7
            container_cpu_usage_seconds_total{\#(labels)} 6 5000
            container_cpu_usage_seconds_total{container="POD",id="/k/p",namespace="n",pod="p"} 1 5000
            container_cpu_usage_seconds_total{container="a",id="/k/a",namespace="n",pod="p"} 5 5000
            container_memory_working_set_bytes{container="",id="/",namespace="",pod=""} 2000 5001
            container_memory_working_set_bytes{\#(labels)} 300
            container_memory_working_set_bytes{container="",id="/kubepods/x/cri-containerd-1.scope",image="pause",name="1",namespace="n",pod="p"} 2 4000
            container_cpu_usage_seconds_total{container="",cpu="total",id="/kubepods/x/cri-containerd-1.scope",image="pause",name="1",namespace="n",pod="p"} 1 4000
            container_network_receive_bytes_total{\#(labels),interface="eth0"} 40
            container_network_transmit_bytes_total{\#(labels),interface="eth0"} 4
            container_network_receive_bytes_total{container="",id="/",interface="ens3"} 1000
            container_network_receive_bytes_total{container="",id="/",interface="ens4"} 500
            container_network_receive_bytes_total{container="",id="/",interface="lo"} 9e9
            container_network_receive_bytes_total{container="",id="/",interface="veth12ab"} 9e9
            container_network_transmit_bytes_total{container="",id="/",interface="ens3"} 20
            container_network_transmit_bytes_total{container="",id="/",interface="ens4"} 5
            container_fs_usage_bytes{container="",device="/dev/vda1",id="/"} 70
            container_fs_usage_bytes{container="",device="tmpfs",id="/"} 1
            container_fs_limit_bytes{container="",device="/dev/vda1",id="/"} 100

            """#
        let reading = try #require(KubeletReading.cadvisor(bytes(text)))
        #expect(
            reading.node
                == .init(
                    at: Timestamp(seconds: 5), cpuSeconds: 100, memoryBytes: 2_000,
                    traffic: .init(received: 1_500, sent: 25, parts: 2), disk: .init(usedBytes: 70, capacityBytes: 100))
        )
        let pod = try #require(reading["n", "p"])
        #expect(pod.use.cpuSeconds == 6)
        #expect(pod.use.memoryBytes == 300)
        #expect(pod.use.traffic == .init(received: 40, sent: 4))
        #expect(pod.containers.map(\.name) == ["a"])
        #expect(reading.pods.count == 1)
        #expect(reading.rejected.isEmpty)
    }

    @Test(
        "/metrics/cadvisor: what is not told is not taken for zero",
        arguments: [
            // One way only, one interface of two, a line that cannot be used.
            (#"container_network_receive_bytes_total{id="/",interface="ens3"} 1000"#, nil, nil),
            (
                #"container_network_receive_bytes_total{id="/",interface="ens3"} 1000|"#
                    + #"container_network_transmit_bytes_total{id="/",interface="ens3"} 7|"#
                    + #"container_network_receive_bytes_total{id="/",interface="ens4"} 5"#, nil, nil
            ),
            (
                #"container_network_receive_bytes_total{id="/",interface="ens3"} 1000|"#
                    + #"container_network_transmit_bytes_total{id="/",interface="ens3"} NaN"#, nil, nil
            ),
            (
                #"container_network_receive_bytes_total{id="/",interface="ens3"} 1000|"#
                    + #"container_network_transmit_bytes_total{id="/",interface="ens3"} 0"#,
                KubeletReading.Traffic(received: 1_000, sent: 0), nil
            ),
            // A size without what is used.
            (#"container_fs_limit_bytes{id="/",device="/dev/vda1"} 100"#, nil, nil),
            (#"container_fs_usage_bytes{id="/",device="/dev/vda1"} 70"#, nil, KubeletReading.Disk(usedBytes: 70)),
        ] as [(String, KubeletReading.Traffic?, KubeletReading.Disk?)])
    func cadvisorParts(lines: String, traffic: KubeletReading.Traffic?, disk: KubeletReading.Disk?) throws {
        let text =
            #"container_memory_working_set_bytes{id="/"} 2000"# + "\n" + lines.replacing("|", with: "\n") + "\n"
        let reading = try #require(KubeletReading.cadvisor(bytes(text)))
        #expect(reading.node.traffic == traffic && reading.node.disk == disk)
    }

    /// Devices, each with what is used and its size, and which of them is meant.
    @Test(
        "/metrics/cadvisor: a node's disk is its root file system, never the sum of one's use and another's size",
        arguments: [
            // A pod's volume is larger, or fuller: neither counts. A machine begins at /boot.
            ([("/dev/vda1", 95, 100), ("/dev/vdb", 50, 1_000), ("/dev/vda15", 9, 10)], "/dev/vda1"),
            ([("/dev/vdb", 999, 1_000), ("/dev/sda2", 5, 40), ("tmpfs", 2_000, 9_000)], "/dev/sda2"),
            ([("/dev/nvme1n1", 9, 900), ("/dev/nvme0n1p2", 5, 40), ("/dev/shm", 0, 9_000)], "/dev/nvme0n1p2"),
            ([("/dev/root", 5, 40), ("/dev/vdb", 9, 900)], "/dev/root"),
            // LVM, or names that say nothing: the largest.
            ([("/dev/vda1", 9, 10), ("/dev/mapper/vg-root", 5, 40), ("tmpfs", 9, 900)], "/dev/mapper/vg-root"),
            ([("/dev/vdc", 9, 10), ("/dev/vdab", 5, 40)], "/dev/vdab"),
            ([("a", 9, 10), ("b", 5, 40)], "b"),
        ] as [([(name: String, used: Int, size: Int)], String)])
    func cadvisorDisk(devices: [(name: String, used: Int, size: Int)], meant: String) throws {
        let lines =
            devices.map { #"container_fs_usage_bytes{id="/",device="\#($0.name)"} \#($0.used)"# }
            + devices.reversed().map { #"container_fs_limit_bytes{id="/",device="\#($0.name)"} \#($0.size)"# }
        let text = #"container_memory_working_set_bytes{id="/"} 2000"# + "\n" + lines.joined(separator: "\n") + "\n"
        let device = try #require(devices.first { $0.name == meant })
        let reading = try #require(KubeletReading.cadvisor(bytes(text)))
        #expect(
            reading.node.disk
                == .init(usedBytes: Double(device.used), capacityBytes: Double(device.size)))
    }

    @Test("metrics.k8s.io: quantities, and only the pods of the node")
    func metricsAPI() throws {
        let nodes = #"""
            {"kind":"NodeMetricsList","items":[{"metadata":{"name":"n1"},"timestamp":"2026-11-23T22:00:00Z","window":"20s",
             "usage":{"cpu":"156340478n","memory":"1024Ki"}},{"metadata":{"name":"n2"},"usage":{"cpu":"1e3furlongs"}}]}
            """#
        let pods = #"""
            {"items":[{"metadata":{"name":"p","namespace":"a"},"timestamp":"2026-11-23T22:00:00Z","containers":[
              {"name":"c","usage":{"cpu":"250m","memory":"1Mi"}},{"name":"d","usage":{"cpu":"1","memory":"1k"}}]},
              {"metadata":{"name":"q","namespace":"a"},"containers":null}]}
            """#
        let answer = try MetricsAPI.read(nodes: bytes(nodes), pods: bytes(pods))
        let reading = try #require(
            answer.reading(of: "n1", pods: [.init(namespace: "a", name: "p"), .init(namespace: "a", name: "gone")]))
        #expect(reading.node.cpuMillis == 156.340478)
        #expect(reading.node.memoryBytes == 1_048_576)
        #expect(reading.pods.count == 1)
        #expect(reading["a", "p"]?.use.cpuMillis == 1_250)
        #expect(reading["a", "p"]?.use.memoryBytes == 1_049_576)
        #expect(answer.reading(of: "n2", pods: []) == nil)
        #expect(answer.rejected == [.wrongUnit: 1])
        #expect(throws: JSONError.self) { try MetricsAPI.read(nodes: bytes("{\"items\": ["), pods: bytes(pods)) }
    }

    @Test("metrics.k8s.io: an odd item costs only itself, and is counted once")
    func oddItems() throws {
        let nodes = #"""
            {"items":[{"metadata":{"name":"n1"},"usage":null},{"metadata":{"name":"n2"},"usage":{"cpu":1,"memory":"5"}},
             {"metadata":{"name":"n3"},"usage":{"cpu":"1","memory":"7"}}]}
            """#
        let pods = #"""
            {"items":[{"metadata":{"name":"p","namespace":"a"},"containers":[{"name":"c","usage":null},
              {"name":"d","usage":{"cpu":{"x":1},"memory":"9"}}]}]}
            """#
        var answer = try MetricsAPI.read(nodes: bytes(nodes), pods: bytes(pods))
        #expect(answer.reading(of: "n1", pods: []) == nil)
        #expect(answer.reading(of: "n2", pods: [])?.node == .init(memoryBytes: 5))
        #expect(answer.reading(of: "n3", pods: [])?.node.cpuMillis == 1_000)
        // A pod without one of its containers' numbers has none, and the container that has some keeps them.
        let pod = answer.reading(of: "n3", pods: [.init(namespace: "a", name: "p")])?["a", "p"]
        #expect(pod?.use.isEmpty == true && pod?.containers.last?.use.memoryBytes == 9)
        #expect(answer.takeRejected() == [.wrongUnit: 2])
        #expect(answer.takeRejected().isEmpty)
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
        let pod = try #require(KubeletReading.metricsResource(bytes(text))?["n", "p"])
        #expect(pod.use == .init(at: Timestamp(seconds: 5), cpuSeconds: 5, memoryBytes: 200))
        #expect(pod.containers.map(\.name) == ["a", "b"])
        let summary = #"""
            {"node":{"cpu":{"usageNanoCores":1}},"pods":[{"podRef":{"name":"p","namespace":"n"},"containers":[
             {"name":"a","cpu":{"usageNanoCores":1000000},"memory":{"workingSetBytes":18446744073709551615}},
             {"name":"b","cpu":{"usageNanoCores":2000000},"memory":{"workingSetBytes":7}}]}]}
            """#
        let reading = try #require(try KubeletReading.statsSummary(bytes(summary)))
        #expect(reading["n", "p"]?.use.cpuMillis == 3)
        // One of the two is not known: so is the sum.
        #expect(reading["n", "p"]?.use.memoryBytes == nil)
        #expect(reading["n", "p"]?.containers.last?.use.memoryBytes == 7)
        #expect(reading.rejected == [.outOfRange: 1])
    }

    @Test("NaN, infinities, negative and huge values, wrong lines, wrong names: each counted by why, the rest is used")
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
            pod_cpu_usage_seconds_total{namespace="n",pod=""} 1
            pod_cpu_usage_seconds_total{pod="p",namespace="n",evil="}"} 2
            pod_cpu_usage_seconds_total{namespace="n"} 3
            pod_memory_working_set_bytes{namespace="n",pod="p"} -1
            pod_memory_working_set_bytes{namespace="n",pod="p"} 1e300
            node_cpu_usage_seconds_total 4.5 1000 # {trace="x"} 1
            node_memory_working_set_bytes 12
            """#
        let reading = try #require(KubeletReading.metricsResource(bytes(text)))
        #expect(reading.node == .init(at: Timestamp(seconds: 1), cpuSeconds: 4.5))
        #expect(reading.pods.map(\.key.name) == ["p"])
        #expect(reading["n", "p"]?.use.cpuSeconds == 2)
        #expect(reading["n", "p"]?.use.memoryBytes == nil)
        #expect(
            reading.rejected == [
                .malformedLine: 6, .notFinite: 2, .badName: 3, .negative: 1, .outOfRange: 1, .truncated: 1,
            ])
    }

    @Test(
        "numbers in all forms that Go writes are read exactly",
        arguments: [
            "0", "1", "0.1", "10.74557197570801", "3.75809536e+08", "1.7954700241170002e+09", "1e-07", "5e-324",
            "1.7976931348623157e+10", "123456789012345678", "12345678901234567890123", "0.30000000000000004",
            "9007199254740993", "4.35e-05", "1E3", "+7",
        ])
    func numbers(text: String) throws {
        let page = bytes("node_cpu_usage_seconds_total 1\nnode_memory_working_set_bytes \(text) 1000\nx \(text)\n")
        var values: [Double] = []
        page.withUnsafeBytes { page in
            let rejected = PrometheusText.forEachSample(page) { values.append($0.value) }
            #expect(rejected.isEmpty)
        }
        let expected = try #require(Double(text))
        #expect(values == [1, expected, expected])
    }

    @Test("times before 1970 or centuries ahead are counted and not used, on every page; the numbers are")
    func times() throws {
        let text = """
            node_cpu_usage_seconds_total 4.5 -62135596800000
            node_memory_working_set_bytes 12 1795470024117
            pod_cpu_usage_seconds_total{namespace="n",pod="p"} 2 -1
            pod_memory_working_set_bytes{namespace="n",pod="p"} 2 99999999999999

            """
        let reading = try #require(KubeletReading.metricsResource(bytes(text)))
        #expect(
            reading.node == .init(at: Timestamp(microseconds: 1_795_470_024_117_000), cpuSeconds: 4.5, memoryBytes: 12))
        #expect(reading["n", "p"]?.use == .init(cpuSeconds: 2, memoryBytes: 2))
        #expect(reading.rejected == [.badTime: 3])
        let cgroups = try #require(
            KubeletReading.cadvisor(bytes(#"container_memory_working_set_bytes{id="/"} 2000 -5"# + "\n")))
        #expect(cgroups.node == .init(memoryBytes: 2_000) && cgroups.rejected == [.badTime: 1])
        let summary = try #require(
            try KubeletReading.statsSummary(
                bytes(
                    #"""
                    {"node":{"cpu":{"time":"0001-01-01T00:00:00Z","usageCoreNanoSeconds":5},"memory":{"time":null,
                     "workingSetBytes":7}},"pods":[{"podRef":{"name":"p","namespace":"n","uid":null},
                     "cpu":{"time":"9999-12-31T23:59:59Z","usageNanoCores":1000000}}]}
                    """#)))
        #expect(summary.node.at == nil && summary.node.memoryBytes == 7)
        #expect(summary["n", "p"]?.use == .init(cpuMillis: 1) && summary["n", "p"]?.uid == nil)
        #expect(summary.rejected == [.badTime: 2])
    }

    @Test(
        "a hostile /stats/summary: what is null, huge or misnamed costs only itself",
        arguments: [
            (#"{"node":{"memory":{"workingSetBytes":7}},"pods":null}"#, 0, Rejections()),
            (#"{"node":{"memory":{"workingSetBytes":7}},"pods":[{"podRef":null,"cpu":null}]}"#, 0, [.badName: 1]),
            (
                #"{"node":{"memory":{"workingSetBytes":7}},"pods":[{"podRef":{"name":null,"namespace":"n"}}]}"#, 0,
                [.badName: 1]
            ),
            (
                #"{"node":{"memory":{"workingSetBytes":7}},"pods":[{"podRef":{"name":"../x","namespace":"n"}},"#
                    + #"{"podRef":{"name":"p","namespace":"n"},"containers":[{"name":null},{"name":"c\u0000"}]}]}"#, 1,
                [.badName: 3]
            ),
            (
                #"{"node":{"cpu":{"usageNanoCores":-1,"usageCoreNanoSeconds":1e300},"memory":{"workingSetBytes":7,"#
                    + #""time":"yesterday"}},"pods":[]}"#, 0, [.negative: 1, .outOfRange: 1, .badTime: 1]
            ),
            (
                #"{"node":{"memory":{"workingSetBytes":7},"network":{"interfaces":[{"name":null,"rxBytes":null}]},"#
                    + #""fs":{"usedBytes":1e19}},"pods":[]}"#, 0, [.outOfRange: 1]
            ),
        ] as [(String, Int, Rejections)])
    func hostileSummary(text: String, pods: Int, rejected: Rejections) throws {
        let reading = try #require(try KubeletReading.statsSummary(bytes(text)))
        #expect(reading.node.memoryBytes == 7)
        #expect(reading.pods.count == pods)
        #expect(reading.rejected == rejected)
    }

    @Test(
        "a /stats/summary that is no JSON, of another shape, or deeper than any is refused, with the place",
        arguments: [
            "", "[]", "null", "{", #"{"node":[]}"#, #"{"node":{"cpu":7}}"#, #"{"pods":{}}"#,
            #"{"node":{"cpu":{"time":7}}}"#,
            #"{"node":{"memory":{"workingSetBytes":"7"}}}"#, #"{"node":{"memory":{"workingSetBytes":1e400}}}"#,
            #"{"node":{"memory":{"workingSetBytes":7}}} {}"#,
            #"{"x":"# + String(repeating: "[", count: 100_000),
        ])
    func refusedSummary(text: String) {
        #expect(throws: JSONError.self) { try KubeletReading.statsSummary(bytes(text)) }
    }

    @Test("a line of 10 MB, a hundred thousand pods, a body cut off anywhere")
    func huge() throws {
        let line = "node_cpu_usage_seconds_total{x=\"" + String(repeating: "a", count: 10 << 20) + "\"} 1\n"
        let reading = try #require(KubeletReading.metricsResource(bytes(line + "node_cpu_usage_seconds_total 2\n")))
        #expect(reading.node.cpuSeconds == 2)
        #expect(reading.rejected == [.longLine: 1])
        var many = "node_cpu_usage_seconds_total 1\n"
        for index in 0..<30_000 { many += "pod_cpu_usage_seconds_total{namespace=\"n\",pod=\"p\(index)\"} 1\n" }
        let crowd = try #require(KubeletReading.metricsResource(bytes(many)))
        #expect(crowd.pods.count == KubeletReading.maximumPods)
        #expect(crowd.rejected[.tooMany] == 30_000 - KubeletReading.maximumPods)
        let whole = try Recorded.bytes("metrics-resource.txt")
        let complete = try #require(KubeletReading.metricsResource(whole))
        for length in 0..<whole.count {
            // What is left says nothing that the whole does not say.
            guard let part = KubeletReading.metricsResource(Array(whole[..<length])) else { continue }
            #expect(part.node.cpuSeconds == nil || part.node.cpuSeconds == complete.node.cpuSeconds)
            #expect(part.node.memoryBytes == nil || part.node.memoryBytes == complete.node.memoryBytes)
        }
        let summary = try Recorded.bytes("stats-summary.json")
        for length in stride(from: 0, to: summary.count - 2, by: 11) {
            #expect(throws: JSONError.self) { try KubeletReading.statsSummary(Array(summary[..<length])) }
        }
    }

    @Test("a line with more labels than any, and bytes that are no text")
    func strangeLines() throws {
        let labels = (0..<100).map { "l\($0)=\"x\"" }.joined(separator: ",")
        var page = bytes("node_cpu_usage_seconds_total{\(labels)} 1\nnode_cpu_usage_seconds_total 3\n")
        page += bytes("pod_cpu_usage_seconds_total{namespace=\"n\",pod=\"") + [0xFF, 0xFE] + bytes("\"} 1\n")
        page += [0x00, 0x0A, 0x0D, 0x0A]
        let reading = try #require(KubeletReading.metricsResource(page))
        #expect(reading.node.cpuSeconds == 3)
        #expect(reading.pods.isEmpty)
        #expect(reading.rejected == [.malformedLine: 2, .badName: 1])
    }
}

@Suite("From counters to use")
struct UsageMeterTests {
    private let target = UsageMeter.Target(
        Node(
            name: "n1", providerID: "openstack:///0123-4567-89",
            allocatable: ResourceList(cpuMillis: 4_000, memoryBytes: 8_000)))

    private func time(_ seconds: Double) -> Timestamp { Timestamp(seconds: 100_000) + .seconds(seconds) }

    private func reading(_ seconds: Double, cpu: Double, memory: Int64 = 2_000) -> KubeletReading {
        var reading = KubeletReading()
        reading.node = .init(at: time(seconds), cpuSeconds: cpu, memoryBytes: memory)
        let use = KubeletReading.Use(at: time(seconds), cpuSeconds: cpu / 2, memoryBytes: 500)
        reading.pods = [
            .init(
                key: .init(namespace: "n", name: "p"), uid: "u", use: use, containers: [.init(name: "c", use: use)])
        ]
        return reading
    }

    @Test("two readings make a rate, and parts of what is allocatable or requested")
    func rate() throws {
        var meter = UsageMeter(interval: .seconds(15))
        let first = meter.take(reading(0, cpu: 10), of: target, at: time(1))
        #expect(first.node.cpuMillis == nil)
        #expect(first.node.memoryUtilization == 0.25)
        #expect(first.node.serverID == "0123-4567-89")
        #expect(first.pods.first?.memoryBytes == 500)
        #expect(first.pods.first?.cpuUtilization == nil)
        var known = UsageMeter.PodsOnNode(running: 1, pending: 2)
        known.facts[.init(namespace: "n", name: "p")] = .init(
            uid: "u", requests: ResourceList(cpuMillis: 500, memoryBytes: 1_000))
        let second = meter.take(reading(10, cpu: 30), of: target, pods: known, at: time(11))
        #expect(second.node.cpuMillis == 2_000)
        #expect(second.node.cpuUtilization == 0.5)
        #expect(second.node.podsRunning == 1)
        #expect(second.node.podsPending == 2)
        let pod = try #require(second.pods.first)
        #expect(pod.cpuMillis == 1_000)
        #expect(pod.cpuUtilization == 2)
        #expect(pod.memoryUtilization == 0.5)
        #expect(pod.podUID == "u")
        #expect(pod.containers?.first?.cpuMillis == 1_000)
        #expect(pod.containers?.first?.cpuUtilization == 0.25)
        #expect(!second.node.stale)
    }

    @Test(
        "CPU in whole thousandths: each container's rounded up, if all are known and it is not the pod's rounded up",
        arguments: [([0.992, 0.992], 200), ([0.992, nil], nil), ([0.992], nil), ([1, 1], nil)]
            as [([Double?], Double?)])
    func wholeMillis(_ used: [Double?], _ whole: Double?) throws {
        var meter = UsageMeter(interval: .seconds(15))
        func reading(_ seconds: Double, share: Double) -> KubeletReading {
            func use(_ amount: Double?) -> KubeletReading.Use {
                .init(at: time(seconds), cpuSeconds: amount.map { $0 * share })
            }
            let sum: Double = used.compactMap { $0 }.reduce(0, +)
            var pod = KubeletReading.Pod(key: .init(namespace: "n", name: "p"), uid: "u", use: use(sum))
            for (number, amount) in used.enumerated() {
                pod.containers.append(.init(name: "c\(number)", use: use(amount)))
            }
            var reading = KubeletReading()
            reading.node = .init(at: time(seconds), cpuSeconds: 10 + seconds)
            reading.pods = [pod]
            return reading
        }
        _ = meter.take(reading(0, share: 0), of: target, at: time(1))
        let measured = meter.take(reading(10, share: 1), of: target, at: time(11))
        let pod = try #require(measured.pods.first)
        #expect(pod.cpuMillis != nil && pod.cpuWholeMillis == whole, "\(pod)")
    }

    @Test("a pod made anew under its name has no rate by the counter of the old one")
    func madeAnew() throws {
        var meter = UsageMeter(interval: .seconds(15))
        func known(_ uid: String) -> UsageMeter.PodsOnNode {
            UsageMeter.PodsOnNode(facts: [
                .init(namespace: "n", name: "p"): .init(uid: uid, requests: ResourceList(cpuMillis: 500))
            ])
        }
        _ = meter.take(reading(0, cpu: 10), of: target, pods: known("u1"), at: time(1))
        let other = meter.take(reading(10, cpu: 30), of: target, pods: known("u2"), at: time(11))
        #expect(other.pods.first?.cpuMillis == nil && other.pods.first?.containers?.first?.cpuMillis == nil)
        let next = meter.take(reading(20, cpu: 50), of: target, pods: known("u2"), at: time(21))
        #expect(next.pods.first?.cpuMillis == 1_000 && next.pods.first?.containers?.first?.cpuMillis == 1_000)
    }

    @Test("the same reading again keeps its rate; a counter that fell has none until the next; a gap gives the mean")
    func resets() {
        var meter = UsageMeter(interval: .seconds(15))
        _ = meter.take(reading(0, cpu: 10), of: target, at: time(1))
        _ = meter.take(reading(10, cpu: 20), of: target, at: time(11))
        #expect(meter.take(reading(10, cpu: 20), of: target, at: time(12)).node.cpuMillis == 1_000)
        #expect(meter.take(reading(10.2, cpu: 20.9), of: target, at: time(13)).node.cpuMillis == 1_000)
        #expect(meter.take(reading(20, cpu: 1), of: target, at: time(21)).node.cpuMillis == nil)
        #expect(meter.take(reading(30, cpu: 2), of: target, at: time(31)).node.cpuMillis == 100)
        #expect(meter.take(reading(130, cpu: 102), of: target, at: time(131)).node.cpuMillis == 1_000)
    }

    @Test("silence: the last numbers, stale after two intervals; then nothing once the node is gone")
    func silence() {
        var meter = UsageMeter(interval: .seconds(15))
        #expect(meter.missed(target, at: time(0)) == nil)
        _ = meter.take(reading(0, cpu: 10), of: target, at: time(0))
        #expect(meter.missed(target, at: time(15))?.stale == false)
        #expect(meter.missed(target, at: time(31))?.stale == true)
        #expect(meter.missed(target, at: time(31))?.memoryBytes == 2_000)
        meter.keep(only: [])
        #expect(meter.missed(target, at: time(32)) == nil)
        #expect(meter.count == 0)
    }

    @Test("a kubelet that repeats its numbers becomes stale though it answers")
    func repeats() {
        var meter = UsageMeter(interval: .seconds(15))
        #expect(!meter.take(reading(0, cpu: 10), of: target, at: time(1)).node.stale)
        #expect(!meter.take(reading(0, cpu: 10), of: target, at: time(16)).node.stale)
        #expect(meter.take(reading(0, cpu: 10), of: target, at: time(46)).node.stale)
        #expect(!meter.take(reading(60, cpu: 20), of: target, at: time(61)).node.stale)
    }

    @Test("a kubelet whose clock runs ahead is not fresher than now, and its rates are right")
    func clockAhead() {
        var meter = UsageMeter(interval: .seconds(15))
        let first = meter.take(reading(1_000, cpu: 1), of: target, at: time(0))
        #expect(first.node.at == time(0))
        #expect(first.clockIsOff)
        let second = meter.take(reading(1_015, cpu: 16), of: target, at: time(15))
        #expect(second.node.cpuMillis == 1_000)
        #expect(second.node.at == time(15))
        #expect(second.pods.first?.at == time(15))
        // Stuck there, it becomes stale like any other.
        #expect(meter.take(reading(1_015, cpu: 16), of: target, at: time(60)).node.stale)
    }

    @Test("a kubelet whose clock is an hour behind is known by its times going on: not stale, at our time")
    func clockBehind() {
        var meter = UsageMeter(interval: .seconds(15))
        #expect(meter.take(reading(-3_600, cpu: 1), of: target, at: time(0)).node.stale)
        let second = meter.take(reading(-3_585, cpu: 16), of: target, at: time(15))
        #expect(!second.node.stale)
        #expect(second.node.at == time(15))
        #expect(second.clockIsOff)
        #expect(second.node.cpuMillis == 1_000)
        // And mended: back to its own time, with one rate missing.
        let mended = meter.take(reading(29, cpu: 30), of: target, at: time(30))
        #expect(mended.node.at == time(29))
        #expect(!mended.node.stale)
        #expect(mended.node.cpuMillis == nil, "14 core-seconds are not spread over an hour")
        #expect(meter.take(reading(44, cpu: 45), of: target, at: time(45)).node.cpuMillis == 1_000)
    }

    @Test("a clock that was set back begins anew instead of waiting for the time to come round again")
    func setBack() {
        var meter = UsageMeter(interval: .seconds(15))
        _ = meter.take(reading(0, cpu: 10), of: target, at: time(0))
        _ = meter.take(reading(15, cpu: 25), of: target, at: time(15))
        #expect(meter.take(reading(-600, cpu: 40), of: target, at: time(30)).node.cpuMillis == nil)
        #expect(meter.take(reading(-585, cpu: 55), of: target, at: time(45)).node.cpuMillis == 1_000)
    }

    @Test("network and file systems have times of their own, and are repeated between two pages that tell them")
    func details() {
        var meter = UsageMeter(interval: .seconds(15), details: .minutes(1))
        func detailed(_ seconds: Double, _ received: Double) -> KubeletReading {
            var reading = reading(seconds, cpu: seconds)
            reading.node.traffic = .init(received: received, sent: received / 2)
            reading.node.disk = .init(usedBytes: 25, capacityBytes: 100)
            return reading
        }
        let first = meter.take(detailed(0, 1_000), of: target, at: time(0))
        #expect(first.node.receivedPerSecond == nil)
        #expect(first.node.diskUtilization == 0.25)
        _ = meter.take(reading(15, cpu: 15), of: target, at: time(15))
        let second = meter.take(detailed(60, 7_000), of: target, at: time(60))
        #expect(second.node.receivedPerSecond == 100)
        #expect(second.node.sentPerSecond == 50)
        let third = meter.take(reading(75, cpu: 75), of: target, at: time(75))
        #expect(third.node.receivedPerSecond == 100)
        #expect(third.node.diskBytes == 25)
        #expect(second.node.detailsAt == nil && third.node.detailsAt == time(60))
        // Of pods it is said when they were measured.
        func withPod(_ reading: KubeletReading, _ disk: Double?) -> KubeletReading {
            var reading = reading
            reading.pods[0].use.disk = disk.map { .init(usedBytes: $0, capacityBytes: 100) }
            return reading
        }
        let fresh = meter.take(withPod(reading(90, cpu: 90), 7), of: target, at: time(90)).pods.first
        #expect(fresh?.diskBytes == 7 && fresh?.detailsAt == nil)
        let repeated = meter.take(withPod(reading(105, cpu: 105), nil), of: target, at: time(105)).pods.first
        #expect(repeated?.diskBytes == 7 && repeated?.at == time(105) && repeated?.detailsAt == time(90))
        // One page with details failed, then the next: not known any more, and not zero.
        #expect(meter.take(reading(195, cpu: 195), of: target, at: time(195)).node.diskBytes == 25)
        let late = meter.take(reading(210, cpu: 210), of: target, at: time(210)).node
        #expect(late.diskBytes == nil && late.receivedPerSecond == nil && late.detailsAt == nil)
        // When it comes again, the rate is the mean over the gap.
        #expect(meter.take(detailed(260, 27_000), of: target, at: time(260)).node.receivedPerSecond == 100)
        // A counter that was reset has no rate.
        _ = meter.take(detailed(860, 50), of: target, at: time(860))
        #expect(meter.take(detailed(920, 20), of: target, at: time(920)).node.receivedPerSecond == nil)
    }

    @Test("pages with details that are far apart still make a rate")
    func rareDetails() {
        var meter = UsageMeter(interval: .seconds(60), details: .minutes(15))
        func detailed(_ seconds: Double, _ received: Double) -> KubeletReading {
            var reading = reading(seconds, cpu: seconds)
            reading.node.traffic = .init(received: received, sent: 0)
            return reading
        }
        _ = meter.take(detailed(0, 0), of: target, at: time(0))
        for minute in 1..<15 {
            let seconds = Double(minute * 60)
            _ = meter.take(reading(seconds, cpu: seconds), of: target, at: time(seconds))
        }
        #expect(meter.take(detailed(900, 9_000), of: target, at: time(900)).node.receivedPerSecond == 10)
    }

    @Test("a pod whose time is years before its node's is not used; the node and its other pods are")
    func podOfAnotherTime() {
        var meter = UsageMeter(interval: .seconds(15))
        var page = reading(0, cpu: 10)
        page.pods.append(page.pods[0])
        page.pods[1].key.name = "old"
        page.pods[1].use.at = Timestamp(seconds: 1)
        let measured = meter.take(page, of: target, at: time(1))
        #expect(measured.pods.map(\.pod) == ["p"] && measured.node.memoryBytes == 2_000)
        #expect(measured.rejected == [.badTime: 1])
    }

    @Test("nanoseconds for seconds and kilobytes for bytes: more than the node has, and not used")
    func wrongUnits() {
        var meter = UsageMeter(interval: .seconds(15))
        _ = meter.take(reading(0, cpu: 1e9), of: target, at: time(0))
        let wrong = meter.take(reading(15, cpu: 16e9, memory: 8_000 * 1_024), of: target, at: time(15))
        #expect(wrong.node.cpuMillis == nil)
        #expect(wrong.node.memoryBytes == nil)
        #expect(wrong.rejected[.wrongUnit] >= 2)
    }
}
