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

/// A pod and all that is known of its stats: what each threshold looks at is taken from it.
struct PodStanding: Sendable {
    var pod: MonitoredPod
    var cpuRequest: Double
    var memoryRequest: Double
    /// What each of its containers requests; nil: it has one.
    var containers: [PodShape.ContainerRequest]?
    /// Whether the pod says its requests as a whole.
    var requestsAsWhole = false
    var load: PodScalingState.Load?

    /// The pod with one stat, its own or that of one of its containers.
    func monitored(
        _ stat: PodScalingState.Stat, of container: String? = nil, maximumAge: Interval, at now: Timestamp
    ) -> MonitoredPod {
        var pod = pod
        let requested = container.flatMap { name in containers?.first { $0.name == name } }
        // The name of an only container is not known: it has stats, or none.
        pod.lacksContainer = container != nil && containers != nil && requested == nil
        switch stat {
        case .cpu: pod.request = requested.map { Double($0.cpuMillis) } ?? cpuRequest
        case .memory: pod.request = requested.map { Double($0.memoryBytes) } ?? memoryRequest
        default: break
        }
        if container == nil, !requestsAsWhole, let containers {
            switch stat {
            case .cpu: pod.unrequested = containers.first { $0.cpuMillis <= 0 }?.name
            case .memory: pod.unrequested = containers.first { $0.memoryBytes <= 0 }?.name
            default: break
            }
        }
        let told = if let container { load?.of(container, stat) } else { load?[stat] }
        guard let known = told else { return pod }
        pod.measuredAt = known.at
        if now - known.at > maximumAge {
            pod.absence = .stale
        } else if !MonitoredPod.isUsable(known.value) {
            pod.absence = .unusable
        } else {
            pod.value = known.value
            if case .cpu = stat, container == nil {
                pod.steps = load?.wholeCPU.flatMap { MonitoredPod.isUsable($0) ? $0 : nil }
            }
        }
        return pod
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
