import Messages
import Support

extension Settings.Decider {
    /// `decider.pods`: how pod scalers are looked at, whatever each of them says.
    public struct Pods: Sendable, Hashable {
        /// Whether pods are scaled at all.
        public var enabled: Bool
        /// How often scalers are looked at.
        public var interval: Interval
        /// Older stats count as missing.
        public var statMaximumAge: Interval
        /// For so long after its start CPU use of a pod that is not ready is left out.
        public var cpuInitialization: Interval
        /// A pod that became unready within this after its start was never ready.
        public var initialReadinessDelay: Interval

        init(_ reader: SettingsReader) {
            enabled = reader.flag(
                "enabled", default: true,
                "Whether pod scalers (`PodScaler` objects and `pod_scalers`) are served.")
            interval = reader.interval(
                "interval", default: .seconds(5), in: .seconds(1) ... .minutes(10),
                "How often scalers are looked at when nothing but stats changes.")
            statMaximumAge = reader.interval(
                "stat_max_age", default: .seconds(60), in: .seconds(5) ... .minutes(60),
                "Older stats count as missing: nothing shrinks by them. At least twice `collector.stats.interval`; of `disk`, `received` "
                    + "and `sent` at least twice `collector.stats.details_interval`.")
            cpuInitialization = reader.interval(
                "cpu_initialization", default: .minutes(5), in: .zero ... .minutes(60),
                "For so long after its start CPU use of a pod that is not ready is left out, as with "
                    + "`--horizontal-pod-autoscaler-cpu-initialization-period`.")
            initialReadinessDelay = reader.interval(
                "initial_readiness_delay", default: .seconds(30), in: .zero ... .minutes(10),
                "A pod that became unready within this after its start was never ready, as with "
                    + "`--horizontal-pod-autoscaler-initial-readiness-delay`.")
        }
    }
}

extension Settings {
    /// Reads an item of `pod_scalers`: what a `PodScaler` object says, for clusters without the CRD.
    static func podScaler(_ reader: SettingsReader) -> PodScaler {
        let namespace = reader.text("namespace", default: "default", "Namespace of the targets and their pods.")
        var scaler = PodScaler(
            namespace: namespace, name: reader.identifier("name", "Its name in the ledger."), origin: .configuration,
            maximum: 1)
        scaler.target = reader.section("target", "The workload whose replicas change.") { reader in
            let kind = reader.text("kind", default: "Deployment", "e.g. `Deployment`, `ReplicationController`.")
            let version = reader.text(
                "api_version", default: "apps/v1", "e.g. `apps/v1`; `v1` for ReplicationControllers.")
            let name = reader.text("name", "Its name; without it `target_selector` finds the workloads.")
            return name.map { TargetReference(apiVersion: version, kind: kind, name: $0) }
        }
        scaler.targetSelector = selector(
            reader.texts(
                of: "target_selector", "Labels of the workloads whose replicas may change: of several the largest is."))
        scaler.monitorSelector = selector(
            reader.texts(
                of: "monitor_selector",
                "Labels of the pods that are measured and counted; without it those of the targets."))
        scaler.minimum = reader.count(
            "min", default: 1, in: 0...1_000_000, "Fewest replicas over the pods monitored; 0: it may idle.")
        scaler.maximum = reader.count("max", default: 10, in: 1...1_000_000, "Most replicas over the pods monitored.")
        scaler.enabled = reader.flag("enabled", default: true, "Whether it scales.")
        scaler.pause = reader.choice("pause", default: PodScaler.Pause.none, "Which direction is stopped.")
        scaler.dryRun = reader.flag("dry_run", default: false, "Everything is worked out and told, nothing is changed.")
        scaler.fallback = reader.count(
            "fallback", in: 0...1_000_000,
            "When no stat can be had for longer than `decider.pods.stat_max_age`, replicas are raised to this.")
        scaler.intentions = reader.list("intentions", "Thresholds that say what shall hold.", intention)
        scaler.values = reader.list("values", "Thresholds with a step.", valueThreshold)
        let sources = reader.list(
            "sources",
            "Where external stats of its own come from: Gnocchi and Aodh (`collector.openstack_stats`), or the metrics APIs of the cluster.",
            statSource)
        scaler.sources = sources.isEmpty ? nil : sources
        scaler.scaleUp = reader.section("scale_up", "How fast it may grow.") { rules($0, .up) }
        scaler.scaleDown = reader.section("scale_down", "How fast it may shrink.") { rules($0, .down) }
        if let problem = scaler.problem {
            reader.mistake("name", "is no scaler that can be used: \(problem.detail)")
        }
        return scaler
    }

