import Messages
import Support

/// What a cluster is, kept up to date by snapshots and deltas, ready to be simulated on.
struct ClusterModel: Sendable {
    /// What applying a message came to.
    enum Outcome: Equatable, Sendable {
        case applied
        /// Nothing changed; the Collector lives.
        case heartbeat
        /// An older message or a part of another snapshot: left out.
        case ignored
        /// Something is missing in between: a snapshot is needed.
        case gap(String)
    }

    let cluster: String
    /// Pods below this priority hold no room.
    let expendableCutoff: Int32
    /// Which nodes do their work, and which taints pass.
    let nodeRules: NodeRules
    /// Where in the Collector's stream it is.
    private(set) var feed = ClusterFeed()
    /// When the last word from the Collector was heard.
    private(set) var heardAt: Timestamp?

    var catalog = Catalog()
    var world = World(stride: 4)
    private(set) var nodes: [NodeRecord?] = []
    private(set) var briefs: [NodeBrief] = []
    /// Changes when class numbers begin anew.
    private(set) var classesRevision = 0
    /// Grows with each node that comes, goes or changes.
    private(set) var nodesRevision = 0
    /// Grows with each change that may alter what a new node of a group is like.
    private(set) var templatesRevision = 0
    private(set) var nodeSlots: [String: Int] = [:]
    private var freeNodeSlots: [Int] = []
    private(set) var pods: [PodRecord?] = []
    private(set) var podBriefs: [PodBrief] = []
    private var podSlots: [String: Int32] = [:]
    /// The serial of the pod that came last.
    private var lastSerial = 0
    private var freePodSlots: [Int32] = []
    /// Records of pods without a node.
    private(set) var unplaced: Set<Int32> = []
    /// Pods that wait for a node that does not exist (yet), by its name.
    private(set) var orphans: [String: Set<Int32>] = [:]
    private(set) var budgets: [String: Budget] = [:]
    private(set) var workloads: [String: Workload] = [:]
    /// Pod scalers and what they could scale.
    private(set) var scaling = ScalingTable()
    private(set) var shapes: [Int: PodShape] = [:]
    private(set) var claims: [String: Claim] = [:]
    private(set) var podsWithClaims: [Int32: (shape: Int, claims: [String])] = [:]
    /// Numbers of the classes made so far (`ClusterModel+Classes`).
    var classNumbers: [ClassKey: Int] = [:]
    /// Grows with each change that may alter a decision.
    private(set) var revision = 0
    /// Slots of nodes in the order of their names.
    private(set) var order: [Int32] = []
    private var orderIsStale = false
    /// Slots whose node or pods changed since they were last taken.
    private var touched: [Int32] = []
    private var isTouched: [Bool] = []
    /// How many classes there were when those in use were last counted.
    var countedAt = 0
    /// Pods that left a node under removal, for which room is kept until their owner has replaced them.
    var evicted: [EvictedPod] = []

    /// What a class is made of.
    struct ClassKey: Hashable {
        var shape: Int
        var volumes: Catalog.Volumes
    }

    init(cluster: String, expendableCutoff: Int32, nodeRules: NodeRules = NodeRules()) {
        self.cluster = cluster
        self.expendableCutoff = expendableCutoff
        self.nodeRules = nodeRules
    }

    /// Whether a node is ready and set up.
    func works(_ node: Node) -> Bool { node.isWorking && nodeRules.unfinished(node) == nil }

    /// Whether a whole snapshot has been applied.
    var isComplete: Bool { feed.isComplete }

    /// How many pods are known.
    var podCount: Int { podSlots.count }

    /// The record of a pod, by its UID.
    func podIndex(_ uid: String) -> Int32? { podSlots[uid] }

    // MARK: Messages

    /// Takes a part of a snapshot; the last part replaces everything.
    mutating func apply(_ snapshot: ClusterSnapshot, at now: Timestamp) -> Outcome {
        heardAt = now
        switch feed.take(snapshot) {
        case .whole(let parts):
            // Evicted pods are in no snapshot: their places are kept as long as after a delta.
            let gone = evicted.map { (shape: catalog.classes[Int($0.podClass)].shape, at: $0.at) }
            rebuild(from: parts)
            evicted = gone.map { EvictedPod(podClass: Int32(addClass($0.shape)), at: $0.at) }
            return .applied
        case .waiting: return .heartbeat
        case .ignored: return .ignored
        case .gap(let why): return .gap(why)
        }
    }

