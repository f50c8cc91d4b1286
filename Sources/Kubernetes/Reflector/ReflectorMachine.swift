import Support

/// What a reflector does next: list in pages, then watch, begin again where it must. Pure: events in, steps out.
public struct ReflectorMachine: Sendable {
    /// The next step.
    public enum Step: Sendable, Equatable {
        /// Ask for a page; nil: the first of a new list.
        case list(continuing: String?, limit: Int)
        /// Watch from this version.
        case watch(from: String)
        /// Wait, then call `resumed`.
        case pause(Interval)
    }

    private enum Phase {
        case listing
        case watching
    }

    private var phase = Phase.listing
    private var resourceVersion = ""
    private var backoff: Backoff
    private let basicLimit: Int
    /// Lists that expired while they were being read, one after the other.
    private var expiredLists = 0
    /// Relists because of an expired watch with nothing received in between.
    private var expiredWatches = 0

    /// Before the first step. `limit` is the number of objects a page.
    public init(limit: Int, backoff: Backoff) {
        basicLimit = limit
        self.backoff = backoff
    }

    /// The first step.
    public mutating func started() -> Step {
        phase = .listing
        return firstPage
    }

    /// A page came.
    public mutating func pageArrived(resourceVersion: String, next: String?) -> Step {
        if let next { return .list(continuing: next, limit: limit) }
        expiredLists = 0
        backoff.succeeded()
        phase = .watching
        self.resourceVersion = resourceVersion
        return .watch(from: resourceVersion)
    }

    /// A page could not be had.
    public mutating func listFailed(_ error: KubernetesError, jitter: Double) -> Step {
        if error.code == .gone {
            // The list expired between two of its pages. Fewer, larger pages make it shorter the next time.
            expiredLists += 1
        }
        return .pause(delay(error, jitter))
    }

    /// An event or a bookmark of the watch was taken in.
    public mutating func watchProgressed(to version: String) {
        // An object without version (a foreign or broken server) must not lose the place.
        guard !version.isEmpty else { return }
        resourceVersion = version
        expiredWatches = 0
        backoff.succeeded()
    }

    /// The watch ended; nil: in good order.
    /// - Parameter lasted: how long it was open. One that ends at once again and again must not spin.
    public mutating func watchEnded(_ error: KubernetesError?, lasted: Interval, jitter: Double) -> Step {
        guard let error else {
            if lasted >= .seconds(1) {
                backoff.succeeded()
                return .watch(from: resourceVersion)
            }
            return .pause(backoff.failed(jitter: jitter))
        }
        switch error.code {
        case .gone:
            phase = .listing
            expiredWatches += 1
            // The first time at once: the cache is stale. After that the server, or its clock, is ill.
            return expiredWatches == 1 ? firstPage : .pause(delay(error, jitter))
        case .transport, .tooManyRequests, .server, .unauthorized, .forbidden, .configuration:
            // The version may well still do.
            return .pause(delay(error, jitter))
        default:
            // The server does not like the question: ask from the beginning.
            phase = .listing
            return .pause(delay(error, jitter))
        }
    }

    /// The pause is over.
    public mutating func resumed() -> Step {
        switch phase {
        case .listing: firstPage
        case .watching: .watch(from: resourceVersion)
        }
    }

    private var firstPage: Step { .list(continuing: nil, limit: limit) }

    /// Four times as much for each list that expired, up to 64 times.
    private var limit: Int { basicLimit << (2 * min(expiredLists, 3)) }

    private mutating func delay(_ error: KubernetesError, _ jitter: Double) -> Interval {
        let own = backoff.failed(jitter: jitter)
        if case .tooManyRequests(let asked?) = error.code { return max(own, asked) }
        return own
    }
}
