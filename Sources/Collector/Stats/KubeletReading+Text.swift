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
            let faults = PrometheusText.forEachSample(page) { table.take($0) }
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
        var namespace: Span
        var pod: Span
        /// Empty for the pod itself.
        var container: Span
        var use = KubeletReading.Use()
        var parts = CgroupParts()

        /// With what its parts make together.
        func whole(_ page: UnsafeRawBufferPointer, _ rejected: inout Rejections) -> KubeletReading.Use {
            var whole = use
            if parts.isCPUBroken { whole.cpuSeconds = nil }
            whole.traffic = parts.traffic
            whole.disk = parts.disk(page, &rejected)
            return whole
        }
    }

    /// Bytes of a key in the page.
    private struct Key: Hashable {
        let page: UnsafeRawBufferPointer
        let namespace: Span
        let pod: Span
        let container: Span

        static func == (left: Key, right: Key) -> Bool {
            PrometheusText.equal(left.page, left.pod, right.pod)
                && PrometheusText.equal(left.page, left.namespace, right.namespace)
                && PrometheusText.equal(left.page, left.container, right.container)
        }

        func hash(into hasher: inout Hasher) {
            var hash = Self.mixed(Self.seed, pod, page)
            hash = Self.mixed(hash, container, page)
            hasher.combine(Self.mixed(hash, namespace, page))
        }

        /// Unlike in each process: whoever writes the page cannot choose names that collide.
        private static let seed = UInt64.random(in: 1 ... .max)

        /// Eight bytes at a time. (Hasher takes them too, at several times the cost for words as short as names.)
        private static func mixed(_ start: UInt64, _ span: Span, _ page: UnsafeRawBufferPointer) -> UInt64 {
            var hash = start ^ UInt64(span.count)
            var place = span.lowerBound
            while place + 8 <= span.upperBound {
                hash = folded(hash ^ page.loadUnaligned(fromByteOffset: place, as: UInt64.self))
                place += 8
            }
            var rest: UInt64 = 0
            while place < span.upperBound {
                rest = rest << 8 | UInt64(page[place])
                place += 1
            }
            return folded(hash ^ rest)
        }

        private static func folded(_ value: UInt64) -> UInt64 {
            let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            return product.high ^ product.low ^ seed
        }
    }

    let page: UnsafeRawBufferPointer
    let isCadvisor: Bool
    private var node = KubeletReading.Use()
    /// Of the node on cAdvisor's page.
    private var nodeCgroup = Entry(namespace: 0..<0, pod: 0..<0, container: 0..<0)
    private var entries: [Entry] = []
    private var index: [Key: Int] = [:]
    /// Families come in blocks of equal order: the entry behind the last one is most likely the next.
    private var last = -1
    private var lastName: Span = 0..<0
    private var lastFamily = Family.other
    private var rejected = Rejections()
    /// Pods with a container that could not be taken: what is added up without it would be too little.
    private var incomplete: Set<Key> = []
    /// There are too many of those to name them.
    private var isIncomplete = false

    init(page: UnsafeRawBufferPointer, isCadvisor: Bool) {
        self.page = page
        self.isCadvisor = isCadvisor
        // A container has lines of some hundred bytes in all; a table that grows hashes everything anew each time.
        let likely = min(page.count / 400, KubeletReading.maximumContainers)
        index.reserveCapacity(likely)
        entries.reserveCapacity(likely)
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
        last = -1
        return lastFamily
    }

    mutating func take(_ sample: PrometheusText.Sample) {
        let family = family(sample.name)
        if case .other = family { return }
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
        default:
            guard let pod = sample.label("pod"), let namespace = sample.label("namespace") else {
                return rejected.count(.badName)
            }
            var container = pod.lowerBound..<pod.lowerBound
            switch family {
            case .containerCPU, .containerMemory:
                guard let name = sample.label("container"), !name.isEmpty else { return rejected.count(.badName) }
                container = name
            default: break
            }
            guard let index = entry(namespace, pod, container) else { return }
            entries[index].use.at = time ?? entries[index].use.at
            switch family {
            case .podCPU, .containerCPU: entries[index].use.cpuSeconds = value
            default: entries[index].use.memoryBytes = Int64(value)
            }
        }
    }

    /// A container without a usable value is one of its pod's all the same: what it uses is not zero.
    private mutating func takeMissing(_ family: Family, _ sample: PrometheusText.Sample) {
        switch family {
        case .containerCPU, .containerMemory:
            guard let pod = sample.label("pod"), let namespace = sample.label("namespace"),
                let container = sample.label("container"), !container.isEmpty
            else { return }
            _ = entry(namespace, pod, container)
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
            return put(value, family, time, sample, &nodeCgroup)
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
        guard let index = entry(namespace, pod, container) else { return }
        put(value, family, time, sample, &entries[index])
    }

    private func put(
        _ value: Double?, _ family: Family, _ time: Timestamp?, _ sample: PrometheusText.Sample,
        _ entry: inout Entry
    ) {
        guard let value else {
            switch family {
            case .received, .sent: entry.parts.isBroken = true
            case .containerCPU: entry.parts.isCPUBroken = true
            case .diskUsed, .diskLimit: entry.parts.isDiskBroken = true
            default: break
            }
            return
        }
        switch family {
        // One line for each core, or one for all.
        case .containerCPU:
            if let core = sample.label("cpu"), !PrometheusText.equal(page, core, "total") {
                entry.parts.isCPUOfCores = true
            }
            entry.use.cpuSeconds = (entry.use.cpuSeconds ?? 0) + value
            entry.use.at = time ?? entry.use.at
        case .containerMemory:
            // Beside a container that was just started anew the group of the old one may still be told, in any order, with
            // nothing in it.
            entry.use.memoryBytes = max(entry.use.memoryBytes ?? 0, Int64(value))
            entry.use.at = entry.use.at ?? time
        case .received: entry.parts.received.add(value)
        case .sent: entry.parts.sent.add(value)
        case .diskUsed: entry.parts.put(used: value, device: sample.label("device"), page)
        case .diskLimit: entry.parts.put(size: value, device: sample.label("device"), page)
        case .nodeCPU, .nodeMemory, .podCPU, .podMemory, .other: break
        }
    }

    /// Loopback and the node's ends of its pods' cables would count the same bytes twice.
    private func isCounted(_ interface: Span) -> Bool {
        !KubeletInterface.isVirtual(page[interface])
    }

    private mutating func entry(_ namespace: Span, _ pod: Span, _ container: Span) -> Int? {
        let guess = last + 1
        if guess < entries.count, isEntry(guess, namespace, pod, container) {
            last = guess
            return guess
        }
        let key = Key(page: page, namespace: namespace, pod: pod, container: container)
        if let index = index[key] {
            last = index
            return index
        }
        guard KubeletReading.isName(page[namespace]), KubeletReading.isName(page[pod]),
            container.isEmpty || KubeletReading.isName(page[container])
        else {
            rejected.count(.badName)
            if !container.isEmpty { lacksPart(namespace, pod) }
            return nil
        }
        guard entries.count < KubeletReading.maximumContainers else {
            rejected.count(.tooMany)
            if !container.isEmpty { lacksPart(namespace, pod) }
            return nil
        }
        last = entries.count
        index[key] = last
        entries.append(Entry(namespace: namespace, pod: pod, container: container))
        return last
    }

    private mutating func lacksPart(_ namespace: Span, _ pod: Span) {
        guard incomplete.count < KubeletReading.maximumPods else {
            isIncomplete = true
            return
        }
        incomplete.insert(podKey(namespace, pod))
    }

    private func podKey(_ namespace: Span, _ pod: Span) -> Key {
        Key(page: page, namespace: namespace, pod: pod, container: pod.lowerBound..<pod.lowerBound)
    }

    private func isEntry(_ index: Int, _ namespace: Span, _ pod: Span, _ container: Span) -> Bool {
        PrometheusText.equal(page, entries[index].pod, pod)
            && PrometheusText.equal(page, entries[index].container, container)
            && PrometheusText.equal(page, entries[index].namespace, namespace)
    }

    private func text(_ span: Span) -> String { String(decoding: page[span], as: UTF8.self) }

    /// - Parameter isWhole: whether every line could be read. Of lines that could not nobody knows what they were about: then
    ///   containers and cores are not added up, since one may be missing.
    func finished(isWhole: Bool) -> KubeletReading {
        var reading = KubeletReading(node: node, rejected: rejected)
        func whole(_ entry: Entry) -> KubeletReading.Use {
            var use = entry.whole(page, &reading.rejected)
            if !isWhole, entry.parts.isCPUOfCores { use.cpuSeconds = nil }
            return use
        }
        if isCadvisor { reading.node = whole(nodeCgroup) }
        var podIndex: [Key: Int] = [:]
        for entry in entries {
            let key = podKey(entry.namespace, entry.pod)
            guard let position = position(of: key, entry, &podIndex, &reading) else { continue }
            let use = whole(entry)
            if entry.container.isEmpty {
                reading.pods[position].use = use
            } else {
                reading.pods[position].containers.append(.init(name: text(entry.container), use: use))
            }
        }
        guard isWhole, !isIncomplete else { return reading }
        let lacking = Set(incomplete.compactMap { podIndex[$0] })
        for index in reading.pods.indices where !lacking.contains(index) { reading.pods[index].addUp() }
        return reading
    }

    private func position(
        of key: Key, _ entry: Entry, _ podIndex: inout [Key: Int], _ reading: inout KubeletReading
    ) -> Int? {
        if let position = podIndex[key] { return position }
        guard reading.pods.count < KubeletReading.maximumPods else {
            reading.rejected.count(.tooMany)
            return nil
        }
        podIndex[key] = reading.pods.count
        reading.pods.append(.init(key: .init(namespace: text(entry.namespace), name: text(entry.pod))))
        return reading.pods.count - 1
    }
}
