import JSONReader
import Support

/// A stack's full identity. Heat's URLs name a stack by both; the name alone is redirected.
public struct StackID: Sendable, Hashable, CustomStringConvertible {
    /// The name; unique in a project among stacks that live.
    public let name: String
    /// The UUID.
    public let id: String

    /// An identity.
    public init(name: String, id: String) {
        self.name = name
        self.id = id
    }

    /// `name/id`
    public var description: String { "\(name)/\(id)" }

    /// The path below the endpoint.
    var path: String { "stacks/\(PercentEncoding.segment(name))/\(PercentEncoding.segment(id))" }

    /// From a URL that holds `/stacks/{name}/{id}`; only these two are taken from it, never the host.
    init?(url: String) {
        // By bytes: a reading of a large group holds thousands of them.
        guard let start = url.firstByteRange(of: "/stacks/") else { return nil }
        let parts = url.utf8[start.upperBound...].prefix { $0 != UInt8(ascii: "?") }.split(
            separator: UInt8(ascii: "/"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, let name = try? PercentEncoding.decode(Substring(parts[0])),
            let id = try? PercentEncoding.decode(Substring(parts[1])),
            !name.isEmpty, !id.isEmpty
        else { return nil }
        self.init(name: name, id: id)
    }
}

/// A status such as `UPDATE_IN_PROGRESS`: what was done last, and how it went.
public struct HeatStatus: Sendable, Hashable, CustomStringConvertible {
    /// How the action went.
    public enum State: Sendable, Hashable {
        /// `*_IN_PROGRESS`
        case inProgress
        /// `*_COMPLETE`
        case complete
        /// `*_FAILED`
        case failed
        /// Anything that a later Heat may invent.
        case unknown
    }

    /// As Heat wrote it.
    public let text: String

    /// From Heat's text.
    public init(_ text: String) {
        self.text = text
    }

    /// How the action went.
    public var state: State {
        if text.hasSuffix("_IN_PROGRESS") { return .inProgress }
        if text.hasSuffix("_COMPLETE") { return .complete }
        if text.hasSuffix("_FAILED") { return .failed }
        return .unknown
    }

    /// `CREATE`, `UPDATE`, `DELETE`, `CHECK`, `SUSPEND`…
    public var action: String {
        for suffix in ["_IN_PROGRESS", "_COMPLETE", "_FAILED"] where text.hasSuffix(suffix) {
            return String(text.dropLast(suffix.count))
        }
        return text
    }

    /// `DELETE_COMPLETE`: listed still, but gone.
    public var isDeleted: Bool { text == "DELETE_COMPLETE" }

    /// As Heat wrote it.
    public var description: String { text }
}

/// A stack.
public struct HeatStack: Sendable, Equatable {
    /// Name and id.
    public let id: StackID
    /// Its status.
    public let status: HeatStatus
    /// Why; a superseded update says "Stack UPDATE cancelled", which is no failure.
    public let statusReason: String
    /// The parameters as Heat shows them: all as text, hidden ones as asterisks. Empty in lists.
    public let parameters: [String: String]
    /// After how many minutes an action fails; nil: Heat's own limit.
    public let timeoutMinutes: Int?
    /// The tags.
    public let tags: [String]
    /// When it was created.
    public let createdAt: Timestamp?
    /// When it was last updated.
    public let updatedAt: Timestamp?
    /// The id of the stack that owns it.
    public let parent: String?

    static func decode(_ field: Field) throws(OpenStackError) -> HeatStack {
        // In lists tags are null or an array; old Heats write one string with commas.
        var tags: [String] = []
        if let list = try field.optional("tags") {
            if let text = list.value.stringValue {
                tags = text.split(separator: ",").map { String($0.drop { $0 == " " }) }
            } else {
                for tag in try list.elements() { tags.append(try tag.string()) }
            }
        }
        return HeatStack(
            id: StackID(name: try field.string("stack_name"), id: try field.string("id")),
            status: HeatStatus(try field.string("stack_status")),
            statusReason: try field.optionalString("stack_status_reason") ?? "",
            parameters: try field.optional("parameters")?.strings() ?? [:],
            timeoutMinutes: try field.optionalInt("timeout_mins"), tags: tags,
            createdAt: try field.optionalTime("creation_time"), updatedAt: try field.optionalTime("updated_time"),
            parent: try field.optionalString("parent"))
    }
}

/// A resource of a stack.
public struct HeatResource: Sendable, Equatable {
    /// The name in its stack.
    public let name: String
    /// `OS::Nova::Server`, `OS::Heat::AutoScalingGroup`, `file:///…member.yaml`.
    public let type: String
    /// The server's, or nested stack's, id; nil as long as there is none.
    public let physicalID: String?
    /// Its status.
    public let status: HeatStatus
    /// Why.
    public let statusReason: String
    /// When it was created; Heat removes the oldest first.
    public let createdAt: Timestamp?
    /// The *name* of the resource that owns the stack that this one is in; nil in the stack that was asked.
    public let parentResource: String?
    /// The stack that it is in.
    public let stack: StackID?
    /// The nested stack that it owns.
    public let nested: StackID?

    static func decode(_ field: Field) throws(OpenStackError) -> HeatResource {
        let links = try Links.decode(field)
        let physical = try field.optionalString("physical_resource_id")
        return HeatResource(
            name: try field.string("resource_name"), type: try field.string("resource_type"),
            physicalID: physical?.isEmpty == true ? nil : physical,
            status: HeatStatus(try field.string("resource_status")),
            statusReason: try field.optionalString("resource_status_reason") ?? "",
            createdAt: try field.optionalTime("creation_time"),
            parentResource: try field.optionalString("parent_resource"),
            stack: links.stack("stack"), nested: links.stack("nested"))
    }
}

/// The metadata that Heat keeps on a scaling group.
public struct HeatGroupMetadata: Sendable, Equatable {
    /// A policy or update is changing the group; signals are dropped meanwhile. Stays true for good if the engine died.
    public let scalingInProgress: Bool
    /// Signals are dropped until then. Belongs to the group, whichever policy set it.
    public let cooldownEnd: Timestamp?

    static func decode(_ field: Field) throws(OpenStackError) -> HeatGroupMetadata {
        var end: Timestamp?
        if let ends = try field.optional("cooldown_end") {
            for (text, entry) in try ends.members() {
                guard let time = Timestamp(text) else { throw entry.malformed("is not named by a time") }
                end = max(end ?? time, time)
            }
        }
        return HeatGroupMetadata(
            scalingInProgress: try field.optional("scaling_in_progress")?.bool() ?? false, cooldownEnd: end)
    }
}

/// An event of a stack or of one nested in it.
public struct HeatEvent: Sendable, Equatable {
    /// The event's id, the marker for paging.
    public let id: String
    /// When.
    public let time: Timestamp
    /// The resource's name; for the stack itself the stack's.
    public let resource: String
    /// The resource's physical id, e.g. the server's.
    public let physicalID: String?
    /// The status, which during a hook is still the old one.
    public let status: HeatStatus
    /// The reason, where hooks show.
    public let statusReason: String
    /// The stack that holds the resource: where a hook is cleared.
    public let stack: StackID?
    /// The outermost stack.
    public let rootStack: StackID?

    /// The hook that the resource now waits at, e.g. `pre-delete`. The whole text is compared, since that of the
    /// clearing is contained in it: docs/openstack/heat.md §6.
    public var pausedHook: String? {
        // "DELETE paused until Hook pre-delete is cleared"
        let words = statusReason.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 7, words[1...3].elementsEqual(["paused", "until", "Hook"]),
            words[5...].elementsEqual(["is", "cleared"])
        else { return nil }
        return String(words[4])
    }

    /// The hook that was cleared by this event.
    public var clearedHook: String? {
        let words = statusReason.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 4, words[0] == "Hook", words[2...].elementsEqual(["is", "cleared"]) else { return nil }
        return String(words[1])
    }

    static func decode(_ field: Field) throws(OpenStackError) -> HeatEvent {
        let links = try Links.decode(field)
        let physical = try field.optionalString("physical_resource_id")
        return HeatEvent(
            id: try field.string("id"), time: try field.member("event_time").time(),
            resource: try field.string("resource_name"), physicalID: physical?.isEmpty == true ? nil : physical,
            status: HeatStatus(try field.string("resource_status")),
            statusReason: try field.optionalString("resource_status_reason") ?? "",
            stack: links.stack("stack"), rootStack: links.stack("root_stack"))
    }
}

/// Heat's `links`: relation → URL.
struct Links {
    let urls: [String: String]

    static func decode(_ field: Field) throws(OpenStackError) -> Links {
        var urls: [String: String] = [:]
        for link in try field.optional("links")?.elements() ?? [] {
            urls[try link.string("rel")] = try link.string("href")
        }
        return Links(urls: urls)
    }

    func stack(_ relation: String) -> StackID? {
        urls[relation].flatMap { StackID(url: $0) }
    }
}
