import Messages
import Support

/// Nodes as they are seen: what the record of each asks for.
extension NotifierCore {
    /// For how long it is remembered that a node went while its pods were under notice. Pods of a Node that does not come
    /// back are deleted by Kubernetes long before.
    static let returnWithin = Interval.minutes(10)

    mutating func nodesListed(_ listed: [NotifiedNode]) {
        nodesAreKnown = true
        let names = Set(listed.map(\.name))
        for (name, node) in nodes.sorted(by: { $0.key < $1.key }) where !names.contains(name) {
            nodeGone(name, node.uid)
        }
        for node in listed { nodeSeen(node) }
        hasBegun = true
        let waiting = early.values.sorted { $0.uid < $1.uid }
        early = [:]
        for pod in waiting { podSeen(pod) }
        for removal in held.keys.sorted() { hearHeld(removal) }
    }

    mutating func nodeSeen(_ node: NotifiedNode) {
        let before = nodes[node.name]?.record
        nodes[node.name] = node.record == nil ? nil : node
        // The record was taken away, or is another's: whatever it was, the pods may stay.
        if let before, before.phase.isUnderNotice, before.id != node.record?.id {
            withdraw(node, before, isNews: true)
        }
        cameBack(node)
        guard let record = node.record else { return }
        emit(webhooks.recordSeen(node.name, record, isFirst: before == nil && !hasBegun, at: now))
        switch record.phase {
        case .cordoned, .noticed:
            // No Actuator writes a record that goes back. Whoever did begins anew.
            if cooldowns[node.name]?.stage == .draining { finish(node.name) }
            if cooldowns[node.name] == nil { begin(node.name, node.uid, record) }
            follow(node.name, record)
        case .quiesced, .drained: drain(node.name, node.uid, record)
        case .removing, .removed: finish(node.name)
        case .cancelled, .failed:
            // Once for each removal: also when it was over before this process saw it.
            let isNews = before?.id == record.id && before?.phase.isUnderNotice == true
            if before?.id != record.id || isNews { withdraw(node, record, isNews: isNews) }
        }
    }

    mutating func nodeGone(_ name: String, _ uid: String) {
        if let node = nodes[name], node.uid != uid { return }
        if let record = nodes[name]?.record, record.phase.isUnderNotice {
            departed[name] = record
            timers.set(.departed(name), at: now + NotifierCore.returnWithin)
        }
        nodes[name] = nil
        finish(name)
    }

    /// The machine of a node that somebody deleted while its pods were under notice has registered again. The record went
    /// with the old Node, so the removal is over, and pods that lived on the whole time stay.
    private mutating func cameBack(_ node: NotifiedNode) {
        guard let record = departed.removeValue(forKey: node.name) else { return }
        timers.cancel(.departed(node.name))
        if record.id != node.record?.id { withdraw(node, record, isNews: true) }
    }

    mutating func begin(_ name: String, _ uid: String, _ record: RemovalRecord) {
        cooldowns[name] = Cooldown(record: record, nodeUID: uid)
        staying[name] = nil
        read(name)
    }

    /// The record as it is now. Somebody else's act may leave less time than was thought: then pods are told anew.
    mutating func follow(_ name: String, _ record: RemovalRecord) {
        guard let cooldown = cooldowns[name] else { return }
        cooldowns[name]?.record = record
        if record.isTaken, !cooldown.record.isTaken, cooldown.stage == .telling || cooldown.stage == .cooling {
            for uid in cooldown.pods.sorted() { tellAfterAll(uid) }
            // A refusal holds it no longer.
            look(name)
        }
        guard record.deadline < cooldown.record.deadline, cooldown.stage != .over else { return }
        for uid in cooldown.pods.sorted() where mayAnswer(uid, cooldown) { shorten(uid, to: record) }
        look(name)
    }

    /// The Actuator goes on, or the node is gone: nothing more is awaited.
    private mutating func finish(_ name: String) {
        guard let cooldown = takeCooldown(name) else { return }
        for uid in cooldown.pods { drop(uid) }
        hearHeld(cooldown.record.id)
    }

    /// Ends a cooldown without a word to anybody.
    mutating func takeCooldown(_ name: String) -> Cooldown? {
        guard let cooldown = cooldowns.removeValue(forKey: name) else { return nil }
        timers.cancel(.node(name))
        if cooldown.shown != nil { emit(.countdown(node: name, nil)) }
        return cooldown
    }
}
