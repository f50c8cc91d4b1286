import HTTPClient
import JSONReader
import Support

/// Calls to Aodh (`alarming` of the catalogue): reading only.
extension OpenStackClient {
    private static let aodh = "alarming"

    /// An alarm, as far as it is of use here.
    public struct Alarm: Sendable, Equatable {
        /// Its id.
        public var id: String
        /// Its name.
        public var name: String
        /// `ok`, `alarm` or `insufficient data`.
        public var state: String

        static func decode(_ field: Field) throws(OpenStackError) -> Alarm {
            Alarm(
                id: try field.string("alarm_id"), name: try field.string("name"), state: try field.string("state"))
        }
    }

    /// Alarms of the project.
    public func alarms(limit: Int) async throws(OpenStackError) -> [Alarm] {
        let answer = try await call(Self.aodh, .get, "v2/alarms", query: [("limit", "\(limit)")]).json()
        var alarms: [Alarm] = []
        for entry in try answer.elements() { alarms.append(try Alarm.decode(entry)) }
        return alarms
    }

    /// The state of the last transition that an alarm's history holds; nil: it holds none. Others than transitions
    /// (creation, changes of the rule) are written by the API, which may be configured otherwise than the evaluator.
    public func lastRecordedState(ofAlarm id: String) async throws(OpenStackError) -> String? {
        let answer = try await call(
            Self.aodh, .get, "v2/alarms/\(PercentEncoding.segment(id))/history", query: [("limit", "50")])
        // The newest first.
        for entry in try answer.json().elements()
        where (try? entry.string("type")) == "state transition" {
            let detail = try entry.string("detail")
            return (try? JSONValue.parse(detail))?["state"]?.stringValue
        }
        return nil
    }
}
