import Messages
import OpenStack
import Support

/// The size, and whether each member is a node.
extension HeatDiagnosis {
    mutating func lookAtSize() {
        guard let desired = snapshot.desired, desired != counted.count, !snapshot.isChanging else { return }
        find(
            .sizeMismatch, .warning, "\(patient.parameter) is \(desired), \(counted.count) members count",
            means: "the next update of anyone makes it \(desired)",
            mend: "the Decider corrects it after the provision time; or send the size that is meant",
            repair: mayResend && !findings.contains { $0.repair == .resend(size: counted.count) }
                ? .resend(size: counted.count) : nil)
    }

    mutating func lookAtNodes() {
        guard let nodes = patient.nodes else { return }
        let servers = Set(snapshot.members.compactMap(\.serverID))
        for member in counted {
            guard let serverID = member.serverID, member.status.state == .complete else { continue }
            let age = member.createdAt.map { patient.now - $0 }
            guard let node = nodes.first(where: { $0.serverID == serverID }) else {
                let isLate = age.map { $0 > patient.group.provisionTimeout } ?? false
                find(
                    .nodeMissing, isLate ? .problem : .note,
                    "server \(serverID) of member \(member.name) is no node\(age.map { ", \($0) after it was made" } ?? "")",
                    means: isLate ? "its time to register is over" : "it may still register",
                    mend: isLate ? "the Decider has it removed; its console tells why it did not register" : "wait")
                continue
            }
            if !node.isReady {
                find(
                    .nodeUnready, .warning, "node \(node.name) of member \(member.name) is not ready",
                    means: "no pod starts there", mend: "look at its kubelet")
            }
        }
        for node in nodes where node.serverID.map(servers.contains) == true {
            if let mistake = node.recordMistake {
                find(
                    .recordUnreadable, .problem, "the removal of node \(node.name) cannot be read: \(mistake)",
                    means: "nobody goes on with it, nobody begins another one",
                    mend: "take the annotation \(RemovalNames.record) away, and uncordon the node if it is to stay")
            } else if let record = node.record, record.outcome?.reason == .wrongMemberRemoved {
                find(
                    .incident, .problem, "node \(node.name): \(record.outcome?.detail ?? "")",
                    means: "Heat removed another member than the chosen; the group is paused",
                    mend:
                        "see what is lost, then take the annotation \(RemovalNames.record) from the node: the group goes on"
                )
            }
        }
    }
}
