import JSONReader
import Messages
import Support

/// A Kubernetes Event as it is read, reduced.
public struct ObservedEvent: Sendable, Hashable {
    /// When it was first seen.
    public var firstAt: Timestamp
    /// When it was last seen.
    public var lastAt: Timestamp
    /// How often.
    public var count: Int64
    /// Whether it is a warning.
    public var isWarning: Bool
    /// The reason, one word.
    public var reason: String
    /// The text.
    public var message: String
    /// Who wrote it.
    public var component: String
}

extension KubernetesClient {
    /// The Events about a node, oldest first; the server keeps them for about an hour.
    public func events(aboutNode name: String) async throws(KubernetesError) -> [ObservedEvent] {
        var events: [ObservedEvent] = []
        var next: String?
        repeat {
            var query = [("fieldSelector", "involvedObject.kind=Node,involvedObject.name=\(name)"), ("limit", "500")]
            if let next { query.append(("continue", next)) }
            let call = Call(.get, "/api/v1/events", query: query)
            let list = try value(try await request(call), call.operation)
            for item in list["items"]?.arrayValue ?? [] {
                // A server that knows no such selector gives all.
                guard item[path: "involvedObject", "kind"]?.stringValue == "Node",
                    item[path: "involvedObject", "name"]?.stringValue == name, let event = ObservedEvent(item)
                else { continue }
                events.append(event)
            }
            let more = list[path: "metadata", "continue"]?.stringValue ?? ""
            next = more.isEmpty ? nil : more
        } while next != nil && events.count < 10_000
        return events.sorted { ($0.firstAt, $0.message) < ($1.firstAt, $1.message) }
    }
}

extension ObservedEvent {
    /// Nil when the object says no time at all.
    init?(_ object: JSONValue) {
        func time(_ name: String) -> Timestamp? { object[name]?.stringValue.flatMap { Timestamp($0) } }
        guard let first = time("firstTimestamp") ?? time("eventTime") ?? time("lastTimestamp") else { return nil }
        firstAt = first
        lastAt = time("lastTimestamp") ?? first
        count = object["count"]?.intValue ?? 1
        isWarning = object["type"]?.stringValue == "Warning"
        reason = object["reason"]?.stringValue ?? ""
        message = object["message"]?.stringValue ?? ""
        component =
            object[path: "source", "component"]?.stringValue ?? object["reportingComponent"]?.stringValue ?? ""
    }
}
