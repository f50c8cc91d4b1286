import JSONReader
import Support

/// What Heat puts on the bus (docs/openstack/heat.md §7).
extension HeatModel {
    /// `orchestration.stack.<what>` of a main stack.
    mutating func notifyMain(_ place: Int, _ what: String, isError: Bool = false, at now: Timestamp) {
        let stack = stacks[place]
        notify(
            "stack.\(what)", isError: isError,
            payload(
                id: stack.id, name: stack.name, state: stack.state, created: stack.created, updated: stack.updated,
                tags: stack.definition.tags, bySignal: false, owner: stack.owner))
    }

    /// Of a group's nested stack.
    mutating func notifyGroupStack(
        _ place: Int, _ group: Int, _ what: String, reason: String? = nil, isError: Bool = false, at now: Timestamp
    ) {
        let current = stacks[place].groups[group]
        var state = current.stackState
        if let reason { state = HeatState(state.action, "FAILED", reason) }
        notify(
            "stack.\(what)", isError: isError,
            payload(
                id: current.stackID, name: current.stackName, state: state, created: current.created,
                updated: current.stackUpdated, tags: [], bySignal: isSignalled(current),
                owner: stacks[place].owner))
    }

    /// Of a member's nested stack.
    mutating func notifyMember(
        _ place: Int, _ group: Int, _ member: HeatMember, _ what: String, isError: Bool = false, at now: Timestamp
    ) {
        var state = HeatState.stack(member.state.action, member.state.status)
        if member.state.isFailed { state.reason = "Resource CREATE failed: \(member.state.reason)" }
        notify(
            "stack.\(what)", isError: isError,
            payload(
                id: member.stackID ?? "", name: member.stackName, state: state, created: member.created,
                updated: member.updated, tags: [], bySignal: isSignalled(stacks[place].groups[group]),
                owner: stacks[place].owner))
    }

    /// `orchestration.autoscaling.<what>`: policy signals only; names no member.
    mutating func notifyScaling(
        _ place: Int, _ group: Int, _ what: String, _ policy: PolicyDefinition, capacity: Int, message: String,
        at now: Timestamp
    ) {
        let stack = stacks[place]
        var value = payload(
            id: stack.id, name: stack.name, state: stack.state, created: stack.created, updated: stack.updated,
            tags: stack.definition.tags, bySignal: true, owner: stack.owner)
        value["adjustment_type"] = .string(policy.kind.rawValue)
        value["adjustment"] = .int(Int64(policy.adjustment))
        value["capacity"] = .int(Int64(capacity))
        value["groupname"] = .string(stack.groups[group].stackID)
        value["message"] = .string(message)
        notify("autoscaling.\(what)", isError: what == "error", value)
    }

    private func isSignalled(_ group: HeatGroup) -> Bool {
        if case .signal = group.resize?.cause { return true }
        return false
    }

    private func payload(
        id: String, name: String, state: HeatState, created: Timestamp, updated: Timestamp?, tags: [String],
        bySignal: Bool, owner: String
    ) -> JSONValue {
        // The user's name and id are null where a policy signal did it.
        let user: JSONValue = bySignal ? .null : .string(owner)
        return [
            "tenant_id": .string(projectID), "user_id": user, "user_identity": user, "username": user,
            "stack_identity": .string(id), "stack_name": .string(name), "state": .string(state.text),
            "state_reason": .string(state.reason), "create_at": .string(created.wholeSeconds),
            "updated_at": updated.map { .string($0.wholeSeconds) } ?? .null,
            "tags": .array(tags.map { .string($0) }), "description": "No description",
        ]
    }
}
