import Messages
import Support

/// What became of a candidate in the simulation.
enum RemovalVerdict: Sendable {
    /// It may go; these pods move (DaemonSet and mirror pods not counted).
    case removable(pods: [Int32])
    case stays(Explanation)

    var isRemovable: Bool {
        if case .removable = self { return true }
        return false
    }
}

/// Pods of one class that a simulation put on a node.
struct Held: Sendable {
    var podClass: Int
    var count: Int
}

/// Tries to empty nodes one after the other: every pod has to fit on a node that stays, together with all pods moved before.
struct RemovalSimulator {
    private(set) var world: World
    private let model: ClusterModel
    private let drain: DrainRules
    private let now: Timestamp
    private var budgets: BudgetTracker
    /// Slots that may take pods, best first.
    private var destinations: [Int32]
    private var packers: [Int: Packer] = [:]
    /// Pods that the simulation has put on a node: they move with its own.
    private(set) var received: [Int: [Held]] = [:]
    /// Nodes that may go once a pod on them has run to its end, by slot.
    private(set) var awaited: [Int: Explanation] = [:]
    /// Where the pods of the last node that may go went, in order.
    private(set) var lastMoves: [Placement] = []
    private let peer: PeerRules
    /// Where the last pod went, for the peer, whose pods go to the nodes in turn.
    private var lastTaker: Int32?

    /// - Parameters:
    ///   - world: the cluster with what is reserved in it.
    ///   - destinations: slots that may take pods, best first.
    init(
        _ model: ClusterModel, world: World, drain: DrainRules, now: Timestamp, destinations: [Int32],
        peer: PeerRules = PeerRules()
    ) {
        self.model = model
        self.peer = peer
        self.world = world
        self.drain = drain
        self.now = now
        self.destinations = destinations
        budgets = BudgetTracker(Array(model.budgets.values))
    }

    /// Pods that the world already holds beyond those that run: pending and evicted ones.
    mutating func hold(_ pods: [Int: [Held]]) {
        received = pods
    }

    /// Slots that got pods in the simulation, or held some before it.
    var receivers: Set<Int> { Set(received.keys) }

    /// Keeps room for a pod of a class (evicted, not recreated yet); one that fits nowhere reserves nothing.
    @discardableResult
    mutating func reserve(_ podClass: Int) -> Bool {
        var packer = Packer(model.catalog.classes[podClass], nodes: takers(), world)
        return packer.place(1, in: &world, model.catalog) { node, count in
            received[node, default: []].append(Held(podClass: podClass, count: count))
            lastTaker = Int32(node)
        } == 1
    }

    /// Slots that may take pods, in the order in which they are tried.
    private func takers() -> [Int32] {
        guard peer.takesPodsInTurn, let first = lastTaker ?? model.order.first else { return destinations }
        let allowed = Set(destinations)
        let place = (model.order.firstIndex(of: first) ?? 0) + 1
        return (model.order[place...] + model.order[..<place]).filter(allowed.contains)
    }

    /// Decides about one node. A node that may go takes no pods from now on, yet remains a topology domain. One on which a pod is to
    /// run to its end may go as well, but not before (`awaited`): its time runs meanwhile.
    mutating func tryRemoving(_ slot: Int) -> RemovalVerdict {
        guard model.nodes[slot] != nil else { return .stays(Explanation(.noNodeInfo)) }
        var rules = DrainCheck(rules: drain, now: now, budgets: budgets)
        rules.isPeers = peer.takesPodsInTurn
        let check = rules.check(slot, model)
        if let blocking = check.blocking {
            return .stays(Explanation(.blockedByPod, describe(blocking.pod, blocking.reason)))
        }
        let moving = check.evict.filter { index in
            guard let pod = model.pods[Int(index)] else { return false }
            return model.holdsRoom(pod) && pod.phase != .failed && pod.phase != .succeeded
        }
        if let obstacle = move(moving, from: slot) { return .stays(obstacle) }
        if !budgets.isEmpty { budgets.take(moving.compactMap { shape($0) }) }
        if let waiting = check.waitsFor.first { awaited[slot] = Explanation(.waitingForCompletion, podName(waiting)) }
        if peer.forgetsEmptied { forget(slot, moved: Set(moving)) }
        return .removable(pods: moving)
    }

