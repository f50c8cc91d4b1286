import Messages
import Support

/// Payloads for tests.
enum TestPayloads {
    static func removalCancelled(cluster: String = "prod") -> RemovalCancelled {
        RemovalCancelled(
            cluster: cluster, id: "r1", nodes: ["node-1"],
            reason: Explanation(.podsPending, "load returned"), decidedAt: Timestamp(seconds: 1_800_000_000))
    }
}
