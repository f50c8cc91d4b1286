import Messages
import Support
import Testing

@testable import Collector

/// Pages of which something is missing, or too large, or nothing is good.
@Suite("What a kubelet's page lacks")
struct KubeletPartsTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func lines(_ text: String, isCadvisor: Bool = false) -> KubeletReading {
        KubeletReading.lines(bytes(text + "\n"), isCadvisor: isCadvisor)
    }

    private func container(_ name: String, _ cpu: String, _ memory: String) -> String {
        let labels = "{container=\"\(name)\",namespace=\"n\",pod=\"p\"}"
        return
            "container_cpu_usage_seconds_total\(labels) \(cpu)\ncontainer_memory_working_set_bytes\(labels) \(memory)\n"
    }

    @Test("containers are counted over the whole summary, not pod by pod; pods that lost some are not added up")
    func containersOfAll() throws {
        let containers = (0..<900).map { #"{"name":"c\#($0)","memory":{"workingSetBytes":1}}"# }.joined(separator: ",")
        let pods = (0..<30).map { #"{"podRef":{"name":"p\#($0)","namespace":"n"},"containers":[\#(containers)]}"# }
        let text = #"{"node":{"memory":{"workingSetBytes":7}},"pods":[\#(pods.joined(separator: ","))]}"#
        let reading = try #require(try KubeletReading.statsSummary(bytes(text)))
        #expect(reading.pods.reduce(0) { $0 + $1.containers.count } == KubeletReading.maximumContainers)
        #expect(reading.rejected == [.tooMany: 30 * 900 - KubeletReading.maximumContainers])
        #expect(reading["n", "p0"]?.use.memoryBytes == 900)
        // The 23rd has a part of its containers, those after it none.
        #expect(reading["n", "p22"]?.containers.count == 200 && reading["n", "p22"]?.use.isEmpty == true)
        #expect(reading["n", "p29"]?.containers.isEmpty == true && reading["n", "p29"]?.use.isEmpty == true)
    }

    @Test(
        "/metrics/resource: the sum of a pod's containers is known only if each of them is",
        arguments: [
            ("2", "100", 5.0, 300),
            ("NaN", "100", nil, 300), ("-1", "100", nil, 300), ("1e300", "NaN", nil, nil), ("NaN", "-7", nil, nil),
            // A line that cannot be read may be of any container.
            ("zwei", "100", nil, nil), ("2", "", nil, nil),
        ] as [(String, String, Double?, Int64?)])
    func resourceSum(cpu: String, memory: String, sum: Double?, bytes: Int64?) throws {
        let page = lines("node_memory_working_set_bytes 7\n" + container("a", cpu, memory) + container("b", "3", "200"))
        let pod = try #require(page["n", "p"])
        #expect(pod.use.cpuSeconds == sum && pod.use.memoryBytes == bytes)
        #expect(pod.containers.last == .init(name: "b", use: .init(cpuSeconds: 3, memoryBytes: 200)))
    }

    @Test("cAdvisor: beside a container the empty group of the one before it is told, in whatever order")
    func groupOfBefore() throws {
        let (old, new) = (container("a", "5", "0"), container("a", "2", "800"))
        for page in [old + new, new + old] {
            let reading = lines("container_memory_working_set_bytes{id=\"/\"} 7\n" + page, isCadvisor: true)
            #expect(reading["n", "p"]?.containers.first?.use.memoryBytes == 800)
        }
    }

    @Test("a container with a name that none has is missing in its pod's sum, on every page")
    func misnamedContainer() throws {
        let text = "node_memory_working_set_bytes 7\n" + container("a", "2", "100") + container("../b", "3", "200")
        let resource = lines(text)
        #expect(resource["n", "p"]?.use.isEmpty == true && resource.rejected == [.badName: 2])
        // With numbers of its own it needs no sum.
        let own = lines(text + "pod_memory_working_set_bytes{namespace=\"n\",pod=\"p\"} 300")
        #expect(own["n", "p"]?.use == .init(memoryBytes: 300))
        let summary = try KubeletReading.summary(
            bytes(
                #"""
                {"node":{"memory":{"workingSetBytes":7}},"pods":[{"podRef":{"name":"p","namespace":"n"},"containers":[
                 {"name":"a","memory":{"workingSetBytes":7}},{"name":"b c","memory":{"workingSetBytes":7}}]}]}
                """#))
        #expect(summary["n", "p"]?.use.isEmpty == true && summary.rejected == [.badName: 1])
        let api = try MetricsAPI.read(
            nodes: bytes(#"{"items":[{"metadata":{"name":"n1"},"usage":{"memory":"7"}},{"metadata":{"name":"n 2"}}]}"#),
            pods: bytes(
                #"""
                {"items":[{"metadata":{"name":"p","namespace":"n"},"containers":[{"name":"a","usage":{"memory":"7"}},
                 {"name":"b c","usage":{"memory":"7"}}]}]}
                """#))
        #expect(api.pods[.init(namespace: "n", name: "p")]?.use.isEmpty == true)
        // The node with a name that none has is counted too.
        #expect(api.rejected == [.badName: 2] && api.nodes.count == 1)
    }

    @Test(
        "cAdvisor: a core whose line is not usable makes the CPU unknown, not less",
        arguments: [
            (#"{cpu="cpu00",id="/"} 5"#, 12.0), (#"{cpu="cpu00",id="/"} NaN"#, nil), (#"{cpu="cpu00",id="/"} -1"#, nil),
            (#"{cpu="cpu00",id="/"} fünf"#, nil),
        ] as [(String, Double?)])
    func cores(line: String, seconds: Double?) {
        let name = "container_cpu_usage_seconds_total"
        let page = lines(
            "container_memory_working_set_bytes{id=\"/\"} 7\n\(name)\(line)\n\(name){cpu=\"cpu01\",id=\"/\"} 7",
            isCadvisor: true)
        #expect(page.node.cpuSeconds == seconds && page.node.memoryBytes == 7)
        // One line for all cores is whole, whatever else is on the page.
        let total = lines("\(name){cpu=\"total\",id=\"/\"} 7\nwhat is this", isCadvisor: true)
        #expect(total.node.cpuSeconds == 7)
    }

    @Test("a file system fuller than it is large is a wrong unit, on both pages that tell it; a little more may be")
    func disks() throws {
        func summary(_ used: String) throws -> KubeletReading {
            let fs = #"{"usedBytes":\#(used),"capacityBytes":100000000000}"#
            return try KubeletReading.summary(
                bytes(
                    #"""
                    {"node":{"memory":{"workingSetBytes":7},"fs":\#(fs)},"pods":[{"podRef":{"name":"p","namespace":"n"},
                     "memory":{"workingSetBytes":7},"ephemeral-storage":\#(fs),"containers":[{"name":"c","rootfs":\#(fs),
                     "logs":{"usedBytes":1,"capacityBytes":100000000000}}]}]}
                    """#))
        }
        let wrong = try summary("5e15")
        #expect(wrong.node.disk == nil && wrong["n", "p"]?.use.disk == nil)
        // Nor is a container's disk its logs alone.
        #expect(wrong["n", "p"]?.containers.first?.use.disk == nil)
        #expect(wrong.rejected == [.wrongUnit: 3])
        let right = try summary("100000000001")
        #expect(right.node.disk == .init(usedBytes: 100_000_000_001, capacityBytes: 100_000_000_000))
        #expect(right["n", "p"]?.containers.first?.use.disk == .init(usedBytes: 100_000_000_002))
        #expect(right.rejected.isEmpty)
        let lines = lines(
            """
            container_memory_working_set_bytes{id="/"} 7
            container_fs_usage_bytes{id="/",device="/dev/vda1"} 5e15
            container_fs_limit_bytes{id="/",device="/dev/vda1"} 1e11
            """, isCadvisor: true)
        #expect(lines.node.disk == nil && lines.rejected == [.wrongUnit: 1])
        // Another disk is no replacement for the one whose line cannot be used.
        let other = self.lines(
            """
            container_memory_working_set_bytes{id="/"} 7
            container_fs_usage_bytes{id="/",device="/dev/vda1"} NaN
            container_fs_usage_bytes{id="/",device="/dev/vdb"} 5
            """, isCadvisor: true)
        #expect(other.node.disk == nil && other.rejected == [.notFinite: 1])
    }

    @Test("interfaces of which one tells half, and a default one that is not usable: no traffic, on /stats/summary")
    func interfaces() throws {
        func traffic(_ network: String) throws -> KubeletReading.Traffic? {
            try KubeletReading.summary(bytes(#"{"node":{"memory":{"workingSetBytes":7},"network":{\#(network)}}}"#))
                .node.traffic
        }
        let whole = #""interfaces":[{"name":"eth0","rxBytes":5,"txBytes":6},{"name":"eth1","rxBytes":1,"txBytes":1}]"#
        #expect(try traffic(whole) == .init(received: 6, sent: 7, parts: 2))
        #expect(
            try traffic(#""interfaces":[{"name":"eth0","rxBytes":5},{"name":"eth1","rxBytes":1,"txBytes":1}]"#) == nil)
        #expect(try traffic(#""rxBytes":9,"txBytes":9,"# + whole) == .init(received: 9, sent: 9, parts: 0))
        #expect(try traffic(#""rxBytes":-9,"txBytes":9,"# + whole) == nil)
    }

    @Test("of a page of which nothing is left it is told what was not used")
    func nothingLeft() throws {
        let all = lines("node_cpu_usage_seconds_total NaN\nnode_memory_working_set_bytes -1\n}{")
        #expect(all.ofNode == nil && all.rejected == [.notFinite: 1, .negative: 1, .malformedLine: 1])
        let cgroups = lines(#"container_memory_working_set_bytes{id="/"} 1e300"#, isCadvisor: true)
        #expect(cgroups.ofNode == nil && cgroups.rejected == [.outOfRange: 1])
        let summary = try KubeletReading.summary(bytes(#"{"node":{"memory":{"workingSetBytes":-1}}}"#))
        #expect(summary.ofNode == nil && summary.rejected == [.negative: 1])
    }
}

@Suite("Whose word a kubelet's is")
struct KubeletWordTests {
    private typealias Key = KubeletReading.PodKey

    private let target = UsageMeter.Target(
        Node(name: "n1", allocatable: ResourceList(cpuMillis: 4_000, memoryBytes: 8_000)))

    private func time(_ seconds: Double) -> Timestamp { Timestamp(seconds: 100_000) + .seconds(seconds) }

    private func pod(_ name: String, _ seconds: Double, uid: String? = nil, memory: Int64 = 5) -> KubeletReading.Pod {
        .init(
            key: .init(namespace: "n", name: name), uid: uid,
            use: .init(at: time(seconds), cpuSeconds: seconds, memoryBytes: memory))
    }

    private func reading(_ seconds: Double, _ pods: [KubeletReading.Pod]) -> KubeletReading {
        .init(node: .init(at: time(seconds), cpuSeconds: seconds, memoryBytes: 2_000), pods: pods)
    }

    private func known(_ names: String...) -> UsageMeter.PodsOnNode {
        var known = UsageMeter.PodsOnNode()
        for name in names {
            known.facts[Key(namespace: "n", name: name)] = .init(uid: "api-\(name)", requests: ResourceList())
        }
        return known
    }

    @Test("of the pods that its node has, with the API server's UIDs; another node's and invented ones are counted")
    func ownPodsOnly() {
        var meter = UsageMeter(interval: .seconds(15))
        // A static pod: the kubelet has another UID of it than the API server, which has its mirror.
        let said = [
            pod("web", 0, uid: "api-other"), pod("other", 0, uid: "api-other"), pod("made-up", 0),
            pod("etcd", 0, uid: "c0ffee"),
        ]
        let measured = meter.take(reading(0, said), of: target, pods: known("web", "etcd"), at: time(1))
        #expect(measured.pods.map(\.pod) == ["web", "etcd"])
        #expect(measured.pods.map(\.podUID) == ["api-web", "api-etcd"])
        #expect(measured.rejected == [.unknownPod: 2] && measured.node.memoryBytes == 2_000)
        // Where the pods are not known, since their watch has not begun, the kubelet is believed.
        #expect(meter.take(reading(15, said), of: target, at: time(16)).pods.count == 4)
    }

    @Test("a pod that is gone is not used any more; that the kubelet repeats it for a minute is no fault of its")
    func leaving() {
        var meter = UsageMeter(interval: .seconds(15))
        func take(_ seconds: Double, _ known: UsageMeter.PodsOnNode) -> UsageMeter.Measured {
            meter.take(
                reading(seconds, [pod("web", seconds), pod("old", seconds)]), of: target, pods: known, at: time(seconds)
            )
        }
        #expect(take(0, known("web", "old")).pods.count == 2)
        for seconds in [15, 30, 45, 60, 75] {
            let measured = take(Double(seconds), known("web"))
            #expect(measured.pods.map(\.pod) == ["web"] && measured.rejected.isEmpty, "after \(seconds) s")
        }
        #expect(take(90, known("web")).rejected == [.unknownPod: 1])
        // It comes again, as a StatefulSet's does: with a rate from its second reading on.
        #expect(take(105, known("web", "old")).pods.last?.cpuMillis == nil)
        #expect(take(120, known("web", "old")).pods.last?.cpuMillis == 1_000)
    }

    @Test("a container that one page left out makes no jump when it is back, and no smaller pod while it is away")
    func sums() throws {
        func page(_ seconds: Double, _ containers: [(String, Double?)]) -> KubeletReading {
            var pod = KubeletReading.Pod(key: .init(namespace: "n", name: "p"))
            pod.containers = containers.map { name, cpu in
                .init(name: name, use: .init(at: time(seconds), cpuSeconds: cpu, memoryBytes: 10))
            }
            pod.addUp()
            return reading(seconds, [pod])
        }
        var meter = UsageMeter(interval: .seconds(15))
        func millis(_ seconds: Double, _ containers: [(String, Double?)]) -> Double? {
            meter.take(page(seconds, containers), of: target, at: time(seconds)).pods.first?.cpuMillis
        }
        #expect(millis(0, [("a", 10), ("b", 50)]) == nil)
        #expect(millis(10, [("a", 15), ("b", 55)]) == 1_000)
        #expect(millis(20, [("a", 20), ("b", nil)]) == nil)
        // Its counter is there again: 60 more than what was added up before would be six cores.
        #expect(millis(30, [("a", 25), ("b", 65)]) == nil)
        #expect(millis(40, [("a", 30), ("b", 70)]) == 1_000)
        // One that the page does not name at all, and that is back, has no rate for one reading; so has the pod.
        #expect(millis(50, [("a", 35)]) == 500)
        #expect(millis(60, [("a", 40), ("b", 80)]) == nil)
        #expect(millis(70, [("a", 45), ("b", 85)]) == 1_000)
        // Memory is added up where each tells it; who tells something is heard though the sum is not known.
        let lacking = page(80, [("a", 50), ("b", nil)])
        #expect(meter.take(lacking, of: target, at: time(80)).pods.first?.memoryBytes == 20)
    }

    @Test("more than any network carries is a wrong unit; an interface more or less makes no rate")
    func network() {
        var meter = UsageMeter(interval: .seconds(15))
        func node(_ seconds: Double, _ received: Double, parts: Int = 1) -> UsageMeter.Measured {
            var page = reading(seconds, [])
            page.node.traffic = .init(received: received, sent: 0, parts: parts)
            return meter.take(page, of: target, at: time(seconds))
        }
        _ = node(0, 0)
        #expect(node(10, 1e9).node.receivedPerSecond == 1e8)
        let huge = node(20, 1e17)
        #expect(huge.node.receivedPerSecond == nil && huge.node.sentPerSecond == 0)
        #expect(huge.rejected == [.wrongUnit: 1])
        _ = node(30, 1e9)
        #expect(node(40, 5e9, parts: 2).node.receivedPerSecond == nil)
        #expect(node(50, 6e9, parts: 2).node.receivedPerSecond == 1e8)
    }
}
