import CYAML

/// Turns libyaml's events into the tree.
struct YAMLBuilder: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let file: String

    private init(parser: UnsafeMutablePointer<yaml_parser_t>, file: String) {
        self.parser = parser
        self.file = file
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    static func build(_ bytes: [UInt8], file: String) throws(YAMLError) -> YAMLNode {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw YAMLError(file: file, position: nil, what: "out of memory")
        }
        let builder = YAMLBuilder(parser: parser, file: file)
        // The library keeps a pointer to the text, so all of the parsing happens inside. The closure cannot throw
        // typed, hence the result.
        let result = bytes.withUnsafeBufferPointer { text -> Result<YAMLNode, YAMLError> in
            // An empty array may have no address, which the library does not allow.
            guard let start = text.baseAddress, !text.isEmpty else { return .success(Self.nothing) }
            yaml_parser_set_input_string(parser, start, text.count)
            do throws(YAMLError) { return .success(try builder.document()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private static let nothing = YAMLNode.scalar(
        YAMLScalar(text: "", isPlain: true, position: YAMLPosition(line: 1, column: 1)))

    private func document() throws(YAMLError) -> YAMLNode {
        var root: YAMLNode?
        while true {
            let event = try next()
            switch event.kind {
            case .streamStart, .documentEnd, .ignored: continue
            case .streamEnd: return root ?? Self.nothing
            case .documentStart:
                guard root == nil else { throw failure(event.position, "a second document: only one is allowed") }
                root = try node(try next(), depth: 1)
            default: throw failure(event.position, "unexpected content")
            }
        }
    }

    private func node(_ event: Event, depth: Int) throws(YAMLError) -> YAMLNode {
        guard depth <= YAML.maximumDepth else {
            throw failure(event.position, "nested deeper than \(YAML.maximumDepth) levels")
        }
        switch event.kind {
        case .scalar(let text, let isPlain):
            return .scalar(YAMLScalar(text: text, isPlain: isPlain, position: event.position))
        case .sequenceStart:
            var items: [YAMLNode] = []
            while true {
                let item = try next()
                if case .sequenceEnd = item.kind { break }
                items.append(try node(item, depth: depth + 1))
            }
            return .sequence(YAMLSequence(items: items, position: event.position))
        case .mappingStart:
            return .mapping(try mapping(event.position, depth: depth))
        default:
            throw failure(event.position, "unexpected content")
        }
    }

    private func mapping(_ position: YAMLPosition, depth: Int) throws(YAMLError) -> YAMLMapping {
        var entries: [YAMLMapping.Entry] = []
        var lines: [String: Int] = [:]
        while true {
            let key = try next()
            if case .mappingEnd = key.kind { break }
            guard case .scalar(let name, _) = key.kind else { throw failure(key.position, "a key must be text") }
            if let line = lines.updateValue(key.position.line, forKey: name) {
                throw failure(key.position, "duplicate key \(quoted(name)): already on line \(line)")
            }
            let value = try node(try next(), depth: depth + 1)
            entries.append(YAMLMapping.Entry(key: name, keyPosition: key.position, value: value))
        }
        return YAMLMapping(entries: entries, position: position)
    }

    /// The name in quotes, cut if somebody used a novel as a key.
    private func quoted(_ name: String) -> String {
        "\"" + name.prefix(100) + "\""
    }

    private func failure(_ position: YAMLPosition, _ what: String) -> YAMLError {
        YAMLError(file: file, position: position, what: what)
    }

    // MARK: Events

    private struct Event {
        enum Kind {
            case streamStart, streamEnd, documentStart, documentEnd
            case scalar(String, isPlain: Bool)
            case sequenceStart, sequenceEnd, mappingStart, mappingEnd
            case ignored
        }

        let kind: Kind
        let position: YAMLPosition
    }

    /// The next event, copied; the library's is freed before this returns.
    private func next() throws(YAMLError) -> Event {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw syntaxError() }
        defer { yaml_event_delete(&raw) }
        let position = Self.position(raw.start_mark)
        switch raw.type {
        case YAML_STREAM_START_EVENT: return Event(kind: .streamStart, position: position)
        case YAML_STREAM_END_EVENT: return Event(kind: .streamEnd, position: position)
        case YAML_DOCUMENT_START_EVENT: return Event(kind: .documentStart, position: position)
        case YAML_DOCUMENT_END_EVENT: return Event(kind: .documentEnd, position: position)
        case YAML_ALIAS_EVENT:
            throw failure(position, "aliases are not supported: write the value out")
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            let isString = try tag(scalar.tag, position, allowed: ["str", "int", "float", "bool", "null"]) == "str"
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            guard let text = String(validating: bytes, as: UTF8.self) else { throw failure(position, "not UTF-8") }
            return Event(
                kind: .scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE && !isString), position: position)
        case YAML_SEQUENCE_START_EVENT:
            _ = try tag(raw.data.sequence_start.tag, position, allowed: ["seq"])
            return Event(kind: .sequenceStart, position: position)
        case YAML_SEQUENCE_END_EVENT: return Event(kind: .sequenceEnd, position: position)
        case YAML_MAPPING_START_EVENT:
            _ = try tag(raw.data.mapping_start.tag, position, allowed: ["map"])
            return Event(kind: .mappingStart, position: position)
        case YAML_MAPPING_END_EVENT: return Event(kind: .mappingEnd, position: position)
        default: return Event(kind: .ignored, position: position)
        }
    }

    /// The short name of a core tag (`!!str` → `str`), `!` (which means text) included; nil without one.
    private func tag(
        _ tag: UnsafeMutablePointer<yaml_char_t>?, _ position: YAMLPosition, allowed: Set<String>
    ) throws(YAMLError) -> String? {
        guard let tag else { return nil }
        let text = String(cString: tag)
        if text == "!" { return "str" }
        let prefix = "tag:yaml.org,2002:"
        guard text.hasPrefix(prefix), allowed.contains(String(text.dropFirst(prefix.count))) else {
            throw failure(position, "the tag \(quoted(text)) is not supported")
        }
        return String(text.dropFirst(prefix.count))
    }

    private func syntaxError() -> YAMLError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
        let context = parser.pointee.context.map { " (\(String(cString: $0)))" } ?? ""
        // A reader error (bad UTF-8, control characters) has an offset, but no mark.
        let position =
            parser.pointee.error == YAML_READER_ERROR
            ? Self.position(parser.pointee.mark) : Self.position(parser.pointee.problem_mark)
        return failure(position, problem + context)
    }

    private static func position(_ mark: yaml_mark_t) -> YAMLPosition {
        YAMLPosition(line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1)
    }
}
