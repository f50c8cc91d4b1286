import Support

#if canImport(Glibc)
    import Glibc
#endif

extension KubeletReading {
    /// Reads `/metrics/resource`. Older kubelets name containers only; those are added up.
    /// - Returns: nil when it holds nothing about the node (a kubelet without statistics answers `scrape_error 1`).
    static func metricsResource(_ text: [UInt8]) -> KubeletReading? { lines(text, isCadvisor: false).ofNode }

    /// Reads `/metrics/cadvisor`: cgroups by their id, `/` being the node.
    /// - Returns: nil when it holds nothing about the node.
    static func cadvisor(_ text: [UInt8]) -> KubeletReading? { lines(text, isCadvisor: true).ofNode }

    /// The same pages; what was not used is told also where nothing about the node is left.
    static func lines(_ text: [UInt8], isCadvisor: Bool) -> KubeletReading {
        text.withUnsafeBytes { page in
            var table = PageTable(page: page, isCadvisor: isCadvisor)
            let faults = PrometheusText.forEachSample(in: page) { table.take($0) }
            var reading = table.finished(isWhole: faults.isEmpty)
            reading.rejected.add(faults)
            return reading
        }
    }
}

/// Gathers the lines of a page by node, pod and container. Names stay where they are in the page until the end, so that
/// a pod costs two strings and not two a line.
private struct PageTable {
    typealias Span = PrometheusText.Span

    /// What a metric is about.
    private enum Family {
        case nodeCPU, nodeMemory, podCPU, podMemory, containerCPU, containerMemory
        case received, sent, diskUsed, diskLimit
        case other
    }

    private struct Entry {
        /// The labels of a line about it; empty where they say more than it is.
        var labelBlock: Span = 0..<0
        var use = KubeletReading.Use()
    }

    let page: UnsafeRawBufferPointer
    let isCadvisor: Bool
    private var node = KubeletReading.Use()
    /// What the page tells of, and what it tells of each.
    private var keys: PageKeys
    private var entries: [Entry] = []
    /// What cAdvisor tells part by part: of the node, and of the entries in their order. Empty for other pages.
    private var nodeParts = CgroupParts()
    private var parts: [CgroupParts] = []
    /// Families come in blocks of equal order: the entry behind the last one is most likely the next, and behind the last of all
    /// the one with which the family began.
    private var last = -1
    private var first = 0
    /// The next entry is the first of its family.
    private var begins = true
    /// The entry whose labels are expected in the next line.
    private var expected = 0
    private var lastName: Span = 0..<0
    private var lastFamily = Family.other
    private var rejected = Rejections()
    /// Pods with a container that could not be taken: what is added up without it would be too little.
    private var incomplete: PageKeys
    /// There are too many of those to name them.
    private var isIncomplete = false

    init(page: UnsafeRawBufferPointer, isCadvisor: Bool) {
        self.page = page
        self.isCadvisor = isCadvisor
        // A container has lines of some hundred bytes in all; a table that grows hashes everything anew each time.
        let likely = min(page.count / 400, KubeletReading.maximumContainers)
        keys = PageKeys(page: page, likely: likely)
        entries.reserveCapacity(likely)
        incomplete = PageKeys(page: page, likely: 0)
    }

    private static let families: [(name: StaticString, family: Family, isCadvisor: Bool)] = [
        ("node_cpu_usage_seconds_total", .nodeCPU, false), ("node_memory_working_set_bytes", .nodeMemory, false),
        ("pod_cpu_usage_seconds_total", .podCPU, false), ("pod_memory_working_set_bytes", .podMemory, false),
        ("container_cpu_usage_seconds_total", .containerCPU, false),
        ("container_memory_working_set_bytes", .containerMemory, false),
        ("container_network_receive_bytes_total", .received, true),
        ("container_network_transmit_bytes_total", .sent, true), ("container_fs_usage_bytes", .diskUsed, true),
        ("container_fs_limit_bytes", .diskLimit, true),
    ]

    private mutating func family(_ name: Span) -> Family {
        if PrometheusText.equal(page, name, lastName) { return lastFamily }
        lastName = name
        lastFamily =
            Self.families.first { PrometheusText.equal(page, name, $0.name) && (isCadvisor || !$0.isCadvisor) }?
            .family ?? .other
        last = first - 1
        begins = true
        return lastFamily
    }

    /// - Returns: the labels that the next line is likely to have.
    mutating func take(_ sample: PrometheusText.Sample) -> Span {
        let family = family(sample.name)
        if case .other = family {
            // What is not used is in the same order: its lines are expected too.
            if sample.isExpected { last = expected }
        } else {
            take(sample, family)
        }
        guard !isCadvisor, !entries.isEmpty else { return 0..<0 }
        expected = next
        return entries[expected].labelBlock
    }

