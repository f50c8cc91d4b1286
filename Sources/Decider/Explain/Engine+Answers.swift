import Messages
import Support

extension Engine {
    private static let maximumRemovals = 1_000
    private static let maximumMembers = 100

    /// What a question gets beside the record: what is known of its subject, and under which names the record speaks of it.
    func answer(
        _ question: EvaluationRequested, _ evaluation: Evaluation, at now: Timestamp
    ) -> Evaluation.Answer {
        var answer = Evaluation.Answer(id: question.id, subject: question.subject)
        guard let subject = question.subject else { return answer }
        switch subject.kind {
        case .pod: describe(pod: subject.name, evaluation, at: now, &answer)
        case .node: describe(node: subject.name, &answer)
        case .group: describe(group: subject.name, at: now, &answer)
        case .podScaler: describe(scaler: subject.name, &answer)
        case .cluster: describeCluster(&answer)
        }
        return answer
    }

    // MARK: Pods

    private func describe(
        pod name: String, _ evaluation: Evaluation, at now: Timestamp, _ answer: inout Evaluation.Answer
    ) {
        guard let index = index(ofPod: name), let pod = model.pods[index] else {
            answer.near = NearNames.best(name, in: model.pods.indices.lazy.map { self.podName(Int32($0)) })
            return
        }
        answer.isKnown = true
        answer.standing = standing(pod, at: now)
        let named = Set(evaluation.pods.map(\.pod))
        var entries: Set<String> = []
        for (number, other) in model.pods.enumerated() where other?.podClass == pod.podClass {
            let name = podName(Int32(number))
            if named.contains(name) { entries.insert(name) }
        }
        // A pod that runs has nothing to do with those of its shape that wait.
        answer.entries = pod.node < 0 ? entries.sorted() : []
    }

    private func index(ofPod name: String) -> Int? {
        guard let slash = name.firstIndex(of: "/") else { return nil }
        let namespace = name[..<slash]
        let own = name[name.index(after: slash)...]
        return model.pods.firstIndex { pod in
            guard let pod, pod.name == own else { return false }
            return model.catalog.classes[Int(pod.podClass)].shape.namespace == namespace
        }
    }

    private func standing(_ pod: PodRecord, at now: Timestamp) -> String {
        if pod.phase == .succeeded || pod.phase == .failed { return "has ended (\(pod.phase.rawValue))" }
        if let deletedAt = pod.deletedAt { return "is being deleted since \(deletedAt)" }
        if pod.node >= 0 { return "runs on node \(model.world.names[Int(pod.node)])" }
        if pod.isTerminating { return "is being deleted" }
        let waits = "waits since \(pod.unschedulableSince ?? pod.createdAt)"
        switch pod.scheduling {
        case .gated: return "is held back by a scheduling gate; the scheduler has not been asked yet"
        case .unseen: return "\(waits); the scheduler has not said that it finds no node for it"
        case .unschedulable, .scheduled: break
        }
        guard pod.nominated, pod.holds >= 0 else { return waits }
        return "\(waits), for a preemption on node \(model.world.names[Int(pod.holds)])"
    }

    // MARK: Nodes and groups

    private func describe(node name: String, _ answer: inout Evaluation.Answer) {
        guard let slot = model.nodeSlots[name], let node = model.nodes[slot]?.node else {
            answer.near = NearNames.best(name, in: model.nodeSlots.keys.lazy.map { $0 })
            return
        }
        answer.isKnown = true
        answer.entries = [name]
        var parts = [node.isWorking ? "is ready" : "is not ready (\(node.readinessReason ?? node.readiness.rawValue))"]
        if node.isWorking, let unfinished = model.nodeRules.unfinished(node) {
            parts.append("is not set up: \(unfinished)")
        }
        let moving = Int(model.briefs[slot].pods - model.briefs[slot].fixedPods)
        parts.append("\(model.briefs[slot].pods) pods, \(moving) of them neither of DaemonSets nor static")
        if slot >= groupOfSlot.count || groupOfSlot[slot] < 0 { parts.append("belongs to no configured group") }
        if node.unschedulable { parts.append("cordoned") }
        answer.standing = parts.joined(separator: "; ")
        if let record = node.annotations[RemovalNames.record] {
            answer.removals = [.init(node: name, record: record)]
            answer.removalCount = 1
        }
    }

    private func describe(group name: String, at now: Timestamp, _ answer: inout Evaluation.Answer) {
        guard let group = groups.first(where: { $0.rules.id == name }) else {
            answer.near = NearNames.best(name, in: groups.lazy.map(\.rules.id))
            return
        }
        answer.isKnown = true
        answer.entries = [name]
        guard let state = group.state else {
            answer.standing = "the Actuator has not said anything of it yet"
            return
        }
        answer.groups = [shortened(state)]
        answer.standing = "sizes \(group.minimum) to \(group.maximum) are allowed (\(group.rules.origin))"
    }

    private func describe(scaler name: String, _ answer: inout Evaluation.Answer) {
        guard let scaler = podScalers.first(where: { $0.id == name }) else {
            answer.near = NearNames.best(name, in: podScalers.lazy.map(\.id))
            return
        }
        answer.isKnown = true
        answer.entries = [name]
        let origin = scaler.origin == .object ? "a PodScaler object" : "an item of pod_scalers"
        answer.standing = "\(origin), \(scaler.minimum) to \(scaler.maximum) replicas"
    }

    private func describeCluster(_ answer: inout Evaluation.Answer) {
        answer.isKnown = isReady
        answer.groups = groups.compactMap { $0.state.map(shortened) }
        var removals: [Evaluation.Answer.Removal] = []
        var count = 0
        for slot in model.order {
            guard let node = model.nodes[Int(slot)]?.node, let record = node.annotations[RemovalNames.record] else {
                continue
            }
            count += 1
            if removals.count < Self.maximumRemovals {
                removals.append(.init(node: node.name, record: String(record.prefix(4_000))))
            }
        }
        answer.removals = removals
        answer.removalCount = count
        let known = counts
        answer.standing = "\(known.nodes) nodes, \(known.pods) pods, \(known.pending) of them without a node"
    }

    private func shortened(_ state: GroupState) -> GroupState {
        var state = state
        state.members = Array(
            state.members.filter { !$0.status.hasSuffix("_COMPLETE") }.prefix(Self.maximumMembers))
        return state
    }
}
