import JSONReader
import Support

/// A practice Heat: autoscaling groups of nested-stack members, behaving as docs/openstack/heat.md measured it.
///
/// A value: requests and time come in, states change, and what the world would see (notifications, journal) is taken
/// out by `takeOutputs`. Nova is handed in, since members make and delete servers there.
struct HeatModel: Sendable {
    var timing: HeatTiming
    /// Fails each of the next members, as if its server had been refused.
    var memberFailuresAhead = 0
    /// Fails each of the next members when its server works, as if a wait condition beside it ran out: the server lives on.
    var lateFailuresAhead = 0
    /// Removes the oldest member though another was marked: what must never happen, to rehearse its discovery.
    var takesWrongVictim = false
    /// The project.
    let projectID: String
    var stacks: [HeatStack] = []
    var random: Generator
    private var outputs: [HeatOutput] = []
    /// Signals accepted but not yet looked at: the engine runs after the answer.
    private var signals: [PendingSignal] = []

    /// A policy signal on its way to the engine.
    private struct PendingSignal: Sendable {
        var due: Timestamp
        var stackID: String
        var policy: String
        var reason: String
    }

    init(projectID: String, timing: HeatTiming, random: Generator) {
        self.projectID = projectID
        self.timing = timing
        self.random = random
    }

    // MARK: Requests

    /// Makes a stack. Its members come up as time passes.
    mutating func create(_ definition: StackDefinition, owner: String, at now: Timestamp) throws(HeatError) -> String {
        if stacks.contains(where: { $0.name == definition.name }) {
            throw HeatError(
                status: 409, type: "StackExists", message: "The Stack (\(definition.name)) already exists.")
        }
        let stackID = random.uuid()
        var parameters: [String: JSONValue] = [:]
        var groups: [HeatGroup] = []
        for group in definition.groups {
            parameters[group.desiredParameter] = .string(String(group.desired))
            groups.append(
                HeatGroup(
                    definition: group, stackID: random.uuid(),
                    stackName: "\(definition.name)-\(group.resource)-\(random.heatSuffix())", created: now,
                    state: HeatState("CREATE", "IN_PROGRESS"), stackState: .stack("CREATE", "IN_PROGRESS")))
        }
        stacks.append(
            HeatStack(
                id: stackID, definition: definition, parameters: parameters, created: now,
                state: .stack("CREATE", "IN_PROGRESS"), groups: groups, owner: owner))
        let place = stacks.count - 1
        notifyMain(place, "create.start", at: now)
        for group in definition.groups.indices {
            // 0 at create gives min_size (docs/openstack/heat.md §1.4).
            let desired = definition.groups[group].desired
            schedule(.create, target: desired == 0 ? definition.groups[group].minimum : desired, place, group, at: now)
        }
        return stackID
    }

    /// `PATCH` of a stack: always resizes every group to its `desired`, supersedes what runs, knows no cooldown.
    mutating func update(
        stack stackID: String, parameters: [String: JSONValue], user: String, isDelegated: Bool, at now: Timestamp
    ) throws(HeatError) {
        let place = try index(of: stackID)
        let stack = stacks[place]
        if stack.state.action == "DELETE" {
            throw HeatError(
                status: 409, type: "ActionInProgress",
                message: "Stack \(stack.name) already has an action "
                    + "(\(stack.state.action)) in progress.")
        }
        var merged = stack.parameters
        for (name, value) in parameters { merged[name] = value }
        var targets: [Int] = []
        for group in stack.groups {
            targets.append(try target(of: group, parameters: merged))
        }
        if isDelegated && user != stack.owner {
            // A delegated token may not make the trust that replaces the owner's (docs/openstack/heat.md §8, note 1).
            notifyMain(place, "update.error", isError: true, at: now)
            throw HeatError(
                status: 500, type: "RemoteError",
                message: "Remote error: Forbidden Delegated token may not create a trust. (HTTP 403)")
        }
        if !isDelegated { stacks[place].owner = user }
        stacks[place].parameters = merged
        stacks[place].state = .stack("UPDATE", "IN_PROGRESS")
        stacks[place].updated = now
        stacks[place].endsAt = nil
        notifyMain(place, "update.start", at: now)
        for (group, target) in targets.enumerated() {
            supersede(place, group, at: now)
            schedule(.update, target: target, place, group, at: now)
        }
    }

    private func target(of group: HeatGroup, parameters: [String: JSONValue]) throws(HeatError) -> Int {
        let definition = group.definition
        let given = parameters[definition.desiredParameter]
        guard let desired = given?.intValue.map(Int.init) ?? given?.stringValue.flatMap(Int.init) else {
            throw HeatError(
                status: 400, type: "StackValidationFailed",
                message: "Parameter '\(definition.desiredParameter)' is invalid: could not convert to a number")
        }
        if desired == 0, definition.minimum == 0 {
            // 0 counts as "not given": the size stays (docs/openstack/heat.md §1.4).
            return max(group.capacity, definition.minimum)
        }
        guard (definition.minimum...definition.maximum).contains(desired) else {
            throw HeatError(
                status: 400, type: "StackValidationFailed",
                message: "DesiredCapacity must be between MinSize and MaxSize")
        }
        return desired
    }

    /// A policy signal. The answer is always "fine"; whether anything comes of it shows later.
    mutating func signal(policy: String, stack stackID: String, body: JSONValue, at now: Timestamp) throws(HeatError) {
        let place = try index(of: stackID)
        if stacks[place].state.action == "DELETE" {
            throw HeatError(
                status: 400, type: "NotSupported", message: "Signal resource during DELETE is not supported.")
        }
        var reason = "No signal details provided"
        if let previous = body["previous"]?.stringValue, let current = body["current"]?.stringValue,
            let why = body["reason"]?.stringValue
        {
            reason = "alarm state changed from \(previous) to \(current) (\(why))"
        }
        signals.append(PendingSignal(due: now + timing.engine, stackID: stackID, policy: policy, reason: reason))
    }

