import Messages
import Support

/// Turns what kubelets say into use: a rate needs two readings of a counter. Pure.
///
/// - A counter that fell was started anew: its rate is not known until the next reading.
/// - After missed scrapes the rate is the mean since the last reading that there was.
/// - Rates are made of the kubelet's own times, so a clock that is wrong does no harm to them. The time of a sample is
///   never ahead of ours. A kubelet whose clock is behind is found by its times going on although they are old: its
///   samples bear our time.
/// - What does not go on is stale after two intervals, and never zero.
/// - A kubelet speaks for the pods that the API server has on its node, and for no others: one that was taken over could
///   name another node's, or invent some.
struct UsageMeter {
    /// What is needed to know about a node beside its kubelet's word.
    struct Target: Sendable, Equatable {
        var node: String
        var serverID: String?
        var allocatable: ResourceList
        var capacity: ResourceList
        var address: String?
        var port: Int32

        init(_ node: Node) {
            self.node = node.name
            serverID = node.serverID
            allocatable = node.allocatable
            capacity = node.capacity
            address = node.address
            port = node.kubeletPort ?? 10_250
        }
    }

    /// What is known of the pods of a node from the watch.
    struct PodsOnNode: Sendable, Equatable {
        struct Fact: Sendable, Equatable {
            var uid: String
            var requests: ResourceList
        }

        /// Nil: not known now.
        var running: Int?
        /// Nil: not known now.
        var pending: Int?
        var facts: [KubeletReading.PodKey: Fact] = [:]
    }

    /// What came of a reading.
    struct Measured: Sendable, Equatable {
        var node: NodeStats.Sample
        var pods: [PodStats.Sample]
        var rejected: Rejections
        /// Whether the kubelet's clock is behind ours by more than two intervals, or ahead by as much.
        var clockIsOff = false
    }

    private struct NodeMemory {
        var counters: UsageCounters?
        var pods = UsageMemory()
        /// Pods that are no more on the node, as the API server has it, and were: kubelets repeat them for a moment.
        var leaving: [KubeletReading.PodKey: Timestamp] = [:]
        var last: NodeStats.Sample?
        /// The kubelet's time of the newest reading, and when by our clock it was last seen to go on.
        var measured: Timestamp?
        var advancedAt: Timestamp?
        /// Whether its times have been seen going on although they are old.
        var clockIsBehind = false
    }

    private var nodes: [String: NodeMemory] = [:]
    /// One copy of each name of a namespace and of a container.
    private var names = StringPool()
    /// Older measurements are stale.
    private let staleAfter: Interval
    /// So long a kubelet may go on telling of a pod that is gone; then it is one that the node does not have.
    private let leavingFor: Interval
    /// So long what a page with details said is repeated between two of them.
    private let detailsLast: Interval
    /// Between two pages with details that are further apart there is no rate.
    private let longestRate: Interval

    /// - Parameters:
    ///   - interval: between two readings of a node.
    ///   - details: between two that tell network and file systems too; nil: every one does, or none.
    init(interval: Interval, details: Interval? = nil) {
        staleAfter = interval * 2
        leavingFor = max(staleAfter, .minutes(1))
        let details = max(details ?? interval, interval)
        // One page that failed is bridged, and no more.
        detailsLast = details * 2 + interval
        longestRate = max(.minutes(10), details * 3)
    }

    /// Nodes that something is remembered of.
    var count: Int { nodes.count }

