import Support

/// A request target taken apart. libmicrohttpd's own decoding cuts at an encoded zero byte and lets bad UTF-8 through;
/// this one refuses both.
struct RequestTarget: Sendable {
    let text: String
    let path: String
    let query: [(name: String, value: String)]

    /// Nil when an escape is broken, decodes to a zero byte, or the result is not UTF-8.
    init?(_ text: String) {
        self.text = text
        var rest = text.utf8[...]
        if rest.first != UInt8(ascii: "/"), text != "*" {
            // The absolute form that proxies use: http://host/path
            guard let scheme = text.range(ofASCII: "://") else { return nil }
            rest = text.utf8[scheme...]
            rest = rest.firstIndex(of: UInt8(ascii: "/")).map { rest[$0...] } ?? "/".utf8[...]
        }
        let parts = rest.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let path = Self.decoded(first, plusIsSpace: false) else { return nil }
        self.path = path
        guard parts.count == 2 else {
            query = []
            return
        }
        var query: [(name: String, value: String)] = []
        for pair in parts[1].split(separator: UInt8(ascii: "&")) {
            let sides = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = sides.first.flatMap({ Self.decoded($0, plusIsSpace: true) }),
                let value = sides.count == 2 ? Self.decoded(sides[1], plusIsSpace: true) : ""
            else { return nil }
            query.append((name, value))
        }
        self.query = query
    }

    private static func decoded(_ bytes: Substring.UTF8View, plusIsSpace: Bool) -> String? {
        try? PercentEncoding.decode(Substring(bytes), plusIsSpace: plusIsSpace)
    }
}

extension String {
    /// Where the text after the first `needle` (ASCII) starts.
    fileprivate func range(ofASCII needle: StaticString) -> Index? {
        needle.withUTF8Buffer { wanted in
            var start = utf8.startIndex
            while start < utf8.endIndex {
                if utf8[start...].starts(with: wanted) { return utf8.index(start, offsetBy: wanted.count) }
                start = utf8.index(after: start)
            }
            return nil
        }
    }
}
