import Messages
import OpenStack
import Support

/// What is wrong with a group: a function of what was read. The facts are those of docs/openstack/heat.md.
struct HeatDiagnosis {
    private(set) var findings: [HeatFinding] = []
    let patient: HeatPatient
    var snapshot: HeatGroupSnapshot { patient.snapshot }

    /// Looks at everything.
    init(_ patient: HeatPatient) {
        self.patient = patient
        lookAtStack()
        lookAtTemplate()
        for member in snapshot.members { lookAt(member) }
        lookAtSize()
        lookAtNodes()
        let order: [HeatFinding.Weight] = [.problem, .warning, .note]
        findings = order.flatMap { weight in findings.filter { $0.weight == weight } }
    }

    mutating func find(
        _ kind: HeatFinding.Kind, _ weight: HeatFinding.Weight, _ what: String, means meaning: String, mend: String,
        repair: HeatFinding.Repair? = nil
    ) {
        findings.append(
            HeatFinding(kind: kind, weight: weight, what: what, meaning: meaning, mend: mend, repair: repair))
    }

    /// Members that Heat counts: neither failed nor leaving.
    var counted: [HeatMember] {
        snapshot.members.filter { !$0.isFailed && $0.status.text != "DELETE_IN_PROGRESS" }
    }

    // MARK: The stack

    private mutating func lookAtStack() {
        let main = snapshot.stack
        var statuses: [(String, HeatStatus, String)] = [("stack", main.status, main.statusReason)]
        if let groupStack = snapshot.groupStack {
            statuses.append(("group stack", groupStack.status, groupStack.statusReason))
        }
        statuses.append(("group", snapshot.resourceStatus, snapshot.resourceStatusReason))
        for (name, status, reason) in statuses where status.state == .failed {
            find(
                .stackFailed, .problem, "the \(name) is \(status): \(reason.prefix(300))",
                means:
                    "policies' signals are dropped until an update succeeds; the next update removes or replaces failed "
                    + "members first",
                mend: "remove the cause, then send the size again (a running Actuator does that every ten minutes)",
                repair: snapshot.isChanging || !mayResend ? nil : .resend(size: counted.count))
            return
        }
        guard snapshot.isChanging else { return }
        let isMoving =
            main.status.state == .inProgress || snapshot.groupStack?.status.state == .inProgress
            || snapshot.members.contains { $0.status.state == .inProgress }
        if !isMoving {
            find(
                .stackStuck, .problem, "scaling_in_progress stands, and neither stack nor member changes",
                means: "the engine that scaled has died; every signal is dropped for ever, and nothing resumes",
                mend: "an update with the size that is there frees it",
                repair: mayResend ? .resend(size: counted.count) : nil)
            return
        }
        let since = [main.updatedAt, snapshot.groupStack?.updatedAt].compactMap { $0 }.max() ?? main.createdAt
        let limit = Interval.seconds(Double(main.timeoutMinutes ?? 60) * 60)
        if let since, patient.now - since > limit {
            find(
                .stackStuck, .problem,
                "\(main.status)/\(snapshot.groupStack?.status.text ?? "") since \(since.rfc3339)",
                means: "longer than the stack's time limit of \(limit): the engine that worked on it has died",
                mend: "an update with the size that is there takes everything up again",
                repair: mayResend ? .resend(size: counted.count) : nil)
        } else {
            find(
                .stackBusy, .note, "\(main.status)/\(snapshot.groupStack?.status.text ?? "")",
                means: "a change is under way; others wait for it", mend: "nothing, it ends by itself")
        }
    }

    /// Zero would be ignored, and an update with a failed member that is a node would take that node.
    var mayResend: Bool {
        !counted.isEmpty && !patient.updateTakesNodes && snapshot.kind == .autoScalingGroup && snapshot.desired != nil
    }

    // MARK: What the template lacks

