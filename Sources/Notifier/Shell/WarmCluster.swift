import Kubernetes
import Messages
import ServiceRuntime
import Support

/// What the Notifier watches: all nodes, and the pods that matter here, those with the readiness gate, those under notice
/// and those of nodes under removal (one may arrive late). Kept up to date also while this replica stands by.
struct WarmCluster: Sendable {
    let nodes = WarmTable<NotifiedNode> { $0.name }
    /// By UID.
    let pods = WarmTable<NodePod> { $0.uid }
    /// Names of the nodes under removal.
    private let removals = Lock<Set<String>>([])

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
            case .page(let page): listing.withLock { $0 += page.map { notified($0.node) } }
            case .listed:
                let all = Self.taken(listing)
                removals.withLock { $0 = Set(all.filter(\.isUnderRemoval).map(\.name)) }
                nodes.replace(all)
            case .upserted(let object):
                let node = notified(object.node)
                removals.withLock { names in
                    if node.isUnderRemoval { names.insert(node.name) } else { names.remove(node.name) }
                }
                nodes.set(node)
            case .deleted(let object):
                removals.withLock { _ = $0.remove(object.node.name) }
                nodes.remove(notified(object.node))
            case .watching: trouble(nil)
            case .rejected(let error): trouble("a node cannot be read: \(error)")
            case .failed(let error, _): trouble(error.description)
            }
        }
    }

    private func notified(_ node: Node) -> NotifiedNode {
        NotifiedNode(node, after: nodes.known(node.name))
    }

    /// All pods pass by and few are kept: memory does not grow with the cluster.
    private func watchPods(_ client: KubernetesClient, _ trouble: @Sendable (String?) -> Void) async {
        @Sendable func matters(_ pod: PodObject) -> Bool {
            pod.readinessGates.contains(RemovalNames.servingGate)
                || pod.shape.annotations[RemovalNames.podRemoval] != nil
                || pod.pod.node.map { node in removals.withLock { $0.contains(node) } } == true
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

extension NotifiedNode {
    fileprivate var isUnderRemoval: Bool { record?.phase.isOver == false }
}
