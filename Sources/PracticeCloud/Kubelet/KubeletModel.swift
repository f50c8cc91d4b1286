import JSONReader
import Messages
import Support

/// The machines behind the servers: each registers a Node some time after its server is ACTIVE, runs the pods bound to
/// it, and is gone with its server.
struct KubeletModel: Sendable {
    var timing: Timing
    /// The next machines never register.
    var stillbornAhead = 0
    /// Load of pods.
    var load = PodLoad()
    /// Core-nanoseconds used, by pod uid or node name, and until when they are counted.
    var counters: [String: (nanoseconds: Double, until: Timestamp)] = [:]
    /// By server id.
    var machines: [String: Machine] = [:]
    /// Server ids by node name.
    private(set) var serverOf: [String: String] = [:]
    private var dues = DeadlineQueue<Due>()
    private var machinesMade = 0
    /// Off while the cloud's past is played at its start: nobody reads what leases were renewed then.
    private var renewsLeases = false
    private var facts: [(String, [String: JSONValue])] = []

    init(timing: Timing) {
        self.timing = timing
    }

    /// When something happens next by itself.
    var nextDeadline: Timestamp? { dues.next }

    /// Journal entries since the last call.
    mutating func takeFacts() -> [(String, [String: JSONValue])] {
        defer { facts = [] }
        return facts
    }

    /// The machine of a node.
    func machine(ofNode name: String) -> Machine? {
        serverOf[name].flatMap { machines[$0] }
    }

    // MARK: Servers

    /// A server became ACTIVE: its machine boots. A machine that was stopped and is ACTIVE again goes on.
    mutating func serverBecameActive(_ server: NovaModel.Server, flavor: Flavor, at now: Timestamp) {
        if machines[server.id] != nil {
            setSilent(server.id, false, at: now)
            return
        }
        machinesMade += 1
        machines[server.id] = Machine(
            server: server, flavor: flavor, node: server.name, number: machinesMade)
        if stillbornAhead > 0 {
            stillbornAhead -= 1
            return
        }
        dues.add(.register(server: server.id), due: now + timing.boot)
    }

    /// A server is gone, and everything on it at that instant.
    mutating func serverVanished(_ id: String, index: ClusterIndex, told: Set<String>, at now: Timestamp) {
        guard let machine = machines.removeValue(forKey: id) else { return }
        // Another server may have taken the name over already.
        guard serverOf[machine.node] == id else { return }
        serverOf[machine.node] = nil
        guard machine.isRegistered else { return }
        for key in (index.podsByNode[machine.node] ?? []).sorted() {
            guard let pod = index.pods[key], !pod.isTerminal else { continue }
            write(
                "pod.killed",
                [
                    "pod": .string(key), "uid": .string(pod.uid), "node": .string(machine.node),
                    "told": .bool(told.contains(pod.uid)), "owner": pod.ownerKind.map { .string($0) } ?? nil,
                    "why": "its server was deleted", "was_terminating": .bool(pod.deletion != nil),
                ])
        }
        dues.add(.lost(node: machine.node, server: id), due: now + timing.grace)
    }

    /// A machine falls silent (or speaks again) while its server lives on.
    mutating func setSilent(_ id: String, _ silent: Bool, at now: Timestamp) {
        guard let machine = machines[id], machine.isSilent != silent else { return }
        machines[id]?.isSilent = silent
        if silent {
            dues.add(.lost(node: machine.node, server: id), due: now + timing.grace)
        } else if machine.isRegistered {
            dues.add(.ready(server: id), due: now)
            dues.add(.renewLease(node: machine.node, server: id), due: now)
        }
    }

    // MARK: Pods

