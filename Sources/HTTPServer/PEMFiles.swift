import Glibc

/// The contents of a server's PEM files. The library wants text, and says nothing useful about a missing file.
struct PEMFiles {
    let key: [CChar]
    let certificate: [CChar]
    let clientCA: [CChar]?

    init(_ tls: ServerTLS) throws(HTTPServerError) {
        certificate = try Self.read(tls.certificateFile)
        key = try Self.read(tls.keyFile)
        clientCA = try tls.clientCAFile.map { name throws(HTTPServerError) in try Self.read(name) }
    }

    private static func read(_ name: String) throws(HTTPServerError) -> [CChar] {
        guard let file = fopen(name, "re") else {
            throw HTTPServerError(.tls, "cannot read \(name): \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        // A chain of certificates is a few kilobytes; whatever is larger is not one.
        var text = [CChar](repeating: 0, count: 1 << 20)
        let count = fread(&text, 1, text.count - 1, file)
        guard count > 0, count < text.count - 1 else {
            throw HTTPServerError(.tls, "cannot use \(name): empty, unreadable or larger than 1 MiB")
        }
        return Array(text[0...count])
    }

    static func withCStrings<Result>(
        _ files: PEMFiles?,
        _ body: (UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> Result
    ) -> Result {
        guard let files else { return body(nil, nil, nil) }
        return files.key.withUnsafeBufferPointer { key in
            files.certificate.withUnsafeBufferPointer { certificate in
                guard let clientCA = files.clientCA else { return body(key.baseAddress, certificate.baseAddress, nil) }
                return clientCA.withUnsafeBufferPointer {
                    body(key.baseAddress, certificate.baseAddress, $0.baseAddress)
                }
            }
        }
    }
}
