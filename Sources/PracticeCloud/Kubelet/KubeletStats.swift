import JSONReader
import Messages
import Support

/// How much pods use, as somebody set it: by default half of what they request.
struct PodLoad: Sendable {
    /// Share of requests that every pod uses.
    var cpuShare = 0.5
    var memoryShare = 0.5
    /// By pod (`namespace/name`) or by `namespace/app` label: cores in thousandths and bytes.
    var cpuMillis: [String: Double] = [:]
    var memoryBytes: [String: Double] = [:]

    /// What a pod uses now.
    func usage(of pod: PodFacts) -> (cpuMillis: Double, memoryBytes: Double) {
        let group = pod.labels["app"].map { "\(pod.namespace)/\($0)" } ?? ""
        let cpu = cpuMillis[pod.key] ?? cpuMillis[group] ?? Double(pod.spec.requests.cpuMillis) * cpuShare
        let memory =
            memoryBytes[pod.key] ?? memoryBytes[group] ?? Double(pod.spec.requests.memoryBytes) * memoryShare
        return (cpu, memory)
    }
}

extension KubeletModel.Machine {
    /// What its pods and system use now.
    func usage(_ load: PodLoad, _ index: ClusterIndex) -> (cpuMillis: Double, memoryBytes: Double) {
        var cpu = systemCPUMillis
        var memory = systemMemoryBytes
        for key in index.podsByNode[node] ?? [] {
            guard let pod = index.pods[key], pod.phase == "Running" else { continue }
            let used = load.usage(of: pod)
            cpu += used.cpuMillis
            memory += used.memoryBytes
        }
        return (min(cpu, Double(flavor.vcpus) * 1_000), min(memory, Double(flavor.ram) * 1_048_576))
    }
}

/// What a kubelet answers on its own port, or through the API server's proxy.
extension KubeletModel {
    /// Answers `/metrics/resource`, `/stats/summary`, `/pods`, `/healthz` of a node.
    mutating func answer(
        _ path: [String], node: String, store: KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) -> PracticeAnswer {
        guard let machine = machine(ofNode: node), !machine.isSilent else {
            return .text(503, "Error trying to reach service: 'dial tcp: connect: no route to host'")
        }
        let pods = (index.podsByNode[node] ?? []).sorted().compactMap { index.pods[$0] }
        switch path {
        case ["healthz"]: return .text(200, "ok")
        case ["pods"]:
            let items = pods.compactMap { store.get(.pod, $0.key)?.value }
            return .json(200, ["kind": "PodList", "apiVersion": "v1", "metadata": [:], "items": .array(items)])
        case ["metrics", "resource"]:
            return .text(
                200, metrics(machine, pods.filter { $0.phase == "Running" }, store, index, at: now))
        case ["stats", "summary"]:
            return .json(200, summary(machine, pods.filter { $0.phase == "Running" }, store, index, at: now))
        default: return .text(404, "404 page not found\n")
        }
    }

    private func containerName(_ pod: PodFacts, _ store: KubernetesStore) -> String {
        let containers = store.get(.pod, pod.key)?.value[path: "spec", "containers"]?.arrayValue
        return containers?.first?["name"]?.stringValue ?? "main"
    }

    private mutating func metrics(
        _ machine: Machine, _ pods: [PodFacts], _ store: KubernetesStore, _ index: ClusterIndex, at now: Timestamp
    ) -> String {
        let stamp = now.microseconds / 1_000
        let names = pods.map { "namespace=\"\($0.namespace)\",pod=\"\($0.name)\"" }
        let containers = pods.map { containerName($0, store) }
        let seconds = pods.map { countPod($0, at: now) / 1e9 }
        let memory = pods.map { load.usage(of: $0).memoryBytes }
        var text = ""
        func family(_ name: String, _ help: String, _ type: String, _ lines: [String]) {
            guard !lines.isEmpty else { return }
            text += "# HELP \(name) [ALPHA] \(help)\n# TYPE \(name) \(type)\n"
            for line in lines { text += "\(name)\(line)\n" }
        }
        family(
            "container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds",
            "counter",
            pods.indices.map { "{container=\"\(containers[$0])\",\(names[$0])} \(seconds[$0]) \(stamp)" })
        family(
            "container_memory_working_set_bytes", "Current working set of the container in bytes", "gauge",
            pods.indices.map { "{container=\"\(containers[$0])\",\(names[$0])} \(memory[$0]) \(stamp)" })
        let node = machine.usage(load, index)
        let nodeSeconds = countNode(machine, index, at: now) / 1e9
        family(
            "node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds", "counter",
            [" \(nodeSeconds) \(stamp)"])
        family(
            "node_memory_working_set_bytes", "Current working set of the node in bytes", "gauge",
            [" \(node.memoryBytes) \(stamp)"])
        family(
            "pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", "counter",
            pods.indices.map { "{\(names[$0])} \(seconds[$0]) \(stamp)" })
        family(
            "pod_memory_working_set_bytes", "Current working set of the pod in bytes", "gauge",
            pods.indices.map { "{\(names[$0])} \(memory[$0]) \(stamp)" })
        family(
            "scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", "gauge", [" 0"])
        return text
    }

