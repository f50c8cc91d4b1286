import Support

extension Settings.Collector {
    /// One entry of `collector.queues`: a queue whose depth and rates are stats for pod scalers.
    public struct Queue: Sendable, Hashable {
        /// How its stats begin.
        public var id: String
        /// Base URL of the management API.
        public var url: String
        /// Who asks.
        public var user: String
        /// The password.
        public var password: Secret
        /// Virtual host.
        public var vhost: String
        /// Name of the queue.
        public var queue: String
        /// For scalers of this namespace only; nil: for all.
        public var namespace: String?

        init(_ reader: SettingsReader) {
            id = reader.identifier("id", "How its stats begin: `ID.messages` and so on (docs/podscaler.md).")
            url = reader.requiredText(
                "url", "Base URL of RabbitMQ's management API, e.g. `http://rabbit:15672`.")
            user = reader.text(
                "user", default: "guest", "Who asks; the tag `monitoring` and the right to read the virtual host do.")
            password = reader.secret("password", default: "guest", "The password.") ?? Secret("")
            vhost = reader.text("vhost", default: "/", "Virtual host of the queue.")
            queue = reader.requiredText("queue", "Name of the queue.")
            namespace = reader.text("namespace", "For pod scalers of this namespace only; without it for all.")
            if !url.isEmpty, !url.hasPrefix("http://"), !url.hasPrefix("https://") {
                reader.mistake("url", "is no URL", allowed: "http://… or https://…")
            }
        }
    }
}
