import Support

extension Settings {
    /// `collector`.
    public struct Collector: Sendable, Hashable {
        /// `collector.stats`: usage of nodes and pods.
        public struct Stats: Sendable, Hashable {
            /// Where the numbers come from.
            public enum Source: String, Sendable, CaseIterable {
                case auto, metricsResource = "metrics_resource", statsSummary = "stats_summary"
            }

            /// How the kubelets are reached.
            public enum Route: String, Sendable, CaseIterable {
                case apiserver, kubelet
            }

            /// Whether usage is collected at all.
            public var enabled: Bool
            /// Time between two rounds.
            public var interval: Interval
            /// Where the numbers come from.
            public var source: Source
            /// How the kubelets are reached.
            public var through: Route
            /// For one node.
            public var timeout: Interval
            /// Nodes asked at once.
            public var parallel: Int

            init(_ reader: SettingsReader) {
                enabled = reader.flag("enabled", default: true, "Whether usage of nodes and pods is collected.")
                interval = reader.interval(
                    "interval", default: .seconds(15), in: .seconds(1) ... .minutes(60), "Time between two rounds.")
                source = reader.choice(
                    "source", default: .auto, "Which page of the kubelet; `auto` takes the first that it has.")
                through = reader.choice(
                    "through", default: .apiserver,
                    "`apiserver` asks through its proxy (right `nodes/proxy`); `kubelet` asks port 10250 of the node.")
                timeout = reader.interval(
                    "timeout", default: .seconds(10), in: .milliseconds(100) ... .minutes(5), "For one node.")
                parallel = reader.count("parallel", default: 16, in: 1...512, "Nodes asked at once.")
            }
        }

        /// Changes that come within this go into one message.
        public var batchWindow: Interval
        /// Time between two full snapshots.
        public var snapshotInterval: Interval
        /// Usage of nodes and pods.
        public var stats: Stats

        init(_ reader: SettingsReader) {
            batchWindow = reader.interval(
                "batch_window", default: .milliseconds(20), in: .zero ... .seconds(10),
                "Changes that come within this after the first go into one message.")
            snapshotInterval = reader.interval(
                "snapshot_interval", default: .minutes(5), in: .seconds(5) ... .minutes(1_440),
                "Time between two full snapshots; one is also sent when a reader asks.")
            stats = reader.section("stats", "Usage of nodes and pods, read from the kubelets.", Stats.init)
        }
    }
}
