import JSONReader
import Kubernetes
import Messages
import ServiceRuntime
import Support

/// What the Actuator asks of the cluster. A seam, so that the engine can be tested without one.
protocol ClusterActing: Sendable {
    /// One node; nil: there is none.
    func node(_ name: String) async throws(ActFailure) -> NodeView?
    /// The pods of a node.
    func pods(on node: String) async throws(ActFailure) -> [NodePod]
    /// Changes a node under the condition that it is as the edit assumes.
    func edit(_ edit: NodeEdit) async -> NodeEditOutcome
    /// Asks for an eviction.
    func evict(_ pod: NodePod, grace: Int64?) async -> EvictionOutcome
    /// Deletes a pod, budgets or not.
    func deletePod(_ pod: NodePod, grace: Int64?) async -> EvictionOutcome
    /// The volumes that are still attached to a node and belong to no pod on it.
    func volumesLeft(on node: String) async throws(ActFailure) -> [String]
    /// The workload of a pod whose replicas can be changed; nil: none.
    func workload(of pod: NodePod) async throws(ActFailure) -> WorkloadView?
    /// Deletes the Node object; one that is gone is no failure.
    func deleteNode(_ name: String, uid: String) async throws(ActFailure)
    /// Changes replicas.
    func scale(_ decision: PodsDecided) async -> WorkloadOutcome
    /// Writes a Kubernetes Event on a node; failures are dropped.
    func record(_ explanation: Explanation, isWarning: Bool, onNode node: String) async
}

/// The Kubernetes API.
///
/// Dry run: the calls that change something are sent with `dryRun=All`, so that the server checks them as well, and
/// then count as refused.
final class ClusterDoor: ClusterActing {
    let client: KubernetesClient
    let recorder: EventRecorder
    let isDryRun: Bool

    /// The cluster of this client.
    init(_ client: KubernetesClient, host: String, isDryRun: Bool) {
        self.client = client
        self.isDryRun = isDryRun
        recorder = EventRecorder(client, component: "updraft-actuator", host: host)
    }

    private static let nodes = NodeObject.resource
    static let dryRun = ActFailure(.dryRun, "dry run: checked by the server, not done", isRetriable: false)

    /// Keeps `nodes` up to date until the task is cancelled. `trouble` is told that the API server does not answer, or
    /// (nil) that it does.
    func watchNodes(into nodes: WarmTable<NodeView>, trouble: @Sendable (String?) -> Void) async {
        let listing = Lock<[NodeView]>([])
        await Reflector<NodeObject>(client).run { event in
            switch event {
            case .listing: listing.withLock { $0 = [] }
            case .page(let page): listing.withLock { $0 += page.map { NodeView($0) } }
            case .listed:
                nodes.replace(
                    listing.withLock { views -> [NodeView] in
                        let all = views
                        views = []
                        return all
                    })
            case .upserted(let object): nodes.set(NodeView(object))
            case .deleted(let object): nodes.remove(NodeView(object))
            case .watching: trouble(nil)
            case .rejected(let error): trouble("a node cannot be read: \(error)")
            case .failed(let error, _): trouble(error.description)
            }
        }
    }

    func node(_ name: String) async throws(ActFailure) -> NodeView? {
        do throws(KubernetesError) {
            return NodeView(try await client.get(NodeObject.self, name))
        } catch {
            if error.code == .notFound { return nil }
            throw ActFailure(error)
        }
    }

    func pods(on node: String) async throws(ActFailure) -> [NodePod] {
        do throws(KubernetesError) {
            return try await client.all(PodObject.self, Selection(fields: "spec.nodeName=\(node)")).map(NodePod.init)
        } catch {
            throw ActFailure(error)
        }
    }

    func edit(_ edit: NodeEdit) async -> NodeEditOutcome {
        let result = Lock(NodeEditOutcome.gone)
        do throws(KubernetesError) {
            let sent = try await client.edit(Self.nodes, edit.node, dryRun: isDryRun) { raw in
                do throws(NodeEdit.Refusal) {
                    let (patch, record) = try edit.patch(for: raw)
                    result.withLock { $0 = .done(record) }
                    return patch
                } catch {
                    result.withLock { $0 = NodeEditOutcome(error) }
                    return nil
                }
            }
            if sent && isDryRun { return .failed(Self.dryRun) }
            return result.withLock { $0 }
        } catch {
            return error.code == .notFound ? .gone : .failed(ActFailure(error))
        }
    }

    func evict(_ pod: NodePod, grace: Int64?) async -> EvictionOutcome {
        do throws(KubernetesError) {
            try await client.evict(
                namespace: pod.namespace, pod.name, uid: pod.uid, gracePeriodSeconds: grace, dryRun: isDryRun)
            return isDryRun ? .failed(Self.dryRun) : .accepted
        } catch {
            switch error.code {
            case .notFound: return .gone
            // The precondition on the uid does not hold: the pod that was meant is gone.
            case .conflict: return .gone
            case .disruptionBudget(let name, let isProcessing):
                return .blocked(
                    budget: name.map { "budget \(pod.namespace)/\($0): \(error.message)" } ?? error.message,
                    retryAfter: isProcessing ? .seconds(1) : nil)
            case .twoBudgets: return .blocked(budget: await budgets(of: pod, error.message), retryAfter: nil)
            case .tooManyRequests(let retryAfter): return .blocked(budget: error.message, retryAfter: retryAfter)
            default: return .failed(ActFailure(error))
            }
        }
    }

