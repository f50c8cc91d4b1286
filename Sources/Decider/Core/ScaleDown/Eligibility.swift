import Messages
import Support

/// How much of a node its pods request.
struct Utilization: Sendable, Equatable {
    var value: Double
    /// Which resource decides.
    var resource: String
}

/// Whether a node may be removed as far as the node alone tells: marks, readiness, load.
struct Eligibility {
    let rules: ScaleDownRules
    let now: Timestamp

    /// Requests over allocatable, the larger of cpu and memory; on nodes with GPUs the GPUs alone. Nil when the node
    /// says nothing of what it offers.
    func utilization(_ slot: Int, _ model: ClusterModel) -> Utilization? {
        guard let record = model.nodes[slot] else { return nil }
        let gpus = rules.gpuResources.filter { record.node.allocatable.extended[$0] ?? 0 > 0 }
        let hasLabel = rules.gpuLabels.contains { record.node.labels[$0] != nil }
        if !gpus.isEmpty || hasLabel {
            var best = Utilization(value: 0, resource: gpus.first ?? "gpu")
            for name in gpus {
                guard let dimension = model.catalog.resources.firstIndex(of: name),
                    let part = part(dimension, slot, record, model)
                else { continue }
                if part > best.value { best = Utilization(value: part, resource: name) }
            }
            return best
        }
        guard let cpu = part(Catalog.cpu, slot, record, model),
            let memory = part(Catalog.memory, slot, record, model)
        else { return nil }
        return cpu >= memory
            ? Utilization(value: cpu, resource: "cpu") : Utilization(value: memory, resource: "memory")
    }

    /// The utilization of a node without marks, GPUs and pods that count differently; nil for others. Retains nothing.
    @inline(__always)
    func plainUtilization(_ slot: Int, _ model: ClusterModel) -> (value: Double, isCPU: Bool)? {
        let brief = model.briefs[slot]
        guard !brief.isSpecial, !brief.isLeaving, brief.isReady, brief.terminating == 0, brief.cpu > 0,
            brief.memory > 0, rules.gpuLabels.isEmpty,
            brief.fixedPods == 0 || !(rules.ignoresDaemonSets || rules.ignoresMirrorPods)
        else { return nil }
        let cpu = Double(max(0, brief.cpu - model.world.free(slot, Catalog.cpu))) / Double(brief.cpu)
        let memory = Double(max(0, brief.memory - model.world.free(slot, Catalog.memory))) / Double(brief.memory)
        return cpu >= memory ? (cpu, true) : (memory, false)
    }

    private func part(_ dimension: Int, _ slot: Int, _ record: NodeRecord, _ model: ClusterModel) -> Double? {
        var offered = dimension < record.allocatable.count ? record.allocatable[dimension] : 0
        guard offered > 0 else { return nil }
        var requested = offered - model.world.free(slot, dimension)
        let looks = (rules.ignoresDaemonSets || rules.ignoresMirrorPods) && model.briefs[slot].fixedPods > 0
        if looks || model.briefs[slot].terminating > 0 {
            for index in record.pods {
                guard let pod = model.pods[Int(index)], model.holdsRoom(pod) else { continue }
                let podClass = model.catalog.classes[Int(pod.podClass)]
                let amount = podClass.needs.first { $0.dimension == dimension }?.amount ?? 0
                if DrainCheck.isLongTerminating(pod, podClass.shape, now) {
                    requested -= amount
                } else if rules.ignoresDaemonSets && podClass.isDaemonSet
                    || rules.ignoresMirrorPods && podClass.isMirror
                {
                    requested -= amount
                    offered -= amount
                }
            }
        }
        guard offered > 0 else { return nil }
        return Double(max(0, requested)) / Double(offered)
    }

    /// What somebody has marked the node with, if that keeps it.
    func mark(_ slot: Int, _ model: ClusterModel) -> Explanation? {
        guard let node = model.nodes[slot]?.node else { return Explanation(.noNodeInfo) }
        if isLeaving(node, isUnderRemoval: model.briefs[slot].isUnderRemoval) {
            return Explanation(.currentlyBeingDeleted)
        }
        if node.annotations["cluster-autoscaler.kubernetes.io/scale-down-disabled"] == "true" {
            return Explanation(
                .scaleDownDisabledAnnotation, "cluster-autoscaler.kubernetes.io/scale-down-disabled is true")
        }
        return DrainCheck.disruptionForbidden(node.annotations, now).map { Explanation(.doNotDisrupt, $0) }
    }

    /// Why the node stays, judged by itself; nil: it is a candidate.
    func obstacle(
        _ slot: Int, group: GroupRules?, _ utilization: Utilization?, measured: Double?, _ model: ClusterModel
    ) -> Explanation? {
        guard let node = model.nodes[slot]?.node else { return Explanation(.noNodeInfo) }
        if let mark = mark(slot, model) { return mark }
        guard let group else { return Explanation(.notAutoscaled, "belongs to no configured group") }
        if node.readiness != .ready && !rules.removesUnready { return Explanation(.scaleDownUnreadyDisabled) }
        guard let utilization else { return Explanation(.noNodeInfo, "offers neither cpu nor memory") }
        let isGPU = utilization.resource != "cpu" && utilization.resource != "memory"
        let threshold =
            isGPU
            ? group.gpuUtilizationThreshold ?? rules.gpuUtilizationThreshold
            : group.utilizationThreshold ?? rules.utilizationThreshold
        if utilization.value > threshold {
            return Explanation(
                .notUnderutilized,
                "\(utilization.resource) \(Self.percent(utilization.value)) requested, "
                    + "threshold \(Self.percent(threshold))")
        }
        if rules.usesMeasuredLoad, let measured, measured > threshold {
            return Explanation(
                .notUnderutilized, "\(Self.percent(measured)) in use, threshold \(Self.percent(threshold))")
        }
        return nil
    }

    /// Whether somebody is removing the node. The peer's mark counts for five minutes, as with the peer.
    private func isLeaving(_ node: Node, isUnderRemoval: Bool) -> Bool {
        if isUnderRemoval || node.deletedAt != nil { return true }
        guard let taint = node.taints.first(where: { $0.key == Node.peerDeletionTaint }) else { return false }
        guard let since = Int64(taint.value) else { return true }
        return Timestamp(seconds: since) + .minutes(5) > now
    }

    static func percent(_ value: Double) -> String {
        "\(Int((value * 100).rounded()))%"
    }
}
