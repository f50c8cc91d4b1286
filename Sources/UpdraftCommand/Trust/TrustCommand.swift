import OpenStack
import ServiceRuntime
import Support

/// `updraft trust`: the delegation under which a Collector writes to Gnocchi.
enum TrustCommand {
    static let help = """
        updraft trust: let the Collector's user write to Gnocchi for yours, and take that back

        usage: updraft trust create --trustee USER_ID [--role NAME]… [--expires DAYS] [--cloud NAME]
               updraft trust show [ID] [--cloud NAME]
               updraft trust revoke ID [--cloud NAME]

          create   with your own login (password) in clouds.yaml or OS_*; prints what the Collector's clouds.yaml needs
          show     one trust, or all that your user has given
          revoke   ends it: new logins fail at once, a token in use may work for five minutes more

          --trustee USER_ID   the user that the Collector logs in as
          --role NAME         a role of yours in the project; member unless given. May be repeated. For Gnocchi reader is enough
          --expires DAYS      ends by itself after so many days; never unless given
          --cloud NAME        a cloud of clouds.yaml; else OS_CLOUD, else the OS_* variables

        An application credential is the other way, for one's own programs: `openstack application credential create`.
        """

    /// What the arguments say.
    struct Options: Equatable {
        var words: [String] = []
        var trustee: String?
        var roles: [String] = []
        var days: Double?
        var cloud: String?
    }

    /// Why the arguments cannot be used.
    struct Mistake: Error, Equatable {
        var text: String
    }

    static func options(_ arguments: [String]) throws(Mistake) -> Options {
        var options = Options()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--") else {
                options.words.append(argument)
                continue
            }
            guard let value = rest.popFirst(), !value.isEmpty else { throw Mistake(text: "\(argument) needs a value") }
            switch argument {
            case "--trustee": options.trustee = value
            case "--role": options.roles.append(value)
            case "--cloud": options.cloud = value
            case "--expires":
                guard let days = Double(value), days > 0, days <= 36_500 else {
                    throw Mistake(text: "--expires: a number of days above 0")
                }
                options.days = days
            default: throw Mistake(text: "'\(argument)' is not known")
            }
        }
        return options
    }

    static func run(_ arguments: [String]) async -> Int32 {
        if arguments.isEmpty || arguments.contains("--help") || arguments.contains("-h") {
            Terminal.line(help)
            return arguments.isEmpty ? 2 : 0
        }
        do {
            let options = try options(arguments)
            let client = OpenStackClient(
                try CloudConfiguration.load(cloud: options.cloud, environment: ServiceMain.environmentVariables()))
            let code = try await run(options, client)
            await client.close()
            return code
        } catch let mistake as Mistake {
            Terminal.complaint("updraft trust: \(mistake.text); --help tells more")
            return 2
        } catch {
            Terminal.complaint("updraft trust: \(error)")
            return 1
        }
    }

    private static func run(_ options: Options, _ client: OpenStackClient) async throws -> Int32 {
        switch (options.words.first, options.words.dropFirst().first) {
        case ("create", nil):
            guard let trustee = options.trustee else { throw Mistake(text: "create needs --trustee") }
            let ends = options.days.map { Timestamp.now() + .seconds($0 * 86_400) }
            let trust = try await client.createTrust(
                trustee: trustee, roles: options.roles.isEmpty ? ["member"] : options.roles, expiresAt: ends)
            Terminal.line(describe(trust))
            Terminal.line(snippet(trust, authURL: client.configuration.authURL))
        case ("show", let id?):
            guard let trust = try await client.trust(id) else {
                Terminal.complaint(
                    "updraft trust: there is no trust \(id): it was revoked, has expired, or is not yours")
                return 1
            }
            Terminal.line(describe(trust))
        case ("show", nil):
            let trusts = try await client.givenTrusts()
            if trusts.isEmpty { Terminal.line("your user has given no trust") }
            for trust in trusts { Terminal.line(describe(trust)) }
        case ("revoke", let id?):
            guard try await client.revokeTrust(id) else {
                Terminal.complaint("updraft trust: there is no trust \(id)")
                return 1
            }
            Terminal.line("revoked \(id); a token in use may work for five minutes more")
        default: throw Mistake(text: "create, show or revoke ID")
        }
        return 0
    }

    static func describe(_ trust: Trust) -> String {
        let roles = trust.roles.isEmpty ? "" : ", roles \(trust.roles.joined(separator: " "))"
        let ends = trust.expiresAt.map { "until \($0)" } ?? "until revoked"
        return "trust \(trust.id): user \(trust.trustor) lets user \(trust.trustee) act in project "
            + "\(trust.project ?? "(none)")\(roles), \(ends)"
    }

    /// What the trustee's `clouds.yaml` needs.
    static func snippet(_ trust: Trust, authURL: String) -> String {
        """

        clouds:
          updraft-telemetry:
            auth:
              auth_url: \(authURL)
              user_id: \(trust.trustee)
              password: (of the Collector's user; better in secure.yaml)
              trust_id: \(trust.id)
        """
    }
}
