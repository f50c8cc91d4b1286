import JSONReader
import Messages
import Support

/// A scenario file: inputs for the engine, in the peer's terms (docs/scenarios.md). `expect` is never looked at, but for the
/// times and inputs of its steps.
public struct Scenario: Sendable {
    /// Its name.
    public let name: String
    /// What is asked.
    public let kind: String
    let document: JSONValue
    let values: ScenarioValues

    /// Reads a file.
    ///
    /// - Throws: `DeciderError` with what is wrong.
    public init(_ bytes: [UInt8]) throws(DeciderError) {
        do throws(JSONError) {
            document = try JSONValue.parse(bytes)
        } catch {
            throw DeciderError(.invalidInput, "not JSON: \(error)")
        }
        guard let name = document["name"]?.stringValue, let kind = document["kind"]?.stringValue else {
            throw DeciderError(.invalidInput, "name or kind is missing")
        }
        if let schema = document["schema"]?.intValue, schema != 1 {
            throw DeciderError(.invalidInput, "schema \(schema) is not known")
        }
        self.name = name
        self.kind = kind
        let base = Timestamp(seconds: 1_800_000_000)
        var now = base
        if let text = document[path: "clock", "now"]?.stringValue, let time = Timestamp(text) { now = time }
        if let seconds = document[path: "clock", "nowSeconds"]?.doubleValue { now = base + .seconds(seconds) }
        values = ScenarioValues(now: now, base: base)
    }

    var now: Timestamp { values.now }
    func list(_ key: String) -> [JSONValue] { document[key]?.arrayValue ?? [] }

    /// The rules: the peer's, changed by `config`.
    func configuration() -> DeciderConfiguration {
        var configuration = DeciderConfiguration(cluster: "scenario", groups: list("nodeGroups").map { group($0) })
        configuration.makePeerCompatible()
        // Of the cloud that the peer's own tests play.
        configuration.scaleDown.gpuLabels = ["TestGPULabel/accelerator"]
        configuration.apply(document["config"])
        configuration.scaleDown.drain.looksUpOwners = document["controllers"] != nil
        return configuration
    }

    func group(_ value: JSONValue) -> GroupRules {
        let id = value["id"]?.stringValue ?? ""
        var rules = GroupRules(
            id: id, min: Int(value["min"]?.intValue ?? 0), max: Int(value["max"]?.intValue ?? 0), origin: id)
        rules.zeroOrMax = value["zeroOrMax"]?.boolValue ?? false
        rules.price = value["price"]?.doubleValue
        rules.template = value["template"].map { template($0) }
        return rules
    }

    func template(_ value: JSONValue) -> GroupRules.Template {
        var labels = ScenarioValues.texts(value["labels"])
        labels[NodeClass.hostLabel] = nil
        return GroupRules.Template(
            allocatable: ScenarioValues.resources(value["allocatable"]),
            capacity: value["capacity"].map { ScenarioValues.resources($0) }, labels: labels,
            taints: (value["taints"]?.arrayValue ?? []).compactMap { values.taint($0) })
    }

    /// The state of a group: its instances, or its nodes when the file lists none.
    func state(of group: JSONValue, nodes: [String], at time: Timestamp) -> GroupState {
        let instances = group["instances"].map { ScenarioValues.list($0) } ?? nodes
        let size = Int(group["size"]?.intValue ?? 0)
        return GroupState(
            cluster: "scenario", group: group["id"]?.stringValue ?? "", min: Int(group["min"]?.intValue ?? 0),
            max: Int(group["max"]?.intValue ?? 0), desired: size, size: size,
            members: instances.map {
                GroupState.Member(
                    name: $0, physicalID: "p-\($0)", serverID: "server-\($0)", status: "CREATE_COMPLETE")
            }, observedAt: time)
    }

    /// The cluster as a snapshot. `nodes` and `pods` name those that exist now; nil: all of the file.
    func snapshot(
        nodes names: Set<String>? = nil, pods podNames: Set<String>? = nil, at time: Timestamp, sequence: Int64 = 1,
        change: (String, inout JSONValue) -> Void = { _, _ in }
    ) -> ClusterSnapshot {
        let values = ScenarioValues(now: time, base: values.base)
        var nodes: [Node] = []
        for item in list("nodes") {
            let name = item["name"]?.stringValue ?? ""
            if names?.contains(name) ?? true { nodes.append(values.node(item, name: name)) }
        }
        var shapes: [PodShape] = []
        var pods: [Pod] = []
        for (index, item) in list("pods").enumerated() {
            let name = item["name"]?.stringValue ?? ""
            guard podNames?.contains(name) ?? true else { continue }
            var item = item
            change(name, &item)
            let shape = values.shape(item)
            let number = shapes.firstIndex(of: shape) ?? shapes.count
            if number == shapes.count { shapes.append(shape) }
            pods += values.pods(item, shape: number, index: index)
        }
        var workloads = list("controllers").map { workload($0) }
        for item in list("daemonSets") {
            var daemonSet = item
            daemonSet["owner"] = .object(["kind": "DaemonSet", "name": item["name"] ?? .string("")])
            shapes.append(values.shape(daemonSet))
            workloads.append(
                Workload(
                    kind: "DaemonSet", namespace: item["namespace"]?.stringValue ?? "default",
                    name: item["name"]?.stringValue ?? "", template: shapes.count - 1))
        }
        return ClusterSnapshot(
            cluster: "scenario", epoch: "scenario", sequence: sequence, takenAt: time,
            shapes: shapes.enumerated().map { NumberedShape(id: $0.offset, shape: $0.element) }, nodes: nodes,
            pods: pods, budgets: budgets(), workloads: workloads)
    }

    private func workload(_ value: JSONValue) -> Workload {
        let replicas = Int32(clamping: value["replicas"]?.intValue ?? 1)
        return Workload(
            kind: value["kind"]?.stringValue ?? "", namespace: value["namespace"]?.stringValue ?? "default",
            name: value["name"]?.stringValue ?? "", replicas: replicas,
            currentReplicas: value["currentReplicas"]?.intValue.map { Int32(clamping: $0) } ?? replicas)
    }

    private func budgets() -> [Budget] {
        list("pdbs").enumerated().map { index, value in
            Budget(
                namespace: value["namespace"]?.stringValue ?? "", name: "\(value["name"]?.stringValue ?? "")#\(index)",
                selector: ScenarioValues.selector(value["selector"]),
                disruptionsAllowed: Int32(clamping: value["disruptionsAllowed"]?.intValue ?? 0))
        }
    }

    /// An engine that knows the file's cluster and groups.
    func engine() -> Engine {
        var engine = Engine(configuration(), term: "scenario")
        _ = engine.apply(snapshot(at: now), at: now)
        for group in list("nodeGroups") {
            let id = group["id"]?.stringValue
            let nodes = list("nodes").filter { $0["group"]?.stringValue == id }.compactMap { $0["name"]?.stringValue }
            _ = engine.apply(state(of: group, nodes: nodes, at: now), at: now)
        }
        engine.assign(at: now)
        return engine
    }

    /// The peer's name of a reason, as the files use it.
    static func peerName(_ reason: Reason) -> String {
        switch reason {
        case .minimumReached: "NodeGroupMinSizeReached"
        case .deletionBudgetReached: "NodeGroupMaxDeletionCountReached"
        case .noNodeInfo: "UnexpectedError"
        default: reason.rawValue
        }
    }
}
