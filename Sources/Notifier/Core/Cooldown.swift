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
        /// The Actuator evicts the pods: those that arrive meanwhile are told.
        case draining
    }

    var record: RemovalRecord
    var nodeUID: String
    var stage = Stage.telling
    /// UIDs of the pods that were or are being told.
    var pods: Set<String> = []
    /// Pods were read at least once since the cooldown was taken up.
    var podsAreKnown = false
    var isReading = false
    /// When the reading under way began, and the last one that came back.
    var readingSince: Timestamp?
    var readAt: Timestamp?
    /// The deadline that `removal.noticed` named last.
    var announced: Timestamp?
    /// The end that the countdown shows.
    var shown: Timestamp?
    /// What ended it.
    var outcome: Explanation?
}

/// What one pod was told and what it said.
struct PodNotice: Sendable {
    /// One way of telling it.
    struct Delivery: Sendable {
        enum State: Sendable, Equatable {
            case waiting, inFlight, delivered
            /// Not made in time, so not made at all.
            case expired
            case givenUp(String)
        }

        var state = State.waiting
        var attempts = 0
        var lastError: String?

        /// Nothing is left to try.
        var isFinal: Bool { state != .waiting && state != .inFlight }
        var wasTried: Bool { attempts > 0 && state != .inFlight }
    }

    var node: String
    var removal: String
    var serverID: String
    var reason: Explanation
    var pod: NodePod
    var terms: PodTerms
    var deadline: Timestamp
    /// It was told while the drain runs, and may take no longer than this.
    var limit: Timestamp?
    var deliveries: [NoticeChannel: Delivery] = [:]
    var answer: AnswerWord?
    /// What its annotation said when it was last heard, by whomever it was written.
    var heardAnnotation: String?
    /// Messages whose answers were heard, the latest last.
    var heardIDs: [String] = []
    /// Done, or not there any more.
    var isSettled = false
    var withdrawn = false
    /// How it was told was written on the pod, or is being written.
    var isNoted = false
    /// It was told an earlier deadline after a later one.
    var isShortened = false
    var generation: Int

    /// Each way was tried at least once, or given up.
    var wasTold: Bool { deliveries.values.allSatisfy(\.wasTried) }

    /// It was told in at least one way. A pod that was not may not be moved.
    var wasReached: Bool { deliveries.values.contains { $0.state == .delivered } }

    /// It was told, and its time to answer is over.
    func isOver(at now: Timestamp) -> Bool { !withdrawn && wasReached && deadline <= now }

    /// Nothing is left to try.
    var isDelivered: Bool { deliveries.values.allSatisfy(\.isFinal) }

    var notice: Notice {
        Notice(
            removal: removal, node: node, serverID: serverID, pod: pod, reason: reason, deadline: deadline,
            withdrawn: withdrawn, isShortened: isShortened, outcomes: outcomes, answer: answer, answerID: heardIDs.last)
    }

    /// Whether a way may be used now. The annotation is what another process knows a notice by: it is written before
    /// anything else is said, and taken away after everything is taken back. A notice does not wait for it for ever.
    func isTurn(of channel: NoticeChannel, attempts: Int) -> Bool {
        if withdrawn {
            return channel != .annotation || deliveries.allSatisfy { $0.key == channel || $0.value.isFinal }
        }
        guard channel != .annotation, let first = deliveries[.annotation] else { return true }
        return first.isFinal || first.wasTried && first.attempts >= attempts
    }

    private var outcomes: [NoticeChannel: String] {
        deliveries.mapValues { delivery in
            switch delivery.state {
            case .delivered: "told"
            case .expired: "expired"
            case .givenUp(let why): "failed: \(why)"
            case .waiting, .inFlight: delivery.lastError.map { "trying: \($0)" } ?? "trying"
            }
        }
    }
}

extension Notice {
    /// The annotation `updraft.io/removal-notice` that says how the deliveries went.
    public var record: String {
        let ways = outcomes.sorted { $0.key < $1.key }.map { NoticeMarks.Way($0.key.rawValue, $0.value) }
        return NoticeMarks(ways: ways, answer: answer?.text, answerID: answerID).text(removal: removal)
    }
}
