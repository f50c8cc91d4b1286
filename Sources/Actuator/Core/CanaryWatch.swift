import Messages
import Support

/// Whether statistics arrive in Gnocchi, by the canary that the Collector sends and whoever has a login reads back. Pure.
struct CanaryWatch: Sendable {
    /// What is worth a line in the log.
    enum Turn: Sendable, Equatable {
        /// It stays away: so old is the last one; nil: there has been none.
        case missing(age: Interval?)
        /// The newest was sent so long after now: a sender's clock is wrong, and whether others arrive is not seen.
        case ahead(by: Interval)
        /// It comes again.
        case arrives
    }

    /// The age from which on the last canary counts as missing: several were lost, and Gnocchi had its time.
    static func patience(_ interval: Interval) -> Interval { interval * 3 + .minutes(2) }

    /// So much may the clocks of two machines differ.
    private static let clocksDiffer = Interval.minutes(1)

    /// How long after `now` a canary was sent; nil: it was not, as far as clocks agree. It would hide that others stay away until
    /// its time has come.
    static func ahead(_ sent: Timestamp, at now: Timestamp) -> Interval? {
        sent - now > clocksDiffer ? sent - now : nil
    }

    private let patience: Interval
    private let every: Interval
    private let began: Timestamp
    private var lookedAt: Timestamp?
    private var answeredAt: Timestamp?
    private var sent: Timestamp?
    private(set) var isMissing = false

    /// - Parameters:
    ///   - interval: between two canaries.
    ///   - began: since when it is looked for; before that nobody may have sent any.
    ///   - patience: nil: the usual.
    init(interval: Interval, patience: Interval? = nil, began: Timestamp) {
        self.patience = patience ?? Self.patience(interval)
        every = min(interval, .minutes(5))
        self.began = began
    }

    /// Whether Gnocchi is to be asked now.
    func isDue(at now: Timestamp) -> Bool {
        guard let lookedAt else { return true }
        return now - lookedAt >= every || now < lookedAt
    }

    /// Gnocchi was asked.
    /// - Parameter sent: when the newest canary was sent; nil: it has none.
    mutating func read(_ sent: Timestamp?, at now: Timestamp) -> Turn? {
        lookedAt = now
        answeredAt = now
        self.sent = sent ?? self.sent
        let reference = max(self.sent ?? began, began)
        let ahead = ahead(at: now)
        let isWrong = ahead != nil || now - reference > patience
        guard isWrong != isMissing else { return nil }
        isMissing = isWrong
        if let ahead { return .ahead(by: ahead) }
        return isWrong ? .missing(age: age(at: now)) : .arrives
    }

    /// Gnocchi could not be asked: nothing is known, and nothing changes.
    mutating func failed(at now: Timestamp) {
        lookedAt = now
    }

    /// Whether statistics stay away; nil: Gnocchi has not answered for too long, so nothing is known.
    func verdict(at now: Timestamp) -> Bool? {
        guard let answeredAt, now - answeredAt <= patience else { return nil }
        return isMissing
    }

    /// How old the last canary is that was read; below zero where it was sent after now; nil: none was read.
    func age(at now: Timestamp) -> Interval? {
        sent.map { ahead(at: now) == nil ? max(now - $0, .zero) : now - $0 }
    }

    /// How long after `now` the last canary that was read was sent; nil: it was not.
    func ahead(at now: Timestamp) -> Interval? { sent.flatMap { Self.ahead($0, at: now) } }
}
