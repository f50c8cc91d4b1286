import Kubernetes
import Messages
import ServiceRuntime
import Support

/// Runs a reflector for each kind and tells the engine in its terms.
struct ClusterWatches: Sendable {
    let client: KubernetesClient
    let engine: CollectorEngine
    let pageSize: Int
    /// Only this node and its pods; nil: everything.
    let node: String?
    let log: Logger
    let failures: Counter
    let rejects: Counter
    private let saidThatNone = Lock(false)

    init(
        _ client: KubernetesClient, _ engine: CollectorEngine, pageSize: Int, node: String? = nil, log: Logger,
        metrics: Metrics
    ) {
        self.client = client
        self.engine = engine
        self.pageSize = pageSize
        self.node = node
        self.log = log
        failures = metrics.counter(
            "watch_failures", "Lists and watches that failed and are tried again.",
            .label("kind", ObservedKind.self), .label("code", atMost: 20))
        rejects = metrics.counter(
            "watch_rejected_objects", "Objects that could not be decoded and are left out.",
            .label("kind", ObservedKind.self))
    }

    /// Runs until the task is cancelled.
    func run() async {
        if let node { return await run(only: node) }
        await withTaskGroup { group in
            group.addTask { await watch(.nodes, NodeObject.self) { .node($0.node) } }
            group.addTask { await watch(.pods, PodObject.self) { .pod($0.pod, $0.shape, address: $0.address) } }
            group.addTask { await watch(.budgets, BudgetObject.self) { .budget($0.budget) } }
            group.addTask { await owners(.replicaSets, ReplicaSetObject.self) }
            group.addTask { await owners(.replicationControllers, ReplicationControllerObject.self) }
            group.addTask { await owners(.statefulSets, StatefulSetObject.self) }
            group.addTask { await owners(.daemonSets, DaemonSetObject.self) }
            group.addTask { await owners(.jobs, JobObject.self) }
            group.addTask {
                await watch(.claims, ClaimObject.self) {
                    .claim(
                        ObservedClaim(
                            namespace: $0.meta.namespace, name: $0.meta.name, isBound: $0.isBound, volume: $0.volume))
                }
            }
            group.addTask {
                await watch(.volumes, VolumeObject.self) {
                    .volume(ObservedVolume(name: $0.meta.name, nodeAffinity: $0.nodeAffinity))
                }
            }
            group.addTask { await watch(.namespaces, NamespaceObject.self) { .namespace($0.namespace) } }
            group.addTask {
                await watch(.deployments, DeploymentObject.self) {
                    .target(ObservedTarget($0.scaleTarget, template: $0.targetTemplate))
                }
            }
            group.addTask { await watch(.podScalers, PodScalerObject.self) { .scaler($0.scaler) } }
            group.addTask { await watch(.autoscalers, AutoscalerObject.self) { .autoscaler($0.autoscaler) } }
        }
    }

    private func run(only node: String) async {
        // The rest is not asked for, and is nothing to wait for.
        for kind in ObservedKind.allCases where kind != .nodes && kind != .pods { await engine.handle(.absent(kind)) }
        await withTaskGroup { group in
            group.addTask {
                await watch(.nodes, NodeObject.self, Selection(fields: "metadata.name=\(node)")) { .node($0.node) }
            }
            group.addTask {
                await watch(.pods, PodObject.self, Selection(fields: "spec.nodeName=\(node)")) {
                    .pod($0.pod, $0.shape)
                }
            }
        }
    }

    private func owners<Kind: WorkloadKind>(_ kind: ObservedKind, _ type: WorkloadObject<Kind>.Type) async {
        await watch(kind, type) { object in
            .workload(
                object.workload, template: object.template,
                target: object.target.map { ObservedTarget($0, template: object.targetTemplate) })
        }
    }

    private func watch<Object: KubernetesResource>(
        _ kind: ObservedKind, _ type: Object.Type, _ selection: Selection = .all,
        _ translate: @Sendable @escaping (Object) -> ObservedObject
    ) async {
        let reflector = Reflector<Object>(client, selection, limit: pageSize)
        await reflector.run { event in
            switch event {
            case .listing: await engine.handle(.listing(kind))
            case .page(let objects): await engine.handle(.observed(kind, objects.map(translate)))
            case .listed: await engine.handle(.listed(kind))
            case .upserted(let object): await engine.handle(.observed(kind, [translate(object)]))
            case .deleted(let object): await engine.handle(.gone(kind, key: translate(object).key))
            case .watching: await engine.handle(.watching(kind))
            case .rejected(let error):
                rejects.increment(kind.rawValue)
                log.warning(
                    "an object could not be read and is left out",
                    [.resource: .string(kind.rawValue), .error: .text(error)])
            case .failed(let error, let retryIn): await failed(kind, error, retryIn)
            }
        }
    }

    private func failed(_ kind: ObservedKind, _ error: KubernetesError, _ retryIn: Interval) async {
        failures.increment(kind.rawValue, error.label)
        if kind == .podScalers, error.code == .notFound {
            // Many clusters have no such objects: said once, looked for again in a while.
            if !saidThatNone.withLock({ said in
                defer { said = true }
                return said
            }) {
                log.info("the cluster knows no PodScaler objects: the CRD is not installed")
            }
            await engine.handle(.absent(kind))
            return
        }
        // A version that is too old, listed anew at once, is ordinary life.
        if error.code == .gone {
            log.info("listing again", [.resource: .string(kind.rawValue), .reason: .string(error.message)])
            return
        }
        log.warning(
            "a watch failed",
            [
                .resource: .string(kind.rawValue), .code: .string(error.label), .error: .text(error),
                .retryIn: .text(retryIn),
            ])
        // An API that the server does not have holds nothing that could be missed. Nodes and pods it must have.
        if error.code == .notFound, kind != .nodes, kind != .pods {
            await engine.handle(.absent(kind))
        } else {
            await engine.handle(.failed(kind, reason: error.description, isForbidden: error.code == .forbidden))
        }
    }
}
