import Messages
import Support

/// What may be done about machines of a group that are no Nodes.
struct LostMachines {
    /// Those that may go.
    var ids: [String] = []
    /// The one of them that may have been a Node.
    var released: String?
    /// Why others stay.
    var hold: Explanation?
}

extension Engine {
    /// Machines of a group whose time to become a Node is over and that may go for it, and why others may not.
    ///
    /// Where more machines lack a Node than chance explains, it may be that Nodes were deleted or are not seen, or that the stack is
    /// another cluster's: their machines do their work. Then only those go that were seen without a Node when they were new. A
    /// full group that pods wait for lets one of the others go at a time, if it is known that its machines become Nodes. So does a
    /// small group that has no Node left, whatever waits.
    func machinesToRemove(
        _ number: Int, _ standings: [GroupStanding], _ pass: ScaleUpPass?, at now: Timestamp
    ) -> LostMachines {
        guard !standings[number].readiness.longUnregistered.isEmpty else { return LostMachines() }
        let lost = Set(standings[number].readiness.longUnregistered)
        let members = (groups[number].state?.members ?? []).filter { $0.serverID.map(lost.contains) ?? false }
        let ids = members.compactMap(\.serverID).sorted()
        guard !ids.isEmpty, !configuration.peer.repairsFirst else { return LostMachines(ids: ids) }
        let memory = groups[number].memory
        let new = members.filter { member in
            guard let id = member.serverID, let first = memory.unregisteredSince[id] else { return false }
            if memory.replaced?.contains(id) ?? false { return true }
            return member.createdAt.map { first <= $0 + provisionTimeout(groups[number]) } ?? false
        }.compactMap(\.serverID).sorted()
        let isNew = Set(new)
        let old = ids.filter { !isNew.contains($0) }
        guard let first = old.first else { return LostMachines(ids: ids) }
        let isNext = new.isEmpty && hasSettled(number, standings[number], at: now)
        guard let many = tooManyLost(number, standings) else {
            let isLetGo = memory.releasedAt.map { now <= $0 + provisionTimeout(groups[number]) } ?? false
            guard old.count > 1 || isLetGo, !standings[number].readiness.hasNodes else {
                return LostMachines(ids: ids)
            }
            return LostMachines(
                ids: isNext ? [first] : new, released: isNext ? first : nil,
                hold: Explanation(
                    .groupUnhealthy, "no machine has a Node: \(old.count) that may have been Nodes go one by one"))
        }
        if isNext, let pass, isFullAndWanted(number, standings[number], pass) {
            return LostMachines(
                ids: [first], released: first,
                hold: Explanation(.groupUnhealthy, "\(many): they go one by one, since pods wait and the group is full")
            )
        }
        return LostMachines(
            ids: new,
            hold: Explanation(.groupUnhealthy, "\(many): \(old.count) that may have been Nodes are not removed"))
    }

    /// That more of the group's machines have no Node than is tolerated; nil: not more.
    private func tooManyLost(_ number: Int, _ standings: [GroupStanding]) -> String? {
        let rules = configuration.health
        func isTooMany(_ lost: Int, of all: Int) -> Bool {
            lost > rules.toleratedUnready && Double(lost) > rules.maximumUnreadyPercent / 100 * Double(all)
        }
        func sum(_ numbers: [Int]) -> (lost: Int, all: Int) {
            numbers.reduce((0, 0)) { sum, number in
                (
                    sum.0 + standings[number].readiness.longUnregistered.count,
                    sum.1 + (groups[number].state?.size ?? 0)
                )
            }
        }
        let own = sum([number])
        // A group that never had a Node (another cluster's stack, an image that does not work) says nothing of the others: of one
        // that had some only those like it are asked.
        let isKnown = hasHadNodes(number, standings[number])
        let like = groups.indices.filter { !isKnown || hasHadNodes($0, standings[$0]) }
        let all = sum(like)
        guard isTooMany(own.lost, of: own.all) || isTooMany(all.lost, of: all.all) else { return nil }
        let whose = like.count == groups.count ? "of all groups" : "of all groups that have had Nodes"
        return
            "\(own.lost) of \(own.all) machines have no Node, \(whose) \(all.lost) of \(all.all), which is more than "
            + "decider.ok_unready (\(rules.toleratedUnready)) and max_unready_percent (\(Int(rules.maximumUnreadyPercent)))"
    }

    private func hasHadNodes(_ number: Int, _ standing: GroupStanding) -> Bool {
        groups[number].isKnownToWork || standing.readiness.hasNodes
    }

    /// Whether nothing is coming, and what came for the last machine that was let go has had its time.
    private func hasSettled(_ number: Int, _ standing: GroupStanding, at now: Timestamp) -> Bool {
        let group = groups[number]
        return standing.upcoming == 0 && group.memory.releasedAt.map { now > $0 + provisionTimeout(group) } ?? true
    }

    /// Whether pods wait for nodes of a group that may not have more machines.
    private func isFullAndWanted(_ number: Int, _ standing: GroupStanding, _ pass: ScaleUpPass) -> Bool {
        guard groups[number].target >= groups[number].maximum, hasHadNodes(number, standing), let plan = pass.plan
        else { return false }
        return plan.obstacles.indices.contains {
            pass.demands[$0].open > 0 && !pass.demands[$0].isHeadroom
                && !(plan.obstacles[$0][number]?.reason.isConstraint ?? false)
        }
    }
}
