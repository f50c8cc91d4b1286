import Messages
import Support

/// Counters of one node, pod or container at one time, and the rates that were known last. 32 bytes: a large cluster has
/// hundreds of thousands of them.
struct UsageCounters: Sendable {
    /// When they were read, by the kubelet's clock.
    var at: Timestamp
    /// What only some pages tell.
    var details: UsageDetails?
    // An optional number takes twice the room of a number.
    private var seconds: Double
    private var millis: Double

    init(at: Timestamp, cpuSeconds: Double?, cpuMillis: Double?, details: UsageDetails?) {
        self.at = at
        self.details = details
        seconds = cpuSeconds ?? .nan
        millis = cpuMillis ?? .nan
    }

    /// CPU time since the start, in core-seconds.
    var cpuSeconds: Double? {
        get { seconds.isNaN ? nil : seconds }
        set { seconds = newValue ?? .nan }
    }

    /// CPU in use, thousandths of a core, as known last.
    var cpuMillis: Double? {
        get { millis.isNaN ? nil : millis }
        set { millis = newValue ?? .nan }
    }
}

/// What only some pages tell, and those less often: it has a time of its own. An object, since most pods and containers
/// of a large cluster have none, and would keep the room.
final class UsageDetails: Sendable {
    let at: Timestamp
    let traffic: KubeletReading.Traffic?
    let receivedPerSecond: Double?
    let sentPerSecond: Double?
    let disk: KubeletReading.Disk?

    init(
        at: Timestamp, traffic: KubeletReading.Traffic?, receivedPerSecond: Double? = nil,
        sentPerSecond: Double? = nil, disk: KubeletReading.Disk?
    ) {
        self.at = at
        self.traffic = traffic
        self.receivedPerSecond = receivedPerSecond
        self.sentPerSecond = sentPerSecond
        self.disk = disk
    }
}

/// The counters of a node's pods and their containers, in the order of the page. Flat: two pieces of memory for a node,
/// where tables would keep half of their room free, and an array for each pod would cost more than what stands in it.
struct UsageMemory: Sendable {
    private struct Pod: Sendable {
        var key: KubeletReading.PodKey
        /// Of its UID; 0: it was not known.
        var mark: Int
        var counters: UsageCounters
        /// Where its containers begin; they end where the next pod's begin.
        var containers: Int
    }

    private struct Container: Sendable {
        var name: String
        var counters: UsageCounters
    }

    private var pods: [Pod] = []
    private var containers: [Container] = []
    /// Places by key: made only when a pod is not where it was.
    private var places: [KubeletReading.PodKey: Int]?

    /// Room for so many.
    init(pods: Int = 0, containers: Int = 0) {
        self.pods.reserveCapacity(pods)
        self.containers.reserveCapacity(containers)
    }

    /// Where a pod is that stands at `position` of a page now; nearly always in the same place.
    mutating func place(of key: KubeletReading.PodKey, at position: Int) -> Int? {
        if position < pods.count, pods[position].key == key { return position }
        let known = places ?? Dictionary(pods.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { $1 })
        places = known
        return known[key]
    }

    /// The key at a place. One that is kept from reading to reading costs nothing; a new one would be another copy.
    func key(at place: Int) -> KubeletReading.PodKey { pods[place].key }

    /// Whether the pod at a place is another one than that of this UID, made anew under the same name.
    func isAnother(_ uid: String, at place: Int) -> Bool {
        let mark = pods[place].mark
        return mark != 0 && !uid.isEmpty && mark != Self.mark(uid)
    }

    private static func mark(_ uid: String) -> Int { uid.isEmpty ? 0 : uid.hashValue }

    /// What is known of the pod at a place.
    func pod(at place: Int) -> UsageCounters { pods[place].counters }

    /// What is known of a container of the pod at a place, with its name as kept here; `position` is where it stands now.
    func container(_ name: String, at position: Int, ofPod place: Int) -> (name: String, counters: UsageCounters)? {
        let end = place + 1 < pods.count ? pods[place + 1].containers : containers.count
        let range = pods[place].containers..<end
        let guess = range.lowerBound + position
        let found =
            range.contains(guess) && containers[guess].name == name
            ? guess : range.first { containers[$0].name == name }
        return found.map { (containers[$0].name, containers[$0].counters) }
    }

    /// Remembers a pod; what `add(container:)` is told next is its.
    mutating func add(pod key: KubeletReading.PodKey, uid: String, _ counters: UsageCounters) {
        pods.append(Pod(key: key, mark: Self.mark(uid), counters: counters, containers: containers.count))
    }

    /// Remembers a container of the pod that was added last.
    mutating func add(container name: String, _ counters: UsageCounters) {
        containers.append(Container(name: name, counters: counters))
    }
}
