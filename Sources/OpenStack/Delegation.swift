import Support

/// What a login is made by that is not a user's password: it may end by itself, and can be taken back.
public struct Delegation: Sendable, Equatable {
    /// The kinds.
    public enum Kind: String, Sendable {
        case trust
        case applicationCredential = "application credential"
    }

    /// Which kind.
    public var kind: Kind
    /// Its id.
    public var id: String
    /// When it ends; nil: never by itself.
    public var expiresAt: Timestamp?

    /// From its parts.
    public init(kind: Kind, id: String, expiresAt: Timestamp? = nil) {
        self.kind = kind
        self.id = id
        self.expiresAt = expiresAt
    }
}

extension OpenStackClient {
    /// What this login is made by and when that ends; nil for a password's. A login that may not read its own credential
    /// (access rules) is told so by the error.
    public func delegation() async throws(OpenStackError) -> Delegation? {
        guard var delegation = try await currentDelegation() else { return nil }
        let id = PercentEncoding.segment(delegation.id)
        switch delegation.kind {
        case .trust:
            let answer = try await call("identity", .get, "OS-TRUST/trusts/\(id)").json()
            delegation.expiresAt = try answer.member("trust").optionalTime("expires_at")
        case .applicationCredential:
            guard let user = try await userID() else { return delegation }
            let path = "users/\(PercentEncoding.segment(user))/application_credentials/\(id)"
            let answer = try await call("identity", .get, path).json()
            delegation.expiresAt = try answer.member("application_credential").optionalTime("expires_at")
        }
        return delegation
    }
}

/// Says in good time, and each time once, that a login will end. Pure.
public struct ExpiryWatch: Sendable {
    /// What is worth a line in the log.
    public struct Word: Sendable, Equatable {
        /// Whether it is an error: a day or less is left.
        public var isUrgent: Bool
        /// For people, with how to mend it.
        public var text: String

        /// From its parts.
        public init(isUrgent: Bool, text: String) {
            self.isUrgent = isUrgent
            self.text = text
        }
    }

    /// With so much left it is told, each once.
    static let steps: [Interval] = [
        .minutes(30 * 1_440), .minutes(7 * 1_440), .minutes(3 * 1_440), .minutes(1_440), .minutes(60),
    ]

    private var told: (id: String, ends: Timestamp, step: Int)?

    /// Nothing told yet.
    public init() {}

    /// What is to be said now; nil: nothing, or nothing new. Told are the last 30, 7, 3 and 1 days and the last hour.
    public mutating func look(_ delegation: Delegation?, at now: Timestamp) -> Word? {
        guard let delegation, let ends = delegation.expiresAt else {
            told = nil
            return nil
        }
        if let told, told.id != delegation.id || told.ends != ends { self.told = nil }
        // The number of steps that have begun.
        let step = Self.steps.filter { ends - now <= $0 }.count
        guard step > 0 else {
            told = nil
            return nil
        }
        if let told, told.step >= step { return nil }
        told = (delegation.id, ends, step)
        return Self.word(delegation, ends, at: now)
    }

    /// The same without a memory: what is to be said of a login that ends within 30 days, or nil.
    public static func word(_ delegation: Delegation, at now: Timestamp) -> Word? {
        guard let ends = delegation.expiresAt, let first = steps.first, ends - now <= first else { return nil }
        return word(delegation, ends, at: now)
    }

    private static func word(_ delegation: Delegation, _ ends: Timestamp, at now: Timestamp) -> Word {
        let left = ends - now
        let way =
            switch delegation.kind {
            case .trust: "`updraft trust create` makes another; put its id into clouds.yaml"
            case .applicationCredential:
                "`openstack application credential create` makes another; put its id and secret into clouds.yaml"
            }
        let when =
            left <= .zero
            ? "has ended"
            : left < .minutes(120)
                ? "ends in \(Int(left.inSeconds / 60)) min"
                : left < .minutes(2_880)
                    ? "ends in \(Int(left.inSeconds / 3_600)) hours"
                    : "ends in \(Int(left.inSeconds / 86_400)) days"
        return Word(
            isUrgent: left <= .minutes(1_440),
            text: "the login's \(delegation.kind.rawValue) \(delegation.id) \(when) (\(ends)): \(way)")
    }
}

/// What a look at a login's end told.
public struct DelegationNews: Sendable {
    /// What the login is made by, as it was read last; nil: a password, or that could not be read yet.
    public var delegation: Delegation?
    /// What is to be said of its end, each once.
    public var word: ExpiryWatch.Word?
    /// Why it could not be read; the first time only.
    public var failure: OpenStackError?
}

extension OpenStackClient {
    /// Looks now and then when the login ends, and tells each look; until the task is cancelled.
    public func watchDelegation(
        every interval: Interval = .minutes(10), _ tell: @Sendable (DelegationNews) -> Void
    ) async {
        var watch = ExpiryWatch()
        var hasFailed = false
        var last: Delegation?
        while !Task.isCancelled {
            var news = DelegationNews()
            do throws(OpenStackError) {
                last = try await delegation()
                news.delegation = last
                news.word = watch.look(last, at: .now())
                hasFailed = false
                tell(news)
            } catch {
                // Another login may have taken the place of the one whose end is known, and not be allowed to read its own.
                var isReplaced = false
                if let known = last {
                    do throws(OpenStackError) {
                        isReplaced = try await currentDelegation()?.id != known.id
                    } catch {
                        // No login at all: the one that is known may be the one that has ended.
                    }
                }
                if isReplaced {
                    last = nil
                    hasFailed = false
                }
                // Keystone being away is told by whoever needs it.
                if !hasFailed, !error.isRetriable { news.failure = error }
                hasFailed = true
                // One that has ended cannot be asked any more when it ended.
                news.delegation = last
                news.word = watch.look(last, at: .now())
                if news.failure != nil || news.word != nil || isReplaced { tell(news) }
            }
            guard (try? await Task.sleep(for: interval.duration)) != nil else { return }
        }
    }
}
