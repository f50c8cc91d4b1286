import Support

extension Settings {
    /// `kubernetes`: where the API is, and how to talk to it.
    public struct Kubernetes: Sendable, Hashable {
        /// A kubeconfig file; nil: `KUBECONFIG`, `~/.kube/config`, or the pod's own account.
        public var kubeconfig: String?
        /// A context of it; nil: the current one.
        public var context: String?
        /// Use the pod's own account.
        public var inCluster: Bool
        /// Objects per page of a list.
        public var pageSize: Int
        /// For one request that is not a watch.
        public var requestTimeout: Interval
        /// Requests at once.
        public var maximumInFlight: Int

        init(_ reader: SettingsReader) {
            kubeconfig = reader.path(
                "kubeconfig", "A kubeconfig file. Without it: `KUBECONFIG`, the pod's own account, `~/.kube/config`.")
            context = reader.text("context", "A context of the kubeconfig; without it the current one.")
            inCluster = reader.flag("in_cluster", default: false, "Use the pod's own account, whatever else is there.")
            pageSize = reader.count("page_size", default: 500, in: 10...10_000, "Objects per page of a list.")
            requestTimeout = reader.interval(
                "request_timeout", default: .seconds(30), in: .seconds(1) ... .minutes(10),
                "For one request but watches.")
            maximumInFlight = reader.count("max_in_flight", default: 64, in: 1...1_000, "Requests at once.")
            if inCluster, kubeconfig != nil {
                reader.mistake("in_cluster", "contradicts kubeconfig", allowed: "one of them")
            }
        }
    }

    /// `openstack`: the cloud whose Heat is driven.
    public struct OpenStack: Sendable, Hashable {
        /// Which of the catalogue's endpoints.
        public enum Interface: String, Sendable, CaseIterable {
            case `public`, `internal`, admin
        }

        /// A cloud of `clouds.yaml`; nil: `OS_CLOUD`, or the `OS_*` variables themselves.
        public var cloud: String?
        /// A `clouds.yaml`; nil: the usual places.
        public var cloudsFile: String?
        /// A region; nil: the cloud's.
        public var region: String?
        /// Which endpoints; nil: the cloud's, else public.
        public var interface: Interface?
        /// For one request.
        public var requestTimeout: Interval

        init(_ reader: SettingsReader) {
            cloud = reader.text("cloud", "A cloud of `clouds.yaml`; without it `OS_CLOUD`, or the `OS_*` variables.")
            cloudsFile = reader.path(
                "clouds_file",
                "A `clouds.yaml`; without it the usual places: `.`, `~/.config/openstack`, `/etc/openstack`.")
            region = reader.text("region", "Region; without it the cloud's.")
            interface = reader.field(
                "interface", "public, internal, admin", default: nil, shown: "",
                "Which endpoints of the catalogue; without it the cloud's, else public."
            ) { node throws(SettingsReader.Refusal) in
                let text = try SettingsReader.text(node)
                guard let interface = Interface(rawValue: text) else {
                    throw SettingsReader.Refusal("is \(SettingsReader.quoted(text))")
                }
                return interface
            }
            requestTimeout = reader.interval(
                "request_timeout", default: .seconds(60), in: .seconds(1) ... .minutes(10), "For one request.")
        }
    }
}
