import Crypto
import Messages
import Settings
import Support

/// The address by which an alarm asks for a node more or less: `<base>/signal/<group>/<up|down>?step=N&token=…`.
///
/// Whoever has the address may use it: the token is an HMAC of group, direction and step under a key that is made from
/// a secret of the installation (the first of `bus.keys`, else the transport URL). Nothing is stored; the address holds
/// until that secret changes, and only for this step. (Aodh sends no headers of its own, so the secret must be in the
/// address.)
public struct SignalURL: Sendable {
    private let key: [UInt8]
    private let cluster: String

    /// From a secret of the installation.
    public init(secret: String, cluster: String) {
        // A key of its own for this purpose: what signs messages does not also sign addresses.
        key = hmacSHA256(key: Array(secret.utf8), Array("updraft signal url".utf8))
        self.cluster = cluster
    }

    /// From the configuration.
    public init(_ settings: Settings) {
        self.init(
            secret: (settings.bus.keys.first?.secret ?? settings.bus.transportURL).revealed, cluster: settings.cluster)
    }

    /// The token: 64 hexadecimal digits.
    public func token(group: String, _ direction: ScaleRequested.Direction, step: Int) -> String {
        mac(group, direction, step).hex
    }

    /// Whether it is that token. Takes the same time however wrong it is.
    public func isValid(_ token: String, group: String, _ direction: ScaleRequested.Direction, step: Int) -> Bool {
        guard token.utf8.count <= 128, let given = [UInt8](hex: token) else { return false }
        return constantTimeEquals(given, mac(group, direction, step))
    }

    /// Path and query. Group ids are identifiers, so nothing has to be encoded.
    public func path(group: String, _ direction: ScaleRequested.Direction, step: Int) -> String {
        let size = step == 1 ? "" : "step=\(step)&"
        return "/signal/\(group)/\(direction.rawValue)?\(size)token=\(token(group: group, direction, step: step))"
    }

    /// The token of the address that takes the states of alarms.
    public var alarmsToken: String { alarmsMAC.hex }

    /// Whether it is that token.
    public func isValid(alarms token: String) -> Bool {
        guard token.utf8.count <= 128, let given = [UInt8](hex: token) else { return false }
        return constantTimeEquals(given, alarmsMAC)
    }

    /// Path and query of that address.
    public var alarmsPath: String { "/alarms?token=\(alarmsToken)" }

    /// No group makes the same text: it has no direction.
    private var alarmsMAC: [UInt8] {
        hmacSHA256(key: key, Array("\(cluster.utf8.count)\n\(cluster)\nalarms".utf8))
    }

    /// The lengths go first, so that no other parts make the same text.
    private func mac(_ group: String, _ direction: ScaleRequested.Direction, _ step: Int) -> [UInt8] {
        hmacSHA256(
            key: key,
            Array(
                "\(cluster.utf8.count)\n\(cluster)\n\(group.utf8.count)\n\(group)\n\(direction.rawValue)\n\(step)".utf8)
        )
    }
}
