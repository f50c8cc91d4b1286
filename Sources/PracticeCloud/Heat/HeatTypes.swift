import JSONReader
import Support

/// A stack as somebody describes it to the practice cloud: what a template and its environment say in life.
struct StackDefinition: Sendable {
    var name: String
    var groups: [GroupDefinition]
    /// Minutes until an action that does not end has failed (`timeout_mins`).
    var timeoutMinutes: Double = 60
    var tags: [String] = []
}

/// An `OS::Heat::AutoScalingGroup` of nested-stack members, each with one server, and the policies that point at it.
struct GroupDefinition: Sendable {
    /// Name of the resource in the main stack.
    var resource = "workers"
    /// Parameter of the main stack that holds `desired_capacity`.
    var desiredParameter = "desired"
    var desired = 1
    var minimum = 1
    var maximum = 10
    /// The group's own cooldown.
    var cooldown: Interval = .zero
    var policies: [PolicyDefinition] = []
    var flavor = "m1.large"
    /// A `pre-delete` hook on the server inside each member.
    var preDeleteHook = false
    /// The resource that the environment hooks; nil: the server. On any other the hook never fires.
    var hookedResource: String?
    /// Whether members wait at their hook when they leave.
    var pausesAtHook: Bool { preDeleteHook && hookedResource ?? serverResource == serverResource }
    /// An `OS::Heat::SoftwareDeployment` named `drain` inside each member that waits, when the member is deleted, for its
    /// signal.
    var deleteDeployment = false
    /// Name of the server resource in the member template.
    var serverResource = "server"
    /// Metadata of the servers.
    var metadata: [String: String] = [:]
    /// What their kubelets will say.
    var node = NodeTemplate()
}

/// An `OS::Heat::ScalingPolicy`.
struct PolicyDefinition: Sendable {
    /// Heat's adjustment types.
    enum Kind: String, Sendable {
        case change = "change_in_capacity"
        case exact = "exact_capacity"
        case percent = "percent_change_in_capacity"
    }

    var resource: String
    var kind: Kind = .change
    var adjustment: Int
    /// With `percent` only.
    var minimumStep: Int?
    /// Nil: the group's.
    var cooldown: Interval?
}

/// How long things take. Defaults are what was measured on a small Heat (docs/openstack/heat.md §3, §6).
struct HeatTiming: Sendable {
    /// From the answer to the first effect.
    var engine: Interval = .seconds(0.5)
    /// From the start of a member stack to its request to Nova.
    var memberRequest: Interval = .seconds(1)
    /// From an ACTIVE server to the member's COMPLETE.
    var memberFinish: Interval = .seconds(0.5)
    /// From the start of a member's deletion to the pause at its hook.
    var hook: Interval = .seconds(1.5)
    /// From there (or from the start, without hook) to its end.
    var memberDelete: Interval = .seconds(1.8)
    /// The no-op update of each member that stays; four in parallel count as one.
    var memberNoOp: Interval = .seconds(1)
    /// From the last member to the end of the group's update, and again to the main stack's.
    var finish: Interval = .seconds(0.5)

    /// All times multiplied by `pace`: 0.1 is ten times as fast.
    func scaled(by pace: Double) -> HeatTiming {
        HeatTiming(
            engine: engine * pace, memberRequest: memberRequest * pace, memberFinish: memberFinish * pace,
            hook: hook * pace, memberDelete: memberDelete * pace, memberNoOp: memberNoOp * pace,
            finish: finish * pace)
    }
}

/// Action, status and reason of a stack or resource.
struct HeatState: Sendable, Equatable {
    var action: String
    /// IN_PROGRESS, COMPLETE, FAILED.
    var status: String
    var reason: String

    init(_ action: String, _ status: String, _ reason: String = "state changed") {
        self.action = action
        self.status = status
        self.reason = reason
    }

    /// `UPDATE_COMPLETE`.
    var text: String { "\(action)_\(status)" }
    var isInProgress: Bool { status == "IN_PROGRESS" }
    var isComplete: Bool { status == "COMPLETE" }
    var isFailed: Bool { status == "FAILED" }

    /// A stack's state with Heat's standing reason.
    static func stack(_ action: String, _ status: String) -> HeatState {
        let reason = [
            "IN_PROGRESS": "Stack \(action) started", "COMPLETE": "Stack \(action) completed successfully",
        ]
        return HeatState(action, status, reason[status] ?? "")
    }
}

