import Kubernetes
import Messages
import ServiceRuntime
import Support

/// What the Notifier watches: all nodes, and the pods that matter here, those with the readiness gate and those under
/// notice. Kept up to date also while this replica stands by.
struct WarmCluster: Sendable {
    let nodes = WarmTable<NotifiedNode> { $0.name }
    /// By UID.
    let pods = WarmTable<NodePod> { $0.uid }

    /// Watches until the task is cancelled. `trouble` is told what cannot be read, or (nil) that it can be.
    func watch(_ client: KubernetesClient, trouble: @escaping @Sendable (_ what: String, String?) -> Void) async {
        await withTaskGroup { group in
            group.addTask { await watchNodes(client) { trouble("kubernetes nodes", $0) } }
            group.addTask { await watchPods(client) { trouble("kubernetes pods", $0) } }
        }
    }

    private func watchNodes(_ client: KubernetesClient, _ trouble: @Sendable (String?) -> Void) async {
        let listing = Lock<[NotifiedNode]>([])
        await Reflector<NodeObject>(client).run { event in
            switch event {
            case .listing: listing.withLock { $0 = [] }
            case .page(let page): listing.withLock { $0 += page.map { NotifiedNode($0.node) } }
            case .listed: nodes.replace(Self.taken(listing))
            case .upserted(let object): nodes.set(NotifiedNode(object.node))
            case .deleted(let object): nodes.remove(NotifiedNode(object.node))
            case .watching: trouble(nil)
            case .rejected(let error): trouble("a node cannot be read: \(error)")
            case .failed(let error, _): trouble(error.description)
            }
        }
    }

    /// All pods pass by and few are kept: memory does not grow with the cluster.
    private func watchPods(_ client: KubernetesClient, _ trouble: @Sendable (String?) -> Void) async {
        @Sendable func matters(_ pod: PodObject) -> Bool {
            pod.readinessGates.contains(RemovalNames.servingGate)
                || pod.shape.annotations[RemovalNames.podRemoval] != nil
        }
        let listing = Lock<[NodePod]>([])
        await Reflector<PodObject>(client).run { event in
            switch event {
            case .listing: listing.withLock { $0 = [] }
            case .page(let page): listing.withLock { $0 += page.filter(matters).map { NodePod($0) } }
            case .listed: pods.replace(Self.taken(listing))
            case .upserted(let pod): if matters(pod) { pods.set(NodePod(pod)) } else { pods.forget(pod.meta.uid) }
            case .deleted(let pod): pods.remove(NodePod(pod))
            case .watching: trouble(nil)
            case .failed(let error, _): trouble(error.description)
            case .rejected: break
            }
        }
    }

    private static func taken<Value: Sendable>(_ listing: Lock<[Value]>) -> [Value] {
        listing.withLock { values -> [Value] in
            let all = values
            values = []
            return all
        }
    }
}
