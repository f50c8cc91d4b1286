import Crypto
import JSONReader
import Messages
import Support

/// Aodh's `alarm.state_transition` and `alarm.deletion`, checked. Pure.
///
/// Seen with Aodh 15: `detail` is a text of JSON when the evaluator wrote it and an object when the API did; the alarm's
/// name is not in it; the project is `on_behalf_of`.
enum AlarmNotification {
    /// The event types that tell of a state. One that is deleted makes no transition, and must not hold its last state for ever.
    static let eventTypes: Set<String> = ["alarm.state_transition", deletion]
    private static let deletion = "alarm.deletion"

    private static let states: Set<String> = ["ok", "alarm", "insufficient data"]
    /// Longer reasons are cut.
    private static let longestReason = 500

    /// The alarm that a notification tells of.
    /// - Parameter project: only alarms of this one; nil: of any.
    static func alarm(
        _ text: String, cluster: String, project: String?
    ) throws(ForeignRefusal) -> CloudAlarm {
        let message: JSONValue
        do throws(JSONError) {
            message = try JSONValue.parse(text)
        } catch {
            throw ForeignRefusal(why: .malformed, what: "\(error)")
        }
        let payload = message["payload"] ?? .null
        guard payload.objectValue != nil else { throw ForeignRefusal(why: .malformed, what: "payload is no object") }
        let id = payload["alarm_id"]?.stringValue ?? ""
        guard UUID5(id) != nil else { throw ForeignRefusal(why: .badID, what: "alarm_id is '\(id.prefix(60))'") }
        if let project {
            let owner = payload["on_behalf_of"]?.stringValue ?? ""
            guard owner == project else {
                throw ForeignRefusal(why: .otherProject, what: "alarm \(id) is of project '\(owner.prefix(60))'")
            }
        }
        guard let at = payload["timestamp"]?.stringValue.flatMap({ Timestamp($0) }) else {
            throw ForeignRefusal(why: .badTime, what: "alarm \(id): timestamp")
        }
        if message["event_type"]?.stringValue == deletion {
            return CloudAlarm(
                cluster: cluster, alarmID: id, state: "insufficient data", why: "the alarm was deleted", at: at,
                isGone: true)
        }
        var detail = payload["detail"] ?? .null
        if let inner = detail.stringValue {
            do throws(JSONError) {
                detail = try JSONValue.parse(inner, maximumDepth: 8)
            } catch {
                throw ForeignRefusal(why: .malformed, what: "detail of alarm \(id): \(error)")
            }
        }
        guard let state = detail["state"]?.stringValue else {
            throw ForeignRefusal(why: .malformed, what: "detail of alarm \(id) has no state")
        }
        guard states.contains(state) else {
            throw ForeignRefusal(why: .unknownState, what: "alarm \(id): '\(state.prefix(60))'")
        }
        let why = detail["transition_reason"]?.stringValue ?? detail["state_reason"]?.stringValue ?? ""
        return CloudAlarm(
            cluster: cluster, alarmID: id, state: state, why: String(why.prefix(longestReason)), at: at)
    }
}
