import OpenStack
import Support

/// Members that left the list while nobody looked: this process has just begun, or could not read the group for a while.
///
/// One that is replaced and held is in no list, and no record tells of it if no Actuator saw it in one. While the group
/// changes, the events of its stack do (docs/openstack/heat.md §6); afterwards only its Node is left (`lookForStrangers`).
extension HeatDoor {
    /// Not looked at for longer than this, a group may have lost members unseen.
    private static let watchGap = Interval.minutes(2)
    /// Heat keeps a thousand events of a stack, unless told otherwise.
    private static let maximumEventPages = 4
    private static let eventPage = 500

    /// Members whose deletion has begun and that are in no list, if some may have been missed.
    func missed(_ group: String, _ snapshot: HeatGroupSnapshot) async -> [HeatMember] {
        let now = Timestamp.now()
        let isWatched = state.withLock { $0.watched[group].map { now - $0 < Self.watchGap } ?? false }
        var found: [HeatMember] = []
        if !isWatched, snapshot.isChanging, Self.areStacks(snapshot), let stack = snapshot.groupStack?.id {
            let (members, isWhole) = await leaving(stack, snapshot)
            // What could not be read is looked for again at the next reading.
            guard isWhole else { return members }
            found = members
        }
        state.withLock { $0.watched[group] = now }
        return found
    }

    private func leaving(
        _ groupStack: StackID, _ snapshot: HeatGroupSnapshot
    ) async -> (members: [HeatMember], isWhole: Bool) {
        let listed = Set(snapshot.members.compactMap(\.physicalID))
        let newest: [String: HeatEvent]
        do throws(OpenStackError) {
            newest = try await newestEvents(groupStack)
        } catch {
            return ([], false)
        }
        let candidates = newest.filter { id, event in
            !listed.contains(id) && event.status.text == "DELETE_IN_PROGRESS"
        }.sorted { $0.key < $1.key }
        return await withTaskGroup(of: Result<HeatMember?, OpenStackError>.self) { tasks in
            for (id, event) in candidates.prefix(Self.maximumDeparted) {
                tasks.addTask { await self.member(id, event) }
            }
            var members: [HeatMember] = []
            var isWhole = candidates.count <= Self.maximumDeparted
            for await result in tasks {
                switch result {
                case .success(let member): if let member { members.append(member) }
                case .failure: isWhole = false
                }
            }
            return (members.sorted { ($0.physicalID ?? "") < ($1.physicalID ?? "") }, isWhole)
        }
    }

    /// The last event of each member of a group, by physical id.
    private func newestEvents(_ groupStack: StackID) async throws(OpenStackError) -> [String: HeatEvent] {
        var newest: [String: HeatEvent] = [:]
        var marker: String?
        for _ in 0..<Self.maximumEventPages {
            let page = try await client.events(
                groupStack, nestedDepth: 0, after: marker, limit: Self.eventPage, newestFirst: true)
            for event in page {
                // (Its own events are the group stack's as a whole.)
                guard let id = event.physicalID, id != groupStack.id, newest[id] == nil else { continue }
                newest[id] = event
            }
            guard page.count == Self.eventPage, let last = page.last else { break }
            marker = last.id
        }
        return newest
    }

    /// A member as it was, with the server that its stack has. Without knowing the server it would be taken for one that is
    /// no node, and let go.
    private func member(_ id: String, _ event: HeatEvent) async -> Result<HeatMember?, OpenStackError> {
        do throws(OpenStackError) {
            let stack = try await client.resolve(id)
            let server = try await client.server(inMember: stack)
            return .success(
                HeatMember(
                    name: event.resource, physicalID: id, type: "", status: event.status, serverID: server.id,
                    candidates: server.candidates, stack: stack))
        } catch {
            // Gone meanwhile, or no stack at all.
            if error.isGoneStack || error.code == .badRequest { return .success(nil) }
            return .failure(error)
        }
    }
}