    /// Takes in a reading.
    /// - Parameter known: the node's pods; others are not used, and the UIDs are the ones of these (that of a static pod is
    ///   another one at its kubelet). Nil: they are not known, and the kubelet is believed.
    mutating func take(
        _ reading: KubeletReading, of target: Target, pods known: PodsOnNode? = nil, at now: Timestamp
    ) -> Measured {
        // Taken out, not copied: what is known of it is changed in place.
        var memory = nodes.removeValue(forKey: target.node) ?? NodeMemory()
        var rejected = reading.rejected
        let limit = UsageLimit(target)
        let kubelet = reading.node.at ?? now
        let hasLeapt = hasLeapt(kubelet, now, memory)
        let clock = readClock(kubelet, now, &memory)
        if hasLeapt {
            // Rates over the time that its clock was set forward by would be far too small.
            memory.counters = nil
            memory.pods = UsageMemory()
        }

        let rates = advance(memory.counters, reading.node, kubelet, limit, &rejected)
        memory.leaving = memory.leaving.filter { now - $0.value <= leavingFor && $0.value <= now }
        memory.counters = rates
        var sample = NodeStats.Sample(
            node: target.node, serverID: target.serverID, at: clock.at, cpuMillis: rates.cpuMillis,
            memoryBytes: limit.memory(reading.node.memoryBytes, &rejected), stale: clock.isStale)
        sample.cpuUtilization = ratio(sample.cpuMillis, target.allocatable.cpuMillis)
        sample.memoryUtilization = ratio(sample.memoryBytes.map(Double.init), target.allocatable.memoryBytes)
        if let details = current(rates.details, kubelet) {
            sample.receivedPerSecond = details.receivedPerSecond
            sample.sentPerSecond = details.sentPerSecond
            sample.diskBytes = details.disk?.usedBytes
            if let disk = details.disk, let capacity = disk.capacityBytes, capacity > 0 {
                sample.diskUtilization = disk.usedBytes / capacity
            }
            if details.at < kubelet { sample.detailsAt = min(details.at + (clock.at - kubelet), now) }
        }
        sample.podsRunning = known?.running
        sample.podsPending = known?.pending
        memory.last = sample

        let shift = clock.at - kubelet
        var pods: [PodStats.Sample] = []
        pods.reserveCapacity(reading.pods.count)
        var before = memory.pods
        memory.pods = UsageMemory(
            pods: reading.pods.count, containers: reading.pods.reduce(0) { $0 + $1.containers.count })
        for (position, pod) in reading.pods.enumerated() {
            var place = before.place(of: pod.key, at: position)
            let index = known?.facts.index(forKey: pod.key)
            let uid = index.flatMap { known?.facts[$0].value.uid } ?? pod.uid ?? ""
            // One made anew under its name (a StatefulSet's) counts from nothing, however much it has used already.
            if let old = place, before.isAnother(uid, at: old) { place = nil }
            if known != nil, index == nil {
                if place != nil { memory.leaving[pod.key] = now }
                if memory.leaving[pod.key] == nil { rejected.count(.unknownPod) }
                continue
            }
            let at = pod.use.at ?? kubelet
            guard kubelet - at <= Self.oldest else {
                rejected.count(.badTime)
                continue
            }
            var sample = PodStats.Sample(
                namespace: pod.key.namespace, pod: pod.key.name, podUID: pod.uid, node: target.node,
                // A kubelet whose clock is wrong is wrong about its pods by as much.
                at: min(at + shift, now))
            var use = pod.use
            if pod.isSum {
                // Added up below: of a sum nobody knows whether it has the parts that it had before.
                use.cpuSeconds = nil
                use.cpuMillis = nil
            }
            let rates = advance(place.map { before.pod(at: $0) }, use, at, limit, &rejected)
            sample.cpuMillis = rates.cpuMillis
            sample.memoryBytes = limit.memory(use.memoryBytes, &rejected)
            if let details = current(rates.details, at) {
                sample.receivedPerSecond = details.receivedPerSecond
                sample.sentPerSecond = details.sentPerSecond
                sample.diskBytes = details.disk?.usedBytes
                if details.at < at { sample.detailsAt = min(details.at + shift, now) }
            }
            // The watch's own copy of the name, else the one that is kept here already.
            var key = place.map { before.key(at: $0) }
            var requests: ResourceList?
            if let index, let (kept, fact) = known?.facts[index] {
                key = kept
                sample.podUID = fact.uid
                requests = fact.requests
            }
            memory.pods.add(
                pod: key ?? .init(namespace: names.shared(pod.key.namespace), name: pod.key.name), uid: uid, rates)
            let containers = containers(pod, place, before, &memory.pods, at, target, limit, &rejected)
            if pod.isSum { sample.cpuMillis = limit.cpu(sum(containers), &rejected) }
            if let requests {
                sample.cpuUtilization = ratio(sample.cpuMillis, requests.cpuMillis)
                sample.memoryUtilization = ratio(sample.memoryBytes.map(Double.init), requests.memoryBytes)
            }
            sample.cpuWholeMillis = wholeMillis(containers, pod: sample.cpuMillis)
            sample.containers = containers
            let isKnown = sample.cpuMillis != nil || sample.memoryBytes != nil
            if isKnown || containers.contains(where: { $0.cpuMillis != nil || $0.memoryBytes != nil }) {
                pods.append(sample)
            }
        }
        nodes[target.node] = memory
        return Measured(node: sample, pods: pods, rejected: rejected, clockIsOff: clock.isOff)
    }