    /// The entry that comes most likely next; zero while there is none.
    private var next: Int { last + 1 < entries.count ? last + 1 : first }

    private mutating func take(_ sample: PrometheusText.Sample, _ family: Family) {
        let limit: Double =
            switch family {
            case .nodeCPU, .podCPU, .containerCPU: KubeletReading.largestCPUSeconds
            default: KubeletReading.largestBytes
            }
        guard let value = KubeletReading.amount(sample.value, upTo: limit, &rejected) else {
            if isCadvisor { takeCgroup(family, nil, nil, sample) } else { takeMissing(family, sample) }
            return
        }
        let time = sample.time.flatMap { KubeletReading.time($0, &rejected) }
        if isCadvisor { return takeCgroup(family, value, time, sample) }
        switch family {
        case .nodeCPU:
            node.cpuSeconds = value
            node.at = time ?? node.at
        case .nodeMemory:
            node.memoryBytes = Int64(value)
            node.at = node.at ?? time
        case .podCPU, .containerCPU:
            guard let index = entry(family, sample) else { return }
            entries[index].use.at = time ?? entries[index].use.at
            entries[index].use.cpuSeconds = value
        default:
            guard let index = entry(family, sample) else { return }
            entries[index].use.at = time ?? entries[index].use.at
            entries[index].use.memoryBytes = Int64(value)
        }
    }

    /// The entry that a line of `/metrics/resource` is about.
    private mutating func entry(_ family: Family, _ sample: PrometheusText.Sample) -> Int? {
        let isOfContainer =
            switch family {
            case .containerCPU, .containerMemory: true
            default: false
            }
        if sample.isExpected {
            // Labels with a container are kept by its entry, those without by the pod's.
            let key = keys.keys[expected]
            if isOfContainer != key.container.isEmpty { return arrived(at: expected) }
            if !isOfContainer { return entry(key.ofPod) }
            rejected.count(.badName)
            return nil
        }
        guard let pod = sample.label("pod"), let namespace = sample.label("namespace") else {
            rejected.count(.badName)
            return nil
        }
        let container = sample.label("container")
        guard isOfContainer else {
            guard let index = entry(PageKey(namespace: namespace, pod: pod, container: pod.lowerBound..<pod.lowerBound))
            else { return nil }
            if container == nil { entries[index].labelBlock = sample.labelBlock }
            return index
        }
        guard let container, !container.isEmpty else {
            rejected.count(.badName)
            return nil
        }
        guard let index = entry(PageKey(namespace: namespace, pod: pod, container: container)) else { return nil }
        entries[index].labelBlock = sample.labelBlock
        return index
    }

    /// A container without a usable value is one of its pod's all the same: what it uses is not zero.
    private mutating func takeMissing(_ family: Family, _ sample: PrometheusText.Sample) {
        switch family {
        case .containerCPU, .containerMemory: _ = entry(family, sample)
        default: break
        }
    }

    /// cAdvisor: `id="/"` is the node; `container=""` with a pod is the pod's cgroup; `container="POD"` its pause
    /// container, which holds the pod's network on older runtimes.
    /// - Parameter value: nil: the line has one that cannot be used.
    private mutating func takeCgroup(
        _ family: Family, _ value: Double?, _ time: Timestamp?, _ sample: PrometheusText.Sample
    ) {
        switch family {
        case .received, .sent:
            guard let interface = sample.label("interface"), isCounted(interface) else { return }
        default: break
        }
        if let id = sample.label("id"), PrometheusText.equal(page, id, "/") {
            return put(value, family, time, sample, &node, &nodeParts)
        }
        guard let pod = sample.label("pod"), !pod.isEmpty, let namespace = sample.label("namespace") else { return }
        var container = sample.label("container") ?? pod.lowerBound..<pod.lowerBound
        switch family {
        case .received, .sent: container = pod.lowerBound..<pod.lowerBound
        default:
            if PrometheusText.equal(page, container, "POD") { return }
            // containerd names no container for the pause container: its control group has a name, the pod's own has none.
            if container.isEmpty, let name = sample.label("name"), !name.isEmpty { return }
        }
        guard let index = entry(PageKey(namespace: namespace, pod: pod, container: container)) else { return }
        put(value, family, time, sample, &entries[index].use, &parts[index])
    }

