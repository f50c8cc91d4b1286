import Messages
import Support

/// What is read of Nova's notifications, both formats (docs/openstack/nova.md §4). The rest of a body is not read: some
/// carry live tokens of users.
public struct NovaReading: Sendable, Equatable {
    /// UUID of the server.
    public var serverID: String
    /// Nova's state, or `deleting` from the beginning of a deletion on.
    public var state: String

    /// The message for our bus.
    public func report(cluster: String, event: String, at time: Timestamp) -> CloudServer {
        CloudServer(cluster: cluster, serverID: serverID, state: state, event: event, at: time)
    }

    /// Whether a body is worth opening, by its event type.
    public static func isOfInterest(_ eventType: String) -> Bool {
        kind(eventType) != nil
    }

    /// What a notification says of a server; nil: nothing that matters here.
    public static func read(_ received: MessageCoder.Received) throws(MessageError) -> NovaReading? {
        guard let kind = kind(received.envelope.eventType) else { return nil }
        let payload = try MessageCoder.payload(Payload.self, of: received)
        guard let serverID = payload.serverID, (1...64).contains(serverID.utf8.count) else {
            throw MessageError(.invalidField, path: "payload", what: "no id of a server")
        }
        guard let state = kind.state(payload) else { return nil }
        return NovaReading(serverID: serverID, state: String(state.prefix(40)))
    }

    // MARK: Kinds

    private enum Kind {
        /// A deletion begins or goes on.
        case leaving
        case deleted
        /// The state after something ended.
        case state
        /// A change of state or task, or neither.
        case update
        /// Something failed; the server may be well nevertheless.
        case failure

        func state(_ payload: Payload) -> String? {
            switch self {
            case .leaving: "deleting"
            case .deleted: "deleted"
            case .state: payload.state
            case .failure: payload.state ?? "error"
            case .update:
                if payload.state == "deleted" || payload.isDeleting == false {
                    payload.state == payload.oldState ? nil : payload.state
                } else {
                    "deleting"
                }
            }
        }
    }

    private static func kind(_ eventType: String) -> Kind? {
        var words = eventType.split(separator: ".").map(String.init)
        if words.first == "compute" { words.removeFirst() }
        if words.first == "compute_task" { return words.dropFirst().first == "build_instances" ? .failure : nil }
        guard words.count >= 2, words.count <= 3, words[0] == "instance" else { return nil }
        let phase = words.count == 3 ? words[2] : ""
        if phase == "error" { return .failure }
        switch (words[1], phase) {
        case ("delete", "end"), ("force_delete", "end"): return .deleted
        case ("delete", _), ("force_delete", _), ("soft_delete", _), ("shutdown", _): return .leaving
        case ("update", ""): return .update
        case ("create", "end"), ("power_off", "end"), ("power_on", "end"), ("restore", "end"): return .state
        default: return nil
        }
    }

    // MARK: Payloads

    /// The few fields that both formats have, unversioned at the top, versioned in `nova_object.data`.
    private struct Payload: Decodable {
        var serverID: String?
        var state: String?
        var oldState: String?
        var isDeleting = false

        private enum Key: String, CodingKey {
            case data = "nova_object.data"
            case instance_id, uuid, instance_uuid, state, old_state, state_description, new_task_state, task_state
            case state_update
        }

        init(from decoder: any Decoder) throws {
            let top = try decoder.container(keyedBy: Key.self)
            let fields = try top.contains(.data) ? top.nestedContainer(keyedBy: Key.self, forKey: .data) : top
            for key in [Key.uuid, .instance_uuid, .instance_id] where serverID == nil {
                serverID = try fields.decodeIfPresent(String.self, forKey: key)
            }
            state = try fields.decodeIfPresent(String.self, forKey: .state)
            oldState = try fields.decodeIfPresent(String.self, forKey: .old_state)
            var tasks: [String?] = []
            for key in [Key.state_description, .new_task_state, .task_state] {
                tasks.append(try fields.decodeIfPresent(String.self, forKey: key))
            }
            if let update = try? fields.nestedContainer(keyedBy: Key.self, forKey: .state_update) {
                let change = try update.nestedContainer(keyedBy: Key.self, forKey: .data)
                state = try change.decodeIfPresent(String.self, forKey: .state) ?? state
                oldState = try change.decodeIfPresent(String.self, forKey: .old_state)
                tasks.append(try change.decodeIfPresent(String.self, forKey: .new_task_state))
            }
            isDeleting = tasks.contains { $0 == "deleting" || $0 == "soft-deleting" }
        }
    }
}
