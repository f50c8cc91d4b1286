import Messages
import Support

extension Settings {
    /// An item of `groups`: a node group on Heat.
    public struct Group: Sendable, Hashable {
        /// `template`: what a new node of the group looks like, as far as Heat's flavor does not say.
        public struct Template: Sendable, Hashable {
            /// What the machine has; zero: learned from the flavor or a node of the group.
            public var capacity: ResourceList
            /// What kubelet and system keep for themselves.
            public var reserved: ResourceList
            /// Labels that the nodes register with.
            public var labels: [String: String]
            /// Taints that the nodes register with.
            public var taints: [Taint]
            /// Zone label of the nodes.
            public var zone: String?
            /// Whether nodes that join without these labels and taints get them.
            public var isApplied: Bool

            init(_ reader: SettingsReader) {
                capacity = ResourceList(
                    cpuMillis: reader.cpuMillis("cpu", "CPU of a new node; without it the flavor's.") ?? 0,
                    memoryBytes: reader.quantity("memory", "Memory of a new node; without it the flavor's.") ?? 0,
                    ephemeralStorageBytes: reader.quantity(
                        "ephemeral_storage", "Local disk of a new node; without it the flavor's.") ?? 0,
                    pods: reader.quantity("pods", "Pods that a new node takes; without it 110.") ?? 0,
                    extended: reader.table(
                        "extended", "quantity", "Extended resources of a new node, e.g. `nvidia.com/gpu: 1`.",
                        parse: Quantity.units))
                labels = reader.texts(of: "labels", "Labels that the nodes of the group register with.")
                taints = reader.field(
                    "taints", "list of `key=value:Effect`, Effect one of NoSchedule, PreferNoSchedule, NoExecute",
                    default: [], shown: "[]", "Taints that the nodes of the group register with.", read: Self.taints)
                isApplied = reader.flag(
                    "apply", default: false,
                    "Give nodes that join the labels and taints above where they lack them; others' stay as they are. "
                        + "An Actuator that begins gives older nodes what they lack too, but for NoExecute.")
                zone = reader.text("zone", "The nodes' `topology.kubernetes.io/zone`.")
                reserved = reader.section(
                    "kube_reserved",
                    "What kubelet, system and static pods keep for themselves: capacity less this is allocatable."
                ) { reader in
                    ResourceList(
                        cpuMillis: reader.cpuMillis("cpu", "CPU kept.") ?? 0,
                        memoryBytes: reader.quantity("memory", "Memory kept, eviction threshold included.") ?? 0,
                        ephemeralStorageBytes: reader.quantity("ephemeral_storage", "Local disk kept.") ?? 0)
                }
            }

            static func taints(_ node: SettingNode) throws(SettingsReader.Refusal) -> [Taint] {
                guard case .list(let items) = node.content else {
                    throw SettingsReader.Refusal("is \(node.kind)")
                }
                var taints: [Taint] = []
                for item in items {
                    let text = try SettingsReader.text(item)
                    let parts = text.split(separator: ":", maxSplits: 1)
                    guard parts.count == 2, let effect = TaintEffect(rawValue: String(parts[1])) else {
                        throw SettingsReader.Refusal("has \(SettingsReader.quoted(text))")
                    }
                    let sides = parts[0].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    taints.append(
                        Taint(key: String(sides[0]), value: sides.count == 2 ? String(sides[1]) : "", effect: effect))
                }
                return taints
            }
        }

        /// Its name in decisions, metrics and logs.
        public var id: String
        /// Heat stack, by name or id.
        public var stack: String
        /// The group resource in it.
        public var resource: String
        /// The stack parameter that sets the size; nil: found in the template.
        public var desiredParameter: String?
        /// Smallest size.
        public var min: Int
        /// Largest size.
        public var max: Int
        /// For the `priority` expander: higher is preferred.
        public var priority: Int
        /// Price of a node per hour, in any unit that is the same for all groups; for the `price` expander.
        public var price: Double?
        /// A machine that is no ready node by then has failed.
        public var provisionTimeout: Interval
        /// Whether its size is zero or `max`, nothing between.
        public var zeroOrMax: Bool
        /// Instead of `decider.scale_down.utilization_threshold`.
        public var utilizationThreshold: Double?
        /// Instead of `decider.scale_down.gpu_utilization_threshold`.
        public var gpuUtilizationThreshold: Double?
        /// Instead of `decider.scale_down.unneeded_time`.
        public var unneededTime: Interval?
        /// Instead of `decider.scale_down.unready_time`.
        public var unreadyTime: Interval?
        /// What a new node looks like.
        public var template: Template

        /// The stack parameter that sets the size: the configured one, else that of the recommended template.
        public var sizeParameter: String { desiredParameter ?? "desired" }

        init(_ reader: SettingsReader) {
            id = reader.identifier("id", "Name of the group in decisions, metrics and logs.")
            stack = reader.requiredText("stack", "Heat stack, by name or id.")
            resource = reader.requiredText("resource", "The group resource in the stack, e.g. `workers`.")
            desiredParameter = reader.text(
                "desired_parameter",
                "Stack parameter that sets the size; without it `desired`, as in the recommended template. Each group of a "
                    + "stack needs its own.")
            min = reader.count("min", default: 0, in: 0...100_000, "Smallest size; kept even without pods.")
            max = reader.count("max", default: 10, in: 0...100_000, "Largest size.")
            priority = reader.count(
                "priority", default: 0, in: Int.min...Int.max, "For the `priority` expander: higher is preferred.")
            price = reader.number(
                "price", in: 0...1e15,
                "Price of a node per hour, in a unit that is the same for all groups; for the `price` expander.")
            provisionTimeout = reader.interval(
                "provision_timeout", default: .minutes(15), in: .seconds(1) ... .minutes(1_440),
                "A machine that is no ready node by then has failed: the group backs off and the machine is replaced.")
            zeroOrMax = reader.flag(
                "zero_or_max", default: false,
                "The group is empty or at its `max`, nothing between: for machines that are of use together only. It is not emptied "
                    + "again: Heat keeps a last member.")
            utilizationThreshold = reader.number(
                "utilization_threshold", in: 0...1, "Instead of `decider.scale_down.utilization_threshold`.")
            gpuUtilizationThreshold = reader.number(
                "gpu_utilization_threshold", in: 0...1, "Instead of `decider.scale_down.gpu_utilization_threshold`.")
            unneededTime = reader.interval("unneeded_time", "Instead of `decider.scale_down.unneeded_time`.")
            unreadyTime = reader.interval("unready_time", "Instead of `decider.scale_down.unready_time`.")
            template = reader.section(
                "template",
                "What a new node looks like. A ready node of the group is the better witness, then the last one that was, with "
                    + "what was changed here since it came, then the flavor; this fills what they do not say: needed for a group that can be empty (labels and taints of the "
                    + "group's new nodes among them: Heat knows none).",
                Template.init)
            if zeroOrMax, min != 0, min != max {
                reader.mistake("min", "is \(min), and the group is empty or at its max", allowed: "0 or \(max)")
            }
            if min > max { reader.mistake("min", "is \(min), above max \(max)", allowed: "min ≤ max") }
        }
    }
}
