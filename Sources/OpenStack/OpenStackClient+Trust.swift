import HTTPClient
import JSONReader
import Support

/// A Keystone trust: one user lets another act for him in a project, with some of his roles, until a day or until he
/// takes it back.
public struct Trust: Sendable, Equatable {
    /// Its id: `trust_id` in `clouds.yaml`.
    public var id: String
    /// Who trusts.
    public var trustor: String
    /// Who may act.
    public var trustee: String
    /// Where; nil for a trust without a project, which gives no access to anything.
    public var project: String?
    /// Names of the roles, ids where Keystone gives no names.
    public var roles: [String]
    /// Whether the trustee acts under the trustor's name.
    public var impersonation: Bool
    /// When it ends; nil: never.
    public var expiresAt: Timestamp?

    static func decode(_ field: Field) throws(OpenStackError) -> Trust {
        var roles: [String] = []
        // In a list of trusts the roles are left out.
        for role in try field.optional("roles")?.elements() ?? [] {
            var name = try role.optionalString("name")
            if name == nil { name = try role.string("id") }
            if let name { roles.append(name) }
        }
        return Trust(
            id: try field.string("id"), trustor: try field.string("trustor_user_id"),
            trustee: try field.string("trustee_user_id"), project: try field.optionalString("project_id"),
            roles: roles, impersonation: try field.member("impersonation").bool(),
            expiresAt: try field.optionalTime("expires_at"))
    }
}

/// Calls to Keystone about trusts.
extension OpenStackClient {
    private static let trusts = "OS-TRUST/trusts"

    /// Makes a trust of this login's user in this login's project. The login must be a password's: Keystone lets no
    /// delegated one (application credential, trust) pass anything on.
    /// - Parameters:
    ///   - trustee: id of the user that may act.
    ///   - roles: names; the trustor must have them.
    ///   - expiresAt: nil: only revoking ends it.
    public func createTrust(
        trustee: String, roles: [String], expiresAt: Timestamp?
    ) async throws(OpenStackError) -> Trust {
        let call = "POST identity \(Self.trusts)"
        guard let trustor = try await userID(), let project = try await projectID() else {
            throw .configuration(call, "the login has no user or no project")
        }
        var body: JSONValue = [
            "trustor_user_id": .string(trustor), "trustee_user_id": .string(trustee), "project_id": .string(project),
            "impersonation": true, "roles": .array(roles.map { ["name": .string($0)] }),
        ]
        if let expiresAt { body["expires_at"] = .string(expiresAt.rfc3339) }
        let answer = try await self.call("identity", .post, Self.trusts, body: ["trust": body])
        return try Trust.decode(try answer.json().member("trust"))
    }

    /// A trust; nil if there is none of that id, or none that this login may see: revoked and expired ones are gone.
    public func trust(_ id: String) async throws(OpenStackError) -> Trust? {
        do throws(OpenStackError) {
            let answer = try await call("identity", .get, "\(Self.trusts)/\(PercentEncoding.segment(id))")
            return try Trust.decode(try answer.json().member("trust"))
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// The trusts that this login's user has given.
    public func givenTrusts() async throws(OpenStackError) -> [Trust] {
        guard let trustor = try await userID() else { return [] }
        let answer = try await call("identity", .get, Self.trusts, query: [("trustor_user_id", trustor)])
        return try answer.json().list("trusts", Trust.decode)
    }

    /// Ends a trust. New logins by it fail at once; services that have seen a token of it may take that for some minutes
    /// more (five, by default).
    /// - Returns: false if there was none.
    public func revokeTrust(_ id: String) async throws(OpenStackError) -> Bool {
        do throws(OpenStackError) {
            _ = try await call("identity", .delete, "\(Self.trusts)/\(PercentEncoding.segment(id))")
            return true
        } catch {
            guard error.code == .notFound else { throw error }
            return false
        }
    }
}
