import Support

/// Namespace, pod and container where they stand in a kubelet's page; the container is empty where the pod itself is meant.
struct PageKey {
    typealias Span = PrometheusText.Span

    let namespace: Span
    let pod: Span
    let container: Span

    /// The pod that it is or belongs to.
    var ofPod: PageKey { PageKey(namespace: namespace, pod: pod, container: pod.lowerBound..<pod.lowerBound) }

    /// Whether both are the same names.
    @inline(__always)
    static func equal(_ left: PageKey, _ right: PageKey, _ page: UnsafeRawBufferPointer) -> Bool {
        PrometheusText.equal(page, left.pod, right.pod)
            && PrometheusText.equal(page, left.container, right.container)
            && PrometheusText.equal(page, left.namespace, right.namespace)
    }
}

/// Keys of a page, numbered in the order in which they came. (A `Dictionary` does the same at several times the cost for words
/// as short as names, and this is most of the reading of a page.)
struct PageKeys {
    private let page: UnsafeRawBufferPointer
    private(set) var keys: [PageKey] = []
    /// Numbers of keys, plus one, where their hashes lead; zero where there is none. A power of two, at most half full.
    private var slots: [Int32]
    /// Unlike in each process: whoever writes the page cannot choose names that collide.
    private static let processSeed = UInt64.random(in: 1 ... .max)
    private let seed = Self.processSeed

    /// - Parameter likely: how many keys there will be.
    init(page: UnsafeRawBufferPointer, likely: Int) {
        self.page = page
        keys.reserveCapacity(likely)
        var size = 16
        while size < likely * 2 { size *= 2 }
        slots = Array(repeating: 0, count: size)
    }

    /// The number of a key, if it is here.
    func number(of key: PageKey) -> Int? {
        var slot = place(of: key)
        while slots[slot] > 0 {
            let number = Int(slots[slot]) - 1
            if PageKey.equal(keys[number], key, page) { return number }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Adds a key that is not here yet, and numbers it.
    mutating func add(_ key: PageKey) -> Int {
        keys.append(key)
        if keys.count * 2 > slots.count {
            slots = Array(repeating: 0, count: slots.count * 2)
            for number in keys.indices { put(number) }
        } else {
            put(keys.count - 1)
        }
        return keys.count - 1
    }

    private mutating func put(_ number: Int) {
        var slot = place(of: keys[number])
        while slots[slot] > 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = Int32(number + 1)
    }

    private func place(of key: PageKey) -> Int {
        var hash = mixed(seed, key.pod)
        hash = mixed(hash, key.container)
        return Int(truncatingIfNeeded: mixed(hash, key.namespace)) & (slots.count - 1)
    }

    /// Eight bytes at a time.
    private func mixed(_ start: UInt64, _ span: PageKey.Span) -> UInt64 {
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

    @inline(__always)
    private func folded(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low ^ seed
    }
}