    private func put(
        _ value: Double?, _ family: Family, _ time: Timestamp?, _ sample: PrometheusText.Sample,
        _ use: inout KubeletReading.Use, _ parts: inout CgroupParts
    ) {
        guard let value else {
            switch family {
            case .received, .sent: parts.isBroken = true
            case .containerCPU: parts.isCPUBroken = true
            case .diskUsed, .diskLimit: parts.isDiskBroken = true
            default: break
            }
            return
        }
        switch family {
        // One line for each core, or one for all.
        case .containerCPU:
            if let core = sample.label("cpu"), !PrometheusText.equal(page, core, "total") {
                parts.isCPUOfCores = true
            }
            use.cpuSeconds = (use.cpuSeconds ?? 0) + value
            use.at = time ?? use.at
        case .containerMemory:
            // Beside a container that was just started anew the group of the old one may still be told, in any order, with
            // nothing in it.
            use.memoryBytes = max(use.memoryBytes ?? 0, Int64(value))
            use.at = use.at ?? time
        case .received: parts.received.add(value)
        case .sent: parts.sent.add(value)
        case .diskUsed: parts.put(used: value, device: sample.label("device"), page)
        case .diskLimit: parts.put(size: value, device: sample.label("device"), page)
        case .nodeCPU, .nodeMemory, .podCPU, .podMemory, .other: break
        }
    }

    /// Loopback and the node's ends of its pods' cables would count the same bytes twice.
    private func isCounted(_ interface: Span) -> Bool {
        !KubeletInterface.isVirtual(page[interface])
    }

    private mutating func entry(_ key: PageKey) -> Int? {
        if !entries.isEmpty, PageKey.equal(keys.keys[next], key, page) { return arrived(at: next) }
        if let number = keys.number(of: key) { return arrived(at: number) }
        guard KubeletReading.isName(page[key.namespace]), KubeletReading.isName(page[key.pod]),
            key.container.isEmpty || KubeletReading.isName(page[key.container])
        else {
            rejected.count(.badName)
            lacksPart(key)
            return nil
        }
        guard entries.count < KubeletReading.maximumContainers else {
            rejected.count(.tooMany)
            lacksPart(key)
            return nil
        }
        entries.append(Entry())
        if isCadvisor { parts.append(CgroupParts()) }
        return arrived(at: keys.add(key))
    }

    private mutating func arrived(at index: Int) -> Int {
        last = index
        if begins { first = index }
        begins = false
        return index
    }

    private mutating func lacksPart(_ key: PageKey) {
        guard !key.container.isEmpty, incomplete.number(of: key.ofPod) == nil else { return }
        if incomplete.keys.count < KubeletReading.maximumPods {
            _ = incomplete.add(key.ofPod)
        } else {
            isIncomplete = true
        }
    }

    private func text(_ span: Span) -> String { String(decoding: page[span], as: UTF8.self) }

    /// - Parameter isWhole: whether every line could be read. Of lines that could not nobody knows what they were about: then
    ///   containers and cores are not added up, since one may be missing.
    func finished(isWhole: Bool) -> KubeletReading {
        var reading = KubeletReading(node: node, rejected: rejected)
        func whole(_ use: KubeletReading.Use, _ parts: CgroupParts) -> KubeletReading.Use {
            var whole = use
            if parts.isCPUBroken || !isWhole && parts.isCPUOfCores { whole.cpuSeconds = nil }
            whole.traffic = parts.traffic
            whole.disk = parts.disk(page, &reading.rejected)
            return whole
        }
        if isCadvisor { reading.node = whole(node, nodeParts) }
        var pods = PageKeys(page: page, likely: entries.count)
        var last = -1
        for (key, (number, entry)) in zip(keys.keys, entries.enumerated()) {
            guard let position = position(of: key.ofPod, after: last, &pods, &reading) else { continue }
            last = position
            let use = isCadvisor ? whole(entry.use, parts[number]) : entry.use
            if key.container.isEmpty {
                reading.pods[position].use = use
            } else {
                reading.pods[position].containers.append(.init(name: text(key.container), use: use))
            }
        }
        guard isWhole, !isIncomplete else { return reading }
        let lacking = Set(incomplete.keys.compactMap { pods.number(of: $0) })
        for index in reading.pods.indices where !lacking.contains(index) { reading.pods[index].addUp() }
        return reading
    }

    /// The place of a pod in the reading. It is most likely the pod of the entry before, or the one behind that.
    private func position(
        of key: PageKey, after last: Int, _ pods: inout PageKeys, _ reading: inout KubeletReading
    ) -> Int? {
        if last >= 0, PageKey.equal(pods.keys[last], key, page) { return last }
        let next = last + 1 < pods.keys.count ? last + 1 : 0
        if !pods.keys.isEmpty, PageKey.equal(pods.keys[next], key, page) { return next }
        if let known = pods.number(of: key) { return known }
        guard reading.pods.count < KubeletReading.maximumPods else {
            reading.rejected.count(.tooMany)
            return nil
        }
        reading.pods.append(.init(key: .init(namespace: text(key.namespace), name: text(key.pod))))
        return pods.add(key)
    }
}
