import Messages
import ServiceRuntime
import Support

/// What the Decider counts.
struct DeciderMetrics: Sendable {
    let evaluations: Histogram
    let decisions: Counter
    let snapshotRequests: Counter
    let undelivered: Counter
    let nodes: Gauge
    let pods: Gauge
    let pending: Gauge
    let groupSize: Gauge
    let groupTarget: Gauge
    let unneeded: Gauge
    let unbelieved: Counter

    init(_ metrics: Metrics) {
        evaluations = metrics.histogram(
            "decider_evaluation_seconds", "Time of one evaluation.",
            bounds: [0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5])
        decisions = metrics.counter("decider_decisions", "Decisions published.", .label("event", EventType.self))
        snapshotRequests = metrics.counter("decider_snapshot_requests", "Snapshots asked for.")
        undelivered = metrics.counter("decider_undelivered", "Decisions that nobody was there to read.")
        nodes = metrics.gauge("decider_nodes", "Nodes of the cluster as the Decider sees it.")
        pods = metrics.gauge("decider_pods", "Pods of the cluster as the Decider sees it.")
        pending = metrics.gauge("decider_pods_without_node", "Pods without a node.")
        groupSize = metrics.gauge("decider_group_size", "Members of a group.", .label("group", atMost: 200))
        groupTarget = metrics.gauge("decider_group_target", "Wanted size of a group.", .label("group", atMost: 200))
        unneeded = metrics.gauge("decider_nodes_unneeded", "Nodes that could go.")
        unbelieved = metrics.counter(
            "decider_measurements_unbelieved",
            "Measurements of hypervisors that cannot be true: more CPU than a node has.")
    }
}
