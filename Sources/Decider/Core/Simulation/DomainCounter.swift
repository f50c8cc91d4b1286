/// The numbers of one `CounterSpec`.
struct DomainCounter: Sendable {
    /// Pods per domain.
    private(set) var counts: [Int32] = []
    /// Pods in all domains.
    private(set) var total = 0
    /// For spread: nodes per domain that take part. Empty for other kinds.
    private(set) var nodes: [Int32] = []
    /// For spread: number of domains that take part.
    private(set) var domains = 0
    private var histogram: [Int32] = [0]
    private var lowest = 0

    /// Pods in a domain; one never seen has none.
    @inline(__always)
    func count(_ domain: Int) -> Int32 {
        domain < counts.count ? counts[domain] : 0
    }

    private static func grow(_ array: inout [Int32], to size: Int) {
        if array.count < size { array.append(contentsOf: repeatElement(0, count: size - array.count)) }
    }

    /// The smallest count among the domains that take part; zero when there are fewer than `minDomains`.
    func minimum(minDomains: Int32) -> Int32 {
        domains < Int(minDomains) ? 0 : Int32(lowest)
    }

    mutating func bump(_ domain: Int, by change: Int32) {
        Self.grow(&counts, to: domain + 1)
        let before = counts[domain]
        counts[domain] = before + change
        total += Int(change)
        if domain < nodes.count && nodes[domain] > 0 {
            leave(Int(before))
            enter(Int(before + change))
            settle()
        }
    }

    mutating func addNode(_ domain: Int) {
        Self.grow(&nodes, to: domain + 1)
        nodes[domain] += 1
        if nodes[domain] == 1 {
            domains += 1
            enter(Int(count(domain)))
            settle()
        }
    }

    mutating func removeNode(_ domain: Int) {
        nodes[domain] -= 1
        if nodes[domain] == 0 {
            domains -= 1
            leave(Int(count(domain)))
            settle()
        }
    }

    private mutating func enter(_ count: Int) {
        let index = max(0, count)
        while histogram.count <= index { histogram.append(0) }
        histogram[index] += 1
        if index < lowest { lowest = index }
    }

    private mutating func leave(_ count: Int) {
        histogram[max(0, count)] -= 1
    }

    private mutating func settle() {
        guard domains > 0 else {
            lowest = 0
            return
        }
        while lowest < histogram.count - 1 && histogram[lowest] == 0 { lowest += 1 }
    }
}