    /// Deletes a stack: its members leave by way of their hooks, then it is gone.
    mutating func delete(stack stackID: String, at now: Timestamp) throws(HeatError) {
        let place = try index(of: stackID)
        guard stacks[place].state.action != "DELETE" else { return }
        stacks[place].state = .stack("DELETE", "IN_PROGRESS")
        stacks[place].endsAt = nil
        notifyMain(place, "delete.start", at: now)
        for group in stacks[place].groups.indices {
            supersede(place, group, at: now)
            schedule(.delete, target: 0, place, group, at: now)
        }
    }

    /// All engines die: what was under way stays where it is until a PATCH (docs/openstack/heat.md §6).
    mutating func killEngine() {
        signals = []
        for place in stacks.indices {
            stacks[place].endsAt = nil
            for group in stacks[place].groups.indices {
                guard stacks[place].groups[group].resize != nil else { continue }
                stacks[place].groups[group].resize = nil
                for found in stacks[place].groups[group].members.indices {
                    switch stacks[place].groups[group].members[found].phase {
                    case .settled, .gone: break
                    default: stacks[place].groups[group].members[found].phase = .orphaned
                    }
                }
            }
        }
    }

    // MARK: Time

    /// When something happens next by itself.
    var nextDeadline: Timestamp? {
        var next = signals.map(\.due).min()
        func consider(_ time: Timestamp?) {
            guard let time else { return }
            next = next.map { min($0, time) } ?? time
        }
        for stack in stacks {
            consider(stack.endsAt)
            for group in stack.groups {
                if let resize = group.resize {
                    if !resize.hasBegun { consider(resize.begins) }
                    // What a word from outside has failed ends at once.
                    if resize.hasBegun, resize.failure != nil { consider(resize.begins) }
                    consider(resize.endsAt)
                    consider(resize.deadline)
                    if resize.hasBegun, !resize.isQuiet { consider(resize.quietUntil) }
                }
                for member in group.members {
                    switch member.phase {
                    case .requesting(let time), .finishing(let time), .approachingHook(let time), .deleting(let time):
                        consider(time)
                    case .settled, .building, .deploying, .paused, .gone, .orphaned: break
                    }
                }
            }
        }
        return next
    }

    /// Lets time pass to `now`; call it at least at each `nextDeadline` and after Nova's servers have changed.
    mutating func advance(to now: Timestamp, nova: inout NovaModel) {
        let due = signals.filter { $0.due <= now }
        signals.removeAll { $0.due <= now }
        for signal in due { carryOut(signal, at: now) }
        for place in stacks.indices.reversed() {
            for group in stacks[place].groups.indices {
                step(place, group, nova: &nova, at: now)
            }
            finishStack(place, at: now)
        }
    }

    private mutating func carryOut(_ signal: PendingSignal, at now: Timestamp) {
        guard let place = stacks.firstIndex(where: { $0.id == signal.stackID }) else { return }
        for group in stacks[place].groups.indices {
            let definition = stacks[place].groups[group].definition
            guard let policy = definition.policies.first(where: { $0.resource == signal.policy }) else { continue }
            if let why = adjust(by: policy, place, group, at: now) {
                write(
                    "heat.signal-dropped",
                    ["stack": .string(stacks[place].name), "policy": .string(policy.resource), "why": .string(why)])
            } else {
                stacks[place].events.append(
                    HeatEvent(
                        id: random.uuid(), time: now, stackID: stacks[place].id, stackName: stacks[place].name,
                        resource: policy.resource, physicalID: nil, status: "SIGNAL_COMPLETE", reason: signal.reason))
            }
        }
    }

    // MARK: Outputs

    /// What the world saw since the last call, in order.
    mutating func takeOutputs() -> [HeatOutput] {
        defer { outputs = [] }
        return outputs
    }

    /// An entry for the journal.
    mutating func write(_ kind: String, _ facts: [String: JSONValue]) {
        outputs.append(.journal(kind, facts))
    }

    /// A message for the bus.
    mutating func notify(_ type: String, isError: Bool = false, _ payload: JSONValue) {
        outputs.append(.notification(type: type, isError: isError, payload: payload))
    }

    /// The place of a stack by id.
    func index(of stackID: String) throws(HeatError) -> Int {
        guard let place = stacks.firstIndex(where: { $0.id == stackID }) else {
            throw HeatError(
                status: 404, type: "EntityNotFound", message: "The Stack (\(stackID)) could not be found.")
        }
        return place
    }

    /// The group whose nested stack has this id.
    func locate(groupStack: String) -> (stack: Int, group: Int)? {
        for place in stacks.indices {
            if let group = stacks[place].groups.firstIndex(where: { $0.stackID == groupStack }) {
                return (place, group)
            }
        }
        return nil
    }

    /// The member whose nested stack has this id.
    func locate(memberStack: String) -> (stack: Int, group: Int, member: Int)? {
        for place in stacks.indices {
            for group in stacks[place].groups.indices {
                let found = stacks[place].groups[group].members.firstIndex { member in
                    member.stackID == memberStack && member.phase != .gone
                }
                if let found { return (place, group, found) }
            }
        }
        return nil
    }
}

extension HeatError {
    /// 404 as Heat words it.
    static func noSuchResource(_ resource: String, in stack: String) -> HeatError {
        HeatError(
            status: 404, type: "ResourceNotFound",
            message: "The Resource (\(resource)) could not be found in Stack \(stack).")
    }
}
