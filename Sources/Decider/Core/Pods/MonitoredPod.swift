import Messages
import Support

/// A pod as a scaler looks at it: how it stands and what was measured.
struct MonitoredPod: Sendable {
    /// On its way out, or over: it counts for nothing.
    var isLeaving = false
    /// It does not run yet.
    var isPending = false
    var isReady = false
    /// `status.startTime`.
    var startedAt: Timestamp?
    /// When `Ready` last changed.
    var readyChangedAt: Timestamp?
    /// The stat, fresh and a number; nil: it is missing.
    var value: Double?
    /// The stat in the whole steps that Kubernetes counts in, where it is not just rounded up: CPU by container.
    var steps: Double?
    /// Whether it has no container of the name that is asked for.
    var lacksContainer = false
    /// The container that requests nothing of the resource, where that of the whole pod is asked for and each needs a request.
    var unrequested: String?
    /// Why it is missing, when that is known.
    var absence = Absence.none
    /// When it was measured.
    var measuredAt: Timestamp?
    /// What it requests of the resource; zero: nothing.
    var request: Double = 0

    /// Whether a value can be meant. Larger ones, of which sums would be infinite, are mistakes of whoever tells them.
    static func isUsable(_ value: Double) -> Bool { value >= 0 && value <= 1e15 }

    /// Why a value is missing.
    enum Absence: Sendable {
        /// Nothing was ever said.
        case none
        /// What was said is too old.
        case stale
        /// What was said is negative, beyond all bounds or no number.
        case unusable
    }

    /// Why none of the pods gave a value, in words.
    static func absence(of pods: [MonitoredPod], starting: Int) -> Explanation {
        var (stale, unusable, silent) = (0, 0, 0)
        for pod in pods where !pod.isLeaving && !pod.isPending && pod.value == nil {
            switch pod.absence {
            case .none: silent += 1
            case .stale: stale += 1
            case .unusable: unusable += 1
            }
        }
        var words: [String] = []
        if stale > 0 { words.append("\(stale) pods gave values that are too old") }
        if unusable > 0 { words.append("\(unusable) pods gave a value that is negative, too large or no number") }
        if silent > 0 { words.append("\(silent) pods gave none") }
        if starting > 0 { words.append("\(starting) pods are starting") }
        return Explanation(
            stale > 0 && unusable == 0 ? .statStale : .statUnknown,
            words.isEmpty ? "there is no pod that counts" : words.joined(separator: ", "))
    }
}

/// What pods of one class request. It is looked up once for all of them: a thousand scalers look at all their pods each time.
struct PodRequestsOfClass: Sendable {
    var cpu: Double
    var memory: Double
    /// What each container requests; nil: there is one.
    var containers: [PodShape.ContainerRequest]?
    /// Whether the pods say their requests as a whole.
    var asWhole: Bool

    init(_ shape: PodShape) {
        let requests = shape.runningRequests ?? shape.requests
        (cpu, memory) = (Double(requests.cpuMillis), Double(requests.memoryBytes))
        containers = shape.containers
        asWhole = shape.requestsAsWhole ?? false
    }

    /// What a pod, or one of its containers, requests of what the stat is about.
    func share(_ stat: PodScalingState.Stat, of container: String? = nil) -> RequestedShare {
        let own = container.flatMap { name in containers?.first { $0.name == name } }
        // The name of an only container is not known: it has stats, or none.
        let isLacking = container != nil && containers != nil && own == nil
        var share = RequestedShare(amount: 0, lacksContainer: isLacking)
        switch stat {
        case .cpu:
            share.amount = own.map { Double($0.cpuMillis) } ?? cpu
            share.unrequested = container == nil ? unrequested { $0.cpuMillis <= 0 && $0.saysZeroCPU != true } : nil
        case .memory:
            share.amount = own.map { Double($0.memoryBytes) } ?? memory
            share.unrequested =
                container == nil ? unrequested { $0.memoryBytes <= 0 && $0.saysZeroMemory != true } : nil
        case .disk, .received, .sent, .own: break
        }
        return share
    }