    func deleteNode(_ name: String, uid: String) async throws(ActFailure) {
        do throws(KubernetesError) {
            // What kept it for its removal goes first: the end was published.
            _ = try await client.edit(Self.nodes, name, dryRun: isDryRun) { raw in
                raw[path: "metadata", "uid"]?.stringValue == uid ? NodeEdit.releasing(raw) : nil
            }
        } catch {
            if error.code == .notFound { return }
            throw ActFailure(error)
        }
        do throws(KubernetesError) {
            try await client.deleteNode(name, uid: uid, dryRun: isDryRun)
        } catch {
            // Gone, or another one of its name: either way ours is not there.
            if error.code == .notFound || error.code == .conflict { return }
            throw ActFailure(error)
        }
        if isDryRun { throw Self.dryRun }
    }

    func scale(_ decision: PodsDecided) async -> WorkloadOutcome {
        do throws(KubernetesError) {
            let resource: ResourceName
            switch try await client.scalability(decision.apiVersion, kind: decision.kind) {
            case .scalable(let found): resource = found
            case .not(let why):
                let failure = ActFailure(.targetNotScalable, why, isRetriable: false)
                await tell(decision, failure.explanation, isWarning: true)
                return .failed(failure)
            }
            let scale = try await client.scale(of: resource, namespace: decision.namespace, decision.name)
            if let uid = decision.uid, !scale.meta.uid.isEmpty, scale.meta.uid != uid {
                // Nobody looked at this one, and what its number means is not known.
                return .failed(ActFailure(.decisionStale, "the workload was deleted and made anew", isRetriable: false))
            }
            let found = Int(scale.replicas)
            if found == decision.to { return .already }
            guard found == decision.from else { return .stale(found: found) }
            guard let replicas = Int32(exactly: decision.to) else {
                return .failed(ActFailure(.kubernetesRefused, "too many replicas", isRetriable: false))
            }
            try await client.setScale(
                of: resource, namespace: decision.namespace, decision.name, replicas: replicas,
                resourceVersion: scale.meta.resourceVersion, dryRun: isDryRun)
            if isDryRun { return .failed(Self.dryRun) }
            await tell(decision, decision.reason, uid: scale.meta.uid)
            return .done
        } catch {
            let failure =
                error.code == .notFound
                ? ActFailure(.targetNotFound, error.description, isRetriable: false) : ActFailure(error)
            if !failure.isRetriable { await tell(decision, failure.explanation, isWarning: true) }
            return .failed(failure)
        }
    }

    /// An Event on a workload whose replicas a pod scaler changes; failures are dropped.
    private func tell(
        _ decision: PodsDecided, _ why: Explanation, uid: String? = nil, isWarning: Bool = false
    ) async {
        guard !isDryRun, decision.reason.reason != .surged else { return }
        let change = "replicas \(decision.from) to \(decision.to)"
        let message = isWarning ? "\(change) refused: \(why.detail)" : "\(change): \(why.detail)"
        try? await recorder.record(
            EventText(isWarning: isWarning, reason: why.reason.rawValue, message: message),
            on: ObjectReference(
                kind: decision.kind, apiVersion: decision.apiVersion, namespace: decision.namespace,
                name: decision.name, uid: uid ?? decision.uid ?? ""), at: .now())
    }

    func record(_ explanation: Explanation, isWarning: Bool, onNode node: String) async {
        guard !isDryRun else { return }
        try? await recorder.record(
            EventText(isWarning: isWarning, reason: explanation.reason.rawValue, message: explanation.detail),
            on: .node(node), at: .now())
    }
}

extension NodeView {
    /// From the object.
    init(_ object: NodeObject) {
        self.init(object.node)
        isHeld = object.finalizers.contains(RemovalNames.finalizer)
    }
}

extension NodeEditOutcome {
    /// What a refusal of the edit means.
    init(_ refusal: NodeEdit.Refusal) {
        switch refusal {
        case .otherNode: self = .gone
        case .overtaken(let record): self = .overtaken(record)
        case .nothingToDo: self = .done(nil)
        case .unreadable(let why): self = .failed(ActFailure(.memberUnresolved, why, isRetriable: false))
        }
    }
}

extension ActFailure {
    /// What a failed call to Kubernetes means for whoever decided.
    init(_ error: KubernetesError) {
        switch error.code {
        case .unauthorized: self.init(.credentialRefused, error.description, isRetriable: false)
        case .forbidden, .invalid, .configuration, .notFound, .alreadyExists, .twoBudgets:
            self.init(.kubernetesRefused, error.description, isRetriable: false)
        case .conflict: self.init(.kubernetesConflict, error.description, isRetriable: true)
        case .gone, .tooManyRequests, .disruptionBudget, .server, .transport, .malformed:
            self.init(.kubernetesUnreachable, error.description, isRetriable: true)
        }
    }
}
