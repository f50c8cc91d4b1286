import Messages
import OpenStack
import Settings
import Support

/// A group as the doctor sees it: everything that was read, at one moment.
struct HeatPatient: Sendable {
    /// A Node of the cluster.
    struct Node: Sendable {
        var name: String
        var isReady: Bool
        var isCordoned: Bool
        var isControlPlane: Bool
        var serverID: String?
        var record: RemovalRecord?
        var recordMistake: String?
        /// Pods that a removal would move.
        var movedPods: Int
    }

    /// Another group of the same stack.
    struct Other: Sendable {
        var group: Settings.Group
        var snapshot: HeatGroupSnapshot
    }

    /// What Nova says of a server.
    enum Server: Sendable, Equatable {
        case status(String, fault: String?)
        case gone
    }

    /// A hook, or a software deployment, that holds a member.
    struct Hook: Sendable, Hashable {
        var member: String
        var resource: String
        var isDeployment = false
    }

    /// Whether a deletion waits for us.
    enum HookSetting: Sendable {
        case present
        case absent
        /// There is a hook, and members have no resource of that name: it never fires. With the resources that they have.
        case onNothing(hooked: [String], resources: [String])
        /// The environment cannot be read.
        case unknown(String)
    }

    var group: Settings.Group
    var snapshot: HeatGroupSnapshot
    /// The other groups of the same stack, which every update of it resizes as well.
    var others: [Other] = []
    /// By server id; servers of which Nova said nothing are left out.
    var servers: [String: Server] = [:]
    /// Nil without a kubeconfig.
    var nodes: [Node]?
    var hooks: Set<Hook> = []
    var hookSetting: HookSetting
    /// How long a drain may take with this configuration, cooldown included.
    var longestDrain: Interval
    var now: Timestamp

    /// The name of the parameter that sets the size.
    var parameter: String { group.sizeParameter }

    func node(of member: HeatMember) -> Node? {
        guard let serverID = member.serverID else { return nil }
        return nodes?.first { $0.serverID == serverID }
    }

    /// Why a member for which no Node was found may be one all the same, with pods: the Actuator lets none go then, and
    /// neither does the doctor. Nil: it is none.
    func mayBeNode(_ member: HeatMember) -> String? {
        guard let nodes else { return "whether it is a node cannot be seen without a kubeconfig" }
        guard node(of: member) == nil else { return nil }
        guard member.serverID != nil else { return "which server it is cannot be told, so its node is not known" }
        return nodes.filter { $0.serverID == nil && !$0.isControlPlane }.map(\.name).min().map {
            "it has no node, but node \($0) has no provider id and may be on it"
        }
    }

    /// Whether an update of the stack would take a live node along: a failed member that is one, or may be one, goes or is
    /// replaced with any update, of whichever group of the stack; and a group that a signal changes just now would be
    /// set back.
    var updateTakesNodes: Bool {
        if others.contains(where: \.snapshot.isChanging) { return true }
        return ([snapshot] + others.map(\.snapshot)).flatMap(\.members).contains { member in
            member.isFailed && member.serverID != nil && (node(of: member) != nil || mayBeNode(member) != nil)
        }
    }

    /// The longest that the Actuator may take from the cordon to the last pod: whatever cooldown any policy allows, or what
    /// load balancers get if that is longer (both count from the cordon), and then the drain.
    static func longestDrain(_ settings: Settings) -> Interval {
        let drain = settings.actuator.drain
        let before = max(settings.notifier.longestCooldown + .seconds(60), settings.actuator.loadBalancerWait)
        var longest = before + drain.timeout
        if drain.force == .afterDeadline { longest = longest + drain.forceTimeout }
        return longest
    }
}
