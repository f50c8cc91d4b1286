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

    /// Marks a member unhealthy or well again. Changes nothing else by itself.
    mutating func mark(
        groupStack: String, member name: String, unhealthy: Bool, reason: String, at now: Timestamp
    ) throws(HeatError) {
        guard let (place, group) = locate(groupStack: groupStack) else {
            throw HeatError.noSuchResource(name, in: groupStack)
        }
        let found = stacks[place].groups[group].members.firstIndex { member in
            !member.isReplaced && member.phase != .gone && (member.name == name || member.stackID == name)
        }
        guard let found else { throw HeatError.noSuchResource(name, in: stacks[place].groups[group].stackName) }
        let member = stacks[place].groups[group].members[found]
        if member.state.isInProgress {
            throw HeatError(
                status: 409, type: "ActionInProgress",
                message: "Resource \(member.name) already has an action (\(member.state.action)) in progress.")
        }
        let why = reason.isEmpty ? "state changed" : reason
        stacks[place].groups[group].members[found].isMarked = unhealthy
        stacks[place].groups[group].members[found].goesFirst = unhealthy
        stacks[place].groups[group].members[found].updated = now
        if unhealthy {
            stacks[place].groups[group].members[found].state = HeatState("CHECK", "FAILED", why)
        } else if member.state.isFailed {
            stacks[place].groups[group].members[found].state = HeatState("CHECK", "COMPLETE", why)
        }
        recordGroupEvent(place, group, stacks[place].groups[group].members[found], at: now)
        journal(unhealthy ? "member.marked" : "member.unmarked", place, group, member, ["reason": .string(why)])
    }

    /// Lets a member go that waits at its `pre-delete` hook.
    mutating func clearHook(memberStack: String, resource: String, hook: String, at now: Timestamp) throws(HeatError) {
        guard let (place, group, found) = locate(memberStack: memberStack) else {
            throw HeatError(
                status: 404, type: "EntityNotFound", message: "The Stack (\(memberStack)) could not be found.")
        }
        let member = stacks[place].groups[group].members[found]
        guard resource == stacks[place].groups[group].definition.serverResource else {
            throw HeatError.noSuchResource(resource, in: member.stackName)
        }
        // An orphaned one still answers 200 and nothing moves (docs/openstack/heat.md §6, engine dies).
        if member.phase == .orphaned { return }
        guard hook == "pre-delete", member.phase == .paused else {
            throw HeatError(
                status: 400, type: "InvalidBreakPointHook",
                message: "The \"\(hook)\" hook is not defined on OS::Nova::Server \"\(resource)\" "
                    + "[\(member.serverID ?? "")] Stack \"\(member.stackName)\"")
        }
        stacks[place].groups[group].members[found].phase = .deleting(now + timing.memberDelete)
        recordServerEvent(place, group, found, reason: "Hook pre-delete is cleared", at: now)
        journal("hook.cleared", place, group, member, [:])
    }

    /// The signal for which a member's deployment `drain` waits: status 0 lets the member go, any other keeps it
    /// (docs/openstack/nova.md §3).
    mutating func endDeployment(memberStack: String, status: Int, at now: Timestamp) throws(HeatError) {
        guard let (place, group, found) = locate(memberStack: memberStack) else {
            throw HeatError(
                status: 404, type: "EntityNotFound", message: "The Stack (\(memberStack)) could not be found.")
        }
        let member = stacks[place].groups[group].members[found]
        // One that does not wait takes a signal and makes nothing of it.
        guard member.phase == .deploying else { return }
        journal("deployment.ended", place, group, member, ["status": .int(Int64(status))])
        if status == 0 {
            stacks[place].groups[group].members[found].deployment = HeatState("DELETE", "COMPLETE")
            let hooked = stacks[place].groups[group].definition.preDeleteHook
            stacks[place].groups[group].members[found].phase =
                hooked ? .approachingHook(now + timing.hook) : .deleting(now + timing.memberDelete)
            return
        }
        let text =
            "Deployment to server failed: deploy_status_code: Deployment exited with non-zero status code: \(status)"
        stacks[place].groups[group].members[found].deployment = HeatState("DELETE", "FAILED", "Error: \(text)")
        stacks[place].groups[group].members[found].phase = .settled
        stacks[place].groups[group].members[found].state = HeatState(
            "DELETE", "FAILED", "Error: resources.\(member.name).resources.drain: \(text)")
        recordGroupEvent(place, group, stacks[place].groups[group].members[found], at: now)
        notifyMember(
            place, group, stacks[place].groups[group].members[found], "delete.error", isError: true, at: now)
        if stacks[place].groups[group].resize?.failure == nil {
            stacks[place].groups[group].resize?.failure =
                "Resource DELETE failed: Error: resources.\(member.name).resources.drain: \(text)"
        }
    }

    /// `POST …/actions {"check": null}`: looks in Nova, down into the members.
    mutating func check(stack stackID: String, nova: NovaModel, at now: Timestamp) throws(HeatError) {
        let place = try index(of: stackID)
        var failures: [String] = []
        for group in stacks[place].groups.indices {
            var groupFailure: String?
            for found in stacks[place].groups[group].members.indices {
                let member = stacks[place].groups[group].members[found]
                guard !member.isLeaving, member.phase == .settled else { continue }
                let resource = stacks[place].groups[group].definition.serverResource
                let path = "resources.\(stacks[place].groups[group].definition.resource).resources.\(member.name)"
                var problem: (kind: String, text: String)?
                switch member.serverID.flatMap({ nova.servers[$0] }) {
                case nil:
                    problem = (
                        "NotFound",
                        "Instance \(member.serverID ?? "None") could not be found. (HTTP 404)"
                    )
                case .some(let server) where server.status != "ACTIVE":
                    problem = ("Error", "'status': expected 'ACTIVE', got '\(server.status)'")
                default: break
                }
                let state =
                    problem.map {
                        HeatState("CHECK", "FAILED", "\($0.kind): resources.\(resource): \($0.text)")
                    } ?? HeatState("CHECK", "COMPLETE", "state changed")
                stacks[place].groups[group].members[found].serverState = state
                if let problem {
                    let text = "\(problem.kind): \(path).resources.\(resource): \(problem.text)"
                    stacks[place].groups[group].members[found].state = HeatState("CHECK", "FAILED", text)
                    stacks[place].groups[group].members[found].goesFirst = true
                    groupFailure = groupFailure ?? text
                } else if !member.isMarked {
                    stacks[place].groups[group].members[found].state = state
                }
            }
            let state = HeatState("CHECK", groupFailure == nil ? "COMPLETE" : "FAILED", groupFailure ?? "")
            stacks[place].groups[group].state = state
            stacks[place].groups[group].stackState = state
            if let groupFailure { failures.append(groupFailure) }
        }
        stacks[place].state = HeatState(
            "CHECK", failures.isEmpty ? "COMPLETE" : "FAILED",
            failures.first ?? "Stack CHECK completed successfully")
        stacks[place].updated = now
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
