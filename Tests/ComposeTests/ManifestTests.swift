import FoundationEssentials
import Settings
import TestServer
import Testing
import YAML

/// What can be told of the manifests for Kubernetes without a cluster.
@Suite("The manifests for Kubernetes")
struct ManifestTests {
    /// The objects of a file in `deploy/kubernetes`.
    private static func objects(_ file: String) throws -> [YAMLNode] {
        try Project.text("deploy/kubernetes/\(file)").split(separator: "\n---\n").map { try YAML.parse(String($0)) }
    }

    private static func named(_ kind: String, _ objects: [YAMLNode]) -> [(name: String, node: YAMLNode)] {
        objects.filter { $0["kind"]?.string == kind }.map { ($0["metadata"]?["name"]?.string ?? "", $0) }
    }

    /// What runs pods: four Deployments and the DaemonSet.
    private static func workloads() throws -> [Workload] {
        let all = try objects("updraft.yaml") + objects("collector-daemonset.yaml")
        return (named("Deployment", all) + named("DaemonSet", all)).map { Workload(name: $0.name, node: $0.node) }
    }

    private struct Workload {
        var name: String
        var node: YAMLNode
        var pod: YAMLNode? { node["spec"]?["template"]?["spec"] }
        var container: YAMLNode? { pod?["containers"]?.items?.first }
        var service: String { container?["command"]?.items?.first?.string ?? "" }
        var secrets: [String] {
            (pod?["volumes"]?.items ?? []).compactMap { $0["secret"]?["secretName"]?.string }
        }
        var variables: [String: String] {
            var found: [String: String] = [:]
            for item in container?["env"]?.items ?? [] {
                found[item["name"]?.string ?? ""] = item["value"]?.string ?? ""
            }
            return found
        }
    }

    @Test("the four services are there, twice each, with the accounts that rbac.yaml makes")
    func services() throws {
        let accounts = Set(
            Self.named("ServiceAccount", try Self.objects("rbac.yaml") + Self.objects("collector-daemonset.yaml"))
                .map(\.name))
        let workloads = try Self.workloads()
        #expect(
            Set(workloads.map(\.name))
                == Set(ComposeService.names.map { "updraft-\($0)" } + ["updraft-node-collector"]))
        for workload in workloads {
            let name = workload.name
            #expect(workload.node["metadata"]?["namespace"]?.string == "updraft", "\(name)")
            #expect(workload.service == name.replacing("-node", with: ""), "\(name) runs \(workload.service)")
            if workload.node["kind"]?.string == "Deployment" {
                #expect(workload.node["spec"]?["replicas"]?.string == "2", "\(name)")
            }
            let labels = workload.node["spec"]?["template"]?["metadata"]?["labels"]
            for entry in workload.node["spec"]?["selector"]?["matchLabels"]?.mapping?.entries ?? [] {
                #expect(labels?[entry.key]?.string == entry.value.string, "\(name) does not select its own pods")
            }
            let account = workload.pod?["serviceAccountName"]?.string
            if name == "updraft-decider" {
                #expect(account == nil && workload.pod?["automountServiceAccountToken"]?.string == "false")
            } else {
                #expect(account == name && accounts.contains(name), "\(name) runs as \(account ?? "nobody")")
            }
        }
    }

    @Test("each gets its credentials and no others; every file that is named is mounted, every Secret told of")
    func credentials() throws {
        let told = try Project.text("deploy/kubernetes/updraft.yaml")
        for workload in try Self.workloads() {
            let name = workload.name
            let own = [
                "updraft-actuator": ["updraft-cloud"], "updraft-collector": ["updraft-telemetry-cloud"],
                "updraft-node-collector": ["updraft-telemetry-cloud"],
            ]
            let expected = ["updraft-config", "updraft-broker"] + (own[name] ?? [])
            #expect(workload.secrets == expected, "\(name)")
            for secret in workload.secrets {
                #expect(told.contains("create secret generic \(secret) "), "nobody says how \(secret) is made")
            }
            let mounts = (workload.container?["volumeMounts"]?.items ?? []).compactMap { $0["mountPath"]?.string }
            for (variable, value) in workload.variables where value.hasPrefix("/etc/") {
                #expect(mounts.contains { value.hasPrefix($0 + "/") }, "\(name): \(variable) is in no mounted folder")
            }
        }
    }

    @Test("every variable is a field's, and with them and compose's file the configuration is right")
    func variables() throws {
        // As compose's, without what the variables say.
        let text = try Project.text("compose/updraft.yaml").replacing(
            "kubernetes:\n  kubeconfig: kubeconfig\n", with: "")
        let file = try TemporaryFile(text)
        for workload in try Self.workloads() {
            let name = workload.name
            var variables = workload.variables
            #expect(workload.pod?["enableServiceLinks"]?.string == "false", "\(name)")
            for variable in variables.keys where variable != "UPDRAFT_CONFIG" {
                #expect(Settings.variableNames.contains(variable), "\(name): \(variable) is no field's variable")
            }
            #expect(variables["UPDRAFT_BUS_TRANSPORT_URL_FILE"] == "/etc/updraft-broker/transport_url")
            // The Secret's file is not here.
            variables["UPDRAFT_BUS_TRANSPORT_URL_FILE"] = nil
            variables["UPDRAFT_BUS_TRANSPORT_URL"] = "rabbit://u:p@broker:5672/"
            if variables["UPDRAFT_COLLECTOR_NODE"] != nil { variables["UPDRAFT_COLLECTOR_NODE"] = "worker-1" }
            let settings = try Settings.load(file: file.path, environment: variables)
            #expect(settings.kubernetes.inCluster == (name != "updraft-decider"), "\(name)")
            #expect(settings.health.listen?.description == "0.0.0.0:9470", "\(name)")
        }
    }

    @Test("the probes ask the health pages at the port that is listened on, the Service leads to the Notifier's")
    func ports() throws {
        for workload in try Self.workloads() {
            let name = workload.name
            func port(_ called: String) -> String? {
                workload.container?["ports"]?.items?.first { $0["name"]?.string == called }?["containerPort"]?.string
            }
            #expect(workload.variables["UPDRAFT_HEALTH_LISTEN"] == "0.0.0.0:\(port("health") ?? "")", "\(name)")
            for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
                let get = workload.container?[probe]?["httpGet"]
                #expect(get?["path"]?.string == path && get?["port"]?.string == "health", "\(name): \(probe)")
            }
            guard name == "updraft-notifier" else { continue }
            let listen = "0.0.0.0:\(port("answers") ?? "")"
            #expect(workload.variables["UPDRAFT_NOTIFIER_LISTEN"] == listen)
            let service = try #require(Self.named("Service", try Self.objects("updraft.yaml")).first)
            let exposed = try #require(service.node["spec"]?["ports"]?.items?.first)
            #expect(exposed["targetPort"]?.string == "answers")
            #expect(
                workload.variables["UPDRAFT_NOTIFIER_ADVERTISE_URL"]
                    == "http://\(service.name).updraft:\(exposed["port"]?.string ?? "")")
            let labels = workload.node["spec"]?["template"]?["metadata"]?["labels"]
            for entry in service.node["spec"]?["selector"]?.mapping?.entries ?? [] {
                #expect(labels?[entry.key]?.string == entry.value.string, "the Service selects \(entry.key)")
            }
        }
    }
}
