import Glibc
import Support

extension SettingsReader {
    /// A secret: in the field itself, or in the file that `<name>_file` names. Nil if neither is there.
    func secret(_ name: String, default fallback: String? = nil, _ doc: String) -> Secret? {
        let inline = field(name, "text (secret)", default: nil as Secret?, shown: fallback ?? "", doc) {
            node throws(Refusal) in Secret(try Self.text(node))
        }
        let file = path("\(name)_file", "The same, read from a file at the start; a line break at its end is dropped.")
        if inline != nil, file != nil {
            mistake(name, "is given twice: here and by \(name)_file", allowed: "one of them")
            return inline
        }
        if let file { return secret(inFile: file, field: "\(name)_file") }
        return inline ?? fallback.map { Secret($0) }
    }

    /// The secret in a file. Nil and a mistake if it cannot be had; nil alone where it is another service's.
    func secret(inFile file: String, field: String) -> Secret? {
        guard !log.isDescribing, !isForeign(field) else { return nil }
        errno = 0
        guard var bytes = Self.content(file, limit: 65_536) else {
            mistake(
                field,
                errno == 0
                    ? "\(file) is larger than 64 KiB" : "\(file) cannot be read: \(String(cString: strerror(errno)))")
            return nil
        }
        while let last = bytes.last, last == 10 || last == 13 { bytes.removeLast() }
        guard !bytes.isEmpty, let text = String(validating: bytes, as: UTF8.self) else {
            mistake(field, "\(file) is empty or not UTF-8")
            return nil
        }
        return Secret(text)
    }

    /// The bytes of a file of at most `limit` bytes. Nil when it cannot be read (`errno` says why) or is larger.
    static func content(_ file: String, limit: Int) -> [UInt8]? {
        guard let handle = fopen(file, "re") else { return nil }
        defer { fclose(handle) }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        let count = fread(&bytes, 1, bytes.count, handle)
        guard ferror(handle) == 0, count <= limit else { return nil }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// The secret in a variable of the environment. Nil and a mistake if it is not there; nil alone where it is another
    /// service's.
    func secret(inVariable variable: String, field: String) -> Secret? {
        guard !isForeign(field) else { return nil }
        guard let value = log.environment[variable], !value.isEmpty else {
            mistake(field, "the environment has no \(variable)")
            return nil
        }
        return Secret(value)
    }
}
