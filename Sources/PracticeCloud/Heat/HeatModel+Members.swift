import JSONReader
import Support

/// The life of one member: its nested stack, its server, its hook.
extension HeatModel {
    /// A new member begins.
    mutating func appear(_ place: Int, _ group: Int, name: String, replaces: Bool = false, at now: Timestamp) {
        let stackName = "\(stacks[place].groups[group].stackName)-\(name)-\(random.heatSuffix())"
        let member = HeatMember(
            name: name, stackID: random.uuid(), stackName: stackName, created: now,
            state: HeatState("CREATE", "IN_PROGRESS"), serverState: HeatState("INIT", "COMPLETE", ""),
            serverName: "\(stacks[place].name)-\(name)", phase: .requesting(now + timing.memberRequest),
            goesFirst: replaces)
        stacks[place].groups[group].members.append(member)
        notifyMember(place, group, member, "create.start", at: now)
        journal("member.creating", place, group, member, [:])
    }

    /// A FAILED member that stays is made anew: same name, other physical id; the old one leaves once the new one is
    /// there. Where only the server inside failed a check, only the server is made anew (docs/openstack/nova.md §5).
    mutating func replace(_ place: Int, _ group: Int, name: String, nova: inout NovaModel, at now: Timestamp) {
        let found = stacks[place].groups[group].members.firstIndex {
            $0.name == name && !$0.isReplaced && !$0.isLeaving
        }
        guard let found else { return }
        let old = stacks[place].groups[group].members[found]
        if old.state.action == "CHECK", old.serverState.isFailed, !old.isMarked {
            if let server = old.serverID { nova.delete(server) }
            stacks[place].groups[group].members[found].serverID = nil
            stacks[place].groups[group].members[found].state = HeatState("UPDATE", "IN_PROGRESS")
            stacks[place].groups[group].members[found].phase = .requesting(now + timing.memberRequest)
            return
        }
        stacks[place].groups[group].members[found].isReplaced = true
        if old.serverID == nil { leave(place, group, found, at: now) }
        appear(place, group, name: name, replaces: true, at: now)
        journal("member.replacing", place, group, old, [:])
    }

    /// A member begins to leave.
    mutating func leave(_ place: Int, _ group: Int, name: String, at now: Timestamp) {
        let found = stacks[place].groups[group].members.firstIndex {
            $0.name == name && !$0.isReplaced && !$0.isLeaving
        }
        if let found { leave(place, group, found, at: now) }
    }

    /// A member begins to leave.
    mutating func leave(_ place: Int, _ group: Int, _ found: Int, at now: Timestamp) {
        var member = stacks[place].groups[group].members[found]
        member.wasChosen = member.isMarked || member.wasChosen
        member.state = HeatState("DELETE", "IN_PROGRESS")
        member.updated = now
        let definition = stacks[place].groups[group].definition
        let hooked = (definition.pausesAtHook || definition.deleteDeployment) && member.serverID != nil
        member.deployment = nil
        member.phase = hooked ? .approachingHook(now + timing.hook) : .deleting(now + timing.memberDelete)
        stacks[place].groups[group].members[found] = member
        recordGroupEvent(place, group, member, at: now)
        notifyMember(place, group, member, "delete.start", at: now)
        journal("member.leaving", place, group, member, ["chosen": .bool(member.wasChosen)])
    }

