import JSONReader
import Kubernetes
import Messages
import Settings
import Support
import TestServer
import Testing

/// `pod_scalers` of the configuration and `PodScaler` objects are two ways to say one thing.
@Suite("A pod scaler of the configuration is the same as its object")
struct ScalerFileTests {
    private static let mark = "is no scaler that can be used: "

    /// What the file says: the scaler, or what is wrong.
    private func file(_ fields: String) throws -> Result<PodScaler, SettingsErrors> {
        let lines = fields.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
        let target = fields.contains("target_selector") ? "" : "  target: {name: web}\n"
        let file = try TemporaryFile("cluster: prod\npod_scalers:\n- name: web\n  namespace: shop\n\(target)\(lines)\n")
        defer { withExtendedLifetime(file) {} }
        do throws(SettingsErrors) {
            let settings = try Settings.load(file: file.path)
            return .success(settings.podScalers[0])
        } catch {
            return .failure(error)
        }
    }

    /// What the object says, as if it had been said in the file.
    private func object(_ fields: String) throws -> PodScaler {
        let target =
            fields.contains("targetSelector")
            ? "" : #""scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "#
        let text = #"{"metadata": {"name": "web", "namespace": "shop"}, "spec": {\#(target)\#(fields)}}"#
        var scaler = try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
            try PodScalerObject.read(&reader, version: "v1alpha1")
        }.scaler
        scaler.origin = .configuration
        return scaler
    }

    struct Pair: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var file: String
        var object: String
    }

    static let same = [
        Pair(
            testDescription: "utilization, and what is usual where nothing is said",
            file: "intentions: [{stat: cpu, utilization: 60}]",
            object: #""maxReplicas": 10, "thresholds": [{"intention": {"stat": "cpu", "utilization": 60}}]"#),
        Pair(
            testDescription: "averages: CPU is thousandths in the file and a quantity of cores in the object",
            file: """
                min: 2
                max: 40
                intentions:
                - {stat: cpu, average: 250}
                - {stat: cpu, container: app, average: 1500}
                - {stat: memory, average: 524288000}
                - {stat: queue, external: true, average: 1.5}
                - {stat: hits, external: true, value: 2000}
                """,
            object: #"""
                "minReplicas": 2, "maxReplicas": 40, "thresholds": [
                 {"intention": {"stat": "cpu", "averageValue": "250m"}},
                 {"intention": {"stat": "cpu", "container": "app", "averageValue": "1500m"}},
                 {"intention": {"stat": "memory", "averageValue": "500Mi"}},
                 {"intention": {"stat": "queue", "external": true, "averageValue": "1500m"}},
                 {"intention": {"stat": "hits", "external": true, "value": "2k"}}]
                """#),
        Pair(
            testDescription: "value thresholds, with steps in numbers and percent",
            file: """
                max: 5
                values:
                - {stat: queue, external: true, comparison: at-least, value: 1000, duration: 1m, increment: 50%}
                - {stat: queue, external: true, comparison: below, value: 10, duration: 5m, increment: -10%}
                - {stat: cpu, comparison: above, value: 250, duration: 0s, increment: 2}
                - {stat: cpu, utilization: true, comparison: at-most, value: 20, duration: 30s, increment: -1}
                """,
            object: #"""
                "maxReplicas": 5, "thresholds": [
                 {"value": {"stat": "queue", "external": true, "comparison": "at-least", "value": "1k",
                  "durationSeconds": 60, "increment": "50%"}},
                 {"value": {"stat": "queue", "external": true, "comparison": "below", "value": 10,
                  "durationSeconds": 300, "increment": "-10%"}},
                 {"value": {"stat": "cpu", "comparison": "above", "value": "250m", "increment": 2}},
                 {"value": {"stat": "cpu", "utilization": true, "comparison": "at-most", "value": 20,
                  "durationSeconds": 30, "increment": -1}}]
                """#),
        Pair(
            testDescription: "sources of Gnocchi, Aodh and the cluster",
            file: """
                max: 5
                intentions:
                - {stat: load, external: true, average: 5}
                - {stat: sum, external: true, average: 5}
                - {stat: slow, external: true, average: 5}
                - {stat: depth, external: true, average: 5}
                - {stat: hits, external: true, value: 5}
                - {stat: sessions, average: 5}
                sources:
                - {stat: load, gnocchi: {metric: connections, resource_id: r1}}
                - stat: sum
                  gnocchi:
                    metric: m
                    resource_type: instance
                    match: {zone: a}
                    granularity: 5m
                    aggregation: "rate:mean"
                    across: sum
                - {stat: slow, max_age: 90s, alarm: {name: too slow, firing: 0.5, ok: 0, insufficient_data: 1}}
                - {stat: depth, kubernetes: {metric: queue_depth, selector: {queue: orders}}}
                - stat: hits
                  kubernetes:
                    metric: rps
                    object: {api_version: networking.k8s.io/v1, kind: Ingress, name: main}
                - {stat: sessions, kubernetes: {metric: open_sessions, pods: true}}
                """,
            object: #"""
                "maxReplicas": 5, "thresholds": [
                 {"intention": {"stat": "load", "external": true, "averageValue": 5}},
                 {"intention": {"stat": "sum", "external": true, "averageValue": 5}},
                 {"intention": {"stat": "slow", "external": true, "averageValue": 5}},
                 {"intention": {"stat": "depth", "external": true, "averageValue": 5}},
                 {"intention": {"stat": "hits", "external": true, "value": 5}},
                 {"intention": {"stat": "sessions", "averageValue": 5}}],
                "sources": [
                 {"stat": "load", "gnocchi": {"metric": "connections", "resourceID": "r1"}},
                 {"stat": "sum", "gnocchi": {"metric": "m", "resourceType": "instance", "match": {"zone": "a"},
                  "granularitySeconds": 300, "aggregation": "rate:mean", "across": "sum"}},
                 {"stat": "slow", "maxAgeSeconds": 90, "alarm": {"name": "too slow", "firing": "500m", "ok": 0,
                  "insufficientData": 1}},
                 {"stat": "depth", "kubernetes": {"metric": "queue_depth", "selector": {"matchLabels": {"queue": "orders"}}}},
                 {"stat": "hits", "kubernetes": {"metric": "rps",
                  "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"}}},
                 {"stat": "sessions", "kubernetes": {"metric": "open_sessions", "pods": true}}]
                """#),
        Pair(
            testDescription: "selectors, pause, fallback, and how fast it may grow and shrink",
            file: """
                target_selector: {tier: web, app: shop}
                monitor_selector: {app: shop}
                min: 0
                max: 40
                enabled: false
                pause: down
                dry_run: true
                fallback: 3
                intentions: [{stat: cpu, utilization: 60}]
                scale_up:
                  stabilization: 10s
                  select: Min
                  tolerance: 0.2
                  policies:
                  - {type: Pods, value: 3, period: 20s}
                  - {type: Percent, value: 50, period: 1m}
                scale_down: {select: Disabled}
                """,
            object: #"""
                "targetSelector": {"matchLabels": {"tier": "web", "app": "shop"}},
                "monitorSelector": {"matchLabels": {"app": "shop"}}, "minReplicas": 0, "maxReplicas": 40,
                "enabled": false, "pause": "down", "dryRun": true, "fallbackReplicas": 3,
                "thresholds": [{"intention": {"stat": "cpu", "utilization": 60}}],
                "behavior": {"scaleUp": {"stabilizationWindowSeconds": 10, "selectPolicy": "Min", "tolerance": "200m",
                  "policies": [{"type": "Pods", "value": 3, "periodSeconds": 20},
                   {"type": "Percent", "value": 50, "periodSeconds": 60}]},
                 "scaleDown": {"selectPolicy": "Disabled"}}
                """#),
    ]

    @Test("Said in the file and in an object it is the same scaler", arguments: same)
    func equal(pair: Pair) throws {
        let object = try object(pair.object)
        #expect(object.problem == nil)
        #expect(try file(pair.file).get() == object)
    }

    static let refused = [
        Pair(
            testDescription: "more at least than at most",
            file: "min: 3\nmax: 2\nintentions: [{stat: cpu, utilization: 60}]",
            object:
                #""minReplicas": 3, "maxReplicas": 2, "thresholds": [{"intention": {"stat": "cpu", "utilization": 60}}]"#
        ),
        Pair(
            testDescription: "a fallback beyond the maximum",
            file: "max: 2\nfallback: 3\nintentions: [{stat: cpu, utilization: 60}]",
            object:
                #""maxReplicas": 2, "fallbackReplicas": 3, "thresholds": [{"intention": {"stat": "cpu", "utilization": 60}}]"#
        ),
        Pair(testDescription: "no threshold", file: "max: 2", object: #""maxReplicas": 2"#),
        Pair(
            testDescription: "utilization of what nobody requests",
            file: "max: 2\nintentions: [{stat: rps, utilization: 60}]",
            object: #""maxReplicas": 2, "thresholds": [{"intention": {"stat": "rps", "utilization": 60}}]"#),
        Pair(
            testDescription: "a step that is none",
            file: "max: 2\nvalues: [{stat: rps, comparison: above, value: 5, increment: 0}]",
            object:
                #""maxReplicas": 2, "thresholds": [{"value": {"stat": "rps", "comparison": "above", "value": 5, "increment": 0}}]"#
        ),
        Pair(
            testDescription: "a source that no threshold names",
            file: """
                max: 2
                intentions: [{stat: load, external: true, average: 5}]
                sources: [{stat: laod, alarm: {name: a}}]
                """,
            object: #"""
                "maxReplicas": 2, "thresholds": [{"intention": {"stat": "load", "external": true, "averageValue": 5}}],
                "sources": [{"stat": "laod", "alarm": {"name": "a"}}]
                """#),
    ]

    @Test("What makes an object unusable refuses the file, with the same words", arguments: refused)
    func refuses(pair: Pair) throws {
        let problem = try #require(try object(pair.object).problem)
        guard case .failure(let errors) = try file(pair.file) else {
            Issue.record("the file is taken, although: \(problem.detail)")
            return
        }
        #expect(errors.mistakes.map(\.what) == [Self.mark + problem.detail])
        #expect(errors.mistakes.map(\.path) == ["pod_scalers[0].name"])
    }
}
