import FoundationEssentials
import JSONReader
import Testing
import YAML

@testable import Collector
@testable import Kubernetes

/// The ClusterRole that is shipped against what the Collector asks for.
@Suite("Rights of the Collector")
struct RightsTests {
    private struct Rule: Hashable {
        var group: String
        var resource: String
        var verb: String
    }

    /// The rules of a ClusterRole in `deploy/kubernetes/rbac.yaml`.
    private func granted(to role: String) throws -> Set<Rule> {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try Data(contentsOf: root.appendingPathComponent("deploy/kubernetes/rbac.yaml"))
        let documents = String(decoding: data, as: UTF8.self).split(separator: "\n---\n")
        var rules: Set<Rule> = []
        for document in documents {
            let tree = JSONValue(try YAML.parse(String(document)))
            guard tree["kind"]?.stringValue == "ClusterRole", tree["metadata"]?["name"]?.stringValue == role else {
                continue
            }
            for rule in tree["rules"]?.arrayValue ?? [] {
                for group in rule["apiGroups"]?.arrayValue ?? [] {
                    for resource in rule["resources"]?.arrayValue ?? [] {
                        for verb in rule["verbs"]?.arrayValue ?? [] {
                            rules.insert(
                                Rule(
                                    group: group.stringValue ?? "", resource: resource.stringValue ?? "",
                                    verb: verb.stringValue ?? ""))
                        }
                    }
                }
            }
        }
        return rules
    }

    @Test("what it asks for is granted, and nothing else")
    func exact() throws {
        let names = [
            NodeObject.resource, PodObject.resource, BudgetObject.resource, ReplicaSetObject.resource,
            ReplicationControllerObject.resource, StatefulSetObject.resource, DaemonSetObject.resource,
            JobObject.resource, ClaimObject.resource, VolumeObject.resource, NamespaceObject.resource,
            DeploymentObject.resource, PodScalerObject.resource, AutoscalerObject.resource,
        ]
        // Targets of kinds that only some clusters have need rights that only those can give.
        #expect(names.count == ObservedKind.allCases.count - 1)
        var wanted = Set(
            names.flatMap { name in
                ["list", "watch"].map { Rule(group: name.group, resource: name.plural, verb: $0) }
            })
        // Kubelets at their own port ask for the right on the page, the API server's proxy for the one on the proxy.
        for page in ["nodes/metrics", "nodes/stats", "nodes/proxy"] {
            wanted.insert(Rule(group: "", resource: page, verb: "get"))
        }
        for list in ["nodes", "pods"] {
            wanted.insert(Rule(group: "metrics.k8s.io", resource: list, verb: "list"))
        }
        // A metric of no object is a resource with a name that nobody knows beforehand, one of an object is its subresource: API
        // servers take the first request for a list.
        wanted.insert(Rule(group: ClusterMetricsAPI.external.rawValue, resource: "*", verb: "list"))
        wanted.insert(Rule(group: ClusterMetricsAPI.custom.rawValue, resource: "*", verb: "get"))
        #expect(try granted(to: "updraft-collector") == wanted)
    }
}
