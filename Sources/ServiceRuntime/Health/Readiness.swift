import Support

/// What must hold for a service to do its work, condition by condition. `/readyz` shows the ones that do not.
public final class Readiness: Sendable {
    /// One condition.
    public struct Condition: Sendable, Equatable {
        /// Whether it holds.
        public var ok: Bool
        /// Why not; empty when it holds.
        public var reason: String
        /// Since when it has been so.
        public var since: Timestamp
    }

    private let conditions = Lock<[String: Condition]>([:])
    private let probes = Lock<[String: @Sendable () -> String?]>([:])
    private let told = Lock<[String: String]>([:])
    private let changed: @Sendable (String, Condition) -> Void

    /// `changed` hears of each condition that turns, and of each that has another reason than before (other numbers are not).
    public init(changed: @escaping @Sendable (String, Condition) -> Void = { _, _ in }) {
        self.changed = changed
    }

    /// Says how a condition stands; the first word declares it.
    public func set(_ name: String, ok: Bool, reason: String = "") {
        let told = conditions.withLock { conditions -> Condition? in
            let before = conditions[name]
            let turned = before?.ok != ok
            let now = Condition(
                ok: ok, reason: ok ? "" : reason, since: turned ? .now() : before?.since ?? .now())
            conditions[name] = now
            return turned || Self.gist(of: now.reason) != Self.gist(of: before?.reason ?? "") ? now : nil
        }
        if let told { changed(name, told) }
    }

    /// A reason without its numbers: an age or a count that goes on changing is nothing new.
    private static func gist(of reason: String) -> [Substring] {
        reason.split(separator: " ").filter { $0.first?.isNumber != true }
    }

    /// The condition holds.
    public func ok(_ name: String) {
        set(name, ok: true)
    }

    /// The condition does not hold.
    public func failed(_ name: String, _ reason: String) {
        set(name, ok: false, reason: reason)
    }

    /// A condition that is looked up when it is asked for: nil when it holds, else why not. Must return soon.
    public func probe(_ name: String, _ read: @escaping @Sendable () -> String?) {
        probes.withLock { $0[name] = read }
    }

    /// Forgets a condition: its part of the service is gone.
    public func remove(_ name: String) {
        conditions.withLock { _ = $0.removeValue(forKey: name) }
        probes.withLock { _ = $0.removeValue(forKey: name) }
    }

    /// Something worth knowing that is neither good nor bad: shown by `/readyz`, whatever it answers.
    public func note(_ name: String, _ text: String) {
        told.withLock { $0[name] = text }
    }

    /// All notes.
    public var notes: [String: String] { told.withLock { $0 } }

    /// All conditions as they stand.
    public var all: [String: Condition] {
        var all = conditions.withLock { $0 }
        for (name, read) in probes.withLock({ $0 }) {
            let reason = read()
            all[name] = Condition(ok: reason == nil, reason: reason ?? "", since: .now())
        }
        return all
    }

    /// For a metric, whose labels must be few: 1 or 0 by the kind of condition, which is its name up to a slash; 0 if one
    /// of a kind does not hold.
    var byKind: [String: Double] {
        var kinds: [String: Double] = [:]
        for (name, condition) in all {
            let kind = String(name.prefix { $0 != "/" })
            kinds[kind] = min(kinds[kind] ?? 1, condition.ok ? 1 : 0)
        }
        return kinds
    }

    /// Whether all hold. A service that has declared nothing yet is not ready.
    public var isReady: Bool {
        let all = all
        return !all.isEmpty && all.values.allSatisfy(\.ok)
    }
}
