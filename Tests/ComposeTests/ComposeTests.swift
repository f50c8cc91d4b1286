import Settings
import TestServer
import Testing
import YAML

/// What can be told of the files for deployment without a container engine.
@Suite struct ComposeTests {
    private static let ownVariables: Set<String> = [
        "UPDRAFT_CONFIG", "RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS", "KUBECONFIG_FILE", "CLOUDS_FILE",
    ]

    @Test func theSuiteAndItsBrokerAreThere() throws {
        #expect(try ComposeService.all().map(\.name).sorted() == (ComposeService.names + ["rabbitmq"]).sorted())
    }

    @Test func everyPathExists() throws {
        let variables = try Project.environment("compose/updraft.env")
        let volumes = try #require(YAML.load(file: Project.path("compose/compose.yaml"))["volumes"]?.mapping)
        for service in try ComposeService.all() {
            #expect(service.node["env_file"]?.string == "updraft.env")
            // With the file's variables, and with compose.yaml's own defaults.
            for known in [variables, [:]] {
                for (source, target) in try service.mounts(known) {
                    if source.hasPrefix("./") {
                        #expect(Project.exists("compose/\(source.dropFirst(2))"), "\(service.name): \(source)")
                        #expect(target.hasPrefix("/etc/updraft/"))
                    } else {
                        #expect(volumes[source] != nil, "\(service.name): the volume \(source) is not declared")
                    }
                }
            }
            guard let build = service.node["build"] else { continue }
            #expect(build["context"]?.string == "..")
            #expect(Project.exists(try #require(build["dockerfile"]?.string)))
        }
    }

    @Test func everyVariableIsKnown() throws {
        let variables = try Project.environment("compose/updraft.env")
        let reference = Settings.variableNames
        for name in variables.keys {
            #expect(reference.contains(name) || Self.ownVariables.contains(name), "\(name) is no field's variable")
        }
        for (name, hasDefault) in ComposeService.names(in: try Project.text("compose/compose.yaml")) {
            #expect(hasDefault && variables[name] != nil, "\(name) has no value")
        }
        // The broker's user stands in the file twice.
        let url = try #require(variables["UPDRAFT_BUS_TRANSPORT_URL"])
        let user = try #require(variables["RABBITMQ_DEFAULT_USER"])
        let password = try #require(variables["RABBITMQ_DEFAULT_PASS"])
        #expect(url == "rabbit://\(user):\(password)@rabbitmq:5672/")
    }

    @Test func everyProgramAndDependencyExists() throws {
        let manifest = try Project.text("Package.swift")
        let services = try ComposeService.all()
        for service in services where service.name != "rabbitmq" {
            #expect(service.command == ["updraft-\(service.name)"])
            #expect(manifest.contains(".executable(name: \"\(service.command[0])\""))
            #expect(service.healthCheck == ["CMD", service.command[0], "--health-check"])
            #expect(service.node["depends_on"]?.mapping?.entries.map(\.key) == ["rabbitmq"])
            #expect(service.node["image"]?.string == "updraft")
        }
        let broker = try #require(services.first { $0.name == "rabbitmq" })
        #expect(broker.healthCheck.first == "CMD")
        #expect(broker.node["image"]?.string?.hasPrefix("rabbitmq:") == true)
    }

    @Test func eachServiceGetsOnlyItsCredentials() throws {
        let variables = try Project.environment("compose/updraft.env")
        for service in try ComposeService.all() where service.name != "rabbitmq" {
            let targets = Set(try service.mounts(variables).map(\.target))
            #expect(targets.contains("/etc/updraft/updraft.yaml"))
            #expect(targets.contains("/etc/updraft/kubeconfig") == (service.name != "decider"), "\(service.name)")
            #expect(targets.contains("/etc/updraft/clouds.yaml") == (service.name == "actuator"), "\(service.name)")
        }
        #expect(!variables.keys.contains { $0.hasPrefix("OS_") })
    }

    @Test func theConfigurationIsRight() throws {
        let variables = try Project.environment("compose/updraft.env")
        let settings = try Settings.load(file: Project.path("compose/updraft.yaml"), environment: variables)
        #expect(settings.bus.transportURL.revealed == variables["UPDRAFT_BUS_TRANSPORT_URL"])
        #expect(settings.kubernetes.kubeconfig == Project.path("compose/kubeconfig"))
        #expect(settings.openstack.cloudsFile == Project.path("compose/clouds.yaml"))
        #expect(settings.groups.count == 1)
        #expect(settings.actuator.dryRun && settings.notifier.dryRun)
    }