    /// What is due in one member.
    mutating func stepMember(_ place: Int, _ group: Int, _ found: Int, nova: inout NovaModel, at now: Timestamp) {
        let member = stacks[place].groups[group].members[found]
        switch member.phase {
        case .requesting(let due) where due <= now:
            requestServer(place, group, found, nova: &nova, at: now)
        case .building:
            lookAtServer(place, group, found, nova: nova, at: now)
        case .finishing(let due) where due <= now:
            complete(place, group, found, at: now)
        case .approachingHook(let due)
        where due <= now && stacks[place].groups[group].definition.deleteDeployment && member.deployment == nil:
            stacks[place].groups[group].members[found].phase = .deploying
            stacks[place].groups[group].members[found].deployment = HeatState("DELETE", "IN_PROGRESS")
            journal("deployment.waiting", place, group, member, [:])
        case .approachingHook(let due) where due <= now:
            stacks[place].groups[group].members[found].phase = .paused
            recordServerEvent(
                place, group, found, reason: "DELETE paused until Hook pre-delete is cleared", at: now)
            journal("hook.paused", place, group, member, [:])
        case .deleting(let due) where due <= now:
            if let server = member.serverID { nova.delete(server) }
            stacks[place].groups[group].members[found].phase = .gone
            stacks[place].groups[group].members[found].state = HeatState("DELETE", "COMPLETE")
            stacks[place].events.removeAll { $0.stackID == member.stackID }
            recordGroupEvent(place, group, stacks[place].groups[group].members[found], at: now)
            notifyMember(place, group, stacks[place].groups[group].members[found], "delete.end", at: now)
            journal("member.removed", place, group, member, ["chosen": .bool(member.wasChosen)])
        default: break
        }
    }

    private mutating func requestServer(
        _ place: Int, _ group: Int, _ found: Int, nova: inout NovaModel, at now: Timestamp
    ) {
        let member = stacks[place].groups[group].members[found]
        let definition = stacks[place].groups[group].definition
        if memberFailuresAhead > 0 {
            memberFailuresAhead -= 1
            fail(place, group, found, kind: "ResourceInError", text: "Went to status ERROR due to \"Unknown\"", at: now)
            return
        }
        var template = definition.node
        template.group = "\(stacks[place].name)/\(definition.resource)"
        let asked = nova.create(
            name: member.serverName, flavor: definition.flavor, metadata: definition.metadata, template: template,
            at: now)
        switch asked {
        case .success(let server):
            stacks[place].groups[group].members[found].serverID = server
            stacks[place].groups[group].members[found].serverState = HeatState("CREATE", "IN_PROGRESS")
            stacks[place].groups[group].members[found].phase = .building
        case .failure(let refusal):
            let kind = refusal.status == 403 ? "Forbidden" : "BadRequest"
            let request = "req-\(random.uuid())"
            fail(
                place, group, found, kind: kind,
                text: "\(refusal.message) (HTTP \(refusal.status)) (Request-ID: \(request))", at: now)
        }
    }

    private mutating func lookAtServer(
        _ place: Int, _ group: Int, _ found: Int, nova: NovaModel, at now: Timestamp
    ) {
        let member = stacks[place].groups[group].members[found]
        guard let server = member.serverID.flatMap({ nova.servers[$0] }) else {
            fail(place, group, found, kind: "NotFound", text: "The server could not be found. (HTTP 404)", at: now)
            return
        }
        if server.status == "ACTIVE", lateFailuresAhead > 0 {
            lateFailuresAhead -= 1
            fail(place, group, found, kind: "WaitConditionTimeout", text: "0 of 1 received", at: now)
        } else if server.status == "ACTIVE" {
            stacks[place].groups[group].members[found].phase = .finishing(now + timing.memberFinish)
        } else if server.status == "ERROR" {
            let text = "Went to status ERROR due to \"Message: \(server.fault ?? "Unknown"), Code: 500\""
            fail(place, group, found, kind: "ResourceInError", text: text, at: now)
        }
    }

    private mutating func complete(_ place: Int, _ group: Int, _ found: Int, at now: Timestamp) {
        let verb = stacks[place].groups[group].members[found].state.action
        stacks[place].groups[group].members[found].phase = .settled
        stacks[place].groups[group].members[found].state = HeatState(verb, "COMPLETE")
        stacks[place].groups[group].members[found].serverState = HeatState("CREATE", "COMPLETE")
        let member = stacks[place].groups[group].members[found]
        recordGroupEvent(place, group, member, at: now)
        recordServerEvent(place, group, found, reason: "state changed", at: now)
        notifyMember(place, group, member, "\(verb.lowercased()).end", at: now)
        journal("member.created", place, group, member, [:])
        let former = stacks[place].groups[group].members.firstIndex {
            $0.name == member.name && $0.isReplaced && !$0.isLeaving
        }
        if let former { leave(place, group, former, at: now) }
    }

