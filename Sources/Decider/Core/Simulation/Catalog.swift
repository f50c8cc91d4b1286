import Messages

/// Every name and rule of a cluster turned into a small number, once: resources, labels, predicates, selectors, pod classes.
///
/// A simulation then compares numbers. Numbers are never reused; a catalogue that has grown far beyond what is in use is made
/// anew from the model.
struct Catalog: Sendable {
    static let cpu = 0
    static let memory = 1
    static let storage = 2
    static let pods = 3
    /// The topology key of the host name, where each node is its own domain.
    static let hostKey = 0

    private(set) var resources = ["cpu", "memory", "ephemeral-storage", "pods"]
    private var resourceNumbers = [
        "cpu": Catalog.cpu, "memory": Catalog.memory, "ephemeral-storage": Catalog.storage, "pods": Catalog.pods,
    ]
    private(set) var topologyKeys = [NodeClass.hostLabel]
    private var topologyKeyNumbers = [NodeClass.hostLabel: 0]
    private var domainNumbers: [[String: Int32]] = [[:]]
    private(set) var nodeClasses: [NodeClass] = []
    private var nodeClassNumbers: [NodeClass: Int] = [:]
    private(set) var predicates: [Predicate] = []
    private(set) var perNode: [Bool] = []
    private var predicateNumbers: [Predicate: Int] = [:]
    /// Per predicate the verdict on each node class, as far as asked.
    private(set) var rows: [[UInt8]] = []
    private(set) var counters: [CounterSpec] = []
    /// Topology key of each counter.
    private(set) var counterKeys: [Int] = []
    /// Whether each counter is one of topology spread, and the numbers of those that are.
    private(set) var isSpread: [Bool] = []
    private(set) var spreadCounters: [Int] = []
    private var counterNumbers: [CounterSpec: Int] = [:]
    private(set) var ports: [PodShape.HostPort] = []
    private var portNumbers: [PodShape.HostPort: Int] = [:]
    private(set) var classes: [PodClass] = []
    private var behaviours: [Behaviour: Int] = [:]
    /// Labels of namespaces, for namespace selectors.
    var namespaces: [String: [String: String]] = [:]

    init() {}

    /// Dimensions of resource vectors.
    var stride: Int { resources.count }

    mutating func resource(_ name: String) -> Int {
        if let number = resourceNumbers[name] { return number }
        let number = resources.count
        resources.append(name)
        resourceNumbers[name] = number
        return number
    }

    mutating func topologyKey(_ name: String) -> Int {
        if let number = topologyKeyNumbers[name] { return number }
        let number = topologyKeys.count
        topologyKeys.append(name)
        topologyKeyNumbers[name] = number
        domainNumbers.append([:])
        return number
    }

    /// The domain of a node with these labels, -1 when it lacks the key. Not for the host name.
    mutating func domain(key: Int, labels: [String: String]) -> Int32 {
        guard let value = labels[topologyKeys[key]] else { return -1 }
        if let number = domainNumbers[key][value] { return number }
        let number = Int32(domainNumbers[key].count)
        domainNumbers[key][value] = number
        return number
    }

    mutating func nodeClass(_ nodeClass: NodeClass) -> Int {
        if let number = nodeClassNumbers[nodeClass] { return number }
        let number = nodeClasses.count
        nodeClasses.append(nodeClass)
        nodeClassNumbers[nodeClass] = number
        for predicate in predicates.indices { extendRow(predicate) }
        return number
    }

    mutating func predicate(_ predicate: Predicate) -> Int {
        if let number = predicateNumbers[predicate] { return number }
        let number = predicates.count
        predicates.append(predicate)
        perNode.append(predicate.isPerNode)
        predicateNumbers[predicate] = number
        rows.append([])
        extendRow(number)
        return number
    }

    private mutating func extendRow(_ predicate: Int) {
        while rows[predicate].count < nodeClasses.count {
            let node = nodeClasses[rows[predicate].count]
            let verdict =
                perNode[predicate] ? .unknown : predicates[predicate].evaluate(node, host: nil, name: "")
            rows[predicate].append(verdict.rawValue)
        }
    }

