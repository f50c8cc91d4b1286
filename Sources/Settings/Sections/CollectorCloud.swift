import Support

extension Settings.Collector {
    /// `collector.alarms`: alarms of Aodh.
    public struct Alarms: Sendable, Hashable {
        /// Whether they are heard.
        public var enabled: Bool
        /// Aodh's exchange.
        public var exchange: String
        /// Only alarms of this project; nil: of all.
        public var projectID: String?
        /// Where Aodh is heard; nil: at the broker of `telemetry`.
        public var transportURL: Secret?

        init(_ reader: SettingsReader) {
            transportURL = reader.secret(
                "transport_url", "The broker that Aodh notifies; without it that of `telemetry`.")
            enabled = reader.flag(
                "enabled", default: false,
                "Whether transitions of Aodh's alarms are heard (its `record_history` must be on)."
            )
            exchange = reader.text(
                "exchange", default: "aodh",
                "Aodh's exchange. It is never made: until it exists, this waits.")
            projectID = reader.text(
                "project_id", "Only alarms of this project. Without it those of every project of the cloud.")
        }
    }

    /// `collector.hypervisor`: what Ceilometer's compute agents measure of the nodes' servers.
    public struct Hypervisor: Sendable, Hashable {
        /// Whether they are heard.
        public var enabled: Bool
        /// The agents' exchange.
        public var exchange: String
        /// Which meters.
        public var meters: [String]

        init(_ reader: SettingsReader) {
            enabled = reader.flag(
                "enabled", default: false, "Whether the hypervisors' samples of the nodes' servers are heard.")
            exchange = reader.text(
                "exchange", default: "ceilometer",
                "The exchange that Ceilometer's agents publish to. The broker is that of `telemetry`.")
            meters = reader.texts(
                "meters", default: ["cpu", "memory.usage"],
                "Which meters are passed on: those of a server as a whole. Meters of its devices (`disk.device.*`, `network.*`) are "
                    + "not, and count as `of_device` in `updraft_cloud_refused_total`.")
        }
    }
}

extension Settings.Collector {
    /// `collector.openstack_stats`: metrics of Gnocchi and alarms of Aodh that pod scalers name as sources.
    public struct OpenStackStats: Sendable, Hashable {
        /// Whether they are read.
        public var enabled: Bool
        /// Time between two readings.
        public var interval: Interval
        /// Name of the cloud in `clouds.yaml`; nil: as `openstack`.
        public var cloud: String?
        /// The `clouds.yaml` with a login of its own; nil: as `openstack`.
        public var cloudsFile: String?

        init(_ reader: SettingsReader) {
            enabled = reader.flag(
                "enabled", default: false,
                "Whether metrics of Gnocchi and alarms of Aodh that pod scalers name (`sources`) are read. Whoever may write a "
                    + "PodScaler sees through it what the login may see.")
            cloud = reader.text(
                "cloud",
                "A cloud of `clouds.yaml` with a login of its own, which may read only. Without it the one of `openstack`."
            )
            cloudsFile = reader.path(
                "clouds_file", "The `clouds.yaml` with that login; without it the one of `openstack`.")
            interval = reader.interval(
                "interval", default: .seconds(30), in: .seconds(5) ... .minutes(60),
                "Time between two readings of each.")
        }
    }
}
