import JSONReader
import Messages

/// What the scheduler counts for a pod (Kubernetes' `PodRequests`): the larger of what its containers need together
/// and what any step of its initialization needs, plus overhead.
///
/// An init container with `restartPolicy: Always` (a sidecar) keeps running: it counts with the containers and with
/// every init container after it.
struct PodRequests {
    private var containers = ResourceList()
    private var initContainers: [(requests: ResourceList, isSidecar: Bool)] = []
    private var overhead = ResourceList()
    /// `spec.resources` of Kubernetes 1.32 and newer: where it names a resource, it counts instead.
    private var podLevel: ResourceList?
    /// Of those that run while the pod does.
    private var named: [PodShape.ContainerRequest] = []

    mutating func add(container: Container) {
        containers = containers + container.requests
        name(container)
    }

    mutating func add(initContainer: Container) {
        initContainers.append((initContainer.requests, initContainer.isSidecar))
        if initContainer.isSidecar { name(initContainer) }
    }

    private mutating func name(_ container: Container) {
        named.append(
            PodShape.ContainerRequest(
                name: container.name, cpuMillis: container.requests.cpuMillis,
                memoryBytes: container.requests.memoryBytes,
                saysZeroCPU: container.zeros.cpu && container.requests.cpuMillis == 0 ? true : nil,
                saysZeroMemory: container.zeros.memory && container.requests.memoryBytes == 0 ? true : nil))
    }

    mutating func set(overhead: ResourceList) {
        self.overhead = overhead
    }

    mutating func set(podLevel: ResourceList) {
        self.podLevel = podLevel
    }

    /// What runs while the pod does: containers and sidecars, or what is named for the whole pod. HorizontalPodAutoscaler compares
    /// use with this (`calculatePodRequests`).
    var running: ResourceList {
        replaced(initContainers.reduce(containers) { $1.isSidecar ? $0 + $1.requests : $0 })
    }

    /// What each of the containers requests that run while the pod does; nil: there is one, which requests what the pod does.
    var byContainer: [PodShape.ContainerRequest]? { named.count > 1 || podLevel != nil ? named : nil }

    /// Whether the pod says them as a whole: then a container needs none (`IsPodLevelRequestsSet`).
    var areWhole: Bool {
        podLevel.map { $0.cpuMillis > 0 || $0.memoryBytes > 0 || !$0.extended.isEmpty } ?? false
    }

    private func replaced(_ given: ResourceList) -> ResourceList {
        var list = given
        if let podLevel {
            if podLevel.cpuMillis > 0 { list.cpuMillis = podLevel.cpuMillis }
            if podLevel.memoryBytes > 0 { list.memoryBytes = podLevel.memoryBytes }
            for (name, amount) in podLevel.extended { list.extended[name] = amount }
        }
        return list
    }

    var total: ResourceList {
        var running = containers
        if !initContainers.isEmpty {
            var sidecars = ResourceList()
            var largestStep = ResourceList()
            for step in initContainers {
                if step.isSidecar {
                    running = running + step.requests
                    sidecars = sidecars + step.requests
                    largestStep = largestStep.maximum(sidecars)
                } else {
                    largestStep = largestStep.maximum(sidecars + step.requests)
                }
            }
            running = running.maximum(largestStep)
        }
        return replaced(running) + overhead
    }
}

/// Of which resources a container says that it requests zero: for HorizontalPodAutoscaler that is a request, and where there is none
/// it fails.
struct WrittenZeros {
    var cpu = false
    var memory = false
}

/// A container of a pod, reduced.
struct Container {
    var name = ""
    var requests = ResourceList()
    var zeros = WrittenZeros()
    var isSidecar = false
    var ports: [ContainerPort] = []
    var hostPorts: [PodShape.HostPort] = []

    /// Reads one container. In a template the server has not yet filled in requests from limits: done here.
    static func read(_ reader: inout JSONReader, isTemplate: Bool) throws(JSONError) -> Container {
        var container = Container()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": container.name = try reader.stringOrNull() ?? ""
            case "resources":
                var limits = ResourceList()
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "requests": container.requests = try ResourceList.read(&reader, zeros: &container.zeros)
                    case "limits" where isTemplate: limits = try ResourceList.read(&reader, zeros: &container.zeros)
                    default: try reader.skip()
                    }
                }
                if isTemplate { container.requests = container.requests.filledUp(from: limits) }
            case "ports":
                try reader.arrayOrNull { (reader) throws(JSONError) in try container.readPort(&reader) }
            case "restartPolicy":
                let word = try reader.word()
                container.isSidecar = word == "Always"
            default: try reader.skip()
            }
        }
        return container
    }

    private mutating func readPort(_ reader: inout JSONReader) throws(JSONError) {
        var name: String?
        var port: Int32 = 0
        var host = PodShape.HostPort(port: 0)
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": name = try reader.stringOrNull()
            case "containerPort": port = try reader.int32()
            case "hostPort": host.port = try reader.int32()
            case "hostIP": host.address = try reader.stringOrNull() ?? ""
            case "protocol": host.transport = try reader.stringOrNull() ?? "TCP"
            default: try reader.skip()
            }
        }
        ports.append(ContainerPort(name: name, port: port))
        if host.port > 0 { hostPorts.append(host) }
    }
}

/// A port of a container that a name may stand for.
public struct ContainerPort: Sendable, Hashable {
    /// Its name, if it has one.
    public var name: String?
    /// The port inside the pod.
    public var port: Int32

    /// From its parts.
    public init(name: String?, port: Int32) {
        self.name = name
        self.port = port
    }
}

extension ResourceList {
    /// The sum; saturates.
    static func + (left: ResourceList, right: ResourceList) -> ResourceList {
        func sum(_ a: Int64, _ b: Int64) -> Int64 {
            let (value, overflow) = a.addingReportingOverflow(b)
            return overflow ? .max : value
        }
        return ResourceList(
            cpuMillis: sum(left.cpuMillis, right.cpuMillis), memoryBytes: sum(left.memoryBytes, right.memoryBytes),
            ephemeralStorageBytes: sum(left.ephemeralStorageBytes, right.ephemeralStorageBytes),
            pods: sum(left.pods, right.pods),
            extended: right.extended.isEmpty
                ? left.extended : left.extended.merging(right.extended, uniquingKeysWith: sum))
    }

    /// The larger of both, resource by resource.
    func maximum(_ other: ResourceList) -> ResourceList {
        ResourceList(
            cpuMillis: max(cpuMillis, other.cpuMillis), memoryBytes: max(memoryBytes, other.memoryBytes),
            ephemeralStorageBytes: max(ephemeralStorageBytes, other.ephemeralStorageBytes),
            pods: max(pods, other.pods), extended: extended.merging(other.extended, uniquingKeysWith: max))
    }

    /// Where this names nothing, what `limits` names.
    func filledUp(from limits: ResourceList) -> ResourceList {
        func pick(_ own: Int64, _ other: Int64) -> Int64 { own == 0 ? other : own }
        return ResourceList(
            cpuMillis: pick(cpuMillis, limits.cpuMillis), memoryBytes: pick(memoryBytes, limits.memoryBytes),
            ephemeralStorageBytes: pick(ephemeralStorageBytes, limits.ephemeralStorageBytes),
            pods: pods, extended: extended.merging(limits.extended) { own, _ in own })
    }
}
