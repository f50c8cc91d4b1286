/// Names that a removal puts on Kubernetes objects, or reads from them. They are an interface for applications and
/// operators: never change one.
public enum RemovalNames {
    /// On a Node: the `RemovalRecord` as JSON. Written by the Actuator only.
    public static let record = "updraft.io/removal"
    /// On a Node, from the call to Heat until the end of its removal was published: the finalizer that keeps the object, and the
    /// record on it, when a cloud controller deletes Nodes whose server is gone.
    public static let finalizer = "updraft.io/removal"
    /// On a Node: `<group> <why>`, an incident stopped all changes of this group and the Node that it happened on is gone.
    /// Written by the Actuator on a node that lives; whoever has looked takes it away.
    public static let pausedGroup = "updraft.io/paused-group"
    /// In place of a Node's UID: the target of a removal is a machine that never became a Node, named by its server's id.
    public static let unregistered = "unregistered"
    /// On a Node: the taint that keeps new pods away (effect `NoSchedule`, no value).
    public static let taint = "updraft.io/removing"
    /// On a Node: the label by which cloud load balancers leave it out (Kubernetes' own).
    public static let excludeFromLoadBalancers = "node.kubernetes.io/exclude-from-external-load-balancers"
    /// On a Node: annotations with this prefix ask that its machine is not deleted yet (cluster-autoscaler's; whoever has
    /// something to finish on a drained node puts one there and takes it away).
    public static let delayPrefix = "delay-deletion.cluster-autoscaler.kubernetes.io/"
    /// The value that we give that label. Only its presence means something to others; the value tells that it is ours.
    public static let excludedByUs = "updraft"

    /// On a Pod, set by its owner: where to POST the notice, `http(s)://:<port or port name>/path` (the pod itself), or
    /// a whole URL where the configuration allows other hosts.
    public static let shutdownHook = "updraft.io/shutdown-hook"
    /// On a Pod: the removal that it was told of (its id). Written by the Notifier.
    public static let podRemoval = "updraft.io/removal-id"
    /// On a Pod: until when it may take, RFC 3339. Written by the Notifier; for the downward API.
    public static let podDeadline = "updraft.io/removal-deadline"
    /// On a Pod: the token to give with an answer. Written by the Notifier; for the downward API.
    public static let podToken = "updraft.io/removal-token"
    /// On a Pod: what became of its notice, per channel. Written by the Notifier.
    public static let podNotice = "updraft.io/removal-notice"
    /// On a Pod: its answer, `done`, `refuse` or `extend=<seconds>`. Written by the application (which may answer this
    /// way) or by the Notifier (which records an answer that came another way).
    public static let podAnswer = "updraft.io/shutdown-answer"
    /// The readiness gate that takes a pod out of its Services while it is under notice.
    public static let servingGate = "updraft.io/serving"
    /// In Heat, the reason that stands at a member marked for removal, before the removal's id: tells whose mark it is.
    public static let markPrefix = "updraft removal "
    /// On a Pod of a DaemonSet, set by its owner: `false`, it stays with its node (cluster-autoscaler's).
    public static let daemonSetEviction = "cluster-autoscaler.kubernetes.io/enable-ds-eviction"
    /// On a Pod: it belongs to a static manifest of its node (Kubernetes' own).
    public static let mirror = "kubernetes.io/config.mirror"
}