    /// All of the nodes or none: on failure everything is as before, and the first obstacle is returned with its node.
    mutating func tryRemoving(all slots: [Int]) -> (verdicts: [Int: RemovalVerdict], failed: Int?) {
        var trial = self
        var verdicts: [Int: RemovalVerdict] = [:]
        for slot in slots {
            let verdict = trial.tryRemoving(slot)
            verdicts[slot] = verdict
            guard verdict.isRemovable else { return (verdicts, slot) }
        }
        self = trial
        return (verdicts, nil)
    }

    /// Takes an emptied node out with what is still on it.
    private mutating func forget(_ slot: Int, moved: Set<Int32>) {
        for index in model.nodes[slot]?.pods ?? [] where !moved.contains(index) {
            guard let pod = model.pods[Int(index)], model.holdsRoom(pod) else { continue }
            world.place(
                model.catalog.classes[Int(pod.podClass)], on: slot, count: -1, terminating: pod.isTerminating,
                model.catalog)
        }
        world.unmakeGhost(slot, model.catalog)
        world.remove(slot, model.catalog)
    }

    private func shape(_ index: Int32) -> PodShape? {
        model.pods[Int(index)].map { model.catalog.classes[Int($0.podClass)].shape }
    }

    private func podName(_ index: Int32) -> String {
        guard let pod = model.pods[Int(index)] else { return "" }
        return "\(model.catalog.classes[Int(pod.podClass)].shape.namespace)/\(pod.name)"
    }

    private func describe(_ pod: Int32, _ reason: Explanation) -> String {
        "\(podName(pod)): \(reason.reason.rawValue)\(reason.detail.isEmpty ? "" : ", \(reason.detail)")"
    }

    /// Moves pods off the node; on failure everything is as before and the obstacle is returned.
    private mutating func move(_ pods: [Int32], from slot: Int) -> Explanation? {
        let wasOpen = world.isOpen[slot]
        let held = received[slot] ?? []
        let groups = peer.takesPodsInTurn ? inTurn(pods, held) : grouped(pods, held)
        // Everything off first: a pod may need the place in a domain that another leaves.
        for group in groups {
            world.place(
                model.catalog.classes[group.podClass], on: slot, count: -group.count, terminating: group.terminating,
                model.catalog)
        }
        world.makeGhost(slot, model.catalog)
        let saved = packers
        var moves: [Placement] = []
        var waiting = groups
        while !waiting.isEmpty {
            var refused: [Moving] = []
            let before = moves.count
            for group in waiting {
                let placed = place(group, &moves)
                guard placed < group.count else { continue }
                var rest = group
                rest.count -= placed
                refused.append(rest)
                // Only a pod that wants to be near others, or as many of them everywhere, may find a place once those have.
                if peer.takesPodsInTurn || !waiting.contains(where: { mayOpen($0, group) }) {
                    undo(moves, groups, slot, wasOpen)
                    packers = saved
                    return noPlace(group, pods)
                }
            }
            if let first = refused.first, moves.count == before {
                undo(moves, groups, slot, wasOpen)
                packers = saved
                return noPlace(first, pods)
            }
            waiting = refused
        }
        received[slot] = nil
        lastMoves = moves
        for move in moves {
            received[move.node, default: []].append(Held(podClass: move.podClass, count: move.count))
        }
        return nil
    }

    /// Whether a place for pods of the one may open the way for those of the other, whose rules count them.
    private func mayOpen(_ other: Moving, _ group: Moving) -> Bool {
        guard other.podClass != group.podClass else { return false }
        let podClass = model.catalog.classes[group.podClass]
        let bumps = model.catalog.classes[other.podClass].bumps
        return podClass.affinity.contains { bumps.contains($0.counter) }
            || podClass.spread.contains { bumps.contains($0.counter) }
    }

    /// Puts pods of a group on other nodes, as many as find a place.
    private mutating func place(_ group: Moving, _ moves: inout [Placement]) -> Int {
        let podClass = model.catalog.classes[group.podClass]
        let key = podClass.behaviour
        // Rules on other pods depend on where those went in between: such pods look at all nodes again.
        let isKept = podClass.isPlain && !peer.takesPodsInTurn
        var packer = (isKept ? packers[key] : nil) ?? Packer(podClass, nodes: takers(), world)
        let placed = packer.place(group.count, in: &world, model.catalog) { node, count in
            moves.append(Placement(podClass: group.podClass, node: node, count: count))
        }
        if isKept { packers[key] = packer }
        if placed > 0, let last = moves.last { lastTaker = Int32(last.node) }
        return placed
    }

