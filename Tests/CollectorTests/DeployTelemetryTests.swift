import FoundationEssentials
import JSONReader
import Messages
import Settings
import Testing
import YAML

@testable import Collector
@testable import Kubernetes

/// `deploy/telemetry` against what the code sends.
@Suite("Telemetry as it is shipped")
struct DeployTelemetryTests {
    private func text(_ path: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return String(decoding: try Data(contentsOf: root.appendingPathComponent("deploy/\(path)")), as: UTF8.self)
    }

    private func yaml(_ path: String) throws -> JSONValue { JSONValue(try YAML.parse(text(path))) }

    /// The requests of gnocchi-types.json by name.
    private func requests(_ path: String) throws -> [String: JSONValue] {
        let entries = try #require(try JSONValue.parse(text("telemetry/gnocchi-types.json")).arrayValue)
        var found: [String: JSONValue] = [:]
        for entry in entries where entry["path"]?.stringValue == path {
            let body = try #require(entry["body"])
            found[try #require(body["name"]?.stringValue)] = body
        }
        return found
    }

    @Test("every meter that is sent is declared, for its type, and no other", arguments: TelemetryKind.allCases)
    func meters(kind: TelemetryKind) throws {
        let resources = try #require(try yaml("telemetry/kubernetes_resources.yaml")["resources"]?.arrayValue)
        let entry = try #require(resources.first { $0["resource_type"]?.stringValue == kind.resourceType })
        #expect(
            Set(try #require(entry["metrics"]?.objectValue).keys) == Set(kind.gauges.map { $0.meter(of: kind) }))
        let attributes = entry["attributes"]?.objectValue ?? [:]
        #expect(Set(attributes.keys) == Set(kind.attributes.map(\.name)))
        for (name, source) in attributes { #expect(source.stringValue == "resource_metadata.\(name)") }
        #expect(resources.count == TelemetryKind.allCases.count)
    }

    @Test(
        "every type of our own has the attributes that are sent, and asks for none that is not",
        arguments: [
            TelemetryKind.cluster, .node, .pod, .container,
        ])
    func types(kind: TelemetryKind) throws {
        let type = try #require(try requests("/v1/resource_type")[kind.resourceType])
        let attributes = try #require(type["attributes"]?.objectValue)
        #expect(Set(attributes.keys) == Set(kind.attributes.map(\.name)))
        for (name, isRequired) in kind.attributes { #expect(attributes[name]?["required"]?.boolValue == isRequired) }
    }

    @Test("the archive policy is the one that is named, and fine enough for an alarm of a minute")
    func policy() throws {
        let name = try #require(try yaml("telemetry/kubernetes_resources.yaml")["archive_policy_default"]?.stringValue)
        let policy = try #require(try requests("/v1/archive_policy")[name])
        #expect(policy["definition"]?.arrayValue?.first?["granularity"] == "60s")
    }

    @Test("the pipeline sends our meters, and only those, by our definitions")
    func pipeline() throws {
        let pipeline = try yaml("telemetry/pipeline.yaml")
        let sources = try #require(pipeline["sources"]?.arrayValue)
        let ours = try #require(sources.first { $0["meters"]?.arrayValue == ["kubernetes.*"] })
        #expect(sources.contains { $0["meters"]?.arrayValue == ["!kubernetes.*"] })
        let sink = try #require(pipeline["sinks"]?.arrayValue?.first { $0["name"] == ours["sinks"]?[0] })
        #expect(sink["publishers"]?[0] == "gnocchi://?resources_definition_file=kubernetes_resources.yaml")
        for kind in TelemetryKind.allCases {
            for gauge in kind.gauges { #expect(gauge.meter(of: kind).hasPrefix("kubernetes.")) }
        }
    }

    @Test("the alarms name meters, types, attributes and methods that exist")
    func alarms() throws {
        let alarms = try #require(try yaml("telemetry/alarms.yaml").arrayValue)
        #expect(alarms.count >= 4)
        let policy = try #require(try requests("/v1/archive_policy")["kubernetes"])
        for alarm in alarms {
            let type = try #require(alarm["type"]?.stringValue)
            let rule = try #require(alarm["\(type)_rule"])
            let metric = try #require(rule["metric"]?.stringValue)
            let kind = try #require(
                TelemetryKind.allCases.first { $0.resourceType == rule["resource_type"]?.stringValue })
            #expect(kind.gauges.contains { $0.meter(of: kind) == metric }, "\(metric)")
            let methods = try #require(policy["aggregation_methods"]?.arrayValue)
            let method = try #require(rule["aggregation_method"]?.stringValue)
            #expect(methods.contains { $0.stringValue == method })
            // Those by which Gnocchi makes one value of several metrics' (4.4, rest/aggregates/operations.py); Aodh refuses the rest.
            #expect(["mean", "median", "std", "min", "max", "sum", "var", "count"].contains(method))
            let query = try JSONValue.parse(try #require(rule["query"]?.stringValue))
            for term in query["and"]?.arrayValue ?? [query] {
                let name = try #require(term["="]?.objectValue?.keys.first)
                #expect(name == "ended_at" || kind.attributes.contains { $0.name == name }, "\(name)")
            }
        }
    }

    @Test("the DaemonSet's account may do what a Collector of one node does, and no more")
    func daemonSet() throws {
        let documents = try text("kubernetes/collector-daemonset.yaml").split(separator: "\n---\n")
        let trees = try documents.map { JSONValue(try YAML.parse(String($0))) }
        let role = try #require(trees.first { $0["kind"] == "ClusterRole" })
        var rights: Set<String> = []
        for rule in role["rules"]?.arrayValue ?? [] {
            for resource in rule["resources"]?.arrayValue ?? [] {
                for verb in rule["verbs"]?.arrayValue ?? [] {
                    rights.insert("\(verb.stringValue ?? "") \(resource.stringValue ?? "")")
                }
            }
        }
        #expect(
            rights == [
                "list nodes", "watch nodes", "list pods", "watch pods", "get nodes/metrics", "get nodes/stats",
            ])
        let pod = try #require(trees.first { $0["kind"] == "DaemonSet" }?[path: "spec", "template", "spec"])
        let variables = try #require(pod["containers"]?[0]?["env"]?.arrayValue).compactMap { $0["name"]?.stringValue }
        #expect(variables.contains("UPDRAFT_COLLECTOR_NODE"))
        // The configuration is the central Collector's too, whose stats may be off.
        var environment = ["UPDRAFT_COLLECTOR_NODE": "n1"]
        for variable in try #require(pod["containers"]?[0]?["env"]?.arrayValue) {
            guard let name = variable["name"]?.stringValue, let value = variable["value"]?.stringValue,
                name.hasPrefix("UPDRAFT_COLLECTOR_")
            else { continue }
            environment[name] = value
        }
        let settings = try Settings.load(
            file: nil, environment: environment, flags: ["cluster=test", "bus.transport_url=rabbit://x/"])
        #expect(settings.collector.stats.enabled && settings.collector.node == "n1")
        #expect(environment["UPDRAFT_COLLECTOR_STATS_ENABLED"] == "true")
        environment["UPDRAFT_COLLECTOR_STATS_ENABLED"] = "false"
        #expect(throws: SettingsErrors.self) {
            try Settings.load(
                file: nil, environment: environment, flags: ["cluster=test", "bus.transport_url=rabbit://x/"])
        }
    }
}
