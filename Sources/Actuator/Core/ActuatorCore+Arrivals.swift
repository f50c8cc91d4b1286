import Messages
import Support

/// Nodes that join, and those that no group owns.
extension ActuatorCore {
    mutating func lookForArrivals() {
        for name in arrivals.waiting.sorted() {
            if let view = nodes[name] { lookForArrival(view) } else { arrivals.waiting.remove(name) }
        }
    }

    /// A young node that no group knows: its provider id is missing or wrong, and then it can never be removed.
    private mutating func lookForOwner(_ view: NodeView) {
        arrivals.waiting.insert(view.name)
        guard !arrivals.joined.contains(view.uid), lacksOwner(view, after: policy.askNovaAfter) else { return }
        nameWithoutOwner(view)
    }

    /// Older nodes as well: a member that was replaced, and held until Heat's timeout while nobody looked, is in no list any
    /// more, and its machine lives on. Only one that has joined or lost its group since this process began gets a line of its own and
    /// an Event. (One that is going is named by its removal; a dead one is no use to anybody.)
    mutating func lookForStrangers() {
        guard !arrivals.joined.isEmpty else { return }
        let owned = Set(groups.values.flatMap { $0.reading?.members ?? [] }.compactMap(\.serverID))
        var residents: [String] = []
        for name in nodes.names.sorted() {
            guard let view = nodes[name], arrivals.joined.contains(view.uid) else { continue }
            let isOwned = view.serverID.map { owned.contains($0) } ?? false
            if isOwned { arrivals.owned.insert(view.uid) }
            if isOwned || removals[name] != nil || !view.isReady {
                arrivals.unowned[view.uid] = nil
            } else if lacksOwner(view, after: policy.unlistedPatience) {
                if arrivals.old.contains(view.uid) && !arrivals.owned.contains(view.uid) {
                    residents.append(name)
                } else {
                    nameWithoutOwner(view)
                }
            }
        }
        nameResidents(residents)
    }

    /// Nodes that were there before this process and of which no group has ever known. Workers of no group are such, and
    /// nobody wants to hear of each of them at each start.
    private mutating func nameResidents(_ names: [String]) {
        guard !names.isEmpty else { return }
        let some = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", …" : "")
        note(
            .warning, "", .providerUnknown,
            "\(names.count) \(names.count == 1 ? "node" : "nodes") that no group owns were there at the start: \(some)")
    }

    /// Whether it is time to say that no group owns it; true once.
    private mutating func lacksOwner(_ view: NodeView, after patience: Interval) -> Bool {
        guard !view.isControlPlane else { return false }
        let since = arrivals.unowned[view.uid] ?? now
        arrivals.unowned[view.uid] = since
        return now - since >= patience && groups.values.allSatisfy { $0.reading != nil }
            && arrivals.warned.insert(view.uid).inserted
    }

    private mutating func nameWithoutOwner(_ view: NodeView) {
        let why =
            view.serverID.map { "its provider id names server \($0), which belongs to no group" }
            ?? "it has no provider id of OpenStack: is the cloud controller manager running?"
        note(.warning, view.name, .providerUnknown, why)
        emit(.report(node: view.name, Explanation(.providerUnknown, why)))
    }

    mutating func lookForArrival(_ view: NodeView) {
        let isDressed = arrivals.dressed.contains(view.uid) || !policy.declaresForNodes
        if arrivals.ready.contains(view.uid) && isDressed { return }
        guard let serverID = view.serverID, let (group, member) = owner(of: serverID) else {
            return lookForOwner(view)
        }
        arrivals.unowned[view.uid] = nil
        dress(view, group)
        let arrival = NodeArrival(
            node: view.name, nodeUID: view.uid, serverID: serverID, group: group,
            after: member.createdAt.map { max(now - $0, .zero) }, at: now)
        if arrivals.joined.insert(view.uid).inserted {
            emit(.publish(.nodeJoined(NodeJoined(cluster: policy.cluster, arrival: arrival))))
        }
        arrivals.dressings[view.uid]?.sees(view, at: now)
        if view.isReady, arrivals.ready.insert(view.uid).inserted {
            emit(.publish(.nodeReady(NodeReady(cluster: policy.cluster, arrival: arrival))))
        }
        let isDone = arrivals.ready.contains(view.uid) && (isDressed || arrivals.dressed.contains(view.uid))
        if isDone { arrivals.waiting.remove(view.name) } else { arrivals.waiting.insert(view.name) }
    }

    /// Gives a node that joins what its group declares. One that is older than this process may have joined while none ran; it
    /// gets what it lacks as well, but nothing that would end pods that run there.
    ///
    /// Once is not enough: Kubernetes' own controller takes its `not-ready` taint off by writing the whole list of taints as it
    /// read it some moments before, and what came in between is lost. So a new node is looked at until it has been ready for
    /// `dressFor`. That cannot be told from somebody who takes it off, hence the end, and no more than a few times.
    private mutating func dress(_ view: NodeView, _ group: String) {
        guard let declared = groups[group]?.policy, !arrivals.dressed.contains(view.uid), removals[view.name] == nil
        else { return }
        let isOld = arrivals.old.contains(view.uid)
        let before = arrivals.dressings[view.uid]
        if declared.labels.isEmpty && declared.taints.isEmpty || before?.isOver(view, at: now, policy) == true {
            return finishDressing(view)
        }
        // Pods that nobody told may run there by now.
        let mayEndPods = !isOld && (before == nil || !view.isReady)
        let taints = declared.taints.filter { mayEndPods || $0.effect != .noExecute }
        let lacksTaint = taints.contains { taint in
            !view.taints.contains { $0.key == taint.key && $0.effect == taint.effect }
        }
        guard lacksTaint || declared.labels.keys.contains(where: { view.labels[$0] == nil }) else {
            if isOld { return finishDressing(view) }
            arrivals.dressings[view.uid, default: Arrivals.Dressing()].sees(view, at: now)
            return
        }
        // (The watch may not show yet what was written a moment ago.)
        if let last = before?.lastAt, now - last < policy.pollInterval {
            return timers.setEarlier(.group(group), at: last + policy.pollInterval)
        }
        tidy(view, .dress(labels: declared.labels, taints: taints))
    }

    /// A node has got what it lacked.
    mutating func wasDressed(_ uid: String, _ name: String) {
        guard let view = nodes[name], view.uid == uid else { return }
        if arrivals.old.contains(uid) { return finishDressing(view) }
        arrivals.dressings[uid, default: Arrivals.Dressing()].times += 1
        arrivals.dressings[uid]?.lastAt = now
        arrivals.dressings[uid]?.sees(view, at: now)
    }

    private mutating func finishDressing(_ view: NodeView) {
        arrivals.dressed.insert(view.uid)
        arrivals.dressings[view.uid] = nil
    }

    func owner(of serverID: String) -> (String, GroupState.Member)? {
        for id in groups.keys.sorted() {
            if let member = groups[id]?.reading?.member(server: serverID) { return (id, member) }
        }
        return nil
    }
}

