import Messages
import Support

/// The last stats of each pod. Thousands of scalers look at all their pods each time, and stats of all pods come every few seconds:
/// so what kubelets say lies side by side, and neither way hashes the UID of a pod that it found the last time.
struct PodLoads: Sendable {
    /// What is known of a pod beyond what its kubelet says of it as a whole.
    struct Inside: Sendable {
        /// Stats of the pod's own, by name.
        var values: [String: PodScalingState.Timed]?
        /// Use of the containers that scalers look at, by name; nil: of none.
        var containers: [String: PodScalingState.ContainerLoad]?
    }

    /// Where a pod of the model stands.
    private struct Link: Sendable {
        var serial = 0
        var place: Int32 = -1
    }

    /// By place: the pod's UID, what its kubelet says, what else is known.
    private var uids: [String] = []
    private var usages: [PodScalingState.Usage] = []
    private var insides: [Inside] = []
    private var placeOf: [String: Int32] = [:]
    /// By the pod's slot in the model.
    private var links: [Link] = []
    /// How many pods had stats when it was last looked for those of the model's.
    private var linked = 0
    /// Where the sample is looked for first: those of one kubelet come in the same order each time.
    private var expected = 0

    /// Stats of its own that are kept of a pod at most; those measured longest ago go first.
    private static let maximumOwn = 200

    var count: Int { uids.count }

    // MARK: Telling

    /// Takes stats of pods; an older one of the same pod is left out. Of containers those in `containers` are kept.
    mutating func take(_ stats: PodStats, containers: Set<String>, at now: Timestamp) {
        for index in stats.samples.indices {
            guard let uid = stats.samples[index].podUID else { continue }
            take(stats.samples[index], of: uid, containers, at: now)
        }
    }

    private mutating func take(
        _ sample: PodStats.Sample, of uid: String, _ containers: Set<String>, at now: Timestamp
    ) {
        let at = min(sample.at, now)
        if let values = sample.values, !values.isEmpty {
            insides[place(of: uid)].take(values, at: at, atMost: Self.maximumOwn)
        }
        // Who tells a pod's own stats may know nothing of what it uses.
        guard
            sample.cpuMillis != nil || sample.memoryBytes != nil || sample.diskBytes != nil
                || sample.receivedPerSecond != nil || sample.sentPerSecond != nil
        else { return }
        let place = place(of: uid)
        guard usages[place].at <= at else { return }
        usages[place] = PodScalingState.Usage(
            at: at, detailsAt: min(sample.detailsAt ?? at, at), cpu: sample.cpuMillis,
            wholeCPU: sample.cpuWholeMillis, memory: sample.memoryBytes.map(Double.init), disk: sample.diskBytes,
            received: sample.receivedPerSecond, sent: sample.sentPerSecond)
        if !containers.isEmpty || insides[place].containers != nil {
            insides[place].containers = Self.loads(sample, containers)
        }
    }

    /// Where the pod's stats lie; a place is made for one that has none.
    private mutating func place(of uid: String) -> Int {
        if expected < uids.count, uids[expected] == uid {
            expected += 1
            return expected - 1
        }
        let place: Int
        if let known = placeOf[uid] {
            place = Int(known)
        } else {
            place = uids.count
            placeOf[uid] = Int32(place)
            uids.append(uid)
            let none = Timestamp(microseconds: Int64.min)
            usages.append(PodScalingState.Usage(at: none, detailsAt: none))
            insides.append(Inside())
        }
        expected = place + 1
        return place
    }

    private static func loads(
        _ sample: PodStats.Sample, _ wanted: Set<String>
    ) -> [String: PodScalingState.ContainerLoad]? {
        guard !wanted.isEmpty, let all = sample.containers else { return nil }
        var loads: [String: PodScalingState.ContainerLoad] = [:]
        for container in all where wanted.contains(container.name) {
            loads[container.name] = PodScalingState.ContainerLoad(
                cpu: container.cpuMillis, memory: container.memoryBytes.map(Double.init))
        }
        return loads.isEmpty ? nil : loads
    }

    // MARK: Looking

    /// Finds the stats of the model's pods, so that `place` knows them: after the model or the stats changed.
    mutating func link(_ model: ClusterModel) {
        if links.count < model.podBriefs.count {
            links += [Link](repeating: Link(), count: model.podBriefs.count - links.count)
        }
        let isGrown = linked != uids.count
        linked = uids.count
        for slot in model.podBriefs.indices {
            let serial = model.podBriefs[slot].serial
            guard links[slot].serial != serial || isGrown && links[slot].place < 0 else { continue }
            links[slot] = Link(serial: serial, place: model.pods[slot].flatMap { placeOf[$0.uid] } ?? -1)
        }
    }

    /// Where the stats of a pod lie, by its slot in the model that was linked last; nil: there are none.
    func place(slot: Int32) -> Int? {
        guard Int(slot) < links.count else { return nil }
        let place = links[Int(slot)].place
        return place < 0 ? nil : Int(place)
    }

    /// What the kubelet said of the pod at a place; nil: nothing yet.
    func usage(at place: Int) -> PodScalingState.Usage? {
        usages[place].at.microseconds == Int64.min ? nil : usages[place]
    }

    /// What else is known of the pod at a place.
    func inside(at place: Int) -> Inside { insides[place] }

    // MARK: Forgetting

    /// Forgets stats of pods that are gone, once there are more of them than of others.
    mutating func keep(of known: Int, _ isKnown: (String) -> Bool) {
        guard uids.count > 2 * known + 1_000 else { return }
        var kept = PodLoads()
        for place in uids.indices where isKnown(uids[place]) {
            kept.placeOf[uids[place]] = Int32(kept.uids.count)
            kept.uids.append(uids[place])
            kept.usages.append(usages[place])
            kept.insides.append(insides[place])
        }
        self = kept
    }
}

extension PodLoads.Inside {
    /// A stat of the pod's own, or one of a container, of which only CPU and memory are known.
    ///
    /// - Parameter at: when the kubelet measured; nil: it said nothing yet.
    func told(
        _ stat: PodScalingState.Stat, of container: String?, at: Timestamp?
    ) -> PodScalingState.Timed? {
        guard let container else {
            guard case .own(let name) = stat else { return nil }
            return values?[name]
        }
        guard let known = containers?[container], let at else { return nil }
        switch stat {
        case .cpu: return known.cpu.map { PodScalingState.Timed(value: $0, at: at) }
        case .memory: return known.memory.map { PodScalingState.Timed(value: $0, at: at) }
        case .disk, .received, .sent, .own: return nil
        }
    }

    /// Takes stats of the pod's own in.
    fileprivate mutating func take(_ new: [String: Double], at: Timestamp, atMost limit: Int) {
        var all = values ?? [:]
        for (name, value) in new {
            if let known = all[name], known.at > at { continue }
            all[name] = PodScalingState.Timed(value: value, at: at)
        }
        if all.count > limit {
            let kept = all.sorted { ($0.value.at, $1.key) > ($1.value.at, $0.key) }.prefix(limit)
            all = Dictionary(kept.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        }
        values = all
    }
}