    mutating func counter(_ spec: CounterSpec) -> Int {
        if let number = counterNumbers[spec] { return number }
        let number = counters.count
        counters.append(spec)
        counterKeys.append(spec.key)
        if case .spread = spec.kind {
            isSpread.append(true)
            spreadCounters.append(number)
        } else {
            isSpread.append(false)
        }
        counterNumbers[spec] = number
        return number
    }

    mutating func port(_ port: PodShape.HostPort) -> Int {
        if let number = portNumbers[port] { return number }
        let number = ports.count
        ports.append(port)
        portNumbers[port] = number
        return number
    }

    /// Whether two host ports cannot be used on one node (Kubernetes: same port and protocol, and equal or any address).
    func conflict(_ left: Int, _ right: Int) -> Bool {
        let (one, other) = (ports[left], ports[right])
        guard one.port == other.port, one.transport == other.transport else { return false }
        func isAny(_ address: String) -> Bool { address.isEmpty || address == "0.0.0.0" || address == "::" }
        return one.address == other.address || isAny(one.address) || isAny(other.address)
    }

    /// The requests as needs; each pod takes one of the node's pod slots.
    mutating func needs(of requests: ResourceList) -> [Need] {
        var needs: [Need] = []
        if requests.cpuMillis > 0 { needs.append(Need(dimension: Self.cpu, amount: requests.cpuMillis)) }
        if requests.memoryBytes > 0 { needs.append(Need(dimension: Self.memory, amount: requests.memoryBytes)) }
        if requests.ephemeralStorageBytes > 0 {
            needs.append(Need(dimension: Self.storage, amount: requests.ephemeralStorageBytes))
        }
        needs.append(Need(dimension: Self.pods, amount: 1))
        for (name, amount) in requests.extended.sorted(by: { $0.key < $1.key }) where amount > 0 {
            needs.append(Need(dimension: resource(name), amount: amount))
        }
        return needs
    }

    /// A resource list as a vector of `stride` numbers.
    mutating func vector(_ list: ResourceList) -> [Int64] {
        let extended = list.extended.map { (resource($0.key), $0.value) }
        var vector = [Int64](repeating: 0, count: stride)
        vector[Self.cpu] = list.cpuMillis
        vector[Self.memory] = list.memoryBytes
        vector[Self.storage] = list.ephemeralStorageBytes
        vector[Self.pods] = list.pods
        for (dimension, amount) in extended { vector[dimension] = amount }
        return vector
    }

    // MARK: Classes

    mutating func addClass(_ podClass: PodClass) -> Int {
        classes.append(podClass)
        return classes.count - 1
    }

    /// Brings what depends on other classes (which counters a class bumps, which block it) up to date.
    mutating func link(classesFrom firstClass: Int, countersFrom firstCounter: Int) {
        for index in classes.indices {
            let start = index >= firstClass ? 0 : firstCounter
            guard start < counters.count else { continue }
            for number in start..<counters.count { link(index, number) }
        }
    }

    private mutating func link(_ index: Int, _ number: Int) {
        let spec = counters[number]
        let matches = spec.matcher.matches(classes[index].shape)
        switch spec.kind {
        case .matching:
            if matches {
                classes[index].bumps.append(number)
                classes[index].terminatingBumps.append(number)
            }
        case .spread:
            if matches { classes[index].bumps.append(number) }
        case .carriers:
            if classes[index].carried.contains(number) {
                classes[index].bumps.append(number)
                classes[index].terminatingBumps.append(number)
            }
            if matches { classes[index].blockedBy.append(DomainCheck(counter: number, key: spec.key)) }
        }
    }

    /// Gives equal numbers to classes that behave alike. New counters may tell apart classes that were alike before.
    mutating func updateBehaviours(from first: Int, countersChanged: Bool) {
        if countersChanged { behaviours = [:] }
        for index in (countersChanged ? 0 : first)..<classes.count {
            let item = classes[index]
            let key = Behaviour(
                needs: item.needs, predicate: item.predicate, ports: item.ports, spread: item.spread,
                affinity: item.affinity, satisfiesOwnAffinity: item.satisfiesOwnAffinity,
                antiAffinity: item.antiAffinity, blockedBy: item.blockedBy, bumps: item.bumps)
            if let number = behaviours[key] {
                classes[index].behaviour = number
            } else {
                classes[index].behaviour = behaviours.count
                behaviours[key] = behaviours.count
            }
        }
    }
}
