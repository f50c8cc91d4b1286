import Support

extension Settings.Collector {
    /// `collector.stats`: usage of nodes, pods and containers.
    public struct Stats: Sendable, Hashable {
        /// Where the numbers come from.
        public enum Source: String, Sendable, CaseIterable {
            case auto, metricsResource = "metrics_resource", statsSummary = "stats_summary", cadvisor
            case metricsAPI = "metrics_api"
        }

        /// How the kubelets are reached.
        public enum Route: String, Sendable, CaseIterable {
            case apiserver, kubelet
        }

        /// Whether usage is collected at all.
        public var enabled: Bool
        /// Time between two readings of a node.
        public var interval: Interval
        /// Time between two readings that also hold network and file systems; nil: never.
        public var detailsInterval: Interval?
        /// Where the numbers come from.
        public var source: Source
        /// How the kubelets are reached.
        public var through: Route
        /// For one node.
        public var timeout: Interval
        /// Nodes asked at once.
        public var parallel: Int
        /// Whether `pod.stats` holds containers.
        public var containers: Bool

        init(_ reader: SettingsReader) {
            enabled = reader.flag(
                "enabled", default: true, "Whether usage of nodes, pods and containers is collected.")
            interval = reader.interval(
                "interval", default: .seconds(15), in: .seconds(1) ... .minutes(60),
                "Time between two readings of a node. The nodes are asked one after the other, spread over it.")
            let details = reader.interval(
                "details_interval", default: .minutes(1), in: .zero ... .minutes(60),
                "How often `/stats/summary` is asked for instead of `/metrics/resource`: it also holds network and file "
                    + "systems, and costs the kubelet more. `0s`: never.")
            detailsInterval = details == .zero ? nil : details
            source = reader.choice(
                "source", default: .auto,
                "Which page of the kubelet: `/metrics/resource`, `/stats/summary`, `/metrics/cadvisor`; or "
                    + "`metrics.k8s.io` of the API server (metrics-server). `auto` takes the first that it has.")
            through = reader.choice(
                "through", default: .apiserver,
                "`apiserver` asks through its proxy (right `nodes/proxy`); `kubelet` asks port 10250 of the node.")
            timeout = reader.interval(
                "timeout", default: .seconds(10), in: .milliseconds(100) ... .minutes(5), "For one node.")
            parallel = reader.count("parallel", default: 16, in: 1...512, "Nodes asked at once.")
            containers = reader.flag(
                "containers", default: false,
                "Whether `updraft.pod.stats` holds each container's use, also where no scaler looks at it. Ceilometer and Gnocchi get it "
                    + "anyway.")
        }
    }
}
