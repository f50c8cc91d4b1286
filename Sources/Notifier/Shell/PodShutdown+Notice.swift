import JSONReader
import Messages
import Support

extension PodShutdown {
    /// The message for a pod, on the bus and in the body of its hook.
    public init(_ notice: Notice, cluster: String, token: String, answerURL: String?) {
        self.init(
            cluster: cluster, removal: notice.removal, namespace: notice.pod.namespace, pod: notice.pod.name,
            podUID: notice.pod.uid, labels: notice.pod.labels, node: notice.node, reason: notice.reason,
            deadline: notice.deadline, answerURL: answerURL, token: token, withdrawn: notice.withdrawn)
    }
}

/// A CloudEvents 1.0 event in structured JSON: what a hook is sent (`application/cloudevents+json`).
struct CloudEvent<Payload: Encodable>: Encodable {
    let specversion = "1.0"
    let id: String
    let source: String
    let type: String
    let subject: String
    let time: Timestamp
    let datacontenttype = "application/json"
    let data: Payload

    /// The same notice has the same id, however often it is sent: a hook can tell a repetition. That the pod may stay,
    /// and that it has less time than it was told, are notices of their own.
    static func shutdown(
        _ payload: PodShutdown, of notice: Notice, at time: Timestamp
    ) -> CloudEvent where Payload == PodShutdown {
        let kind = notice.withdrawn ? "/withdrawn" : notice.isShortened ? "/\(notice.deadline.rfc3339)" : ""
        return CloudEvent(
            id: "\(payload.removal)/\(payload.podUID)\(kind)", source: "/updraft/\(payload.cluster)",
            type: EventType.podShutdown.rawValue + (notice.withdrawn ? ".withdrawn" : ""),
            subject: "\(payload.namespace)/\(payload.pod)", time: time, data: payload)
    }
}

/// What a hook may reply, and what may be posted as an answer: `{"answer":"done|extend|refuse","seconds":30}`.
struct AnswerBody: Sendable {
    /// What it says; nil where the word, or the `seconds` of an `extend`, is none that there is.
    let word: AnswerWord?
    /// The notice's token, where it stands in the body.
    let token: String?

    /// Nil for a body that is no JSON object whose `answer` is a word.
    init?(_ bytes: [UInt8]) {
        guard let body = try? JSONValue.parse(bytes), let answer = body["answer"]?.stringValue else { return nil }
        word = AnswerWord(answer, seconds: body["seconds"]?.doubleValue)
        token = body["token"]?.stringValue
    }
}
