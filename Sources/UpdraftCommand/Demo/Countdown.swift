import Messages
import Support

/// What the terminal says while pods take their time: how much is left, and how many have answered. Pure.
public struct Countdown: Sendable {
    /// Nodes whose pods were told and have time: until when, and how many pods.
    private var running: [String: (deadline: Timestamp, pods: Int)] = [:]
    /// When nodes were cordoned: for some seconds more pods may come that were bound before, and no cooldown ends.
    private var cordonedAt: [String: Timestamp] = [:]
    private var saidAt: Timestamp?
    /// As long as the Notifier waits for such pods.
    private static let bindingGrace = Interval.seconds(5)

    /// No node is under notice.
    public init() {}

    /// Something was seen on the bus.
    public mutating func received(_ event: Event) {
        switch event {
        case .removalCordoned(let event): cordonedAt[event.removal.node] = event.removal.at
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
        func seconds(until time: Timestamp) -> Int64 { max(0, (time - now).microseconds + 999_999) / 1_000_000 }
        if answered >= pods {
            let late =
                running.keys.compactMap { cordonedAt[$0] }.max().map { seconds(until: $0 + Self.bindingGrace) } ?? 0
            return "cooldown: all of \(pods) pods have answered; \(late) s more for those bound before the cordon"
        }
        let left = seconds(until: last)
        return "cooldown: at most \(left) s left, \(answered) of \(pods) pods have answered"
    }
}
