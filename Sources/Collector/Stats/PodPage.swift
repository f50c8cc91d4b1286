import Messages
import Support

/// Where a pod tells stats of its own: the annotation `updraft.io/scrape`, a port and a path of its own address as with
/// `updraft.io/shutdown-hook`, e.g. `http://:8080/metrics`.
struct PodEndpoint: Sendable, Hashable {
    /// The annotation.
    static let annotation = "updraft.io/scrape"
    private static let scheme = "http://:"
    private static let longest = 500

    let port: UInt16
    /// With a slash in front.
    let path: String

    /// Nil where the annotation says nothing that can be asked for.
    init?(_ annotation: String) {
        guard annotation.utf8.count <= Self.longest, annotation.hasPrefix(Self.scheme) else { return nil }
        let text = annotation.dropFirst(Self.scheme.count)
        let place = text.firstIndex(of: "/") ?? text.endIndex
        guard let port = UInt16(text[..<place]), port > 0 else { return nil }
        // What goes into a URL as it is: no blank, no control character, no fragment.
        guard text[place...].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 && $0 != 0x5C }) else { return nil }
        self.port = port
        path = place == text.endIndex ? "/metrics" : String(text[place...])
    }

    /// The address to ask.
    func url(_ address: String) -> String {
        "http://\(address.contains(":") ? "[\(address)]" : address):\(port)\(path)"
    }
}

/// What a page in Prometheus' text format says of some metrics: the sum over the series of each.
struct PodPage: Sendable, Equatable {
    var sums: [String: Double] = [:]
    var rejected = Rejections()

    /// - Parameter names: the metrics wanted; the others are passed over.
    init(_ body: [UInt8], names: Set<String>) {
        // By their bytes: a page has thousands of lines, and few are wanted.
        let wanted = names.map { (name: $0, bytes: Array($0.utf8)) }
        var sums = [Double?](repeating: nil, count: wanted.count)
        rejected = body.withUnsafeBytes { page in
            PrometheusText.forEachSample(page) { sample in
                for (index, item) in wanted.enumerated()
                where item.bytes.count == sample.name.count && page[sample.name].elementsEqual(item.bytes) {
                    sums[index] = (sums[index] ?? 0) + sample.value
                }
            }
        }
        for (item, sum) in zip(wanted, sums) {
            // One series that is no number makes the sum none: it is missing, and not zero.
            if let sum { if sum.isFinite { self.sums[item.name] = sum } else { rejected.count(.notFinite) } }
        }
    }
}
