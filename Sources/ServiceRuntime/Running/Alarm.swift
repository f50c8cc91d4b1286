import Support

/// One timer for a core, moved as the core asks.
public struct Alarm: Sendable {
    private let ring: @Sendable () -> Void
    private var time: Timestamp?
    private var task: Task<Void, Never>?

    /// Not set. `ring` is called from any thread, once for each time that is set and comes.
    public init(_ ring: @escaping @Sendable () -> Void) {
        self.ring = ring
    }

    /// Rings at `next` (wall clock) and not at the time set before; nil: not at all.
    public mutating func set(_ next: Timestamp?) {
        let now = Timestamp.now()
        // One that has rung is set anew.
        if let time, time == next, time > now { return }
        task?.cancel()
        time = next
        guard let next else { return }
        let wait = max(next - now, .zero)
        task = Task { [ring] in
            guard (try? await Task.sleep(for: wait.duration)) != nil else { return }
            ring()
        }
    }

    /// Does not ring any more.
    public func cancel() {
        task?.cancel()
    }
}
