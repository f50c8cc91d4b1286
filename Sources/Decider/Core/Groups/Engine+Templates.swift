import Messages
import Support

/// The last good node of a group: a model for new ones while no other serves. Part of the checkpoint, so it holds nothing that changes
/// while the node works.
struct LastModel: Sendable, Codable, Equatable {
    var name: String
    var uid: String
    var labels: [String: String]
    /// Those that stay.
    var taints: [Taint]
    var allocatable: ResourceList
    var capacity: ResourceList
    /// The group's flavor when the node became the model; nil: not known then.
    var flavor: GroupState.Flavor?
    /// Its static pods: a new machine will run them as well.
    var mirrors: [PodShape]
    /// The group's stack when the node was a member; a group that has another since then never had this node.
    var stack: String
    /// What the settings said of the group's nodes when the node became the model; nil: not known then.
    var declared: Declared?
    /// When its Node was created; nil: remembered before this was.
    var createdAt: Timestamp?

    /// What settings say of the nodes of a group, as far as a node itself says it as well.
    struct Declared: Sendable, Codable, Equatable {
        var labels: [String: String]
        var taints: [Taint]
        var allocatable: ResourceList?

        init(_ template: GroupRules.Template?) {
            (labels, taints) = (template?.labels ?? [:], template?.taints ?? [])
            allocatable = template?.allocatable
        }
    }

    /// The node with what settings say since then: no node has shown that yet. Where they say the same as before, the node is the
    /// better witness. A label that they do not name any more stays, for the node may have it without them: if it has not, one
    /// machine comes and shows so, while pods that ask for a label that no template has would wait for ever. A taint that they do not
    /// name any more goes, for the same reason.
    func laidOver(_ new: Declared) -> LastModel {
        guard let old = declared, old != new else { return self }
        var result = self
        result.labels.merge(new.labels.filter { old.labels[$0.key] != $0.value }) { $1 }
        result.taints.removeAll { old.taints.contains($0) && !new.taints.contains($0) }
        result.taints += new.taints.filter { !old.taints.contains($0) && !result.taints.contains($0) }
        let (before, over) = (old.allocatable ?? ResourceList(), new.allocatable ?? ResourceList())
        func lay(_ field: WritableKeyPath<ResourceList, Int64>) {
            guard over[keyPath: field] > 0, over[keyPath: field] != before[keyPath: field] else { return }
            result.allocatable[keyPath: field] = over[keyPath: field]
            result.capacity[keyPath: field] = max(result.capacity[keyPath: field], over[keyPath: field])
        }
        lay(\.cpuMillis)
        lay(\.memoryBytes)
        lay(\.ephemeralStorageBytes)
        lay(\.pods)
        for (name, amount) in over.extended where before.extended[name] != amount {
            result.allocatable.extended[name] = amount
            result.capacity.extended[name] = max(result.capacity.extended[name] ?? 0, amount)
        }
        return result
    }
}

/// A young node without the GPU that the others of its group have.
struct UnequippedNode: Sendable, Equatable {
    var slot: Int
    /// Number of the resource.
    var dimension: Int
    /// How much a node of the group offers.
    var amount: Int64
    /// Not looked for after that.
    var until: Timestamp
}

extension Engine {
    /// A node is a model once it has been ready for so long (the peer's time): before, labels, devices and DaemonSets may be missing.
    static let modelAge = Interval.minutes(1)

    /// Candidates for the model of a group.
    private struct Models {
        /// The newest that has been ready for long enough.
        var newest: Int?
        /// The newest of them that offers a GPU.
        var equipped: Int?
        /// The two newest of them that should long have one, if the others of their group have: the last first.
        var bare: (last: Int?, before: Int?) = (nil, nil)
        /// When another one will belong to these.
        var bareFrom: Timestamp?
        /// The newest that is ready.
        var young: Int?
        /// Any.
        var other: Int?
    }

