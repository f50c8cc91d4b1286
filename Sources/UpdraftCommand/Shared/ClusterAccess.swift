import Kubernetes
import Messages
import ServiceRuntime
import Settings

/// The Kubernetes API, for commands that can also do without: used when a kubeconfig is named.
enum ClusterAccess {
    static let flag = Usage.Flag(
        "--kubeconfig", "FILE",
        "ask the Kubernetes API too; else kubernetes.kubeconfig of the configuration, or KUBECONFIG;\nwithout any, only the bus is asked"
    )

    /// A client, or nil when no kubeconfig is named.
    static func client(
        _ read: Usage.Arguments, _ settings: Settings,
        environment: [String: String] = ServiceMain.environmentVariables()
    ) throws(CommandError) -> KubernetesClient? {
        let file = read.value("--kubeconfig") ?? settings.kubernetes.kubeconfig
        guard file != nil || environment["KUBECONFIG"]?.isEmpty == false else { return nil }
        do throws(KubernetesError) {
            let configuration = try KubernetesConfiguration.chosen(
                kubeconfig: file, context: settings.kubernetes.context, inCluster: false, environment: environment)
            return KubernetesClient(
                configuration, userAgent: "updraft/\(UpdraftVersion.text)",
                requestTimeout: settings.kubernetes.requestTimeout)
        } catch {
            throw CommandError("the kubeconfig cannot be used: \(error.description)", exitCode: 2)
        }
    }
}
