import Messages
import Support

/// The nodes counted by state: what does not change while no node does and no start runs out of time.
struct Census: Sendable {
    fileprivate var nodesRevision = -1
    fileprivate var groupsRevision = -1
    fileprivate var startup = Interval.zero
    fileprivate var takenAt = Timestamp(seconds: 0)
    /// When the first of the starting nodes has had its time.
    fileprivate var validUntil: Timestamp?
    /// By group; servers without a Node are not in it.
    var readiness: [GroupReadiness] = []
    /// Slots of nodes that are being removed, in order.
    var leaving: [Int32] = []
    /// Nodes that do not work although they have had the time to start.
    var unready = 0
    /// Nodes that work and are not being removed.
    var ready = 0
    var total = 0
    /// What the groups' nodes offer that stay.
    var cpu: Int64 = 0
    var memory: Int64 = 0
}

extension Engine {
    /// Brings the census up to date. `assign` has to be done.
    mutating func takeCensus(at now: Timestamp) {
        let startup = configuration.health.startupTimeout
        if census.nodesRevision == model.nodesRevision && census.groupsRevision == assignedGroupsRevision
            && census.startup == startup && census.takenAt <= now
            && census.validUntil.map({ now < $0 }) ?? true
        {
            return
        }
        var next = Census()
        next.nodesRevision = model.nodesRevision
        next.groupsRevision = assignedGroupsRevision
        next.startup = startup
        next.takenAt = now
        next.readiness = [GroupReadiness](repeating: GroupReadiness(), count: groups.count)
        for slot in model.order {
            let index = Int(slot)
            let number = Int(groupOfSlot[index])
            let brief = model.briefs[index]
            let isStarting = !brief.isReady && !brief.isLeaving && brief.createdAt + startup > now
            next.total += 1
            if isStarting {
                let end = brief.createdAt + startup
                next.validUntil = min(next.validUntil ?? end, end)
            } else if !brief.isReady && !brief.isLeaving {
                next.unready += 1
            }
            if brief.isLeaving { next.leaving.append(slot) } else if brief.isReady { next.ready += 1 }
            guard number >= 0 else { continue }
            if brief.isLeaving {
                next.readiness[number].leaving.append(index)
                continue
            }
            next.cpu += brief.cpu
            next.memory += brief.memory
            if brief.isReady {
                next.readiness[number].ready.append(index)
            } else if isStarting {
                next.readiness[number].starting.append(index)
            } else {
                next.readiness[number].unready.append(index)
            }
        }
        census = next
    }
}
