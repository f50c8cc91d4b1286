import Support

/// A login: the token, how long it lives, and which services it leads to.
struct Token: Sendable {
    let id: Secret
    let projectID: String?
    let userID: String?
    /// What the login is made by, if that is not a password.
    let delegation: Delegation?
    let catalogue: Catalogue
    /// When it was received and when it ends, by our own clock: Keystone's may differ.
    let received: Timestamp
    let expires: Timestamp

    /// From then on a new one is fetched while this one serves: a quarter of the life early, at most five minutes.
    var renewFrom: Timestamp {
        let life = expires - received
        return expires - min(life * 0.25, .minutes(5))
    }

    /// From then on a call waits for the new one, since what it begins may use the token for a while: a twentieth of the life early,
    /// at most a minute.
    var replaceFrom: Timestamp {
        let life = expires - received
        return expires - min(life * 0.05, .minutes(1))
    }

    /// Reads the answer of `POST /v3/auth/tokens`.
    static func decode(_ root: Field, id: String, received: Timestamp) throws(OpenStackError) -> Token {
        let token = try root.member("token")
        let ends = try token.member("expires_at").time()
        let issued = try token.optionalTime("issued_at") ?? received
        let project = try token.optional("project")?.string("id")
        let user = try token.optional("user")?.optionalString("id")
        var delegation: Delegation?
        if let trust = try token.optional("OS-TRUST:trust")?.optionalString("id") {
            delegation = Delegation(kind: .trust, id: trust)
        } else if let credential = try token.optional("application_credential")?.optionalString("id") {
            delegation = Delegation(kind: .applicationCredential, id: credential)
        }
        return Token(
            id: Secret(id), projectID: project, userID: user, delegation: delegation,
            catalogue: try Catalogue.decode(token),
            received: received,
            expires: received + max(ends - issued, .zero))
    }
}

/// The service catalogue of a token.
struct Catalogue: Sendable, Equatable {
    struct Endpoint: Sendable, Equatable {
        let service: String
        let interface: String
        let region: String
        let url: String
    }

    let endpoints: [Endpoint]

    static func decode(_ token: Field) throws(OpenStackError) -> Catalogue {
        guard let catalogue = try token.optional("catalog") else { return Catalogue(endpoints: []) }
        var endpoints: [Endpoint] = []
        for service in try catalogue.elements() {
            let type = try service.string("type")
            for endpoint in try service.member("endpoints").elements() {
                // `region` is the older name of `region_id`.
                var region = try endpoint.optionalString("region_id")
                if region == nil { region = try endpoint.optionalString("region") }
                endpoints.append(
                    Endpoint(
                        service: type, interface: try endpoint.string("interface"), region: region ?? "",
                        url: try endpoint.string("url")))
            }
        }
        return Catalogue(endpoints: endpoints)
    }

    /// The one URL of a service. A choice that is not clear is refused, not made.
    func url(of service: String, interface: String, region: String?, source: String) throws(OpenStackError) -> String {
        guard !endpoints.isEmpty else {
            throw .configuration(source, "the token has no catalogue: is the login for a project?")
        }
        let offered = endpoints.filter { $0.service == service }
        guard !offered.isEmpty else {
            let services = Set(endpoints.map(\.service)).sorted().joined(separator: ", ")
            throw .configuration(source, "the catalogue has no \(service) service (it has \(services))")
        }
        let inRegion = offered.filter { region == nil || $0.region == region }
        let found = inRegion.filter { $0.interface == interface }
        guard let first = found.first else {
            let ways = offered.map { "\($0.interface) in \($0.region)" }.sorted().joined(separator: ", ")
            throw .configuration(
                source,
                "the catalogue has no \(interface) endpoint of \(service)\(region.map { " in region \($0)" } ?? "") "
                    + "(it has \(ways))")
        }
        guard Set(found.map(\.region)).count == 1 else {
            let regions = Set(found.map(\.region)).sorted().joined(separator: ", ")
            throw .configuration(source, "\(service) is in several regions (\(regions)): set the region")
        }
        return first.url
    }
}
