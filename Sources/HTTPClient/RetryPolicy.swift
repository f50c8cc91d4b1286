import Support

/// When a request is sent again, and after how long. A value without clock or randomness.
public struct RetryPolicy: Sendable, Equatable {
    /// How often the request is sent at most, the first time included.
    public var attempts: Int
    /// The delays between the attempts, where the server names none.
    public var backoff: Backoff
    /// Answers worth another attempt.
    public var statuses: Set<Int>
    /// Also send POST and PATCH again after an answer or a failure that may have had an effect. Otherwise they are sent
    /// again only when it is certain that the server never saw them.
    public var alsoNonIdempotent: Bool
    /// The longest `Retry-After` that is waited for; a server that asks for more gets no further attempt.
    public var maximumRetryAfter: Interval

    /// A policy as given.
    public init(
        attempts: Int, backoff: Backoff = Backoff(first: .milliseconds(200), cap: .seconds(10)),
        statuses: Set<Int> = [429, 502, 503, 504], alsoNonIdempotent: Bool = false,
        maximumRetryAfter: Interval = .seconds(60)
    ) {
        self.attempts = attempts
        self.backoff = backoff
        self.statuses = statuses
        self.alsoNonIdempotent = alsoNonIdempotent
        self.maximumRetryAfter = maximumRetryAfter
    }

    /// One attempt.
    public static let none = RetryPolicy(attempts: 1)
    /// Four attempts over some two seconds.
    public static let standard = RetryPolicy(attempts: 4)

    /// How long to wait before attempt `made + 1` after an answer, or nil to give the answer to the caller.
    /// - Parameters:
    ///   - made: attempts made so far.
    ///   - jitter: a random number in 0…1.
    ///   - now: for a `Retry-After` that is a date.
    mutating func delay(
        after response: HTTPResponse, to method: HTTPMethod, made: Int, jitter: Double, now: Timestamp
    ) -> Interval? {
        guard made < attempts, statuses.contains(response.status), method.isIdempotent || alsoNonIdempotent else {
            return nil
        }
        let own = backoff.failed(jitter: jitter)
        guard let text = response.headers["Retry-After"], let asked = RetryAfter.parse(text, now: now) else {
            return own
        }
        guard asked <= maximumRetryAfter else { return nil }
        // Never earlier than asked; the jitter on top keeps many clients from coming back in the same instant.
        return asked + min(own, .seconds(1)) * jitter
    }

    /// How long to wait before attempt `made + 1` after a failure, or nil to throw it.
    mutating func delay(after error: HTTPError, to method: HTTPMethod, made: Int, jitter: Double) -> Interval? {
        guard made < attempts, error.isRetriable, method.isIdempotent || alsoNonIdempotent || error.isUnsent else {
            return nil
        }
        return backoff.failed(jitter: jitter)
    }
}

/// The `Retry-After` field: seconds, or a date (RFC 9110 §10.2.3).
enum RetryAfter {
    /// How long to wait; never negative. Nil for what is neither.
    static func parse(_ text: String, now: Timestamp) -> Interval? {
        if let seconds = Int64(text) {
            return seconds < 0 ? nil : .seconds(Double(min(seconds, 1_000_000_000)))
        }
        guard let date = date(text) else { return nil }
        return max(date - now, .zero)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that may be sent today.
    private static func date(_ text: String) -> Timestamp? {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let month = months.firstIndex(of: String(words[2])) else {
            return nil
        }
        let number = month + 1 < 10 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp("\(words[3])-\(number)-\(words[1])T\(words[4])Z")
    }
}