    private mutating func fail(
        _ place: Int, _ group: Int, _ found: Int, kind: String, text: String, at now: Timestamp
    ) {
        let resource = stacks[place].groups[group].definition.serverResource
        var member = stacks[place].groups[group].members[found]
        let verb = member.state.action
        member.phase = .settled
        member.serverState = HeatState("CREATE", "FAILED", "\(kind): resources.\(resource): \(text)")
        member.state = HeatState(verb, "FAILED", "\(kind): resources.\(member.name).resources.\(resource): \(text)")
        stacks[place].groups[group].members[found] = member
        recordGroupEvent(place, group, member, at: now)
        notifyMember(place, group, member, "create.error", isError: true, at: now)
        journal("member.failed", place, group, member, ["reason": .string(member.state.reason)])
        if stacks[place].groups[group].resize?.failure == nil {
            stacks[place].groups[group].resize?.failure = "Resource CREATE failed: \(member.state.reason)"
        }
    }

    /// A member that stays is updated as a no-op.
    mutating func startNoOp(_ place: Int, _ group: Int, name: String, at now: Timestamp) {
        let found = stacks[place].groups[group].members.firstIndex {
            $0.name == name && !$0.isReplaced && !$0.isLeaving
        }
        guard let found else { return }
        stacks[place].groups[group].members[found].state = HeatState("UPDATE", "IN_PROGRESS")
        notifyMember(place, group, stacks[place].groups[group].members[found], "update.start", at: now)
    }

    /// The no-op updates of a group are through.
    mutating func endNoOps(_ place: Int, _ group: Int, at now: Timestamp) {
        for found in stacks[place].groups[group].members.indices {
            let member = stacks[place].groups[group].members[found]
            guard member.phase == .settled, member.state.action == "UPDATE", member.state.isInProgress else { continue }
            stacks[place].groups[group].members[found].state = HeatState("UPDATE", "COMPLETE")
            stacks[place].groups[group].members[found].updated = now
            notifyMember(place, group, stacks[place].groups[group].members[found], "update.end", at: now)
        }
    }

    // MARK: Events and journal

    /// An event of a member, in the group stack.
    mutating func recordGroupEvent(_ place: Int, _ group: Int, _ member: HeatMember, at now: Timestamp) {
        let current = stacks[place].groups[group]
        stacks[place].events.append(
            HeatEvent(
                id: random.uuid(), time: now, stackID: current.stackID, stackName: current.stackName,
                resource: member.name, physicalID: member.stackID, status: member.state.text,
                reason: member.state.reason))
        trimEvents(place)
    }

    /// An event of the server inside a member.
    mutating func recordServerEvent(_ place: Int, _ group: Int, _ found: Int, reason: String, at now: Timestamp) {
        let member = stacks[place].groups[group].members[found]
        stacks[place].events.append(
            HeatEvent(
                id: random.uuid(), time: now, stackID: member.stackID ?? "", stackName: member.stackName,
                resource: stacks[place].groups[group].definition.serverResource, physicalID: member.serverID,
                status: member.serverState.text, reason: reason))
        trimEvents(place)
    }

    /// Heat keeps `max_events_per_stack` (1000) and purges in batches of 200.
    private mutating func trimEvents(_ place: Int) {
        let limit = max(1_000, stacks[place].groups.reduce(0) { $0 + $1.members.count } * 4)
        if stacks[place].events.count > limit + 200 { stacks[place].events.removeFirst(200) }
    }

    /// A journal entry about a member.
    mutating func journal(
        _ kind: String, _ place: Int, _ group: Int, _ member: HeatMember, _ more: [String: JSONValue]
    ) {
        var facts: [String: JSONValue] = [
            "stack": .string(stacks[place].name),
            "group": .string(stacks[place].groups[group].definition.resource),
            "member": .string(member.name),
        ]
        if let id = member.stackID { facts["member_id"] = .string(id) }
        if let server = member.serverID { facts["server"] = .string(server) }
        for (key, value) in more { facts[key] = value }
        write(kind, facts)
    }
}
