import FoundationEssentials
import HTTPClient
import JSONReader
import YAML

extension KubernetesConfiguration {
    /// Out of one kubeconfig file, or several separated by colons, of which the first to name a thing counts.
    ///
    /// Understands clusters (server, authority as file or data, `insecure-skip-tls-verify`, `tls-server-name`), users
    /// (client certificate and key as file or data, token, token file, user name and password, `exec` plug-ins) and
    /// contexts. Relative paths are relative to the file that names them.
    /// - Parameter context: a context's name; nil: the file's `current-context`.
    /// - Throws: `configuration`, naming the file and the field.
    public static func kubeconfig(path: String, context: String? = nil) throws(KubernetesError) -> Self {
        var merged = Kubeconfig()
        let paths = path.split(separator: ":").map(String.init)
        var missing: [String] = []
        for file in paths {
            // A list may name files that are not there, as kubectl allows; a single one must be.
            guard FileManager.default.fileExists(atPath: file) else {
                missing.append(file)
                continue
            }
            merged.add(try Kubeconfig.tree(FileText.bytes(file, for: "kubeconfig"), file: file), file: file)
        }
        guard missing.count < paths.count else {
            throw KubernetesError(
                .configuration, operation: "kubeconfig", message: "\(missing.joined(separator: ", ")): no such file")
        }
        return try merged.configuration(context: context)
    }

    /// Out of the text of a kubeconfig. `file` names it in errors, and relative paths are relative to its folder.
    public static func kubeconfig(
        text: String, file: String, context: String? = nil
    ) throws(KubernetesError) -> Self {
        var merged = Kubeconfig()
        merged.add(try Kubeconfig.tree(Array(text.utf8), file: file), file: file)
        return try merged.configuration(context: context)
    }
}

/// The named things of one or more kubeconfig files.
struct Kubeconfig {
    /// A named thing: its content, and where it stands.
    struct Entry {
        var content: JSONValue
        var file: String
        var place: String

        func failure(_ what: String) -> KubernetesError {
            KubernetesError(.configuration, operation: "kubeconfig", message: "\(file): \(place): \(what)")
        }

        /// A string that may be absent.
        func text(_ key: String) throws(KubernetesError) -> String? {
            switch content[key] {
            case nil, .null: return nil
            case .string(let text): return text.isEmpty ? nil : text
            // A token of digits only is a number to YAML.
            case .int(let number): return String(number)
            default: throw failure("\(key) must be a string")
            }
        }

        func flag(_ key: String) throws(KubernetesError) -> Bool {
            switch content[key] {
            case nil, .null: return false
            case .bool(let value): return value
            default: throw failure("\(key) must be true or false")
            }
        }

        /// A path, relative to the folder of the file.
        func path(_ key: String) throws(KubernetesError) -> String? {
            guard let path = try text(key) else { return nil }
            let full = Kubeconfig.resolve(path, besides: file)
            guard FileManager.default.isReadableFile(atPath: full) else {
                throw failure("\(key): \(full) cannot be read")
            }
            return full
        }

