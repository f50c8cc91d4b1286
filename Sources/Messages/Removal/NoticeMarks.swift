/// What the annotation `updraft.io/removal-notice` of a pod says: `<removal> gate=told hook=told answer=done`. The
/// Notifier writes it once each way of telling the pod was tried, and reads it after a restart, so that a way that was
/// used is not used again and an answer that was heard is not heard again. The Actuator evicts no pod without it.
public struct NoticeMarks: Sendable, Equatable {
    /// A way of telling a pod and what became of it.
    public struct Way: Sendable, Equatable {
        /// Its name: `annotation`, `gate`, `hook`, `bus`, `event`.
        public var name: String
        /// `told`, `expired`, `failed` or `trying`.
        public var outcome: String

        /// From its parts; of the outcome only what stands before a colon is kept.
        public init(_ name: String, _ outcome: String) {
            self.name = name
            self.outcome = String(outcome.prefix { $0 != ":" })
        }
    }

    /// The ways, in the order in which they are used.
    public var ways: [Way] = []
    /// The answer that was heard last, as in `updraft.io/shutdown-answer`.
    public var answer: String?

    /// From its parts.
    public init(ways: [Way] = [], answer: String? = nil) {
        self.ways = ways
        self.answer = answer
    }

    /// From the annotations of a pod; nil if they have no notice of this removal. What is not understood is left out.
    public init?(_ annotations: [String: String], removal: String) {
        self.init(annotations[RemovalNames.podNotice] ?? "", removal: removal)
    }

    /// From the text of the annotation; nil if it is not of this removal. What is not understood is left out.
    public init?(_ text: String, removal: String) {
        let words = text.split(separator: " ")
        guard words.first.map(String.init) == removal else { return nil }
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            if parts[0] == "answer" { answer = parts[1] } else { ways.append(Way(parts[0], parts[1])) }
        }
    }

    /// The ways by which the pod was told.
    public var told: Set<String> { Set(ways.filter { $0.outcome == "told" }.map(\.name)) }

    /// The annotation's text.
    public func text(removal: String) -> String {
        var words = [removal] + ways.map { "\($0.name)=\($0.outcome)" }
        if let answer { words.append("answer=\(answer)") }
        return words.joined(separator: " ")
    }
}
