import Messages
import ServiceRuntime
import Support

/// Logs, metrics and readiness of the Collector.
final class CollectorStatus: Sendable {
    private struct Told {
        var notReady: String? = ""
        var counts: [ObservedKind: Int] = [:]
        var shapes = -1
    }

    private let log: Logger
    private let readiness: Readiness
    private let active: Gauge
    private let objects: Gauge
    private let shapes: Gauge
    private let told = Lock(Told())

    init(_ context: ServiceContext) {
        log = context.log
        readiness = context.readiness
        active = context.metrics.gauge("active", "1 while this replica publishes the cluster's state.")
        objects = context.metrics.gauge("objects", "Objects known, by kind.", .label("kind", ObservedKind.self))
        shapes = context.metrics.gauge("pod_shapes", "Different shapes of pods.")
        readiness.failed("watches", "starting")
    }

    var observer: CollectorObserver {
        CollectorObserver(
            activated: { [log, active] epoch in
                active.set(1)
                log.info("this replica publishes the cluster's state", [.version: .string(epoch)])
            },
            stoodDown: { [log, active] reason in
                active.set(0)
                log.info("this replica no longer publishes the cluster's state", [.reason: .string(reason)])
            },
            state: { [self] core in tell(core) })
    }

    /// Tells what differs from what was told last: this is called for each event of each watch.
    private func tell(_ core: borrowing CollectorCore) {
        let notReady = core.notReady
        let shapeCount = core.shapeCount
        var changed: [(ObservedKind, Int)] = []
        let turned = told.withLock { told in
            for kind in ObservedKind.allCases {
                let count = core.count(kind)
                if told.counts[kind] != count {
                    told.counts[kind] = count
                    changed.append((kind, count))
                }
            }
            told.shapes = shapeCount
            guard told.notReady != notReady else { return false }
            told.notReady = notReady
            return true
        }
        for (kind, count) in changed { objects.set(Double(count), kind.rawValue) }
        shapes.set(Double(shapeCount))
        guard turned else { return }
        if let notReady { readiness.failed("watches", notReady) } else { readiness.ok("watches") }
    }
}