    private mutating func containers(
        _ pod: KubeletReading.Pod, _ place: Int?, _ before: UsageMemory, _ memory: inout UsageMemory,
        _ podTime: Timestamp, _ target: Target, _ limit: UsageLimit, _ rejected: inout Rejections
    ) -> [PodStats.Container] {
        var samples: [PodStats.Container] = []
        samples.reserveCapacity(pod.containers.count)
        for (position, container) in pod.containers.enumerated() {
            let known = place.flatMap { before.container(container.name, at: position, ofPod: $0) }
            let at = container.use.at ?? podTime
            let rates = advance(known?.counters, container.use, at, limit, &rejected)
            memory.add(container: known?.name ?? names.shared(container.name), rates)
            var sample = PodStats.Container(name: container.name)
            sample.cpuMillis = rates.cpuMillis
            sample.memoryBytes = limit.memory(container.use.memoryBytes, &rejected)
            sample.cpuUtilization = ratio(sample.cpuMillis, target.allocatable.cpuMillis)
            sample.memoryUtilization = ratio(sample.memoryBytes.map(Double.init), target.allocatable.memoryBytes)
            sample.diskBytes = current(rates.details, at)?.disk?.usedBytes
            samples.append(sample)
        }
        return samples
    }

    /// What all of them use; nil if it is not known of each.
    private func sum(_ containers: [PodStats.Container]) -> Double? {
        var sum = 0.0
        for container in containers {
            guard let millis = container.cpuMillis else { return nil }
            sum += millis
        }
        return sum
    }

    /// The kubelet did not answer: the last measurement again, marked as stale once it is; nil if there is none.
    mutating func missed(_ target: Target, at now: Timestamp) -> NodeStats.Sample? {
        guard var sample = nodes[target.node]?.last else { return nil }
        sample.stale = now - sample.at > staleAfter
        nodes[target.node]?.last = sample
        return sample
    }

    /// Forgets nodes that are no more.
    mutating func keep(only names: Set<String>) {
        if nodes.contains(where: { !names.contains($0.key) }) {
            nodes = nodes.filter { names.contains($0.key) }
        }
    }

    // MARK: Time

    private struct Clock {
        var at: Timestamp
        var isStale: Bool
        var isOff: Bool
    }

    private func readClock(_ kubelet: Timestamp, _ now: Timestamp, _ memory: inout NodeMemory) -> Clock {
        if let before = memory.measured, let advancedAt = memory.advancedAt, kubelet > before {
            // Two times that are both old, with about as much between them as passed here: its clock is behind.
            let passed = now - advancedAt
            memory.clockIsBehind = now - kubelet > staleAfter && (kubelet - before) * 2 >= passed
        }
        if memory.measured != kubelet {
            memory.measured = kubelet
            memory.advancedAt = now
        }
        let isAhead = kubelet - now > staleAfter
        if memory.clockIsBehind {
            let advancedAt = memory.advancedAt ?? now
            return Clock(at: advancedAt, isStale: now - advancedAt > staleAfter, isOff: true)
        }
        // A kubelet whose clock runs ahead would make a measurement that never ages.
        let at = min(kubelet, memory.advancedAt ?? now)
        return Clock(at: at, isStale: now - at > staleAfter, isOff: isAhead)
    }

    // MARK: Numbers

    private func ratio(_ used: Double?, _ whole: Int64) -> Double? {
        guard let used, whole > 0 else { return nil }
        return used / Double(whole)
    }

