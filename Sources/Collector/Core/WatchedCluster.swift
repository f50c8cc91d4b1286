import Messages
import Support

/// The compact state of a cluster, and what of it changed since the last message.
struct WatchedCluster: Sendable {
    private(set) var nodes = ObservedTable<Node>()
    private var pods = ObservedTable<Pod>()
    private var budgets = ObservedTable<Budget>()
    /// One table for each kind of owner, since each has lists of its own.
    private var workloads: [ObservedKind: ObservedTable<Workload>] = [:]
    private var claims = ObservedTable<ObservedClaim>()
    private var volumes = ObservedTable<ObservedVolume>()
    private var namespaces = ObservedTable<Namespace>()
    private var shapes = ShapeTable()
    private var scaling = ObservedScaling()
    /// Which claims use a volume, to tell them when it changes.
    private var claimsOfVolume: [String: Set<String>] = [:]
    /// Addresses of running pods that tell stats of their own, by UID. Most clusters have none.
    private var endpoints: [String: (address: String, endpoint: PodEndpoint)] = [:]
    /// UIDs of the pods of each node.
    private var podsOfNode: [String: Set<String>] = [:]
    /// Names of nodes as pods name them: one copy each.
    private var nodeNames = StringPool()

    /// Bytes of JSON that one message is filled up to. The envelope quotes the payload once more, which adds a quarter.
    static let targetBytes = 1 << 20

    var shapeCount: Int { shapes.count }

    func count(_ kind: ObservedKind) -> Int {
        switch kind {
        case .nodes: nodes.count
        case .pods: pods.count
        case .budgets: budgets.count
        case .replicaSets, .replicationControllers, .statefulSets, .daemonSets, .jobs: workloads[kind]?.count ?? 0
        case .claims: claims.count
        case .volumes: volumes.count
        case .namespaces: namespaces.count
        case .deployments, .podScalers, .autoscalers, .scales: scaling.count(kind)
        }
    }

    /// Whether scalers are known that are no objects of the cluster, so that targets are of interest anyway.
    mutating func wantTargets() { scaling.isWantedAnyway = true }

    /// Why it is not known which HorizontalPodAutoscalers there are; nil: it is.
    mutating func autoscalers(areUnknown problem: String?) { scaling.autoscalersProblem = problem }

    /// Whether the right to read scalers is missing.
    mutating func scalers(areForbidden: Bool) { scaling.areScalersForbidden = areForbidden }

    /// Why scalers or Deployments, of which a first list may fail for long, have never been listed.
    mutating func scaling(isUnknown problems: [ObservedKind: String]) {
        scaling.scalersProblem = problems[.podScalers]
        scaling.deploymentsProblem = problems[.deployments]
    }

    var isUnchanged: Bool {
        nodes.isUnchanged && pods.isUnchanged && budgets.isUnchanged && claims.isUnchanged && namespaces.isUnchanged
            && workloads.values.allSatisfy(\.isUnchanged) && scaling.isUnchanged
    }

    // MARK: Taking in

    mutating func beginList(_ kind: ObservedKind) {
        switch kind {
        case .nodes: nodes.beginList()
        case .pods: pods.beginList()
        case .budgets: budgets.beginList()
        case .replicaSets, .replicationControllers, .statefulSets, .daemonSets, .jobs:
            workloads[kind, default: ObservedTable()].beginList()
        case .claims: claims.beginList()
        case .volumes: volumes.beginList()
        case .namespaces: namespaces.beginList()
        case .deployments, .podScalers, .autoscalers, .scales: break
        }
        scaling.beginList(kind)
    }

    mutating func endList(_ kind: ObservedKind) {
        switch kind {
        case .nodes: _ = nodes.endList()
        case .pods:
            for pod in pods.endList() { forget(pod) }
        case .budgets: _ = budgets.endList()
        case .replicaSets, .replicationControllers, .statefulSets, .daemonSets, .jobs:
            for workload in workloads[kind, default: ObservedTable()].endList() { release(workload) }
        case .claims:
            for claim in claims.endList() { unlink(claim) }
        case .volumes:
            for volume in volumes.endList() { touchClaims(of: volume.name) }
        case .namespaces: _ = namespaces.endList()
        case .deployments, .podScalers, .autoscalers, .scales: break
        }
        for number in scaling.endList(kind) { shapes.release(number) }
    }

