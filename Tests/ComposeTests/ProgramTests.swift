import Glibc
import HTTPServer
import TestServer
import Testing

/// The programs as a user meets them: flags, mistakes, signals. Without a broker.
@Suite struct ProgramTests {
    /// Runs a program to its end: its exit code and what it printed.
    private func run(
        _ arguments: [String], environment: [String: String] = [:], within seconds: Int = 30
    ) async throws -> (code: Int32?, text: String) {
        let log = try TemporaryFile()
        let process = try ServiceProcess(arguments, environment: environment, log: log.path)
        return (try await process.ended(within: seconds), log.text)
    }

    @Test(arguments: ComposeService.names)
    func helpAndVersion(_ name: String) async throws {
        let help = try await run(["updraft-\(name)", "--help"])
        #expect(help.code == 0)
        #expect(help.text.hasPrefix("updraft-\(name): ") && help.text.contains("Exit codes"))
        let version = try await run(["updraft-\(name)", "--version"])
        #expect(version.code == 0 && version.text.hasPrefix("updraft-\(name) "))
    }

    /// docs/architecture.md §7: a service links only the clients it has rights for. The name of a library that a program needs
    /// stands in it (DT_NEEDED).
    @Test(arguments: [
        ("collector", true), ("decider", false), ("actuator", true), ("notifier", true),
    ])
    func onlyWhoMakesRequestsNeedsAnHTTPClient(_ name: String, needsClient: Bool) async throws {
        let path = "\(ServiceProcess.folder)/updraft-\(name)"
        func needs(_ library: String) async throws -> Bool {
            let result = try await run(["/bin/grep", "-qaF", library, path])
            try #require(result.code == 0 || result.code == 1, "\(result.text)")
            return result.code == 0
        }
        #expect(try await needs("librabbitmq.so"))
        #expect(try await needs("libmicrohttpd.so"))
        #expect(try await needs("libcurl.so") == needsClient)
    }

    /// docs/command.md: exit codes are 0 for done, 1 for failed, 2 for wrong usage.
    @Test func everyCommandHelpsAndRefusesWhatItDoesNotKnow() async throws {
        let version = try await run(["updraft", "--version"])
        #expect(version.code == 0 && !version.text.isEmpty)
        let help = try await run(["updraft", "--help"])
        #expect(help.code == 0)
        let names = help.text.split(separator: "\n").filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
            .compactMap { $0.split(separator: " ").first.map(String.init) }
        #expect(Set(["explain", "demo", "practice-cloud", "rehearse"]).isSubset(of: names), "\(help.text)")
        for name in names {
            let help = try await run(["updraft", name, "--help"])
            #expect(help.code == 0 && help.text.contains("usage: updraft \(name)"), "\(name): \(help)")
            let wrong = try await run(["updraft", name, "--nonsense"])
            #expect(wrong.code == 2 && !wrong.text.isEmpty, "\(name): \(wrong)")
        }
        let unknown = try await run(["updraft", "nonsense"])
        #expect(unknown.code == 2 && unknown.text.contains("'nonsense' is no command"))
    }

