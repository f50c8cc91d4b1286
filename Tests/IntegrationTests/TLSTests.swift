import AMQP
import FoundationEssentials
import Support
import Testing

/// TLS with an authority made for the test.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct TLSTests {
    /// A folder with `ca.pem`, `other-ca.pem`, and certificates with keys: `address` (names 127.0.0.1), `name` (names
    /// localhost), `client`.
    private func authority() async throws -> String {
        let folder = "\(environmentTemporary())/\(TestBroker.unique("updraft-tls"))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let script = """
            set -e; cd "$1"
            for ca in ca other-ca; do
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$ca" \
                    -keyout $ca.key -out $ca.pem
            done
            issue() {
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout $1.key -out $1.csr
                printf '%s' "$2" > $1.ext
                openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $1.ext -out $1.pem
            }
            issue address subjectAltName=IP:127.0.0.1
            issue name subjectAltName=DNS:localhost
            issue client extendedKeyUsage=clientAuth
            """
        let result = try await Command.run(["bash", "-c", script, "bash", folder])
        guard result.status == 0 else { throw Failure(result.output) }
        return folder
    }

    private func configuration(_ folder: String, certificate: String, port: Int) -> String {
        """
        listeners.ssl.local = 127.0.0.1:\(port)
        ssl_options.cacertfile = \(folder)/ca.pem
        ssl_options.certfile = \(folder)/\(certificate).pem
        ssl_options.keyfile = \(folder)/\(certificate).key
        ssl_options.verify = verify_peer
        ssl_options.fail_if_no_peer_cert = true

        """
    }

    private func settings(_ host: String, _ port: Int, _ tls: AMQPTLS) throws -> AMQPSettings {
        var settings = try TestBroker.settings("rabbits://guest:guest@\(host):\(port)/")
        settings.tls = tls
        settings.connectTimeout = .seconds(5)
        return settings
    }

    private func code(_ host: String, _ port: Int, _ tls: AMQPTLS) async throws -> AMQPError.Code? {
        let settings = try settings(host, port, tls)
        return await failure { try await OneShot.check(settings) }?.code
    }

    @Test func `Certificate for an address`() async throws {
        let folder = try await authority()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let port = Int.random(in: 16_000..<19_999)
        try await OwnBroker.with(configuration: configuration(folder, certificate: "address", port: port)) { _ in
            let full = AMQPTLS(
                caFile: "\(folder)/ca.pem", certificateFile: "\(folder)/client.pem", keyFile: "\(folder)/client.key")
            // Messages go through.
            let topology = Topology(queues: [.init("q")])
            let publisher = try Publisher(settings: try settings("127.0.0.1", port, full), topology: topology)
            let message = OutgoingMessage(exchange: "", routingKey: "q", body: [1], mandatory: true)
            try await publisher.publish(Array(repeating: message, count: 500))
            let consumer = try Consumer(settings: try settings("127.0.0.1", port, full), queue: "q", prefetch: 100)
            #expect(await consumer.take(500).count == 500)
            await consumer.close()
            await publisher.close()

            // The certificate names the address, not the name that leads to it.
            #expect(try await code("localhost", port, full) == .tls)
            var lax = full
            lax.verifyHost = false
            #expect(try await code("localhost", port, lax) == nil)
            // Without the check of the host the chain still counts.
            lax.caFile = "\(folder)/other-ca.pem"
            #expect(try await code("127.0.0.1", port, lax) == .tls)
            // The broker demands a client certificate.
            let anonymous = AMQPTLS(caFile: "\(folder)/ca.pem")
            let refused = try await code("127.0.0.1", port, anonymous)
            #expect(refused == .tls || refused == .connection)
            // The system's authorities do not know ours.
            #expect(try await code("127.0.0.1", port, AMQPTLS()) == .tls)
            // A key that does not belong to the certificate.
            var mismatch = full
            mismatch.keyFile = "\(folder)/name.key"
            #expect(try await code("127.0.0.1", port, mismatch) == .tls)
        }
    }

    @Test func `Certificate for a name`() async throws {
        let folder = try await authority()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let port = Int.random(in: 16_000..<19_999)
        try await OwnBroker.with(configuration: configuration(folder, certificate: "name", port: port)) { _ in
            let full = AMQPTLS(
                caFile: "\(folder)/ca.pem", certificateFile: "\(folder)/client.pem", keyFile: "\(folder)/client.key")
            let byName = try await code("localhost", port, full)
            let byAddress = try await code("127.0.0.1", port, full)
            #expect(byName == nil)
            #expect(byAddress == .tls)
        }
    }
}
