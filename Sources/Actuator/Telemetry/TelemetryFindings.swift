import OpenStack
import ServiceRuntime
import Support

/// What was seen of the way of statistics to Gnocchi, and of alarms back: by `updraft doctor telemetry`, and by the
/// Actuator when the canary stays away. Each is nil where it could not be looked at.
package struct TelemetryFindings: Sendable, Equatable {
    /// A look at Gnocchi.
    package struct Gnocchi: Sendable, Equatable {
        /// Why it cannot be reached.
        package var failure: String?
        /// Resource types of ours that are missing.
        package var missingTypes: [String] = []
        /// Attributes of ours that a type lacks.
        package var missingAttributes: [String] = []
        /// The finest granularity of the archive policy in seconds; nil: there is no such policy.
        package var finestSeconds: Double?
        package var policy = "kubernetes"
        /// Whether the cluster's resource exists.
        package var clusterExists = false
        /// Whose it is, if not that of the project that statistics are sent for; empty: of another one that is not told.
        package var otherProject: String?
        /// The canary's last value: when it was sent; nil: none was ever stored.
        package var canary: Timestamp?
        /// Granularity of the canary's measures in seconds.
        package var canarySeconds: Double?
        /// Meters that none of the newest resources of a kind has, although what they stand for has been measured for a while.
        package var missingMeters: [Meter] = []
        /// Metrics that keep coarser points than alarms of a minute need.
        package var coarseMeters: [Meter] = []
        /// Nodes that run and of which nothing has come for a while.
        package var silentNodes: [SilentNode] = []

        /// From its parts.
        package init(
            failure: String? = nil, missingTypes: [String] = [], missingAttributes: [String] = [],
            finestSeconds: Double? = nil, policy: String = "kubernetes", clusterExists: Bool = false,
            canary: Timestamp? = nil, canarySeconds: Double? = nil
        ) {
            self.failure = failure
            self.missingTypes = missingTypes
            self.missingAttributes = missingAttributes
            self.finestSeconds = finestSeconds
            self.policy = policy
            self.clusterExists = clusterExists
            self.canary = canary
            self.canarySeconds = canarySeconds
        }
    }

    /// A meter of a resource.
    package struct Meter: Sendable, Equatable {
        /// `kubernetes.node.cpu.usage`.
        package var name: String
        /// Of which resource it was looked for: `node worker-1`.
        package var resource: String
        /// Whether every kubelet tells it; else it may be that this one does not.
        package var isCertain: Bool
        /// The archive policy's name, and its finest granularity in seconds, if the metric exists.
        package var policy: String?
        package var seconds: Double?

        /// From its parts.
        package init(
            name: String, resource: String, isCertain: Bool = true, policy: String? = nil, seconds: Double? = nil
        ) {
            self.name = name
            self.resource = resource
            self.isCertain = isCertain
            self.policy = policy
            self.seconds = seconds
        }
    }

    /// A node of which nothing comes.
    package struct SilentNode: Sendable, Equatable {
        /// Its name.
        package var name: String
        /// How old the newest measure of it is; nil: there was none within a day.
        package var age: Interval?

        /// From its parts.
        package init(name: String, age: Interval?) {
            self.name = name
            self.age = age
        }
    }

    /// The cloud's broker.
    package var broker: TelemetryBroker?
    /// Gnocchi.
    package var gnocchi: Gnocchi?
    /// What the login is made by.
    package var delegation: Delegation?
    /// The Collector's login of its own; nil: there is none, or it was not looked at.
    package var writer: Writer?
    /// Whether statistics go to Ceilometer (or to Gnocchi directly).
    package var viaCeilometer = true
    /// Whether alarms are to be heard.
    package var wantsAlarms = false
    /// Whether Aodh keeps the history of alarms, if that could be read.
    package var alarmHistory: History?
    /// Time between two canaries.
    package var interval = Interval.minutes(1)

    /// Nothing seen yet.
    package init() {}

    /// What alarms and their history tell of `record_history`.
    package struct History: Sendable, Equatable {
        /// Alarms whose history holds their last change.
        package var kept: Int
        /// Alarms with a state that their history does not know of.
        package var missing: Int

        /// From its parts.
        package init(kept: Int, missing: Int) {
            self.kept = kept
            self.missing = missing
        }
    }

    /// The login that the Collector writes to Gnocchi with.
    package struct Writer: Sendable, Equatable {
        /// What it is made by; nil: a password, or that may not be read.
        package var delegation: Delegation?
        /// Why Keystone refuses it.
        package var failure: String?
        /// Why it could not be tried from where this runs, which says nothing of the Collector.
        package var untried: String?

        /// From its parts.
        package init(delegation: Delegation? = nil, failure: String? = nil, untried: String? = nil) {
            self.delegation = delegation
            self.failure = failure
            self.untried = untried
        }

        /// What an error of the login means: only a refusal is the login's own.
        package init(_ error: OpenStackError) {
            self.init(
                failure: error.code == .unauthorized ? error.description : nil,
                untried: error.code == .unauthorized ? nil : error.description)
        }
    }

    /// One line of the doctor's answer.
    package struct Line: Sendable, Equatable {
        /// How bad it is.
        package enum Verdict: String, Sendable {
            case ok, warning, wrong
        }
        /// How bad it is.
        package var verdict: Verdict
        /// What was seen.
        package var text: String
        /// How to mend it.
        package var remedy: String?
    }

    /// What it means.
    package func lines(at now: Timestamp) -> [Line] {
        var lines: [Line] = []
        if let broker { add(broker, &lines) }
        if let gnocchi { add(gnocchi, now, &lines) }
        if let delegation, let word = ExpiryWatch.word(delegation, at: now) {
            lines.append(Line(verdict: word.isUrgent ? .wrong : .warning, text: word.text))
        }
        if let writer { add(writer, now, &lines) }
        return lines
    }

    private func add(_ broker: TelemetryBroker, _ lines: inout [Line]) {
        if let failure = broker.failure {
            lines.append(
                Line(
                    verdict: .wrong, text: "the cloud's broker cannot be reached: \(failure)",
                    remedy: "check collector.telemetry.transport_url, the user's rights, and the network"))
            return
        }
        if viaCeilometer {
            if !broker.exchangeExists {
                lines.append(
                    Line(
                        verdict: .wrong, text: "Ceilometer's exchange does not exist at this broker",
                        remedy:
                            "start ceilometer-agent-notification; or collector.telemetry.transport_url names another "
                            + "broker or virtual host than ceilometer.conf's transport_url or messaging_urls"))
            } else if let queue = broker.samples {
                if queue.consumers == 0 {
                    lines.append(
                        Line(
                            verdict: .wrong,
                            text: "nobody reads the queue notifications.sample (\(queue.messages) messages wait)",
                            remedy: "start ceilometer-agent-notification"))
                } else if queue.messages > 1_000 {
                    lines.append(
                        Line(
                            verdict: .warning, text: "\(queue.messages) messages wait in notifications.sample",
                            remedy:
                                "Ceilometer or Gnocchi is too slow: lower collector.telemetry.messages_per_second, leave "
                                + "containers out of collector.telemetry.resources, or give Ceilometer more workers"))
                } else {
                    lines.append(
                        Line(verdict: .ok, text: "ceilometer-agent-notification reads the queue notifications.sample"))
                }
            } else {
                lines.append(
                    Line(
                        verdict: .wrong,
                        text: "there is no queue notifications.sample: no ceilometer-agent-notification has "
                            + "run at this broker",
                        remedy: "start it; its [oslo_messaging_notifications] topics must hold 'notifications'"))
            }
        }
        guard wantsAlarms else { return }
        if let failure = broker.alarmFailure {
            lines.append(
                Line(
                    verdict: .wrong, text: "Aodh's broker cannot be reached: \(failure)",
                    remedy: "check collector.alarms.transport_url, the user's rights, and the network"))
        } else if !broker.alarmExchangeExists {
            lines.append(
                Line(
                    verdict: .wrong, text: "Aodh's exchange does not exist at its broker",
                    remedy:
                        "start Aodh; aodh.conf needs [oslo_messaging_notifications] driver = messagingv2; or "
                        + "collector.alarms.transport_url (without it collector.telemetry.transport_url) names another "
                        + "broker or virtual host than Aodh's"))
        }
        guard let alarmHistory, alarmHistory.kept + alarmHistory.missing > 0 else { return }
        guard alarmHistory.missing > 0 else {
            lines.append(Line(verdict: .ok, text: "Aodh keeps its alarms' history, and so tells the bus"))
            return
        }
        let isOff = alarmHistory.kept == 0
        lines.append(
            Line(
                verdict: isOff ? .wrong : .warning,
                text: isOff
                    ? "an alarm has changed and its history does not say so: record_history is off, and then Aodh tells the "
                        + "bus nothing (or it was off when it changed, or the alarm was made with a state)"
                    : "the history of \(alarmHistory.missing) of \(alarmHistory.kept + alarmHistory.missing) alarms lacks their last "
                        + "change: record_history is off now, or was then, and then Aodh tells the bus nothing",
                remedy:
                    "record_history = true in aodh.conf, then restart aodh-evaluator and aodh-api; if that is so already, the "
                    + "next change of an alarm shows it"))
    }

    private func add(_ writer: Writer, _ now: Timestamp, _ lines: inout [Line]) {
        if let failure = writer.failure {
            lines.append(
                Line(
                    verdict: .wrong, text: "the Collector's login for Gnocchi is refused: \(failure)",
                    remedy: "make another trust or application credential and put it into the clouds.yaml of "
                        + "collector.telemetry.clouds_file"))
        } else if let untried = writer.untried {
            lines.append(
                Line(
                    verdict: .warning,
                    text: "the Collector's login for Gnocchi could not be tried from here: \(untried)",
                    remedy:
                        "run this where the Collector runs, as its user; or see its log and updraft_telemetry_working"))
        } else if let delegation = writer.delegation, let word = ExpiryWatch.word(delegation, at: now) {
            lines.append(Line(verdict: word.isUrgent ? .wrong : .warning, text: "of the Collector: \(word.text)"))
        }
    }

    private func add(_ gnocchi: Gnocchi, _ now: Timestamp, _ lines: inout [Line]) {
        if let failure = gnocchi.failure {
            lines.append(
                Line(
                    verdict: .wrong, text: "Gnocchi cannot be asked: \(failure)",
                    remedy: "check the login (clouds.yaml, OS_*) and the catalogue's service 'metric'"))
            return
        }
        let setup = "run deploy/telemetry/gnocchi-setup as an administrator"
        for type in gnocchi.missingTypes {
            let remedy =
                type == "instance"
                ? "it is Ceilometer's: run ceilometer-upgrade, or leave instance out of collector.telemetry.resources"
                : setup
            lines.append(Line(verdict: .wrong, text: "Gnocchi has no resource type \(type)", remedy: remedy))
        }
        for attribute in gnocchi.missingAttributes {
            lines.append(
                Line(
                    verdict: .wrong, text: "a resource type lacks an attribute: \(attribute)",
                    remedy: "PATCH the type (docs/telemetry.md), or samples with it are dropped"))
        }
        if let finest = gnocchi.finestSeconds {
            lines.append(
                finest > 60
                    ? Line(
                        verdict: .warning,
                        text:
                            "the archive policy \(gnocchi.policy) keeps points of \(Int(finest)) s: too coarse for an alarm "
                            + "of a minute",
                        remedy:
                            "a policy cannot be changed for metrics that exist: make one of 60 s under another name and "
                            + "name it in kubernetes_resources.yaml (collector.telemetry.archive_policy for Gnocchi directly)"
                    )
                    : Line(verdict: .ok, text: "the archive policy \(gnocchi.policy) keeps points of \(Int(finest)) s"))
        } else {
            lines.append(
                Line(verdict: .wrong, text: "Gnocchi has no archive policy \(gnocchi.policy)", remedy: setup))
        }
        if let other = gnocchi.otherProject {
            lines.append(
                Line(
                    verdict: .wrong,
                    text:
                        "the cluster's resource belongs to \(other.isEmpty ? "another project" : "the project \(other)"), not to "
                        + "collector.telemetry.project_id",
                    remedy:
                        "has another tenant of this cloud a cluster of the same name? Both then write to the same resources: `cluster` "
                        + "must be unique in the cloud. If project_id was changed, delete the resources of the types kubernetes_* first"
                ))
        }
        addMeters(gnocchi, &lines)
        addCanary(gnocchi, now, &lines)
        addSilentNodes(gnocchi, now, &lines)
    }

    /// The canary is sent by the one replica that speaks for the cluster: it tells nothing of the others' ways. While it stays away
    /// itself, nobody's numbers need arrive.
    private func addSilentNodes(_ gnocchi: Gnocchi, _ now: Timestamp, _ lines: inout [Line]) {
        guard let canary = gnocchi.canary, CanaryWatch.ahead(canary, at: now) == nil,
            now - canary <= CanaryWatch.patience(interval), !gnocchi.silentNodes.isEmpty
        else { return }
        let named = gnocchi.silentNodes.prefix(5).map { node in
            "\(node.name) (\(node.age.map { "for \(Int($0.inSeconds)) s" } ?? "for a day"))"
        }.joined(separator: ", ")
        let more = gnocchi.silentNodes.count > 5 ? " and \(gnocchi.silentNodes.count - 5) more" : ""
        lines.append(
            Line(
                verdict: .warning, text: "canaries arrive, but nothing of nodes whose servers run: \(named)\(more)",
                remedy:
                    "does their kubelet answer (updraft_stats_scrapes_total, the log of the Collector), and with one Collector on each "
                    + "node, does it run there and get rid of its samples (updraft_telemetry_working)?"))
    }

    /// One line for all that lacks of one resource: a file that was not installed lacks many.
    private func addMeters(_ gnocchi: Gnocchi, _ lines: inout [Line]) {
        for isCertain in [true, false] {
            let some = gnocchi.missingMeters.filter { $0.isCertain == isCertain }
            for resource in Set(some.map(\.resource)).sorted() {
                let names = some.filter { $0.resource == resource }.map(\.name).joined(separator: ", ")
                lines.append(
                    Line(
                        verdict: isCertain ? .wrong : .warning, text: "\(resource) has no metric \(names)",
                        remedy: !viaCeilometer
                            ? "see updraft_telemetry_failures_total and the log of the Collector"
                            : (isCertain ? "" : "does its kubelet tell it (collector.stats.source)? Else ")
                                + "the meter is not declared: install kubernetes_resources.yaml of deploy/telemetry whole and "
                                + "restart ceilometer-agent-notification"))
            }
        }
        for policy in Set(gnocchi.coarseMeters.compactMap(\.policy)).sorted() {
            let some = gnocchi.coarseMeters.filter { $0.policy == policy }
            let names = some.map(\.name).joined(separator: ", ")
            lines.append(
                Line(
                    verdict: .warning,
                    text:
                        "metrics keep points of \(Int(some[0].seconds ?? 0)) s, by the archive policy \(policy): \(names)",
                    remedy:
                        "an alarm of a minute never gets a value: name a policy of 60 s in kubernetes_resources.yaml, and "
                        + "delete the metrics (openstack metric delete), so that they are made anew"))
        }
    }

    private func addCanary(_ gnocchi: Gnocchi, _ now: Timestamp, _ lines: inout [Line]) {
        guard let canary = gnocchi.canary else {
            // Nothing of another's resource is seen, and that has been said.
            guard gnocchi.otherProject == nil else { return }
            lines.append(
                Line(
                    verdict: .wrong, text: "no canary has ever arrived in Gnocchi",
                    remedy: !viaCeilometer
                        ? "see updraft_telemetry_failures_total and the log of the Collector"
                        : gnocchi.clusterExists
                            ? "the meter is not declared, or its archive policy is missing: look in "
                                + "ceilometer-agent-notification.log for 'is not handled by Gnocchi'; install "
                                + "kubernetes_resources.yaml and pipeline.yaml of deploy/telemetry and restart the agent"
                            : "the resource of the cluster is not there: is collector.telemetry.to set, is project_id this "
                                + "login's project and not 'service', and are kubernetes_resources.yaml and pipeline.yaml of "
                                + "deploy/telemetry installed (the agent reads them at its start only)? Or is it another tenant's, "
                                + "whose cluster has the same name: that must be unique in the cloud"))
            return
        }
        let age = now - canary
        if let ahead = CanaryWatch.ahead(canary, at: now) {
            lines.append(
                Line(
                    verdict: .wrong, text: "the last canary in Gnocchi was sent \(Int(ahead.inSeconds)) s after now",
                    remedy:
                        "a sender's clock is ahead (or the one here is behind): set the clocks of the Collectors' machines. Until "
                        + "that time has come it is not seen whether statistics arrive"))
        } else if age > CanaryWatch.patience(interval) {
            lines.append(
                Line(
                    verdict: .wrong, text: "the last canary in Gnocchi is \(Int(age.inSeconds)) s old",
                    remedy:
                        "is a Collector running, and ceilometer-agent-notification and gnocchi-metricd? Whether the "
                        + "Collector gets rid of its samples stands in updraft_telemetry_working"))
        } else {
            lines.append(
                Line(
                    verdict: .ok,
                    text: "the last canary arrived \(Int(max(0, age.inSeconds))) s after it was sent or sooner"))
        }
        if let step = gnocchi.canarySeconds, step > 60 {
            lines.append(
                Line(
                    verdict: .warning,
                    text: "the metrics that exist keep points of \(Int(step)) s: they were made with "
                        + "another archive policy",
                    remedy: "delete the metrics (openstack metric delete), so that they are made anew"))
        }
    }
}
