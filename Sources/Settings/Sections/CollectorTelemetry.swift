import Support

extension Settings.Collector {
    /// `collector.telemetry`: statistics for Ceilometer and Gnocchi.
    public struct Telemetry: Sendable, Hashable {
        /// Where they go.
        public enum Destination: String, Sendable, CaseIterable {
            case none, ceilometer, gnocchi
        }

        /// What is sent of.
        public enum Resource: String, Sendable, CaseIterable {
            case cluster, node, instance, pod, container
        }

        /// Where they go.
        public var to: Destination
        /// What is sent of.
        public var resources: [Resource]
        /// Time between two points of a resource.
        public var interval: Interval
        /// Ceilometer's broker; nil: the suite's.
        public var transportURL: Secret?
        /// Ceilometer's exchange.
        public var exchange: String
        /// The project that shall see the samples.
        public var projectID: String
        /// The user to be named; nil: none.
        public var userID: String?
        /// `[publisher] telemetry_secret`; nil: unsigned.
        public var secret: Secret?
        /// Resources in one notification or request.
        public var resourcesPerMessage: Int
        /// Notifications or requests a second, at most.
        public var messagesPerSecond: Double
        /// Points kept while they cannot be sent.
        public var maximumWaiting: Int
        /// Time between two times that attributes are sent.
        public var attributesInterval: Interval
        /// The cloud of `clouds.yaml` whose login is used for Gnocchi; nil: that of `openstack`.
        public var cloud: String?
        /// That file; nil: that of `openstack`.
        public var cloudsFile: String?
        /// The archive policy of metrics that are made (Gnocchi only).
        public var archivePolicy: String

        init(_ reader: SettingsReader) {
            to = reader.choice(
                "to", default: .none,
                "Where statistics go: `ceilometer` over the bus, `gnocchi` directly (with the login of `cloud`), or "
                    + "`none`. See docs/telemetry.md.")
            resources = reader.choices(
                "resources", default: [.cluster, .node, .instance, .pod, .container],
                "What is sent of. `instance`: a node's numbers once more, on Nova's server.")
            interval = reader.interval(
                "interval", default: .minutes(1), in: .seconds(1) ... .minutes(60),
                "Time between two points of a resource. Not shorter than the archive policy's granularity is of use.")
            transportURL = reader.secret(
                "transport_url", "The broker that Ceilometer listens on; without it the suite's.")
            exchange = reader.text(
                "exchange", default: "ceilometer",
                "The exchange that Ceilometer listens on. It is never made: until it exists, this waits.")
            projectID = reader.text(
                "project_id", default: "",
                "Id of the project that shall see the samples; required. Not the project `service`: Ceilometer drops its "
                    + "samples silently.")
            userID = reader.text("user_id", "Id of the user that samples name; without it none.")
            secret = reader.secret(
                "secret",
                "Ceilometer's `[publisher] telemetry_secret`: samples are signed with it. Without it unsigned.")
            resourcesPerMessage = reader.count(
                "resources_per_message", default: 50, in: 1...100,
                "Resources in one notification. Large ones block Ceilometer for all of the cloud.")
            messagesPerSecond = reader.number(
                "messages_per_second", default: 2, in: 0.01...100,
                "Notifications a second, at most: of all replicas together; with one Collector on each node of each.")
            maximumWaiting = reader.count(
                "max_waiting", default: 50_000, in: 100...5_000_000,
                "Points kept while they cannot be sent; beyond it the oldest of containers, then of pods, are dropped.")
            attributesInterval = reader.interval(
                "attributes_interval", default: .minutes(10), in: .seconds(10) ... .minutes(1_440),
                "How often names and other attributes are sent along: each time costs Gnocchi a write.")
            cloud = reader.text(
                "cloud",
                "For `gnocchi`: a cloud of `clouds.yaml` with a login of its own, which may do nothing else. Without it the one of "
                    + "`openstack`.")
            cloudsFile = reader.path(
                "clouds_file", "The `clouds.yaml` with that login; without it the one of `openstack`.")
            archivePolicy = reader.text(
                "archive_policy", default: "kubernetes",
                "Archive policy of the metrics that are made in Gnocchi directly.")
            if to != .none, projectID.isEmpty {
                reader.mistake("project_id", "is missing", allowed: "the id of a project")
            }
        }
    }
}
