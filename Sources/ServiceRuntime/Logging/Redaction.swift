import Support

/// Takes secrets out of texts before they are written.
struct Redaction: Sendable {
    private let secrets: [String]

    /// `secrets`: values that must not appear. Very short ones are left alone: they would hide half the log and are
    /// found in it by chance only.
    init(secrets: [String] = []) {
        self.secrets = Set(secrets).filter { $0.utf8.count >= 6 }.sorted { $0.utf8.count > $1.utf8.count }
    }

    func apply(_ text: String) -> String {
        var text = Self.withoutUserInfo(text)
        for secret in secrets where Self.holds(text, secret) { text = text.replacing(secret, with: "***") }
        return text
    }

    func apply(_ value: LogValue) -> LogValue {
        switch value {
        case .string(let text): .string(apply(text))
        case .strings(let texts): .strings(texts.map { apply($0) })
        case .int, .double, .bool: value
        }
    }

    /// Whether a secret is in a text. Each text of each line is asked, for each secret.
    private static func holds(_ text: String, _ secret: String) -> Bool {
        if text.firstByteRange(of: secret) != nil { return true }
        // Beyond ASCII the same text may be written in several ways.
        return !secret.utf8.allSatisfy { $0 < 0x80 } && text.contains(secret)
    }

    /// Passwords of URLs: what stands between `:` and `@` before the path, also for several hosts
    /// (`rabbit://a:b@c,d:e@f/`).
    private static func withoutUserInfo(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "@")), let scheme = text.firstByteRange(of: "://") else {
            return text
        }
        let start = scheme.upperBound
        // The authority ends at the path or at a blank; a `/` inside a password is cut too much, never too little.
        let rest = text[start...]
        let end = rest.firstIndex { $0 == " " || $0 == "\"" || $0 == "'" || $0.isNewline } ?? text.endIndex
        guard let lastAt = rest[..<end].lastIndex(of: "@") else {
            return String(text[..<start]) + withoutUserInfo(String(rest))
        }
        var result = String(text[..<start])
        for (index, part) in text[start...lastAt].split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            if index > 0 { result += "," }
            guard let at = part.lastIndex(of: "@") else {
                // A comma inside a password: no host, so nothing of it is shown.
                result += "***"
                continue
            }
            let user = part[..<at].prefix { $0 != ":" }
            result += user.count < part[..<at].count ? "\(user):***@" : "\(user)@"
            result += part[part.index(after: at)...]
        }
        return result + withoutUserInfo(String(text[text.index(after: lastAt)...]))
    }
}
