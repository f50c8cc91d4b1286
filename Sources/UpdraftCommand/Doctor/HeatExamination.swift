import JSONReader
import Kubernetes
import Messages
import OpenStack
import Settings
import Support

/// Reads what the diagnosis needs, and carries out its repairs.
struct HeatExamination: Sendable {
    let settings: Settings
    let openstack: OpenStackClient
    /// Nil: without a look at the nodes.
    let kubernetes: KubernetesClient?

    /// A group as it is now.
    func examine(
        _ group: Settings.Group, _ nodes: [HeatPatient.Node]?
    ) async throws(OpenStackError) -> HeatPatient {
        let snapshot = try await openstack.groupSnapshot(
            stack: group.stack, resource: group.resource, desiredParameter: group.sizeParameter)
        var patient = HeatPatient(
            group: group, snapshot: snapshot, hookSetting: await hookSetting(snapshot),
            longestDrain: HeatPatient.longestDrain(settings), now: .now())
        for other in settings.groups where other.id != group.id && other.stack == group.stack {
            let snapshot = try await openstack.groupSnapshot(
                stack: other.stack, resource: other.resource, desiredParameter: other.sizeParameter)
            patient.others.append(HeatPatient.Other(group: other, snapshot: snapshot))
        }
        patient.nodes = nodes
        patient.hooks = try await hooks(snapshot)
        patient.servers = await servers(snapshot)
        return patient
    }

    /// What holds members just now.
    private func hooks(_ snapshot: HeatGroupSnapshot) async throws(OpenStackError) -> Set<HeatPatient.Hook> {
        var hooks: Set<HeatPatient.Hook> = []
        for member in snapshot.members where member.status.text.hasPrefix("DELETE_") {
            guard let stack = member.stack else { continue }
            for hold in try await openstack.holds(of: stack) {
                hooks.insert(
                    HeatPatient.Hook(
                        member: member.name, resource: hold.resource, isDeployment: hold.kind == .deployment))
            }
        }
        return hooks
    }

    /// Whether the environment hooks the deletion of anything inside the group's members, or their template has a
    /// software deployment that holds it.
    private func hookSetting(_ snapshot: HeatGroupSnapshot) async -> HeatPatient.HookSetting {
        do throws(OpenStackError) {
            let environment = try await openstack.environment(snapshot.stack.id)
            let hooked = HoldCapability.hooked(environment, group: snapshot.resource)
            guard let stack = snapshot.members.lazy.compactMap(\.stack).first else {
                // What members have nobody can tell, or they are servers, whose hooks are silent when a group shrinks.
                return hooked.isEmpty || !snapshot.members.isEmpty ? .absent : .present
            }
            let template = try await openstack.template(stack)
            if HoldCapability.hasHook(environment, group: snapshot.resource, memberTemplate: template)
                || HoldCapability.hasDeployment(template)
            {
                return .present
            }
            return hooked.isEmpty
                ? .absent : .onNothing(hooked: hooked, resources: HoldCapability.resourceNames(template))
        } catch {
            return .unknown(error.description)
        }
    }

    private func servers(_ snapshot: HeatGroupSnapshot) async -> [String: HeatPatient.Server] {
        var servers: [String: HeatPatient.Server] = [:]
        for id in snapshot.members.compactMap(\.serverID) {
            do throws(OpenStackError) {
                let server = try await openstack.server(id)
                servers[id] = server.status == "DELETED" ? .gone : .status(server.status, fault: server.fault)
            } catch {
                // Without Nova's word the rest still holds.
                if error.code == .notFound { servers[id] = .gone }
            }
        }
        return servers
    }

    /// The nodes, with their removals and how many pods a removal would move.
    func nodes() async throws(KubernetesError) -> [HeatPatient.Node]? {
        guard let kubernetes else { return nil }
        var moved: [String: Int] = [:]
        for pod in try await kubernetes.all(PodObject.self).map(NodePod.init) where pod.isMoved {
            moved[pod.node, default: 0] += 1
        }
        return try await kubernetes.all(NodeObject.self).map(\.node).map { node in
            var found = HeatPatient.Node(
                name: node.name, isReady: node.readiness == .ready, isCordoned: node.unschedulable,
                isControlPlane: node.isControlPlane, serverID: node.serverID,
                movedPods: moved[node.name] ?? 0)
            if let text = node.annotations[RemovalNames.record] {
                do throws(MessageError) {
                    found.record = try RemovalRecord(text: text)
                } catch {
                    found.recordMistake = error.description
                }
            }
            return found
        }
    }

    /// Carries a repair out, unless a second look, at the nodes as well, shows that nothing is to be repaired any more:
    /// then false.
    func carryOut(_ repair: HeatFinding.Repair, _ group: Settings.Group) async throws(OpenStackError) -> Bool {
        // Pods may have come while somebody thought about the question. Nodes that cannot be read now count as not known.
        let nodes = try? await nodes()
        let patient = try await examine(group, nodes)
        guard HeatDiagnosis(patient).findings.contains(where: { $0.repair == repair }) else { return false }
        try await carryOut(repair, patient)
        return true
    }

    private func carryOut(_ repair: HeatFinding.Repair, _ patient: HeatPatient) async throws(OpenStackError) {
        let snapshot = patient.snapshot
        switch repair {
        case .clearHook(let name, let resource):
            guard let stack = snapshot.members.first(where: { $0.name == name })?.stack else { return }
            do throws(OpenStackError) {
                let isDeployment = patient.hooks.contains {
                    $0.member == name && $0.resource == resource && $0.isDeployment
                }
                let hold = HeatHold(kind: isDeployment ? .deployment : .hook, resource: resource)
                try await openstack.release(hold, of: stack)
            } catch {
                if error.code != .notFound && error.code != .badRequest { throw error }
            }
        case .resend(let size):
            var sizes = sizesToKeep(patient)
            sizes[patient.parameter] = .int(Int64(size))
            try await openstack.patch(snapshot.stack.id, parameters: sizes)
        case .unmark(let name):
            guard let groupStack = snapshot.groupStack else { return }
            try await openstack.mark(
                groupStack.id, member: name, unhealthy: false, reason: "no removal claims it (updraft doctor)")
        }
    }

    /// What the other groups of the stack have, where its parameter for them says something else: an update of a stack
    /// resizes all of its groups.
    private func sizesToKeep(_ patient: HeatPatient) -> [String: JSONValue] {
        var sizes: [String: JSONValue] = [:]
        for other in patient.others {
            guard let desired = other.snapshot.desired else { continue }
            let has = max(other.snapshot.size, other.group.min, 1)
            if has > desired { sizes[other.group.sizeParameter] = .int(Int64(has)) }
        }
        return sizes
    }
}
