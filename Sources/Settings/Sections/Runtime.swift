extension Settings {
    /// `log`.
    public struct Log: Sendable, Hashable {
        /// How much is said.
        public enum Level: String, Sendable, CaseIterable, Comparable {
            case debug, info, warning, error

            /// More urgent levels are greater.
            public static func < (left: Level, right: Level) -> Bool { left.order < right.order }

            private var order: Int {
                switch self {
                case .debug: 0
                case .info: 1
                case .warning: 2
                case .error: 3
                }
            }
        }

        /// Entries below it are left out.
        public var level: Level

        init(_ reader: SettingsReader) {
            level = reader.choice("level", default: .info, "Entries below this level are left out. `--log-level` wins.")
        }
    }

    /// `health`.
    public struct Health: Sendable, Hashable {
        /// Where the health server listens; nil: the service's own port on loopback.
        public var listen: ListenAddress?

        init(_ reader: SettingsReader) {
            listen = reader.listen(
                "listen",
                "Where each service serves its health pages. Without it loopback, port 9471 (collector), 9472 (decider), "
                    + "9473 (actuator), 9474 (notifier).")
        }
    }
}
