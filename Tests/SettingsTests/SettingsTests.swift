import Messages
import Support
import TestServer
import Testing

@testable import Settings

/// Loads a text as a file, with `FILE` for its name in the mistakes.
func load(
    _ text: String, environment: [String: String] = [:], flags: [String] = []
) throws -> Result<Settings, SettingsErrors> {
    let file = try TemporaryFile(text)
    defer { withExtendedLifetime(file) {} }
    do throws(SettingsErrors) {
        return .success(try Settings.load(file: file.path, environment: environment, flags: flags))
    } catch {
        return .failure(
            SettingsErrors(
                error.mistakes.map {
                    SettingsMistake(
                        origin: $0.origin.replacing(file.path, with: "FILE"), path: $0.path, what: $0.what,
                        allowed: $0.allowed)
                }))
    }
}

func mistakes(
    _ text: String, environment: [String: String] = [:], flags: [String] = []
) throws -> [String] {
    if case .failure(let errors) = try load(text, environment: environment, flags: flags) {
        return errors.mistakes.map(\.description)
    }
    return []
}

@Suite struct SettingsTests {
    @Test func oneLineIsEnough() throws {
        let settings = try load("cluster: prod\n").get()
        #expect(settings.cluster == "prod")
        #expect(settings.bus.exchange == "updraft")
        #expect(settings.bus.heartbeat == .seconds(30))
        #expect(settings.bus.maximumMessageBytes == 4 << 20)
        #expect(settings.decider.scaleDown.unneededTime == .minutes(10))
        #expect(settings.decider.expander == [.leastWaste])
        #expect(settings.decider.expendablePriorityCutoff == -10)
        #expect(settings.actuator.dryRun == false)
        #expect(settings.notifier.listen == ListenAddress(host: "127.0.0.1", port: 0))
        #expect(settings.health.listen == nil)
        #expect(settings.groups.isEmpty)
    }

