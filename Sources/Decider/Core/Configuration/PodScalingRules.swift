import Support

/// How pod scalers are looked at, whatever each of them says.
public struct PodScalingRules: Sendable, Equatable {
    /// Whether pods are scaled at all.
    public var enabled = true
    /// How often scalers are looked at when nothing but stats changes.
    public var interval = Interval.seconds(5)
    /// They are looked at no more often than this.
    public var shortest = Interval.seconds(1)
    /// Older stats count as missing.
    public var statMaximumAge = Interval.seconds(60)
    /// The same for what kubelets tell less often: disk and network.
    public var detailMaximumAge = Interval.minutes(2)
    /// For so long after its start CPU use of a pod that is not ready is left out.
    public var cpuInitialization = Interval.minutes(5)
    /// A pod that became unready within this after its start was never ready.
    public var initialReadinessDelay = Interval.seconds(30)
    /// What one measurement of CPU covers.
    public var statWindow = Interval.seconds(15)
    /// A decision that is not carried out by then is forgotten.
    public var decisionLifetime = Interval.seconds(30)
    /// For so long replicas that do not exist yet ask for room.
    public var comingLifetime = Interval.seconds(120)
    /// So long after a step its pods may not have been made.
    public var makingTime = Interval.seconds(30)
    /// For so long a node counts as freed by a target that was made smaller: once unneeded it goes at once.
    public var freedLifetime = Interval.minutes(10)
    /// For so long a target that was set to zero may be told with the replicas that it had before.
    public var untoldLifetime = Interval.minutes(10)
    /// For so long what was done by a scaler that is gone is remembered: it may only not have been read.
    public var goneLifetime = Interval.minutes(60)
    /// For so long a target that was set to zero is remembered while nobody tells of it.
    public var idleLifetime = Interval.minutes(30 * 1_440)
    /// Pause after a refusal; doubled each time.
    public var refusalPause = Interval.seconds(15)
    /// …up to this.
    public var refusalMaximumPause = Interval.minutes(5)

    /// The defaults.
    public init() {}

    var readiness: ReadinessRules {
        ReadinessRules(
            cpuInitialization: cpuInitialization, initialDelay: initialReadinessDelay, window: statWindow)
    }
}
