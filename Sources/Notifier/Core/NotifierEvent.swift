import Messages
import Support

/// A Node as the Notifier's core sees it.
public struct NotifiedNode: Sendable, Equatable {
    /// Name.
    public var name: String
    /// UID.
    public var uid: String
    /// Its removal, if it is under one and the annotation is readable.
    public var record: RemovalRecord?

    /// What `record` was read from.
    private var text: String?

    /// From its parts.
    public init(name: String, uid: String, record: RemovalRecord?) {
        self.name = name
        self.uid = uid
        self.record = record
    }

    /// From the model. A record that cannot be read, or that is of another Node, counts as none: the Actuator, which
    /// writes it, says so.
    ///
    /// `known`: the same node as it was before. With a thousand survivors of a change in it a record is tens of kilobytes of
    /// JSON, and a kubelet changes its node far more often than the Actuator its record: it is read when it is another.
    public init(_ node: Node, after known: NotifiedNode? = nil) {
        self.init(name: node.name, uid: node.uid, record: nil)
        text = node.annotations[RemovalNames.record]
        guard let text else { return }
        if let known, known.uid == uid, known.text == text {
            record = known.record
        } else if let record = try? RemovalRecord(text: text), record.nodeUID == uid {
            self.record = record
        }
    }
}

/// What happens to the Notifier's core.
public enum NotifierEvent: Sendable {
    case nodesListed([NotifiedNode])
    case nodeSeen(NotifiedNode)
    case nodeGone(name: String, uid: String)
    /// All pods of a node.
    case podsRead(node: String, [NodePod])
    case podsUnread(node: String)
    /// From the watch of all pods.
    case podSeen(NodePod)
    case podGone(uid: String)
    case delivered(DeliveryID, DeliveryOutcome)
    /// The gate of a pod that is not under notice was set, or not.
    case gateSet(podUID: String, Bool)
    /// An answer came. `ticket`: who waits for the verdict. `id`: the message that brought it, by the bus: the same message
    /// is heard once.
    case answered(
        removal: String, podUID: String, AnswerWord, AnswerSource, isAuthentic: Bool, ticket: Int?, id: String? = nil)
    /// An answer was written to its pod, or could not be.
    case answerRecorded(podUID: String, Bool)
    /// An event about a removal was heard, which leads to this phase.
    case removalHeard(RemovalProgress, RemovalPhase)
    /// A webhook was called.
    case webhookSent(WebhookMessage, WebhookOutcome)
    case tick
}

/// What the Notifier's core wants done.
public enum NotifierAction: Sendable, Equatable {
    /// Put this on the bus.
    case publish(Event)
    /// Read the pods of a node; answered by `podsRead` or `podsUnread`.
    case readPods(node: String)
    /// Tell a pod; answered by `delivered`.
    case deliver(DeliveryID, Notice, attempt: Int)
    /// Write how the deliveries to a pod went. No answer.
    case recordNotice(Notice)
    /// Set the gate of a pod that is not under notice to true; answered by `gateSet`.
    case openGate(NodePod)
    /// Write an answer, and the deadline that it led to, to its pod; answered by `answerRecorded`.
    case recordAnswer(Notice, AnswerWord)
    /// Tell who waits what an answer did, and until when the pod may take.
    case verdict(ticket: Int, AnswerVerdict, deadline: Timestamp?)
    /// Count and log an answer.
    case heard(AnswerSource, AnswerVerdict, pod: String)
    /// When the cooldown of a node ends if nobody says anything more; nil: none runs.
    case countdown(node: String, Timestamp?)
    /// Call a webhook; answered by `webhookSent`.
    case sendWebhook(WebhookMessage, attempt: Int)
    /// A message to a webhook was given up, because of this.
    case webhookFailed(WebhookMessage, String)
    /// Kubernetes Event on the Node.
    case nodeEvent(node: String, uid: String, Explanation)
    /// Log it. `isLoud`: something is wrong.
    case note(subject: String, Explanation, isLoud: Bool)
}
