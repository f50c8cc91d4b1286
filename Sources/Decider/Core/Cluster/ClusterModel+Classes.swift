import Messages
import Support

/// Classes of pods: those of a shape and its volumes are equal for the simulation.
extension ClusterModel {
    /// The class of a shape (and claims); made when new.
    mutating func classNumber(shape: Int, claims names: [String]) -> Int {
        var volumes = Catalog.Volumes()
        let value = shapes[shape] ?? PodShape()
        for name in names {
            if let claim = claims["\(value.namespace)/\(name)"] {
                if claim.isBound, let terms = claim.nodeAffinity { volumes.terms.append(terms) }
            } else {
                volumes.missing = true
            }
        }
        let key = ClassKey(shape: shape, volumes: volumes)
        if let number = classNumbers[key] { return number }
        let counters = catalog.counters.count
        let number = catalog.addClass(catalog.compile(value, volumes: volumes))
        classNumbers[key] = number
        catalog.link(classesFrom: number, countersFrom: counters)
        catalog.updateBehaviours(from: number, countersChanged: counters != catalog.counters.count)
        widen()
        return number
    }

    mutating func compileAll(_ numbers: [Int]) {
        let counters = catalog.counters.count
        let first = catalog.classes.count
        for number in numbers {
            guard let shape = shapes[number] else { continue }
            let key = ClassKey(shape: number, volumes: Catalog.Volumes())
            // A shape number is never reused in an epoch; a repeated one is left alone.
            guard classNumbers[key] == nil else { continue }
            classNumbers[key] = catalog.addClass(catalog.compile(shape))
        }
        catalog.link(classesFrom: first, countersFrom: counters)
        catalog.updateBehaviours(from: first, countersChanged: counters != catalog.counters.count)
        widen()
    }

    /// Makes a class that no pod of the cluster has: for templates' DaemonSets and for headroom.
    mutating func addClass(_ shape: PodShape) -> Int {
        let counters = catalog.counters.count
        let number = catalog.addClass(catalog.compile(shape))
        catalog.link(classesFrom: number, countersFrom: counters)
        catalog.updateBehaviours(from: number, countersChanged: counters != catalog.counters.count)
        widen()
        return number
    }

    /// The class that a DaemonSet's pods will have.
    mutating func classNumber(template shape: Int) -> Int? {
        shapes[shape] == nil ? nil : classNumber(shape: shape, claims: [])
    }

    mutating func widen() {
        let first = world.counters.count
        world.widen(&catalog)
        guard first < world.counters.count else { return }
        for (slot, record) in nodes.enumerated() {
            guard let record else { continue }
            for index in record.pods { recount(index, on: slot, from: first) }
        }
        for index in unplaced {
            if let pod = pods[Int(index)], pod.holds >= 0 { recount(index, on: Int(pod.holds), from: first) }
        }
    }

    private mutating func recount(_ index: Int32, on slot: Int, from first: Int) {
        guard let pod = pods[Int(index)], holdsRoom(pod), pod.holds == Int32(slot) else { return }
        let podClass = catalog.classes[Int(pod.podClass)]
        for number in pod.isTerminating ? podClass.terminatingBumps : podClass.bumps where number >= first {
            world.bump(number, slot, 1, catalog)
        }
    }

    /// Fewer classes than this are not worth a new beginning.
    static let fewClasses = 2_000

    /// Whether most classes belong to shapes that no pod has any more. Jobs bring a shape each: kept for ever they would be
    /// most of the memory after some weeks.
    mutating func hasOutgrown() -> Bool {
        // Counting is a pass over the pods: not for every message.
        guard catalog.classes.count >= countedAt + Self.fewClasses else { return false }
        countedAt = catalog.classes.count
        return catalog.classes.count > 4 * shapesInUse(shapeNumbers()).count
    }

    /// The shape of each class.
    func shapeNumbers() -> [Int: Int] {
        Dictionary(classNumbers.map { ($0.value, $0.key.shape) }, uniquingKeysWith: { first, _ in first })
    }

    func shapesInUse(_ numbers: [Int: Int]) -> Set<Int> {
        var used: Set<Int> = []
        for pod in pods { if let pod, let shape = numbers[Int(pod.podClass)] { used.insert(shape) } }
        for workload in workloads.values { if let template = workload.template { used.insert(template) } }
        for target in scaling.targets.values { if let template = target.template { used.insert(template) } }
        for item in evicted { if let shape = numbers[Int(item.podClass)] { used.insert(shape) } }
        return used
    }
}