    private mutating func summary(
        _ machine: Machine, _ pods: [PodFacts], _ store: KubernetesStore, _ index: ClusterIndex, at now: Timestamp
    ) -> JSONValue {
        let time = JSONValue.string(now.wholeSeconds)
        func cpu(_ millis: Double, _ nanoseconds: Double) -> JSONValue {
            [
                "time": time, "usageNanoCores": .int(Int64(millis * 1e6)),
                "usageCoreNanoSeconds": .int(Int64(nanoseconds)),
            ]
        }
        func memory(_ bytes: Double, available: Double? = nil) -> JSONValue {
            .members([
                ("time", time), ("availableBytes", available.map { .int(Int64(max(0, $0))) }),
                ("usageBytes", .int(Int64(bytes * 1.2))), ("workingSetBytes", .int(Int64(bytes))),
                ("rssBytes", .int(Int64(bytes * 0.8))), ("pageFaults", 0), ("majorPageFaults", 0),
            ])
        }
        func disk(_ capacity: Double, _ used: Double) -> JSONValue {
            [
                "time": time, "availableBytes": .int(Int64(capacity - used)), "capacityBytes": .int(Int64(capacity)),
                "usedBytes": .int(Int64(used)), "inodesFree": 2_500_000, "inodes": 2_621_440, "inodesUsed": 1_000,
            ]
        }
        let size = Double(max(machine.flavor.disk, 20)) * 1_073_741_824
        var entries: [JSONValue] = []
        for pod in pods {
            let used = load.usage(of: pod)
            let nanoseconds = countPod(pod, at: now)
            let object = store.get(.pod, pod.key)
            let start = object?.value[path: "status", "startTime"] ?? time
            entries.append([
                "podRef": ["name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid)],
                "startTime": start, "cpu": cpu(used.cpuMillis, nanoseconds), "memory": memory(used.memoryBytes),
                "containers": [
                    [
                        "name": .string(containerName(pod, store)), "startTime": start,
                        "cpu": cpu(used.cpuMillis, nanoseconds), "memory": memory(used.memoryBytes),
                        "rootfs": disk(size, 40_960), "logs": disk(size, 8_192),
                    ]
                ],
                "ephemeral-storage": disk(size, 49_152),
            ])
        }
        let node = machine.usage(load, index)
        let nodeNanoseconds = countNode(machine, index, at: now)
        let capacity = Double(machine.flavor.ram) * 1_048_576
        return [
            "node": [
                "nodeName": .string(machine.node), "startTime": .string(machine.server.created.wholeSeconds),
                "cpu": cpu(node.cpuMillis, nodeNanoseconds),
                "memory": memory(node.memoryBytes, available: capacity - node.memoryBytes),
                "fs": disk(size, size / 10), "runtime": ["imageFs": disk(size, size / 20)],
                "rlimit": ["time": time, "maxpid": 32_768, "curproc": 300],
                "network": [
                    "time": time, "name": "eth0", "rxBytes": 0, "rxErrors": 0, "txBytes": 0, "txErrors": 0,
                    "interfaces": [["name": "eth0", "rxBytes": 0, "rxErrors": 0, "txBytes": 0, "txErrors": 0]],
                ],
            ],
            "pods": .array(entries),
        ]
    }
}
