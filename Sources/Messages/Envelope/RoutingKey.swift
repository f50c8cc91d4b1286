/// `updraft.<cluster>.<topic>.<priority>`: an oslo listener with topic `updraft.prod.decisions` binds to it as is.
public struct RoutingKey: Sendable, Hashable, CustomStringConvertible {
    /// The cluster that the message is about.
    public var cluster: String
    /// What kind of message it is.
    public var topic: Topic
    /// How urgent it is.
    public var priority: Priority

    /// From its parts.
    public init(cluster: String, topic: Topic, priority: Priority = .info) {
        self.cluster = cluster
        self.topic = topic
        self.priority = priority
    }

    /// Parses the text form; nil when it is not one of ours.
    public init?(_ text: String) {
        let words = text.split(separator: ".", omittingEmptySubsequences: false)
        guard words.count == 4, words[0] == "updraft", RoutingKey.isClusterName(String(words[1])),
            let topic = Topic(rawValue: String(words[2])), let priority = Priority(rawValue: String(words[3]))
        else { return nil }
        self.init(cluster: String(words[1]), topic: topic, priority: priority)
    }

    /// The text form.
    public var description: String {
        "updraft.\(cluster).\(topic.rawValue).\(priority.rawValue)"
    }

    /// Whether `name` can stand in a routing key: 1…63 of a–z, A–Z, 0–9, `-` and `_`.
    public static func isClusterName(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte) || byte == 45
                    || byte == 95
            }
    }
}
