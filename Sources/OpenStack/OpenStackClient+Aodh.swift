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
        /// Whose it is.
        public var projectID: String?
        /// Why it is in this state; releases before 2020 do not say.
        public var why: String?
        /// What it watches, in words: `mean of kubernetes.node.cpu.utilization gt 0.8, 5 times 60 s`; of alarms without a
        /// threshold their type. Nil: Aodh does not tell.
        public var definition: String?

        /// From its parts.
        public init(
            id: String, name: String, state: String, projectID: String? = nil, why: String? = nil,
            definition: String? = nil
        ) {
            self.definition = definition
            self.id = id
            self.name = name
            self.state = state
            self.projectID = projectID
            self.why = why
        }

        static func decode(_ field: Field) throws(OpenStackError) -> Alarm {
            Alarm(
                id: try field.string("alarm_id"), name: try field.string("name"), state: try field.string("state"),
                projectID: try field.optionalString("project_id"), why: try field.optionalString("state_reason"),
                definition: definition(field.value))
        }

        /// For people only: what is not as expected is left out.
        private static func definition(_ alarm: JSONValue) -> String? {
            guard let type = alarm["type"]?.stringValue else { return nil }
            guard let rule = alarm["\(type)_rule"], let threshold = rule["threshold"],
                let comparison = rule["comparison_operator"]?.stringValue
            else { return type }
            let metric =
                rule["metric"]?.stringValue
                ?? rule["metrics"]?.arrayValue.map { $0.compactMap(\.stringValue).joined(separator: ", ") }
                ?? rule["query"]?.stringValue ?? "?"
            var words = "\(metric) \(comparison) \(threshold.text)"
            if let method = rule["aggregation_method"]?.stringValue { words = "\(method) of \(words)" }
            if let periods = rule["evaluation_periods"], let seconds = rule["granularity"] {
                words += ", \(periods.text) times \(seconds.text) s"
            }
            return words
        }
    }

    /// Alarms of the project.
    public func alarms(limit: Int) async throws(OpenStackError) -> [Alarm] {
        try await alarms([("limit", "\(limit)")])
    }

    /// Alarms of that name; several may have one.
    public func alarms(named name: String) async throws(OpenStackError) -> [Alarm] {
        try await alarms([("q.field", "name"), ("q.op", "eq"), ("q.value", name)])
    }

    private func alarms(_ query: [(String, String)]) async throws(OpenStackError) -> [Alarm] {
        let answer = try await call(Self.aodh, .get, "v2/alarms", query: query).json()
        var alarms: [Alarm] = []
        for entry in try answer.elements() { alarms.append(try Alarm.decode(entry)) }
        return alarms
    }

    /// An alarm; nil if there is none of that id that this login may see.
    public func alarm(_ id: String) async throws(OpenStackError) -> Alarm? {
        do throws(OpenStackError) {
            let path = "v2/alarms/\(PercentEncoding.segment(id))"
            return try Alarm.decode(try await call(Self.aodh, .get, path).json())
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// A change of an alarm's state, as its history holds it.
    public struct AlarmTransition: Sendable, Equatable {
        /// The state that it came into.
        public var state: String
        /// Why.
        public var why: String
        /// When: to the microsecond the time of the notification `alarm.state_transition`, which is the same record.
        public var at: Timestamp

        /// From its parts.
        public init(state: String, why: String, at: Timestamp) {
            self.state = state
            self.why = why
            self.at = at
        }
    }

    /// The last transition that an alarm's history holds; nil: it holds none. Others than transitions (creation, changes of
    /// the rule) are written by the API, which may be configured otherwise than the evaluator. (`state_timestamp` of the
    /// alarm itself is not touched by the evaluator: Aodh 15's source.)
    public func lastTransition(ofAlarm id: String) async throws(OpenStackError) -> AlarmTransition? {
        let answer = try await call(
            Self.aodh, .get, "v2/alarms/\(PercentEncoding.segment(id))/history", query: [("limit", "50")])
        // The newest first.
        for entry in try answer.json().elements()
        where (try? entry.string("type")) == "state transition" {
            guard let detail = try? JSONValue.parse(try entry.string("detail")),
                let state = detail["state"]?.stringValue
            else { return nil }
            let why = detail["transition_reason"]?.stringValue ?? detail["state_reason"]?.stringValue ?? ""
            return AlarmTransition(state: state, why: why, at: try entry.member("timestamp").time())
        }
        return nil
    }
}
