import Messages
import Support

/// What the terminal says while pods take their time: how much is left, and how many have answered. Pure.
public struct Countdown: Sendable {
    /// Nodes whose pods were told and have time: until when, and how many pods.
    private var running: [String: (deadline: Timestamp, pods: Int)] = [:]
    private var saidAt: Timestamp?

    /// No node is under notice.
    public init() {}

    /// Something was seen on the bus.
    public mutating func received(_ event: Event) {
        switch event {
        case .removalNoticed(let event):
            guard let deadline = event.removal.deadline, event.removal.pods > 0 else { return }
            running[event.removal.node] = (deadline, event.removal.pods)
        case .removalQuiesced(let event): running[event.removal.node] = nil
        case .removalCancelled(let event):
            running = event.nodes.isEmpty ? [:] : running.filter { !event.nodes.contains($0.key) }
        case .removalFailed(let event): running[event.removal.node] = nil
        default: break
        }
    }

    /// Whether anything is to be said now: once a second, while a cooldown runs.
    public func isDue(at now: Timestamp) -> Bool {
        !running.isEmpty && saidAt.map { now - $0 >= .seconds(1) } ?? true
    }

    /// The line, given how many pods have answered so far.
    public mutating func line(answered: Int, at now: Timestamp) -> String? {
        guard isDue(at: now), let last = running.values.map(\.deadline).max() else { return nil }
        saidAt = now
        let pods = running.values.reduce(0) { $0 + $1.pods }
        // What Notifier and Actuator still wait for then: that no pod comes that was bound before the cordon.
        if answered >= pods { return "cooldown: all of \(pods) pods have answered; a last look for late ones is due" }
        let left = max(0, (last - now).microseconds + 999_999) / 1_000_000
        return "cooldown: at most \(left) s left, \(answered) of \(pods) pods have answered"
    }
}
