import JSONReader
import Messages
import Support

/// ReplicaSets, ReplicationControllers, StatefulSets, Deployments, DaemonSets and Jobs.
extension ControllerModel {
    /// Pods made or deleted for one owner in one turn.
    private static let burst = 500

    /// Sets one owner right. True if there is more to do for it at once.
    mutating func reconcile(
        _ kind: KubernetesKind, _ key: String, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) -> Bool {
        guard let owner = store.get(kind, key) else { return false }
        switch kind {
        case .replicaSet, .replicationController:
            return reconcileReplicas(kind, owner, store: &store, index: index, at: now)
        case .statefulSet: return reconcileStatefulSet(owner, store: &store, index: index, at: now)
        case .deployment: return reconcileDeployment(owner, store: &store, at: now)
        case .daemonSet: return reconcileDaemonSet(owner, store: &store, index: index, at: now)
        case .job: return reconcileJob(owner, store: &store, index: index, at: now)
        default: return false
        }
    }

    private func pods(of owner: StoredObject, _ index: ClusterIndex) -> [PodFacts] {
        (index.podsByOwner[owner.uid] ?? []).compactMap { index.pods[$0] }
    }

    private mutating func makePod(
        _ kind: KubernetesKind, _ owner: StoredObject, name: String? = nil, store: inout KubernetesStore,
        at now: Timestamp, adjust: (inout JSONValue) -> Void = { _ in }
    ) {
        let spec = podSpec(owner, store: store)
        let template = owner.value[path: "spec", "template", "metadata"] ?? .object([:])
        var metadata: JSONValue = .members([
            ("labels", template["labels"]), ("annotations", template["annotations"]),
            ("ownerReferences", [PodObjects.controllerReference(kind, owner)]),
        ])
        if let name { metadata["name"] = .string(name) } else { metadata["generateName"] = .string("\(owner.name)-") }
        var pod: JSONValue = ["metadata": metadata, "spec": spec, "status": PodObjects.pendingStatus(spec)]
        adjust(&pod)
        // Refused only if the template's names are impossible; the owner then stays short, as in life.
        _ = try? store.create(.pod, pod, namespace: owner.namespace, at: now)
    }

    private mutating func reconcileReplicas(
        _ kind: KubernetesKind, _ owner: StoredObject, store: inout KubernetesStore, index: ClusterIndex,
        at now: Timestamp
    ) -> Bool {
        let all = pods(of: owner, index)
        let active = all.filter(\.isActive)
        let wanted = owner.isTerminating ? 0 : Int(clamping: owner.value[path: "spec", "replicas"]?.intValue ?? 1)
        let missing = wanted - active.count
        if missing > 0 {
            for _ in 0..<min(missing, Self.burst) { makePod(kind, owner, store: &store, at: now) }
        } else if missing < 0 {
            for pod in active.sorted(by: Self.goesBefore).prefix(min(-missing, Self.burst)) {
                store.deletePod(pod.key, grace: nil, at: now)
            }
        }
        let ready = active.filter(\.isReady).count
        store.update(kind, owner.key) { value in
            value.set("status", "replicas", to: .int(Int64(active.count)))
            value.set("status", "fullyLabeledReplicas", to: .int(Int64(active.count)))
            value.set("status", "readyReplicas", to: ready == 0 ? nil : .int(Int64(ready)))
            value.set("status", "availableReplicas", to: ready == 0 ? nil : .int(Int64(ready)))
            value.set("status", "observedGeneration", to: value[path: "metadata", "generation"] ?? 1)
        }
        return abs(missing) > Self.burst
    }

    /// Which pod a shrinking owner gives up first: without node, not running, not ready, then the youngest.
    private static func goesBefore(_ left: PodFacts, _ right: PodFacts) -> Bool {
        func rank(_ pod: PodFacts) -> Int {
            if pod.node == nil { return 0 }
            if pod.phase != "Running" { return 1 }
            return pod.isReady ? 3 : 2
        }
        if rank(left) != rank(right) { return rank(left) < rank(right) }
        return (right.created, right.key) < (left.created, left.key)
    }

