import Glibc
import HTTPClient
import Settings
import Support
import Testing

/// Each service started as a plain process with exactly the environment of compose.yaml. Only what cannot be the same
/// outside a container is put in its place: the broker's address, the port, and the folder /etc/updraft.
@Suite(.serialized, .enabled(if: getenv("UPDRAFT_TEST_TRANSPORT_URL") != nil, "UPDRAFT_TEST_TRANSPORT_URL is not set"))
struct ServiceStartTests {
    /// What stands in for /etc/updraft: copies of the mounted files.
    private func folder(_ service: ComposeService, _ variables: [String: String]) throws -> String {
        var template = Array("/tmp/updraft-compose-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for (source, target) in try service.mounts(variables) {
            let text = try Project.text("compose/\(source.dropFirst(2))")
            let name = target.replacing("/etc/updraft/", with: "")
            let file = try #require(fopen("\(folder)/\(name)", "we"))
            fputs(text, file)
            fclose(file)
        }
        return folder
    }

    private func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let found = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        try #require(found)
        return UInt16(bigEndian: address.sin_port)
    }

    @Test(arguments: ComposeService.names)
    func aServiceStartsSaysHowItIsAndEnds(_ name: String) async throws {
        let service = try #require(ComposeService.all().first { $0.name == name })
        var environment = try Project.environment("compose/updraft.env")
        let folder = try folder(service, environment)
        defer {
            for file in ["updraft.yaml", "kubeconfig", "clouds.yaml", "log"] { unlink("\(folder)/\(file)") }
            rmdir(folder)
        }
        let health = "127.0.0.1:\(try freePort())"
        environment["UPDRAFT_BUS_TRANSPORT_URL"] = String(cString: try #require(getenv("UPDRAFT_TEST_TRANSPORT_URL")))
            .split(separator: "\n").joined()
        environment["UPDRAFT_CONFIG"] = "\(folder)/updraft.yaml"
        environment["UPDRAFT_HEALTH_LISTEN"] = health
        environment["UPDRAFT_NOTIFIER_LISTEN"] = "127.0.0.1:0"
        let log = "\(folder)/log"

        let process = try ServiceProcess(service.command, environment: environment, log: log)
        let client = HTTPClient(userAgent: "test")
        var alive = false
        for _ in 0..<300 where !alive && process.poll() == nil {
            alive = (try? await client.send(HTTPRequest(.get, "http://\(health)/healthz")).status) == 200
            if !alive { try await Task.sleep(for: .milliseconds(50)) }
        }
        let said = text(log)
        try #require(alive, "\(name) does not answer; it said: \(said.suffix(2_000))")

        // It reaches the broker; the example clusters do not exist, and it says so instead of ending.
        var connected = false
        for _ in 0..<300 where !connected {
            let answer = try await client.send(HTTPRequest(.get, "http://\(health)/readyz"))
            let body = String(decoding: answer.body, as: UTF8.self)
            connected = body.contains("\"bus\"") && !body.contains("\"bus\":")
            #expect(answer.status == 200 || body.hasPrefix(#"{"status":"not ready","failing":{""#))
            if !connected { try await Task.sleep(for: .milliseconds(50)) }
        }
        #expect(connected, "\(name) does not reach the broker; it said: \(text(log).suffix(2_000))")
        #expect(process.poll() == nil)

        // The container's health check, in the same environment.
        let check = try ServiceProcess(
            Array(service.healthCheck.dropFirst()), environment: environment, log: "\(log).check")
        defer { unlink("\(log).check") }
        let verdict = try await check.ended(within: 20)
        #expect(verdict == 0 || verdict == 1)
        #expect(text("\(log).check").contains(#"{"status":""#))

        kill(process.pid, SIGTERM)
        #expect(try await process.ended(within: 25) == 0, "it said: \(text(log).suffix(2_000))")
        #expect(text(log).contains(#""message":"ended""#))
        #expect(!text(log).contains("change-me-please"))
        await client.close()
    }

    private func text(_ path: String) -> String {
        guard let file = fopen(path, "re") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
