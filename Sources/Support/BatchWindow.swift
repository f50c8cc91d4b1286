/// When changes that come together are dealt with together: a window after the first, a little longer while more keep
/// coming, so that a burst is not cut in two. A single change waits for the window and no longer. Pure.
public struct BatchWindow: Sendable, Equatable {
    /// From the first change to dealing with them all.
    public let window: Interval
    private var first: Timestamp?
    private var last: Timestamp?

    /// Nothing has changed.
    public init(_ window: Interval) {
        self.window = window
    }

    /// A burst is over when nothing has come for a quarter of the window.
    private var quiet: Interval { Interval(microseconds: window.microseconds / 4) }

    /// A burst that does not end is cut after two windows.
    private var longest: Interval { Interval(microseconds: window.microseconds * 2) }

    /// Whether anything waits.
    public var isOpen: Bool { first != nil }

    /// When it is time, if nothing more comes; nil when nothing waits.
    public var dueAt: Timestamp? {
        guard let first, let last else { return nil }
        return min(max(first + window, last + quiet), first + longest)
    }

    /// Whether it is time.
    public func isDue(at now: Timestamp) -> Bool {
        dueAt.map { now >= $0 } ?? false
    }

    /// Something changed.
    public mutating func changed(at now: Timestamp) {
        first = first ?? now
        last = now
    }

    /// All that has changed is dealt with.
    public mutating func close() {
        first = nil
        last = nil
    }
}
