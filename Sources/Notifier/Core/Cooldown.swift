import Messages
import Support

/// The notice and the cooldown of one node.
struct Cooldown: Sendable {
    /// Where it stands.
    enum Stage: Sendable, Equatable {
        /// Its pods are being told.
        case telling
        /// All were told; answers are awaited.
        case cooling
        /// Over; the Actuator was told so.
        case over
    }

    var record: RemovalRecord
    var nodeUID: String
    var stage = Stage.telling
    /// UIDs of the pods that were or are being told.
    var pods: Set<String> = []
    /// Pods were read at least once since the cooldown was taken up.
    var podsAreKnown = false
    var isReading = false
    /// The deadline that `removal.noticed` named last.
    var announced: Timestamp?
    /// What ended it.
    var outcome: Explanation?
}

/// What one pod was told and what it said.
struct PodNotice: Sendable {
    /// One way of telling it.
    struct Delivery: Sendable {
        enum State: Sendable, Equatable {
            case waiting, inFlight, delivered
            case givenUp(String)
        }

        var state = State.waiting
        var attempts = 0
        var lastError: String?
    }

    var node: String
    var removal: String
    var serverID: String
    var reason: Explanation
    var pod: NodePod
    var deadline: Timestamp
    var deliveries: [NoticeChannel: Delivery] = [:]
    var answer: AnswerWord?
    /// Done, or not there any more.
    var isSettled = false
    var withdrawn = false
    var generation: Int

    /// Each way was tried at least once, or given up.
    var wasTold: Bool {
        deliveries.values.allSatisfy { $0.attempts > 0 && $0.state != .inFlight || $0.state == .delivered }
    }

    /// Nothing is left to try.
    var isDelivered: Bool {
        deliveries.values.allSatisfy {
            if case .givenUp = $0.state { true } else { $0.state == .delivered }
        }
    }

    var notice: Notice {
        Notice(
            removal: removal, node: node, serverID: serverID, pod: pod, reason: reason, deadline: deadline,
            withdrawn: withdrawn, outcomes: outcomes)
    }

    private var outcomes: [NoticeChannel: String] {
        deliveries.mapValues { delivery in
            switch delivery.state {
            case .delivered: "told"
            case .givenUp(let why): "failed: \(why)"
            case .waiting, .inFlight: delivery.lastError.map { "trying: \($0)" } ?? "trying"
            }
        }
    }
}

extension PodNotice {
    /// What the annotation `updraft.io/removal-notice` says: `<removal> gate=told hook=told …`. Restored after a
    /// restart, so that a hook that was told is not told again.
    static func recorded(_ outcomes: [NoticeChannel: String], removal: String) -> String {
        let words = outcomes.keys.sorted().map { channel -> String in
            let outcome = outcomes[channel] ?? ""
            return "\(channel.rawValue)=\(outcome.prefix { $0 != ":" })"
        }
        return ([removal] + words).joined(separator: " ")
    }

    /// The ways by which a pod was told, from that annotation.
    static func told(in text: String, removal: String) -> Set<NoticeChannel> {
        let words = text.split(separator: " ")
        guard words.first.map(String.init) == removal else { return [] }
        return Set(
            words.dropFirst().compactMap { word in
                let parts = word.split(separator: "=")
                return parts.count == 2 && parts[1] == "told" ? NoticeChannel(rawValue: String(parts[0])) : nil
            })
    }
}
