import FoundationEssentials
import JSONReader
import Support

/// An `exec` user of a kubeconfig: a program that prints an `ExecCredential`.
public struct CredentialPlugin: Sendable, Equatable {
    /// The program: a path, or a name looked up in `PATH`.
    public var command: String
    /// Its arguments.
    public var arguments: [String]
    /// Variables added to our own environment.
    public var environment: [String: String]
    /// `client.authentication.k8s.io/v1` or `…/v1beta1`.
    public var apiVersion: String
    /// What the program is told about the cluster, if it wants to know: a JSON object.
    public var clusterInfo: JSONValue?
    /// Shown when the program is not there.
    public var installHint: String?

    /// From its parts.
    public init(
        command: String, arguments: [String] = [], environment: [String: String] = [:],
        apiVersion: String = "client.authentication.k8s.io/v1", clusterInfo: JSONValue? = nil,
        installHint: String? = nil
    ) {
        self.command = command
        self.arguments = arguments
        self.environment = environment
        self.apiVersion = apiVersion
        self.clusterInfo = clusterInfo
        self.installHint = installHint
    }

    /// How long the program may take.
    static let timeout = Interval.seconds(60)

    init(
        _ exec: JSONValue, user: Kubeconfig.Entry, cluster: Kubeconfig.Entry, server: String
    ) throws(KubernetesError) {
        guard let command = exec["command"]?.stringValue, !command.isEmpty else {
            throw user.failure("exec.command is missing")
        }
        let version = exec["apiVersion"]?.stringValue ?? ""
        guard version == "client.authentication.k8s.io/v1" || version == "client.authentication.k8s.io/v1beta1" else {
            throw user.failure(
                "exec.apiVersion must be client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1")
        }
        guard exec["interactiveMode"]?.stringValue != "Always" else {
            throw user.failure("exec.interactiveMode Always: a service has no terminal")
        }
        // A command with a slash is relative to the file, as kubectl has it.
        let path = command.contains("/") ? Kubeconfig.resolve(command, besides: user.file) : command
        var variables: [String: String] = [:]
        for variable in exec["env"]?.arrayValue ?? [] {
            guard let name = variable["name"]?.stringValue else { throw user.failure("exec.env: name is missing") }
            variables[name] = variable["value"]?.stringValue ?? ""
        }
        var info: JSONValue?
        if exec["provideClusterInfo"]?.boolValue == true {
            var told: [String: JSONValue] = ["server": .string(server)]
            for key in ["tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data"] {
                if let value = cluster.content[key], !value.isNull { told[key] = value }
            }
            info = .object(told)
        }
        self.init(
            command: path, arguments: (exec["args"]?.arrayValue ?? []).compactMap(\.stringValue),
            environment: variables, apiVersion: version, clusterInfo: info,
            installHint: exec["installHint"]?.stringValue)
    }

    /// What one run gave.
    struct Credential: Sendable, Equatable {
        var token: String?
        var certificate: [UInt8]?
        var key: [UInt8]?
        var expiresAt: Timestamp?
    }

    /// Runs the program once. The output is never put into an error: it holds the secret.
    func run() async throws(KubernetesError) -> Credential {
        func failure(_ what: String) -> KubernetesError {
            KubernetesError(.configuration, operation: "credential plug-in \(command)", message: what)
        }
        var variables = environment
        var spec: [String: JSONValue] = ["interactive": false]
        if let clusterInfo { spec["cluster"] = clusterInfo }
        variables["KUBERNETES_EXEC_INFO"] =
            JSONValue.object([
                "apiVersion": .string(apiVersion), "kind": "ExecCredential", "spec": .object(spec),
            ]).text
        let outcome: ChildProcess.Outcome
        do throws(ChildProcess.Failure) {
            outcome = try await ChildProcess.run(
                command, arguments: arguments, environment: variables, timeout: CredentialPlugin.timeout,
                maximumBytes: 1 << 20)
        } catch {
            throw failure(error.what + (installHint.map { ". \($0.prefix(500))" } ?? ""))
        }
        guard outcome.status == 0 else {
            let said = String(decoding: outcome.errors.prefix(500), as: UTF8.self)
            throw failure("exit code \(outcome.status)\(said.isEmpty ? "" : ": \(said)")")
        }
        let answer: JSONValue
        do throws(JSONError) {
            answer = try JSONValue.parse(outcome.output)
        } catch {
            throw failure("its output is not JSON: \(error)")
        }
        guard answer["kind"]?.stringValue == "ExecCredential" else { throw failure("its output is no ExecCredential") }
        guard answer["apiVersion"]?.stringValue == apiVersion else {
            throw failure("its output is not of \(apiVersion), as kubeconfig asks")
        }
        let status = answer["status"] ?? .null
        var credential = Credential()
        credential.token = status["token"]?.stringValue
        credential.certificate = status["clientCertificateData"]?.stringValue.map { Array($0.utf8) }
        credential.key = status["clientKeyData"]?.stringValue.map { Array($0.utf8) }
        credential.expiresAt = status["expirationTimestamp"]?.stringValue.flatMap { Timestamp($0) }
        guard credential.token != nil || (credential.certificate != nil && credential.key != nil) else {
            throw failure("its output holds neither a token nor a client certificate with key")
        }
        return credential
    }
}
