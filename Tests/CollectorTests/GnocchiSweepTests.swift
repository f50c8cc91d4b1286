import Glibc
import HTTPServer
import JSONReader
import Support
import TestServer
import Testing

@testable import Collector

/// `deploy/telemetry/gnocchi-sweep` against a Gnocchi that answers as a running one was seen to.
@Suite("What is long gone is swept out of Gnocchi", .timeLimit(.minutes(3)))
struct GnocchiSweepTests {
    private struct Asked: Sendable {
        var calls: [String] = []
        var queries: [JSONValue] = []
    }

    /// With a region the login is one of `openstack`, whose region is that; without, token and address are given.
    private func sweep(_ arguments: [String], region: String? = nil) async throws -> (
        status: Int32, said: String, asked: Asked
    ) {
        let asked = Lock(Asked())
        let (old, new) = (Timestamp.now() - .minutes(60 * 24 * 40), Timestamp.now() - .minutes(90))
        let server = try HTTPServer { request in
            asked.withLock { $0.calls.append("\(request.method) \(request.path)") }
            if request.path.hasPrefix("/v1/search/resource/") {
                if let query = try? JSONValue.parse(request.body) { asked.withLock { $0.queries.append(query) } }
                guard request.path.hasSuffix("kubernetes_pod") else { return .response(.json(200, "[]")) }
                return .response(
                    .json(
                        200,
                        #"[{"id":"gone","metrics":{"kubernetes.pod.cpu.usage":"m1","kubernetes.pod.memory.working_set":"m2"}},"#
                            + #"{"id":"lives","metrics":{"kubernetes.pod.cpu.usage":"m1","kubernetes.pod.disk.used":"m3"}},"#
                            + #"{"id":"coarse","metrics":{"kubernetes.pod.cpu.usage":"m4"}},{"id":"empty","metrics":{}}]"#
                    ))
            }
            let at = { (time: Timestamp) in time.rfc3339.replacing("Z", with: "+00:00") }
            switch request.path {
            case "/v1/metric/m1/measures", "/v1/metric/m2/measures":
                return .response(.json(200, #"[["\#(at(old))",3600.0,1.5]]"#))
            case "/v1/metric/m3/measures":
                return .response(.json(200, #"[["\#(at(old))",3600.0,1.5],["\#(at(new))",3600.0,2.0]]"#))
            case "/v1/metric/m4/measures":
                return .response(
                    .json(404, #"{"description":"Aggregation method 'mean' at granularity '3600.0' does not exist"}"#))
            case _ where request.method == "DELETE":
                // As seen.
                let wantsJSON = request.headers["Accept"]?.contains("json") == true
                return .response(.json(wantsJSON ? 406 : 204, ""))
            default: return .response(.json(404, ""))
            }
        }
        defer { server.stop() }
        let script =
            #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
            + "/deploy/telemetry/gnocchi-sweep"
        let folder = try TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        try folder.write(
            "stub",
            """
            #!/bin/sh
            case $1 in
            token) echo '{"id": "t"}' ;;
            configuration) echo '{"region_name": "\(region ?? "")"}' ;;
            catalog) echo '{"endpoints": [
                {"interface": "public", "region": "One", "url": "http://127.0.0.1:1/"},
                {"interface": "public", "region": "Two", "url": "http://127.0.0.1:\(server.port)/"}]}' ;;
            esac
            """)
        let output = try TemporaryFile()
        var environment = ["PATH": "\(folder.path):/usr/local/bin:/usr/bin:/bin", "no_proxy": "127.0.0.1"]
        if region == nil {
            environment["OS_TOKEN"] = "t"
            environment["GNOCCHI_URL"] = "http://127.0.0.1:\(server.port)/"
        } else {
            environment["OS_CLOUD"] = "prod"
        }
        let pid = try Spawn.start(
            Self.withStub + [folder.path] + ["python3", script] + arguments, environment: environment,
            output: output.path, appends: false)
        var status: Int32 = 0
        while waitpid(pid, &status, WNOHANG) == 0 { try await Task.sleep(for: .milliseconds(20)) }
        return ((status >> 8) & 0xff, output.text, asked.withLock { $0 })
    }

    /// Makes the command in the process that runs it: one that this process wrote may be busy, by a fork of another test.
    private static let withStub = [
        "sh", "-c", "cp \"$0/stub\" \"$0/openstack\" && chmod +x \"$0/openstack\" && exec \"$@\"",
    ]

    @Test("of one cluster, pods and containers only, and of those what nothing was measured of for so long")
    func deletes() async throws {
        let end = try await sweep(["prod", "30d"])
        #expect(end.status == 0, "\(end.said)")
        #expect(
            end.asked.calls.filter { $0.hasPrefix("DELETE") } == [
                "DELETE /v1/resource/kubernetes_pod/gone", "DELETE /v1/resource/kubernetes_pod/empty",
            ])
        #expect(
            Set(end.asked.calls.filter { $0.hasPrefix("POST") }) == [
                "POST /v1/search/resource/kubernetes_container", "POST /v1/search/resource/kubernetes_pod",
            ])
        for query in end.asked.queries {
            #expect(query["and"]?[0] == ["=": ["cluster": "prod"]])
            #expect(query["and"]?[1]?["<"]?["started_at"]?.stringValue != nil)
        }
        #expect(end.said.contains("kubernetes_pod: 2 deleted"))
    }

    @Test("only in the region of the login, also where clouds.yaml says it")
    func regions() async throws {
        let there = try await sweep(["prod", "30d"], region: "Two")
        #expect(there.status == 0 && there.said.contains("kubernetes_pod: 2 deleted"), "\(there.said)")
        let nowhere = try await sweep(["prod", "30d"], region: "Three")
        #expect(nowhere.status == 1 && nowhere.asked.calls.isEmpty)
        #expect(nowhere.said.contains("no public endpoint of metric in region Three"), "\(nowhere.said)")
    }

    @Test("a dry run deletes nothing; what cannot be meant is refused before anything is asked")
    func careful() async throws {
        let dry = try await sweep(["--dry-run", "prod", "30d"])
        #expect(dry.status == 0 && dry.said.contains("kubernetes_pod: 2 would be deleted"), "\(dry.said)")
        #expect(!dry.asked.calls.contains { $0.hasPrefix("DELETE") })
        for arguments in [["prod"], ["prod", "30"], ["prod", "0d"], ["prod", "-1d"], ["", "30d"]] {
            let end = try await sweep(arguments)
            #expect(end.status != 0 && end.asked.calls.isEmpty, "\(arguments): \(end.said)")
        }
    }
}
