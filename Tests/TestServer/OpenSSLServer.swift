import Glibc

/// A child process with its standard output on a pipe; killed with its owner.
public final class ChildProcess {
    private let pid: pid_t
    private let output: Int32
    private var buffer: [UInt8] = []

    /// Runs `script` by the shell, which should `exec` a long-running program so that the kill reaches it.
    public init?(_ script: String) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)
        // Sockets and pipes of tests that run beside this one must not stay open in the child. (closefrom is not in
        // the Glibc module; bash, unlike dash, can close descriptors above 9.)
        let script = "for fd in $(ls /proc/$$/fd); do [ $fd -lt 3 ] || eval \"exec $fd>&-\"; done; " + script
        var arguments: [UnsafeMutablePointer<CChar>?] =
            ["/bin/bash", "-c", script].map { (text: String) in strdup(text) } + [nil]
        defer { arguments.forEach { free($0) } }
        var pid = pid_t()
        let code = posix_spawn(&pid, "/bin/bash", &actions, nil, &arguments, environ)
        close(ends[1])
        guard code == 0 else {
            close(ends[0])
            return nil
        }
        self.pid = pid
        output = ends[0]
    }

    deinit {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        close(output)
    }

    /// The next line of its output, line end removed; nil at the end.
    public func line() -> String? {
        while true {
            if let end = buffer.firstIndex(of: 10) {
                defer { buffer.removeFirst(end + 1) }
                return String(decoding: buffer[..<end], as: UTF8.self)
            }
            var chunk = [UInt8](repeating: 0, count: 4_096)
            let count = read(output, &chunk, chunk.count)
            guard count > 0 else { return nil }
            buffer += chunk[..<count]
        }
    }
}

/// A folder with a certificate authority, a server certificate for 127.0.0.1 and updraft.test, a client certificate, and
/// another authority that has signed nothing. Made by the openssl program, removed with its owner.
public final class Certificates {
    /// Where its files are.
    public let folder: String

    /// Nil when they cannot be made.
    public init?() {
        var name = Array("/tmp/updraft-tls-XXXXXX".utf8CString)
        guard mkdtemp(&name) != nil else { return nil }
        folder = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let script = """
            set -e; cd \(folder)
            for ca in ca other; do
              openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                -subj "/CN=$ca" -keyout $ca.key -out $ca.pem
            done
            sign() {
              openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
                -keyout $1.key -out $1.csr
              printf '%s\\n' "$2" > $1.ext
              openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $1.ext -out $1.pem
            }
            sign server subjectAltName=IP:127.0.0.1,DNS:updraft.test
            sign named subjectAltName=DNS:updraft.test
            sign client extendedKeyUsage=clientAuth
            cat client.pem client.key > client-both.pem
            echo made
            """
        guard let process = ChildProcess(script) else { return nil }
        var isMade = false
        while let line = process.line() { isMade = isMade || line == "made" }
        guard isMade else { return nil }
    }

    deinit {
        _ = ChildProcess("exec rm -rf \(folder)").map { while $0.line() != nil {} }
    }

    /// Path of a file in it.
    public func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// What is in a file of it.
    public func data(_ name: String) -> [UInt8] {
        guard let file = fopen(path(name), "re") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes[..<count])
    }
}

/// `openssl s_server` that answers any GET with a status page.
public final class OpenSSLServer {
    /// `https://127.0.0.1:<port>`
    public let url: String
    private let process: ChildProcess

    /// - Parameter options: added to the command line, e.g. to demand a client certificate.
    public init?(_ certificates: Certificates, certificate: String = "server", options: String = "") {
        let files = "-cert \(certificates.path(certificate)).pem -key \(certificates.path(certificate)).key"
        guard let process = ChildProcess("exec openssl s_server -4 -accept 127.0.0.1:0 -www \(files) \(options)") else {
            return nil
        }
        while let line = process.line() {
            guard line.hasPrefix("ACCEPT "), let port = line.split(separator: ":").last else { continue }
            url = "https://127.0.0.1:\(port)"
            self.process = process
            return
        }
        return nil
    }
}
