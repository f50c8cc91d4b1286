import Actuator
import JSONReader
import Messages
import Support

/// Nodes: they register, get ready, fail, are changed and go.
extension World {
    func addNode(for member: HeatState.Member, isReady: Bool) {
        cluster.version += 1
        let node = ClusterState.Node(
            name: "n-\(member.server.prefix(8))", uid: "uid-\(member.server.prefix(8))", server: member.server,
            createdAt: now, version: cluster.version, isReady: isReady, readinessChangedAt: now)
        cluster.nodes.append(node)
        say("cluster", "node \(node.name) registers")
        tell(.node(node))
        planControllers()
        guard !isReady else { return }
        after(random.pause(1_000...6_000)) {
            guard let index = self.cluster.node(node.name), self.cluster.nodes[index].uid == node.uid,
                self.cluster.nodes[index].kubeletWorks
            else { return }
            self.setReady(index, true)
        }
    }

    private func setReady(_ index: Int, _ isReady: Bool) {
        guard cluster.nodes[index].isReady != isReady else { return }
        cluster.nodes[index].isReady = isReady
        cluster.nodes[index].readinessChangedAt = now
        say("cluster", "node \(cluster.nodes[index].name) is \(isReady ? "ready" : "not ready")")
        changed(node: index)
        planScheduling()
    }

    func changed(node index: Int) {
        cluster.version += 1
        cluster.nodes[index].version = cluster.version
        tell(.node(cluster.nodes[index]))
    }

    // MARK: Failing

    /// A machine that works no more, while Heat and Nova think that it does.
    func killNode() {
        let works = cluster.nodes.indices.filter { cluster.nodes[$0].kubeletWorks }
        guard works.count > 1 else { return }
        let index = works[random.below(works.count)]
        say("fault", "machine of \(cluster.nodes[index].name) dies")
        stopKubelet(cluster.nodes[index].name)
    }

    private func stopKubelet(_ name: String) {
        guard let index = cluster.node(name), cluster.nodes[index].kubeletWorks else { return }
        cluster.nodes[index].kubeletWorks = false
        let uid = cluster.nodes[index].uid
        after(random.pause(5_000...15_000)) {
            guard let index = self.cluster.node(name), self.cluster.nodes[index].uid == uid else { return }
            self.setReady(index, false)
            for pod in self.cluster.pods.indices where self.cluster.pods[pod].node == name {
                self.cluster.pods[pod].isReady = false
                self.changed(pod: pod)
            }
            // The taint manager: pods of a node that is not ready for long are deleted, and stay until it is gone.
            self.after(.seconds(20)) { self.evictFromDead(name, uid) }
        }
    }

    func evictFromDead(_ name: String, _ uid: String) {
        guard let index = cluster.node(name), cluster.nodes[index].uid == uid, !cluster.nodes[index].isReady else {
            return
        }
        for pod in cluster.pods.filter({ $0.node == name && $0.deletedAt == nil }) {
            guard cluster.workloads[pod.workload].plan.kind != "DaemonSet" else { continue }
            deletePod(pod.uid, grace: nil)
        }
    }

    /// Nova has deleted the server: the cloud controller deletes the Node a while later.
    func serverGone(_ server: String) {
        guard let index = cluster.nodes.firstIndex(where: { $0.server == server }) else { return }
        let node = cluster.nodes[index]
        stopKubelet(node.name)
        after(random.pause(2_000...40_000)) {
            guard let index = self.cluster.node(node.name), self.cluster.nodes[index].uid == node.uid else { return }
            self.say("cluster", "the cloud controller deletes node \(node.name)")
            self.deleteNode(at: index)
        }
    }

    /// A deletion, by whomever: what is held stays until it is let go.
    private func deleteNode(at index: Int) {
        guard cluster.nodes[index].isHeld else { return removeNode(index) }
        guard !cluster.nodes[index].isBeingDeleted else { return }
        cluster.nodes[index].isBeingDeleted = true
        changed(node: index)
    }

