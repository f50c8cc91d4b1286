/// What the annotation `updraft.io/removal-notice` of a pod says: `<removal> gate=told hook=told answer=done`, and
/// `message=<id>` where an answer came by the bus. The Notifier writes it once each way of telling the pod was tried, and
/// reads it after a restart, so that a way that was used is not used again and an answer that was heard is not heard
/// again. The Actuator evicts no pod without it, and none that has refused (only what may be refused stands here).
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
    /// The message by which the bus brought an answer last: should it come again, it changes nothing.
    public var answerID: String?

    /// From its parts.
    public init(ways: [Way] = [], answer: String? = nil, answerID: String? = nil) {
        self.ways = ways
        self.answer = answer
        self.answerID = answerID
    }

    /// A message id, which anybody may choose, as it can stand here: at most 64 of the characters of a UUID and their like.
    public static func word(_ id: String) -> String {
        String(
            id.unicodeScalars.prefix(64).map { scalar in
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", "-", ".": Character(scalar)
                default: "_"
                }
            })
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
            switch parts[0] {
            case "answer": answer = parts[1]
            case "message": answerID = parts[1]
            default: ways.append(Way(parts[0], parts[1]))
            }
        }
    }

    /// The ways by which the pod was told.
    public var told: Set<String> { Set(ways.filter { $0.outcome == "told" }.map(\.name)) }

    /// The annotation's text.
    public func text(removal: String) -> String {
        var words = [removal] + ways.map { "\($0.name)=\($0.outcome)" }
        if let answer { words.append("answer=\(answer)") }
        if let answerID { words.append("message=\(answerID)") }
        return words.joined(separator: " ")
    }
}