    private static func selector(_ labels: [String: String]) -> LabelSelector? {
        labels.isEmpty
            ? nil : LabelSelector(labels.sorted { $0.key < $1.key }.map { Requirement($0.key, .in, [$0.value]) })
    }

    private static let statWords =
        "`cpu` (thousandths of a core), `memory`, `disk` (bytes), `received`, `sent` (bytes a second), or a stat by its own name."

    private static func intention(_ reader: SettingsReader) -> Intention {
        let stat = reader.requiredText("stat", statWords)
        let isExternal = reader.flag(
            "external", default: false, "Whether it is a value of its own rather than of each pod.")
        let container = reader.text(
            "container", "The container of each pod whose `cpu` or `memory` it is; without it that of the whole pod.")
        let percent = reader.count(
            "utilization", in: 1...1_000_000, "Percent of what the pods request; for `cpu` and `memory`.")
        let average = reader.number("average", in: 0...1e18, "The average over the pods (or replicas).")
        let total = reader.number("value", in: 0...1e18, "The whole, of an external stat.")
        if [percent != nil, average != nil, total != nil].count(where: { $0 }) != 1 {
            reader.mistake("stat", "has none or several goals", allowed: "one of utilization, average and value")
        }
        let goal: Intention.Goal =
            percent.map { Intention.Goal.utilization($0) } ?? average.map { Intention.Goal.average($0) }
            ?? Intention.Goal.total(total ?? 0)
        return Intention(stat: stat, isExternal: isExternal, container: container, goal: goal)
    }

    private static func valueThreshold(_ reader: SettingsReader) -> ValueThreshold {
        let stat = reader.requiredText("stat", statWords)
        let isExternal = reader.flag(
            "external", default: false, "Whether it is a value of its own rather than of each pod.")
        let isUtilization = reader.flag(
            "utilization", default: false, "Compared is the percent of what the pods request.")
        let comparison = reader.choice(
            "comparison", default: ValueThreshold.Comparison.above, "How the stat is compared with the value.")
        let value = reader.number("value", default: 0, in: -1e18...1e18, "What the stat is compared with.")
        let duration = reader.interval(
            "duration", default: .seconds(30), in: .zero ... .minutes(1_440), "How long it has to hold.")
        let step = reader.field(
            "increment", "whole number or percent, with sign (`2`, `-1`, `50%`, `-10%`)",
            default: ValueThreshold.Step.replicas(1),
            shown: "1", "By how much replicas change."
        ) { node throws(SettingsReader.Refusal) in
            let text = try SettingsReader.text(node)
            guard let step = ValueThreshold.Step(text) else {
                throw SettingsReader.Refusal("is \(SettingsReader.quoted(text))")
            }
            return step
        }
        return ValueThreshold(
            stat: stat, isExternal: isExternal, isUtilization: isUtilization, comparison: comparison, value: value,
            duration: duration, step: step)
    }

    private static func statSource(_ reader: SettingsReader) -> StatSource {
        let stat = reader.requiredText(
            "stat", "Its name, as thresholds name it: with `external`, but for those of `pods`.")
        let maximumAge = reader.interval(
            "max_age", in: .seconds(5) ... .minutes(1_440),
            "Older values count as missing; without it `decider.pods.stat_max_age`, and of a metric at least two granules and a minute."
        )
        let metric = reader.section("gnocchi", "A metric of Gnocchi. Or:", gnocchiPlace)
        let alarm = reader.section("alarm", "An alarm of Aodh. Or:", alarmPlace)
        let isOfCluster = reader.node("kubernetes") != nil
        let cluster = reader.section(
            "kubernetes",
            "A metric that HorizontalPodAutoscalers of the cluster may have as well, of the scaler's namespace."
        ) { kubernetesPlace($0, isGiven: isOfCluster) }
        let places = [
            metric.map { StatSource.Place.gnocchi($0) }, alarm.map { .alarm($0) }, cluster.map { .kubernetes($0) },
        ].compactMap { $0 }
        // Without its metric it is a mistake already.
        let isIncomplete = isOfCluster && cluster == nil
        if places.count != 1 && !isIncomplete {
            reader.mistake(
                "stat", "has no source, or more than one",
                allowed: "one of gnocchi.metric, alarm.id or alarm.name, and kubernetes.metric")
        }
        return StatSource(stat: stat, place: places.first ?? .alarm(AlarmPlace(name: stat)), maximumAge: maximumAge)
    }

