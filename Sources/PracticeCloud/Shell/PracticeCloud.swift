import HTTPServer
import JSONReader
import Support

/// A running practice cloud: Keystone, Heat, Nova, Aodh, the Kubernetes API, the pods' hooks and the control API, each on a
/// port of loopback of its own. It ends with `stop`.
public final class PracticeCloud: Sendable {
    private let core: PracticeCore
    private let servers: [HTTPServer]
    private let tasks: [Task<Void, Never>]
    private let outputs: AsyncStream<PracticeOutput>.Continuation
    private let endpoints: PracticeEndpoints
    private let credentials: PracticeCredentials
    private let options: PracticeCloudOptions

    /// Starts everything; the stacks of the options are up when this returns.
    public init(_ options: PracticeCloudOptions = .init()) throws(PracticeCloudError) {
        let sender = try OutputSender(transportURL: options.transportURL)
        let (stream, continuation) = AsyncStream.makeStream(
            of: PracticeOutput.self, bufferingPolicy: .bufferingNewest(50_000))
        let core = PracticeCore(PracticeModel(options.settings, at: Timestamp.now()), outputs: continuation)
        var servers: [HTTPServer] = []
        var ports: [PracticeCore.Service: UInt16] = [:]
        for (number, service) in PracticeCore.Service.allCases.enumerated() {
            do throws(HTTPServerError) {
                let server = try HTTPServer(
                    port: options.firstPort.map { $0 + UInt16(number) } ?? 0, maximumBodyBytes: 32 << 20,
                    maximumConnections: 4_096
                ) { request in
                    await Self.answer(request, service, core)
                }
                servers.append(server)
                ports[service] = server.port
            } catch {
                for server in servers { server.stop() }
                throw PracticeCloudError(.network, "\(service.rawValue): \(error.detail)")
            }
        }
        func url(_ service: PracticeCore.Service) -> String { "http://127.0.0.1:\(ports[service] ?? 0)" }
        endpoints = PracticeEndpoints(
            keystone: url(.keystone), heat: url(.heat), nova: url(.nova), kubernetes: url(.kubernetes),
            hooks: url(.hooks), control: url(.control), aodh: url(.aodh))
        core.setEndpoints(endpoints)
        credentials = PracticeCredentials()
        self.options = options
        self.core = core
        self.servers = servers
        outputs = continuation
        tasks = [Task { await sender.run(stream) }, Task { await Self.tick(core) }]
    }

    deinit {
        outputs.finish()
        for task in tasks { task.cancel() }
    }

    /// Closes all ports and ends.
    public func stop() async {
        for server in servers { server.stop() }
        outputs.finish()
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    private static func answer(
        _ request: ServerRequest, _ service: PracticeCore.Service, _ core: PracticeCore
    ) async -> ServerReply {
        var headers: [String: String] = [:]
        for (name, value) in request.headers.entries { headers[name.lowercased()] = value }
        let (reply, delay) = core.answer(
            service,
            PracticeRequest(
                method: request.method, path: request.path, query: request.query.map { ($0.name, $0.value) },
                headers: headers, body: request.body), at: Timestamp.now())
        if delay > .zero { try? await Task.sleep(for: delay.duration) }
        return reply
    }

    /// Lets the model's time pass with the clock's. Deadlines are met within some 5 ms.
    private static func tick(_ core: PracticeCore) async {
        while !Task.isCancelled {
            if core.tick(at: Timestamp.now()) {
                try? await Task.sleep(for: .milliseconds(5))
            } else {
                // More is due: requests that wait for the lock come first.
                await Task.yield()
            }
        }
    }

    // MARK: Where everything is

    /// Base URL of the control API, without a slash at the end.
    public var controlURL: String { endpoints.control }
    /// Base URL of the API server.
    public var kubernetesURL: String { endpoints.kubernetes }
    /// Bearer token of the API server.
    public var kubernetesToken: String { credentials.kubernetesToken }
    /// Base URL of the pods' hooks.
    public var hooksURL: String { endpoints.hooks }

    /// A kubeconfig for it: context `practice` with all rights, `practice-reader` may only read.
    public var kubeconfig: String {
        """
        apiVersion: v1
        kind: Config
        current-context: practice
        clusters:
        - name: practice
          cluster:
            server: "\(endpoints.kubernetes)"
        users:
        - name: practice
          user:
            token: \(credentials.kubernetesToken)
        - name: practice-reader
          user:
            token: \(credentials.readerToken)
        contexts:
        - name: practice
          context: {cluster: practice, user: practice}
        - name: practice-reader
          context: {cluster: practice, user: practice-reader}

        """
    }

    /// A `clouds.yaml` for it: cloud `practice` (application credential), `practice-password`, `practice-trust`.
    public var cloudsYAML: String {
        """
        clouds:
          practice:
            auth_type: v3applicationcredential
            auth:
              auth_url: "\(endpoints.keystone)/v3"
              application_credential_id: \(credentials.credentialID)
              application_credential_secret: \(credentials.credentialSecret)
            region_name: RegionOne
          practice-password:
            auth:
              auth_url: "\(endpoints.keystone)/v3"
              username: \(credentials.user)
              password: \(credentials.password)
              project_name: practice
              user_domain_id: default
              project_domain_id: default
            region_name: RegionOne
          practice-trust:
            auth:
              auth_url: "\(endpoints.keystone)/v3"
              username: \(credentials.trustee)
              password: \(credentials.trusteePassword)
              trust_id: \(credentials.trustID)
              user_domain_id: default
            region_name: RegionOne

        """
    }

    /// What the state file says: addresses, files, names.
    public func description(kubeconfig: String?, clouds: String?) -> JSONValue {
        let stack = options.settings.stacks.first
        return [
            "control": .string(endpoints.control), "keystone": .string(endpoints.keystone),
            "heat": .string(endpoints.heat), "nova": .string(endpoints.nova),
            "kubernetes": .string(endpoints.kubernetes), "hooks": .string(endpoints.hooks),
            "aodh": .string(endpoints.aodh),
            "kubeconfig": kubeconfig.map { .string($0) } ?? nil, "clouds": clouds.map { .string($0) } ?? nil,
            "cloud": "practice", "stack": .string(stack?.name ?? ""),
            "resource": .string(stack?.groups.first?.resource ?? ""),
            "desired_parameter": .string(stack?.groups.first?.desiredParameter ?? ""),
            "project_id": .string(core.read { $0.keystone.projectID }),
            "kubernetes_token": .string(credentials.kubernetesToken),
        ]
    }
}
