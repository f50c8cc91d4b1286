import Crypto
import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support

/// Looks at the way of statistics to Gnocchi and of alarms back; changes nothing.
package struct TelemetryLook: Sendable {
    private let context: ServiceContext
    private let client: OpenStackClient?
    private let writer: OpenStackClient?
    private let settings: Settings

    /// - Parameters:
    ///   - client: nil: only the broker is looked at.
    ///   - writer: the Collector's login for Gnocchi, if it has one of its own and whoever looks holds it.
    package init(_ context: ServiceContext, client: OpenStackClient?, writer: OpenStackClient? = nil) {
        self.context = context
        self.client = client
        self.writer = writer
        settings = context.settings
    }

    /// A resource made this lately may lack a metric that takes two readings.
    private static let settled = Interval.minutes(2)
    /// So many resources of a kind are looked at, the newest.
    private static let mostLooked = 20
    /// A pod or container of which there are so many measures was read more than once for sure: a rate takes two readings.
    private static let ratedFrom = 3

    /// A resource that is looked at.
    private struct Example {
        var id: String
        var name: String
        /// Of a node: its server.
        var serverID: String?
    }

    /// Everything.
    package func findings() async -> TelemetryFindings {
        var findings = TelemetryFindings()
        let collector = settings.collector
        findings.viaCeilometer = collector.telemetry.to != .gnocchi
        findings.wantsAlarms = collector.alarms.enabled
        findings.interval = collector.telemetry.interval
        if findings.viaCeilometer || findings.wantsAlarms { findings.broker = await context.lookAtTelemetryBroker() }
        guard let client else { return findings }
        findings.gnocchi = await gnocchi(client)
        if findings.wantsAlarms { findings.alarmHistory = try? await history(client) }
        // One that may not read its own credential has it in no other way.
        findings.delegation = try? await client.delegation()
        if let writer {
            do throws(OpenStackError) {
                findings.writer = .init(delegation: try await writer.delegation())
            } catch {
                // What may not be read is no reason: a credential's rules need not allow it. Whether it can log in counts.
                findings.writer = .init()
                do throws(OpenStackError) { _ = try await writer.projectID() } catch {
                    findings.writer = TelemetryFindings.Writer(error)
                }
            }
        }
        return findings
    }

    /// The id of the cluster's resource.
    private var clusterID: String { Self.id(.cluster, settings.cluster, TelemetryKind.cluster.name()) }

    static func id(_ kind: TelemetryKind, _ cluster: String, _ name: String) -> String {
        let root = UUID5(namespace: UUID5(namespace: .dns, name: TelemetryKind.root), name: cluster)
        return UUID5(namespace: root, name: name).description
    }

    /// When the newest canary that Gnocchi has was sent, with the granularity of its measures; nil: there is none.
    func canary(_ client: OpenStackClient) async throws(OpenStackError) -> (sent: Timestamp, seconds: Double)? {
        let measures = try await client.measures(
            ofResource: clusterID, metric: TelemetryGauge.canary.meter(of: .cluster), aggregation: "mean",
            since: .now() - .minutes(24 * 60))
        // Finest granularity, newest last; a granule's mean is at most its length behind.
        guard let step = measures?.map(\.granularity).min(),
            let last = measures?.last(where: { $0.granularity == step })
        else { return nil }
        return (Timestamp(seconds: 0) + .seconds(last.value), step)
    }

    private func gnocchi(_ client: OpenStackClient) async -> TelemetryFindings.Gnocchi {
        var seen = TelemetryFindings.Gnocchi()
        seen.policy = settings.collector.telemetry.archivePolicy
        let kinds = settings.collector.telemetry.resources.compactMap { TelemetryKind(rawValue: $0.rawValue) }
        do throws(OpenStackError) {
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
            let cluster: OpenStackClient.GnocchiResource?
            do throws(OpenStackError) {
                cluster = try await client.resource(clusterID)
            } catch {
                // What is another's is not hidden but forbidden (docs/openstack/telemetry.md).
                guard error.code == .forbidden else { throw error }
                seen.clusterExists = true
                seen.otherProject = ""
                return seen
            }
            guard let cluster else { return seen }
            seen.clusterExists = true
            if let owner = cluster.attributes["project_id"], owner != settings.collector.telemetry.projectID {
                seen.otherProject = owner
            }
            if let canary = try await canary(client) {
                seen.canarySeconds = canary.seconds
                seen.canary = canary.sent
            }
            for kind in kinds where !seen.missingTypes.contains(kind.resourceType) {
                try await meters(kind, client, &seen)
            }
            if kinds.contains(.node), !seen.missingTypes.contains(TelemetryKind.node.resourceType) {
                seen.silentNodes = try await silentNodes(client)
            }
        } catch {
            seen.failure = error.description
        }
        return seen
    }

    /// Every meter of a kind, as Gnocchi has them of its newest resources. One is missing if none of them has it: a pod that lived for
    /// a few seconds has none that takes two readings, and there are many such where Jobs run.
    private func meters(
        _ kind: TelemetryKind, _ client: OpenStackClient, _ seen: inout TelemetryFindings.Gnocchi
    ) async throws(OpenStackError) {
        // The canary's own granularity is told by its measures.
        let gauges = kind.gauges.filter { $0 != .canary }
        var looked: [(example: Example, metrics: Set<String>)] = []
        var found: [String: OpenStackClient.MetricPolicy] = [:]
        for example in try await examples(kind, client) {
            // Of a server that Ceilometer has not learnt of there is no resource, and its samples are dropped.
            if kind == .instance, try await client.metrics(ofResource: example.id) == nil { continue }
            let metrics = try await client.metricsWithPolicies(ofResource: example.id)
            looked.append((example, Set(metrics.keys)))
            found.merge(metrics) { newest, _ in newest }
            if gauges.allSatisfy({ found[$0.meter(of: kind)] != nil || isTold($0, of: kind) == nil }) { break }
        }
        let others = looked.count > 1 ? " (and \(looked.count - 1) others)" : ""
        for gauge in gauges {
            let name = gauge.meter(of: kind)
            if let metric = found[name] {
                if let finest = metric.finestSeconds, finest > 60,
                    let one = looked.first(where: { $0.metrics.contains(name) })
                {
                    let label = "\(kind.rawValue) \(one.example.name)"
                    seen.coarseMeters.append(.init(name: name, resource: label, policy: metric.name, seconds: finest))
                }
                continue
            }
            guard let isCertain = isTold(gauge, of: kind) else { continue }
            var lacking = looked.first?.example
            if gauge == .cpuUsage, kind == .pod || kind == .container {
                lacking = nil
                for (example, metrics) in looked where lacking == nil {
                    if try await isRated(example, kind, metrics, client) { lacking = example }
                }
            }
            guard let lacking else { continue }
            seen.missingMeters.append(
                .init(name: name, resource: "\(kind.rawValue) \(lacking.name)\(others)", isCertain: isCertain))
        }
    }

    /// Whether a resource was measured for long enough to have a rate, as another of its metrics shows. One of which there is nothing
    /// at all is no excuse.
    private func isRated(
        _ example: Example, _ kind: TelemetryKind, _ metrics: Set<String>, _ client: OpenStackClient
    ) async throws(OpenStackError) -> Bool {
        guard let other = kind.gauges.map({ $0.meter(of: kind) }).first(where: metrics.contains) else { return true }
        let measures = try await client.measures(
            ofResource: example.id, metric: other, since: .now() - .minutes(24 * 60), refresh: false)
        let finest = measures?.map(\.granularity).min()
        return (measures ?? []).filter { $0.granularity == finest }.count >= Self.ratedFrom
    }

    /// The newest resources of a kind that have been there for a while.
    private func examples(_ kind: TelemetryKind, _ client: OpenStackClient) async throws(OpenStackError) -> [Example] {
        if kind == .cluster { return [Example(id: clusterID, name: settings.cluster)] }
        // An instance has no attribute that says its cluster: a node of ours names its server.
        let searched: TelemetryKind = kind == .instance ? .node : kind
        let now = Timestamp.now()
        return try await client.resources(
            type: searched.resourceType, where: ["cluster": settings.cluster], limit: Self.mostLooked
        ).filter { now - $0.startedAt >= Self.settled }.compactMap { resource in
            let name = resource.attributes["name"] ?? resource.id
            let server = resource.attributes["server_id"].flatMap { $0.isEmpty ? nil : $0 }
            guard kind == .instance else { return Example(id: resource.id, name: name, serverID: server) }
            return server.map { Example(id: $0, name: "of \(name)") }
        }
    }

    /// Nodes whose server runs and of which nothing has been measured for a while. A resource is not told its end, so only Nova tells
    /// those from nodes that are gone; of one without server, or where Nova is not to be asked, nothing is known.
    private func silentNodes(_ client: OpenStackClient) async throws(OpenStackError) -> [TelemetryFindings.SilentNode] {
        var silent: [TelemetryFindings.SilentNode] = []
        for node in try await examples(.node, client) {
            guard let server = node.serverID else { continue }
            let measures = try await client.measures(
                ofResource: node.id, metric: TelemetryGauge.memory.meter(of: .node), since: .now() - .minutes(24 * 60))
            // The end of the newest granule: the measure itself is somewhere within.
            let finest = measures?.map(\.granularity).min()
            let last = measures?.last { $0.granularity == finest }.map { $0.at + .seconds($0.granularity) }
            let age = last.map { .now() - $0 }
            if let age, age <= CanaryWatch.patience(settings.collector.telemetry.interval) { continue }
            guard let machine = try? await client.server(server), machine.status == "ACTIVE", machine.task == nil else {
                continue
            }
            silent.append(.init(name: node.name, age: age))
        }
        return silent
    }

    /// Whether kubelets tell a gauge: surely, by some of their pages, or (nil) not of everything.
    private func isTold(_ gauge: TelemetryGauge, of kind: TelemetryKind) -> Bool? {
        switch gauge {
        case .received, .sent, .disk, .diskUtilization:
            let source = settings.collector.stats.source
            // These pages do not hold them.
            guard source != .metricsResource, source != .metricsAPI, kind == .node || kind == .instance else {
                return nil
            }
            return false
        // Of what a pod requests, which it need not.
        case .cpuUtilization, .memoryUtilization: return kind == .node || kind == .instance ? true : nil
        case .cpuUsage, .memory, .podsRunning, .podsPending, .canary: return true
        }
    }

    /// An alarm that is `ok` or in alarm got there by a transition, which its history holds, if Aodh kept one then. Aodh does not
    /// tell when that was: one alarm alone may speak of long ago.
    private func history(_ client: OpenStackClient) async throws(OpenStackError) -> TelemetryFindings.History {
        var kept = 0
        var missing = 0
        for alarm in try await client.alarms(limit: 20) where alarm.state == "ok" || alarm.state == "alarm" {
            if try await client.lastTransition(ofAlarm: alarm.id)?.state == alarm.state {
                kept += 1
            } else {
                missing += 1
            }
        }
        return .init(kept: kept, missing: missing)
    }
}
