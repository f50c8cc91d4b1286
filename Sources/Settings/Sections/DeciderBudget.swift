import Support

extension Settings.Decider.ScaleDown {
    /// An item of `decider.scale_down.budgets`.
    public struct Budget: Sendable, Hashable {
        /// The group; `*`: each by itself; nil: all together.
        public var group: String?
        /// The zone; `*`: each by itself; nil: all together.
        public var zone: String?
        /// Most nodes at once.
        public var nodes: Int?
        /// Most percent of the nodes at once.
        public var percent: Double?
        /// Whether it is for nodes with pods to move only.
        public var drains: Bool
        /// When it holds; nil: always.
        public var schedule: Schedule?
        /// Where `group` was written.
        let groupOrigin: String?

        init(_ reader: SettingsReader) {
            group = reader.text(
                "group", "The node group that it is for; `*`: each group by itself. Without it all groups together.")
            groupOrigin = reader.node("group")?.origin
            zone = reader.text(
                "zone",
                "The zone (`topology.kubernetes.io/zone`) that it is for; `*`: each zone by itself. Without it all zones "
                    + "together.")
            nodes = reader.count(
                "nodes", in: 0...1_000_000, "Nodes that may be under removal at once; 0 forbids removals.")
            percent = reader.number(
                "percent", in: 0...100,
                "The same as a share of the nodes that the budget is for, rounded down, but one at least unless it is 0."
            )
            if nodes == nil && percent == nil {
                reader.mistake("nodes", "neither nodes nor percent is given", allowed: "at least one of them")
            }
            drains = reader.flag(
                "drains", default: false,
                "Whether it is for nodes with pods to move only; empty ones then go whatever it says. `percent` stays a share of "
                    + "all nodes.")
            schedule = reader.schedule()
        }
    }
}

extension SettingsReader {
    /// `schedule`, `duration` and `time_zone` of the mapping; nil when no schedule is given.
    func schedule() -> Schedule? {
        let form = "five fields: minute, hour, day of month, month, day of week"
        let expression = field(
            "schedule", "cron expression", default: nil as String?, shown: "",
            "When it starts to hold: \(form). Without it it always holds."
        ) { node throws(Refusal) in
            let text = try Self.text(node)
            guard Schedule(text, duration: .minutes(1)) != nil else {
                throw Refusal("\(Self.quoted(text)) is not understood as \(form)")
            }
            return text
        }
        let duration = interval(
            "duration", in: .minutes(1)...Schedule.longest,
            "For how long it holds from then on; needed with `schedule`.")
        let zone = field(
            "time_zone", "name of a time zone, e.g. `Europe/Berlin`", default: TimeZoneRules.utc, shown: "UTC",
            "On whose clocks `schedule` is read; changes to and from summer time are followed."
        ) { node throws(Refusal) in try Self.zone(try Self.text(node)) }
        guard let expression else {
            if duration != nil, node("schedule") == nil {
                mistake("duration", "is given without schedule", allowed: "both or neither")
            }
            return nil
        }
        guard let duration else {
            if node("duration") == nil { mistake("schedule", "is given without duration", allowed: "both or neither") }
            return nil
        }
        return Schedule(expression, duration: duration, zone: zone)
    }

    /// The rules of a time zone, from the time zone database of the system.
    private static func zone(_ name: String) throws(Refusal) -> TimeZoneRules {
        if name == "UTC" { return .utc }
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case 48...57, 65...90, 97...122, 43, 45, 47, 95: true
            default: false
            }
        }
        guard isPlain, !name.isEmpty, !name.hasPrefix("/"), name.utf8.count < 100 else {
            throw Refusal("\(quoted(name)) is no name of a time zone")
        }
        let path = "/usr/share/zoneinfo/\(name)"
        guard let bytes = content(path, limit: 1 << 20) else {
            throw Refusal("is \(quoted(name)), and there is no \(path)")
        }
        guard let zone = TimeZoneRules(name: name, tzif: bytes) else {
            throw Refusal("is \(quoted(name)), and \(path) is no time zone file")
        }
        return zone
    }
}