    mutating func upsert(_ kind: ObservedKind, _ object: ObservedObject) {
        switch object {
        case .node(let node): _ = nodes.upsert(node.name, node)
        case .pod(var pod, let shape, let address):
            note(pod, shape, address)
            // The new use before the end of the old one: an unchanged shape must not lose its number.
            pod.shape = shapes.retain(shape)
            pod.node = pod.node.map { nodeNames.shared($0) }
            let before = pods.upsert(pod.uid, pod)
            if let before { shapes.release(before.shape) }
            if before?.node != pod.node {
                if let node = before?.node { unlink(pod.uid, from: node) }
                if let node = pod.node { podsOfNode[node, default: []].insert(pod.uid) }
            }
        case .budget(let budget): _ = budgets.upsert(budget.id, budget)
        case .workload(var workload, let template, let target):
            if let target {
                scaling.upsert(kind, .target(target))
            } else if let number = scaling.remove(kind, workload.id) {
                shapes.release(number)
            }
            // Deployments keep ten emptied ReplicaSets each; nothing can be owned by them.
            guard kind != .replicaSets || workload.replicas > 0 || workload.currentReplicas > 0 else {
                return removeObject(kind, workload.id)
            }
            workload.template = template.map { shapes.retain($0) }
            if let before = workloads[kind, default: ObservedTable()].upsert(workload.id, workload) { release(before) }
        case .claim(let claim):
            if let before = claims.upsert(object.key, claim) { unlink(before) }
            if let volume = claim.volume { claimsOfVolume[volume, default: []].insert(object.key) }
        case .volume(let volume):
            if volumes.upsert(volume.name, volume) != volume { touchClaims(of: volume.name) }
        case .namespace(let namespace): _ = namespaces.upsert(namespace.name, namespace)
        case .target, .scaler, .autoscaler: scaling.upsert(kind, object)
        }
    }

    mutating func remove(_ kind: ObservedKind, _ key: String) {
        if let number = scaling.remove(kind, key) { shapes.release(number) }
        removeObject(kind, key)
    }

    private mutating func removeObject(_ kind: ObservedKind, _ key: String) {
        switch kind {
        case .nodes: _ = nodes.remove(key)
        case .pods:
            if let pod = pods.remove(key) { forget(pod) }
        case .budgets: _ = budgets.remove(key)
        case .replicaSets, .replicationControllers, .statefulSets, .daemonSets, .jobs:
            if let workload = workloads[kind, default: ObservedTable()].remove(key) { release(workload) }
        case .claims:
            if let claim = claims.remove(key) { unlink(claim) }
        case .volumes:
            if volumes.remove(key) != nil { touchClaims(of: key) }
        case .namespaces: _ = namespaces.remove(key)
        case .deployments, .podScalers, .autoscalers, .scales: break
        }
    }

    private mutating func note(_ pod: Pod, _ shape: PodShape, _ address: String?) {
        guard let text = shape.annotations[PodEndpoint.annotation], let address, pod.phase == .running,
            let endpoint = PodEndpoint(text)
        else {
            if !endpoints.isEmpty { endpoints[pod.uid] = nil }
            return
        }
        endpoints[pod.uid] = (address, endpoint)
    }

    private mutating func forget(_ pod: Pod) {
        if !endpoints.isEmpty { endpoints[pod.uid] = nil }
        shapes.release(pod.shape)
        if let node = pod.node { unlink(pod.uid, from: node) }
    }

    private mutating func unlink(_ uid: String, from node: String) {
        podsOfNode[node]?.remove(uid)
        if podsOfNode[node]?.isEmpty == true { podsOfNode[node] = nil }
    }

    private mutating func release(_ workload: Workload) {
        if let template = workload.template { shapes.release(template) }
    }