    /// A change of pods or nodes.
    mutating func observe(_ difference: ClusterIndex.Difference, store: KubernetesStore, at now: Timestamp) {
        guard let pod = difference.newPod, let node = pod.node else { return }
        if difference.oldPod?.node == nil, !pod.isTerminal {
            let delay = seconds(pod.key, "start-delay", store) ?? timing.podStart
            dues.add(.startPod(key: pod.key, uid: pod.uid), due: now + delay)
        }
        if pod.deletion != difference.oldPod?.deletion, pod.deletion != nil {
            let wanted = seconds(pod.key, "stop-delay", store) ?? timing.podStop
            let delay = min(wanted, .seconds(Double(pod.grace)))
            if serverOf[node] != nil { dues.add(.stopPod(key: pod.key, uid: pod.uid), due: now + delay) }
        }
        if difference.oldPod?.phase != "Running", pod.phase == "Running" { _ = countPod(pod, at: now) }
        if pod.phase == "Running", !pod.spec.gates.isEmpty, pod.isReady != (pod.closedGates == 0) {
            dues.add(.startPod(key: pod.key, uid: pod.uid), due: now)
        }
    }

    private func seconds(_ key: String, _ name: String, _ store: KubernetesStore) -> Interval? {
        let text = store.get(.pod, key)?.value[path: "metadata", "annotations", "practice.updraft.io/\(name)"]
        return text?.stringValue.flatMap { Double($0) }.map { .seconds(max(0, $0)) }
    }

    // MARK: Time

    /// Lets time pass.
    mutating func advance(to now: Timestamp, store: inout KubernetesStore, index: ClusterIndex) {
        var acts = 0
        while acts < 1_000, let due = dues.pop(due: now) {
            acts += 1
            switch due {
            case .register(let server): register(server, store: &store, at: now)
            case .ready(let server): becomeReady(server, store: &store, at: now)
            case .renewLease(let node, let server): renewLease(node, server, store: &store, at: now)
            case .lost(let node, let server): lose(node, server, store: &store, index: index, at: now)
            case .startPod(let key, let uid): startPod(key, uid, store: &store, at: now)
            case .finishPod(let key, let uid): finishPod(key, uid, store: &store, at: now)
            case .stopPod(let key, let uid): stopPod(key, uid, store: &store, at: now)
            }
        }
    }

    private mutating func register(_ id: String, store: inout KubernetesStore, at now: Timestamp) {
        guard let machine = machines[id], !machine.isSilent else { return }
        if store.get(.node, machine.node) == nil {
            // A name that a Node may not have stays unregistered, as a kubelet's would be refused.
            guard
                (try? store.create(.node, NodeObjects.node(machine, at: now), namespace: "", at: now)) != nil
            else { return }
        }
        machines[id]?.isRegistered = true
        serverOf[machine.node] = id
        write(
            "node.joined",
            ["node": .string(machine.node), "server": .string(id), "group": .string(machine.group)])
        dues.add(.ready(server: id), due: now + timing.ready)
        dues.add(.renewLease(node: machine.node, server: id), due: now)
    }

    /// A machine registers again, as a restarted kubelet does: needed after somebody deleted its Node.
    mutating func restart(_ id: String, at now: Timestamp) {
        guard machines[id] != nil else { return }
        dues.add(.register(server: id), due: now)
    }

    private mutating func becomeReady(_ id: String, store: inout KubernetesStore, at now: Timestamp) {
        guard let machine = machines[id], machine.isRegistered, !machine.isSilent else { return }
        NodeObjects.setReady(machine.node, .ready, store: &store, at: now)
        write("node.ready", ["node": .string(machine.node), "server": .string(id), "group": .string(machine.group)])
    }