/// Which nodes were announced.
struct Arrivals: Sendable {
    /// By UID.
    var joined: Set<String> = []
    /// By UID.
    var ready: Set<String> = []
    /// By name: nodes whose group is not known yet.
    var waiting: Set<String> = []
    /// By UID: since when a node is known that no group owns, and which of them were named.
    var unowned: [String: Timestamp] = [:]
    var warned: Set<String> = []
    /// By UID: nodes that were seen to be of a group when it was looked for nodes of none.
    var owned: Set<String> = []
    /// A node that joins, and what its group declares.
    struct Dressing: Sendable {
        /// How often it was given, and when last.
        var times = 0
        var lastAt: Timestamp?
        /// Since when it is known to be ready.
        var readyAt: Timestamp?

        mutating func sees(_ view: NodeView, at now: Timestamp) {
            if view.isReady { readyAt = readyAt ?? now }
        }

        /// Whether it is no longer looked at.
        func isOver(_ view: NodeView, at now: Timestamp, _ policy: ActuatorPolicy) -> Bool {
            times >= policy.dressTimes || readyAt.map { now - $0 >= policy.dressFor } ?? false
        }
    }

    /// By UID: new nodes that are looked at for a while.
    var dressings: [String: Dressing] = [:]
    /// By UID: nodes that have the labels and taints of their group.
    var dressed: Set<String> = []
    /// By UID: nodes that may have joined long before the start.
    var old: Set<String> = []

    /// After a start, older nodes are no news.
    mutating func begin(with views: [NodeView], youngerThan limit: Timestamp) {
        for view in views where view.createdAt < limit {
            joined.insert(view.uid)
            old.insert(view.uid)
            if view.isReady { ready.insert(view.uid) }
        }
        // Younger ones get what they lack as well; but pods may run there already.
        for view in views where view.createdAt >= limit && view.isReady { dressings[view.uid] = Dressing() }
    }

    mutating func forget(_ uid: String) {
        joined.remove(uid)
        ready.remove(uid)
        unowned[uid] = nil
        warned.remove(uid)
        owned.remove(uid)
        dressed.remove(uid)
        dressings[uid] = nil
        old.remove(uid)
    }
}
