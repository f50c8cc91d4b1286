import JSONReader
import Messages
import Support

/// What Alertmanager (its webhook's version 4) and Aodh post of their alarms, checked. Pure.
enum AlarmWebhook {
    /// Alerts of one message that are read; how many more there were is told.
    static let maximumAlerts = 1_000

    /// Why a body was not used.
    struct Refusal: Error, Equatable {
        /// Which field, and what of it.
        var what: String
    }

    /// What a body tells.
    struct Told: Equatable {
        /// The alarms.
        var alarms: [CloudAlarm]
        /// How many Alertmanager left out, because its `max_alerts` is set: of those nothing is known.
        var truncated = 0
        /// Why alerts were passed over, each; the others are used: the sender would not send them again.
        var faults: [String] = []
    }

    /// Reads a body.
    static func read(_ body: [UInt8], cluster: String, at now: Timestamp) throws(Refusal) -> Told {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue.parse(body, maximumDepth: 16)
        } catch {
            throw Refusal(what: "\(error)")
        }
        if value["alarm_id"] != nil { return Told(alarms: [try aodh(value, cluster, now)]) }
        guard let version = value["version"]?.stringValue else {
            throw Refusal(what: "neither alarm_id (Aodh) nor version (Alertmanager) is there")
        }
        guard version == "4" else { throw Refusal(what: "version is '\(clean(version, 20))', not 4") }
        guard let alerts = value["alerts"]?.arrayValue else { throw Refusal(what: "alerts is no list") }
        var told = Told(alarms: [])
        for (index, alert) in alerts.prefix(maximumAlerts).enumerated() {
            do throws(Refusal) {
                told.alarms.append(try alertmanager(alert, "alerts[\(index)]", cluster, now))
            } catch {
                told.faults.append(error.what)
            }
        }
        if told.alarms.isEmpty, let first = told.faults.first { throw Refusal(what: first) }
        if alerts.count > maximumAlerts {
            // Not refused as a whole: Alertmanager gives up on that, and a firing alert among the first would be lost as well.
            told.faults.append(
                "\(alerts.count - maximumAlerts) alerts beyond the \(maximumAlerts) of one message: group them otherwise"
            )
        }
        told.truncated = Int(clamping: max(0, value["truncatedAlerts"]?.intValue ?? 0))
        return told
    }

    private static func alertmanager(
        _ alert: JSONValue, _ path: String, _ cluster: String, _ now: Timestamp
    ) throws(Refusal) -> CloudAlarm {
        guard let name = alert["labels"]?["alertname"]?.stringValue, !name.isEmpty, name.utf8.count <= 200 else {
            throw Refusal(what: "\(path).labels.alertname is missing, empty or too long")
        }
        guard let id = alert["fingerprint"]?.stringValue, !id.isEmpty, id.utf8.count <= 64,
            id.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else { throw Refusal(what: "\(path).fingerprint is missing or no number") }
        let isFiring: Bool
        switch alert["status"]?.stringValue {
        case "firing"?: isFiring = true
        case "resolved"?: isFiring = false
        case let other: throw Refusal(what: "\(path).status is '\(clean(other ?? "", 40))'")
        }
        let notes = alert["annotations"]
        let why = notes?["summary"]?.stringValue ?? notes?["description"]?.stringValue ?? ""
        return CloudAlarm(
            cluster: cluster, alarmID: id, name: clean(name, 200), state: isFiring ? "alarm" : "ok",
            // As of now, since that is when it is said: an alert that was resolved and fires again may bear its old
            // `startsAt`, which is before the word that it was resolved.
            why: clean(why, 300), at: now)
    }

    private static func aodh(_ value: JSONValue, _ cluster: String, _ now: Timestamp) throws(Refusal) -> CloudAlarm {
        guard let id = value["alarm_id"]?.stringValue, (1...64).contains(id.utf8.count) else {
            throw Refusal(what: "alarm_id is no id")
        }
        guard let state = value["current"]?.stringValue, ["ok", "alarm", "insufficient data"].contains(state) else {
            throw Refusal(what: "current is '\(clean(value["current"]?.stringValue ?? "", 40))'")
        }
        return CloudAlarm(
            cluster: cluster, alarmID: clean(id, 64),
            name: value["alarm_name"]?.stringValue.map { clean($0, 200) }, state: state,
            why: clean(value["reason"]?.stringValue ?? "", 300), at: now)
    }

    /// Foreign text for logs and the ledger: one line, not long.
    static func clean(_ text: String, _ most: Int) -> String {
        String(text.unicodeScalars.prefix(most).map { $0.value < 32 || $0.value == 127 ? " " : Character($0) })
    }
}
