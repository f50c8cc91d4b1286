import FoundationEssentials
import HTTPClient
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
    /// Writes an answer and the deadline that it led to.
    func recordAnswer(_ pod: NodePod, _ word: AnswerWord, deadline: Timestamp) async
    /// Says that a pod with the gate serves.
    func openGate(_ pod: NodePod) async -> Bool
    /// Kubernetes Event on a Node.
    func nodeEvent(_ node: String, _ explanation: Explanation) async
}

/// The Kubernetes API and the pods' own hooks.
final class PodDoor: PodTelling {
    private let client: KubernetesClient
    private let hooks: HTTPClient
    private let hookTimeout: Interval
    private let foreignHosts: Bool
    private let recorder: EventRecorder
    private let cluster: String
    private let isDryRun: Bool

    /// - Parameters:
    ///   - hooks: for calls to pods. Their certificates are their own, so it does not verify them; the notice holds
    ///     nothing but a token for this very pod.
    init(
        _ client: KubernetesClient, hooks: HTTPClient, hookTimeout: Interval, foreignHosts: Bool, cluster: String,
        host: String, isDryRun: Bool
    ) {
        self.client = client
        self.hooks = hooks
        self.hookTimeout = hookTimeout
        self.foreignHosts = foreignHosts
        self.cluster = cluster
        self.isDryRun = isDryRun
        recorder = EventRecorder(client, component: "updraft-notifier", host: host)
    }

    func pods(on node: String) async -> [NodePod]? {
        try? await client.all(PodObject.self, Selection(fields: "spec.nodeName=\(node)")).map(NodePod.init)
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
            return await outcome { () async throws(KubernetesError) in
                try await self.client.annotatePod(
                    namespace: pod.namespace, pod.name, uid: pod.uid, annotations, dryRun: self.isDryRun)
            }
        case .gate:
            return await outcome { () async throws(KubernetesError) in
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
            return await outcome { () async throws(KubernetesError) in
                try await self.recorder.record(
                    text, on: .pod(namespace: pod.namespace, pod.name, uid: pod.uid), at: .now())
            }
        case .hook: return await call(notice, token, answerURL)
        case .bus: return .delivered(answer: nil)
        }
    }

    private func setGate(_ pod: NodePod, serving: Bool, _ reason: Explanation) async throws(KubernetesError) {
        try await client.setPodCondition(
            namespace: pod.namespace, pod.name, uid: pod.uid, type: RemovalNames.servingGate, status: serving,
            reason: reason.reason.rawValue, message: String(reason.detail.prefix(300)), at: .now(), dryRun: isDryRun)
    }

    private func outcome(_ body: () async throws(KubernetesError) -> some Any) async -> DeliveryOutcome {
        do throws(KubernetesError) {
            _ = try await body()
            return .delivered(answer: nil)
        } catch {
            switch error.code {
            // Another uid under its name, or no pod at all.
            case .notFound, .conflict: return .gone
            default: return .failed(error.description, isRetriable: error.isRetriable)
            }
        }
    }

    private func call(_ notice: Notice, _ token: String, _ answerURL: String?) async -> DeliveryOutcome {
        let url: String
        do throws(HookAddress.Mistake) {
            url = try HookAddress.url(of: notice.pod, foreignHosts: foreignHosts)
        } catch {
            return .failed(error.what, isRetriable: false)
        }
        if isDryRun { return .delivered(answer: nil) }
        let payload = PodShutdown(notice, cluster: cluster, token: token, answerURL: answerURL)
        guard let body = try? JSONEncoder().encode(CloudEvent.shutdown(payload, at: .now())) else {
            return .failed("the notice cannot be encoded", isRetriable: false)
        }
        do throws(HTTPError) {
            let response = try await hooks.send(
                HTTPRequest(
                    .post, url, headers: ["Content-Type": "application/cloudevents+json"],
                    body: Array(body), timeouts: HTTPTimeouts(connect: hookTimeout, total: hookTimeout),
                    maximumResponseBytes: 64 << 10, retry: .none))
            guard (200..<300).contains(response.status) else {
                // 404 and the like may well pass while the application starts or reloads.
                return .failed("the hook answered \(response.status)", isRetriable: true)
            }
            return .delivered(answer: AnswerBody(response.body)?.word)
        } catch {
            return .failed("the hook did not answer: \(error.code)", isRetriable: true)
        }
    }

    // MARK: Recording

    func record(_ notice: Notice) async {
        let text = PodNotice.recorded(notice.outcomes, removal: notice.removal)
        _ = await outcome { () async throws(KubernetesError) in
            try await self.client.annotatePod(
                namespace: notice.pod.namespace, notice.pod.name, uid: notice.pod.uid,
                [RemovalNames.podNotice: text], dryRun: self.isDryRun)
        }
    }

    func recordAnswer(_ pod: NodePod, _ word: AnswerWord, deadline: Timestamp) async {
        _ = await outcome { () async throws(KubernetesError) in
            try await self.client.annotatePod(
                namespace: pod.namespace, pod.name, uid: pod.uid,
                [RemovalNames.podAnswer: word.text, RemovalNames.podDeadline: deadline.rfc3339],
                dryRun: self.isDryRun)
        }
    }

    func openGate(_ pod: NodePod) async -> Bool {
        let result = await outcome { () async throws(KubernetesError) in
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
