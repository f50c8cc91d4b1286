import Support

extension Settings {
    /// `collector`.
    public struct Collector: Sendable, Hashable {
        /// Changes that come within this go into one message.
        public var batchWindow: Interval
        /// Time between two full snapshots.
        public var snapshotInterval: Interval
        /// Usage of nodes, pods and containers.
        public var stats: Stats
        /// Statistics for Ceilometer and Gnocchi.
        public var telemetry: Telemetry
        /// Alarms of Aodh.
        public var alarms: Alarms
        /// The hypervisors' samples.
        public var hypervisor: Hypervisor
        /// Only this node's statistics are collected, and nothing else; nil: the whole cluster's.
        public var node: String?

        init(_ reader: SettingsReader) {
            batchWindow = reader.interval(
                "batch_window", default: .milliseconds(20), in: .zero ... .seconds(10),
                "Changes that come within this after the first go into one message.")
            snapshotInterval = reader.interval(
                "snapshot_interval", default: .minutes(5), in: .seconds(5) ... .minutes(1_440),
                "Time between two full snapshots; one is also sent when a reader asks.")
            stats = reader.section("stats", "Usage of nodes, pods and containers, read from the kubelets.", Stats.init)
            telemetry = reader.section(
                "telemetry", "Statistics for Ceilometer and Gnocchi.", Telemetry.init)
            alarms = reader.section("alarms", "Alarms of Aodh.", Alarms.init)
            hypervisor = reader.section(
                "hypervisor", "What Ceilometer's compute agents measure of the nodes' servers.", Hypervisor.init)
            node = reader.text(
                "node",
                "Only this node's statistics are collected, and nothing else: for one Collector on each node. Also "
                    + "`--node`.")
        }
    }
}
