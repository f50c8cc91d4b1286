import Bus
import Messages
import ServiceRuntime
import Settings
import Support

/// Hears Aodh's alarms and the hypervisors' samples, from queues of our own, and says them on our bus.
struct CloudListener: Sendable {
    /// Where the hypervisors' samples come by; the same as `bus` unless Ceilometer has a broker of its own.
    let foreign: Bus
    /// Where Aodh's notifications come by.
    let aodh: Bus
    let bus: Bus
    let cluster: String
    let settings: Settings.Collector
    let log: Logger
    /// The nodes, for telling their servers from others.
    let nodes: @Sendable () async -> [Node]?
    private let refused: Counter

    init(
        foreign: Bus, aodh: Bus, bus: Bus, cluster: String, _ settings: Settings.Collector, log: Logger,
        metrics: Metrics,
        nodes: @escaping @Sendable () async -> [Node]?
    ) {
        self.foreign = foreign
        self.aodh = aodh
        self.bus = bus
        self.cluster = cluster
        self.settings = settings
        self.log = log
        self.nodes = nodes
        refused = metrics.counter(
            "cloud_refused", "Notifications of Aodh and Ceilometer that were not used, by why.",
            .label("why", ForeignRefusal.Why.self))
    }

    /// Aodh's notifications.
    static func alarms(_ exchange: String) -> ForeignSubscription {
        ForeignSubscription(exchange: exchange, of: "aodh", routingKeys: ["notifications.info"])
    }

    /// The samples of Ceilometer's compute agents.
    static func hypervisors(_ exchange: String) -> ForeignSubscription {
        ForeignSubscription(
            exchange: exchange, of: "ceilometer", routingKeys: ["notifications.sample"], ttl: .seconds(60))
    }

    /// Hears Aodh until the bus is closed.
    func alarms() async throws(BusError) {
        try await aodh.subscribeForeign(Self.alarms(settings.alarms.exchange)) { notification in
            // Aodh's exchange also carries what the API did; the same key may carry others' notifications.
            guard AlarmNotification.eventTypes.contains(notification.envelope.eventType) else { return .done }
            do throws(ForeignRefusal) {
                let alarm = try AlarmNotification.alarm(
                    notification.received.text, cluster: cluster, project: settings.alarms.projectID)
                log.info(
                    "an alarm changed its state",
                    [.alarm: .string(alarm.alarmID), .status: .string(alarm.state), .reason: .string(alarm.why)])
                return await publish(alarm)
            } catch {
                return refuse(error)
            }
        }
    }

    /// Hears Ceilometer's compute agents until the bus is closed.
    func hypervisors() async throws(BusError) {
        let meters = Set(settings.hypervisor.meters)
        try await foreign.subscribeForeign(Self.hypervisors(settings.hypervisor.exchange)) { notification in
            guard notification.envelope.eventType.hasPrefix(HypervisorNotification.eventType),
                // Our own come back here.
                !notification.envelope.publisherID.hasPrefix("updraft-collector.")
            else { return .done }
            let servers = await nodes()?.reduce(into: [String: String]()) { servers, node in
                if let id = node.serverID { servers[id] = node.name }
            }
            do throws(ForeignRefusal) {
                let read = try HypervisorNotification(
                    notification.received.text, meters: meters, nodes: servers ?? [:])
                for (why, count) in read.refused { refused.increment(why.rawValue, by: Double(count)) }
                guard !read.samples.isEmpty else { return .done }
                return await publish(CloudStats(cluster: cluster, samples: read.samples))
            } catch {
                return refuse(error)
            }
        }
    }

    private func publish(_ message: some Payload) async -> Disposition {
        do throws(BusError) {
            try await bus.publish(message)
            return .done
        } catch {
            // What cannot be said by its form would never be: the bus has told it.
            return error.isRetriable ? .requeue : .done
        }
    }

    private func refuse(_ refusal: ForeignRefusal) -> Disposition {
        refused.increment(refusal.why.rawValue)
        guard refusal.why != .otherProject else { return .done }
        log.warning(
            "a notification is not used", [.reason: .string(refusal.why.rawValue), .details: .string(refusal.what)])
        return .done
    }
}
