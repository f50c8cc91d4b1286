import AMQP
import Crypto
import Messages
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
        section openstack: a tenant's is enough.
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
                file: file ?? ServiceMain.configurationFile(environment), environment: environment, flags: overrides)
        } catch {
            Terminal.complaint(error.description)
            return 2
        }
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
        var findings = TelemetryFindings()
        let collector = settings.collector
        findings.viaCeilometer = collector.telemetry.to != .gnocchi
        findings.wantsAlarms = collector.alarms.enabled
        findings.interval = collector.telemetry.interval
        if findings.viaCeilometer || findings.wantsAlarms { findings.broker = await broker(settings) }
        guard asksGnocchi else { return findings }
        do throws(OpenStackError) {
            var cloud = try CloudConfiguration.load(
                cloud: settings.openstack.cloud, file: settings.openstack.cloudsFile,
                region: settings.openstack.region, environment: environment)
            if let interface = settings.openstack.interface { cloud.interface = interface.rawValue }
            let client = OpenStackClient(cloud)
            findings.gnocchi = await gnocchi(client, settings)
            if findings.wantsAlarms { findings.alarmHistory = try? await history(client) }
            await client.close()
        } catch {
            findings.gnocchi = .init(failure: error.description)
        }
        return findings
    }

    // MARK: Broker

    private static func broker(_ settings: Settings) async -> TelemetryFindings.Broker {
        var seen = TelemetryFindings.Broker()
        do {
            let context = ServiceContext(
                name: "doctor", host: ServiceMain.hostName(), settings: settings,
                log: Logger(service: "doctor", write: { _ in }))
            let connection = try context.telemetryConnection()
            seen.exchangeExists = try await exists(settings.collector.telemetry.exchange, connection)
            seen.alarmExchangeExists = try await exists(settings.collector.alarms.exchange, connection)
            seen.samples = try await OneShot.look(connection, queue: "notifications.sample").map {
                .init(messages: $0.messages, consumers: $0.consumers)
            }
        } catch {
            seen.failure = "\(error)"
        }
        return seen
    }

    private static func exists(_ exchange: String, _ connection: AMQPSettings) async throws(AMQPError) -> Bool {
        do throws(AMQPError) {
            try await OneShot.check(connection, topology: Topology(exchanges: [.init(exchange, mode: .passive)]))
            return true
        } catch {
            guard error.code == .notFound else { throw error }
            return false
        }
    }

    // MARK: Gnocchi and Aodh

    private static func gnocchi(_ client: OpenStackClient, _ settings: Settings) async -> TelemetryFindings.Gnocchi {
        var seen = TelemetryFindings.Gnocchi()
        seen.policy = settings.collector.telemetry.archivePolicy
        do throws(OpenStackError) {
            let kinds = settings.collector.telemetry.resources.compactMap { TelemetryKind(rawValue: $0.rawValue) }
            for kind in kinds {
                guard let attributes = try await client.resourceTypeAttributes(kind.resourceType) else {
                    seen.missingTypes.append(kind.resourceType)
                    continue
                }
                for attribute in kind.attributes where !attributes.contains(attribute.name) {
                    seen.missingAttributes.append("\(kind.resourceType).\(attribute.name)")
                }
            }
            seen.finestSeconds = try await client.archivePolicy(seen.policy)?.finestSeconds
            let root = UUID5(namespace: UUID5(namespace: .dns, name: TelemetryKind.root), name: settings.cluster)
            let id = UUID5(namespace: root, name: TelemetryKind.cluster.name()).description
            guard try await client.metrics(ofResource: id) != nil else { return seen }
            seen.clusterExists = true
            let measures = try await client.measures(
                ofResource: id, metric: TelemetryGauge.canary.meter(of: .cluster), aggregation: "mean",
                since: .now() - .minutes(24 * 60))
            // Finest granularity, newest last; a granule's mean is at most its length behind.
            guard let step = measures?.map(\.granularity).min(),
                let last = measures?.last(where: { $0.granularity == step })
            else { return seen }
            seen.canarySeconds = step
            seen.canary = Timestamp(seconds: 0) + .seconds(last.value)
        } catch {
            seen.failure = error.description
        }
        return seen
    }

    /// An alarm that is `ok` or in alarm got there by a transition, which its history holds, if Aodh keeps one.
    private static func history(_ client: OpenStackClient) async throws(OpenStackError) -> TelemetryFindings.History {
        for alarm in try await client.alarms(limit: 20) where alarm.state == "ok" || alarm.state == "alarm" {
            return try await client.lastRecordedState(ofAlarm: alarm.id) == alarm.state ? .kept : .missing
        }
        return .nothing
    }
}
