import Glibc
import HTTPClient
import Support
import YAML

extension CloudConfiguration {
    /// Finds and reads the settings of a cloud, as the OpenStack command-line client does.
    ///
    /// A cloud's name (`cloud`, else `OS_CLOUD`) means `clouds.yaml` with `secure.yaml` merged over it. Without a name:
    /// the `OS_*` variables if `OS_AUTH_URL` is among them, else the file's only cloud.
    /// Reads files: for the start of a program, not for the cooperative pool.
    /// - Parameters:
    ///   - file: the `clouds.yaml` to use; nil: `OS_CLIENT_CONFIG_FILE`, else the first of `./`,
    ///     `~/.config/openstack/` and `/etc/openstack/` that has one.
    ///   - region: goes before what the file or the environment says.
    ///   - environment: the process's variables.
    public static func load(
        cloud: String? = nil, file: String? = nil, region: String? = nil, environment: [String: String]
    ) throws(OpenStackError) -> CloudConfiguration {
        let variables = environment.filter { !$0.value.isEmpty }
        var configuration: CloudConfiguration
        if let name = cloud ?? variables["OS_CLOUD"] {
            configuration = try fromFile(name, file, variables)
        } else if file == nil, variables["OS_AUTH_URL"] != nil {
            configuration = try fromEnvironment(variables)
        } else {
            configuration = try fromFile(nil, file, variables)
        }
        if let region { configuration.region = region }
        return configuration
    }

    // MARK: Files

    private static func fromFile(
        _ name: String?, _ file: String?, _ variables: [String: String]
    ) throws(OpenStackError) -> CloudConfiguration {
        var folders = [".", "/etc/openstack"]
        if let home = variables["HOME"] { folders.insert("\(home)/.config/openstack", at: 1) }
        let named = file ?? variables["OS_CLIENT_CONFIG_FILE"]
        let candidates = named.map { [$0] } ?? folders.flatMap { ["\($0)/clouds.yaml", "\($0)/clouds.yml"] }
        guard let path = candidates.first(where: { access($0, R_OK) == 0 }) else {
            throw .configuration(
                candidates[0],
                named == nil
                    ? "no clouds.yaml (looked for \(candidates.joined(separator: ", "))), and OS_AUTH_URL is not set"
                    : "cannot be read")
        }
        // A file given by name has its secrets beside it; else they may be in any of the usual folders.
        let beside = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let secureFolders = named == nil ? folders : [beside]
        let secureFiles: [String] = secureFolders.flatMap { ["\($0)/secure.yaml", "\($0)/secure.yml"] }
        let secure = variables["OS_CLIENT_SECURE_FILE"] ?? secureFiles.first { access($0, R_OK) == 0 }
        let clouds = try CloudsFile.load(path, secure: secure)
        return try from(clouds.settings(of: name), home: variables["HOME"], beside: beside)
    }

    // MARK: Environment

    private static func fromEnvironment(_ variables: [String: String]) throws(OpenStackError) -> CloudConfiguration {
        var auth: [String: String] = [:]
        var top: [String: String] = [:]
        for (name, value) in variables where name.hasPrefix("OS_") {
            let key = name.dropFirst(3).lowercased()
            auth[key] = value
            top[key] = value
        }
        top["interface"] = top["interface"] ?? top["endpoint_type"]
        if let insecure = top["insecure"]?.lowercased(), ["1", "true", "yes"].contains(insecure) {
            top["verify"] = "false"
        }
        return try from(
            CloudSettings(source: "environment", top: top, auth: auth) { key, isAuth in
                isAuth || key != "interface" ? "OS_" + key.uppercased() : "OS_INTERFACE"
            }, home: variables["HOME"])
    }

    // MARK: Settings → configuration

    /// A file named there: `~` is the home folder; a relative one may also lie beside the file that names it, since a service's
    /// working folder is no place that a user chose.
    private static func place(_ file: String?, _ home: String?, _ folder: String?) -> String? {
        guard let file else { return nil }
        if file.hasPrefix("~/"), let home { return home + file.dropFirst() }
        if !file.hasPrefix("/"), let folder, access("\(folder)/\(file)", F_OK) == 0 { return "\(folder)/\(file)" }
        return file
    }