    private func removeNode(_ index: Int) {
        let node = cluster.nodes.remove(at: index)
        tell(.nodeGone(node))
        // Garbage collection of pods whose node is not there.
        after(random.pause(500...5_000)) {
            for pod in self.cluster.pods where pod.node == node.name { self.removePod(pod.uid) }
        }
    }

    // MARK: What clients do

    /// Reads a node, patches it under its resource version, and begins again when it changed meanwhile: what the
    /// Actuator's door does.
    func editNode(_ edit: NodeEdit, by process: Process, then: @escaping (NodeEditOutcome) -> Void) {
        attemptEdit(edit, by: process, attempt: 1, then)
    }

    /// What came of reading a node for an edit.
    private enum Draft {
        case ready(patch: JSONValue, RemovalRecord?, version: Int)
        case refused(NodeEditOutcome)
    }

    private func attemptEdit(
        _ edit: NodeEdit, by process: Process, attempt: Int, _ then: @escaping (NodeEditOutcome) -> Void
    ) {
        let failure = ActFailure(.kubernetesUnreachable, "the node could not be changed", isRetriable: true)
        call(process, .kubernetes) { () -> Draft in
            self.draft(edit)
        } failed: { _ in
            .refused(.failed(failure))
        } then: { draft in
            guard case .ready(let patch, let record, let version) = draft else {
                if case .refused(let outcome) = draft { then(outcome) }
                return
            }
            self.call(process, .kubernetes) { () -> NodeEditOutcome? in
                guard let index = self.cluster.node(edit.node) else { return .gone }
                guard self.cluster.nodes[index].version == version, !self.strikes(.kubernetesConflict) else {
                    return nil
                }
                self.apply(edit, patch, record, at: index)
                return .done(record)
            } failed: { _ in
                .failed(failure)
            } then: { outcome in
                if let outcome { return then(outcome) }
                if attempt >= 4 { return then(.failed(failure)) }
                self.attemptEdit(edit, by: process, attempt: attempt + 1, then)
            }
        }
    }

    private func draft(_ edit: NodeEdit) -> Draft {
        guard let index = cluster.node(edit.node) else { return .refused(.gone) }
        let node = cluster.nodes[index]
        do throws(NodeEdit.Refusal) {
            let (patch, record) = try edit.patch(for: node.json)
            return .ready(patch: patch, record, version: node.version)
        } catch {
            switch error {
            case .otherNode: return .refused(.gone)
            case .overtaken(let record): return .refused(.overtaken(record))
            case .nothingToDo: return .refused(.done(node.record))
            case .unreadable(let why):
                return .refused(.failed(ActFailure(.memberUnresolved, why, isRetriable: false)))
            }
        }
    }

    private func apply(_ edit: NodeEdit, _ patch: JSONValue, _ record: RemovalRecord?, at index: Int) {
        audit(edit, at: index)
        var next = cluster.nodes[index].json.merged(with: patch)
        if options.sabotage == .leavesCordon, case .advance(_, _, undo: true) = edit.kind {
            next["spec"] = cluster.nodes[index].json["spec"]
        }
        cluster.nodes[index].take(next, record)
        say("cluster", "node \(edit.node): \(record.map { "\($0.id) \($0.phase.rawValue)" } ?? "no record")")
        auditNode(at: index)
        if cluster.nodes[index].isBeingDeleted && !cluster.nodes[index].isHeld { return removeNode(index) }
        changed(node: index)
        planScheduling()
    }

    /// What keeps a Node for its removal is taken away, before it is deleted.
    func releaseNode(_ name: String, uid: String) -> ActFailure? {
        guard let index = cluster.node(name), cluster.nodes[index].uid == uid, cluster.nodes[index].isHeld else {
            return nil
        }
        say("cluster", "node \(name) is held no more")
        cluster.nodes[index].isHeld = false
        if cluster.nodes[index].isBeingDeleted { removeNode(index) } else { changed(node: index) }
        return nil
    }

    func deleteNode(_ name: String, uid: String) -> ActFailure? {
        guard let index = cluster.node(name), cluster.nodes[index].uid == uid else { return nil }
        audit(deletionOf: cluster.nodes[index])
        say("cluster", "the Actuator deletes node \(name)")
        deleteNode(at: index)
        return nil
    }
}

