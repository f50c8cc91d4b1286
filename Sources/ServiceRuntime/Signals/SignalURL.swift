import Crypto
import Messages
import Settings
import Support

/// The address by which an alarm asks for a node more or less: `<base>/signal/<group>/<up|down>?step=N&token=…`.
///
/// Whoever has the address may use it: the token is an HMAC of group, direction and step under a key that is made from
/// a secret of the installation (`collector.signals.token_key`, else the first of `bus.keys`, else the transport URL).
/// Nothing is stored; the address holds for this step only, until that secret is gone: those of the other keys are good
/// as well, so that keys can be rotated. (Aodh sends no headers of its own, so the secret must be in the address.)
public struct SignalURL: Sendable {
    /// Not empty.
    private let keys: [[UInt8]]
    private let cluster: String

    /// From secrets of the installation; the first makes addresses, all are good for checking.
    public init(secret: String, others: [String] = [], cluster: String) {
        // Keys of their own for this purpose: what signs messages does not also sign addresses.
        keys = ([secret] + others).map { hmacSHA256(key: Array($0.utf8), Array("updraft signal url".utf8)) }
        self.cluster = cluster
    }

    /// From the configuration.
    public init(_ settings: Settings) {
        var secrets = settings.bus.keys.map(\.secret.revealed)
        if secrets.isEmpty { secrets = [settings.bus.transportURL.revealed] }
        if let own = settings.collector.signals.tokenKey { secrets.insert(own.revealed, at: 0) }
        self.init(secret: secrets[0], others: Array(secrets.dropFirst()), cluster: settings.cluster)
    }

    /// The token: 64 hexadecimal digits.
    public func token(group: String, _ direction: ScaleRequested.Direction, step: Int) -> String {
        hmacSHA256(key: keys[0], text(group, direction, step)).hex
    }

    /// Whether it is that token. Takes the same time however wrong it is.
    public func isValid(_ token: String, group: String, _ direction: ScaleRequested.Direction, step: Int) -> Bool {
        isMade(token, of: text(group, direction, step))
    }

    /// Path and query. Group ids are identifiers, so nothing has to be encoded.
    public func path(group: String, _ direction: ScaleRequested.Direction, step: Int) -> String {
        let size = step == 1 ? "" : "step=\(step)&"
        return "/signal/\(group)/\(direction.rawValue)?\(size)token=\(token(group: group, direction, step: step))"
    }

    /// The token of the address that takes the states of alarms.
    public var alarmsToken: String { hmacSHA256(key: keys[0], alarmsText).hex }

    /// Whether it is that token.
    public func isValid(alarms token: String) -> Bool { isMade(token, of: alarmsText) }

    /// Path and query of that address.
    public var alarmsPath: String { "/alarms?token=\(alarmsToken)" }

    private func isMade(_ token: String, of text: [UInt8]) -> Bool {
        guard token.utf8.count <= 128, let given = [UInt8](hex: token) else { return false }
        return keys.map { constantTimeEquals(given, hmacSHA256(key: $0, text)) }.contains(true)
    }

    /// No group makes the same text: it has no direction.
    private var alarmsText: [UInt8] { Array("\(cluster.utf8.count)\n\(cluster)\nalarms".utf8) }

    /// The lengths go first, so that no other parts make the same text.
    private func text(_ group: String, _ direction: ScaleRequested.Direction, _ step: Int) -> [UInt8] {
        Array("\(cluster.utf8.count)\n\(cluster)\n\(group.utf8.count)\n\(group)\n\(direction.rawValue)\n\(step)".utf8)
    }
}