    private static func kubernetesPlace(_ reader: SettingsReader, isGiven: Bool) -> KubernetesPlace? {
        let metric = reader.text("metric", "Name of the metric.")
        if isGiven && reader.node("metric") == nil { reader.mistake("metric", "is missing", allowed: "text") }
        let hasObject = reader.node("object") != nil
        let labels = selector(reader.texts(of: "selector", "Labels of its series; without it all of them."))
        let object = reader.section(
            "object",
            "The object that it is of (`custom.metrics.k8s.io`, a HorizontalPodAutoscaler's `Object`); without it one of `external.metrics.k8s.io`, all series added up."
        ) { reader in
            let version = reader.text("api_version", default: "v1", "e.g. `v1`, `networking.k8s.io/v1`.")
            let kind = reader.text("kind", default: "Service", "e.g. `Service`, `Ingress`.")
            let name = reader.text("name", "Its name.")
            // Else it would be an external metric without a word.
            if hasObject && reader.node("name") == nil { reader.mistake("name", "is missing", allowed: "text") }
            return name.map { TargetReference(apiVersion: version, kind: kind, name: $0) }
        }
        let isOfPods = reader.flag(
            "pods", default: false,
            "Whether each pod has a value of its own (`custom.metrics.k8s.io`, a HorizontalPodAutoscaler's `Pods`): thresholds name the stat without `external`."
        )
        return metric.map { KubernetesPlace(metric: $0, selector: labels, object: object, isOfPods: isOfPods) }
    }

    private static func gnocchiPlace(_ reader: SettingsReader) -> GnocchiPlace? {
        let metric = reader.text("metric", "Name of the metric.")
        var place = GnocchiPlace(metric: metric ?? "")
        place.resourceType = reader.text("resource_type", default: "generic", "Type of the resource or resources.")
        place.resourceID = reader.text("resource_id", "The resource; without it those that `match` finds.")
        place.match = reader.texts(of: "match", "Attributes of the resources and the values that they must have.")
        place.granularity = reader.interval(
            "granularity", default: .seconds(60), in: .seconds(1) ... .minutes(1_440),
            "One that the metric's archive policy has.")
        place.aggregation = reader.text(
            "aggregation", default: "mean", "A method that the archive policy has: `mean`, `max`, `rate:mean`, `95pct`."
        )
        place.across = reader.choice(
            "across", default: GnocchiPlace.Across.mean, "How the values of several resources become one.")
        return metric == nil ? nil : place
    }

    private static func alarmPlace(_ reader: SettingsReader) -> AlarmPlace? {
        let place = AlarmPlace(
            id: reader.text("id", "Its id. Or:"),
            name: reader.text("name", "Its name, which no other alarm of the project has."),
            firing: reader.number("firing", default: 1, in: 0...1e18, "The value while it fires."),
            ok: reader.number("ok", default: 0, in: 0...1e18, "The value while all is well."),
            insufficientData: reader.number(
                "insufficient_data", in: 0...1e18, "The value while Aodh does not know; without it unknown."))
        return place.id == nil && place.name == nil ? nil : place
    }

    private static func rules(_ reader: SettingsReader, _ usual: ScalingRules) -> ScalingRules {
        var rules = usual
        rules.stabilization = reader.interval(
            "stabilization", default: usual.stabilization, in: .zero ... .seconds(3_600),
            "Recommendations of this long are looked at, and the most cautious counts.")
        rules.selection = reader.choice(
            "select", default: usual.selection, "Which policy counts; `Disabled`: no change in this direction.")
        rules.tolerance = reader.number(
            "tolerance", default: usual.tolerance, in: 0...100, "A ratio so close to 1 changes nothing.")
        let policies = reader.list(
            "policies", "At most so much within a period; without any HorizontalPodAutoscaler's defaults."
        ) { reader in
            ScalingRules.Policy(
                reader.choice("type", default: ScalingRules.Policy.Kind.pods, "What `value` counts."),
                reader.count("value", default: 4, in: 1...1_000_000, "How many."),
                per: reader.interval(
                    "period", default: .seconds(15), in: .seconds(1) ... .seconds(1_800), "Within this."))
        }
        if !policies.isEmpty { rules.policies = policies }
        return rules
    }
}