    /// Containers are often given a proxy for everything: its 127.0.0.1 is another.
    @Test func aProxyOfTheEnvironmentIsNotAskedForThisMachine() async throws {
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { _ in
            .response(ServerResponse(status: 401, body: Array(#"{"error": {"message": "not with us"}}"#.utf8)))
        }
        defer { server.stop() }
        let clouds = try TemporaryFile(
            """
            clouds:
              here:
                auth: {auth_url: "http://127.0.0.1:\(server.port)/v3", username: u, password: p, project_name: p,
                       user_domain_name: d, project_domain_name: d}
            """)
        let file = try TemporaryFile(
            """
            cluster: a
            openstack: {cloud: here, clouds_file: \(clouds.path)}
            groups: [{id: g, stack: s, resource: r, desired_parameter: d, min: 1, max: 2}]
            """)
        // A port that nobody listens on.
        let proxy = "http://127.0.0.1:9"
        let result = try await run(
            ["updraft", "doctor", "heat", "--no-kubernetes", "--config", file.path],
            environment: ["http_proxy": proxy, "all_proxy": proxy, "ALL_PROXY": proxy])
        #expect(result.text.contains("not with us"), "\(result)")
    }

    @Test func allMistakesOfAConfigurationAndExitCodeTwo() async throws {
        let temporary = try TemporaryFile("cluster: [a]\nbuss: {}\nlog: {level: loud}\n")
        let file = temporary.path
        for action in [["--check-config"], []] {
            let result = try await run(["updraft-decider", "--config", file] + action)
            #expect(result.code == 2)
            #expect(
                result.text == """
                    \(file):1: cluster: is a list (allowed: 1 to 63 of a-z, A-Z, 0-9, - and _)
                    \(file):3: log.level: is "loud" (allowed: debug, info, warning, error)
                    \(file):2: buss: unknown key; did you mean bus?

                    """)
        }
        let right = try await run(
            ["updraft-decider", "--check-config", "--set", "log.level=error"], environment: ["UPDRAFT_CLUSTER": "prod"])
        #expect(right.code == 0 && right.text == "the configuration is right\n")
        let url = try await run(
            ["updraft-decider", "--check-config"],
            environment: ["UPDRAFT_CLUSTER": "prod", "UPDRAFT_BUS_TRANSPORT_URL": "http://u:hunter2@h/"])
        #expect(url.code == 2 && url.text.contains("bus.transport_url: ") && !url.text.contains("hunter2"))
    }

    @Test func wrongArguments() async throws {
        let unknown = try await run(["updraft-notifier", "--frobnicate"])
        #expect(unknown.code == 2)
        #expect(unknown.text == "updraft-notifier: unknown argument \"--frobnicate\"; --help lists what there is\n")
        let missing = try await run(["updraft-notifier", "--config", "/nowhere/updraft.yaml"])
        #expect(missing.code == 2)
        #expect(missing.text == "/nowhere/updraft.yaml: cannot be read: No such file or directory\n")
    }

    @Test func aTakenPortIsNamed() async throws {
        let other = try HTTPServer { _ in .hangUp }
        defer { other.stop() }
        let result = try await run(
            ["updraft-decider"],
            environment: ["UPDRAFT_CLUSTER": "prod", "UPDRAFT_HEALTH_LISTEN": "127.0.0.1:\(other.port)"])
        #expect(result.code == 1)
        #expect(result.text.contains("cannot listen on 127.0.0.1:\(other.port): Address already in use"))
    }

    /// Nothing listens where the broker should be: the service waits for it, and ends when it is told to.
    @Test(arguments: ComposeService.names, [SIGTERM, SIGINT])
    func aServiceWithoutBrokerEndsInOrder(_ name: String, _ signal: Int32) async throws {
        let log = try TemporaryFile()
        let process = try ServiceProcess(
            ["updraft-\(name)", "--config", Project.path("compose/updraft.yaml")],
            environment: [
                "UPDRAFT_BUS_TRANSPORT_URL": "rabbit://127.0.0.1:1/", "UPDRAFT_HEALTH_LISTEN": "127.0.0.1:0",
                "UPDRAFT_KUBERNETES_KUBECONFIG": Project.path("compose/examples/kubeconfig"),
                "UPDRAFT_OPENSTACK_CLOUDS_FILE": Project.path("compose/examples/clouds.yaml"),
                "UPDRAFT_NOTIFIER_LISTEN": "127.0.0.1:0",
            ], log: log.path)
        for _ in 0..<600 where !log.text.contains("not connected to the broker") && process.poll() == nil {
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(process.poll() == nil)
        kill(process.pid, signal)
        #expect(try await process.ended(within: 25) == 0, "it said: \(log.text.suffix(2_000))")
        #expect(log.text.contains(#""message":"ended""#))
    }
}
