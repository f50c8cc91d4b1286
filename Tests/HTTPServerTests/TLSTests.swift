import Glibc
import HTTPClient
import Testing

@testable import HTTPServer

/// An authority, a server's and a client's certificate in a folder of their own, made by the openssl program.
private final class Certificates {
    let folder: String

    init() throws {
        var template = Array("/tmp/updraft-tls-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        let script = """
            cd \(folder) && exec >log 2>&1
            openssl req -x509 \(key) -days 2 -subj /CN=authority -keyout ca.key -out ca.pem || exit 1
            for name in server client; do
              openssl req \(key) -subj /CN=$name -keyout $name.key -out $name.csr || exit 1
              printf 'subjectAltName=IP:127.0.0.1' >$name.ext
              openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext \
                -out $name.pem || exit 1
            done
            """
        try #require(system(script) == 0, "openssl made no certificates")
    }

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    deinit { _ = system("rm -rf \(folder)") }
}

@Suite struct ServerTLSTests {
    private func get(_ server: HTTPServer, _ tls: TLSSettings) async throws -> (status: Int, body: String) {
        let client = HTTPClient(tls: tls, userAgent: "test")
        let answer: Result<HTTPResponse, HTTPError>
        do throws(HTTPError) {
            answer = .success(try await client.send(HTTPRequest(.get, "https://127.0.0.1:\(server.port)/x")))
        } catch {
            answer = .failure(error)
        }
        await client.close()
        let response = try answer.get()
        return (response.status, String(decoding: response.body, as: UTF8.self))
    }

    @Test func aClientThatTrustsTheAuthorityGetsItsAnswer() async throws {
        let certificates = try Certificates()
        let server = try HTTPServer(
            tls: ServerTLS(certificateFile: certificates.path("server.pem"), keyFile: certificates.path("server.key"))
        ) { request in
            await Task.yield()
            return .response(.text("hello \(request.path)"))
        }
        defer { server.stop() }
        #expect(try await get(server, TLSSettings(caFile: certificates.path("ca.pem"))) == (200, "hello /x"))
        await #expect(throws: HTTPError.self) { try await get(server, TLSSettings()) }
    }

    @Test func aServerMayAskForACertificate() async throws {
        let certificates = try Certificates()
        let server = try HTTPServer(
            tls: ServerTLS(
                certificateFile: certificates.path("server.pem"), keyFile: certificates.path("server.key"),
                clientCAFile: certificates.path("ca.pem"))
        ) { request in .response(.text(request.clientSubject ?? "nobody")) }
        defer { server.stop() }
        let ca = certificates.path("ca.pem")
        let known = TLSSettings(
            caFile: ca, clientCertificateFile: certificates.path("client.pem"),
            clientKeyFile: certificates.path("client.key"))
        #expect(try await get(server, known) == (200, "CN=client"))
        #expect(try await get(server, TLSSettings(caFile: ca)).status == 401)
        // One that another authority vouches for is none.
        let others = try Certificates()
        let stranger = TLSSettings(
            caFile: ca, clientCertificateFile: others.path("client.pem"), clientKeyFile: others.path("client.key"))
        let answer = try? await get(server, stranger)
        #expect(answer == nil || answer?.status == 401)
    }

    @Test func aKeyThatDoesNotFitIsNamed() throws {
        let certificates = try Certificates()
        let error = #expect(throws: HTTPServerError.self) {
            _ = try HTTPServer(
                tls: ServerTLS(certificateFile: certificates.path("ca.key"), keyFile: certificates.path("server.pem"))
            ) { _ in .hangUp }
        }
        #expect(error?.code == .tls)
    }
}