    private mutating func renewLease(
        _ node: String, _ server: String, store: inout KubernetesStore, at now: Timestamp
    ) {
        guard serverOf[node] == server, let machine = machines[server], !machine.isSilent,
            let object = store.get(.node, node)
        else { return }
        let key = "kube-node-lease/\(node)"
        if store.get(.lease, key) == nil {
            let lease: JSONValue = [
                "metadata": [
                    "name": .string(node),
                    "ownerReferences": [
                        ["apiVersion": "v1", "kind": "Node", "name": .string(node), "uid": .string(object.uid)]
                    ],
                ],
                "spec": [
                    "holderIdentity": .string(node), "leaseDurationSeconds": 40, "renewTime": .string(now.rfc3339),
                ],
            ]
            _ = try? store.create(.lease, lease, namespace: "kube-node-lease", at: now)
        } else {
            store.update(.lease, key) { $0.set("spec", "renewTime", to: .string(now.rfc3339)) }
        }
        if renewsLeases { dues.add(.renewLease(node: node, server: server), due: now + timing.lease) }
    }

    /// From now on leases are renewed, spread over the interval: not all nodes in step.
    mutating func startLeases(at now: Timestamp) {
        renewsLeases = true
        for (number, entry) in serverOf.sorted(by: { $0.key < $1.key }).enumerated() {
            let part = Double(number) / Double(serverOf.count)
            dues.add(.renewLease(node: entry.key, server: entry.value), due: now + timing.lease * part)
        }
    }

    private mutating func lose(
        _ node: String, _ server: String, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) {
        if let current = serverOf[node], current != server { return }
        if let machine = machines[server], !machine.isSilent { return }
        guard store.get(.node, node) != nil else { return }
        NodeObjects.setReady(node, .unknown, store: &store, at: now)
        write("node.lost", ["node": .string(node), "server": .string(server)])
        for key in index.podsByNode[node] ?? [] {
            guard let pod = index.pods[key], pod.isReady else { continue }
            store.update(.pod, key) { value in
                let old = value[path: "status", "conditions"]?.arrayValue ?? []
                let notReady = PodObjects.condition("Ready", false, at: now)
                value.set("status", "conditions", to: .array(PodObjects.setting(notReady, in: old)))
            }
        }
    }

    // MARK: A pod's life

    private mutating func startPod(_ key: String, _ uid: String, store: inout KubernetesStore, at now: Timestamp) {
        guard let pod = store.get(.pod, key), pod.uid == uid, !pod.isTerminating,
            let node = pod.value[path: "spec", "nodeName"]?.stringValue, let machine = machine(ofNode: node),
            !machine.isSilent
        else { return }
        let wasRunning = pod.value[path: "status", "phase"]?.stringValue == "Running"
        if !wasRunning, let life = seconds(key, "run-for", store) {
            dues.add(.finishPod(key: key, uid: uid), due: now + life)
        }
        store.replace(.pod, pod, with: NodeObjects.running(pod, on: machine, at: now))
        if !wasRunning {
            write("pod.running", ["pod": .string(key), "uid": .string(uid), "node": .string(node)])
        }
    }

    private mutating func finishPod(_ key: String, _ uid: String, store: inout KubernetesStore, at now: Timestamp) {
        guard let pod = store.get(.pod, key), pod.uid == uid, !pod.isTerminating else { return }
        store.update(.pod, key) { value in
            value.set("status", "phase", to: "Succeeded")
            let old = value[path: "status", "conditions"]?.arrayValue ?? []
            let notReady = PodObjects.condition("Ready", false, at: now, reason: "PodCompleted")
            value.set("status", "conditions", to: .array(PodObjects.setting(notReady, in: old)))
        }
        write("pod.finished", ["pod": .string(key), "uid": .string(uid)])
    }

    private mutating func stopPod(_ key: String, _ uid: String, store: inout KubernetesStore, at now: Timestamp) {
        guard let pod = store.get(.pod, key), pod.uid == uid, pod.isTerminating else { return }
        let node = pod.value[path: "spec", "nodeName"]?.stringValue ?? ""
        // A silent or vanished machine confirms nothing: the pod stays Terminating.
        guard let machine = machine(ofNode: node), !machine.isSilent else { return }
        counters[uid] = nil
        store.remove(.pod, key)
    }

    /// An entry for the journal.
    mutating func write(_ kind: String, _ entry: [String: JSONValue]) {
        facts.append((kind, entry))
    }
}
