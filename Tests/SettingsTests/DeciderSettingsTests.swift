import Messages
import Settings
import Support
import TestServer
import Testing

@Suite("Settings of the Decider")
struct DeciderSettingsTests {
    private func mistakes(_ text: String) throws -> [String] {
        guard case .failure(let errors) = try load(text) else { return [] }
        return errors.mistakes.map(\.description)
    }

    @Test("Budgets, headroom, priorities and what groups override are read")
    func all() throws {
        let settings = try load(
            """
            cluster: prod
            groups:
            - {id: a, stack: s, resource: r, utilization_threshold: 0.3, unneeded_time: 1m, unready_time: 2m, zero_or_max: true}
            decider:
              expander: [priority, price, least-waste]
              priorities:
              - {priority: 10, patterns: ["^spot-", "cheap"]}
              - {patterns: ['.*']}
              several_groups: false
              soft_tie_breaks: false
              max_nodes_per_minute: 30
              limits: {min_nodes: 3, min_cores: 2500m, min_memory: 4Gi}
              headroom:
                percent: 5
                shapes:
                - name: big
                  count: 2
                  cpu: 1500m
                  memory: 2Gi
                  extended: {nvidia.com/gpu: 1}
                  node_selector: {disk: ssd}
                  tolerations: [dedicated, "team=a:NoSchedule", "spot:PreferNoSchedule", "*"]
              scale_down:
                measured_utilization: true
                measurement_max_age: 30s
                budgets:
                - {nodes: 5}
                - {group: a, percent: 10}
                - zone: "*"
                  nodes: 0
                  schedule: "0 8 * * mon-fri"
                  duration: 9h
                  time_zone: Europe/Berlin
            """
        ).get()
        let decider = settings.decider
        #expect(decider.priorities.map(\.priority) == [10, 0])
        #expect(decider.priorities[0].patterns == ["^spot-", "cheap"])
        #expect(!decider.severalGroups && !decider.softTieBreaks)
        #expect(decider.maximumNodesPerMinute == 30)
        #expect(decider.limits.minimumCoresMillis == 2_500)
        let shape = try #require(decider.headroom.shapes.first)
        #expect(shape.requests.cpuMillis == 1_500)
        #expect(shape.requests.extended == ["nvidia.com/gpu": 1])
        #expect(
            shape.tolerations == [
                Toleration(key: "dedicated", exists: true),
                Toleration(key: "team", exists: false, value: "a", effect: .noSchedule),
                Toleration(key: "spot", exists: true, effect: .preferNoSchedule), Toleration(key: nil, exists: true),
            ])
        #expect(decider.scaleDown.measuredUtilization)
        #expect(decider.scaleDown.budgets.count == 3)
        let schedule = try #require(decider.scaleDown.budgets[2].schedule)
        #expect(schedule.zone.name == "Europe/Berlin")
        // A Monday in summer, ten to eight and ten past eight there.
        #expect(!schedule.holds(at: try #require(Timestamp("2026-07-06T05:50:00Z"))))
        #expect(schedule.holds(at: try #require(Timestamp("2026-07-06T06:10:00Z"))))
        let group = try #require(settings.groups.first)
        #expect(group.utilizationThreshold == 0.3)
        #expect(group.unneededTime == .minutes(1))
        #expect(group.unreadyTime == .minutes(2))
        #expect(group.zeroOrMax)
    }

    @Test("Each mistake is named with its file and line")
    func wrong() throws {
        let found = try mistakes(
            """
            cluster: prod
            groups:
            - {id: a, stack: s, resource: r}
            decider:
              priorities:
              - {priority: 1, patterns: ["("]}
              - priority: 2
              headroom:
                shapes:
                - {name: none}
                - name: b
                  cpu: 1
                  tolerations: ["key:Never"]
                - {name: b, cpu: 1}
              scale_down:
                budgets:
                - group: a
                - group: nobody
                  nodes: 1
                  schedule: "0 25 * * *"
                  duration: 1h
                - nodes: 1
                  schedule: "0 2 * * *"
                - nodes: 1
                  duration: 2h
                - nodes: 1
                  schedule: "0 2 * * *"
                  duration: 2h
                  time_zone: Mars/Olympus
                - {nodes: 1, time_zone: ../../etc/passwd}
                - {percent: 101}
            """)
        let expected = [
            #"FILE:6: decider.priorities[0].patterns: "(" is no regular expression"#,
            "FILE:7: decider.priorities[1].patterns: is missing or empty (allowed: at least one pattern)",
            "FILE:17: decider.scale_down.budgets[0].nodes: neither nodes nor percent is given (allowed: at least "
                + "one of them)",
            #"FILE:20: decider.scale_down.budgets[1].schedule: "0 25 * * *" is not understood as five fields: "#
                + "minute, hour, day of month, month, day of week (allowed: cron expression)",
            "FILE:23: decider.scale_down.budgets[2].schedule: is given without duration (allowed: both or neither)",
            "FILE:25: decider.scale_down.budgets[3].duration: is given without schedule (allowed: both or neither)",
            #"FILE:29: decider.scale_down.budgets[4].time_zone: is "Mars/Olympus", and there is no "#
                + "/usr/share/zoneinfo/Mars/Olympus (allowed: name of a time zone, e.g. `Europe/Berlin`)",
            #"FILE:30: decider.scale_down.budgets[5].time_zone: "../../etc/passwd" is no name of a time zone "#
                + "(allowed: name of a time zone, e.g. `Europe/Berlin`)",
            #"FILE:31: decider.scale_down.budgets[6].percent: is "101" (allowed: number, 0 … 100)"#,
            "FILE:31: decider.scale_down.budgets[6].nodes: neither nodes nor percent is given (allowed: at least "
                + "one of them)",
            "FILE:10: decider.headroom.shapes[0].name: asks for nothing (allowed: cpu, memory, ephemeral_storage "
                + "or extended)",
            #"FILE:13: decider.headroom.shapes[1].tolerations: has "key:Never" (allowed: list of `key`, "#
                + "`key=value`, `key:Effect`, `key=value:Effect` or `*`)",
            #"FILE:10: decider.headroom.shapes: the name "b" is used twice (allowed: a name of its own for each)"#,
            #"FILE:18: decider.scale_down.budgets[1].group: there is no group "nobody" (allowed: a, *)"#,
        ]
        for (one, other) in zip(found, expected) { #expect(one == other) }
        #expect(found.count == expected.count)
    }

    @Test("Rules on alarms and measured load are read")
    func rules() throws {
        let settings = try load(
            """
            cluster: prod
            groups: [{id: a, stack: s, resource: r}]
            collector: {alarms: {enabled: true}, hypervisor: {enabled: true}}
            decider:
              rules:
              - {name: busy, group: a, alarm: 13c177ce-0000, step: 25%, for: 2m, cooldown: 10m, repeat: false}
              - {name: calm, group: a, direction: hold, alarm: HighLoad, state: insufficient_data, max_age: 1h, hold_unknown: true}
              - name: idle
                group: a
                direction: down
                metric: cpu.utilization
                comparison: lt
                threshold: 0.3
                step: simulation
                stabilization_window: 5m
                schedule: "0 22 * * *"
                duration: 8h
              - {name: cores, group: a, metric: cpu, source: hypervisor, aggregate: sum, threshold: 12, step: 3}
            """
        ).get()
        let rules = settings.decider.rules
        #expect(rules.map(\.name) == ["busy", "calm", "idle", "cores"])
        #expect(rules[0].step == .percent(25) && rules[0].duration == .minutes(2) && !rules[0].repeats)
        #expect(rules[0].direction == .up && rules[0].state == .alarm && rules[0].maximumAge == nil)
        #expect(rules[1].direction == .hold && rules[1].state == .insufficientData)
        #expect(rules.map(\.holdsUnknown) == [false, true, false, false])
        #expect(rules[2].step == .simulation && rules[2].schedule?.expression == "0 22 * * *")
        #expect(rules[3].step == .nodes(3) && rules[3].source == .hypervisor && rules[3].aggregate == .sum)
    }

    @Test("Mistakes in rules are named")
    func wrongRules() throws {
        let found = try mistakes(
            """
            cluster: prod
            groups: [{id: a, stack: s, resource: r}]
            decider:
              rules:
              - {name: one, group: b, alarm: x}
              - {name: one, group: a}
              - {name: three, group: a, alarm: x, metric: cpu.utilization, threshold: 1}
              - {name: four, group: a, metric: temperature, threshold: 1}
              - {name: five, group: a, metric: cpu.utilization}
              - {name: six, group: a, alarm: x, step: 0}
              - {name: seven, group: a, metric: cpu.utilization, threshold: 1, aggregate: max, step: simulation}
              - {name: eight, group: a, metric: cpu.utilization, threshold: 1, hold_unknown: true}
            """)
        for part in [
            "decider.rules[0].group: there is no group \"b\"", "the name \"one\" is used twice",
            "decider.rules[1].alarm: neither alarm nor metric is given",
            "decider.rules[2].alarm: is given beside metric", "decider.rules[3].metric: is \"temperature\"",
            "decider.rules[4].threshold: is missing", "decider.rules[5].step: is \"0\"",
            "decider.rules[6].step: is simulation", "decider.rules[7].hold_unknown: is given with direction up",
        ] {
            #expect(found.contains { $0.contains(part) }, "\(part) in \(found)")
        }
    }

    @Test("A rule on what nobody hears is a mistake: it would never act, and a hold never hold")
    func deafRules() throws {
        func found(_ collector: String) throws -> [String] {
            try mistakes(
                """
                cluster: prod
                groups: [{id: a, stack: s, resource: r}]
                collector: {\(collector)}
                decider:
                  rules:
                  - {name: calm, group: a, direction: hold, alarm: CheckoutSlow}
                  - {name: cores, group: a, metric: cpu, source: hypervisor, threshold: 12}
                  - {name: disk, group: a, metric: disk.read, source: hypervisor, threshold: 12}
                """)
        }
        let deaf = try found("")
        for part in [
            "decider.rules[0].alarm: no alarms are heard", "decider.rules[1].source: hypervisors are not heard",
            "decider.rules[2].source: hypervisors are not heard",
        ] {
            #expect(deaf.contains { $0.contains(part) }, "\(part) in \(deaf)")
        }
        for hears in [
            "alarms: {enabled: true}",
            "signals: {listen: \"127.0.0.1:9\", token_key: 0123456789abcdef0123456789abcdef}",
        ] {
            let left = try found("\(hears), hypervisor: {enabled: true, meters: [cpu]}")
            #expect(
                left.count == 1
                    && left.first?.contains(
                        "decider.rules[2].metric: \"disk.read\" is not among collector.hypervisor.meters")
                        == true,
                "\(left)")
        }
    }

    @Test("What is heard may be said to the Collector alone: the others start and warn, it does not start deaf")
    func deafElsewhere() throws {
        let file = try TemporaryFile(
            """
            cluster: prod
            groups: [{id: a, stack: s, resource: r}]
            collector: {signals: {token_key: 0123456789abcdef0123456789abcdef}}
            decider:
              rules:
              - {name: calm, group: a, direction: hold, alarm: CheckoutSlow}

            """)
        for program in ["decider", "actuator", "notifier", "command"] {
            let warnings = try Settings.load(file: file.path, for: program).warnings
            #expect(warnings.map(\.path) == ["decider.rules[0].alarm"], "\(program)")
            #expect(warnings.first?.what == "no alarms are heard")
        }
        #expect(throws: SettingsErrors.self) { try Settings.load(file: file.path, for: "collector") }
        // A command in its stead: with its secrets, but without its environment.
        let inItsStead = try Settings.load(file: file.path, for: "collector", isStandIn: true)
        #expect(inItsStead.warnings.map(\.path) == ["decider.rules[0].alarm"])
        #expect(inItsStead.collector.signals.tokenKey != nil)
        let ofNode = try Settings.load(file: file.path, flags: ["collector.node=worker-1"], for: "collector")
        #expect(ofNode.warnings.count == 1)
        let heard = try Settings.load(
            file: file.path, environment: ["UPDRAFT_COLLECTOR_SIGNALS_LISTEN": "127.0.0.1:9"], for: "collector")
        #expect(heard.warnings.isEmpty)
    }
}