        func data(_ key: String) throws(KubernetesError) -> [UInt8]? {
            guard let text = try text(key) else { return nil }
            guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters), !data.isEmpty else {
                throw failure("\(key) is not base64")
            }
            return Array(data)
        }
    }

    private var clusters: [String: Entry] = [:]
    private var users: [String: Entry] = [:]
    private var contexts: [String: Entry] = [:]
    private var currentContext: String?
    private var files: [String] = []

    /// The document as plain values.
    static func tree(_ bytes: [UInt8], file: String) throws(KubernetesError) -> JSONValue {
        do throws(YAMLError) {
            return JSONValue(try YAML.parse(bytes, file: file))
        } catch {
            throw KubernetesError(.configuration, operation: "kubeconfig", message: "\(error)")
        }
    }

    static func resolve(_ path: String, besides file: String) -> String {
        if path.hasPrefix("/") { return path }
        let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return folder.isEmpty && !file.hasPrefix("/") ? path : "\(folder)/\(path)"
    }

    mutating func add(_ document: JSONValue, file: String) {
        files.append(file)
        take(document["clusters"], "cluster", "clusters", file, &clusters)
        take(document["users"], "user", "users", file, &users)
        take(document["contexts"], "context", "contexts", file, &contexts)
        if currentContext == nil, let current = document["current-context"]?.stringValue, !current.isEmpty {
            currentContext = current
        }
    }

    private func take(
        _ list: JSONValue?, _ key: String, _ place: String, _ file: String, _ table: inout [String: Entry]
    ) {
        for (index, element) in (list?.arrayValue ?? []).enumerated() {
            guard let name = element["name"]?.stringValue ?? element["name"]?.intValue.map({ String($0) }),
                table[name] == nil
            else { continue }
            table[name] = Entry(content: element[key] ?? .null, file: file, place: "\(place)[\(index)] '\(name)'")
        }
    }

    func configuration(context wanted: String?) throws(KubernetesError) -> KubernetesConfiguration {
        let all = files.joined(separator: ":")
        func failure(_ what: String) -> KubernetesError {
            KubernetesError(.configuration, operation: "kubeconfig", message: "\(all): \(what)")
        }
        guard let name = wanted ?? currentContext else {
            throw failure("current-context is not set and no context was asked for")
        }
        guard let context = contexts[name] else {
            let known = contexts.keys.sorted().joined(separator: ", ")
            throw failure("no context '\(name)'; there are: \(known.isEmpty ? "none" : known)")
        }
        guard let clusterName = try context.text("cluster") else { throw context.failure("cluster is missing") }
        guard let cluster = clusters[clusterName] else { throw context.failure("no cluster '\(clusterName)'") }
        guard let server = try cluster.text("server") else { throw cluster.failure("server is missing") }
        guard server.hasPrefix("https://") || server.hasPrefix("http://") else {
            throw cluster.failure("server must begin with https:// or http://")
        }
        var tls = TLSSettings(
            caFile: try cluster.path("certificate-authority"), caData: try cluster.data("certificate-authority-data"),
            serverName: try cluster.text("tls-server-name"),
            insecureSkipVerify: try cluster.flag("insecure-skip-tls-verify"))
        guard !tls.insecureSkipVerify || (tls.caFile == nil && tls.caData == nil) else {
            throw cluster.failure("insecure-skip-tls-verify and certificate-authority exclude each other")
        }
        guard try cluster.text("proxy-url") == nil else {
            throw cluster.failure("proxy-url is not supported; set https_proxy in the environment")
        }
        var authentication = KubernetesConfiguration.Authentication.none
        if let userName = try context.text("user") {
            guard let user = users[userName] else { throw context.failure("no user '\(userName)'") }
            tls.clientCertificateFile = try user.path("client-certificate")
            tls.clientCertificateData = try user.data("client-certificate-data")
            tls.clientKeyFile = try user.path("client-key")
            tls.clientKeyData = try user.data("client-key-data")
            authentication = try self.authentication(user, cluster: cluster, server: server)
        }
        return KubernetesConfiguration(
            server: server, tls: tls, authentication: authentication,
            namespace: try context.text("namespace") ?? "default", origin: "context '\(name)' of \(all)")
    }

    private func authentication(
        _ user: Entry, cluster: Entry, server: String
    ) throws(KubernetesError) -> KubernetesConfiguration.Authentication {
        if let file = try user.path("tokenFile") { return .tokenFile(file) }
        if let token = try user.text("token") { return .token(token) }
        if let name = try user.text("username") {
            return .basic(user: name, password: try user.text("password") ?? "")
        }
        if let exec = user.content["exec"], !exec.isNull {
            return .plugin(try CredentialPlugin(exec, user: user, cluster: cluster, server: server))
        }
        if let provider = user.content["auth-provider"], !provider.isNull {
            throw user.failure("auth-provider is not supported; use exec")
        }
        return .none
    }
}

extension JSONValue {
    /// A YAML tree as plain values, plain scalars by the core schema's rules (YAML 1.2 §10.3).
    init(_ node: YAMLNode) {
        switch node {
        case .scalar(let scalar): self = scalar.isPlain ? JSONValue(plain: scalar.text) : .string(scalar.text)
        case .sequence(let sequence): self = .array(sequence.items.map { JSONValue($0) })
        case .mapping(let mapping):
            self = .object(
                Dictionary(
                    mapping.entries.map { ($0.key, JSONValue($0.value)) }, uniquingKeysWith: { first, _ in first }))
        }
    }

    private init(plain text: String) {
        switch text {
        case "", "~", "null", "Null", "NULL": self = .null
        case "true", "True", "TRUE": self = .bool(true)
        case "false", "False", "FALSE": self = .bool(false)
        default:
            // Only what reads back the same is a number: a token of digits must not lose a leading zero.
            if let number = Int64(text), String(number) == text { self = .int(number) } else { self = .string(text) }
        }
    }
}
