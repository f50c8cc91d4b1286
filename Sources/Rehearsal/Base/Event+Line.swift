import Messages

extension Event {
    /// A Collector asks which replica is active.
    var isProbe: Bool {
        if case .snapshotRequested(let request) = self {
            request.requester.hasPrefix("updraft-collector.")
        } else {
            false
        }
    }

    /// For a story: type, and what matters of it.
    var line: String {
        let type = type.rawValue
        return switch self {
        case .scaleDecided(let event):
            "\(type) \(event.id): \(event.from) to \(event.to), \(event.reason.reason.rawValue)"
        case .removalDecided(let event):
            "\(type) \(event.id): \(event.nodes.map(\.node).joined(separator: ", "))"
        case .removalCancelled(let event):
            "\(type) \(event.id): \(event.nodes.joined(separator: ", ")), \(event.reason.reason.rawValue)"
        case .scaleStarted(let event): "\(type) \(event.scale.id)"
        case .scaleCompleted(let event): "\(type) \(event.scale.id): \(event.scale.reason.reason.rawValue)"
        case .scaleFailed(let event):
            "\(type) \(event.scale.id): \(event.scale.reason.reason.rawValue), \(event.scale.reason.detail)"
        case .scaleRefused(let event):
            "\(type) \(event.scale.id): \(event.scale.reason.reason.rawValue), \(event.scale.reason.detail)"
        case .removalCordoned(let event): "\(type) \(event.removal.id) \(event.removal.node)"
        case .removalNoticed(let event): "\(type) \(event.removal.id) \(event.removal.node)"
        case .removalQuiesced(let event):
            "\(type) \(event.removal.id) \(event.removal.node): \(event.removal.reason.reason.rawValue)"
        case .removalDrained(let event): "\(type) \(event.removal.id) \(event.removal.node)"
        case .removalCommitted(let event): "\(type) \(event.removal.id) \(event.removal.node)"
        case .removalCompleted(let event): "\(type) \(event.removal.id) \(event.removal.node)"
        case .removalFailed(let event):
            "\(type) \(event.removal.id) \(event.removal.node): \(event.removal.reason.reason.rawValue), \(event.removal.reason.detail)"
        case .groupState(let event):
            "\(type): \(event.size) members, desired \(event.desired ?? -1), \(event.stackStatus)\(event.busy ? ", busy" : "")"
                + "\(event.problem.map { ", \($0.reason.rawValue)" } ?? "")"
        case .clusterSnapshot(let event): "\(type) \(event.epoch) \(event.sequence)"
        case .clusterDelta(let event): "\(type) \(event.epoch) \(event.sequence)"
        case .nodeJoined(let event): "\(type) \(event.arrival.node)"
        case .nodeReady(let event): "\(type) \(event.arrival.node)"
        case .nodeOverdue(let event): "\(type) \(event.member): \(event.reason.detail)"
        case .podShutdown(let event): "\(type) \(event.pod)\(event.withdrawn ? " withdrawn" : "")"
        case .nodeRemoval(let event): "\(type) \(event.node)\(event.withdrawn ? " withdrawn" : "")"
        case .podShutdownDone(let event): "\(type) \(event.answer.podUID)"
        case .podShutdownExtend(let event): "\(type) \(event.answer.podUID)"
        case .podShutdownRefuse(let event): "\(type) \(event.answer.podUID)"
        default: type
        }
    }
}
