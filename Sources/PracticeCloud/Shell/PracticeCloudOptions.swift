import JSONReader
import Support

/// How a practice cloud is to be.
public struct PracticeCloudOptions: Sendable {
    /// Files (`practice.json`, `kubeconfig`, `clouds.yaml`) are written here.
    public var stateDirectory: String?
    /// First of six ports on loopback; nil: any free ones.
    public var firstPort: UInt16?
    /// Where Heat's notifications go (`rabbit://…`); nil: nowhere.
    public var transportURL: String?
    var settings = PracticeSettings()

    /// One stack `k8s` with one group `workers` of one m1.large, at the pace that was recorded.
    public init() {}

    /// All of Heat's and the machines' times are multiplied by it: 0.1 is ten times as fast as recorded.
    public var pace: Double {
        get { settings.pace }
        set { settings.pace = min(max(newValue, 0.001), 1_000) }
    }

    /// From an ACTIVE server to its Node object, before `pace`.
    public var boot: Interval {
        get { settings.kubelets.boot }
        set { settings.kubelets.boot = newValue }
    }

    /// Equal seeds give equal ids and names.
    public var seed: UInt64 {
        get { settings.seed }
        set { settings.seed = newValue }
    }

    /// Which Kubernetes 1.N is played.
    public var kubernetesMinor: Int {
        get { settings.kubernetesMinor }
        set { settings.kubernetesMinor = newValue }
    }

    /// How long Keystone's tokens live.
    public var tokenLifetime: Interval {
        get { settings.tokenLifetime }
        set { settings.tokenLifetime = newValue }
    }

    /// The stacks at the start, as JSON: `[{"name","groups":[{"resource","desired","min","max","flavor","labels",
    /// "taints","pre_delete_hook","policies",…}],"timeout_mins","tags"}]`. An unusable one is an error that says why.
    public mutating func setStacks(_ json: JSONValue) throws(PracticeCloudError) {
        var stacks: [StackDefinition] = []
        for entry in json.arrayValue ?? [] {
            do throws(ControlFailure) {
                stacks.append(try StackDefinition(json: entry))
            } catch {
                throw PracticeCloudError(.configuration, error.message)
            }
        }
        guard !stacks.isEmpty else {
            throw PracticeCloudError(.configuration, "stacks: an array of at least one stack")
        }
        settings.stacks = stacks
    }

    /// The first group of the first stack.
    var group: GroupDefinition {
        get { settings.stacks.first?.groups.first ?? GroupDefinition() }
        set {
            if settings.stacks.isEmpty { settings.stacks = [StackDefinition(name: "k8s", groups: [newValue])] }
            if settings.stacks[0].groups.isEmpty {
                settings.stacks[0].groups = [newValue]
            } else {
                settings.stacks[0].groups[0] = newValue
            }
        }
    }

    /// Size and limits of the first group.
    public mutating func setGroup(minimum: Int, desired: Int, maximum: Int, flavor: String = "m1.large") {
        var changed = group
        changed.minimum = max(0, minimum)
        changed.maximum = max(changed.minimum, maximum)
        changed.desired = min(max(desired, changed.minimum), changed.maximum)
        changed.flavor = flavor
        group = changed
    }
}

/// Why a practice cloud does not come up.
public struct PracticeCloudError: Error, Sendable, CustomStringConvertible {
    /// The kind.
    public enum Code: Sendable {
        /// An option or the configuration is unusable.
        case configuration
        /// A port cannot be had.
        case network
        /// A file cannot be written or read.
        case file
        /// The broker's address is unusable.
        case broker
    }

    /// The kind.
    public let code: Code
    /// What exactly.
    public let description: String
    /// A port may be free later; nothing else changes by itself.
    public var isRetriable: Bool { code == .network }

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