    mutating func rebuild(from parts: [ClusterSnapshot]) {
        let scalingBefore = scaling
        // Most nodes are told again as they were.
        let removals = removalsByNode()
        self = ClusterModel(after: self)
        for part in parts {
            for namespace in part.namespaces { catalog.namespaces[namespace.name] = namespace.labels }
            for item in part.shapes { shapes[item.id] = item.shape }
            for claim in part.claims { claims[claim.id] = claim }
            for budget in part.budgets { budgets[budget.id] = budget }
            for workload in part.workloads { workloads[workload.id] = workload }
            if let scaling = part.scaling { self.scaling.add(scaling) }
        }
        scaling.keepUnlisted(of: scalingBefore)
        // In one go: each new class may bring counters, and linking them is a pass over all classes.
        compileAll(parts.flatMap { $0.shapes.map(\.id) }.sorted())
        for part in parts { for node in part.nodes { upsert(node, after: removals[node.name]) } }
        for part in parts { for pod in part.pods { upsert(pod) } }
        settle()
    }

    /// What is known of the records on nodes, by the nodes' names.
    private func removalsByNode() -> [String: RemovalBrief] {
        var removals: [String: RemovalBrief] = [:]
        for record in nodes {
            if let record, let removal = record.removal { removals[record.node.name] = removal }
        }
        return removals
    }

    /// We changed the replicas of a target that could not be listed.
    mutating func changeKept(_ target: String, to replicas: Int) { scaling.changeKept(target, to: replicas) }

    private init(after old: ClusterModel) {
        self.init(cluster: old.cluster, expendableCutoff: old.expendableCutoff, nodeRules: old.nodeRules)
        feed = old.feed
        heardAt = old.heardAt
        lastSerial = old.lastSerial
        revision = old.revision + 1
        nodesRevision = old.nodesRevision + 1
        templatesRevision = old.templatesRevision + 1
        classesRevision = old.classesRevision + 1
        scaling.revision = old.scaling.revision + 1
        scaling.scalersRevision = old.scaling.scalersRevision + 1
    }

    /// Takes a delta.
    mutating func apply(_ delta: ClusterDelta, at now: Timestamp) -> Outcome {
        heardAt = now
        switch feed.take(delta) {
        case .changed: break
        case .heartbeat: return .heartbeat
        case .ignored: return .ignored
        case .gap(let why): return .gap(why)
        }
        revision += 1
        for item in delta.shapes { shapes[item.id] = item.shape }
        for claim in delta.claims { claims[claim.id] = claim }
        for id in delta.removedClaims { claims[id] = nil }
        for budget in delta.budgets { budgets[budget.id] = budget }
        for id in delta.removedBudgets { budgets[id] = nil }
        for workload in delta.workloads { workloads[workload.id] = workload }
        for id in delta.removedWorkloads { workloads[id] = nil }
        if let change = delta.scaling { scaling.change(change) }
        if delta.workloads.contains(where: { $0.kind == "DaemonSet" })
            || delta.removedWorkloads.contains(where: { $0.hasPrefix("DaemonSet/") })
        {
            templatesRevision += 1
        }
        let namespacesChange = changeNamespaces(delta)
        if !delta.shapes.isEmpty { compileAll(delta.shapes.map(\.id).sorted()) }
        for uid in delta.removedPods { remove(pod: uid, at: now) }
        for name in delta.removedNodes { remove(node: name) }
        for node in delta.nodes { upsert(node) }
        for pod in delta.pods { upsert(pod) }
        if !delta.claims.isEmpty || !delta.removedClaims.isEmpty { recompileClaims() }
        if namespacesChange || hasOutgrown() { recompileEverything() }
        settle()
        return .applied
    }

    private mutating func changeNamespaces(_ delta: ClusterDelta) -> Bool {
        var changed = false
        for namespace in delta.namespaces where catalog.namespaces[namespace.name] != namespace.labels {
            catalog.namespaces[namespace.name] = namespace.labels
            changed = true
        }
        for name in delta.removedNamespaces where catalog.namespaces[name] != nil {
            catalog.namespaces[name] = nil
            changed = true
        }
        // Only namespace selectors look at labels of namespaces.
        return changed
            && shapes.values.contains { shape in
                (shape.podAffinity + shape.podAntiAffinity).contains { $0.namespaceSelector != nil }
            }
    }

    /// Slots whose node or pods changed since this was last asked.
    mutating func takeTouched() -> [Int32] {
        for slot in touched { isTouched[Int(slot)] = false }
        defer { touched = [] }
        return touched
    }

    private mutating func touch(_ slot: Int) {
        while isTouched.count <= slot { isTouched.append(false) }
        guard !isTouched[slot] else { return }
        isTouched[slot] = true
        touched.append(Int32(slot))
    }

    private mutating func settle() {
        widen()
        if orderIsStale {
            order = nodeSlots.sorted { $0.key < $1.key }.map { Int32($0.value) }
            orderIsStale = false
        }
    }