    private mutating func lookAtTemplate() {
        if snapshot.kind == .resourceGroup {
            find(
                .unusableKind, .problem, "\(snapshot.resource) is an OS::Heat::ResourceGroup",
                means: "it only grows: Heat replaces a marked member of it, so every removal of a node is refused",
                mend: "use an OS::Heat::AutoScalingGroup (deploy/heat)")
        }
        if snapshot.desired == nil {
            find(
                .parameterMissing, .problem, "the stack has no parameter '\(patient.parameter)' that holds a number",
                means: "the size cannot be set; a policy's signal would remove the oldest member, not the chosen",
                mend:
                    "give the template such a parameter for desired_capacity, or name it in groups[].desired_parameter")
        }
        let limit = snapshot.stack.timeoutMinutes.map { Interval.seconds(Double($0) * 60) } ?? .seconds(3_600)
        switch patient.hookSetting {
        case .present:
            if limit < patient.longestDrain {
                let needed = Int((patient.longestDrain.inSeconds / 60).rounded(.up))
                find(
                    .timeoutTooShort, .warning,
                    "timeout_mins is \(snapshot.stack.timeoutMinutes.map(String.init) ?? "not set, so 60"), a drain may take "
                        + "\(patient.longestDrain)",
                    means:
                        "a member that waits at its pre-delete hook longer than that ends as DELETE_FAILED, and the stack "
                        + "as UPDATE_FAILED",
                    mend: "update the stack with --timeout \(needed) or more")
            }
        case .absent:
            find(
                .noHook, .warning, "neither a pre-delete hook nor a software deployment holds the deletion of members",
                means:
                    "a scale-in by an alarm, a policy or an operator deletes machines at once, without notice to pods",
                mend:
                    "add it to the environment: resource_registry: resources: \(snapshot.resource): \"*\": server: hooks: "
                    + "pre-delete (deploy/heat has it)")
        case .onNothing(let hooked, let resources):
            find(
                .hookOnNothing, .problem,
                "the pre-delete hook is on '\(hooked.joined(separator: "', '"))', and members have no such resource; they have "
                    + "'\(resources.prefix(10).joined(separator: "', '"))'",
                means:
                    "it never fires: a scale-in by an alarm, a policy or an operator deletes machines at once, without "
                    + "notice to pods",
                mend:
                    "name in the environment (resource_registry: resources: \(snapshot.resource): \"*\":) the resource that "
                    + "is the server in the members' template")
        case .unknown(let why):
            find(
                .noHook, .note, "whether members have a pre-delete hook cannot be seen: \(why)",
                means: "without one, scale-ins that Updraft does not start give pods no notice",
                mend: "look at the environment of the stack")
        }
        if patient.group.min == 0 {
            find(
                .minimumIgnored, .note, "min is 0",
                means: "Heat ignores a desired size of 0 in an update, so the last member stays",
                mend: "nothing, or min: 1")
        }
        if let desired = snapshot.desired, desired > patient.group.max || desired < patient.group.min {
            find(
                .limits, .warning,
                "\(patient.parameter) is \(desired), outside \(patient.group.min)…\(patient.group.max) of the configuration",
                means: "every decision is refused until the size is within the limits",
                mend: "set the size, or groups[].min and max")
        }
    }

    // MARK: Members

    private mutating func lookAt(_ member: HeatMember) {
        let node = patient.node(of: member)
        let name =
            "member \(member.name) (\(member.serverID.map { "server \($0)" } ?? "no server")"
            + (node.map { ", node \($0.name)" } ?? "") + ")"
        let isLeaving = member.status.text.hasPrefix("DELETE_")
        if member.isFailed && isLeaving {
            find(
                .memberHalfDeleted, .problem, "\(name) is \(member.status): \(member.statusReason.prefix(200))",
                means: "its deletion failed half-way; the machine may live on",
                mend: "the next update deletes it anew (and pauses at its hook again)")
        } else if member.isFailed && member.statusReason.hasPrefix(RemovalNames.markPrefix) {
            lookAtMark(member, name, node)
        } else if member.isFailed {
            find(
                .memberFailed, node == nil ? .warning : .problem,
                "\(name) is \(member.status): \(member.statusReason.prefix(200))",
                means: node == nil
                    ? "it does not count; the next shrink removes it, the next update of the same size replaces it"
                    : "it does not count, and the next update of anyone replaces or removes it with all that runs there",
                mend: node == nil
                    ? "nothing, the next update takes it away"
                    : "drain the node, or unmark the member (openstack stack resource mark unhealthy --reset)")
        }
        lookAtHook(member, node)
        if !isLeaving { lookAtServer(member, name, node) }
    }

