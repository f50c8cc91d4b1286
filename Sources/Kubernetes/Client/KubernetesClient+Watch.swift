import HTTPClient
import JSONReader
import Support

/// One event of a watch.
public enum WatchEvent<Object: KubernetesResource>: Sendable {
    /// A new object.
    case added(Object)
    /// A changed object.
    case modified(Object)
    /// The last state of an object that is gone.
    case deleted(Object)
    /// Nothing happened up to this version.
    case bookmark(resourceVersion: String)
    /// The server ends the watch, with `gone` when the version asked for is too old.
    case failed(KubernetesError)
    /// An event that could not be decoded.
    case rejected(JSONError)
}

/// An open watch. Letting go of it ends it.
public struct Watch<Object: KubernetesResource>: Sendable {
    let lines: HTTPLines
    let version: String
    let operation: String

    /// The next event; nil when the server has ended the watch in good order.
    public func next() async throws(KubernetesError) -> WatchEvent<Object>? {
        do throws(HTTPError) {
            var iterator = lines.makeAsyncIterator()
            while let line = try await iterator.next() {
                if line.isEmpty { continue }
                return WatchEvent.decode(line, version: version, operation: operation)
            }
            return nil
        } catch {
            throw KubernetesError(error, operation: operation)
        }
    }

    /// Ends the watch; a pending `next` throws.
    public func cancel() {
        lines.cancel()
    }
}

extension KubernetesClient {
    /// Opens a watch from the version of a list or of the last event.
    ///
    /// - Parameters:
    ///   - lasting: after this time the server ends the watch; ask anew from the last version.
    ///   - stall: without a byte for so long the connection is taken for dead. Servers send bookmarks every minute.
    public func watch<Object: KubernetesResource>(
        _ type: Object.Type, _ selection: Selection = .all, from resourceVersion: String,
        lasting: Interval = .seconds(290), stall: Interval = .seconds(150)
    ) async throws(KubernetesError) -> Watch<Object> {
        let resource = try await resolved(type.resource)
        let query =
            selection.query + [
                ("watch", "1"), ("allowWatchBookmarks", "true"), ("resourceVersion", resourceVersion),
                ("timeoutSeconds", String(max(1, Int(lasting.inSeconds)))),
            ]
        let call = Call(
            .get, resource.path(namespace: selection.namespace), query: query,
            timeouts: HTTPTimeouts(total: .seconds(60), stall: stall), retry: .none)
        do throws(KubernetesError) {
            let lines = try await lines(call, maximumLineBytes: 16 << 20)
            return Watch(lines: lines, version: resource.version, operation: "watch of \(call.path)")
        } catch {
            if error.code == .notFound { forgetVersion(of: resource) }
            throw error
        }
    }
}

extension WatchEvent {
    private enum Kind {
        case added, modified, deleted, bookmark, error, unknown
    }

    /// Decodes one line of a watch. Never fails: what cannot be read is an event of its own.
    static func decode(_ line: [UInt8], version: String, operation: String) -> WatchEvent<Object> {
        do throws(JSONError) {
            return try JSONReader.read(line) { (reader) throws(JSONError) in
                var kind = Kind.unknown
                // The server writes the type first; should it come last, the object is gone over again.
                var object: UnsafeRawBufferPointer?
                var event: WatchEvent<Object>?
                try reader.object { (reader, key) throws(JSONError) in
                    switch key {
                    case "type":
                        switch try reader.word() {
                        case "ADDED": kind = .added
                        case "MODIFIED": kind = .modified
                        case "DELETED": kind = .deleted
                        case "BOOKMARK": kind = .bookmark
                        case "ERROR": kind = .error
                        default: throw reader.invalid("unknown type of a watch event")
                        }
                    case "object":
                        if case .unknown = kind {
                            object = try reader.rawValue()
                        } else {
                            event = try read(kind, &reader, version, operation)
                        }
                    default: try reader.skip()
                    }
                }
                if let event { return event }
                guard let object, kind != .unknown else { throw reader.invalid("a watch event without type or object") }
                var second = JSONReader(object)
                return try read(kind, &second, version, operation)
            }
        } catch {
            return .rejected(error)
        }
    }

    private static func read(
        _ kind: Kind, _ reader: inout JSONReader, _ version: String, _ operation: String
    ) throws(JSONError) -> WatchEvent<Object> {
        switch kind {
        case .added: return .added(try Object.read(&reader, version: version))
        case .modified: return .modified(try Object.read(&reader, version: version))
        case .deleted: return .deleted(try Object.read(&reader, version: version))
        case .bookmark:
            var resourceVersion = ""
            try reader.object { (reader, key) throws(JSONError) in
                guard key == "metadata" else { return }
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "resourceVersion" { resourceVersion = try reader.string() }
                }
            }
            return .bookmark(resourceVersion: resourceVersion)
        case .error: return .failed(KubernetesError(try StatusObject(reading: &reader), operation: operation))
        case .unknown: throw reader.invalid("unknown type of a watch event")
        }
    }
}