    private mutating func recompileClaims() {
        for (index, item) in podsWithClaims {
            let number = classNumber(shape: item.shape, claims: item.claims)
            guard var pod = pods[Int(index)], pod.podClass != Int32(number) else { continue }
            hold(pod, -1)
            pod.podClass = Int32(number)
            pods[Int(index)] = pod
            podBriefs[Int(index)].podClass = Int32(number)
            hold(pod, 1)
        }
    }

    // MARK: Nodes

    /// `known`: what is known of a record on the node if the model has the node no more.
    private mutating func upsert(_ node: Node, after known: RemovalBrief? = nil) {
        if let slot = nodeSlots[node.name], let old = nodes[slot] {
            guard old.node != node else { return }
            replace(slot, old, with: node)
            return
        }
        let slot = freeNodeSlots.popLast() ?? nodes.count
        if slot == nodes.count {
            nodes.append(nil)
            briefs.append(NodeBrief())
        }
        nodeSlots[node.name] = slot
        orderIsStale = true
        insert(node, RemovalBrief(node, after: known), slot)
        for index in orphans.removeValue(forKey: node.name) ?? [] {
            guard var pod = pods[Int(index)] else { continue }
            attach(&pod, index, slot)
            pods[Int(index)] = pod
        }
    }

    private mutating func insert(_ node: Node, _ removal: RemovalBrief?, _ slot: Int) {
        let allocatable = catalog.vector(node.allocatable)
        let record = NodeRecord(node: node, allocatable: allocatable, serverID: node.serverID, removal: removal)
        let number = catalog.nodeClass(
            NodeClass(labels: node.labels, taints: record.lastingTaints, unschedulable: node.unschedulable))
        widen()
        let seed = NodeSeed(
            name: node.name, host: node.labels[NodeClass.hostLabel], nodeClass: number, free: allocatable,
            isOpen: record.takesPods && works(node))
        _ = world.add(seed, slot: slot < world.slots ? slot : nil, &catalog)
        nodes[slot] = record
        note(record, slot)
    }

    private mutating func note(_ record: NodeRecord, _ slot: Int) {
        nodesRevision += 1
        templatesRevision += 1
        touch(slot)
        let node = record.node
        let isUnderRemoval = record.isUnderRemoval
        briefs[slot] = NodeBrief(
            exists: true, isReady: works(node),
            isLeaving: isUnderRemoval || node.deletedAt != nil
                || node.taints.contains { $0.key == Node.peerDeletionTaint },
            isUnderRemoval: isUnderRemoval, createdAt: node.createdAt,
            readinessChangedAt: node.readinessChangedAt, cpu: node.allocatable.cpuMillis,
            memory: node.allocatable.memoryBytes,
            isSpecial: !node.annotations.isEmpty || !node.allocatable.extended.isEmpty,
            pods: briefs[slot].pods, terminating: briefs[slot].terminating, fixedPods: briefs[slot].fixedPods)
    }

    private mutating func replace(_ slot: Int, _ old: NodeRecord, with node: Node) {
        var same = old.node
        same.annotations = node.annotations
        same.readiness = node.readiness
        same.readinessChangedAt = node.readinessChangedAt
        same.readinessReason = node.readinessReason
        same.pressures = node.pressures
        same.deletedAt = node.deletedAt
        same.providerID = node.providerID
        same.address = node.address
        same.kubeletPort = node.kubeletPort
        var record = old
        record.node = node
        record.serverID = node.serverID
        record.removal = RemovalBrief(node, after: old.removal)
        // An annotation tells which taints count.
        if same == node, old.lastingTaints == record.lastingTaints {
            nodes[slot] = record
            note(record, slot)
            world.setOpen(slot, record.takesPods && works(node))
            return
        }
        let indices = old.pods
        let nominated = unplaced.filter { pods[Int($0)]?.holds == Int32(slot) }
        for index in indices { if let pod = pods[Int(index)] { hold(pod, -1) } }
        for index in nominated { if let pod = pods[Int(index)] { hold(pod, -1) } }
        world.remove(slot, catalog)
        insert(node, record.removal, slot)
        nodes[slot]?.pods = indices
        for index in indices { if let pod = pods[Int(index)] { hold(pod, 1) } }
        for index in nominated { if let pod = pods[Int(index)] { hold(pod, 1) } }
    }

    private mutating func remove(node name: String) {
        guard let slot = nodeSlots.removeValue(forKey: name), let record = nodes[slot] else { return }
        for index in record.pods {
            guard var pod = pods[Int(index)] else { continue }
            hold(pod, -1)
            pod.node = -1
            pod.holds = -1
            pods[Int(index)] = pod
            orphans[name, default: []].insert(index)
        }
        for index in unplaced {
            guard var pod = pods[Int(index)], pod.holds == Int32(slot) else { continue }
            hold(pod, -1)
            pod.holds = -1
            pods[Int(index)] = pod
            podBriefs[Int(index)].holds = -1
        }
        world.remove(slot, catalog)
        nodes[slot] = nil
        briefs[slot] = NodeBrief()
        nodesRevision += 1
        templatesRevision += 1
        freeNodeSlots.append(slot)
        orderIsStale = true
    }