    @Test func everythingHasItsUnit() throws {
        let settings = try load(
            """
            cluster: prod
            bus: {heartbeat: 1m30s, max_message: 1MiB, queue_type: classic}
            groups:
            - id: workers
              stack: k8s
              resource: asg
              min: 1
              max: 10
              price: 0.25
              provision_timeout: 20m
              template:
                cpu: 3500m
                memory: 8Gi
                pods: 110
                extended: {nvidia.com/gpu: 2}
                labels: {zone: a, empty: ""}
                taints: ["dedicated=gpu:NoSchedule", "spot:PreferNoSchedule"]
                kube_reserved: {cpu: 100m, memory: 512Mi}
            collector: {batch_window: 250ms, stats: {source: stats_summary}}
            decider:
              expander: [priority, least-waste]
              limits: {cores: "100", memory: 1Ti, gpus: {nvidia.com/gpu: 8}}
              scale_down: {utilization_threshold: 0.65, unneeded_time: 2m}
            health: {listen: "[::]:9000"}
            """
        ).get()
        #expect(settings.bus.heartbeat == .seconds(90))
        #expect(settings.bus.queueType == .classic)
        let group = try #require(settings.groups.first)
        #expect(group.template.capacity.cpuMillis == 3_500)
        #expect(group.template.capacity.memoryBytes == 8 << 30)
        #expect(group.template.capacity.pods == 110)
        #expect(group.template.capacity.extended == ["nvidia.com/gpu": 2])
        #expect(group.template.reserved.memoryBytes == 512 << 20)
        #expect(group.template.labels == ["zone": "a", "empty": ""])
        #expect(
            group.template.taints == [
                Taint(key: "dedicated", value: "gpu", effect: .noSchedule),
                Taint(key: "spot", effect: .preferNoSchedule),
            ])
        #expect(group.price == 0.25)
        #expect(settings.decider.expander == [.priority, .leastWaste])
        #expect(settings.decider.limits.coresMillis == 100_000)
        #expect(settings.decider.limits.gpus == ["nvidia.com/gpu": 8])
        #expect(settings.decider.scaleDown.utilizationThreshold == 0.65)
        #expect(settings.health.listen == ListenAddress(host: "::", port: 9000))
    }

    @Test("two groups of one stack need a parameter each: with one, a change of the first is a change of the second")
    func groupsOfOneStack() throws {
        let group = "resource: r, max: 3"
        let found = try mistakes(
            """
            cluster: c
            groups:
              - {id: a, stack: k8s, \(group)}
              - {id: b, stack: k8s, desired_parameter: desired_b, \(group)}
              - {id: c, stack: k8s, \(group)}
              - {id: d, stack: other, \(group)}
            """)
        #expect(
            found.filter { $0.contains("groups") } == [
                #"FILE:3: groups: the stack "k8s" is given twice with the parameter "desired" (allowed: a "#
                    + "desired_parameter of its own for each group of a stack)"
            ])
    }

    @Test func allMistakesAtOnce() throws {
        let found = try mistakes(
            """
            cluster: "two words"
            bus: {hartbeat: 30s, queue_type: mirrored, heartbeat: 30}
            groups:
            - id: a
              stack: k8s
              resource: asg
              min: 5
              max: 3
            - id: a
              resource: asg
              template: {cpu: lots, taints: [broken]}
            - nonsense
            decider: {unneeded_time: 5m, scale_down: {utilization_threshold: 2}}
            collector: []
            colour: blue
            """)
        #expect(
            found == [
                #"FILE:1: cluster: "two words" cannot be used (allowed: 1 to 63 of a-z, A-Z, 0-9, - and _)"#,
                "FILE:2: bus.heartbeat: 30 has no unit (allowed: length of time (`ms`, `s`, `m`, `h`, `d`), 1s … 10m)",
                #"FILE:2: bus.queue_type: is "mirrored" (allowed: quorum, classic)"#,
                "FILE:2: bus.hartbeat: unknown key; did you mean bus.heartbeat?",
                "FILE:7: groups[0].min: is 5, above max 3 (allowed: min ≤ max)",
                "FILE:9: groups[1].stack: is missing (allowed: text)",
                #"FILE:11: groups[1].template.cpu: is "lots" (allowed: cpu quantity (`500m`, `4`))"#,
                #"FILE:11: groups[1].template.taints: has "broken" (allowed: list of `key=value:Effect`, Effect one of NoSchedule, PreferNoSchedule, NoExecute)"#,
                "FILE:12: groups[2]: is text (allowed: a mapping)",
                "FILE:12: groups[2].id: is missing (allowed: 1 to 63 of a-z, A-Z, 0-9, - and _)",
                "FILE:12: groups[2].stack: is missing (allowed: text)",
                "FILE:12: groups[2].resource: is missing (allowed: text)",
                "FILE:14: collector: is a list (allowed: a mapping)",
                #"FILE:13: decider.scale_down.utilization_threshold: is "2" (allowed: number, 0 … 1)"#,
                "FILE:13: decider.unneeded_time: unknown key; did you mean decider.scale_down.unneeded_time?",
                #"FILE:4: groups: the id "a" is used twice (allowed: an id of its own for each group)"#,
                "FILE:15: colour: unknown key (allowed: actuator, bus, cluster, collector, decider, groups, health, "
                    + "kubernetes, log, notifier, openstack, pod_scalers, shutdown_timeout)",
            ])
    }

    @Test func brokenYAMLIsOneMistakeWithItsLine() throws {
        #expect(try mistakes("cluster: a\ncluster: b\n") == [#"FILE:2: duplicate key "cluster": already on line 1"#])
        #expect(throws: SettingsErrors.self) { try Settings.load(file: "/nowhere/updraft.yaml") }
    }

    @Test func anEmptyFileNeedsItsCluster() throws {
        #expect(try mistakes("").first?.hasPrefix("FILE:1: cluster: is missing") == true)
        #expect(throws: SettingsErrors.self) { try Settings.load(file: nil) }
        #expect(try Settings.load(file: nil, environment: ["UPDRAFT_CLUSTER": "x"]).cluster == "x")
    }

    // MARK: Overrides

    @Test func flagsWinOverEnvironmentOverFileOverDefaults() throws {
        let text = "cluster: a\nlog: {level: warning}\nbus: {exchange: one}\n"
        let settings = try load(
            text,
            environment: [
                "UPDRAFT_LOG_LEVEL": "error", "UPDRAFT_BUS_EXCHANGE": "two", "UPDRAFT_BUS_TLS_VERIFY_HOST": "false",
            ],
            flags: ["log.level=debug", "actuator.dry_run=true", "log.level=info"]
        ).get()
        #expect(settings.log.level == .info)
        #expect(settings.bus.exchange == "two")
        #expect(settings.bus.tls.verifyHost == false)
        #expect(settings.actuator.dryRun)
    }

    @Test func overridesOfListsAndItems() throws {
        let text = "cluster: a\ngroups:\n- {id: w, stack: s, resource: r}\n"
        let settings = try load(
            text, environment: ["UPDRAFT_DECIDER_EXPANDER": "price, random"],
            flags: ["groups.w.max=7", "groups.0.min=2", "groups.w.template.labels.zone=b"]
        ).get()
        #expect(settings.groups[0].max == 7)
        #expect(settings.groups[0].min == 2)
        #expect(settings.groups[0].template.labels == ["zone": "b"])
        #expect(settings.decider.expander == [.price, .random])
        let whole = try load(
            "cluster: a\n", flags: ["groups=[{id: x, stack: s, resource: r}]", "decider.expander=[most-pods]"]
        ).get()
        #expect(whole.groups.map(\.id) == ["x"])
        #expect(whole.decider.expander == [.mostPods])
    }

    @Test func wrongOverridesNameTheirSource() throws {
        let found = try mistakes(
            "cluster: a\n",
            environment: ["UPDRAFT_LOG_LEVEL": "loud", "UPDRAFT_LOG_LEVLE": "info"],
            flags: ["log", "groups.w.max=7", "bus.heartbeet=3s", "cluster.x=1"])
        #expect(
            found
                == [
                    #"environment UPDRAFT_LOG_LEVEL: log.level: is "loud" (allowed: debug, info, warning, error)"#,
                    "--set groups.w.max: groups: is a mapping (allowed: a list of mappings)",
                    "--set bus.heartbeet: bus.heartbeet: unknown key; did you mean bus.heartbeat?",
                    "environment UPDRAFT_LOG_LEVLE: names no field; did you mean UPDRAFT_LOG_LEVEL?",
                    "--set log: has no value (allowed: section.field=value)",
                    "--set cluster.x: cluster.x: there is no x in a value",
                ].sorted { a, b in found.firstIndex(of: a) ?? 99 < found.firstIndex(of: b) ?? 99 })
    }

    @Test func whatKubernetesPutsIntoTheEnvironmentIsLeftAlone() throws {
        let found = try mistakes(
            "cluster: a\n",
            environment: [
                "UPDRAFT_DECIDER_SERVICE_HOST": "10.0.0.1", "UPDRAFT_DECIDER_PORT": "tcp://10.0.0.1:9472",
                "UPDRAFT_DECIDER_PORT_9472_TCP_ADDR": "10.0.0.1", "UPDRAFT_CONFIG": "/etc/updraft/updraft.yaml",
            ])
        #expect(found == [])
    }

    // MARK: Secrets

    @Test func secretsAreReadButNeverShown() throws {
        let file = try TemporaryFile("rabbit://u:p%40ss-word@h/\n")
        let settings = try load(
            """
            cluster: a
            bus:
              transport_url_file: \(file.path)
              keys: [{id: k1, key: "0123456789abcdef"}, {id: k2, env: KEY_TWO}]
            """, environment: ["KEY_TWO": "fedcba9876543210"]
        ).get()
        #expect(settings.bus.transportURL.revealed == "rabbit://u:p%40ss-word@h/")
        #expect(settings.bus.keys.map(\.secret.revealed) == ["0123456789abcdef", "fedcba9876543210"])
        #expect(settings.secrets.contains("p@ss-word"))
        var dumped = ""
        dump(settings, to: &dumped)
        for text in [dumped, "\(settings)", String(reflecting: settings)] {
            #expect(!text.contains("ss-word") && !text.contains("0123456789") && !text.contains("fedcba"))
        }
    }

    @Test func mistakesWithSecretsDoNotShowThem() throws {
        let found = try mistakes(
            """
            cluster: a
            bus:
              transport_url: rabbit://u:hunter2@h/
              transport_url_file: /nowhere/url
              keys: [{id: k1, key: "tooshort"}, {id: k2, env: KEY_TWO}, {id: k3}, {id: k3, key_file: /nowhere/key}]
            """)
        #expect(
            found == [
                "FILE:3: bus.transport_url: is given twice: here and by transport_url_file (allowed: one of them)",
                "FILE:5: bus.keys[0].key: is too short (allowed: at least 16 bytes)",
                "FILE:5: bus.keys[1].env: the environment has no KEY_TWO",
                "FILE:5: bus.keys[2].key: is missing (allowed: key, key_file or env)",
                "FILE:5: bus.keys[3].key_file: /nowhere/key cannot be read: No such file or directory",
                "FILE:5: bus.keys: uses an id twice (allowed: an id of its own for each key)",
            ])
    }

    @Test func relativePathsStartAtTheFile() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("updraft.yaml", "cluster: a\nkubernetes: {kubeconfig: admin.conf}\n")
        let settings = try Settings.load(file: file)
        #expect(settings.kubernetes.kubeconfig == "\(folder.path)/admin.conf")
    }

    @Test func hostileFilesOnlyMakeMistakes() throws {
        for text in [
            "[]", "cluster", "cluster: {a: b}", "cluster: [a]", "bus: 3", "groups: {a: b}", "groups: [[]]", "? a\n: b",
            "cluster: \"\\0\"", "decider: {expander: []}", "decider: {expander: [[a]]}", "health: {listen: 99999}",
            "groups: [{template: {labels: [a]}}]", "shutdown_timeout: 99999999999999999999h",
            "cluster: " + String(repeating: "x", count: 100_000),
        ] {
            #expect(try !mistakes(text).isEmpty)
        }
    }
}
