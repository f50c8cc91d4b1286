import FoundationEssentials
import HTTPClient
import Support

/// Where the API server is, whom to trust and how to prove who one is.
public struct KubernetesConfiguration: Sendable {
    /// How requests are authenticated, beside a client certificate in `tls`.
    public enum Authentication: Sendable, Equatable {
        /// By the client certificate, or not at all.
        case none
        /// A token that does not change.
        case token(String)
        /// A token in a file, read again as it is rotated.
        case tokenFile(String)
        /// User name and password.
        case basic(user: String, password: String)
        /// A program that prints a token or a client certificate.
        case plugin(CredentialPlugin)
    }

    /// `https://host:port`, without a slash at the end.
    public var server: String
    /// Authorities and client certificate.
    public var tls: TLSSettings
    /// How requests are authenticated.
    public var authentication: Authentication
    /// The namespace that the context or the pod is in.
    public var namespace: String
    /// Where all this comes from, for logs and errors.
    public var origin: String

    /// From its parts.
    public init(
        server: String, tls: TLSSettings = TLSSettings(), authentication: Authentication = .none,
        namespace: String = "default", origin: String = "given"
    ) {
        var server = Substring(server)
        while server.hasSuffix("/") { server.removeLast() }
        self.server = String(server)
        self.tls = tls
        self.authentication = authentication
        self.namespace = namespace
        self.origin = origin
    }

    /// The folder in which a pod finds its service account.
    public static let serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// As a pod: the API server out of the environment, token and authority out of the service account's folder. The
    /// token is read again as the kubelet rotates it.
    public static func inCluster(
        environment: [String: String], folder: String = serviceAccountFolder
    ) throws(KubernetesError) -> KubernetesConfiguration {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty,
            let port = environment["KUBERNETES_SERVICE_PORT"], !port.isEmpty
        else {
            throw KubernetesError(
                .configuration, operation: "in-cluster configuration",
                message: "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: is this a pod?")
        }
        let authority = folder + "/ca.crt"
        let token = folder + "/token"
        _ = try FileText.read(authority, for: "in-cluster authority")
        _ = try FileText.read(token, for: "in-cluster token")
        let namespace = try? FileText.read(folder + "/namespace", for: "in-cluster namespace")
        let address = host.contains(":") ? "[\(host)]" : host
        return KubernetesConfiguration(
            server: "https://\(address):\(port)", tls: TLSSettings(caFile: authority),
            authentication: .tokenFile(token), namespace: namespace ?? "default", origin: "service account in \(folder)"
        )
    }

    /// As kubectl and others find it: `$KUBECONFIG`, else the service account of a pod, else `~/.kube/config`.
    public static func automatic(
        environment: [String: String], context: String? = nil
    ) throws(KubernetesError) -> KubernetesConfiguration {
        if let paths = environment["KUBECONFIG"], !paths.isEmpty {
            return try kubeconfig(path: paths, context: context)
        }
        if environment["KUBERNETES_SERVICE_HOST"] != nil, context == nil {
            return try inCluster(environment: environment)
        }
        guard let home = environment["HOME"], !home.isEmpty else {
            throw KubernetesError(
                .configuration, operation: "kubeconfig",
                message: "KUBECONFIG is not set, this is no pod, and HOME is not set either")
        }
        return try kubeconfig(path: home + "/.kube/config", context: context)
    }
}

extension KubernetesConfiguration: CustomStringConvertible {
    /// Server and origin; no secret.
    public var description: String { "\(server) (\(origin))" }
}

/// Small files read at once.
enum FileText {
    /// The largest file that is taken for a configuration or a token.
    static let limit = 16 << 20

    static func bytes(_ path: String, for what: String) throws(KubernetesError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw KubernetesError(.configuration, operation: what, message: "\(path) cannot be read")
        }
        guard data.count <= limit else {
            throw KubernetesError(.configuration, operation: what, message: "\(path) is larger than \(limit) bytes")
        }
        return Array(data)
    }

    /// The text without white space around it; an empty one is an error.
    static func read(_ path: String, for what: String) throws(KubernetesError) -> String {
        let text = String(decoding: try bytes(path, for: what), as: UTF8.self)
        let trimmed = text.split(whereSeparator: { $0 == "\n" || $0 == "\r" }).first.map(String.init) ?? ""
        guard !trimmed.isEmpty else {
            throw KubernetesError(.configuration, operation: what, message: "\(path) is empty")
        }
        return what.hasSuffix("authority") ? text : trimmed
    }
}

extension KubernetesConfiguration {
    /// As a service's settings say: a kubeconfig file, the pod's own account, or whatever is found.
    public static func chosen(
        kubeconfig: String?, context: String?, inCluster: Bool, environment: [String: String]
    ) throws(KubernetesError) -> KubernetesConfiguration {
        if inCluster { return try self.inCluster(environment: environment) }
        if let kubeconfig { return try self.kubeconfig(path: kubeconfig, context: context) }
        return try automatic(environment: environment, context: context)
    }
}
