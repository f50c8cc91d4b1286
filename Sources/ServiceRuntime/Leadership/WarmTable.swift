import Support

/// What a watch has shown so far, kept while this replica stands by, so that it knows everything the moment it becomes
/// active: whoever begins to listen gets all of it, then each change, in order.
public final class WarmTable<Value: Sendable>: Sendable {
    /// What a listener is told.
    public enum Change: Sendable {
        /// All that there are.
        case all([Value])
        /// New or changed.
        case seen(Value)
        /// There is no such one any more.
        case gone(Value)
    }

    private struct State {
        var values: [String: Value] = [:]
        var isComplete = false
        var listener: (@Sendable (Change) -> Void)?
    }

    private let key: @Sendable (Value) -> String
    private let state = Lock(State())

    /// Empty. `key` tells values apart.
    public init(key: @escaping @Sendable (Value) -> String) {
        self.key = key
    }

    /// The watch listed: these are all.
    public func replace(_ values: [Value]) {
        let fresh = Dictionary(values.map { (key($0), $0) }, uniquingKeysWith: { $1 })
        state.withLock { state in
            state.values = fresh
            state.isComplete = true
            state.listener?(.all(values))
        }
    }

    /// One is new or has changed.
    public func set(_ value: Value) {
        let key = key(value)
        state.withLock { state in
            state.values[key] = value
            state.listener?(.seen(value))
        }
    }

    /// One does not exist any more.
    public func remove(_ value: Value) {
        let key = key(value)
        state.withLock { state in
            state.values[key] = nil
            state.listener?(.gone(value))
        }
    }

    /// One exists, but need not be known any longer: nobody is told.
    public func forget(_ key: String) {
        state.withLock { _ = $0.values.removeValue(forKey: key) }
    }

    /// What was shown last of the one with this key.
    public func known(_ key: String) -> Value? {
        state.withLock { $0.values[key] }
    }

    /// `listener` is told of everything from now on, beginning with all that there are if they are known. It must only
    /// pass it on. Whoever listened before does not any more.
    public func listen(_ listener: @escaping @Sendable (Change) -> Void) {
        state.withLock { state in
            state.listener = listener
            if state.isComplete { listener(.all(Array(state.values.values))) }
        }
    }
}
