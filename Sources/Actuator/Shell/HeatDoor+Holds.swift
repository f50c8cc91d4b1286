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
        /// By physical id: members of which too little is known to say that they are gone, and why.
        var unsettled: [String: String] = [:]
    }

    /// What became of a member that is in no list.
    private enum Look: Sendable {
        case gone
        case there(HeatStack)
        case unsettled(String)
    }

    private static let holdingAge = Interval.seconds(600)
    /// Of members that left the list so many are looked for in one reading; the others in the next.
    static let maximumDeparted = 64

    func holds(
        _ group: String, _ snapshot: HeatGroupSnapshot, before: HeatGroupSnapshot?, expecting: [ExpectedMember]
    ) async -> Holds {
        var holds = Holds(canHold: await canHold(group, snapshot))
        let missed = await missed(group, snapshot)
        remember(group, snapshot, (before?.members ?? []) + missed, expecting)
        await lookForDeparted(group, snapshot, expecting, &holds)
        let leaving = (snapshot.members + holds.departed).filter { $0.status.text == "DELETE_IN_PROGRESS" }
        let results = await withTaskGroup(of: (String, Result<[HeldDeletion], OpenStackError>).self) { tasks in
            for member in leaving {
                guard let stack = member.stack else { continue }
                tasks.addTask { (stack.id, await self.found(in: stack)) }
            }
            var results: [(String, Result<[HeldDeletion], OpenStackError>)] = []
            for await result in tasks { results.append(result) }
            return results
        }
        for (id, result) in results {
            switch result {
            case .success(let found): holds.held += found
            // The others are looked at all the same; of this one nothing is concluded.
            case .failure(let error): holds.unsettled[id] = "what holds it could not be read: \(error)"
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

    // MARK: Members in no list

    /// Keeps in mind which members left the list while the group changes, and those that records tell of: another process
    /// may have seen them leave, and the stack may have come to rest since.
    private func remember(
        _ group: String, _ snapshot: HeatGroupSnapshot, _ before: [HeatMember], _ expecting: [ExpectedMember]
    ) {
        let listed = Set(snapshot.members.compactMap(\.physicalID))
        let left = snapshot.isChanging ? before.filter { $0.stack != nil } : []
        let expected = expecting.map { member in
            HeatMember(
                name: member.name, physicalID: member.physicalID, type: "", status: snapshot.resourceStatus,
                serverID: member.serverID)
        }
        state.withLock { state in
            var known = state.departed[group] ?? []
            let gone = state.gone[group]?.intersection(expecting.map(\.physicalID)) ?? []
            state.gone[group] = gone.isEmpty ? nil : gone
            var ids = gone.union(known.compactMap(\.physicalID))
            // Those that records tell of first: a Node waits for what becomes of them.
            for member in expected + left {
                if let id = member.physicalID, ids.insert(id).inserted { known.append(member) }
            }
            known.removeAll { member in member.physicalID.map { listed.contains($0) } ?? true }
            state.departed[group] = known.isEmpty ? nil : known
        }
    }

    /// Of the members that left the list, those whose stacks are being deleted, or were to be and that failed: at the
    /// stack's timeout the server of a held one lives on (docs/openstack/heat.md §6).
    private func lookForDeparted(
        _ group: String, _ snapshot: HeatGroupSnapshot, _ expecting: [ExpectedMember], _ holds: inout Holds
    ) async {
        let expected = Set(expecting.map(\.physicalID))
        let all = state.withLock { $0.departed[group] ?? [] }
        let known = all.sorted { expected.contains($0.physicalID ?? "") && !expected.contains($1.physicalID ?? "") }
        for member in known.dropFirst(Self.maximumDeparted) {
            if let id = member.physicalID { holds.unsettled[id] = "its turn has not come: many at once are in no list" }
        }
        // (Where no member is a stack, nothing can be a member's stack.)
        let areStacks = Self.areStacks(snapshot)
        let looks = await withTaskGroup(of: (Int, Look).self) { tasks in
            for (index, member) in known.prefix(Self.maximumDeparted).enumerated() {
                tasks.addTask { (index, await (areStacks ? self.look(at: member) : self.lookAtServer(of: member))) }
            }
            var looks: [Int: Look] = [:]
            for await (index, look) in tasks { looks[index] = look }
            return looks
        }
        var still = Array(known.dropFirst(Self.maximumDeparted))
        var gone: Set<String> = []
        for (index, member) in known.prefix(Self.maximumDeparted).enumerated() {
            guard let id = member.physicalID else { continue }
            switch looks[index] {
            case .gone:
                if expected.contains(id) { gone.insert(id) }
            case nil: break
            case .unsettled(let why):
                holds.unsettled[id] = why
                still.append(member)
            case .there(let stack):
                let found = HeatMember(
                    name: member.name, physicalID: id, type: member.type, status: stack.status,
                    statusReason: stack.statusReason, createdAt: member.createdAt, serverID: member.serverID,
                    candidates: member.candidates, stack: stack.id)
                if stack.status.text.hasPrefix("DELETE_") {
                    holds.departed.append(found)
                } else {
                    guard snapshot.isChanging || expected.contains(id) else { continue }
                    holds.unsettled[id] = "its stack is \(stack.status.text)"
                }
                still.append(found)
            }
        }
        let (remaining, found) = (still, gone)
        state.withLock { state in
            state.departed[group] = remaining.isEmpty ? nil : remaining
            if !found.isEmpty { state.gone[group, default: []].formUnion(found) }
        }
    }

    static func areStacks(_ snapshot: HeatGroupSnapshot) -> Bool {
        snapshot.members.isEmpty || snapshot.members.contains { $0.stack != nil }
    }

    private func look(at member: HeatMember) async -> Look {
        do throws(OpenStackError) {
            let id: StackID
            if let stack = member.stack {
                id = stack
            } else {
                id = try await client.resolve(member.physicalID ?? "")
            }
            let stack = try await client.stack(id)
            return stack.status.isDeleted ? .gone : .there(stack)
        } catch {
            // Heat's own word, and no proxy's. (A record may name what can be no stack.)
            if error.isGoneStack || (member.stack == nil && error.code == .badRequest) { return .gone }
            return .unsettled("its stack could not be read: \(error)")
        }
    }

    /// A member that is a server and no stack: gone only by Nova's word.
    private func lookAtServer(of member: HeatMember) async -> Look {
        guard let id = member.serverID else { return .gone }
        do throws(OpenStackError) {
            let server = try await client.server(id)
            return Self.isGone(server) ? .gone : .unsettled("its server \(id) is \(server.status)")
        } catch {
            return error.code == .notFound ? .gone : .unsettled("its server could not be read: \(error)")
        }
    }

    /// With deferred deletion (`reclaim_instance_interval`) Nova keeps a deleted server for hours or days; it is off, and to
    /// Heat it is deleted.
    private static func isGone(_ server: NovaServer) -> Bool {
        server.status == "DELETED" || server.status == "SOFT_DELETED" && (server.task ?? "").isEmpty
    }

    /// Whether the stack says that it holds deletions: by its environment, or the template of its members. Nil: it
    /// could not be read.
    private func canHold(_ group: String, _ snapshot: HeatGroupSnapshot) async -> Bool? {
        let now = Timestamp.now()
        let key = "\(group) \(snapshot.stack.id.id) \(snapshot.stack.updatedAt?.microseconds ?? 0)"
        if let known = state.withLock({ $0.holding[key] }), now - known.at < Self.holdingAge { return known.value }
        guard let member = snapshot.members.first(where: { !$0.isFailed }) else { return nil }
        let found: Bool
        if let stack = member.stack {
            let environment = try? await client.environment(snapshot.stack.id)
            guard let template = try? await client.template(stack) else {
                // Asked again at the next reading; till then a hook, wherever it is, counts.
                let hooked = environment.map { HoldCapability.hooked($0, group: snapshot.resource) }
                return hooked?.isEmpty == false ? true : nil
            }
            if HoldCapability.hasDeployment(template) {
                found = true
            } else if let environment {
                found = HoldCapability.hasHook(environment, group: snapshot.resource, memberTemplate: template)
            } else {
                return nil
            }
        } else {
            // Hooks on plain servers are silent when a group shrinks.
            found = false
        }
        state.withLock { state in
            state.holding = state.holding.filter { !$0.key.hasPrefix("\(group) ") }
            state.holding[key] = Cached(value: found, at: now)
        }
        return found
    }

    // MARK: Letting go

    func letGo(_ group: String, memberIDs: [String]) async throws(ActFailure) {
        try refuseInDryRun("let members of \(group) go")
        try await answer(group, memberIDs) { (hold, stack) async throws(OpenStackError) in
            try await self.client.release(hold, of: stack)
        }
    }

    func refuse(_ group: String, memberIDs: [String]) async throws(ActFailure) {
        try refuseInDryRun("refuse that members of \(group) are deleted")
        try await answer(group, memberIDs) { (hold, stack) async throws(OpenStackError) in
            _ = try await self.client.refuse(hold, of: stack)
        }
    }

    /// Answers whatever holds these members: side by side, as many as the client asks Heat at once. One that cannot be
    /// answered keeps none of the others waiting.
    private func answer(
        _ group: String, _ memberIDs: [String],
        _ body: @escaping @Sendable (HeatHold, StackID) async throws(OpenStackError) -> Void
    ) async throws(ActFailure) {
        let snapshot = try last(group)
        let departed = state.withLock { $0.departed[group] ?? [] }
        let meant = Set(memberIDs)
        let failure = await withTaskGroup(of: OpenStackError?.self) { tasks in
            for member in snapshot.members + departed {
                guard let id = member.physicalID, meant.contains(id), let stack = member.stack else { continue }
                tasks.addTask { await self.answer(stack, body) }
            }
            var failure: OpenStackError?
            for await one in tasks { failure = failure ?? one }
            return failure
        }
        if let failure { throw ActFailure(failure) }
    }

    /// What went wrong; nil: nothing, or what held it is gone.
    private func answer(
        _ stack: StackID, _ body: @Sendable (HeatHold, StackID) async throws(OpenStackError) -> Void
    ) async -> OpenStackError? {
        do throws(OpenStackError) {
            for hold in try await client.holds(of: stack) { try await body(hold, stack) }
            return nil
        } catch {
            return error.code == .notFound || error.code == .badRequest ? nil : error
        }
    }

    func fate(ofServer id: String) async -> ServerFate {
        do throws(OpenStackError) {
            let server = try await client.server(id)
            if Self.isGone(server) { return .gone }
            if server.task == "deleting" || server.task == "soft-deleting" || server.status == "SOFT_DELETED" {
                return .leaving
            }
            if server.status == "ERROR" { return .failed(String((server.fault ?? "no fault given").prefix(300))) }
            return .there
        } catch {
            return error.code == .notFound ? .gone : .unknown(ActFailure(error))
        }
    }
}
