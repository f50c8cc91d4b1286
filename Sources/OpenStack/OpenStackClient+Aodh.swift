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

    /// Whether Aodh has written any change of an alarm down.
    public func hasHistory(ofAlarm id: String) async throws(OpenStackError) -> Bool {
        let answer = try await call(
            Self.aodh, .get, "v2/alarms/\(PercentEncoding.segment(id))/history", query: [("limit", "1")])
        return !(try answer.json().elements()).isEmpty
    }
}