/// A member of a group: a nested stack with a server in it.
struct HeatMember: Sendable {
    /// What goes on in it.
    enum Phase: Sendable, Equatable {
        case settled
        /// Will ask Nova for a server then.
        case requesting(Timestamp)
        /// Waits for Nova.
        case building
        /// The server is there; COMPLETE then.
        case finishing(Timestamp)
        /// Being deleted; reaches its hook then.
        case approachingHook(Timestamp)
        /// Its deletion waits for the signal of its deployment `drain`.
        case deploying
        /// Paused at `pre-delete`.
        case paused
        /// Gone then.
        case deleting(Timestamp)
        /// Deleted; stays in the list until the group's update ends.
        case gone
        /// The engine died over it: nothing moves any more.
        case orphaned
    }

    var name: String
    /// Id of the member stack; nil until there is one.
    var stackID: String?
    var stackName: String
    var created: Timestamp
    var updated: Timestamp?
    var state: HeatState
    var serverState: HeatState
    var serverID: String?
    var serverName: String
    var phase: Phase = .settled
    /// Marked unhealthy by somebody.
    var isMarked = false
    /// FAILED when the group last looked, so first in line to go, even if its replacement is being made.
    var goesFirst = false
    /// The deployment `drain`, once the member leaves.
    var deployment: HeatState?
    /// Was chosen (marked) when its removal began; for the journal.
    var wasChosen = false
    /// The former self of a replaced member: same name, not listed.
    var isReplaced = false

    /// On its way out or gone.
    var isLeaving: Bool { state.action == "DELETE" }
    /// Creation under way.
    var isBeingCreated: Bool { state.action == "CREATE" && state.isInProgress }
}

/// A resize of a group in progress.
struct HeatResize: Sendable {
    /// Who wanted it.
    enum Cause: Sendable {
        case create
        case update
        case signal(PolicyDefinition, before: Int)
        case delete
    }

    var cause: Cause
    var target: Int
    /// When the engine begins.
    var begins: Timestamp
    var hasBegun = false
    /// Leave as soon as what an earlier update had begun to create is finished.
    var waitingVictims: [String] = []
    /// Who goes, where that was settled before the engine began (signals); nil: settled at the beginning.
    var victims: [String]?
    /// No-op updates of those who stay last until then.
    var quietUntil: Timestamp
    /// And have ended.
    var isQuiet = false
    /// Then it has timed out.
    var deadline: Timestamp
    var failure: String?
    /// Set once nothing is left to do.
    var endsAt: Timestamp?
}

/// A group of a stack, with the nested stack it owns.
struct HeatGroup: Sendable {
    var definition: GroupDefinition
    var stackID: String
    var stackName: String
    var created: Timestamp
    /// The resource in the main stack.
    var state: HeatState
    /// The nested stack.
    var stackState: HeatState
    var stackUpdated: Timestamp?
    var members: [HeatMember] = []
    var scalingInProgress = false
    var cooldownEnd: Timestamp?
    var cooldownText = ""
    var resize: HeatResize?

    /// Members that policies count.
    var capacity: Int { members.filter { !$0.isLeaving && !$0.state.isFailed }.count }
    /// Members in the group's template: all but those leaving.
    var standing: [HeatMember] { members.filter { !$0.isLeaving } }
    /// What the API lists.
    var listed: [HeatMember] { members.filter { !$0.isReplaced } }
}

/// A main stack.
struct HeatStack: Sendable {
    var id: String
    var definition: StackDefinition
    var parameters: [String: JSONValue]
    var created: Timestamp
    var updated: Timestamp?
    var state: HeatState
    var groups: [HeatGroup]
    /// User whose trust the engine acts with.
    var owner: String
    var events: [HeatEvent] = []
    /// Ends its own action then, once its groups have ended theirs.
    var endsAt: Timestamp?

    /// Its name.
    var name: String { definition.name }
}

/// An event of a stack.
struct HeatEvent: Sendable {
    var id: String
    var time: Timestamp
    /// The stack that holds the resource.
    var stackID: String
    var stackName: String
    var resource: String
    var physicalID: String?
    var status: String
    var reason: String
}

/// What Heat tells the world.
enum HeatOutput: Sendable {
    /// `orchestration.<type>` with its payload, to exchange `heat`.
    case notification(type: String, isError: Bool, payload: JSONValue)
    /// An entry for the journal.
    case journal(String, [String: JSONValue])
}

/// An error as Heat's API words it.
struct HeatError: Error, Sendable {
    var status: Int
    /// `error.type`.
    var type: String
    var message: String
}
