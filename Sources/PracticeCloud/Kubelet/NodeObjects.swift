import JSONReader
import Messages
import Support

/// Nodes and running pods as kubelets write them.
enum NodeObjects {
    /// The Node that a machine registers: NotReady, tainted until it is Ready.
    static func node(_ machine: KubeletModel.Machine, at now: Timestamp) -> JSONValue {
        let flavor = machine.flavor
        var labels = machine.server.template.labels
        let standing = [
            "kubernetes.io/hostname": machine.node, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": flavor.name, "beta.kubernetes.io/instance-type": flavor.name,
            "topology.kubernetes.io/region": "RegionOne", "topology.kubernetes.io/zone": "nova",
            "failure-domain.beta.kubernetes.io/region": "RegionOne",
            "failure-domain.beta.kubernetes.io/zone": "nova",
        ]
        labels.merge(standing) { given, _ in given }
        var taints: [JSONValue] = machine.server.template.taints.compactMap { text in
            let parts = text.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { return nil }
            let pair = parts[0].split(separator: "=", maxSplits: 1)
            return .members([
                ("key", .string(String(pair[0]))), ("value", pair.count > 1 ? .string(String(pair[1])) : nil),
                ("effect", .string(String(parts[1]))),
            ])
        }
        taints.append([
            "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule", "timeAdded": .string(now.wholeSeconds),
        ])
        let cidr = "10.\(32 + machine.number / 250).\(machine.number % 250).0/24"
        let disk = flavor.disk > 0 ? "\(flavor.disk)Gi" : "20Gi"
        var amounts: [String: JSONValue] = [
            "cpu": .string(String(flavor.vcpus)), "ephemeral-storage": .string(disk), "hugepages-1Gi": "0",
            "hugepages-2Mi": "0", "pods": "110",
        ]
        for (name, value) in flavor.extraSpecs where name.hasPrefix("resources:") {
            amounts[name == "resources:VGPU" ? "nvidia.com/gpu" : String(name.dropFirst(10))] = .string(value)
        }
        var allocatable = amounts
        amounts["memory"] = .string("\(flavor.ram)Mi")
        // The kubelet keeps some for eviction.
        allocatable["memory"] = .string("\(flavor.ram - 100)Mi")
        return [
            "metadata": [
                "name": .string(machine.node), "labels": .strings(labels),
                "annotations": [
                    "node.alpha.kubernetes.io/ttl": "0",
                    "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                ],
            ],
            "spec": [
                "podCIDR": .string(cidr), "podCIDRs": [.string(cidr)],
                "providerID": .string("openstack:///\(machine.server.id)"), "taints": .array(taints),
            ],
            "status": [
                "capacity": .object(amounts), "allocatable": .object(allocatable),
                "conditions": .array(conditions(.notReady, at: now)),
                "addresses": [
                    ["type": "InternalIP", "address": .string(address(machine))],
                    ["type": "Hostname", "address": .string(machine.node)],
                ],
                "daemonEndpoints": ["kubeletEndpoint": ["Port": 10_250]],
                "nodeInfo": [
                    "machineID": .string(machine.server.id.filter { $0 != "-" }),
                    "systemUUID": .string(machine.server.id), "bootID": .string(machine.server.id),
                    "kernelVersion": "6.1.0-practice", "osImage": "Practice Linux",
                    "containerRuntimeVersion": "practice://1.0", "kubeletVersion": "v1.30.0",
                    "kubeProxyVersion": "v1.30.0", "operatingSystem": "linux", "architecture": "amd64",
                ],
                "images": [["names": ["registry.example/practice:1"], "sizeBytes": 50_000_000]],
            ],
        ]
    }

    /// Its address: of loopback, so that nothing leaves the machine.
    static func address(_ machine: KubeletModel.Machine) -> String {
        "127.64.\(machine.number / 250).\(machine.number % 250 + 1)"
    }

    private static func conditions(_ readiness: Node.Readiness, at now: Timestamp) -> [JSONValue] {
        func condition(_ type: String, _ status: String, _ reason: String, _ message: String) -> JSONValue {
            [
                "type": .string(type), "status": .string(status), "lastHeartbeatTime": .string(now.wholeSeconds),
                "lastTransitionTime": .string(now.wholeSeconds), "reason": .string(reason),
                "message": .string(message),
            ]
        }
        if readiness == .unknown {
            return ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map {
                condition($0, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
            }
        }
        let ready =
            readiness == .ready
            ? condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
            : condition("Ready", "False", "KubeletNotReady", "container runtime network not ready")
        return [
            condition(
                "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"), ready,
        ]
    }

    /// Writes a node's conditions.
    static func setReady(
        _ name: String, _ readiness: Node.Readiness, store: inout KubernetesStore, at now: Timestamp
    ) {
        store.update(.node, name) { value in
            var result = value[path: "status", "conditions"]?.arrayValue ?? []
            for condition in conditions(readiness, at: now) { result = PodObjects.setting(condition, in: result) }
            value.set("status", "conditions", to: .array(result))
        }
    }

    /// A bound pod once its containers run; Ready as its readiness gates say.
    static func running(_ pod: StoredObject, on machine: KubeletModel.Machine, at now: Timestamp) -> JSONValue {
        var value = pod.value
        var conditions = value[path: "status", "conditions"]?.arrayValue ?? []
        let gates = (value[path: "spec", "readinessGates"]?.arrayValue ?? []).compactMap {
            $0["conditionType"]?.stringValue
        }
        let closed = gates.filter { gate in
            !conditions.contains { $0["type"]?.stringValue == gate && $0["status"]?.stringValue == "True" }
        }
        let message = closed.map {
            "corresponding condition of pod readiness gate \"\($0)\" does not exist or is not "
                + "\"True\"."
        }
        let ready = PodObjects.condition(
            "Ready", closed.isEmpty, at: now, reason: closed.isEmpty ? nil : "ReadinessGatesNotReady",
            message: message.first)
        for condition in [
            PodObjects.condition("Initialized", true, at: now), PodObjects.condition("ContainersReady", true, at: now),
            ready,
        ] {
            conditions = PodObjects.setting(condition, in: conditions)
        }
        value.set("status", "conditions", to: .array(conditions))
        guard value[path: "status", "phase"]?.stringValue != "Running" else { return value }
        // Every pod is reached at loopback: there its hook listens, on the port of the practice cloud.
        let address = "127.0.0.1"
        value.set("status", "phase", to: "Running")
        value.set("status", "hostIP", to: .string(NodeObjects.address(machine)))
        value.set("status", "podIP", to: .string(address))
        value.set("status", "podIPs", to: [["ip": .string(address)]])
        value.set("status", "startTime", to: .string(now.wholeSeconds))
        let statuses = (value[path: "spec", "containers"]?.arrayValue ?? []).map { container -> JSONValue in
            [
                "name": container["name"] ?? "main", "image": container["image"] ?? "",
                "imageID": "practice://sha256:0", "containerID": .string("practice://\(pod.uid)"),
                "state": ["running": ["startedAt": .string(now.wholeSeconds)]], "lastState": [:], "ready": true,
                "restartCount": 0, "started": true,
            ]
        }
        value.set("status", "containerStatuses", to: .array(statuses))
        return value
    }
}