extension ClusterState.Node {
    /// As far as an edit looks at it.
    var json: JSONValue {
        var labels: [String: JSONValue] = [:]
        if let label { labels[RemovalNames.excludeFromLoadBalancers] = .string(label) }
        var annotations: [String: JSONValue] = [:]
        if let recordText { annotations[RemovalNames.record] = .string(recordText) }
        if let pausedGroup { annotations[RemovalNames.pausedGroup] = .string(pausedGroup) }
        var spec: [String: JSONValue] = [:]
        if unschedulable { spec["unschedulable"] = true }
        if isTainted {
            spec["taints"] = [["key": .string(RemovalNames.taint), "effect": "NoSchedule"]]
        }
        var metadata: [String: JSONValue] = [
            "name": .string(name), "uid": .string(uid), "resourceVersion": .string("\(version)"),
            "labels": .object(labels), "annotations": .object(annotations),
        ]
        if isHeld { metadata["finalizers"] = [.string(RemovalNames.finalizer)] }
        if isBeingDeleted { metadata["deletionTimestamp"] = "2027-01-15T08:00:00Z" }
        return ["metadata": .object(metadata), "spec": .object(spec)]
    }

    mutating func take(_ json: JSONValue, _ record: RemovalRecord?) {
        unschedulable = json[path: "spec", "unschedulable"]?.boolValue == true
        isTainted = (json[path: "spec", "taints"]?.arrayValue ?? []).contains {
            $0["key"]?.stringValue == RemovalNames.taint
        }
        label = json[path: "metadata", "labels", RemovalNames.excludeFromLoadBalancers]?.stringValue
        recordText = json[path: "metadata", "annotations", RemovalNames.record]?.stringValue
        self.record = recordText == nil ? nil : record
        pausedGroup = json[path: "metadata", "annotations", RemovalNames.pausedGroup]?.stringValue
        isHeld = json[path: "metadata", "finalizers"]?.arrayValue?.isEmpty == false
    }

    var view: NodeView {
        var view = NodeView(
            name: name, uid: uid, serverID: server, isReady: isReady, createdAt: createdAt, record: record,
            hasTaint: isTainted, hasLabel: label == RemovalNames.excludedByUs, isCordoned: unschedulable)
        view.pausedGroup = pausedGroup.flatMap { PausedGroup($0) }
        view.isHeld = isHeld
        view.isBeingDeleted = isBeingDeleted
        return view
    }

    /// As the Collector sees it.
    func node(_ scenario: Scenario) -> Node {
        var taints: [Taint] = []
        if isTainted { taints.append(Taint(key: RemovalNames.taint, effect: .noSchedule)) }
        if !isReady { taints.append(Taint(key: "node.kubernetes.io/not-ready", effect: .noSchedule)) }
        if unschedulable { taints.append(Taint(key: "node.kubernetes.io/unschedulable", effect: .noSchedule)) }
        var annotations: [String: String] = [:]
        if let recordText { annotations[RemovalNames.record] = recordText }
        var node = Node(
            name: name, uid: uid, providerID: "openstack:///\(server)", labels: ["kubernetes.io/hostname": name],
            annotations: annotations, taints: taints, unschedulable: unschedulable,
            allocatable: ResourceList(
                cpuMillis: Int64(scenario.nodeCPU), memoryBytes: 8 << 30, ephemeralStorageBytes: 50 << 30,
                pods: Int64(scenario.nodePods)),
            readiness: isReady ? .ready : .notReady, readinessChangedAt: readinessChangedAt, createdAt: createdAt)
        if isBeingDeleted { node.deletedAt = createdAt }
        return node
    }
}

extension JSONValue {
    /// JSON merge patch, RFC 7386.
    func merged(with patch: JSONValue) -> JSONValue {
        guard let changes = patch.objectValue else { return patch }
        var result = objectValue ?? [:]
        for (key, value) in changes {
            result[key] = value.isNull ? nil : (result[key] ?? .null).merged(with: value)
        }
        return .object(result)
    }
}
