import Crypto
import Settings
import Support

/// Tokens that a pod gives with its answer: each is good for one pod and one removal.
///
/// A token is an HMAC of both under a key that all replicas have and that outlives a restart, so no token is stored. The
/// key is `notifier.token_key`; without it the first of `bus.keys`; without any the transport URL (which holds the
/// broker's password). Tokens under any of `bus.keys` are good, so that rotating keys makes none invalid.
struct AnswerTokens: Sendable {
    private let keys: [[UInt8]]

    /// From secrets of the installation; the first makes tokens, all are good for checking. Not empty.
    init(_ secret: String, _ others: [String] = []) {
        // Keys of their own for this purpose: what signs messages does not also sign tokens.
        keys = ([secret] + others).map { hmacSHA256(key: Array($0.utf8), Array("updraft answer token".utf8)) }
    }

    /// From the configuration.
    init(_ settings: Settings) {
        var secrets = settings.bus.keys.map(\.secret.revealed)
        if let own = settings.notifier.tokenKey { secrets.insert(own.revealed, at: 0) }
        let first = secrets.first ?? settings.bus.transportURL.revealed
        self.init(first, Array(secrets.dropFirst()))
    }

    /// The token of a pod's notice: 32 hexadecimal digits.
    func token(removal: String, podUID: String) -> String {
        code(keys[0], removal, podUID).hex
    }

    /// Whether it is that notice's token. Takes the same time however wrong it is.
    func isValid(_ token: String, removal: String, podUID: String) -> Bool {
        guard let given = [UInt8](hex: token) else { return false }
        return keys.map { constantTimeEquals(given, code($0, removal, podUID)) }.contains(true)
    }

    /// The length goes first, so that no other pair makes the same text.
    private func code(_ key: [UInt8], _ removal: String, _ podUID: String) -> [UInt8] {
        Array(hmacSHA256(key: key, Array("\(removal.utf8.count)\n\(removal)\n\(podUID)".utf8)).prefix(16))
    }
}
