import Messages
import Support
import YAML

/// The one configuration of the suite: every service reads the same file and takes what concerns it.
///
/// Sources, later ones win: defaults, the YAML file, the environment (`UPDRAFT_LOG_LEVEL` for `log.level`), `--set`.
public struct Settings: Sendable, Hashable {
    /// The cluster that this installation looks after; part of every routing key.
    public var cluster: String
    /// How long a service may take to leave when it is told to.
    public var shutdownTimeout: Interval
    /// The broker.
    public var bus: Bus
    /// The Kubernetes API.
    public var kubernetes: Kubernetes
    /// The OpenStack cloud.
    public var openstack: OpenStack
    /// The node groups.
    public var groups: [Group]
    /// Pod scalers, besides the `PodScaler` objects of the cluster.
    public var podScalers: [PodScaler]
    /// The Collector's.
    public var collector: Collector
    /// The Decider's.
    public var decider: Decider
    /// The Actuator's.
    public var actuator: Actuator
    /// The Notifier's.
    public var notifier: Notifier
    /// The log.
    public var log: Log
    /// The health server.
    public var health: Health
    /// What is no mistake for the program that this was read for, but one for another if that reads the same: told at the start.
    public internal(set) var warnings: [SettingsMistake] = []

    init(_ reader: SettingsReader) {
        cluster = reader.identifier(
            "cluster",
            "Name of the cluster; part of every routing key and queue name. Two clusters may share a broker. Where statistics go to "
                + "Ceilometer or Gnocchi it must be unique in the cloud, among all its tenants: the ids of resources are made of it."
        )
        shutdownTimeout = reader.interval(
            "shutdown_timeout", default: .seconds(20), in: .seconds(1) ... .minutes(10),
            "A service that is told to stop finishes what is in hand within this; then it leaves anyway.")
        bus = reader.section("bus", "RabbitMQ.", Bus.init)
        kubernetes = reader.section("kubernetes", "The Kubernetes API.", Kubernetes.init)
        openstack = reader.section(
            "openstack",
            "The OpenStack cloud: for the Actuator, and for a Collector that writes to Gnocchi or reads it. Without `cloud`, the `OS_*` variables count.",
            OpenStack.init)
        groups = reader.list(
            "groups",
            "The node groups: each an AutoScalingGroup of a Heat stack (or a ResourceGroup, which only grows).",
            Group.init)
        podScalers = reader.list(
            "pod_scalers",
            "Pod scalers besides the `PodScaler` objects of the cluster; of two with one namespace and name the object counts.",
            Self.podScaler)
        collector = reader.section("collector", "The Collector.", Collector.init)
        decider = reader.section("decider", "The Decider.", Decider.init)
        actuator = reader.section("actuator", "The Actuator.", Actuator.init)
        notifier = reader.section("notifier", "The Notifier.", Notifier.init)
        log = reader.section("log", "The log: JSON lines on standard error.", Log.init)
        health = reader.section("health", "`/healthz`, `/readyz` and `/metrics` of each service.", Health.init)
        Self.checkGroups(groups, reader)
        Self.checkScalers(podScalers, reader)
        Self.checkBudgets(decider.scaleDown.budgets, groups, reader)
        Self.checkRules(decider.rules, groups, reader)
        let deaf = Self.deafRules(decider.rules, collector)
        // What is heard is the Collector's, and may be said in its environment alone: the others cannot know. Nor can one that
        // reads a single node, which hears nothing.
        if let program = reader.log.program, reader.log.isStandIn || program != "collector" || collector.node != nil {
            warnings = deaf
        } else {
            reader.log.mistakes += deaf
        }
    }

    private static func checkGroups(_ groups: [Group], _ reader: SettingsReader) {
        var seen: Set<String> = []
        for group in groups where !group.id.isEmpty && !seen.insert(group.id).inserted {
            reader.mistake("groups", "the id \"\(group.id)\" is used twice", allowed: "an id of its own for each group")
        }
        // One parameter for two groups of a stack: each change of the one would be a change of the other.
        var parameters: Set<[String]> = []
        for group in groups
        where !group.stack.isEmpty && !parameters.insert([group.stack, group.sizeParameter]).inserted {
            reader.mistake(
                "groups", "the stack \"\(group.stack)\" is given twice with the parameter \"\(group.sizeParameter)\"",
                allowed: "a desired_parameter of its own for each group of a stack")
        }
    }

    private static func checkScalers(_ scalers: [PodScaler], _ reader: SettingsReader) {
        var seen: Set<String> = []
        for scaler in scalers where !scaler.name.isEmpty && !seen.insert(scaler.id).inserted {
            reader.mistake(
                "pod_scalers", "\"\(scaler.id)\" is used twice", allowed: "a name of its own for each in a namespace")
        }
    }

