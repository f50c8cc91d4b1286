import JSONReader

/// Whether a new version of a workload of some kind of somebody's own is being rolled out, as far as its object shows it in the
/// fields that controllers of workloads have in common.
public enum ForeignRollout {
    /// What the object says: the annotation `updraft.io/rollout`, a generation that its controller has not looked at, replicas that
    /// are not updated, two revisions, a condition `Progressing` with the reasons of a Deployment. What is not there says nothing.
    public static func isUnderWay(_ object: JSONValue) -> Bool {
        if object[path: "metadata", "annotations", RolloutStatus.annotation]?.stringValue == "true" { return true }
        let status = object["status"] ?? .null
        if let generation = number(object[path: "metadata", "generation"]),
            let observed = number(status["observedGeneration"]), observed < generation
        {
            return true
        }
        for item in status["conditions"]?.arrayValue ?? []
        where item["type"]?.stringValue == "Progressing" && item["status"]?.stringValue == "True" {
            if let reason = item["reason"]?.stringValue, RolloutStatus.unfinished.contains(reason) { return true }
        }
        let revisions = (status["currentRevision"]?.stringValue, status["updateRevision"]?.stringValue)
        var updated = number(status["updatedReplicas"])
        if let current = revisions.0, let wanted = revisions.1, !current.isEmpty, !wanted.isEmpty {
            if current == wanted { return false }
            // Zero is left out.
            updated = updated ?? 0
        }
        guard let updated, let replicas = number(status["replicas"]) else { return false }
        // Old pods that stay on purpose are no rollout.
        let strategy = object[path: "spec", "updateStrategy"] ?? .null
        if strategy["type"]?.stringValue == "OnDelete" { return false }
        let partition = strategy["partition"]?.intValue ?? strategy[path: "rollingUpdate", "partition"]?.intValue ?? 0
        return replicas - min(max(0, partition), max(0, replicas)) > updated
    }

    /// Some controllers write numbers as text (`status.observedGeneration` of Argo's Rollouts).
    private static func number(_ value: JSONValue?) -> Int64? {
        value?.intValue ?? value?.stringValue.flatMap { Int64($0) }
    }
}
