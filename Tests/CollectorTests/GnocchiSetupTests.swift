import Glibc
import HTTPServer
import JSONReader
import Support
import TestServer
import Testing

@testable import Collector

/// `deploy/telemetry/gnocchi-setup` against a Gnocchi that remembers. (The stories run it against a real one.)
@Suite("Gnocchi is set up by a script", .timeLimit(.minutes(3)))
struct GnocchiSetupTests {
    private struct Gnocchi: Sendable {
        var made: [String: JSONValue] = [:]
        var order: [String] = []
        /// The name that it refuses.
        var refused = ""
    }

    private func setup(
        _ arguments: [String], _ gnocchi: Lock<Gnocchi>, login: String? = nil
    ) async throws -> (status: Int32, said: String) {
        let server = try HTTPServer { request in
            guard request.headers["X-Auth-Token"] == "good-token" else { return .response(.json(401, "{}")) }
            if request.method == "GET" {
                // As it writes them: what was asked for as 10s is told as 0:00:10.
                let told = ["10s": "0:00:10", "60s": "0:01:00", "1h": "1:00:00"]
                let name = request.path.split(separator: "/").last.map(String.init) ?? ""
                guard let policy = gnocchi.withLock({ $0.made[name] }) else { return .response(.json(404, "{}")) }
                let definition = (policy["definition"]?.arrayValue ?? []).map { part -> JSONValue in
                    ["granularity": .string(told[part["granularity"]?.stringValue ?? ""] ?? "")]
                }
                let body: JSONValue = ["name": .string(name), "definition": .array(definition)]
                return .response(.json(200, String(decoding: body.bytes, as: UTF8.self)))
            }
            guard let body = try? JSONValue.parse(request.body), let name = body["name"]?.stringValue else {
                return .response(.json(400, "{}"))
            }
            return gnocchi.withLock { gnocchi in
                if name == gnocchi.refused { return .response(.json(403, #"{"description": "not yours"}"#)) }
                guard gnocchi.made[name] == nil else { return .response(.json(409, "{}")) }
                gnocchi.made[name] = body
                gnocchi.order.append("\(request.path) \(name)")
                return .response(.json(201, "{}"))
            }
        }
        defer { server.stop() }
        // Two regions: the other's must not be taken.
        let folder = try TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        try folder.write(
            "stub",
            """
            #!/bin/sh
            case $1 in
            token) echo good-token ;;
            # Both what clouds.yaml says and what the environment does.
            configuration) echo '\(login ?? #"{"interface": "public", "region_name": "One"}"#)' ;;
            catalog) echo '{"endpoints": [
                {"interface": "public", "region": "Two", "url": "http://127.0.0.1:1/"},
                {"interface": "internal", "region": "One", "url": "http://127.0.0.1:1/"},
                {"interface": "public", "region": "One", "url": "http://127.0.0.1:\(server.port)/"},
                {"interface": "internal", "region": "Three", "url": "http://127.0.0.1:\(server.port)/"}]}' ;;
            esac
            """)
        let script =
            #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
            + "/deploy/telemetry/gnocchi-setup"
        let output = try TemporaryFile()
        let pid = try Spawn.start(
            Self.withStub + [folder.path] + ["bash", script] + arguments,
            environment: [
                "PATH": "\(folder.path):/usr/local/bin:/usr/bin:/bin", "OS_CLOUD": "prod", "no_proxy": "127.0.0.1",
            ], output: output.path, appends: false)
        var status: Int32 = 0
        while waitpid(pid, &status, WNOHANG) == 0 { try await Task.sleep(for: .milliseconds(20)) }
        return ((status >> 8) & 0xff, output.text)
    }

    /// Makes the command in the process that runs it: one that this process wrote may be busy, by a fork of another test.
    private static let withStub = [
        "sh", "-c", "cp \"$0/stub\" \"$0/openstack\" && chmod +x \"$0/openstack\" && exec \"$@\"",
    ]

    @Test("the policy goes before the types, what exists stays as it is, finer points only where asked for")
    func makes() async throws {
        let gnocchi = Lock(Gnocchi())
        let first = try await setup(["--also", "10s:1d"], gnocchi)
        #expect(first.status == 0, "\(first.said)")
        let order = gnocchi.withLock { $0.order }
        #expect(order.first == "/v1/archive_policy kubernetes")
        #expect(
            Set(order.dropFirst())
                == Set(["cluster", "node", "pod", "container"].map { "/v1/resource_type kubernetes_\($0)" }))
        func granularities() -> [String?] {
            (gnocchi.withLock { $0.made["kubernetes"] }?["definition"]?.arrayValue ?? [])
                .map { $0["granularity"]?.stringValue }
        }
        #expect(granularities() == ["10s", "60s", "1h"])
        let again = try await setup([], gnocchi)
        #expect(again.status == 0 && again.said.contains("kubernetes_node exists"), "\(again.said)")
        #expect(granularities() == ["10s", "60s", "1h"])
        let same = try await setup(["--also", "10s:1d"], gnocchi)
        #expect(same.status == 0 && same.said.contains("kubernetes exists"), "\(same.said)")
        gnocchi.withLock { $0.made = [:] }
        let plain = try await setup([], gnocchi)
        #expect(plain.status == 0 && granularities() == ["60s", "1h"], "\(plain.said)")
        // Too late: the policy is there, and stays as it is.
        let late = try await setup(["--also", "10s:1d"], gnocchi)
        #expect(late.status == 1 && granularities() == ["60s", "1h"], "\(late.said)")
        #expect(late.said.contains("kubernetes exists without points of 10s (it has 0:01:00, 1:00:00)"), "\(late.said)")
    }

    @Test(
        "the endpoint is that of the login's region and interface, also where clouds.yaml says them; one that is not there is told"
    )
    func regions() async throws {
        let gnocchi = Lock(Gnocchi())
        let there = try await setup([], gnocchi, login: #"{"interface": "internal", "region_name": "Three"}"#)
        #expect(there.status == 0 && gnocchi.withLock { $0.order.count } == 5, "\(there.said)")
        let nowhere = try await setup([], gnocchi, login: #"{"interface": "internal", "region_name": "Four"}"#)
        #expect(nowhere.status == 1 && nowhere.said.contains("no internal endpoint of metric in region Four"))
    }

    @Test("a refusal ends it, with what was refused and why; what cannot be meant asks nobody")
    func refuses() async throws {
        let gnocchi = Lock(Gnocchi())
        gnocchi.withLock { $0.refused = "kubernetes_pod" }
        let refused = try await setup([], gnocchi)
        #expect(refused.status == 1)
        #expect(refused.said.contains("/v1/resource_type kubernetes_pod: status 403"), "\(refused.said)")
        #expect(refused.said.contains("not yours") && !refused.said.contains("good-token"), "\(refused.said)")
        for arguments in [["--also"], ["--also", "10:1d"], ["--also", "0s:1d"], ["prod"]] {
            let untouched = Lock(Gnocchi())
            let end = try await setup(arguments, untouched)
            #expect(end.status == 2 && untouched.withLock { $0.order.isEmpty }, "\(arguments): \(end.said)")
        }
    }
}