    /// CPU as HorizontalPodAutoscaler counts it: Kubernetes' metrics are of containers, in whole billionths of a core, and each is
    /// rounded up to thousandths before a pod's are added. Nil where that is not known, or is what the pod's own rounded up is.
    private func wholeMillis(_ containers: [PodStats.Container], pod: Double?) -> Double? {
        guard let pod, !containers.isEmpty else { return nil }
        var sum = 0.0
        for container in containers {
            guard let millis = container.cpuMillis else { return nil }
            sum += Self.wholeMillis(millis)
        }
        return sum == pod.rounded(.up) && sum == Self.wholeMillis(pod) ? nil : sum
    }

    /// What is less than a billionth of a core is the error of a binary fraction.
    private static func wholeMillis(_ millis: Double) -> Double {
        ((millis * 1e6).rounded(.down) / 1e6).rounded(.up)
    }

    /// Whether the kubelet's clock was set forward: it went on by far more than ours since it was last seen to go on.
    private func hasLeapt(_ kubelet: Timestamp, _ now: Timestamp, _ memory: NodeMemory) -> Bool {
        guard let before = memory.measured, let advancedAt = memory.advancedAt, kubelet > before else { return false }
        return kubelet - before > (now - advancedAt) + staleAfter
    }

    /// Between two readings closer than this a rate would be mostly noise.
    private static let shortest = Interval.seconds(1)
    /// A page may be a little older than another page that was read before it.
    private static let backwards = Interval.seconds(30)
    /// What a page says of a pod is no older than what it says of the node by more; else nothing is known of when it was
    /// measured.
    private static let oldest = Interval.minutes(60)

    /// The counters of `use` and the rates that are known now, after what was known before.
    private func advance(
        _ before: UsageCounters?, _ use: KubeletReading.Use, _ at: Timestamp, _ limit: UsageLimit,
        _ rejected: inout Rejections
    ) -> UsageCounters {
        let told = limit.cpu(use.cpuMillis, &rejected)
        guard var known = before, known.at - at < Self.backwards else {
            // The first, or a clock that was set back: nothing to compare with.
            return UsageCounters(
                at: at, cpuSeconds: use.cpuSeconds, cpuMillis: told, details: details(nil, use, at, limit, &rejected))
        }
        // The kubelet renews its numbers every ten seconds or so: until then nothing new is known.
        if at - known.at >= Self.shortest {
            let measured = rate(use.cpuSeconds, known.cpuSeconds, at - known.at).map { $0 * 1_000 }
            known.cpuMillis = limit.cpu(measured, &rejected) ?? told
            known.cpuSeconds = use.cpuSeconds
            known.at = at
        }
        known.details = details(known.details, use, at, limit, &rejected)
        return known
    }

    private func details(
        _ before: UsageDetails?, _ use: KubeletReading.Use, _ at: Timestamp, _ limit: UsageLimit,
        _ rejected: inout Rejections
    ) -> UsageDetails? {
        guard use.traffic != nil || use.disk != nil else {
            guard let before, at - before.at < longestRate else { return nil }
            return before
        }
        guard let before, at - before.at < longestRate, before.at - at < Self.backwards else {
            return UsageDetails(at: at, traffic: use.traffic, disk: use.disk)
        }
        guard at - before.at >= Self.shortest else { return before }
        let last = before.traffic?.parts == use.traffic?.parts ? before.traffic : nil
        return UsageDetails(
            at: at, traffic: use.traffic,
            receivedPerSecond: limit.network(
                rate(use.traffic?.received, last?.received, at - before.at), &rejected),
            sentPerSecond: limit.network(rate(use.traffic?.sent, last?.sent, at - before.at), &rejected),
            disk: use.disk)
    }

    /// What still says something at a time.
    private func current(_ details: UsageDetails?, _ at: Timestamp) -> UsageDetails? {
        details.flatMap { at - $0.at <= detailsLast ? $0 : nil }
    }

    private func rate(_ new: Double?, _ old: Double?, _ passed: Interval) -> Double? {
        guard let new, let old, new >= old else { return nil }
        return (new - old) / passed.inSeconds
    }
}
