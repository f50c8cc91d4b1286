import JSONReader
import Support

/// What may be said of a single member: a mark, a hook cleared, a deployment ended.
extension HeatModel {
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
            let hooked = stacks[place].groups[group].definition.pausesAtHook
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
}