    mutating func makeTemplates(at now: Timestamp) {
        noteSettings(at: now)
        var models = [Models](repeating: Models(), count: groups.count)
        templatesValidUntil = nil
        for slot in model.order {
            let index = Int(slot)
            let number = Int(groupOfSlot[index])
            let brief = model.briefs[index]
            guard number >= 0 else { continue }
            if models[number].other == nil { models[number].other = index }
            guard brief.isReady, !brief.isLeaving, model.world.isOpen[index] else { continue }
            if model.catalog.nodeClasses[Int(model.world.nodeClass[index])].unschedulable { continue }
            if models[number].young.map({ model.briefs[$0].createdAt < brief.createdAt }) ?? true {
                models[number].young = index
            }
            let stableAt = (brief.readinessChangedAt ?? brief.createdAt) + Self.modelAge
            guard now > stableAt else {
                let next = stableAt + .milliseconds(1)
                templatesValidUntil = min(templatesValidUntil ?? next, next)
                continue
            }
            func isNewer(than other: Int?) -> Bool {
                other.map { model.briefs[$0].createdAt < brief.createdAt } ?? true
            }
            let isFirst = models[number].newest == nil
            if configuration.peer.choosesModelsPlainly ? isFirst : isNewer(than: models[number].newest) {
                models[number].newest = index
            }
            if brief.isSpecial && offersGPU(index) {
                if isNewer(than: models[number].equipped) { models[number].equipped = index }
                continue
            }
            let settledAt = brief.createdAt + configuration.health.startupTimeout
            if now < settledAt {
                models[number].bareFrom = min(models[number].bareFrom ?? settledAt, settledAt)
            } else if isNewer(than: models[number].bare.last) {
                models[number].bare = (index, models[number].bare.last)
            } else if isNewer(than: models[number].bare.before) {
                models[number].bare.before = index
            }
        }
        for candidates in models where candidates.equipped != nil {
            guard let next = candidates.bareFrom else { continue }
            templatesValidUntil = min(templatesValidUntil ?? next, next)
        }
        templates = groups.indices.map { template(of: $0, models[$0]) }
        // By time alone a node becomes a model as well: then nothing else says that the templates are others.
        zoneSets.key = (-1, -1)
        findUnequipped(at: now)
    }

    /// The node that new ones of a group will be like. One with a GPU goes before newer ones that may only wait for their driver. When
    /// two in a row never got one, the next would not either: it would be bought in vain.
    private func stable(_ models: Models) -> Int? {
        guard let equipped = models.equipped, !configuration.peer.choosesModelsPlainly else { return models.newest }
        if let before = models.bare.before, model.briefs[before].createdAt > model.briefs[equipped].createdAt {
            return models.bare.last
        }
        return equipped
    }

    private func offersGPU(_ slot: Int) -> Bool {
        configuration.scaleDown.gpuResources.contains { model.nodes[slot]?.node.allocatable.extended[$0] ?? 0 > 0 }
    }

    /// From a node that has been ready for a while; else from the last such node, as long as flavor and stack of the group are the same,
    /// with what settings say since then; else from one that has just become ready; else from the configuration and the flavor; else from a node that does not work.
    private mutating func template(of number: Int, _ models: Models) -> NodeTemplate? {
        let force = configuration.scaleUp.forcesDaemonSets
        let flavor = groups[number].state?.flavor
        if let slot = stable(models), let node = model.nodes[slot]?.node {
            remember(node, flavor, mirrors: model.mirrorShapes(on: slot), of: number)
            return model.template(from: slot, forceDaemonSets: force)
        }
        let isPlain = configuration.peer.choosesModelsPlainly
        if isPlain || isStillAlike(number), let template = lastTemplate(of: number) {
            return template
        }
        let rules = groups[number].rules
        if let slot = models.young, !isPlain, hasDevices(slot, rules.template) {
            return model.template(from: slot, forceDaemonSets: force)
        }
        if let flavor {
            let (allocatable, capacity) = ClusterModel.allocatable(
                of: flavor, reserved: rules.template?.reserved ?? ResourceList())
            return model.template(
                labels: labels(rules.template, flavor), taints: rules.template?.taints ?? [],
                allocatable: overlaid(allocatable, rules.template?.allocatable),
                capacity: overlaid(capacity, rules.template?.capacity), origin: "flavor \(flavor.name)")
        }
        // A machine without cpu and memory is no machine: then the rest of what is configured says too little.
        if let template = rules.template, let allocatable = template.allocatable,
            allocatable.cpuMillis > 0 || allocatable.memoryBytes > 0
        {
            return model.template(
                labels: labels(template, nil), taints: template.taints, allocatable: allocatable,
                capacity: template.capacity ?? allocatable, origin: "\(rules.origin).template")
        }
        if let template = lastTemplate(of: number) { return template }
        guard let slot = models.young ?? models.other, let node = model.nodes[slot]?.node else { return nil }
        return model.template(
            labels: node.labels, taints: ClusterModel.templateTaints(node.taints, model.nodeRules),
            allocatable: overlaid(node.allocatable, rules.template?.allocatable),
            capacity: overlaid(node.capacity, rules.template?.capacity),
            origin: "\(models.young == nil ? "a node that does not work" : "node"), \(node.name)")
    }

