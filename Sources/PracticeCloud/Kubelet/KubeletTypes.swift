import Support

extension KubeletModel {
    /// How long machines and pods take.
    struct Timing: Sendable {
        /// From an ACTIVE server to the Node object.
        var boot: Interval = .seconds(20)
        /// From there to Ready.
        var ready: Interval = .seconds(2)
        /// From a pod's binding to Running and Ready.
        var podStart: Interval = .seconds(1)
        /// From a pod's deletion to its end, unless it says otherwise; never longer than its grace period.
        var podStop: Interval = .seconds(0.5)
        /// Between renewals of a node's Lease.
        var lease: Interval = .seconds(10)
        /// Silence after which a node is NotReady.
        var grace: Interval = .seconds(40)

        /// All but lease and grace multiplied.
        func scaled(by pace: Double) -> Timing {
            Timing(
                boot: boot * pace, ready: ready * pace, podStart: podStart * pace, podStop: podStop * pace,
                lease: lease, grace: grace * pace)
        }
    }

    /// A machine with a kubelet.
    struct Machine: Sendable {
        var server: NovaModel.Server
        var flavor: Flavor
        var node: String
        var number: Int
        var isRegistered = false
        /// Silent, though the server lives.
        var isSilent = false
        /// What its system uses beyond the pods.
        var systemCPUMillis: Double = 100
        var systemMemoryBytes: Double = 400 * 1_048_576
        /// The node group, for the journal.
        var group: String { server.template.group }
    }

    enum Due: Sendable {
        case register(server: String)
        case ready(server: String)
        case renewLease(node: String, server: String)
        case lost(node: String, server: String)
        case startPod(key: String, uid: String)
        case finishPod(key: String, uid: String)
        case stopPod(key: String, uid: String)
    }
}
