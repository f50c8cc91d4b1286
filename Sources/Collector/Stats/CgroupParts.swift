/// What cAdvisor says of a cgroup in lines of their own, which mean something only together: a part that is missing is not
/// zero.
struct CgroupParts {
    typealias Span = PrometheusText.Span

    /// One way of the traffic.
    struct Way {
        var bytes = 0.0
        /// Interfaces with a usable line.
        var lines = 0

        mutating func add(_ value: Double) {
            bytes += value
            lines += 1
        }
    }

    private struct Device {
        var name: Span
        var used: Double?
        var size: Double?
    }

    var received = Way()
    var sent = Way()
    /// A line of the traffic could not be used.
    var isBroken = false
    /// A line of the CPU, of which there is one for each core or one for all, could not be used.
    var isCPUBroken = false
    /// The CPU is told core by core.
    var isCPUOfCores = false
    /// A line of the file systems could not be used: the one that is meant may be what it was about.
    var isDiskBroken = false
    private var devices: [Device] = []

    /// More devices of one cgroup are not looked at.
    private static let mostDevices = 256

    /// Both ways of every interface, or nothing: a sum that an interface leaves and joins again has no rate.
    var traffic: KubeletReading.Traffic? {
        guard received.lines > 0, received.lines == sent.lines, !isBroken else { return nil }
        return .init(received: received.bytes, sent: sent.bytes, parts: received.lines)
    }

    /// Takes what is used of a device, or its size.
    mutating func put(used: Double? = nil, size: Double? = nil, device: Span?, _ page: UnsafeRawBufferPointer) {
        let name = device ?? 0..<0
        var index = devices.firstIndex { PrometheusText.equal(page, $0.name, name) }
        if index == nil, devices.count < Self.mostDevices {
            devices.append(Device(name: name))
            index = devices.count - 1
        }
        guard let index else { return }
        devices[index].used = used ?? devices[index].used
        devices[index].size = size ?? devices[index].size
    }

    /// The root file system, as the kubelet's `node.fs`. cAdvisor names devices and not where they are mounted, so it is the
    /// largest of the machine's first disk; where that is not clear the largest of all. Others, such as volumes of pods, say
    /// nothing about the node.
    func disk(_ page: UnsafeRawBufferPointer, _ rejected: inout Rejections) -> KubeletReading.Disk? {
        if isDiskBroken { return nil }
        let ranks = devices.map { DeviceRank(page[$0.name]) }
        // The first disk may hold no more than what the machine begins with.
        let isMapped = ranks.contains(.mapped)
        var best: (rank: Int, size: Double, used: Double)?
        for (device, rank) in zip(devices, ranks) {
            guard let used = device.used else { continue }
            let found = (rank.order(isMapped: isMapped), device.size.flatMap { $0 > 0 ? $0 : nil } ?? -1, used)
            if best.map({ ($0.rank, $0.size, $0.used) < found }) ?? true { best = found }
        }
        return best.flatMap { KubeletReading.disk(used: $0.used, capacity: $0.size, &rejected) }
    }
}

/// How likely a device holds the root file system, by its name.
private enum DeviceRank {
    /// Memory and the like.
    case pseudo
    case block
    /// LVM, encryption, RAID.
    case mapped
    case firstDisk
    case root

    private static let firstDisks: [StaticString] = ["/dev/vda", "/dev/sda", "/dev/xvda", "/dev/nvme0n1"]

    init(_ name: Slice<UnsafeRawBufferPointer>) {
        func begins(_ text: StaticString) -> Bool {
            name.starts(with: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }
        func isJust(_ text: StaticString) -> Bool { name.count == text.utf8CodeUnitCount && begins(text) }
        if isJust("/dev/root") || isJust("rootfs") {
            self = .root
        } else if begins("/dev/mapper/") || begins("/dev/dm-") || begins("/dev/md") {
            self = .mapped
        } else if Self.firstDisks.contains(where: { disk in
            begins(disk) && name.dropFirst(disk.utf8CodeUnitCount).allSatisfy { $0 == 0x70 || $0 &- 0x30 < 10 }
        }) {
            self = .firstDisk
        } else {
            self = begins("/dev/") && !begins("/dev/shm") && !begins("/dev/loop") ? .block : .pseudo
        }
    }

    func order(isMapped: Bool) -> Int {
        switch self {
        case .pseudo: 0
        case .block, .mapped: 1
        case .firstDisk: isMapped ? 1 : 2
        case .root: 3
        }
    }
}
