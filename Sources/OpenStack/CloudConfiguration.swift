import HTTPClient
import JSONReader
import Support

/// How to reach a cloud and who asks: what `clouds.yaml` or the `OS_*` variables say. Its descriptions show no secret.
public struct CloudConfiguration: Sendable, Hashable {
    /// A user, project or domain by id, or by name.
    enum Reference: Sendable, Hashable {
        case id(String)
        case name(String)
    }

    /// Something in a domain; one given by id needs none.
    struct Scoped: Sendable, Hashable {
        var reference: Reference
        var domain: Reference?
    }

    /// How the login is made.
    enum Credential: Sendable, Hashable {
        case password(user: Scoped, password: Secret, scope: Scope)
        /// By id, or by name together with its user. Brings its own project.
        case applicationCredential(Reference, user: Scoped?, secret: Secret)
    }

    /// What the token is for.
    enum Scope: Sendable, Hashable {
        case project(Scoped)
        case trust(String)
    }

    /// Where these settings came from: `clouds.yaml cloud "prod"` or `environment`.
    public internal(set) var source: String
    /// Keystone's URL, with version.
    public var authURL: String
    /// The region to choose in the catalogue; nil if there is but one.
    public var region: String?
    /// `public`, `internal` or `admin`.
    public var interface: String
    /// Whom to trust, and the client certificate if the cloud wants one.
    public var tls: TLSSettings
    /// Service type → URL to use instead of the catalogue's. `%(project_id)s` is replaced.
    public var endpointOverrides: [String: String]
    /// How long one call may take. Heat gives up on its engine after 60 s, and its word is worth waiting for.
    public var timeout: Interval = .seconds(90)

    var credential: Credential

    /// The login and where it goes, without secrets.
    public var summary: String {
        let who: String =
            switch credential {
            case .password(let user, _, .trust(let trust)): "\(Self.show(user.reference)) by trust \(trust)"
            case .password(let user, _, .project(let project)):
                "user \(Self.show(user.reference)), project \(Self.show(project.reference))"
            case .applicationCredential(let reference, _, _): "application credential \(Self.show(reference))"
            }
        return "\(source): \(who) at \(HTTPError(.closed, url: authURL, detail: "").url), "
            + "region \(region ?? "(the only one)"), interface \(interface)"
    }

    private static func show(_ reference: Reference) -> String {
        switch reference {
        case .id(let text), .name(let text): text
        }
    }

    /// What error messages must not contain.
    var secrets: [String] {
        switch credential {
        case .password(_, let password, _): [password.revealed]
        case .applicationCredential(_, _, let secret): [secret.revealed]
        }
    }
}

extension CloudConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The same as `summary`.
    public var description: String { summary }
    /// The same as `summary`.
    public var debugDescription: String { summary }
    /// Only the summary.
    public var customMirror: Mirror { Mirror(self, children: ["summary": summary]) }
}

extension CloudConfiguration {
    /// The body of `POST /v3/auth/tokens`.
    var loginBody: JSONValue {
        switch credential {
        case .applicationCredential(let reference, let user, let secret):
            var inner: JSONValue = ["secret": .string(secret.revealed)]
            switch reference {
            case .id(let id): inner["id"] = .string(id)
            case .name(let name): inner["name"] = .string(name)
            }
            if let user { inner["user"] = Self.json(user) }
            return [
                "auth": ["identity": ["methods": ["application_credential"], "application_credential": inner]]
            ]
        case .password(let user, let password, let scope):
            var account = Self.json(user)
            account["password"] = .string(password.revealed)
            let scopeBody: JSONValue =
                switch scope {
                case .project(let project): ["project": Self.json(project)]
                case .trust(let id): ["OS-TRUST:trust": ["id": .string(id)]]
                }
            return [
                "auth": [
                    "identity": ["methods": ["password"], "password": ["user": account]], "scope": scopeBody,
                ]
            ]
        }
    }

    private static func json(_ scoped: Scoped) -> JSONValue {
        switch scoped.reference {
        case .id(let id): return ["id": .string(id)]
        case .name(let name):
            var body: JSONValue = ["name": .string(name)]
            switch scoped.domain {
            case .id(let id): body["domain"] = ["id": .string(id)]
            case .name(let name): body["domain"] = ["name": .string(name)]
            case nil: break
            }
            return body
        }
    }
}