    private mutating func unlink(_ claim: ObservedClaim) {
        guard let volume = claim.volume else { return }
        let key = "\(claim.namespace)/\(claim.name)"
        claimsOfVolume[volume]?.remove(key)
        if claimsOfVolume[volume]?.isEmpty == true { claimsOfVolume[volume] = nil }
    }

    private mutating func touchClaims(of volume: String) {
        for key in (claimsOfVolume[volume] ?? []).sorted() { claims.touch(key) }
    }

    private func joined(_ claim: ObservedClaim) -> Claim {
        Claim(
            namespace: claim.namespace, name: claim.name, isBound: claim.isBound,
            nodeAffinity: claim.volume.flatMap { volumes[$0]?.nodeAffinity })
    }

    // MARK: Looking in

    /// Targets that scalers name and that are of no kind that is watched.
    var foreignTargets: [(namespace: String, reference: TargetReference)] { scaling.foreignTargets }

    /// Metrics of Gnocchi and alarms of Aodh that scalers name. `more`: scalers that are no objects.
    func sources(_ more: [PodScaler]) -> [WantedSource] { scaling.sources(more) }

    /// Containers whose use scalers look at, by namespace. `more`: scalers that are no objects.
    func containers(_ more: [PodScaler]) -> [String: Set<String>] { scaling.containers(more) }

    /// Pods that tell stats of their own which a scaler of their namespace names. `more`: scalers that are no objects.
    func scrapedPods(_ more: [PodScaler]) -> [ScrapedPod] {
        guard !endpoints.isEmpty else { return [] }
        let wanted = scaling.ownStats(more)
        guard !wanted.isEmpty else { return [] }
        return endpoints.compactMap { uid, place in
            guard let pod = pods[uid], let node = pod.node, let namespace = shapes[pod.shape]?.namespace,
                let stats = wanted[namespace]
            else { return nil }
            return ScrapedPod(
                uid: uid, namespace: namespace, name: pod.name, node: node, address: place.address,
                endpoint: place.endpoint, stats: stats)
        }
    }

    /// The pods of namespaces that are on a node, by name.
    func podPlaces(_ namespaces: Set<String>) -> [String: [String: SourcePods.Place]] {
        var places: [String: [String: SourcePods.Place]] = [:]
        for pod in pods.values {
            guard let node = pod.node, let namespace = shapes[pod.shape]?.namespace, namespaces.contains(namespace)
            else { continue }
            places[namespace, default: [:]][pod.name] = SourcePods.Place(uid: pod.uid, node: node)
        }
        return places
    }

    /// What is known of the pods of a node.
    func podsOnNode(_ node: String) -> UsageMeter.PodsOnNode {
        var known = UsageMeter.PodsOnNode()
        var (running, pending) = (0, 0)
        for uid in podsOfNode[node] ?? [] {
            guard let pod = pods[uid], let shape = shapes[pod.shape] else { continue }
            switch pod.phase {
            case .running: running += 1
            case .pending: pending += 1
            // A kubelet goes on telling of one that has ended, for a moment.
            case .succeeded, .failed, .unknown: break
            }
            known.facts[.init(namespace: shape.namespace, name: pod.name)] = .init(
                uid: uid, requests: shape.requests)
        }
        (known.running, known.pending) = (running, pending)
        return known
    }

    /// Pods that wait for a node, and pods that run, in the whole cluster.
    var podCounts: (running: Int, pending: Int) {
        pods.values.reduce(into: (0, 0)) { counts, pod in
            switch pod.phase {
            case .running: counts.0 += 1
            case .pending: counts.1 += 1
            case .succeeded, .failed, .unknown: break
            }
        }
    }

    // MARK: Giving out

    /// A message with everything will be made, or nobody is told: changes need not be kept.
    mutating func forgetChanges() {
        nodes.forgetChanges()
        pods.forgetChanges()
        budgets.forgetChanges()
        claims.forgetChanges()
        volumes.forgetChanges()
        namespaces.forgetChanges()
        for kind in workloads.keys { workloads[kind]?.forgetChanges() }
        scaling.forgetChanges()
    }

