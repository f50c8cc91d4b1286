import Messages
import Support

extension SettingsReader {
    // MARK: Text

    /// Text that is never absent.
    func text(_ name: String, default fallback: String, _ doc: String) -> String {
        field(name, "text", default: fallback, shown: fallback, doc, read: Self.text)
    }

    /// Text that may be absent.
    func text(_ name: String, _ doc: String) -> String? {
        field(name, "text", default: nil, shown: "", doc) { node throws(Refusal) in try Self.text(node) }
    }

    /// Text without which the configuration is no use; empty if it is missing, which is a mistake then.
    func requiredText(_ name: String, _ doc: String) -> String {
        let value = field(name, "text", default: nil as String?, shown: nil, doc) { node throws(Refusal) in
            let text = try Self.text(node)
            guard !text.isEmpty else { throw Refusal("is empty") }
            return text
        }
        if value == nil, node(name) == nil { mistake(name, "is missing", allowed: "text") }
        return value ?? ""
    }

    /// A name that goes into routing keys, queue names and metric labels; empty if it is missing, which is a mistake.
    func identifier(_ name: String, _ doc: String) -> String {
        let allowed = "1 to 63 of a-z, A-Z, 0-9, - and _"
        let value = field(name, allowed, default: nil as String?, shown: nil, doc) { node throws(Refusal) in
            let text = try Self.text(node)
            let valid = text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122, 45, 95: true
                default: false
                }
            }
            guard valid, (1...63).contains(text.utf8.count) else {
                throw Refusal("\(Self.quoted(text)) cannot be used")
            }
            return text
        }
        if value == nil, node(name) == nil { mistake(name, "is missing", allowed: allowed) }
        return value ?? ""
    }

    /// A file or folder; relative ones start at the configuration file's folder.
    func path(_ name: String, _ doc: String) -> String? {
        field(name, "path", default: nil, shown: "", doc) { node throws(Refusal) in
            let text = try Self.text(node)
            guard !text.isEmpty else { throw Refusal("is empty") }
            return absolute(text)
        }
    }

    func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : log.folder.isEmpty ? path : "\(log.folder)/\(path)"
    }

    /// A list of texts; an override may also be written `a,b`.
    func texts(_ name: String, default fallback: [String] = [], _ doc: String) -> [String] {
        field(name, "list of text", default: fallback, shown: "[\(fallback.joined(separator: ", "))]", doc) {
            node throws(Refusal) in
            if case .list(let items) = node.content {
                var texts: [String] = []
                for item in items { texts.append(try Self.text(item)) }
                return texts
            }
            return try Self.text(node).split(separator: ",").map { String($0.drop { $0 == " " }) }
        }
    }

    /// One of an enumeration's raw values.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, default fallback: Choice, _ doc: String
    ) -> Choice where Choice.RawValue == String {
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        return field(name, names, default: fallback, shown: fallback.rawValue, doc) { node throws(Refusal) in
            let text = try Self.text(node)
            guard let choice = Choice(rawValue: text) else { throw Refusal("is \(Self.quoted(text))") }
            return choice
        }
    }

    /// A list of an enumeration's raw values; an override may also be written `a,b`. Not empty.
    func choices<Choice: RawRepresentable & CaseIterable>(
        _ name: String, default fallback: [Choice], _ doc: String
    ) -> [Choice] where Choice.RawValue == String {
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        let shown = "[\(fallback.map(\.rawValue).joined(separator: ", "))]"
        return field(name, "list of: \(names)", default: fallback, shown: shown, doc) { node throws(Refusal) in
            var texts: [String] = []
            if case .list(let items) = node.content {
                for item in items { texts.append(try Self.text(item)) }
            } else {
                texts = try Self.text(node).split(separator: ",").map { String($0.drop { $0 == " " }) }
            }
            var choices: [Choice] = []
            for text in texts {
                guard let choice = Choice(rawValue: text) else { throw Refusal("has \(Self.quoted(text))") }
                choices.append(choice)
            }
            guard !choices.isEmpty else { throw Refusal("is empty") }
            return choices
        }
    }

    // MARK: Numbers

    /// `true` or `false`.
    func flag(_ name: String, default fallback: Bool, _ doc: String) -> Bool {
        field(name, "true or false", default: fallback, shown: String(fallback), doc) { node throws(Refusal) in
            guard let value = node.scalar?.bool else { throw Refusal(Self.shown(node)) }
            return value
        }
    }

    /// A whole number.
    func count(_ name: String, default fallback: Int, in range: ClosedRange<Int>, _ doc: String) -> Int {
        field(name, Self.bounds("whole number", range), default: fallback, shown: String(fallback), doc) {
            node throws(Refusal) in
            guard let value = node.scalar?.int, range.contains(value) else { throw Refusal(Self.shown(node)) }
            return value
        }
    }

    /// A whole number that may be absent.
    func count(_ name: String, in range: ClosedRange<Int>, _ doc: String) -> Int? {
        field(name, Self.bounds("whole number", range), default: nil, shown: "", doc) { node throws(Refusal) in
            guard let value = node.scalar?.int, range.contains(value) else { throw Refusal(Self.shown(node)) }
            return value
        }
    }

    /// A number.
    func number(_ name: String, default fallback: Double, in range: ClosedRange<Double>, _ doc: String) -> Double {
        number(name, shown: Self.plain(fallback), in: range, doc) ?? fallback
    }

    /// A number that may be absent.
    func number(_ name: String, in range: ClosedRange<Double>, _ doc: String) -> Double? {
        number(name, shown: "", in: range, doc)
    }

    private func number(_ name: String, shown: String, in range: ClosedRange<Double>, _ doc: String) -> Double? {
        let bounds =
            range.upperBound < 1e15
            ? "number, \(Self.plain(range.lowerBound)) … \(Self.plain(range.upperBound))"
            : "number, at least \(Self.plain(range.lowerBound))"
        return field(name, bounds, default: nil, shown: shown, doc) { node throws(Refusal) in
            guard let value = node.scalar?.double, range.contains(value) else { throw Refusal(Self.shown(node)) }
            return value
        }
    }

    // MARK: Units

    /// A length of time.
    func interval(
        _ name: String, default fallback: Interval, in range: ClosedRange<Interval> = .zero ... .seconds(31_536_000),
        _ doc: String
    ) -> Interval {
        interval(name, shown: Units.text(fallback), in: range, doc) ?? fallback
    }

    /// A length of time that may be absent.
    func interval(
        _ name: String, in range: ClosedRange<Interval> = .zero ... .seconds(31_536_000), _ doc: String
    ) -> Interval? {
        interval(name, shown: "", in: range, doc)
    }

    private func interval(
        _ name: String, shown: String, in range: ClosedRange<Interval>, _ doc: String
    ) -> Interval? {
        let bounds = "\(Units.text(range.lowerBound)) … \(Units.text(range.upperBound))"
        return field(name, "length of time (`ms`, `s`, `m`, `h`, `d`), \(bounds)", default: nil, shown: shown, doc) {
            node throws(Refusal) in
            let text = try Self.text(node)
            guard let value = Units.interval(text) else {
                throw Refusal(
                    node.scalar?.double == nil ? "\(Self.quoted(text)) is no length of time" : "\(text) has no unit")
            }
            guard range.contains(value) else { throw Refusal("is \(text)") }
            return value
        }
    }

    /// A number of bytes.
    func bytes(_ name: String, default fallback: Int, in range: ClosedRange<Int>, _ doc: String) -> Int {
        let bounds = "\(Units.text(bytes: range.lowerBound)) … \(Units.text(bytes: range.upperBound))"
        return field(
            name, "bytes (`KiB`, `MiB`, `GiB`), \(bounds)", default: fallback, shown: Units.text(bytes: fallback), doc
        ) { node throws(Refusal) in
            let text = try Self.text(node)
            guard let value = Units.bytes(text), range.contains(value) else { throw Refusal("is \(Self.quoted(text))") }
            return value
        }
    }

    /// CPU as Kubernetes writes it, in thousandths of a core; nil if absent.
    func cpuMillis(_ name: String, _ doc: String) -> Int64? {
        quantity(name, "cpu quantity (`500m`, `4`)", doc, parse: Quantity.millis)
    }

    /// A quantity as Kubernetes writes it, in whole units; nil if absent.
    func quantity(_ name: String, _ doc: String) -> Int64? {
        quantity(name, "quantity (`512Mi`, `8Gi`, `110`)", doc, parse: Quantity.units)
    }

    private func quantity(_ name: String, _ type: String, _ doc: String, parse: (String) -> Int64?) -> Int64? {
        field(name, type, default: nil, shown: "", doc) { node throws(Refusal) in
            let text = try Self.text(node)
            guard let value = parse(text), value >= 0 else { throw Refusal("is \(Self.quoted(text))") }
            return value
        }
    }

    // MARK: Mappings

    /// Names and values that are not known beforehand.
    func table<Value>(
        _ name: String, _ type: String, _ doc: String, parse: (String) -> Value?
    ) -> [String: Value] {
        declare(name, "mapping of \(type)", fallback: "{}", doc)
        guard let node = node(name) else { return [:] }
        guard case .map(let entries) = node.content else {
            mistake(name, "is \(node.kind)", allowed: "mapping of \(type)")
            return [:]
        }
        var table: [String: Value] = [:]
        for entry in entries {
            if let text = entry.node.text ?? (entry.node.isNull ? "" : nil), let value = parse(text) {
                table[entry.key] = value
            } else {
                log.mistakes.append(
                    SettingsMistake(
                        origin: entry.origin, path: "\(path(name)).\(entry.key)",
                        what: "is \(entry.node.text.map { Self.quoted($0) } ?? entry.node.kind)", allowed: type))
            }
        }
        return table
    }

    /// Names with texts: labels.
    func texts(of name: String, _ doc: String) -> [String: String] {
        table(name, "text", doc) { $0 }
    }

    // MARK: Addresses

    /// `host:port` to listen on; nil if absent.
    func listen(_ name: String, shown: String = "", _ doc: String) -> ListenAddress? {
        field(name, "IP address and port (`127.0.0.1:8080`, `[::]:8080`)", default: nil, shown: shown, doc) {
            node throws(Refusal) in
            let text = try Self.text(node)
            guard let address = ListenAddress(text) else { throw Refusal("is \(Self.quoted(text))") }
            return address
        }
    }

    // MARK: In messages

    private static func shown(_ node: SettingNode) -> String {
        "is " + (node.text.map { quoted($0) } ?? node.kind)
    }

    private static func bounds(_ type: String, _ range: ClosedRange<Int>) -> String {
        if range == Int.min...Int.max { return type }
        if range.upperBound == .max { return "\(type), at least \(range.lowerBound)" }
        return "\(type), \(range.lowerBound) … \(range.upperBound)"
    }

    private static func plain(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
    }
}
