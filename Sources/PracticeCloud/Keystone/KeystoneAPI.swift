import JSONReader
import Support

/// Keystone v3 as services use it (docs/openstack/heat.md §8).
extension PracticeModel {
    /// Answers a request to Keystone.
    mutating func keystone(_ request: PracticeRequest, at now: Timestamp) -> PracticeAnswer {
        var segments = request.segments
        if segments.first == "identity" { segments.removeFirst() }
        switch (request.method, segments) {
        case (_, []):
            return .json(300, ["versions": ["values": [versionDocument]]])
        case ("GET", ["v3"]):
            return .json(200, ["version": versionDocument])
        case ("POST", ["v3", "auth", "tokens"]):
            guard let body = try? request.json() else {
                return keystoneError(400, "Bad Request", "Malformed JSON in request body")
            }
            guard let login = keystone.login(body, at: now) else {
                return keystoneError(
                    401, "Unauthorized", "The request you have made requires authentication.")
            }
            return .json(
                201, ["token": describe(login.token, at: now)], headers: [("X-Subject-Token", login.id)])
        case ("GET", ["v3", "auth", "tokens"]), ("HEAD", ["v3", "auth", "tokens"]):
            guard keystone.validate(request.headers["x-auth-token"], at: now) != nil else {
                return keystoneError(401, "Unauthorized", "The request you have made requires authentication.")
            }
            guard let token = keystone.validate(request.headers["x-subject-token"], at: now) else {
                return keystoneError(404, "Not Found", "Failed to validate token")
            }
            return .json(200, ["token": describe(token, at: now)])
        case ("DELETE", ["v3", "auth", "tokens"]):
            if let id = request.headers["x-subject-token"] { keystone.revoke(id) }
            return PracticeAnswer(status: 204)
        case ("GET", let path) where path.count == 4 && path[1...2] == ["OS-TRUST", "trusts"],
            ("GET", let path) where path.count == 5 && path[1] == "users" && path[3] == "application_credentials":
            guard keystone.validate(request.headers["x-auth-token"], at: now) != nil else {
                return keystoneError(401, "Unauthorized", "The request you have made requires authentication.")
            }
            return describe(delegation: path[path.count - 1], at: now)
        default:
            return keystoneError(404, "Not Found", "The resource could not be found.")
        }
    }

    /// An application credential or a trust; what has ended is not there any more.
    private func describe(delegation id: String, at now: Timestamp) -> PracticeAnswer {
        func time(_ ends: Timestamp?) -> JSONValue { ends.map { .string($0.rfc3339) } ?? nil }
        if let credential = keystone.credentials.first(where: { $0.id == id }) {
            return .json(
                200,
                [
                    "application_credential": [
                        "id": .string(id), "name": .string(credential.name), "unrestricted": false,
                        "project_id": .string(keystone.projectID), "expires_at": time(credential.expires),
                        "roles": [["id": "practice-member", "name": "member"]],
                    ]
                ])
        }
        guard let trust = keystone.trusts.first(where: { $0.id == id }), trust.expires.map({ now < $0 }) ?? true else {
            return keystoneError(404, "Not Found", "Could not find trust: \(id).")
        }
        return .json(
            200,
            [
                "trust": [
                    "id": .string(id), "trustor_user_id": .string(trust.trustorID),
                    "trustee_user_id": .string(trust.trusteeID), "project_id": .string(keystone.projectID),
                    "impersonation": true, "expires_at": time(trust.expires),
                    "roles": [["id": "practice-member", "name": "member"]],
                ]
            ])
    }

    private var versionDocument: JSONValue {
        [
            "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
            "links": [["rel": "self", "href": .string(endpoints.keystone + "/v3/")]],
            "media-types": [
                ["base": "application/json", "type": "application/vnd.openstack.identity-v3+json"]
            ],
        ]
    }

    private func describe(_ token: KeystoneModel.Token, at now: Timestamp) -> JSONValue {
        let user = keystone.users.first { $0.id == token.userID }
        let domain: JSONValue = ["id": "default", "name": "Default"]
        func service(_ type: String, _ name: String, _ url: String) -> JSONValue {
            let interfaces = ["public", "internal", "admin"]
            return [
                "type": .string(type), "name": .string(name), "id": .string("practice-\(name)"),
                "endpoints": .array(
                    interfaces.map { interface in
                        [
                            "id": .string("practice-\(name)-\(interface)"), "interface": .string(interface),
                            "region": "RegionOne", "region_id": "RegionOne", "url": .string(url),
                        ]
                    }),
            ]
        }
        var value: JSONValue = [
            "methods": [.string(token.isDelegated ? "application_credential" : "password")],
            "user": [
                "id": .string(token.userID), "name": .string(user?.name ?? ""), "domain": domain,
                "password_expires_at": nil,
            ],
            "project": [
                "id": .string(keystone.projectID), "name": .string(keystone.projectName), "domain": domain,
            ],
            "roles": [["id": "practice-member", "name": "member"], ["id": "practice-reader", "name": "reader"]],
            "issued_at": .string(now.rfc3339), "expires_at": .string(token.expires.rfc3339),
            "audit_ids": ["practice"], "is_domain": false,
            "catalog": [
                service("identity", "keystone", endpoints.keystone + "/v3"),
                service("orchestration", "heat", endpoints.heat + "/v1/\(keystone.projectID)"),
                service("compute", "nova", endpoints.nova + "/v2.1"),
                service("alarming", "aodh", endpoints.aodh),
            ],
        ]
        switch token.delegation {
        case .credential(let id): value["application_credential"] = ["id": .string(id), "restricted": true]
        case .trust(let id): value["OS-TRUST:trust"] = ["id": .string(id), "impersonation": true]
        case nil: break
        }
        return value
    }

    private func keystoneError(_ status: Int, _ title: String, _ message: String) -> PracticeAnswer {
        .json(
            status,
            ["error": ["code": .int(Int64(status)), "title": .string(title), "message": .string(message)]])
    }

    /// The token of a request to Heat or Nova, or their 401.
    func authenticate(_ request: PracticeRequest, at now: Timestamp) -> Result<KeystoneModel.Token, Unauthorized> {
        if let token = keystone.validate(request.headers["x-auth-token"], at: now) { return .success(token) }
        return .failure(
            Unauthorized(
                answer: .json(
                    401,
                    [
                        "error": [
                            "code": 401, "title": "Unauthorized",
                            "message": "The request you have made requires authentication.",
                        ]
                    ], headers: [("Www-Authenticate", "Keystone uri=\"\(endpoints.keystone)\"")])))
    }
}

/// A request without a valid token, with its answer.
struct Unauthorized: Error, Sendable {
    var answer: PracticeAnswer
}
