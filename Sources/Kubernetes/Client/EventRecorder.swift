import JSONReader
import Support

/// What an Event is about.
public struct ObjectReference: Sendable, Hashable {
    /// e.g. `Pod`.
    public var kind: String
    /// e.g. `v1`.
    public var apiVersion: String
    /// Empty for cluster-wide kinds.
    public var namespace: String
    /// Name.
    public var name: String
    /// UID; for a Node its name, as kubelet and `kubectl describe` have it.
    public var uid: String

    /// From its parts.
    public init(kind: String, apiVersion: String = "v1", namespace: String, name: String, uid: String) {
        self.kind = kind
        self.apiVersion = apiVersion
        self.namespace = namespace
        self.name = name
        self.uid = uid
    }

    /// A node.
    public static func node(_ name: String) -> ObjectReference {
        ObjectReference(kind: "Node", namespace: "", name: name, uid: name)
    }

    /// A pod.
    public static func pod(namespace: String, _ name: String, uid: String) -> ObjectReference {
        ObjectReference(kind: "Pod", namespace: namespace, name: name, uid: uid)
    }
}

/// What an Event says.
public struct EventText: Sendable, Hashable {
    /// `Warning` rather than `Normal`.
    public var isWarning: Bool
    /// A word for programs, in the past tense: `RemovalAnnounced`.
    public var reason: String
    /// A sentence for people.
    public var message: String

    /// From its parts.
    public init(isWarning: Bool = false, reason: String, message: String) {
        self.isWarning = isWarning
        self.reason = reason
        self.message = message
    }
}

/// Writes Kubernetes Events; one that repeats is counted up instead of written again.
public final class EventRecorder: Sendable {
    private struct Key: Hashable {
        var object: ObjectReference
        var text: EventText
    }

    private struct Written {
        var name: String
        var count: Int32
        var lastUse: UInt64
    }

    private struct State {
        var written: [Key: Written] = [:]
        var clock: UInt64 = 0
    }

    /// How many events are remembered for counting up; beyond that the least recently used are forgotten.
    private static let capacity = 4_096

    private let client: KubernetesClient
    private let component: String
    private let host: String
    private let state = Lock(State())

    /// Events of `component` (e.g. `updraft-actuator`) on `host`.
    public init(_ client: KubernetesClient, component: String, host: String) {
        self.client = client
        self.component = component
        self.host = host
    }

    /// Writes an event, or counts up the one that says the same about the same object.
    public func record(
        _ text: EventText, on object: ObjectReference, at time: Timestamp
    ) async throws(KubernetesError) {
        // The server's limits: 1,024 bytes of note and 128 of reason.
        var text = text
        text.reason = text.reason.cut(utf8: 128)
        text.message = EventRecorder.cut(text.message, to: 1_024)
        let key = Key(object: object, text: text)
        let namespace = object.namespace.isEmpty ? "default" : object.namespace
        if let known = state.withLock({ $0.written[key] }) {
            let patch: JSONValue = ["count": .int(Int64(known.count) + 1), "lastTimestamp": .string(time.wholeSeconds)]
            let path = EventRecorder.resource.path(namespace: namespace, name: known.name)
            do throws(KubernetesError) {
                _ = try await client.request(
                    KubernetesClient.Call(.patch, path, body: patch.bytes, contentType: PatchKind.merge.rawValue))
                remember(key, known.name, count: known.count + 1)
                return
            } catch {
                // Events live for an hour: it may be gone.
                guard error.code == .notFound else { throw error }
            }
        }
        let name = "\(object.name.prefix(200)).\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        _ = try await client.request(
            KubernetesClient.Call(
                .post, EventRecorder.resource.path(namespace: namespace),
                body: body(text, object, name, namespace, time).bytes))
        remember(key, name, count: 1)
    }

    private static let resource = ResourceName("events")

    private static func cut(_ text: String, to limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var cut = Substring(text)
        while cut.utf8.count > limit - 3 { cut.removeLast() }
        return cut + "…"
    }

    private func remember(_ key: Key, _ name: String, count: Int32) {
        state.withLock { state in
            state.clock += 1
            state.written[key] = Written(name: name, count: count, lastUse: state.clock)
            guard state.written.count > EventRecorder.capacity else { return }
            let border = state.clock - UInt64(EventRecorder.capacity / 2)
            state.written = state.written.filter { $0.value.lastUse > border }
        }
    }

    private func body(
        _ text: EventText, _ object: ObjectReference, _ name: String, _ namespace: String, _ time: Timestamp
    ) -> JSONValue {
        var reference: JSONValue = [
            "kind": .string(object.kind), "apiVersion": .string(object.apiVersion), "name": .string(object.name),
            "uid": .string(object.uid),
        ]
        if !object.namespace.isEmpty { reference["namespace"] = .string(object.namespace) }
        return [
            "apiVersion": "v1", "kind": "Event",
            "metadata": ["name": .string(name), "namespace": .string(namespace)],
            "involvedObject": reference, "type": text.isWarning ? "Warning" : "Normal",
            "reason": .string(text.reason), "message": .string(text.message), "count": 1,
            "firstTimestamp": .string(time.wholeSeconds), "lastTimestamp": .string(time.wholeSeconds),
            "source": ["component": .string(component), "host": .string(host)],
            "reportingComponent": .string(component), "reportingInstance": .string(host),
        ]
    }
}