    private mutating func reconcileStatefulSet(
        _ owner: StoredObject, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) -> Bool {
        let all = pods(of: owner, index)
        let byName = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }
        let wanted = Int(clamping: owner.value[path: "spec", "replicas"]?.intValue ?? 1)
        let isParallel = owner.value[path: "spec", "podManagementPolicy"]?.stringValue == "Parallel"
        var blocked = false
        for ordinal in 0..<max(0, wanted) where !blocked {
            let name = "\(owner.name)-\(ordinal)"
            if let pod = byName[name] {
                if pod.isTerminal { store.deletePod(pod.key, grace: 0, at: now) }
                blocked = !isParallel && !(pod.isReady && pod.deletion == nil)
            } else {
                makePod(.statefulSet, owner, name: name, store: &store, at: now) { pod in
                    pod.set("metadata", "labels", "statefulset.kubernetes.io/pod-name", to: .string(name))
                    pod.set("spec", "hostname", to: .string(name))
                }
                blocked = !isParallel
            }
        }
        func ordinal(_ pod: PodFacts) -> Int { Int(pod.name.dropFirst(owner.name.count + 1)) ?? 0 }
        let surplus = all.filter { ordinal($0) >= wanted }.sorted { ordinal($0) > ordinal($1) }
        if let last = surplus.first, last.deletion == nil, !surplus.contains(where: { $0.deletion != nil }) {
            store.deletePod(last.key, grace: nil, at: now)
        }
        let ready = all.filter { $0.isActive && $0.isReady }.count
        store.update(.statefulSet, owner.key) { value in
            for name in ["replicas", "currentReplicas", "updatedReplicas"] {
                value.set("status", name, to: .int(Int64(all.filter(\.isActive).count)))
            }
            value.set("status", "readyReplicas", to: .int(Int64(ready)))
            value.set("status", "availableReplicas", to: .int(Int64(ready)))
            value.set("status", "observedGeneration", to: value[path: "metadata", "generation"] ?? 1)
        }
        return false
    }

    // MARK: Deployments

    /// Ten characters that stand for a pod template, as in `web-86df7d9d5d`.
    private static func templateHash(_ template: JSONValue) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in template.bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var generator = Generator(seed: hash)
        return generator.kubernetesSuffix(10)
    }

    private mutating func reconcileDeployment(
        _ owner: StoredObject, store: inout KubernetesStore, at now: Timestamp
    ) -> Bool {
        let template = owner.value[path: "spec", "template"] ?? .object([:])
        let hash = Self.templateHash(template)
        let name = "\(owner.name)-\(hash)"
        let key = "\(owner.namespace)/\(name)"
        let replicas = owner.value[path: "spec", "replicas"] ?? 1
        if store.get(.replicaSet, key) == nil {
            var labelled = template
            labelled.set("metadata", "labels", "pod-template-hash", to: .string(hash))
            var selector = owner.value[path: "spec", "selector"] ?? .object([:])
            selector.set("matchLabels", "pod-template-hash", to: .string(hash))
            let set: JSONValue = [
                "metadata": [
                    "name": .string(name),
                    "labels": labelled[path: "metadata", "labels"] ?? [:],
                    "annotations": ["deployment.kubernetes.io/revision": "1"],
                    "ownerReferences": [PodObjects.controllerReference(.deployment, owner)],
                ],
                "spec": ["replicas": replicas, "selector": selector, "template": labelled],
                "status": ["replicas": 0],
            ]
            _ = try? store.create(.replicaSet, set, namespace: owner.namespace, at: now)
        } else {
            store.update(.replicaSet, key) { $0.set("spec", "replicas", to: replicas) }
        }
        var counts = [String: Int64]()
        for other in (replicaSets[owner.uid] ?? []).union([key]) {
            // An older template's pods go at once: a rollout without surge, enough for practice.
            if other != key { store.update(.replicaSet, other) { $0.set("spec", "replicas", to: 0) } }
            guard let set = store.get(.replicaSet, other) else { continue }
            for name in ["replicas", "readyReplicas", "availableReplicas"] {
                counts[name, default: 0] += set.value[path: "status", name]?.intValue ?? 0
            }
        }
        let wanted = replicas.intValue ?? 1
        let available = counts["availableReplicas"] ?? 0
        store.update(.deployment, owner.key) { value in
            for (name, count) in counts { value.set("status", name, to: count == 0 ? nil : .int(count)) }
            value.set("status", "updatedReplicas", to: .int(counts["replicas"] ?? 0))
            value.set("status", "unavailableReplicas", to: wanted > available ? .int(wanted - available) : nil)
            value.set("status", "observedGeneration", to: value[path: "metadata", "generation"] ?? 1)
            var condition = PodObjects.condition(
                "Available", available >= wanted, at: now,
                reason: available >= wanted ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable")
            condition["lastProbeTime"] = nil
            let old = value[path: "status", "conditions"]?.arrayValue ?? []
            value.set("status", "conditions", to: .array(PodObjects.setting(condition, in: old)))
        }
        return false
    }

    // MARK: DaemonSets and Jobs

    private mutating func reconcileDaemonSet(
        _ owner: StoredObject, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) -> Bool {
        let spec = podSpec(owner, store: store)
        let selector = spec["nodeSelector"]?.stringMembers ?? [:]
        let own = PodSpecFacts(spec).tolerations
        let builtIn = ["not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"]
            .map { "node.kubernetes.io/\($0)" }
        func isEligible(_ node: NodeFacts) -> Bool {
            selector.allSatisfy { node.labels[$0.key] == $0.value }
                && node.taints.allSatisfy { taint in
                    taint.effect == .preferNoSchedule || builtIn.contains(taint.key)
                        || own.contains { $0.tolerates(taint) }
                }
        }
        let all = pods(of: owner, index)
        var served: Set<String> = []
        for pod in all {
            let affinity = pod.spec.affinity?.first?.fields.first?.values.first
            guard let home = pod.node ?? affinity else { continue }
            let isGone = index.nodes[home] == nil
            // A taint that came later evicts only if it says NoExecute; a node that is gone takes its pod along.
            if pod.isTerminal || (isGone && pod.node == nil) {
                store.deletePod(pod.key, grace: 0, at: now)
            } else {
                served.insert(home)
            }
        }
        let tolerations: [JSONValue] =
            (spec["tolerations"]?.arrayValue ?? []).filter { $0["tolerationSeconds"] == nil }
            + builtIn.map { key in
                let effect = key.hasSuffix("not-ready") || key.hasSuffix("unreachable") ? "NoExecute" : "NoSchedule"
                return ["key": .string(key), "operator": "Exists", "effect": .string(effect)]
            }
        for node in index.nodes.values.sorted(by: { $0.name < $1.name })
        where !served.contains(node.name) && isEligible(node) && !owner.isTerminating {
            makePod(.daemonSet, owner, store: &store, at: now) { pod in
                pod.set("spec", "tolerations", to: .array(tolerations))
                pod.set(
                    "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
                    to: [
                        "nodeSelectorTerms": [
                            [
                                "matchFields": [
                                    ["key": "metadata.name", "operator": "In", "values": [.string(node.name)]]
                                ]
                            ]
                        ]
                    ])
            }
        }
        let wanted = index.nodes.values.filter(isEligible).count
        let ready = all.filter { $0.isReady && $0.isActive }.count
        store.update(.daemonSet, owner.key) { value in
            value.set("status", "desiredNumberScheduled", to: .int(Int64(wanted)))
            value.set("status", "currentNumberScheduled", to: .int(Int64(all.filter { $0.node != nil }.count)))
            value.set("status", "numberReady", to: .int(Int64(ready)))
            value.set("status", "numberMisscheduled", to: 0)
            value.set("status", "observedGeneration", to: value[path: "metadata", "generation"] ?? 1)
        }
        return false
    }

    private mutating func reconcileJob(
        _ owner: StoredObject, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) -> Bool {
        let all = pods(of: owner, index)
        let succeeded = all.filter { $0.phase == "Succeeded" }.count
        let active = all.filter(\.isActive).count
        let parallelism = Int(clamping: owner.value[path: "spec", "parallelism"]?.intValue ?? 1)
        let completions = Int(clamping: owner.value[path: "spec", "completions"]?.intValue ?? 1)
        let wanted = min(parallelism, max(0, completions - succeeded))
        if active < wanted {
            for _ in active..<min(wanted, active + Self.burst) { makePod(.job, owner, store: &store, at: now) }
        }
        store.update(.job, owner.key) { value in
            value.set("status", "active", to: active == 0 ? nil : .int(Int64(active)))
            value.set("status", "succeeded", to: succeeded == 0 ? nil : .int(Int64(succeeded)))
            if succeeded >= completions, value[path: "status", "completionTime"] == nil {
                value.set("status", "completionTime", to: .string(now.wholeSeconds))
                let done = PodObjects.condition("Complete", true, at: now)
                value.set("status", "conditions", to: [done])
            }
        }
        return wanted - active > Self.burst
    }
}
