import Messages
import Support

/// Groups that an incident stopped until a person has looked.
///
/// What is durable is the record of the failed removal on its Node. A cloud controller deletes Nodes whose server is gone,
/// and the chosen one's is; then the incident stands as an annotation on another node, of the same group if one is left.
extension ActuatorCore {
    /// Stops all changes of a group until a person has looked.
    mutating func pauseGroup(_ id: String, _ why: Explanation) {
        guard groups[id]?.pause == nil else { return }
        groups[id]?.pause = why
        note(.error, id, why.reason, "\(why.detail); the group is paused")
        emit(.condition(name: "incident/\(id)", why))
        for name in removals.keys.sorted() { failIfPaused(name) }
    }

    /// A removal that could not come to its end while its group is paused: no pod is moved for nothing.
    mutating func failIfPaused(_ node: String) {
        guard let removal = removals[node], let pause = groups[removal.record.group]?.pause,
            removal.record.phase.isReversible, !cannotReturn(removal), !removal.isAskedFor(.removing),
            !removal.isAskedFor(.failed)
        else { return }
        fail(node, Explanation(.groupPaused, pause.detail))
    }

    /// The person has looked: what stood for the incident was taken away.
    mutating func resumeGroup(_ id: String) {
        guard groups[id]?.pause != nil, groups[id]?.pauseStandsOn == nil else { return }
        let others = removals.values.contains {
            $0.record.group == id && $0.record.outcome?.reason == .wrongMemberRemoved
        }
        guard !others else { return }
        groups[id]?.pause = nil
        note(.info, id, .requestedByOperator, "the record of the incident was taken away: the group goes on")
        emit(.condition(name: "incident/\(id)", nil))
        readGroup(id)
    }

    /// The Node whose record told of the incident is gone, or another one that did: it is written on one that lives.
    mutating func keepIncident(of id: String) {
        guard let track = groups[id], let pause = track.pause, nodesAreKnown else { return }
        if let name = track.pauseStandsOn, nodes[name] != nil { return }
        groups[id]?.pauseStandsOn = nil
        guard isHomeless(id) else { return }
        let servers = Set((track.reading?.members ?? []).compactMap(\.serverID))
        let fit = nodes.values.filter {
            removals[$0.name] == nil && tidying[$0.name] == nil && !untidied.contains($0.uid) && $0.pausedGroup == nil
                && !$0.isBeingDeleted
        }
        let best = fit.min { left, right in
            let isLeft = left.serverID.map(servers.contains) ?? false
            let isRight = right.serverID.map(servers.contains) ?? false
            if isLeft != isRight { return isLeft }
            return left.name < right.name
        }
        // Nobody is there to carry it: looked for again when a node is seen.
        guard let best else { return }
        tidy(best, .pauseGroup(PausedGroup(group: id, why: pause.detail)))
    }

    /// A node tells of an incident, or does not any more.
    mutating func lookForIncident(_ view: NodeView) {
        if let paused = view.pausedGroup, groups[paused.group] != nil {
            groups[paused.group]?.pauseStandsOn = view.name
            return pauseGroup(paused.group, Explanation(.wrongMemberRemoved, paused.why))
        }
        for id in groups.keys.sorted() {
            guard let track = groups[id], track.pause != nil else { continue }
            // The watch may lag behind our own write: looked at again before a person is believed to have been here.
            if track.pauseStandsOn == view.name { emit(.checkNode(view.name)) }
            if isHomeless(id) { keepIncident(of: id) }
        }
    }

    /// What the Node says now is what holds.
    mutating func incidentChecked(_ view: NodeView) {
        guard view.pausedGroup == nil, tidying[view.name] == nil else { return }
        for id in groups.keys.sorted() where groups[id]?.pauseStandsOn == view.name {
            groups[id]?.pauseStandsOn = nil
            resumeGroup(id)
        }
    }

    /// A Node is gone, and what it told of with it.
    mutating func incidentLost(_ node: String) {
        for id in groups.keys.sorted() where groups[id]?.pauseStandsOn == node {
            groups[id]?.pauseStandsOn = nil
            keepIncident(of: id)
        }
    }

    /// Whether nothing durable tells of a group's incident.
    private func isHomeless(_ id: String) -> Bool {
        guard groups[id]?.pauseStandsOn == nil, !tidying.values.contains(where: { $0.pausesGroup == id }) else {
            return false
        }
        // (Its own record is about to be written right after the incident.)
        // One that was deleted stays only as long as we hold it.
        return !removals.contains { name, removal in
            removal.record.group == id && !removal.nodeIsGone && nodes[name]?.isBeingDeleted != true
                && (removal.record.outcome?.reason == .wrongMemberRemoved || removal.isAskedFor(.failed))
        }
    }
}

/// What a Node says of a group that an incident stopped.
public struct PausedGroup: Sendable, Equatable {
    /// Id of the group.
    public var group: String
    /// What happened.
    public var why: String

    /// From its parts; a long text is cut.
    public init(group: String, why: String) {
        self.group = group
        self.why = String(why.prefix(1_000))
    }

    /// From the annotation; nil where it names no group.
    public init?(_ text: String) {
        let parts = text.split(separator: " ", maxSplits: 1)
        guard let group = parts.first, group.utf8.count <= 63 else { return nil }
        self.init(group: String(group), why: parts.count > 1 ? String(parts[1]) : "an incident")
    }

    /// The annotation.
    var text: String { "\(group) \(why)" }
}
