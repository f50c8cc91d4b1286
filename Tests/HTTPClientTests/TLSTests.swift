import Glibc
import Support
import TestServer
import Testing

@testable import HTTPClient

@Suite("TLS")
struct TLSTests {
    let certificates: Certificates

    init() throws {
        certificates = try #require(Certificates(), "the openssl program made no certificates")
    }

    private func status(_ server: OpenSSLServer, _ tls: TLSSettings) async throws(HTTPError) -> Int {
        try await HTTPClient(tls: tls).send(HTTPRequest(.get, server.url)).status
    }

    @Test("A private authority is trusted from a file and from memory")
    func privateAuthority() async throws {
        let server = try #require(OpenSSLServer(certificates))
        #expect(try await status(server, TLSSettings(caFile: certificates.path("ca.pem"))) == 200)
        #expect(try await status(server, TLSSettings(caData: certificates.data("ca.pem"))) == 200)
    }

    @Test("An unknown authority is refused, from a file, from memory and by default; unless told to look away")
    func unknownAuthority() async throws {
        let server = try #require(OpenSSLServer(certificates))
        for settings in [
            TLSSettings(), TLSSettings(caFile: certificates.path("other.pem")),
            TLSSettings(caData: certificates.data("other.pem")),
        ] {
            let error = await failure { () async throws(HTTPError) in try await status(server, settings) }
            #expect(error?.code == .tls)
            #expect(error?.isRetriable == false)
            #expect(error?.isUnsent == true)
        }
        #expect(try await status(server, TLSSettings(insecureSkipVerify: true)) == 200)
    }

    @Test("A certificate for another name is refused; the server name in the settings decides")
    func serverName() async throws {
        let server = try #require(OpenSSLServer(certificates, certificate: "named"))
        let ca = certificates.path("ca.pem")
        let error = await failure { () async throws(HTTPError) in try await status(server, TLSSettings(caFile: ca)) }
        #expect(error?.code == .tls)
        #expect(try await status(server, TLSSettings(caFile: ca, serverName: "updraft.test")) == 200)
        let wrong = await failure { () async throws(HTTPError) in
            try await status(server, TLSSettings(caFile: ca, serverName: "elsewhere.test"))
        }
        #expect(wrong?.code == .tls)
    }

    @Test("A client certificate proves who asks, from files, one file, and memory")
    func clientCertificate() async throws {
        let server = try #require(
            OpenSSLServer(
                certificates, options: "-CAfile \(certificates.path("ca.pem")) -Verify 2 -verify_return_error"))
        let ca = certificates.path("ca.pem")
        for settings in [
            TLSSettings(
                caFile: ca, clientCertificateFile: certificates.path("client.pem"),
                clientKeyFile: certificates.path("client.key")),
            TLSSettings(caFile: ca, clientCertificateFile: certificates.path("client-both.pem")),
            TLSSettings(
                caFile: ca, clientCertificateData: certificates.data("client.pem"),
                clientKeyData: certificates.data("client.key")),
            TLSSettings(caFile: ca, clientCertificateData: certificates.data("client-both.pem")),
        ] {
            #expect(try await status(server, settings) == 200)
        }
        let without = await failure { () async throws(HTTPError) in try await status(server, TLSSettings(caFile: ca)) }
        #expect(without != nil)
    }

    @Test("A file that is not there is named")
    func missingFiles() async throws {
        let server = try #require(OpenSSLServer(certificates))
        let nowhere = "/nonexistent/updraft.pem"
        for settings in [
            TLSSettings(caFile: nowhere),
            TLSSettings(caFile: certificates.path("ca.pem"), clientCertificateFile: nowhere),
        ] {
            let error = await failure { () async throws(HTTPError) in try await status(server, settings) }
            #expect(error?.code == .tls)
            #expect(error?.detail.contains(nowhere) == true, "\(String(describing: error))")
        }
    }

    @Test("Settings never show the key")
    func description() {
        let settings = TLSSettings(clientCertificateData: Array("PUBLIC".utf8), clientKeyData: Array("SECRET".utf8))
        for text in ["\(settings)", String(reflecting: settings)] {
            #expect(!text.contains("SECRET") && !text.contains("83, 69"))
        }
    }

    /// Debian has it in sbin, which is not in everybody's PATH.
    private static let http2Server = ["/usr/sbin/nghttpd", "/usr/bin/nghttpd"].first { (path: String) in
        access(path, X_OK) == 0
    }

    @Test(
        "HTTP/2: many requests share one connection",
        .enabled(
            if: TLSTests.http2Server != nil,
            "SKIPPED: no HTTP/2 server here (Debian package nghttp2-server)"))
    func http2() async throws {
        let program = try #require(TLSTests.http2Server)
        let files = "\(certificates.path("server.key")) \(certificates.path("server.pem"))"
        // Its log goes to a file: an unread pipe would fill up and stop it.
        let log = certificates.path("log")
        let client = HTTPClient(tls: TLSSettings(caFile: certificates.path("ca.pem")))
        var server: ChildProcess?
        var request = HTTPRequest(.get, "")
        // A port that was free may be somebody else's by the time the server asks for it: then another one.
        for attempt in 1...5 {
            let port = try freePort()
            let started = ChildProcess(
                "exec \(program) -v -a 127.0.0.1 -d \(certificates.folder) \(port) \(files) > \(log) 2>&1")
            server = started
            request = HTTPRequest(
                .get, "https://127.0.0.1:\(port)/ca.pem",
                retry: RetryPolicy(attempts: 50, backoff: Backoff(first: .milliseconds(50), cap: .milliseconds(200))))
            do {
                #expect(try await client.send(request).body == certificates.data("ca.pem"))
                break
            } catch {
                let said = String(decoding: certificates.data("log"), as: UTF8.self)
                if attempt == 5 { Issue.record("\(error); the server said: \(said.suffix(500))") }
            }
        }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<100 { group.addTask { [request] in try await client.send(request).status } }
            for try await status in group { #expect(status == 200) }
        }
        await client.close()
        // The log numbers the connections: "[id=1] [  0.002] recv HEADERS frame".
        var lines: [Substring] = []
        repeat {
            lines = String(decoding: certificates.data("log"), as: UTF8.self).split(separator: "\n")
        } while !lines.contains { $0.contains("closed") }
        withExtendedLifetime(server) {}
        let connections = Set(lines.filter { $0.hasPrefix("[id=") }.map { $0.prefix { $0 != "]" } })
        #expect(connections.count == 1, "\(connections)")
    }

    private func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, size) == 0 && getsockname(descriptor, address, &size) == 0
            }
        }
        try #require(bound)
        return UInt16(bigEndian: address.sin_port)
    }
}