    /// `beside`: the folder of the file that they come from.
    private static func from(
        _ settings: CloudSettings, home: String?, beside: String? = nil
    ) throws(OpenStackError) -> CloudConfiguration {
        let url = try settings.authURL()
        let interface = try settings.interface()
        var overrides: [String: String] = [:]
        for (key, value) in settings.top where key.hasSuffix("_endpoint_override") {
            let service = key.dropLast("_endpoint_override".count)
            overrides[service.map { $0 == "_" ? "-" : String($0) }.joined()] = value
        }
        let tls = TLSSettings(
            caFile: place(settings.top["cacert"], home, beside),
            clientCertificateFile: place(settings.top["cert"], home, beside),
            clientKeyFile: place(settings.top["key"], home, beside),
            insecureSkipVerify: settings.top["verify"]?.lowercased() == "false")
        return CloudConfiguration(
            source: settings.source, authURL: url, region: settings.top["region_name"], interface: interface, tls: tls,
            endpointOverrides: overrides, credential: try settings.credential())
    }
}

/// The settings of one cloud, flat, with a way to name each for messages.
struct CloudSettings {
    let source: String
    let top: [String: String]
    let auth: [String: String]
    /// What a person calls the setting: `auth.password` or `OS_PASSWORD`.
    let label: (_ key: String, _ isAuth: Bool) -> String

    func missing(_ key: String, _ hint: String = "") -> OpenStackError {
        .configuration(source, "\(label(key, true)) is missing\(hint)")
    }

    func authURL() throws(OpenStackError) -> String {
        guard var url = auth["auth_url"] else { throw missing("auth_url") }
        while url.hasSuffix("/") { url.removeLast() }
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw .configuration(source, "\(label("auth_url", true)) must begin with http:// or https://")
        }
        if url.hasSuffix("/v2.0") {
            throw .configuration(
                source, "\(label("auth_url", true)): Keystone's v2.0 is gone, give the URL ending in /v3")
        }
        return url.hasSuffix("/v3") ? url : url + "/v3"
    }

    func interface() throws(OpenStackError) -> String {
        var name = (top["interface"] ?? "public").lowercased()
        if name.hasSuffix("url") { name.removeLast(3) }
        guard ["public", "internal", "admin"].contains(name) else {
            throw .configuration(
                source, "\(label("interface", false)) is \"\(name)\": allowed are public, internal, admin")
        }
        return name
    }

    func credential() throws(OpenStackError) -> CloudConfiguration.Credential {
        let hasApplicationCredential = auth["application_credential_secret"] != nil
        let type = top["auth_type"] ?? (hasApplicationCredential ? "v3applicationcredential" : "password")
        switch type {
        case "v3applicationcredential": return try applicationCredential()
        case "password", "v3password": return try password()
        default:
            throw .configuration(
                source,
                "\(label("auth_type", false)) is \"\(type)\": "
                    + "allowed are password, v3password, v3applicationcredential")
        }
    }

    private func applicationCredential() throws(OpenStackError) -> CloudConfiguration.Credential {
        guard let secret = auth["application_credential_secret"] else { throw missing("application_credential_secret") }
        guard auth["trust_id"] == nil else {
            throw .configuration(source, "\(label("trust_id", true)) does not go with an application credential")
        }
        if let id = auth["application_credential_id"] {
            return .applicationCredential(.id(id), user: nil, secret: Secret(secret))
        }
        guard let name = auth["application_credential_name"] else {
            throw missing("application_credential_id", " (or application_credential_name with a user)")
        }
        return .applicationCredential(.name(name), user: try user(), secret: Secret(secret))
    }

    private func password() throws(OpenStackError) -> CloudConfiguration.Credential {
        let user = try user()
        guard let password = auth["password"] else { throw missing("password") }
        if let trust = auth["trust_id"] {
            return .password(user: user, password: Secret(password), scope: .trust(trust))
        }
        let project: CloudConfiguration.Scoped
        if let id = auth["project_id"] ?? auth["tenant_id"] {
            project = .init(reference: .id(id))
        } else if let name = auth["project_name"] ?? auth["tenant_name"] {
            project = .init(reference: .name(name), domain: try domain("project"))
        } else {
            throw missing("project_name", " (or project_id, or trust_id): the token must be for a project")
        }
        return .password(user: user, password: Secret(password), scope: .project(project))
    }

    private func user() throws(OpenStackError) -> CloudConfiguration.Scoped {
        if let id = auth["user_id"] { return .init(reference: .id(id)) }
        guard let name = auth["username"] else { throw missing("username", " (or user_id)") }
        return .init(reference: .name(name), domain: try domain("user"))
    }

    private func domain(_ kind: String) throws(OpenStackError) -> CloudConfiguration.Reference {
        if let id = auth["\(kind)_domain_id"] { return .id(id) }
        if let name = auth["\(kind)_domain_name"] { return .name(name) }
        if let id = auth["domain_id"] ?? auth["default_domain_id"] ?? auth["default_domain"] { return .id(id) }
        if let name = auth["domain_name"] ?? auth["default_domain_name"] { return .name(name) }
        throw missing("\(kind)_domain_name", " (or \(kind)_domain_id)")
    }
}
