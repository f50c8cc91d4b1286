import FoundationEssentials
import Support

/// The credential as it is now: read again as files are rotated, run again as plug-ins' tokens expire.
final class CredentialSource: Sendable {
    /// What a request carries.
    struct Current: Sendable, Equatable {
        /// Value of the `Authorization` header.
        var authorization: String?
        /// Client certificate and key (PEM) out of a plug-in.
        var certificate: [UInt8]?
        var key: [UInt8]?
    }

    private struct State {
        var cached: Current?
        /// Until when `cached` is used without looking again.
        var freshUntil = Timestamp(microseconds: .min)
        /// A run in progress, which everybody waits for.
        var running: Task<Result<CredentialPlugin.Credential, KubernetesError>, Never>?
    }

    /// How long a token file is believed. The kubelet rotates at four fifths of a token's life, so minutes would do;
    /// a file on tmpfs costs next to nothing.
    private static let fileAge = Interval.seconds(10)
    /// A token is replaced this long before it expires.
    private static let margin = Interval.seconds(30)

    private let authentication: KubernetesConfiguration.Authentication
    private let now: @Sendable () -> Timestamp
    private let state = Lock(State())

    init(_ authentication: KubernetesConfiguration.Authentication, now: @escaping @Sendable () -> Timestamp) {
        self.authentication = authentication
        self.now = now
    }

    /// The credential to use now.
    /// - Parameter rejected: what the server has just answered 401 to; it is not given out again if another can be had.
    func current(rejected: Current? = nil) async throws(KubernetesError) -> Current {
        switch authentication {
        case .none: return Current()
        case .token(let token): return Current(authorization: "Bearer \(token)")
        case .basic(let user, let password):
            let text = Data("\(user):\(password)".utf8).base64EncodedString()
            return Current(authorization: "Basic \(text)")
        case .tokenFile(let path): return try tokenFile(path, rejected: rejected)
        case .plugin(let plugin): return try await plugin.current(in: self, rejected: rejected)
        }
    }

    private func cached(rejected: Current?) -> Current? {
        let now = now()
        return state.withLock { state in
            guard let cached = state.cached, cached != rejected, now < state.freshUntil else { return nil }
            return cached
        }
    }

    private func tokenFile(_ path: String, rejected: Current?) throws(KubernetesError) -> Current {
        if let cached = cached(rejected: rejected) { return cached }
        do throws(KubernetesError) {
            let current = Current(authorization: "Bearer \(try FileText.read(path, for: "token file"))")
            let until = now() + CredentialSource.fileAge
            state.withLock { state in
                state.cached = current
                state.freshUntil = until
            }
            return current
        } catch {
            // While the file is being replaced the old token may still do.
            if let old = state.withLock({ $0.cached }), old != rejected { return old }
            throw error
        }
    }

    fileprivate func pluginCredential(
        _ plugin: CredentialPlugin, rejected: Current?
    ) async throws(KubernetesError) -> Current {
        if let cached = cached(rejected: rejected) { return cached }
        let run = state.withLock { state in
            if let running = state.running { return running }
            let task = Task { () -> Result<CredentialPlugin.Credential, KubernetesError> in
                do throws(KubernetesError) { return .success(try await plugin.run()) } catch { return .failure(error) }
            }
            state.running = task
            return task
        }
        let result = await run.value
        return try state.withLock { state throws(KubernetesError) -> Current in
            state.running = nil
            let credential = try result.get()
            let current = Current(
                authorization: credential.token.map { "Bearer \($0)" }, certificate: credential.certificate,
                key: credential.key)
            state.cached = current
            state.freshUntil =
                credential.expiresAt.map { $0 - CredentialSource.margin } ?? Timestamp(microseconds: .max)
            return current
        }
    }
}

extension CredentialPlugin {
    fileprivate func current(
        in source: CredentialSource, rejected: CredentialSource.Current?
    ) async throws(KubernetesError) -> CredentialSource.Current {
        try await source.pluginCredential(self, rejected: rejected)
    }
}