    /// The whole state in parts of a bounded size; shapes come before the pods that refer to them.
    mutating func snapshot(_ plain: ClusterSnapshot) -> SnapshotParts {
        var empty = plain
        // Also where no targets go out: readers are not to take the scalers that they know for gone.
        if let problem = scaling.scalersProblem { empty.scalersProblem = problem }
        if scaling.isWanted {
            if let problem = scaling.autoscalersProblem { empty.autoscalersProblem = problem }
            if let problem = scaling.deploymentsProblem { empty.deploymentsProblem = problem }
        }
        var parts = SnapshotParts(empty, targetBytes: WatchedCluster.targetBytes)
        let targets = scaling.allTargets(&shapes)
        for shape in shapes.takeAll() { parts.add(shape, \.shapes, MessageSize.of(shape.shape)) }
        for node in nodes.values { parts.add(node, \.nodes, MessageSize.of(node)) }
        for kind in ObservedKind.allCases {
            guard let table = workloads[kind] else { continue }
            for workload in table.values { parts.add(workload, \.workloads, MessageSize.of(workload)) }
        }
        for budget in budgets.values { parts.add(budget, \.budgets, MessageSize.of(budget)) }
        for claim in claims.values { parts.add(joined(claim), \.claims, MessageSize.of(claim)) }
        for namespace in namespaces.values { parts.add(namespace, \.namespaces, MessageSize.of(namespace)) }
        for scaler in scaling.scalers.values { parts.add(scaler, \.scalers, MessageSize.of(scaler)) }
        for target in targets { parts.add(target, \.scaleTargets, MessageSize.of(target)) }
        if scaling.isWanted {
            for item in scaling.autoscalers.values { parts.add(item, \.autoscalers, MessageSize.of(item)) }
        }
        parts.add(pods)
        forgetChanges()
        return parts
    }

    /// Fills a delta with changes, as many as fit; the rest stays for the next one.
    mutating func fill(_ delta: inout ClusterDelta) {
        var budget = WatchedCluster.targetBytes
        delta.nodes = nodes.takeChanged(&budget, MessageSize.of)
        delta.removedNodes = nodes.takeRemoved(&budget)
        delta.budgets = budgets.takeChanged(&budget, MessageSize.of)
        delta.removedBudgets = budgets.takeRemoved(&budget)
        delta.namespaces = namespaces.takeChanged(&budget, MessageSize.of)
        delta.removedNamespaces = namespaces.takeRemoved(&budget)
        delta.claims = claims.takeChanged(&budget, MessageSize.of).map { joined($0) }
        delta.removedClaims = claims.takeRemoved(&budget)
        var used: [Int] = []
        for kind in ObservedKind.allCases {
            guard var table = workloads[kind] else { continue }
            workloads[kind] = nil
            let changed = table.takeChanged(&budget, MessageSize.of)
            used += changed.compactMap(\.template)
            delta.workloads += changed
            delta.removedWorkloads += table.takeRemoved(&budget)
            workloads[kind] = table
        }
        let change = scaling.takeChanges(&budget, &shapes)
        if !change.isEmpty { delta.scaling = change }
        used += change.changed.targets.compactMap(\.template)
        delta.pods = pods.takeChanged(&budget) { [shapes] in
            // Its shape may have to go with it.
            MessageSize.of($0) + (shapes.isUnsent($0.shape) ? shapes[$0.shape].map(MessageSize.of) ?? 0 : 0)
        }
        delta.removedPods = pods.takeRemoved(&budget)
        used += delta.pods.map(\.shape)
        delta.shapes = used.compactMap { shapes.takeUnsent($0) }
    }
}

/// Strings of which one copy is kept.
struct StringPool: Sendable {
    private var strings: Set<String> = []

    /// The kept copy of an equal string.
    mutating func shared(_ string: String) -> String {
        // Up to 15 bytes need no memory of their own.
        guard string.utf8.count > 15 else { return string }
        // Nodes come and go for months; starting anew costs little.
        if strings.count > 50_000 { strings = [] }
        return strings.insert(string).memberAfterInsert
    }
}
