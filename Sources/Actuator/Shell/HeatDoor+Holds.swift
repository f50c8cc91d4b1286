import Messages
import OpenStack
import Support

/// Deletions of members that something in the stack holds: found, and let go.
extension HeatDoor {
    /// What holds the members of a group.
    struct Holds: Sendable {
        var canHold: Bool?
        var held: [HeldDeletion] = []
        /// Members that are not listed any more but not gone: replaced ones keep their stack until it is deleted, and
        /// for good if that failed.
        var departed: [HeatMember] = []
    }

    private static let holdingAge = Interval.seconds(600)
    /// Of members that left the list; more at once are not looked for.
    private static let maximumDeparted = 64

    func holds(
        _ group: String, _ snapshot: HeatGroupSnapshot, before: HeatGroupSnapshot?, expecting: [ExpectedMember]
    ) async throws(ActFailure) -> Holds {
        var holds = Holds(canHold: await canHold(group, snapshot))
        remember(group, snapshot, before)
        do throws(OpenStackError) {
            if snapshot.isChanging { try await lookFor(expecting, group, snapshot) }
            holds.departed = try await departed(group, snapshot)
        } catch {
            // That a member could not be looked at says nothing of it; without it the reading would say that it is gone.
            throw ActFailure(error)
        }
        guard snapshot.isChanging else { return holds }
        let leaving = (snapshot.members + holds.departed).filter { $0.status.text == "DELETE_IN_PROGRESS" }
        let results = await withTaskGroup(of: Result<[HeldDeletion], OpenStackError>.self) { tasks in
            for member in leaving {
                guard let stack = member.stack else { continue }
                tasks.addTask { await self.found(in: stack) }
            }
            var results: [Result<[HeldDeletion], OpenStackError>] = []
            for await result in tasks { results.append(result) }
            return results
        }
        for result in results {
            do throws(OpenStackError) {
                holds.held += try result.get()
            } catch {
                throw ActFailure(error)
            }
        }
        holds.held.sort { ($0.memberID, $0.resource) < ($1.memberID, $1.resource) }
        return holds
    }

    private func found(in stack: StackID) async -> Result<[HeldDeletion], OpenStackError> {
        do throws(OpenStackError) {
            return .success(
                try await client.holds(of: stack).map {
                    HeldDeletion(
                        memberID: stack.id, kind: $0.kind == .hook ? .hook : .deployment, resource: $0.resource,
                        since: $0.since)
                })
        } catch {
            return .failure(error)
        }
    }

    /// Members that another process saw leave: what their records say of them is enough to find their stacks.
    private func lookFor(
        _ expected: [ExpectedMember], _ group: String, _ snapshot: HeatGroupSnapshot
    ) async throws(OpenStackError) {
        // Members that are no stacks (plain servers) are not held by anything.
        guard snapshot.members.contains(where: { $0.stack != nil }) else { return }
        let listed = Set(snapshot.members.compactMap(\.physicalID))
        let known = Set(state.withLock { $0.departed[group] ?? [] }.compactMap(\.physicalID))
        for member in expected.prefix(Self.maximumDeparted)
        where !listed.contains(member.physicalID) && !known.contains(member.physicalID) {
            let id: StackID
            do throws(OpenStackError) {
                id = try await client.resolve(member.physicalID)
            } catch {
                // (A record may name what can be no stack.)
                if error.code == .notFound || error.code == .badRequest { continue }
                throw error
            }
            guard let stack = try await undeleted(id) else { continue }
            let found = HeatMember(
                name: member.name, physicalID: member.physicalID, type: "", status: stack.status,
                statusReason: stack.statusReason, createdAt: nil, serverID: member.serverID, stack: id)
            state.withLock { $0.departed[group, default: []].append(found) }
        }
    }

    /// Keeps in mind which members left the list while the group changes.
    private func remember(_ group: String, _ snapshot: HeatGroupSnapshot, _ before: HeatGroupSnapshot?) {
        let listed = Set(snapshot.members.compactMap(\.physicalID))
        let candidates = snapshot.isChanging ? before?.members ?? [] : []
        state.withLock { state in
            var known = state.departed[group] ?? []
            known += candidates.filter { member in !known.contains { $0.physicalID == member.physicalID } }
            known.removeAll { member in
                member.stack == nil || member.physicalID.map { listed.contains($0) } ?? true
            }
            state.departed[group] = known.isEmpty ? nil : Array(known.prefix(Self.maximumDeparted))
        }
    }

