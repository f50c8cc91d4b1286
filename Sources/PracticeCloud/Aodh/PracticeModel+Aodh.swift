import JSONReader
import Support

/// Aodh as Updraft uses it: reading alarms and their history, and the notifications of their changes (docs/telemetry.md).
extension PracticeModel {
    /// Answers a request to Aodh.
    mutating func aodh(_ request: PracticeRequest, at now: Timestamp) -> PracticeAnswer {
        if case .failure(let refused) = authenticate(request, at: now) { return refused.answer }
        let segments = request.segments
        guard request.method == "GET", segments.prefix(2) == ["v2", "alarms"] else {
            return aodhError(404, "The resource could not be found.")
        }
        switch segments.count {
        case 2:
            var alarms = aodh.alarms
            if request.parameter("q.field") == "name", let name = request.parameter("q.value") {
                alarms = alarms.filter { $0.name == name }
            }
            let limit = request.parameter("limit").flatMap { Int($0) } ?? 1_000
            return .json(200, .array(alarms.prefix(max(0, limit)).map(describe)))
        case 3:
            guard let alarm = aodh.alarm(segments[2]) else { return aodhError(404, "Alarm \(segments[2]) not found") }
            return .json(200, describe(alarm))
        case 4 where segments[3] == "history":
            guard let alarm = aodh.alarm(segments[2]) else { return aodhError(404, "Alarm \(segments[2]) not found") }
            let limit = request.parameter("limit").flatMap { Int($0) } ?? 1_000
            let changes = alarm.history.reversed().prefix(max(0, limit))
            return .json(200, .array(changes.map { describe($0, of: alarm) }))
        default: return aodhError(404, "The resource could not be found.")
        }
    }

    private func describe(_ alarm: AodhModel.Alarm) -> JSONValue {
        [
            "alarm_id": .string(alarm.id), "name": .string(alarm.name), "state": .string(alarm.state),
            "state_reason": .string(alarm.why), "type": "gnocchi_resources_threshold", "severity": "low",
            "enabled": true, "repeat_actions": false, "project_id": .string(keystone.projectID),
            "user_id": .string(keystone.users.first?.id ?? ""), "alarm_actions": [], "ok_actions": [],
            "insufficient_data_actions": [], "timestamp": .string(alarm.created.withoutZone),
            // The evaluator does not touch it (Aodh 15's source).
            "state_timestamp": .string(alarm.created.withoutZone),
        ]
    }

    private func describe(_ change: AodhModel.Change, of alarm: AodhModel.Alarm) -> JSONValue {
        [
            "event_id": .string(change.id), "alarm_id": .string(alarm.id), "type": .string(change.type),
            "detail": .string(change.detail), "user_id": nil, "project_id": nil,
            "on_behalf_of": .string(keystone.projectID), "timestamp": .string(change.at.withoutZone),
            "severity": "low",
        ]
    }

    private func aodhError(_ status: Int, _ message: String) -> PracticeAnswer {
        .json(
            status,
            [
                "error_message": [
                    "faultcode": "Client", "faultstring": .string(message), "debuginfo": nil,
                ]
            ])
    }

    // MARK: Control

    /// `POST /practice/alarms`: sets an alarm's state by its name; makes one that does not exist.
    mutating func setAlarm(_ body: JSONValue, at now: Timestamp) throws(ControlFailure) -> PracticeAnswer {
        guard let name = body["name"]?.stringValue, !name.isEmpty else { throw ControlFailure(400, "a name is needed") }
        let state = body["state"]?.stringValue
        if let state, !AodhModel.states.contains(state) {
            throw ControlFailure(400, "state: one of \(AodhModel.states.joined(separator: ", "))")
        }
        if let records = body["record_history"]?.boolValue { aodh.recordsHistory = records }
        let id: String
        if let known = aodh.alarms.first(where: { $0.name == name }) {
            id = known.id
        } else {
            id = random.uuid()
            aodh.make(name, id: id, change: random.uuid(), at: now)
        }
        let why = body["why"]?.stringValue ?? "Transition by the control API"
        if let state, let change = aodh.set(id, state, why: why, change: random.uuid(), at: now) {
            journal.record("alarm.changed", at: now, ["alarm": .string(id), "state": .string(state)])
            if body["silent"]?.boolValue != true { notify(change, of: id) }
        }
        return .json(200, ["id": .string(id)])
    }

    /// `DELETE /practice/alarms/ID`.
    mutating func removeAlarm(_ id: String) throws(ControlFailure) -> PracticeAnswer {
        guard aodh.remove(id) else { throw ControlFailure(404, "no such alarm") }
        return .json(200, [:])
    }

    /// As recorded: `detail` is a text of JSON, and the alarm's name is not in it.
    private mutating func notify(_ change: AodhModel.Change, of id: String) {
        send(
            fromAodh: osloEnvelope(
                "alarm.state_transition", publisher: "aodh.evaluator", isError: false,
                [
                    "event_id": .string(change.id), "alarm_id": .string(id), "type": .string(change.type),
                    "detail": .string(change.detail), "user_id": nil, "project_id": nil,
                    "on_behalf_of": .string(keystone.projectID), "timestamp": .string(change.at.withoutZone),
                    "severity": "low",
                ]))
    }
}
