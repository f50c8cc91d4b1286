import Actuator
import OpenStack
import ServiceRuntime
import Settings
import Support

/// `updraft doctor telemetry`: asks the cloud's broker and Gnocchi, and changes nothing.
enum TelemetryDoctor {
    static let help = """
        updraft doctor telemetry: the way of statistics to Ceilometer and Gnocchi, and of alarms back

        usage: updraft doctor telemetry [--config FILE] [--set FIELD=VALUE]… [--no-gnocchi]

          --config FILE       the suite's configuration; else UPDRAFT_CONFIG, else /etc/updraft/updraft.yaml
          --set FIELD=VALUE   as for the services
          --no-gnocchi        only the broker: without a login to the cloud

        The broker is collector.telemetry.transport_url (else bus.transport_url). Gnocchi is asked with the login of the
        section openstack: a tenant's is enough. The Collector's own (collector.telemetry.cloud, clouds_file) is tried too;
        where it cannot be (its file is elsewhere, Keystone is not reached) that is a warning.
        Exit code: 0 all is well, 1 something is wrong, 2 wrong usage or configuration.
        """

    static func run(_ arguments: [String]) async -> Int32 {
        var file: String?
        var overrides: [String] = []
        var asksGnocchi = true
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--help", "-h":
                Terminal.line(help)
                return 0
            case "--config", "-c", "--set":
                guard let value = rest.popFirst() else {
                    Terminal.complaint("updraft doctor telemetry: \(argument) needs a value")
                    return 2
                }
                if argument == "--set" { overrides.append(value) } else { file = value }
            case "--no-gnocchi": asksGnocchi = false
            default:
                Terminal.complaint("updraft doctor telemetry: '\(argument)' is not known; --help tells more")
                return 2
            }
        }
        let environment = ServiceMain.environmentVariables()
        let settings: Settings
        do throws(SettingsErrors) {
            settings = try Settings.load(
                file: file ?? ServiceMain.configurationFile(environment), environment: environment, flags: overrides,
                for: "collector", isStandIn: true)
        } catch {
            Terminal.complaint(error.description)
            return 2
        }
        Terminal.warnings(of: settings, "updraft doctor telemetry")
        let findings = await look(settings, environment, asksGnocchi: asksGnocchi)
        let lines = findings.lines(at: .now())
        for line in lines {
            let sign =
                switch line.verdict {
                case .ok: "ok      "
                case .warning: "warning "
                case .wrong: "WRONG   "
                }
            Terminal.line(sign + line.text)
            if let remedy = line.remedy { Terminal.line("        → " + remedy) }
        }
        return lines.contains { $0.verdict == .wrong } ? 1 : 0
    }

    private static func look(
        _ settings: Settings, _ environment: [String: String], asksGnocchi: Bool
    ) async -> TelemetryFindings {
        let context = ServiceContext(
            name: "doctor", host: ServiceMain.hostName(), settings: settings,
            log: Logger(service: "doctor", write: { _ in }))
        guard asksGnocchi else { return await TelemetryLook(context, client: nil).findings() }
        do throws(OpenStackError) {
            var cloud = try CloudConfiguration.load(
                cloud: settings.openstack.cloud, file: settings.openstack.cloudsFile,
                region: settings.openstack.region, environment: environment)
            if let interface = settings.openstack.interface { cloud.interface = interface.rawValue }
            let client = OpenStackClient(cloud)
            let writer = writer(settings, environment)
            var findings = await TelemetryLook(context, client: client, writer: writer?.client).findings()
            if let failure = writer?.failure { findings.writer = TelemetryFindings.Writer(failure) }
            await writer?.client?.close()
            await client.close()
            return findings
        } catch {
            var findings = await TelemetryLook(context, client: nil).findings()
            findings.gnocchi = .init(failure: error.description)
            return findings
        }
    }

    /// The login of its own that the Collector writes to Gnocchi with, or why there is none to be had; nil: it has none.
    private static func writer(
        _ settings: Settings, _ environment: [String: String]
    ) -> (client: OpenStackClient?, failure: OpenStackError?)? {
        let telemetry = settings.collector.telemetry
        guard telemetry.to == .gnocchi, telemetry.cloud != nil || telemetry.cloudsFile != nil else { return nil }
        do throws(OpenStackError) {
            var cloud = try CloudConfiguration.load(
                cloud: telemetry.cloud ?? settings.openstack.cloud,
                file: telemetry.cloudsFile ?? settings.openstack.cloudsFile,
                region: settings.openstack.region, environment: environment)
            if let interface = settings.openstack.interface { cloud.interface = interface.rawValue }
            return (OpenStackClient(cloud), nil)
        } catch {
            return (nil, error)
        }
    }
}
