import JSONReader
import Support

/// What a practice cloud is made of at its start.
struct PracticeSettings: Sendable {
    /// Names and ids follow from it.
    var seed: UInt64 = 1
    /// All of Heat's and the machines' times are multiplied by it: 0.1 is ten times as fast as recorded.
    var pace = 1.0
    /// Which Kubernetes 1.N is played.
    var kubernetesMinor = 30
    var heat = HeatTiming()
    var kubelets = KubeletModel.Timing()
    /// From Nova's acceptance to ACTIVE.
    var serverBuild: Interval = .seconds(5)
    /// From a Node's deletion to the removal of its pods by force.
    var podCollection: Interval = .seconds(20)
    var tokenLifetime: Interval = .seconds(3_600)
    var quota = NovaModel.Quota()
    var flavors: [Flavor] = [
        Flavor(id: "1", name: "m1.small", vcpus: 1, ram: 2_048, disk: 20),
        Flavor(id: "2", name: "m1.medium", vcpus: 2, ram: 4_096, disk: 40),
        Flavor(id: "3", name: "m1.large", vcpus: 4, ram: 8_192, disk: 80),
        Flavor(id: "4", name: "m1.xlarge", vcpus: 8, ram: 16_384, disk: 160),
        Flavor(id: "5", name: "g1.gpu", vcpus: 8, ram: 32_768, disk: 160, extraSpecs: ["resources:VGPU": "1"]),
    ]
    var stacks: [StackDefinition] = [StackDefinition(name: "k8s", groups: [GroupDefinition()])]

    /// The quota, raised to what the groups' limits need: a quota that bites is switched on by the control API.
    var ampleQuota: NovaModel.Quota {
        var ample = quota
        var instances = 0
        var cores = 0
        var ram = 0
        for group in stacks.flatMap(\.groups) {
            let flavor = flavors.first { $0.name == group.flavor || $0.id == group.flavor }
            instances += group.maximum
            cores += group.maximum * (flavor?.vcpus ?? 0)
            ram += group.maximum * (flavor?.ram ?? 0)
        }
        if ample.instances >= 0 { ample.instances = max(ample.instances, instances) }
        if ample.cores >= 0 { ample.cores = max(ample.cores, cores) }
        if ample.ram >= 0 { ample.ram = max(ample.ram, ram) }
        return ample
    }

    /// Times as they are played.
    var pacedHeat: HeatTiming { heat.scaled(by: pace) }
    var pacedKubelets: KubeletModel.Timing { kubelets.scaled(by: pace) }
}

/// Where the services are reached, without a slash at the end.
struct PracticeEndpoints: Sendable {
    var keystone = "http://127.0.0.1:5000"
    var heat = "http://127.0.0.1:8004"
    var nova = "http://127.0.0.1:8774"
    var kubernetes = "http://127.0.0.1:6443"
    var hooks = "http://127.0.0.1:8080"
    var control = "http://127.0.0.1:8090"
    var aodh = "http://127.0.0.1:8042"
}

/// Who may log in. Practice secrets: they open nothing but this process.
struct PracticeCredentials: Sendable {
    var user = "practice"
    var password = "practice-password"
    var credentialID = "practice-credential"
    var credentialSecret = "practice-credential-secret"
    var trustee = "practice-trustee"
    var trusteePassword = "practice-trustee-password"
    var trustID = "practice-trust"
    /// Bearer token of the API server with every right.
    var kubernetesToken = "practice-token"
    /// And one that may only read.
    var readerToken = "practice-reader-token"
}
