/// What of a kubelet's answer was not used, by why.
struct Rejections: Sendable, Equatable {
    /// Why something was not used. The names are labels of the metric `updraft_stats_rejected_total`.
    enum Why: String, Sendable, CaseIterable {
        /// A line that is not in the format.
        case malformedLine = "malformed_line"
        /// A line that is longer than any real one.
        case longLine = "long_line"
        /// The answer ends within a line.
        case truncated
        /// A page of JSON that is not in the format, or cut off: nothing of it is used.
        case malformedPage = "malformed_page"
        /// NaN or an infinity.
        case notFinite = "not_finite"
        /// A negative amount.
        case negative
        /// An amount that no machine has.
        case outOfRange = "out_of_range"
        /// More than the node has, by far: nanoseconds for seconds, kilobytes for bytes, another node's page; more of a file
        /// system than it holds; more through a network than any carries.
        case wrongUnit = "wrong_unit"
        /// A namespace, pod or container that Kubernetes would not allow.
        case badName = "bad_name"
        /// A pod that is not on the node, as the API server has it: a kubelet may speak for its own only.
        case unknownPod = "unknown_pod"
        /// More pods or containers than any node runs.
        case tooMany = "too_many"
        /// A time that cannot be read.
        case badTime = "bad_time"
    }

    private(set) var counts: [Why: Int] = [:]

    var isEmpty: Bool { counts.isEmpty }
    var total: Int { counts.values.reduce(0, +) }

    subscript(why: Why) -> Int { counts[why] ?? 0 }

    mutating func count(_ why: Why, _ number: Int = 1) {
        if number > 0 { counts[why, default: 0] += number }
    }

    mutating func add(_ other: Rejections) {
        for (why, number) in other.counts { count(why, number) }
    }

    /// `malformed_line: 2, negative: 1`.
    var summary: String {
        Why.allCases.compactMap { why in counts[why].map { "\(why.rawValue): \($0)" } }.joined(separator: ", ")
    }
}

extension Rejections: ExpressibleByDictionaryLiteral {
    init(dictionaryLiteral elements: (Why, Int)...) {
        for (why, number) in elements { count(why, number) }
    }
}
