#if UPDRAFT_SANITIZER
    import Glibc

    /// State behind a mutual-exclusion lock, for builds with `-Xswiftc -DUPDRAFT_SANITIZER`: ThreadSanitizer reports
    /// races inside `Synchronization.Mutex` that do not exist, and none in a heap-allocated `pthread_mutex_t`.
    ///
    /// `@unchecked`: every access to `state` happens between lock and unlock of the one mutex.
    public final class Lock<State>: @unchecked Sendable {
        private let mutex: UnsafeMutablePointer<pthread_mutex_t>
        private var state: State

        /// Wraps `state`.
        public init(_ state: sending State) {
            mutex = .allocate(capacity: 1)
            mutex.initialize(to: pthread_mutex_t())
            pthread_mutex_init(mutex, nil)
            self.state = state
        }

        deinit {
            pthread_mutex_destroy(mutex)
            mutex.deinitialize(count: 1)
            mutex.deallocate()
        }

        /// Runs `body` with exclusive access. `body` must not block and must not take the same lock.
        public func withLock<Result, Failure: Error>(
            _ body: (inout sending State) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            return try body(&state)
        }
    }
#else
    import Synchronization

    /// State behind a mutual-exclusion lock. The only lock in the code base.
    public final class Lock<State>: Sendable {
        private let mutex: Mutex<State>

        /// Wraps `state`.
        public init(_ state: sending State) {
            mutex = Mutex(state)
        }

        /// Runs `body` with exclusive access. `body` must not block and must not take the same lock.
        public func withLock<Result, Failure: Error>(
            _ body: (inout sending State) throws(Failure) -> sending Result
        ) throws(Failure) -> sending Result {
            try mutex.withLock(body)
        }
    }
#endif
