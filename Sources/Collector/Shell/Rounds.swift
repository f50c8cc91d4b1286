import Support

/// A round of readings once an interval, by the replica that speaks for the cluster, and only by it.
struct Rounds: Sendable {
    /// Between two rounds, also when one took longer than the interval.
    private static let shortest = Interval.milliseconds(200)
    /// Whoever does not speak for the cluster looks so often whether it does now.
    private static let idle = Interval.seconds(1)

    let interval: Interval
    let isActive: @Sendable () async -> Bool

    /// Runs until the task is cancelled.
    func run(_ round: (_ now: Timestamp) async -> Void) async {
        let clock = SteadyClock()
        while !Task.isCancelled {
            // An operator who sets the clock must not stop the reading.
            let started = clock.now
            var pause = min(interval, Self.idle)
            if await isActive() {
                await round(.now())
                pause = max((started + interval) - clock.now, Self.shortest)
            }
            try? await Task.sleep(for: pause.duration)
        }
    }
}