    private func noPlace(_ group: Moving, _ pods: [Int32]) -> Explanation {
        let name = group.first < 0 ? "a pod that waits for room" : firstName(of: group, among: pods)
        return Explanation(.noPlaceToMovePods, "\(name) fits on no other node")
    }

    /// The first by name of pods that move together: in which order they became known tells nothing.
    private func firstName(of group: Moving, among pods: [Int32]) -> String {
        guard group.first >= 0 else { return "" }
        guard !peer.takesPodsInTurn else { return podName(group.first) }
        let behaviour = model.catalog.classes[group.podClass].behaviour
        return pods.filter { index in
            model.pods[Int(index)].map {
                $0.isTerminating == group.terminating
                    && model.catalog.classes[Int($0.podClass)].behaviour == behaviour
            } ?? false
        }.map(podName).min() ?? ""
    }

    private mutating func undo(_ moves: [Placement], _ groups: [Moving], _ slot: Int, _ wasOpen: Bool) {
        for move in moves {
            world.place(model.catalog.classes[move.podClass], on: move.node, count: -move.count, model.catalog)
        }
        world.unmakeGhost(slot, model.catalog)
        world.setOpen(slot, wasOpen)
        for group in groups {
            world.place(
                model.catalog.classes[group.podClass], on: slot, count: group.count, terminating: group.terminating,
                model.catalog)
        }
    }

    private struct Moving {
        var podClass: Int
        var terminating: Bool
        var count: Int
        var first: Int32
        var size: Double
        var priority: Int32
    }

    private func moving(
        _ podClass: PodClass, _ number: Int, _ first: Int32, _ count: Int, terminating: Bool
    ) -> Moving {
        let requests = podClass.shape.requests
        return Moving(
            podClass: number, terminating: terminating, count: count, first: first,
            size: Double(requests.cpuMillis) / 1_000 + Double(requests.memoryBytes) / 4_294_967_296,
            priority: podClass.shape.priority ?? 0)
    }

    /// Pods one by one, in the order of their uids, then those that the simulation put there.
    private func inTurn(_ pods: [Int32], _ held: [Held]) -> [Moving] {
        let own = pods.compactMap { index in model.pods[Int(index)].map { (index: index, pod: $0) } }
            .sorted { $0.pod.uid < $1.pod.uid }
        var all = own.map { item in
            moving(
                model.catalog.classes[Int(item.pod.podClass)], Int(item.pod.podClass), item.index, 1,
                terminating: item.pod.isTerminating)
        }
        for item in held {
            let one = moving(model.catalog.classes[item.podClass], item.podClass, -1, 1, terminating: false)
            all += Array(repeating: one, count: item.count)
        }
        return all
    }

    /// Pods by behaviour, the important and then the large first: they are the hardest to place.
    private func grouped(_ pods: [Int32], _ held: [Held]) -> [Moving] {
        var groups: [Moving] = []
        var numbers: [Int: Int] = [:]
        for item in held {
            let podClass = model.catalog.classes[item.podClass]
            let key = podClass.behaviour * 2
            if let number = numbers[key] {
                groups[number].count += item.count
            } else {
                numbers[key] = groups.count
                groups.append(moving(podClass, item.podClass, -1, item.count, terminating: false))
            }
        }
        for index in pods {
            guard let pod = model.pods[Int(index)] else { continue }
            let podClass = model.catalog.classes[Int(pod.podClass)]
            let key = podClass.behaviour * 2 + (pod.isTerminating ? 1 : 0)
            if let number = numbers[key] {
                groups[number].count += 1
            } else {
                numbers[key] = groups.count
                groups.append(moving(podClass, Int(pod.podClass), index, 1, terminating: pod.isTerminating))
            }
        }
        func comes(_ one: Moving, before other: Moving) -> Bool? {
            if one.priority != other.priority { return one.priority > other.priority }
            return one.size != other.size ? one.size > other.size : nil
        }
        // Most nodes have none that are as important and as large: then no name is looked for.
        let sorted = groups.sorted { comes($0, before: $1) ?? false }
        guard zip(sorted, sorted.dropFirst()).contains(where: { comes($0, before: $1) == nil }) else { return sorted }
        let named = sorted.map { (group: $0, name: firstName(of: $0, among: pods)) }
        return named.sorted { comes($0.group, before: $1.group) ?? ($0.name < $1.name) }.map { $0.group }
    }
}