    private mutating func lookAtMark(_ member: HeatMember, _ name: String, _ node: HeatPatient.Node?) {
        let id = String(member.statusReason.dropFirst(RemovalNames.markPrefix.count))
        let isClaimed = node?.record.map { $0.id == id && !$0.phase.isOver } == true
        if isClaimed {
            find(
                .memberMarked, .note, "\(name) is marked for removal \(id), which is under way",
                means: "the next update takes it away", mend: "nothing")
        } else if patient.nodes == nil {
            find(
                .memberMarked, .warning, "\(name) is marked for removal \(id)",
                means: "whether that removal still runs stands on its Node", mend: "look again with a kubeconfig")
        } else {
            let mayUnmark = node != nil && !snapshot.isChanging
            find(
                .memberMarked, .problem, "\(name) is marked for removal \(id), which no node knows of",
                means: "the next update of anyone replaces or removes it",
                mend: node == nil
                    ? "nothing: it is no node, and the next update takes it away"
                    : "take the mark back (a running Actuator does)",
                repair: mayUnmark ? .unmark(member: member.name) : nil)
        }
    }

    private mutating func lookAtHook(_ member: HeatMember, _ node: HeatPatient.Node?) {
        for hook in patient.hooks where hook.member == member.name {
            let isDrained: Bool
            let state: String
            if let node {
                let phases: Set<RemovalPhase> = [.drained, .removing, .removed]
                isDrained = node.movedPods == 0 || node.record.map { phases.contains($0.phase) } == true
                state =
                    isDrained ? "node \(node.name) is drained" : "node \(node.name) still has \(node.movedPods) pods"
            } else if let obstacle = patient.mayBeNode(member) {
                isDrained = false
                state = obstacle
            } else {
                isDrained = true
                state = "it is no node (any more)"
            }
            find(
                .hookPending, isDrained ? .problem : .warning,
                "member \(member.name) waits at "
                    + "\(hook.isDeployment ? "its software deployment" : "the pre-delete hook of") \(hook.resource); \(state)",
                means: "the stack waits for it until its time limit, and then fails",
                mend: isDrained
                    ? "clear the hook" : "see that its node is drained, then clear the hook (a running Actuator does)",
                repair: isDrained ? .clearHook(member: member.name, resource: hook.resource) : nil)
        }
    }

    private mutating func lookAtServer(_ member: HeatMember, _ name: String, _ node: HeatPatient.Node?) {
        guard let serverID = member.serverID else {
            if member.status.state == .complete {
                find(
                    .serverUnknown, .problem, "\(name) is \(member.status) and has no server that can be told",
                    means: "its Node cannot be found, so it can never be removed as a chosen one",
                    mend: "name the server resource in the member's template 'server'")
            }
            return
        }
        switch patient.servers[serverID] {
        case .gone:
            find(
                .serverGone, .problem, "\(name): Nova knows no such server",
                means: "it was deleted by hand; Heat does not notice and counts it",
                mend: "openstack stack check makes Heat look; the Decider has it removed after the provision time")
        case .status("ERROR", let fault):
            find(
                .serverFailed, .problem, "\(name): Nova says ERROR\(fault.map { ": \($0.prefix(200))" } ?? "")",
                means: "it will not become a node; Heat does not notice",
                mend:
                    "the Decider has it removed after the provision time; or mark the member unhealthy and update the stack"
            )
        case .status(let status, _) where status != "ACTIVE" && status != "BUILD":
            find(
                .serverFailed, .warning, "\(name): Nova says \(status)", means: "its node does not work meanwhile",
                mend: "start it, or have the node removed")
        default: break
        }
    }
}