    // MARK: Pods

    /// Whether the pod takes room on the node it holds.
    func holdsRoom(_ pod: PodRecord) -> Bool {
        guard pod.holds >= 0, pod.phase != .succeeded, pod.phase != .failed else { return false }
        return !isExpendable(catalog.classes[Int(pod.podClass)].shape)
    }

    /// Whether pods of this priority neither trigger nor hold nodes. A pod without a priority always does.
    func isExpendable(_ shape: PodShape) -> Bool {
        guard let priority = shape.priority else { return false }
        return priority < expendableCutoff
    }

    private mutating func hold(_ pod: PodRecord, _ count: Int) {
        guard holdsRoom(pod) else { return }
        touch(Int(pod.holds))
        world.place(
            catalog.classes[Int(pod.podClass)], on: Int(pod.holds), count: count, terminating: pod.isTerminating,
            catalog)
    }

    private mutating func upsert(_ pod: Pod) {
        let number = classNumber(shape: pod.shape, claims: pod.claims)
        var index: Int32
        let serial: Int
        if let known = podSlots[pod.uid] {
            index = known
            serial = podBriefs[Int(index)].serial
            detach(index)
        } else {
            lastSerial += 1
            serial = lastSerial
            index = freePodSlots.popLast() ?? Int32(pods.count)
            if Int(index) == pods.count {
                pods.append(nil)
                podBriefs.append(PodBrief())
            }
            podSlots[pod.uid] = index
        }
        var record = PodRecord(
            uid: pod.uid, name: pod.name, podClass: Int32(number), node: -1, holds: -1, phase: pod.phase,
            scheduling: pod.scheduling, isTerminating: pod.deletedAt != nil, createdAt: pod.createdAt,
            unschedulableSince: pod.unschedulableSince, deletedAt: pod.deletedAt,
            nominated: pod.node == nil && pod.nominatedNode != nil)
        if !pod.claims.isEmpty { podsWithClaims[index] = (pod.shape, pod.claims) }
        if let name = pod.node {
            if let slot = nodeSlots[name] {
                attach(&record, index, slot)
            } else {
                orphans[name, default: []].insert(index)
            }
        } else {
            unplaced.insert(index)
            if let nominated = pod.nominatedNode, let slot = nodeSlots[nominated] {
                record.holds = Int32(slot)
                hold(record, 1)
            }
        }
        pods[Int(index)] = record
        podBriefs[Int(index)] = PodBrief(
            serial: serial, podClass: record.podClass, holds: record.holds, phase: record.phase,
            scheduling: record.scheduling,
            isTerminating: record.isTerminating, isReady: pod.ready, createdAt: record.createdAt,
            startedAt: pod.startedAt, readyChangedAt: pod.readyChangedAt)
    }

    private mutating func attach(_ pod: inout PodRecord, _ index: Int32, _ slot: Int) {
        pod.node = Int32(slot)
        pod.holds = Int32(slot)
        nodes[slot]?.pods.append(index)
        count(pod, slot, 1)
        hold(pod, 1)
    }

    private mutating func count(_ pod: PodRecord, _ slot: Int, _ change: Int32) {
        touch(slot)
        briefs[slot].pods += change
        if pod.isTerminating { briefs[slot].terminating += change }
        guard catalog.classes[Int(pod.podClass)].isFixed else { return }
        briefs[slot].fixedPods += change
        templatesRevision += 1
    }

    private mutating func detach(_ index: Int32) {
        guard let pod = pods[Int(index)] else { return }
        hold(pod, -1)
        podsWithClaims[index] = nil
        unplaced.remove(index)
        if pod.node >= 0 {
            let slot = Int(pod.node)
            if let place = nodes[slot]?.pods.firstIndex(of: index) { nodes[slot]?.pods.remove(at: place) }
            count(pod, slot, -1)
        } else if let name = waitsFor(index) {
            orphans[name]?.remove(index)
            if orphans[name]?.isEmpty == true { orphans[name] = nil }
        }
    }

    private mutating func remove(pod uid: String, at now: Timestamp) {
        guard let index = podSlots.removeValue(forKey: uid) else { return }
        if let pod = pods[Int(index)], pod.node >= 0, briefs[Int(pod.node)].isUnderRemoval {
            let podClass = catalog.classes[Int(pod.podClass)]
            if !podClass.isFixed && !podClass.isStatic {
                evicted.append(EvictedPod(podClass: pod.podClass, at: now))
            }
        }
        detach(index)
        pods[Int(index)] = nil
        podBriefs[Int(index)] = PodBrief()
        freePodSlots.append(index)
    }
}
