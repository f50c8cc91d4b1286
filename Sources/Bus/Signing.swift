import AMQP
import Crypto
import Messages
import Support

/// Keys for commands. The first signs; all of them verify, so that a key is rotated by first adding the new one
/// everywhere at the end, then moving it to the front, then dropping the old one.
public struct SigningKeys: Sendable, Equatable {
    /// One key.
    public struct Key: Sendable, Equatable {
        /// Its name on the wire, 1…64 bytes.
        public let id: String
        /// The secret. At least 16 bytes.
        let secret: [UInt8]

        /// A key. Nil if the name is empty or too long, or the secret shorter than 16 bytes.
        public init?(id: String, secret: [UInt8]) {
            guard (1...64).contains(id.utf8.count), secret.count >= 16 else { return nil }
            self.id = id
            self.secret = secret
        }
    }

    /// The keys; the first signs.
    public let keys: [Key]
    /// Commands written longer ago are refused.
    public let maximumAge: Interval
    /// Clocks may differ by this much: commands from further in the future are refused.
    public let maximumSkew: Interval

    /// Keys. Nil if there is none, or two have one name.
    public init?(_ keys: [Key], maximumAge: Interval = .seconds(900), maximumSkew: Interval = .seconds(300)) {
        guard !keys.isEmpty, Set(keys.map(\.id)).count == keys.count else { return nil }
        self.keys = keys
        self.maximumAge = maximumAge
        self.maximumSkew = maximumSkew
    }

    static let keyHeader = "x-updraft-key"
    static let signatureHeader = "x-updraft-signature"

    /// The headers that prove that `text` was sent with `routingKey` by somebody who has the key.
    func headers(routingKey: String, text: String) -> [String: AMQPValue] {
        [
            Self.keyHeader: .string(keys[0].id),
            Self.signatureHeader: .string(Self.code(keys[0], routingKey, text).base64),
        ]
    }

    /// HMAC-SHA256 over routing key, newline, message text. A routing key of ours holds no newline.
    static func code(_ key: Key, _ routingKey: String, _ text: String) -> [UInt8] {
        hmacSHA256(key: key.secret, Array(routingKey.utf8) + [10] + Array(text.utf8))
    }
}

extension SigningKeys.Key: CustomStringConvertible, CustomReflectable {
    /// The name only.
    public var description: String { id }
    /// Hides the secret from `dump` and string interpolation of enclosing types.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why a command was refused.
public enum Refusal: String, Sendable, CaseIterable {
    /// It carries no signature.
    case unsigned
    /// It names a key that is not configured.
    case unknownKey = "unknown_key"
    /// The signature does not fit the message and its routing key.
    case altered
    /// A message with its id was handled already.
    case replayed
    /// It was written too long ago, or says not when.
    case tooOld = "too_old"
    /// It was written in the future.
    case tooNew = "too_new"
}

/// Decides whether a command is to be believed. Pure: the caller gives the time.
///
/// Remembers what was handled within the maximum age, at most `capacity` ids (the oldest are forgotten first). The memory is
/// of one process: after a restart or on another replica a replay within the maximum age is seen as new, and is
/// harmless because acts are idempotent (docs/architecture.md §2.4).
struct Verifier: Sendable {
    private let keys: SigningKeys
    private let capacity: Int
    private var handled: [String: Timestamp] = [:]
    private var order: [(id: String, time: Timestamp)] = []
    private var head = 0

    init(_ keys: SigningKeys, capacity: Int = 100_000) {
        self.keys = keys
        self.capacity = max(1, capacity)
    }

    /// Nil: believe it, and remember it. A redelivery of something handled is `.replayed` too.
    /// - Parameter putOff: how long we ourselves have let it wait: it may be older by that.
    mutating func check(
        _ received: MessageCoder.Received, routingKey: String, headers: [String: AMQPValue], now: Timestamp,
        putOff: Interval = .zero
    ) -> Refusal? {
        guard let id = headers[SigningKeys.keyHeader]?.string,
            let encoded = headers[SigningKeys.signatureHeader]?.string
        else { return .unsigned }
        guard let key = keys.keys.first(where: { $0.id == id }) else { return .unknownKey }
        guard let code = [UInt8](base64: encoded),
            constantTimeEquals(code, SigningKeys.code(key, routingKey, received.text))
        else { return .altered }
        guard let time = received.envelope.time, now - time <= keys.maximumAge + putOff else { return .tooOld }
        guard time - now <= keys.maximumSkew else { return .tooNew }
        forgetOld(now)
        let messageID = received.envelope.messageID
        guard handled[messageID] == nil else { return .replayed }
        handled[messageID] = time
        order.append((messageID, time))
        return nil
    }

    /// It was not handled after all and may come again.
    mutating func forget(_ messageID: String) {
        handled[messageID] = nil
    }

    private mutating func forgetOld(_ now: Timestamp) {
        while head < order.count,
            order.count - head >= capacity || now - order[head].time > keys.maximumAge + keys.maximumSkew
        {
            // Forgotten and seen again, an id stands in the list twice: only its own entry counts.
            let (id, time) = order[head]
            if handled[id] == time { handled[id] = nil }
            head += 1
        }
        if head > 1_024, head * 2 > order.count {
            order.removeFirst(head)
            head = 0
        }
    }
}