    private func unrequested(_ isLacking: (PodShape.ContainerRequest) -> Bool) -> String? {
        asWhole ? nil : containers?.first(where: isLacking)?.name
    }
}

/// What pods of a class request of what one threshold is about.
struct RequestedShare: Sendable {
    var amount: Double
    /// Whether they have no container of the name that is asked for.
    var lacksContainer: Bool
    /// The container that requests nothing, where what the whole pod requests is asked for.
    var unrequested: String?
}

/// A pod as it stands, and what its kubelet says of it as a whole. Nothing in it has to be retained.
struct PodStanding: Sendable {
    var pod: MonitoredPod
    /// Where what it requests stands.
    var requests: Int
    var usage: PodScalingState.Usage?
}

/// The pods of one scaler and all that is known of their stats: what each threshold looks at is taken from it.
struct PodStandings: Sendable {
    var pods: [PodStanding] = []
    /// What else is known of each of the pods; empty where no threshold looks at that.
    var insides: [PodLoads.Inside?] = []
    /// What pods of each of their classes request.
    var requests: [PodRequestsOfClass] = []

    /// The pods with one stat, their own or that of one of their containers.
    func monitored(
        _ stat: PodScalingState.Stat, of container: String? = nil, maximumAge: Interval, at now: Timestamp
    ) -> [MonitoredPod] {
        let shares = requests.map { $0.share(stat, of: container) }
        let (isOwn, isCPU) = (stat.isOwn, stat.isCPU)
        var monitored: [MonitoredPod] = []
        monitored.reserveCapacity(pods.count)
        for index in pods.indices {
            var pod = pods[index].pod
            let share = shares[pods[index].requests]
            (pod.request, pod.lacksContainer, pod.unrequested) = (share.amount, share.lacksContainer, share.unrequested)
            if container == nil && !isOwn {
                let told = pods[index].usage?[stat]
                pod.take(told, steps: isCPU ? pods[index].usage?.wholeCPU : nil, maximumAge: maximumAge, at: now)
            } else if index < insides.count, let inside = insides[index] {
                let told = inside.told(stat, of: container, at: pods[index].usage?.at)
                pod.take(told, steps: nil, maximumAge: maximumAge, at: now)
            }
            monitored.append(pod)
        }
        return monitored
    }
}

extension MonitoredPod {
    /// What was told of the stat, if it is fresh and a number. `steps`: the same in whole steps.
    fileprivate mutating func take(
        _ told: PodScalingState.Timed?, steps whole: Double?, maximumAge: Interval, at now: Timestamp
    ) {
        guard let told else { return }
        measuredAt = told.at
        if now - told.at > maximumAge {
            absence = .stale
        } else if !Self.isUsable(told.value) {
            absence = .unusable
        } else {
            value = told.value
            if let whole, Self.isUsable(whole) { steps = whole }
        }
    }
}

/// When a pod that is not ready counts as one that is starting: flags of kube-controller-manager, with its defaults.
struct ReadinessRules: Sendable, Equatable {
    /// For so long after its start CPU use of a pod that is not ready is left out
    /// (`--horizontal-pod-autoscaler-cpu-initialization-period`).
    var cpuInitialization = Interval.minutes(5)
    /// A pod that became unready within this after its start was never ready
    /// (`--horizontal-pod-autoscaler-initial-readiness-delay`).
    var initialDelay = Interval.seconds(30)
    /// What one measurement of CPU covers: it has to lie after the pod became ready.
    var window = Interval.seconds(15)

    /// Whether the CPU use of the pod says nothing yet (`groupPods` of kube-controller-manager).
    func isStarting(_ pod: MonitoredPod, at now: Timestamp) -> Bool {
        guard let startedAt = pod.startedAt, let changedAt = pod.readyChangedAt else { return true }
        if startedAt + cpuInitialization > now {
            return !pod.isReady || pod.measuredAt.map { $0 < changedAt + window } ?? true
        }
        return !pod.isReady && startedAt + initialDelay > changedAt
    }
}
