import JSONReader
import Support

/// A practice Aodh: alarms with their states and history. Nothing evaluates them: the control API sets the states.
struct AodhModel: Sendable {
    /// A change of an alarm, as the history has it.
    struct Change: Sendable {
        var id: String
        /// `creation` or `state transition`.
        var type: String
        /// A text of JSON.
        var detail: String
        var at: Timestamp
    }

    /// An alarm.
    struct Alarm: Sendable {
        var id: String
        var name: String
        var state: String
        var why: String
        /// The oldest first.
        var history: [Change]
        var created: Timestamp
    }

    static let states = ["ok", "alarm", "insufficient data"]
    /// Changes of an alarm that are kept.
    private static let kept = 100

    /// In the order in which they were made.
    private(set) var alarms: [Alarm] = []
    /// aodh.conf's `record_history`. Without it the bus is told nothing (docs/telemetry.md).
    var recordsHistory = true

    /// An alarm by its id.
    func alarm(_ id: String) -> Alarm? { alarms.first { $0.id == id } }

    /// Makes an alarm, of which nothing is known yet.
    mutating func make(_ name: String, id: String, change: String, at now: Timestamp) {
        let creation = Change(id: change, type: "creation", detail: "{}", at: now)
        alarms.append(
            Alarm(
                id: id, name: name, state: "insufficient data", why: "Not evaluated yet", history: [creation],
                created: now))
    }

    /// Changes an alarm's state; the record of it, or nil if it was in that state.
    mutating func set(_ id: String, _ state: String, why: String, change: String, at now: Timestamp) -> Change? {
        guard let place = alarms.firstIndex(where: { $0.id == id }), alarms[place].state != state else { return nil }
        alarms[place].state = state
        alarms[place].why = why
        let detail: JSONValue = ["state": .string(state), "transition_reason": .string(why)]
        let record = Change(id: change, type: "state transition", detail: detail.text, at: now)
        guard recordsHistory else { return nil }
        alarms[place].history.append(record)
        if alarms[place].history.count > Self.kept { alarms[place].history.removeFirst() }
        return record
    }

    /// Takes an alarm away; false if there is none of that id.
    mutating func remove(_ id: String) -> Bool {
        guard let place = alarms.firstIndex(where: { $0.id == id }) else { return false }
        alarms.remove(at: place)
        return true
    }
}
