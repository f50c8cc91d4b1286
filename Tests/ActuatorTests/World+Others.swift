import JSONReader
import Messages
import Support

@testable import Actuator

/// What somebody else does to the group: members that leave without a removal of ours, held by the stack or not.
extension World {
    struct Others {
        /// What holds leaving members; nil: nothing does.
        var hold: HeldDeletion.Kind?
        /// Whether the stack's environment and template can be read.
        var isReadable = true
        var timeout = Interval.minutes(120)
        /// By member id: since when it is held.
        var held: [String: Timestamp] = [:]
        /// By member id: when it is gone.
        var goneAt: [String: Timestamp] = [:]
        /// Letting go fails with this.
        var letGoFailure: ActFailure?
        /// Members let go, in order.
        var released: [String] = []
        /// Members whose deletion was refused, in order.
        var refused: [String] = []
        /// Nodes of machines that went are deleted by a cloud controller.
        var controllerDeletesNodes = false
        /// What Nova says of servers, where it is not what the members say.
        var fates: [String: ServerFate] = [:]
        /// Members, by name, that are there and in no list of Heat: replaced ones whose stack waits.
        var unlisted: Set<String> = []
        /// Members, by name, of which the lists say too little, and why.
        var unsettled: [String: String] = [:]
        /// The servers of members, by name, of which it cannot be told which is their machine.
        var candidates: [String: [String]] = [:]
        /// How long Nova takes to answer, and the servers that it was asked for.
        var novaTakes = Interval.zero
        var asked: [String] = []
        /// Reading the group fails with this.
        var readFailure: ActFailure?

        var isShrinking: Bool { !held.isEmpty || !goneAt.isEmpty }

        func describe(_ reading: inout GroupReading) {
            reading.canHold = isReadable ? hold != nil : nil
            reading.timeout = timeout
            guard let hold else { return }
            reading.held = held.filter { reading.member(id: $0.key) != nil }.sorted { $0.key < $1.key }.map {
                // Of a deployment Heat does not say since when it waits.
                HeldDeletion(
                    memberID: $0.key, kind: hold, resource: hold == .hook ? "server" : "drain",
                    since: hold == .hook ? $0.value : nil)
            }
        }
    }

    /// What was said loudly of machines that others take away.
    var losses: [Explanation] { reports.filter { $0.reason == .podsLost || $0.reason == .deletionHeld } }

    /// Somebody signals a policy, deletes the stack…: Heat begins to delete these members, and says so on the bus.
    mutating func leave(_ names: String...) {
        for name in names {
            guard let index = members.firstIndex(where: { $0.name == name }) else { continue }
            members[index].status = "DELETE_IN_PROGRESS"
            if others.hold == nil {
                others.goneAt[members[index].id] = now + .seconds(2)
            } else {
                others.held[members[index].id] = now
            }
            feed(.stackLeaving(stackID: members[index].id))
        }
        feed(.stackHint)
    }

    /// What Nova says of a server.
    func fate(of server: String) -> ServerFate {
        others.fates[server] ?? (members.contains { $0.server == server } ? .there : .gone)
    }

    mutating func letGo(_ ids: [String]) -> ActFailure? {
        if let failure = others.letGoFailure { return failure }
        for id in ids where others.held.removeValue(forKey: id) != nil {
            others.released.append(members.first { $0.id == id }?.name ?? id)
            others.goneAt[id] = now + .seconds(1.8)
        }
        return nil
    }

    /// A deployment fails the deletion, a hook cannot.
    mutating func refuse(_ ids: [String]) {
        for id in ids where others.hold == .deployment && others.held.removeValue(forKey: id) != nil {
            guard let index = members.firstIndex(where: { $0.id == id }) else { continue }
            others.refused.append(members[index].name)
            members[index].status = "DELETE_FAILED"
        }
    }

    mutating func othersStep() {
        for (id, since) in others.held where since + others.timeout <= now {
            others.held[id] = nil
            guard let index = members.firstIndex(where: { $0.id == id }) else { continue }
            members[index].status = "DELETE_FAILED"
        }
        for (id, end) in others.goneAt where end <= now {
            others.goneAt[id] = nil
            guard let index = members.firstIndex(where: { $0.id == id }) else { continue }
            let member = members.remove(at: index)
            lose(member)
        }
    }

    /// The machine is off: what ran on it does not run any more, and a cloud controller may take its Node away.
    mutating func lose(_ member: Member) {
        guard others.controllerDeletesNodes, nodes["node-\(member.name)"] != nil else { return }
        deleteNode("node-\(member.name)")
    }

    /// Somebody deletes a Node: it goes, unless a finalizer keeps it. The watch tells, if anybody listens.
    mutating func deleteNode(_ name: String, isHeard: Bool = true) {
        if World.finalizers(nodes[name] ?? .null).isEmpty {
            nodes[name] = nil
            if isHeard { feed(.nodeGone(name: name, uid: "uid-\(name.dropFirst(5))")) }
        } else {
            merge(name, ["metadata": ["deletionTimestamp": "2027-01-15T08:00:00Z"]])
            if isHeard { see(name) }
        }
    }

    static func finalizers(_ node: JSONValue) -> [String] {
        (node[path: "metadata", "finalizers"]?.arrayValue ?? []).compactMap(\.stringValue)
    }

    /// What was published of the end of a node's removal.
    func ends(of node: String) -> [EventType] {
        published.compactMap { event in
            switch event {
            case .removalCompleted(let completed) where completed.removal.node == node: event.type
            case .removalFailed(let failed) where failed.removal.node == node: event.type
            default: nil
            }
        }
    }
}
