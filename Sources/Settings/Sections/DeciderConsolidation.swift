import Support

extension Settings.Decider.ScaleDown {
    /// `decider.scale_down.consolidation`.
    public struct Consolidation: Sendable, Hashable {
        /// Whether nodes are replaced.
        public var enabled: Bool
        /// How large a part of the cost has to be saved.
        public var minimumSaving: Double
        /// The time between two replacements.
        public var pause: Interval

        init(_ reader: SettingsReader) {
            enabled = reader.flag(
                "enabled", default: false,
                "Nodes above the threshold are replaced too, when their pods fit on fewer, smaller or cheaper ones for as long "
                    + "as `unneeded_time`. Budgets and drain rules hold for them as for others, and nothing is bought for nodes "
                    + "that these would keep.")
            minimumSaving = reader.number(
                "min_saving", default: 0.2, in: 0.01...1,
                "Part of the nodes' price, or of their cores when not every group has a `price`, that has to be saved.")
            pause = reader.interval(
                "pause", default: .minutes(30),
                "After a replacement, or one that was given up, none is begun for so long. A group whose machines came in vain, "
                    + "because the old nodes stayed, takes part in none for an hour, twice as long each time, up to a day."
            )
        }
    }
}
