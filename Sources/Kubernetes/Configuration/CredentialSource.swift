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
        /// When `cached` ends.
        var expiresAt = Timestamp(microseconds: .max)
        /// A run in progress, which everybody waits for.
        var running: Task<Result<Current, KubernetesError>, Never>?
        /// A plug-in that failed is not run again at once for every request: it may be slow, or lock an account.
        var failure: (error: KubernetesError, until: Timestamp)?
        var backoff = Backoff(first: .seconds(1), cap: .seconds(60))
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
        let time = now()
        let run: Task<Result<Current, KubernetesError>, Never>
        switch state.withLock({ next(&$0, plugin, at: time) }) {
        case .failed(let error): return try stillGood(rejected, else: error)
        case .running(let task): run = task
        }
        do throws(KubernetesError) {
            return try await run.value.get()
        } catch {
            return try stillGood(rejected, else: error)
        }
    }

    private enum Next {
        case failed(KubernetesError)
        case running(Task<Result<Current, KubernetesError>, Never>)
    }

    private func next(_ state: inout State, _ plugin: CredentialPlugin, at time: Timestamp) -> Next {
        if let running = state.running { return .running(running) }
        if let failure = state.failure, time < failure.until { return .failed(failure.error) }
        let task = Task { [self] in
            let result: Result<CredentialPlugin.Credential, KubernetesError>
            do throws(KubernetesError) { result = .success(try await plugin.run()) } catch { result = .failure(error) }
            return ended(result)
        }
        state.running = task
        return .running(task)
    }

    private func ended(
        _ result: Result<CredentialPlugin.Credential, KubernetesError>
    ) -> Result<Current, KubernetesError> {
        let time = now()
        return state.withLock { state in
            state.running = nil
            switch result {
            case .success(let credential):
                let current = Current(
                    authorization: credential.token.map { "Bearer \($0)" }, certificate: credential.certificate,
                    key: credential.key)
                state.cached = current
                state.expiresAt = credential.expiresAt ?? Timestamp(microseconds: .max)
                state.freshUntil = credential.expiresAt.map { $0 - CredentialSource.margin } ?? state.expiresAt
                state.failure = nil
                state.backoff.succeeded()
                return .success(current)
            case .failure(let error):
                state.failure = (error, time + state.backoff.failed(jitter: Double.random(in: 0...1)))
                return .failure(error)
            }
        }
    }

    /// The credential of before, if it is not over: a plug-in that fails is no reason to stop as long as it holds.
    private func stillGood(_ rejected: Current?, else error: KubernetesError) throws(KubernetesError) -> Current {
        let time = now()
        let old = state.withLock { $0.cached != rejected && time < $0.expiresAt ? $0.cached : nil }
        guard let old else { throw error }
        return old
    }
}

extension CredentialPlugin {
    fileprivate func current(
        in source: CredentialSource, rejected: CredentialSource.Current?
    ) async throws(KubernetesError) -> CredentialSource.Current {
        try await source.pluginCredential(self, rejected: rejected)
    }
}
