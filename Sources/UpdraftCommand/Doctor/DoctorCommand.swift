import Glibc
import Kubernetes
import OpenStack
import ServiceRuntime
import Settings

/// `updraft doctor heat`.
enum DoctorCommand {
    static let help = """
        updraft doctor heat: looks at the stacks of the configured groups, says what is wrong and how to mend it

        usage: updraft doctor heat [--config FILE] [--set NAME=VALUE]… [--no-kubernetes] [--repair [--yes]]

          --config FILE      the services' configuration: groups, login (openstack.*), kubeconfig (kubernetes.*); also -c.
                             Else UPDRAFT_CONFIG, else /etc/updraft/updraft.yaml
          --set NAME=VALUE   a field of it, e.g. openstack.cloud=prod; may be repeated
          --no-kubernetes    do not look at nodes and pods
          --repair           do what is safe: clear hooks of drained nodes, send the size of the members that are there to a
                             stack that stands still or failed, take marks back that no removal claims. Asks before each
          --yes              do not ask

        The login is that of the configuration, else OS_CLOUD or OS_* of the environment; KUBECONFIG likewise.

        Exit code: 0 nothing is wrong, 1 something is, 2 wrong usage or configuration.
        """

    static func run(_ arguments: [String]) async -> Int32 {
        guard !arguments.contains("--help"), !arguments.contains("-h") else {
            Terminal.line(help)
            return 0
        }
        let (options, complaint) = DoctorOptions.parse(arguments)
        guard let options else {
            Terminal.complaint("updraft doctor: \(complaint)\n\n\(help)")
            return 2
        }
        return await run(options, environment: ServiceMain.environmentVariables(), Terminal.line, ask: ask)
    }

    /// Looks, tells by `say`, and repairs what it may.
    static func run(
        _ options: DoctorOptions, environment: [String: String], _ say: @escaping @Sendable (String) -> Void,
        ask: @escaping @Sendable (String) -> Bool
    ) async -> Int32 {
        let settings: Settings
        let openstack: OpenStackClient
        var kubernetes: KubernetesClient?
        do {
            settings = try Settings.load(
                file: options.file ?? ServiceMain.configurationFile(environment), environment: environment,
                flags: options.fields, for: "command")
            var cloud = try CloudConfiguration.load(
                cloud: settings.openstack.cloud, file: settings.openstack.cloudsFile,
                region: settings.openstack.region, environment: environment)
            cloud.timeout = settings.openstack.requestTimeout
            if let interface = settings.openstack.interface { cloud.interface = interface.rawValue }
            openstack = OpenStackClient(cloud)
            if options.looksAtNodes {
                kubernetes = KubernetesClient(
                    try KubernetesConfiguration.chosen(
                        kubeconfig: settings.kubernetes.kubeconfig, context: settings.kubernetes.context,
                        inCluster: settings.kubernetes.inCluster, environment: environment),
                    userAgent: "updraft-doctor", requestTimeout: settings.kubernetes.requestTimeout)
            }
        } catch {
            say("updraft doctor: \(error)")
            return 2
        }
        let visit = HeatVisit(
            examination: HeatExamination(settings: settings, openstack: openstack, kubernetes: kubernetes),
            options: options, say: say, ask: ask)
        let code = await visit.run()
        await openstack.close()
        await kubernetes?.close()
        return code
    }

    private static func ask(_ question: String) -> Bool {
        Terminal.line(question + "? [y/N]")
        return readLine()?.lowercased().hasPrefix("y") == true
    }
}

/// What `updraft doctor` was asked for.
struct DoctorOptions: Sendable {
    var file: String?
    var fields: [String] = []
    var looksAtNodes = true
    var repairs = false
    var asks = true

    /// Nil with a complaint when `arguments` are wrong.
    static func parse(_ arguments: [String]) -> (DoctorOptions?, complaint: String) {
        guard arguments.first == "heat" else { return (nil, "what to look at? There are: heat, telemetry") }
        var options = DoctorOptions()
        var rest = arguments.dropFirst()
        while let argument = rest.popFirst() {
            switch argument {
            case "--no-kubernetes": options.looksAtNodes = false
            case "--repair": options.repairs = true
            case "--yes": options.asks = false
            case "--config", "-c", "--set":
                guard let value = rest.popFirst() else { return (nil, "\(argument) needs a value") }
                if argument == "--set" { options.fields.append(value) } else { options.file = value }
            default: return (nil, "\(argument) is not known")
            }
        }
        return (options, "")
    }
}
