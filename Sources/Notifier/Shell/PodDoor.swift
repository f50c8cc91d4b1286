import Kubernetes
import Messages
import Support

/// What the Notifier asks of the cluster and of its pods. A seam, so that the engine can be tested without one.
protocol PodTelling: Sendable {
    /// The pods of a node; nil: they could not be read.
    func pods(on node: String) async -> [NodePod]?
    /// Annotation, gate, hook or Event; never the bus.
    func deliver(_ notice: Notice, by channel: NoticeChannel, token: String, answerURL: String?) async
        -> DeliveryOutcome
    /// Writes what became of the deliveries.
    func record(_ notice: Notice) async
    /// Writes an answer and the deadline that it led to; false: it could not be.
    func recordAnswer(_ notice: Notice, _ word: AnswerWord) async -> Bool
    /// Says that a pod with the gate serves.
    func openGate(_ pod: NodePod) async -> Bool
    /// Kubernetes Event on a Node.
    func nodeEvent(_ node: String, _ explanation: Explanation) async
}

/// The Kubernetes API and the pods' own hooks.
final class PodDoor: PodTelling {
    private let client: KubernetesClient
    private let hooks: HookDoor
    private let recorder: EventRecorder
    private let cluster: String
    private let isDryRun: Bool
    private let unread: @Sendable (_ node: String, KubernetesError) -> Void
    /// What was told last of each node whose pods cannot be read, so that it is told once.
    private let toldUnread = Lock<[String: String]>([:])

    /// - Parameters:
    ///   - hooks: for calls to pods.
    ///   - unread: told why the pods of a node cannot be read: until they can, its cooldown does not end.
    init(
        _ client: KubernetesClient, hooks: HookDoor, cluster: String, host: String, isDryRun: Bool,
        unread: @escaping @Sendable (_ node: String, KubernetesError) -> Void = { _, _ in }
    ) {
        self.unread = unread
        self.client = client
        self.hooks = hooks
        self.cluster = cluster
        self.isDryRun = isDryRun
        recorder = EventRecorder(client, component: "updraft-notifier", host: host)
    }

    func pods(on node: String) async -> [NodePod]? {
        do throws(KubernetesError) {
            let pods = try await client.all(PodObject.self, Selection(fields: "spec.nodeName=\(node)"))
            toldUnread.withLock { $0[node] = nil }
            return pods.map(NodePod.init)
        } catch {
            let isNews = toldUnread.withLock { $0.updateValue(error.description, forKey: node) != error.description }
            if isNews { unread(node, error) }
            return nil
        }
    }

    // MARK: Telling

    func deliver(
        _ notice: Notice, by channel: NoticeChannel, token: String, answerURL: String?
    ) async -> DeliveryOutcome {
        let pod = notice.pod
        switch channel {
        case .annotation:
            // The answer of an earlier removal must not count for this one.
            let annotations: [String: String?] =
                notice.withdrawn
                ? [
                    RemovalNames.podRemoval: nil, RemovalNames.podDeadline: nil, RemovalNames.podToken: nil,
                    RemovalNames.podNotice: nil, RemovalNames.podAnswer: nil,
                ]
                : [
                    RemovalNames.podRemoval: notice.removal, RemovalNames.podDeadline: notice.deadline.rfc3339,
                    RemovalNames.podToken: token, RemovalNames.podNotice: nil, RemovalNames.podAnswer: nil,
                ]
            return await annotate(pod, annotations)
        case .gate:
            return await outcome(pod) { () async throws(KubernetesError) in
                try await self.setGate(pod, serving: notice.withdrawn, notice.reason)
            }
        case .event:
            let text = EventText(
                isWarning: !notice.withdrawn, reason: notice.withdrawn ? "NodeStays" : "NodeRemoval",
                message: notice.withdrawn
                    ? "node \(notice.node) stays after all: \(notice.reason.reason.rawValue)"
                    : "node \(notice.node) goes (\(notice.reason.reason.rawValue)); this pod is evicted after "
                        + notice.deadline.rfc3339)
            if isDryRun { return .delivered(answer: nil) }
            return await outcome(pod) { () async throws(KubernetesError) in
                try await self.recorder.record(
                    text, on: .pod(namespace: pod.namespace, pod.name, uid: pod.uid), at: .now())
            }
        case .hook:
            return await hooks.call(notice, cluster: cluster, token: token, answerURL: answerURL, isDryRun: isDryRun)
        case .bus: return .delivered(answer: nil)
        }
    }

    private func setGate(_ pod: NodePod, serving: Bool, _ reason: Explanation) async throws(KubernetesError) {
        try await client.setPodCondition(
            namespace: pod.namespace, pod.name, uid: pod.uid, type: RemovalNames.servingGate, status: serving,
            reason: reason.reason.rawValue, message: String(reason.detail.prefix(300)), at: .now(), dryRun: isDryRun)
    }

    private func outcome(
        _ pod: NodePod, _ body: () async throws(KubernetesError) -> some Any
    ) async -> DeliveryOutcome {
        do throws(KubernetesError) {
            _ = try await body()
            return .delivered(answer: nil)
        } catch {
            switch error.code {
            case .notFound: return .gone
            case .conflict:
                // Another pod under its name, or two writers at the same moment.
                return await isThere(pod) ? .failed(error.description, isRetriable: true) : .gone
            default: return .failed(error.description, isRetriable: error.isRetriable)
            }
        }
    }

    /// Whether the pod is there, or that could not be learned.
    private func isThere(_ pod: NodePod) async -> Bool {
        do throws(KubernetesError) {
            return try await client.get(PodObject.self, namespace: pod.namespace, pod.name).meta.uid == pod.uid
        } catch {
            return error.code != .notFound
        }
    }

    // MARK: Recording

    func record(_ notice: Notice) async {
        _ = await annotate(notice.pod, [RemovalNames.podNotice: notice.record])
    }

    /// In one write: an answer that stands there without its mark is one that the application gave and nobody heard.
    func recordAnswer(_ notice: Notice, _ word: AnswerWord) async -> Bool {
        let outcome = await annotate(
            notice.pod,
            [
                RemovalNames.podAnswer: word.text, RemovalNames.podDeadline: notice.deadline.rfc3339,
                RemovalNames.podNotice: notice.record,
            ])
        if case .failed = outcome { return false }
        return true
    }

    private func annotate(_ pod: NodePod, _ annotations: [String: String?]) async -> DeliveryOutcome {
        await outcome(pod) { () async throws(KubernetesError) in
            try await self.client.annotatePod(
                namespace: pod.namespace, pod.name, uid: pod.uid, annotations, dryRun: self.isDryRun)
        }
    }

    func openGate(_ pod: NodePod) async -> Bool {
        let result = await outcome(pod) { () async throws(KubernetesError) in
            try await self.setGate(pod, serving: true, Explanation(.notUnderRemoval, "the node is under no removal"))
        }
        return result == .delivered(answer: nil)
    }

    func nodeEvent(_ node: String, _ explanation: Explanation) async {
        guard !isDryRun else { return }
        try? await recorder.record(
            EventText(reason: explanation.reason.rawValue, message: explanation.detail), on: .node(node), at: .now())
    }
}
