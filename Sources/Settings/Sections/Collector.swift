import Support

extension Settings {
    /// `collector`.
    public struct Collector: Sendable, Hashable {
        /// `collector.cloud`: what other services say on the bus.
        public struct Cloud: Sendable, Hashable {
            /// Whether Nova is listened to.
            public var enabled: Bool
            /// Nova's exchange.
            public var novaExchange: String
            /// Where Nova is heard; nil: at the broker of `telemetry`.
            public var transportURL: Secret?

            init(_ reader: SettingsReader) {
                transportURL = reader.secret(
                    "transport_url", "The broker that Nova notifies; without it that of `telemetry`.")
                enabled = reader.flag(
                    "enabled", default: true,
                    "Whether notifications of Nova are read, from a queue of our own; while its exchange is not there, "
                        + "this waits.")
                novaExchange = reader.text("nova_exchange", default: "nova", "Nova's `control_exchange`.")
            }
        }

        /// `collector.signals`: addresses for alarms.
        public struct Signals: Sendable, Hashable {
            /// Where signals are taken; nil: nowhere.
            public var listen: ListenAddress?
            /// The URL under which alarms reach it.
            public var advertiseURL: String?
            /// Certificate of that address; nil: plain HTTP.
            public var tls: ListenerTLS?
            /// Key of the tokens in the addresses; nil: the keys of the bus.
            public var tokenKey: Secret?
            /// The base URL that addresses begin with, without a slash at the end; nil: nothing listens.
            public var baseURL: String? {
                var base = advertiseURL ?? listen.map { "\(tls == nil ? "http" : "https")://\($0)" }
                while base?.hasSuffix("/") == true { base?.removeLast() }
                return base
            }

            init(_ reader: SettingsReader) {
                listen = reader.listen(
                    "listen",
                    "Where alarms are taken: `POST /signal/GROUP/up` and `/down` ask for nodes, `/alarms` takes the states of "
                        + "alarms for `decider.rules`. Without it nowhere. `updraft signal-url` prints the addresses.")
                advertiseURL = reader.text(
                    "advertise_url",
                    "Base URL under which alarms reach that address; without it `http://<listen>` (`https` with `tls`)."
                )
                tls = reader.section(
                    "tls", "The certificate of that address: what is posted there carries tokens.", ListenerTLS.read)
                tokenKey = reader.secretOrVariable(
                    "token_key",
                    "Key of the tokens in the addresses, the same for all replicas; without it the first of `bus.keys`, without "
                        + "any the transport URL. Addresses made with any of `bus.keys` are good too, so that keys can be rotated."
                )
                if let tokenKey, tokenKey.revealed.utf8.count < 16 {
                    reader.mistake("token_key", "is too short", allowed: "at least 16 bytes")
                }
            }
        }

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
        /// What other services say on the bus.
        public var cloud: Cloud
        /// Addresses for alarms.
        public var signals: Signals
        /// Queues whose depth and rates are stats for pod scalers.
        public var queues: [Queue]
        /// Metrics of Gnocchi and alarms of Aodh that pod scalers name.
        public var openstackStats: OpenStackStats

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
            if node != nil, !stats.enabled {
                reader.mistake("node", "is given, and `stats.enabled` is false: nothing would be done")
            }
            cloud = reader.section("cloud", "What other services of the cloud say on the bus.", Cloud.init)
            signals = reader.section("signals", "Addresses by which alarms ask for nodes.", Signals.init)
            queues = reader.list(
                "queues", "RabbitMQ queues whose depth and rates are stats for pod scalers.", Queue.init)
            openstackStats = reader.section(
                "openstack_stats", "Metrics of Gnocchi and alarms of Aodh for pod scalers.", OpenStackStats.init)
            if Set(queues.map(\.id)).count != queues.count {
                reader.mistake("queues", "has two entries with one id")
            }
        }
    }
}