    private static func checkBudgets(
        _ budgets: [Decider.ScaleDown.Budget], _ groups: [Group], _ reader: SettingsReader
    ) {
        for (index, budget) in budgets.enumerated() {
            guard let group = budget.group, group != "*", !groups.contains(where: { $0.id == group }) else { continue }
            reader.log.mistakes.append(
                SettingsMistake(
                    origin: budget.groupOrigin ?? "", path: "decider.scale_down.budgets[\(index)].group",
                    what: "there is no group \(SettingsReader.quoted(group))",
                    allowed: (groups.map(\.id) + ["*"]).joined(separator: ", ")))
        }
    }

    private static func checkRules(_ rules: [Decider.Rule], _ groups: [Group], _ reader: SettingsReader) {
        for (index, rule) in rules.enumerated() {
            guard !rule.group.isEmpty, !groups.contains(where: { $0.id == rule.group }) else { continue }
            reader.log.mistakes.append(
                SettingsMistake(
                    origin: rule.groupOrigin ?? "", path: "decider.rules[\(index)].group",
                    what: "there is no group \(SettingsReader.quoted(rule.group))",
                    allowed: groups.map(\.id).joined(separator: ", ")))
        }
    }

    /// A rule on what nobody hears would never act, and a `hold` never hold, without a word.
    private static func deafRules(_ rules: [Decider.Rule], _ collector: Collector) -> [SettingsMistake] {
        var deaf: [SettingsMistake] = []
        for (index, rule) in rules.enumerated() {
            let wrong: (field: String, what: String, allowed: String)
            if rule.alarm != nil {
                guard !collector.alarms.enabled, collector.signals.listen == nil else { continue }
                wrong = (
                    "alarm", "no alarms are heard",
                    "one with collector.alarms.enabled (Aodh's) or collector.signals.listen (those that are posted)"
                )
            } else if let metric = rule.metric, rule.source == .hypervisor {
                if !collector.hypervisor.enabled {
                    wrong = ("source", "hypervisors are not heard", "it with collector.hypervisor.enabled")
                } else if !collector.hypervisor.meters.contains(metric) {
                    wrong = (
                        "metric", "\(SettingsReader.quoted(metric)) is not among collector.hypervisor.meters",
                        collector.hypervisor.meters.joined(separator: ", ")
                    )
                } else {
                    continue
                }
            } else {
                continue
            }
            deaf.append(
                SettingsMistake(
                    origin: rule.conditionOrigin ?? "", path: "decider.rules[\(index)].\(wrong.field)",
                    what: wrong.what, allowed: wrong.allowed))
        }
        return deaf
    }

    /// Reads and checks everything.
    ///
    /// - Parameters:
    ///   - file: the YAML file; nil for none (then environment and flags must say all that is required).
    ///   - environment: variables; those that start with `UPDRAFT_` and name a field override it.
    ///   - flags: `a.b=c` as given to `--set`, the last wins.
    ///   - program: the service that reads it (`decider`), or `command`. Secrets in files and variables that only other services
    ///     have use for are then not looked for: each holds only its own; and what only the Collector can know is a warning for
    ///     the others. Nil: all are looked for, all is a mistake.
    ///   - isStandIn: it is read by a command that needs the secrets of `program`, but does not know its environment and flags:
    ///     what only that one can know is a warning.
    public static func load(
        file: String?, environment: [String: String] = [:], flags: [String] = [], for program: String? = nil,
        isStandIn: Bool = false
    ) throws(SettingsErrors) -> Settings {
        var root = SettingNode(.scalar(YAMLScalar(text: "")), file: file ?? "configuration")
        var mistakes: [SettingsMistake] = []
        if let file {
            do throws(YAMLError) {
                root = SettingNode(try YAML.load(file: file), file: file)
            } catch {
                let origin = error.position.map { "\(file):\($0.line)" } ?? file
                throw SettingsErrors([SettingsMistake(origin: origin, path: "", what: error.what)])
            }
        }
        mistakes += Overrides.apply(environment: environment, to: &root)
        mistakes += Overrides.apply(flags: flags, to: &root)
        let folder = file.flatMap { name in name.lastIndex(of: "/").map { String(name[..<$0]) } } ?? ""
        let log = SettingsReader.Log(
            folder: folder, isDescribing: false, environment: environment, program: program, isStandIn: isStandIn)
        let settings = SettingsReader(root: root, log: log).root(Settings.init)
        mistakes = log.mistakes + mistakes
        guard mistakes.isEmpty else { throw SettingsErrors(mistakes) }
        return settings
    }
}
