import Support

extension Settings {
    /// `bus`: RabbitMQ.
    public struct Bus: Sendable, Hashable {
        /// `bus.tls`: for `rabbits://` and `?ssl=1`.
        public struct TLS: Sendable, Hashable {
            /// PEM file of the authorities that the broker's certificate must come from; nil: the system's.
            public var caFile: String?
            /// PEM file of the client certificate.
            public var certificateFile: String?
            /// PEM file of its key.
            public var keyFile: String?
            /// Whether the broker's certificate must bear the host's name.
            public var verifyHost: Bool

            init(_ reader: SettingsReader) {
                caFile = reader.path(
                    "ca_file", "PEM file of the trusted authorities; without it the system's are trusted.")
                certificateFile = reader.path(
                    "certificate_file", "PEM file of the client certificate, where the broker asks for one.")
                keyFile = reader.path("key_file", "PEM file of the client certificate's key.")
                verifyHost = reader.flag(
                    "verify_host", default: true, "The broker's certificate must bear the name (or address) in the URL."
                )
                if (certificateFile == nil) != (keyFile == nil) {
                    reader.mistake(
                        certificateFile == nil ? "key_file" : "certificate_file", "is given alone",
                        allowed: "certificate_file and key_file together")
                }
            }
        }

        /// One key of `bus.keys`.
        public struct Key: Sendable, Hashable {
            /// Its name, sent along with each message.
            public var id: String
            /// The key.
            public var secret: Secret

            init(_ reader: SettingsReader) {
                id = reader.identifier("id", "Name of the key; travels with each signed message.")
                let inline = reader.secret("key", "The key, at least 16 bytes.")
                let variable = reader.text("env", "Variable of the environment that holds the key.")
                let named = variable.flatMap { reader.secret(inVariable: $0, field: "env") }
                if inline == nil, variable == nil, reader.node("key_file") == nil {
                    reader.mistake("key", "is missing", allowed: "key, key_file or env")
                }
                secret = inline ?? named ?? Secret("")
                if let given = inline ?? named, given.revealed.utf8.count < 16 {
                    reader.mistake(inline == nil ? "env" : "key", "is too short", allowed: "at least 16 bytes")
                }
            }
        }

        /// Kind of the queues for commands.
        public enum QueueType: String, Sendable, CaseIterable {
            case quorum, classic
        }

        /// oslo's `transport_url`.
        public var transportURL: Secret
        /// The topic exchange of the suite.
        public var exchange: String
        /// TLS.
        public var tls: TLS
        /// A silent broker is given up after twice this.
        public var heartbeat: Interval
        /// For a connection and its handshake.
        public var connectTimeout: Interval
        /// Keys for signing commands; the first one signs, all of them verify. Empty: unsigned.
        public var keys: [Key]
        /// A signed command older than this is refused.
        public var maximumAge: Interval
        /// A larger message is neither sent nor read.
        public var maximumMessageBytes: Int
        /// Kind of the queues for commands.
        public var queueType: QueueType
        /// A message that came back this often is parked.
        public var deliveryLimit: Int

        init(_ reader: SettingsReader) {
            transportURL =
                reader.secret(
                    "transport_url", default: "rabbit://guest:guest@127.0.0.1:5672/",
                    "The broker as oslo.messaging writes it, several hosts for a cluster: "
                        + "`rabbit://user:password@host1:5672,user:password@host2:5672/vhost`; `rabbits://` for TLS.")
                ?? Secret("")
            exchange = reader.text("exchange", default: "updraft", "Topic exchange of the suite; declared if missing.")
            tls = reader.section("tls", "TLS to the broker, in effect when the URL says `rabbits://`.", TLS.init)
            heartbeat = reader.interval(
                "heartbeat", default: .seconds(30), in: .seconds(1) ... .minutes(10),
                "Heartbeat; a silent broker is given up after twice this.")
            connectTimeout = reader.interval(
                "connect_timeout", default: .seconds(10), in: .milliseconds(100) ... .minutes(5),
                "For connecting, the handshake, and each declaration.")
            keys = reader.list(
                "keys",
                "HMAC keys for commands. With any, each command is signed by the first, and an unsigned, altered, "
                    + "replayed or too old one is refused and parked. To rotate: add the new key everywhere as second, then "
                    + "make it first, then drop the old one.", Key.init)
            maximumAge = reader.interval(
                "max_age", default: .minutes(15), in: .seconds(1) ... .minutes(1_440),
                "A signed command older than this is refused; clocks should agree to well within it.")
            maximumMessageBytes = reader.bytes(
                "max_message", default: 4 << 20, in: 64 << 10...128 << 20,
                "A larger message is neither sent nor read: it is parked without its body.")
            queueType = reader.choice(
                "queue_type", default: .quorum,
                "Queues for commands. `classic` suits a broker of one node for trying things.")
            deliveryLimit = reader.count(
                "delivery_limit", default: 20, in: 1...1_000,
                "A message that came back this often is parked in `updraft.dead`.")
            if Set(keys.map(\.id)).count < keys.count {
                reader.mistake("keys", "uses an id twice", allowed: "an id of its own for each key")
            }
        }
    }
}