    /// Of the members that left the list, those whose stacks are being deleted, or were to be and that failed: at the
    /// stack's timeout the server of a held one lives on (docs/openstack/heat.md §6).
    private func departed(
        _ group: String, _ snapshot: HeatGroupSnapshot
    ) async throws(OpenStackError) -> [HeatMember] {
        var still: [HeatMember] = []
        var leaving: [HeatMember] = []
        for member in state.withLock({ $0.departed[group] ?? [] }) {
            guard let id = member.stack, let stack = try await undeleted(id) else { continue }
            let isToGo = stack.status.text.hasPrefix("DELETE_")
            guard isToGo || snapshot.isChanging else { continue }
            still.append(member)
            guard isToGo else { continue }
            leaving.append(
                HeatMember(
                    name: member.name, physicalID: member.physicalID, type: member.type, status: stack.status,
                    statusReason: stack.statusReason, createdAt: member.createdAt, serverID: member.serverID,
                    stack: member.stack))
        }
        let remaining = still
        state.withLock { $0.departed[group] = remaining.isEmpty ? nil : remaining }
        return leaving
    }

    /// The stack; nil: it was deleted.
    private func undeleted(_ id: StackID) async throws(OpenStackError) -> HeatStack? {
        do throws(OpenStackError) {
            let stack = try await client.stack(id)
            return stack.status.isDeleted ? nil : stack
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    /// Whether the stack says that it holds deletions: by its environment, or the template of its members. Nil: it
    /// could not be read.
    private func canHold(_ group: String, _ snapshot: HeatGroupSnapshot) async -> Bool? {
        let now = Timestamp.now()
        let key = "\(group) \(snapshot.stack.id.id) \(snapshot.stack.updatedAt?.microseconds ?? 0)"
        if let known = state.withLock({ $0.holding[key] }), now - known.at < Self.holdingAge { return known.value }
        guard let member = snapshot.members.first(where: { !$0.isFailed }) else { return nil }
        var found: Bool?
        if let stack = member.stack {
            let environment = try? await client.environment(snapshot.stack.id)
            let template = try? await client.template(stack)
            let hook = environment.map { HoldCapability.hasHook($0, group: snapshot.resource) }
            let deployment = template.map(HoldCapability.hasDeployment)
            if hook == true || deployment == true {
                found = true
            } else if hook == false && deployment == false {
                found = false
            }
        } else {
            // Hooks on plain servers are silent when a group shrinks.
            found = false
        }
        let value = found
        state.withLock { state in
            state.holding = state.holding.filter { !$0.key.hasPrefix("\(group) ") }
            state.holding[key] = Cached(value: value, at: now)
        }
        return found
    }

    // MARK: Letting go

    func letGo(_ group: String, memberIDs: [String]) async throws(ActFailure) {
        try refuseInDryRun("let members of \(group) go")
        let snapshot = try last(group)
        let departed = state.withLock { $0.departed[group] ?? [] }
        var failure: OpenStackError?
        for member in snapshot.members + departed {
            guard let id = member.physicalID, memberIDs.contains(id), let stack = member.stack else { continue }
            do throws(OpenStackError) {
                for hold in try await client.holds(of: stack) { try await client.release(hold, of: stack) }
            } catch {
                if error.code != .notFound && error.code != .badRequest { failure = error }
            }
        }
        if let failure { throw ActFailure(failure) }
    }

    func fate(ofServer id: String) async -> ServerFate {
        do throws(OpenStackError) {
            let server = try await client.server(id)
            if server.task == "deleting" || server.task == "soft-deleting" || server.status == "SOFT_DELETED" {
                return .leaving
            }
            if server.status == "DELETED" { return .gone }
            if server.status == "ERROR" { return .failed(String((server.fault ?? "no fault given").prefix(300))) }
            return .there
        } catch {
            return error.code == .notFound ? .gone : .unknown(ActFailure(error))
        }
    }
}
