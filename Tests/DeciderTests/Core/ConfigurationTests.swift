import Messages
import Settings
import Support
import TestServer
import Testing

@testable import Decider

@Suite("Rules from settings")
struct ConfigurationTests {
    private func configuration(_ text: String) throws -> DeciderConfiguration {
        let file = try TemporaryFile(text)
        return DeciderConfiguration(try Settings.load(file: file.path))
    }

    @Test("What the file says is what the engine works with")
    func mapped() throws {
        let rules = try configuration(
            """
            cluster: prod
            groups:
            - {id: a, stack: s, resource: r, price: 2, utilization_threshold: 0.3, gpu_utilization_threshold: 0.1,
               unneeded_time: 1m, unready_time: 2m, zero_or_max: true}
            decider:
              expander: [priority, price]
              priorities: [{priority: 10, patterns: ["^spot-"]}]
              several_groups: false
              soft_tie_breaks: false
              all_or_nothing: true
              max_nodes_per_minute: 30
              schedulers: [default-scheduler]
              bypassed_schedulers: [mine]
              startup_timeout: 5m
              balancing_ignore_labels: [rack]
              limits: {min_nodes: 3, min_cores: 2500m, min_memory: 4Gi, cores: "100"}
              headroom:
                percent: 5
                shapes: [{name: big, count: 2, cpu: 1500m, node_selector: {disk: ssd}, tolerations: ["*"]}]
              scale_down:
                measured_utilization: true
                measurement_max_age: 30s
                balance_zones: false
                limit_candidates: true
                recheck_after: 5m
                consolidation: {enabled: true, min_saving: 0.3, pause: 1h}
                gpu_resources: [example.com/gpu]
                budgets:
                - {group: a, zone: "*", nodes: 5, percent: 10}
                - {nodes: 0, schedule: "0 8 * * *", duration: 1h, drains: true}
            """)
        #expect(
            rules.scaleUp.expanders == [.priority([PriorityPatterns(priority: 10, patterns: ["^spot-"])]), .price])
        #expect(!rules.scaleUp.severalGroups && !rules.scaleUp.softTieBreaks && rules.scaleUp.allOrNothing)
        #expect(rules.scaleUp.maximumNodesPerMinute == 30)
        #expect(rules.scaleUp.allowedSchedulers == ["default-scheduler"])
        #expect(rules.scaleUp.bypassedSchedulers == ["mine"])
        #expect(rules.scaleUp.similarity.ignoredLabels == ["rack"])
        #expect(rules.health.startupTimeout == .minutes(5))
        #expect(rules.limits.minimum == ["nodes": 3, "cpu": 3, "memory": 4 << 30])
        #expect(rules.limits.quotas.first?.limits == ["cpu": 100])
        #expect(rules.headroom.map(\.id) == ["big", "percent"])
        #expect(rules.headroom[0].amount == .pods(count: 2, requests: ResourceList(cpuMillis: 1_500)))
        #expect(rules.headroom[0].nodeSelector == ["disk": "ssd"])
        #expect(rules.headroom[0].tolerations == [Toleration(key: nil, exists: true)])
        let down = rules.scaleDown
        #expect(down.usesMeasuredLoad && !down.balancesZones)
        #expect(down.limitsCandidates && down.unremovableRecheck == .minutes(5))
        #expect(down.consolidates && down.consolidationGain == 0.3 && down.consolidationPause == .minutes(60))
        #expect(down.measurementLifetime == .seconds(30))
        #expect(down.gpuResources == ["example.com/gpu"])
        #expect(
            down.budgets == [
                DisruptionBudget(
                    group: .named("a"), zone: .each, nodes: 5, percent: 10, origin: "decider.scale_down.budgets[0]"),
                DisruptionBudget(
                    nodes: 0, schedule: Schedule("0 8 * * *", duration: .minutes(60)), drains: true,
                    origin: "decider.scale_down.budgets[1]"),
            ])
        let group = try #require(rules.groups.first)
        #expect(group.price == 2 && group.zeroOrMax && group.utilizationThreshold == 0.3)
        #expect(group.gpuUtilizationThreshold == 0.1)
        #expect(group.unneededTime == .minutes(1) && group.unreadyTime == .minutes(2))
    }

    @Test("Without a word the rules are the engine's own, but for what is said here")
    func defaults() throws {
        let rules = try configuration("cluster: prod")
        var expected = DeciderConfiguration(cluster: "prod", groups: [])
        expected.scaleUp.maximumNodesPerDecision = 1_000
        expected.scaleDown.maximumParallelDrain = 5
        expected.health.stateTimeout = .minutes(2)
        #expect(rules == expected)
    }

    @Test(
        "an alarm that is heard of by looks only is not too old between two of them, whatever its rule says",
        arguments: [("30s", true, 4.0), ("30s", false, 0.5), ("10m", true, 10)])
    func alarmAge(_ limit: String, _ looks: Bool, _ minutes: Double) throws {
        let rules = try configuration(
            """
            cluster: prod
            groups: [{id: a, stack: s, resource: r}]
            collector: {alarms: {enabled: \(looks)}, signals: {listen: "127.0.0.1:9481"}}
            actuator: {alarms_interval: 2m}
            decider: {rules: [{name: calm, group: a, direction: hold, alarm: HighLoad, max_age: \(limit)}]}
            """)
        #expect(
            rules.rules.first?.condition
                == .alarm(ScalingRule.Alarm("HighLoad", maximumAge: .minutes(minutes))))
    }
}
