import Crypto
import Settings

/// Tokens that a pod gives with its answer: each is good for one pod and one removal.
///
/// A token is an HMAC of both under a key that all replicas have and that outlives a restart, so no token is stored:
/// the first of `bus.keys`, else the transport URL (which holds the broker's password). Changing either makes tokens of
/// notices under way invalid; their pods can still answer by annotation.
struct AnswerTokens: Sendable {
    private let key: [UInt8]

    /// From a secret of the installation.
    init(secret: String) {
        // A key of its own for this purpose: what signs messages does not also sign tokens.
        key = hmacSHA256(key: Array(secret.utf8), Array("updraft answer token".utf8))
    }

    /// From the configuration.
    init(_ settings: Settings) {
        self.init(secret: (settings.bus.keys.first?.secret ?? settings.bus.transportURL).revealed)
    }

    /// The token of a pod's notice: 32 hexadecimal digits.
    func token(removal: String, podUID: String) -> String {
        Array(hmacSHA256(key: key, message(removal, podUID)).prefix(16)).hex
    }

    /// Whether it is that notice's token. Takes the same time however wrong it is.
    func isValid(_ token: String, removal: String, podUID: String) -> Bool {
        guard let given = [UInt8](hex: token) else { return false }
        return constantTimeEquals(given, Array(hmacSHA256(key: key, message(removal, podUID)).prefix(16)))
    }

    /// The length goes first, so that no other pair makes the same text.
    private func message(_ removal: String, _ podUID: String) -> [UInt8] {
        Array("\(removal.utf8.count)\n\(removal)\n\(podUID)".utf8)
    }
}
