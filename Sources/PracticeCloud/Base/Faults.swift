import JSONReader
import Support

/// Faults that somebody switched on.
struct Faults: Sendable {
    /// Requests that fit are answered by the fault instead of (or, without a status, later than) the service.
    struct Rule: Sendable {
        var id: Int
        /// `heat`, `nova`, `keystone`, `kubernetes`, `hooks`.
        var service: String
        /// Nil: every method.
        var method: String?
        /// Part of the path; nil: every path.
        var path: String?
        /// The answer's status; nil: the service answers, after `delay`.
        var status: Int?
        /// Error type (Heat) or reason (Kubernetes).
        var type: String?
        /// Text for people.
        var message: String?
        /// `Retry-After` in seconds.
        var retryAfter: Int?
        /// How much later the answer goes out. The effect comes at once: as in life, a call given up is carried out.
        var delay: Interval = .zero
        /// How often it strikes; nil: until switched off.
        var remaining: Int?

        /// As the control API writes it.
        var json: JSONValue {
            .members([
                ("id", .int(Int64(id))), ("service", .string(service)), ("method", method.map { .string($0) }),
                ("path", path.map { .string($0) }), ("status", status.map { .int(Int64($0)) }),
                ("type", type.map { .string($0) }), ("message", message.map { .string($0) }),
                ("retry_after", retryAfter.map { .int(Int64($0)) }), ("delay", .double(delay.inSeconds)),
                ("count", remaining.map { .int(Int64($0)) }),
            ])
        }
    }

    private(set) var rules: [Rule] = []
    private var lastID = 0

    /// Switches a rule on; returns its id.
    mutating func add(_ rule: Rule) -> Int {
        lastID += 1
        var numbered = rule
        numbered.id = lastID
        rules.append(numbered)
        return lastID
    }

    /// Switches one off, or all with nil. False if there is no such rule.
    mutating func remove(_ id: Int?) -> Bool {
        let before = rules.count
        rules.removeAll { id == nil || $0.id == id }
        return id == nil || rules.count < before
    }

    /// The first rule that fits a request, counted down; a spent one is forgotten.
    mutating func strike(service: String, method: String, path: String) -> Rule? {
        guard
            let place = rules.firstIndex(where: { rule in
                rule.service == service && (rule.method.map { $0 == method } ?? true)
                    && (rule.path.map { path.contains($0) } ?? true)
            })
        else { return nil }
        let rule = rules[place]
        if let remaining = rule.remaining {
            rules[place].remaining = remaining - 1
            if remaining <= 1 { rules.remove(at: place) }
        }
        return rule
    }
}