    /// The labels of a node that nobody has seen: those that every kubelet and cloud controller sets, and over them the configured
    /// ones. Pods and DaemonSets select by them (`kubernetes.io/os: linux`).
    private func labels(_ template: GroupRules.Template?, _ flavor: GroupState.Flavor?) -> [String: String] {
        let configured = template?.labels ?? [:]
        guard !configuration.peer.choosesModelsPlainly else { return configured }
        var labels = ["kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"]
        if let flavor, !flavor.name.isEmpty { labels["node.kubernetes.io/instance-type"] = flavor.name }
        labels.merge(configured) { _, own in own }
        let older = [
            "kubernetes.io/os": "beta.kubernetes.io/os", "kubernetes.io/arch": "beta.kubernetes.io/arch",
            "node.kubernetes.io/instance-type": "beta.kubernetes.io/instance-type",
        ]
        for (name, old) in older where labels[old] == nil { labels[old] = labels[name] }
        return labels
    }

    /// Whether new nodes of the group still are the machines that the last one was. Of another stack it says nothing. What is not known
    /// is taken for the same.
    private func isStillAlike(_ number: Int) -> Bool {
        let state = groups[number].state
        guard let model = groups[number].memory.model else { return true }
        let stack = state?.stackID ?? ""
        return isOfFlavor(state?.flavor, model) && (stack.isEmpty || model.stack.isEmpty || stack == model.stack)
    }

    /// Whether machines of the group still are what the last model was; unknown flavors are taken for the same.
    private func isOfFlavor(_ flavor: GroupState.Flavor?, _ model: LastModel?) -> Bool {
        guard let flavor, let old = model?.flavor else { return true }
        return (flavor.name, flavor.vcpus, flavor.ramMiB, flavor.diskGiB)
            == (old.name, old.vcpus, old.ramMiB, old.diskGiB)
    }

    private mutating func remember(
        _ node: Node, _ flavor: GroupState.Flavor?, mirrors: [PodShape], of number: Int
    ) {
        var flavor = flavor
        var declared = LastModel.Declared(groups[number].rules.template)
        let stack = groups[number].state?.stackID ?? ""
        if let known = groups[number].memory.model {
            let isSame = known.uid == node.uid && known.name == node.name
            // What is there after a newer one has gone says less of a node to come than that one did, but for a GPU.
            let isOlder = known.createdAt.map { node.createdAt < $0 } ?? false
            let offersMore = configuration.scaleDown.gpuResources.contains {
                node.allocatable.extended[$0] ?? 0 > known.allocatable.extended[$0] ?? 0
            }
            if !isSame && isOlder && !offersMore && (stack.isEmpty || known.stack == stack) { return }
            // A flavor that the group has since then is not this node's, nor are settings: no older one was made with newer ones.
            if isSame || isOlder || known.createdAt == node.createdAt {
                (flavor, declared) = (known.flavor ?? flavor, known.declared ?? declared)
            }
            if known.mirrors != mirrors { groups[number].mirrorClasses = nil }
        }
        // It may have been made before the last edit, and become the model after it.
        if let before = settingsBefore(edit: node.createdAt, of: number) { declared = before }
        groups[number].memory.model = LastModel(
            name: node.name, uid: node.uid, labels: node.labels,
            taints: ClusterModel.templateTaints(node.taints, model.nodeRules), allocatable: node.allocatable,
            capacity: node.capacity, flavor: flavor, mirrors: mirrors, stack: stack, declared: declared,
            createdAt: node.createdAt)
    }

    /// Keeps since when settings say what they say of the groups' nodes.
    private mutating func noteSettings(at now: Timestamp) {
        for number in groups.indices {
            let declared = LastModel.Declared(groups[number].rules.template)
            var edits = groups[number].memory.settings ?? []
            if edits.last?.declared == declared { continue }
            edits.append(SettingsEdit(since: edits.isEmpty ? nil : now, declared: declared))
            // Those that any node still waits to become a model by are the last ones.
            groups[number].memory.settings = edits.suffix(5)
        }
    }