    @Test func theExamplesHaveTheForm() throws {
        let kubeconfig = try YAML.load(file: Project.path("compose/examples/kubeconfig"))
        #expect(kubeconfig["clusters"]?.items?.count == 1)
        let clouds = try YAML.load(file: Project.path("compose/examples/clouds.yaml"))
        #expect(clouds["clouds"]?["updraft"]?["auth"]?["auth_url"]?.string != nil)
    }

    @Test func theImageIsMadeOfWhatIsThere() throws {
        let lines = try Project.text("compose/Dockerfile").split(separator: "\n")
        for line in lines where line.hasPrefix("COPY ") && !line.contains("--from=") {
            let sources = line.split(separator: " ").dropFirst().dropLast()
            for source in sources { #expect(Project.exists(String(source)), "\(line)") }
        }
        let text = lines.joined(separator: "\n")
        for package in try buildPackages() { #expect(text.contains(" \(package) "), "\(package) is not installed") }
        #expect(text.contains("\nUSER 10001"))
        for name in ComposeService.names { #expect(text.contains(name)) }
    }

    /// What the programs link stands in the lists of what has to be installed to run them.
    @Test func theLibrariesOfTheProgramsAreInstalled() async throws {
        let log = try TemporaryFile()
        let process = try ServiceProcess(
            [
                "/bin/bash", "-c",
                """
                for program in updraft updraft-{collector,decider,actuator,notifier}; do
                    readelf -d "$0/$program" | sed -n 's/.*(NEEDED).*\\[\\(.*\\)\\]/\\1/p'
                done | sort -u | while read -r library; do
                    # Ubuntu says too where the C library moved its files.
                    dpkg-query -S "*/$library" 2>/dev/null | grep -v '^diversion ' | sed 's/:.*//' | sort -u
                done
                """, ServiceProcess.folder,
            ], environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C"], log: log.path)
        #expect(try await process.ended(within: 60) == 0)
        // Every Debian has these. Ubuntu appends t64 to names of packages.
        let base: Set = ["libc6", "libgcc-s1", "libstdc++6"]
        let needed = Set(
            log.text.split(separator: "\n").map { $0.hasSuffix("t64") ? String($0.dropLast(3)) : String($0) })
        #expect(needed.contains("librabbitmq4") && needed.contains("libcurl4"), "\(log.text)")
        for file in ["compose/Dockerfile", "deploy/systemd/README.md"] {
            let words = Set(try Project.text(file).split { $0.isWhitespace || $0 == "`" || $0 == "." }.map(String.init))
            #expect(needed.subtracting(base).subtracting(words).isEmpty, "\(file) lacks some of \(needed.sorted())")
        }
    }

    /// The libraries that scripts/lib/packages.sh installs for a build.
    private func buildPackages() throws -> [String] {
        let text = try Project.text("scripts/lib/packages.sh")
        let start = try #require(text.firstRange(of: "UPDRAFT_PACKAGES=("))
        let end = try #require(text[start.upperBound...].firstIndex(of: ")"))
        return text[start.upperBound..<end].split { $0.isWhitespace }.map(String.init).filter { $0.hasSuffix("-dev") }
    }

    @Test func theUnitsOfSystemdStartTheSameWay() throws {
        let unit = try Project.text("deploy/systemd/updraft@.service")
        #expect(unit.contains("ExecStart=/usr/bin/updraft-%i\n"))
        // A wrong configuration ends the service itself with 2, once. What ExecStartPre says is not heeded by
        // RestartPreventExitStatus: the service would be started for ever.
        #expect(unit.contains("\nRestartPreventExitStatus=2\n"))
        #expect(!unit.contains("ExecStartPre"))
        #expect(unit.contains("Environment=UPDRAFT_CONFIG=/etc/updraft/updraft.yaml\n"))
        let target = try Project.text("deploy/systemd/updraft.target")
        for name in ComposeService.names { #expect(target.contains("updraft@\(name).service")) }
    }
}
