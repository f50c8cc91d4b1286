import JSONReader
import Support

/// A practice Keystone: who may log in and with what, and the tokens given out.
struct KeystoneModel: Sendable {
    /// A user with a password.
    struct User: Sendable {
        var id: String
        var name: String
        var password: String
    }

    /// An application credential of a user.
    struct Credential: Sendable {
        var id: String
        var name: String
        var secret: String
        var userID: String
        /// When it ends; nil: never.
        var expires: Timestamp?
    }

    /// A trust: the trustee acts as the trustor.
    struct Trust: Sendable {
        var id: String
        var trustorID: String
        var trusteeID: String
        /// When it ends; nil: never.
        var expires: Timestamp?
    }

    /// A token given out.
    struct Token: Sendable {
        var userID: String
        var expires: Timestamp
        /// From an application credential or a trust: of which.
        var delegation: Delegation?
        /// From an application credential or a trust.
        var isDelegated: Bool { delegation != nil }
    }

    /// What a login was made by that is no password.
    enum Delegation: Sendable, Equatable {
        case credential(String), trust(String)
    }

    let projectID: String
    let projectName: String
    var users: [User]
    var credentials: [Credential] = []
    var trusts: [Trust] = []
    /// How long tokens live (Keystone's default is an hour).
    var tokenLifetime: Interval = .seconds(3_600)
    private var tokens: [String: Token] = [:]
    private var random: Generator

    init(projectID: String, projectName: String, users: [User], random: Generator) {
        self.projectID = projectID
        self.projectName = projectName
        self.users = users
        self.random = random
    }

    /// A login: the body of `POST /v3/auth/tokens`. Nil: refused (401).
    mutating func login(_ body: JSONValue, at now: Timestamp) -> (id: String, token: Token)? {
        guard let identity = body[path: "auth", "identity"] else { return nil }
        let methods = identity["methods"]?.arrayValue?.compactMap(\.stringValue) ?? []
        var userID: String?
        var delegation: Delegation?
        for method in methods {
            switch method {
            case "password":
                guard let user = identity[path: "password", "user"] else { return nil }
                userID = self.user(named: user)?.id
            case "application_credential":
                guard let given = identity["application_credential"] else { return nil }
                let found = credential(given, at: now)
                userID = found?.userID
                delegation = found.map { .credential($0.id) }
            case "token":
                guard let old = identity[path: "token", "id"]?.stringValue else { return nil }
                userID = validate(old, at: now)?.userID
            default: return nil
            }
            if userID == nil { return nil }
        }
        guard let userID else { return nil }
        if let trust = body[path: "auth", "scope", "OS-TRUST:trust", "id"]?.stringValue {
            guard let found = trusts.first(where: { $0.id == trust && $0.trusteeID == userID }),
                found.expires.map({ now < $0 }) ?? true
            else { return nil }
            return issue(
                Token(
                    userID: found.trustorID, expires: min(now + tokenLifetime, found.expires ?? now + tokenLifetime),
                    delegation: .trust(found.id)), at: now)
        }
        if let project = body[path: "auth", "scope", "project"] {
            let fits = project["id"]?.stringValue == projectID || project["name"]?.stringValue == projectName
            guard fits else { return nil }
        }
        var expires = now + tokenLifetime
        if case .credential(let id) = delegation, let ends = credentials.first(where: { $0.id == id })?.expires {
            expires = min(expires, ends)
        }
        return issue(Token(userID: userID, expires: expires, delegation: delegation), at: now)
    }

    private func user(named given: JSONValue) -> User? {
        users.first { user in
            (given["id"]?.stringValue == user.id || given["name"]?.stringValue == user.name)
                && given["password"]?.stringValue == user.password
        }
    }

    private func credential(_ given: JSONValue, at now: Timestamp) -> Credential? {
        credentials.first { credential in
            if let ends = credential.expires, now >= ends { return false }
            let named =
                given["name"]?.stringValue == credential.name
                && users.contains { $0.id == credential.userID && $0.name == given[path: "user", "name"]?.stringValue }
            return (given["id"]?.stringValue == credential.id || named)
                && given["secret"]?.stringValue == credential.secret
        }
    }

    private mutating func issue(_ token: Token, at now: Timestamp) -> (id: String, token: Token) {
        // Expired ones are swept when the table has grown, so that a renewing client cannot fill it.
        if tokens.count > 1_000 { tokens = tokens.filter { $0.value.expires > now } }
        let id = "gAAAAAB" + random.hexadecimal(64)
        tokens[id] = token
        return (id, token)
    }

    /// A token that is valid now.
    func validate(_ id: String?, at now: Timestamp) -> Token? {
        guard let id, let token = tokens[id], now < token.expires else { return nil }
        return token
    }

    /// All tokens stop being valid.
    mutating func expireAll() {
        tokens = [:]
    }

    /// One token stops being valid.
    mutating func revoke(_ id: String) {
        tokens[id] = nil
    }

    /// An application credential or a trust will end then.
    mutating func setEnd(_ id: String, _ time: Timestamp) -> Bool {
        if let place = credentials.firstIndex(where: { $0.id == id }) {
            credentials[place].expires = time
        } else if let place = trusts.firstIndex(where: { $0.id == id }) {
            trusts[place].expires = time
        } else {
            return false
        }
        return true
    }

    /// An application credential is deleted, its tokens with it (Keystone does that too).
    mutating func revokeCredential(_ id: String) -> Bool {
        guard let place = credentials.firstIndex(where: { $0.id == id || $0.name == id }) else { return false }
        let user = credentials.remove(at: place).userID
        tokens = tokens.filter { !($0.value.userID == user && $0.value.isDelegated) }
        return true
    }
}