    /// What settings said of the group's nodes at that time, if they were edited since then.
    private func settingsBefore(edit time: Timestamp, of number: Int) -> LastModel.Declared? {
        let edits = groups[number].memory.settings ?? []
        let first = edits.firstIndex { $0.since.map { time < $0 } ?? false }
        return first.flatMap { $0 > 0 ? edits[$0 - 1].declared : nil }
    }

    private mutating func lastTemplate(of number: Int) -> NodeTemplate? {
        guard let known = groups[number].memory.model else { return nil }
        let isPlain = configuration.peer.choosesModelsPlainly
        let last = isPlain ? known : known.laidOver(LastModel.Declared(groups[number].rules.template))
        let carried: [Int]
        if let known = groups[number].mirrorClasses, known.revision == model.classesRevision {
            carried = known.numbers
        } else {
            carried = last.mirrors.map { model.addClass($0) }
            groups[number].mirrorClasses = (model.classesRevision, carried)
        }
        return model.template(
            labels: last.labels, taints: ClusterModel.templateTaints(last.taints, model.nodeRules),
            allocatable: last.allocatable, capacity: last.capacity, carried: carried,
            origin: "the last node, \(last.name)" + (last == known ? "" : ", with settings of since then"))
    }

    /// Whether the node offers the extended resources that the configuration says the group's nodes have.
    private func hasDevices(_ slot: Int, _ template: GroupRules.Template?) -> Bool {
        let offered = model.nodes[slot]?.node.allocatable.extended ?? [:]
        return (template?.allocatable?.extended ?? [:]).allSatisfy { $0.value <= 0 || offered[$0.key] ?? 0 > 0 }
    }

    /// What the configuration says goes before what the flavor says.
    private func overlaid(_ base: ResourceList, _ over: ResourceList?) -> ResourceList {
        guard let over else { return base }
        var result = base
        if over.cpuMillis > 0 { result.cpuMillis = over.cpuMillis }
        if over.memoryBytes > 0 { result.memoryBytes = over.memoryBytes }
        if over.ephemeralStorageBytes > 0 { result.ephemeralStorageBytes = over.ephemeralStorageBytes }
        if over.pods > 0 { result.pods = over.pods }
        result.extended.merge(over.extended) { _, new in new }
        return result
    }

    // MARK: GPUs that are about to be there

    /// A node offers its GPU some minutes after it is ready, when driver and plugin run. Without this another node would be asked for
    /// meanwhile (the peer knows such nodes by a label of the cloud: `gpu_labels`).
    private mutating func findUnequipped(at now: Timestamp) {
        unequipped = []
        for resource in configuration.scaleDown.gpuResources {
            guard let dimension = model.catalog.resources.firstIndex(of: resource) else { continue }
            let offered = templates.map { template -> Int64 in
                guard let template, dimension < template.allocatable.count else { return 0 }
                return template.allocatable[dimension]
            }
            guard offered.contains(where: { $0 > 0 }) else { continue }
            for slot in model.order {
                let index = Int(slot)
                let brief = model.briefs[index]
                let until = brief.createdAt + configuration.health.startupTimeout
                guard groupOfSlot[index] >= 0, brief.isReady, !brief.isLeaving, now < until else { continue }
                let amount = offered[Int(groupOfSlot[index])]
                guard amount > 0, model.nodes[index]?.node.allocatable.extended[resource] ?? 0 == 0 else { continue }
                unequipped.append(UnequippedNode(slot: index, dimension: dimension, amount: amount, until: until))
            }
        }
    }

    /// Puts those GPUs where they will be.
    func equip(_ world: inout World, at now: Timestamp) {
        for item in unequipped where now < item.until { world.offer(item.amount, of: item.dimension, on: item.slot) }
    }

    /// The world for pods that are to move now: a GPU that is still to come may wait for new pods, but takes none that runs.
    func worldToMoveIn(_ pass: ScaleUpPass, at now: Timestamp) -> World {
        var world = pass.world
        for item in unequipped where now < item.until { world.withdraw(item.amount, of: item.dimension, on: item.slot) }
        return world
    }
}
