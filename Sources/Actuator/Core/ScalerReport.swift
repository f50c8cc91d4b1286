import JSONReader
import Messages
import Support

/// What of a pod scaler's standing is told in Kubernetes: `status` of the `PodScaler` object, in the words that
/// HorizontalPodAutoscaler uses. Pure.
struct ScalerReport: Sendable, Equatable {
    /// A condition of the status.
    struct Condition: Sendable, Equatable {
        var type: String
        var isTrue: Bool
        var reason: String
        var message: String
    }

    let entry: Evaluation.ScalerEntry

    /// Reasons that say that the target cannot be scaled, whatever the stats are.
    private static let unable: Set<Reason> = [
        .kubernetesRefused, .kubernetesUnreachable, .kubernetesConflict, .credentialRefused, .targetNotFound,
        .targetNotScalable, .scalerConflict, .autoscalerOwnsTarget, .dryRun,
    ]

    /// Whether something is wrong, and not only as somebody wants it.
    static func isWarning(_ reason: Reason) -> Bool { ![.scalerDisabled, .targetIsZero].contains(reason) }

    /// `AbleToScale`, `ScalingActive`, `ScalingLimited`.
    var conditions: [Condition] {
        let problem = entry.problem
        let isOff = entry.outcome.reason == .scalerDisabled
        let cannot = problem.flatMap { Self.unable.contains($0.reason) ? $0 : nil }
        let inactive = isOff ? entry.outcome : problem
        return [
            condition(
                "AbleToScale", cannot == nil, cannot ?? Explanation(.scalerSatisfied, "the target can be scaled")),
            condition("ScalingActive", inactive == nil, inactive ?? entry.outcome),
            condition(
                "ScalingLimited", !entry.limits.isEmpty,
                entry.limits.last ?? Explanation(.scalerSatisfied, "the replicas wanted are within all limits")),
        ]
    }

    private func condition(_ type: String, _ isTrue: Bool, _ why: Explanation) -> Condition {
        Condition(type: type, isTrue: isTrue, reason: why.reason.rawValue, message: why.detail)
    }

    /// The merge patch that makes the status say it; nil when it says so already. Times of conditions that have not turned stay.
    func patch(of object: JSONValue, at now: Timestamp) -> JSONValue? {
        let old = object["status"] ?? [:]
        var known: [String: JSONValue] = [:]
        for item in old["conditions"]?.arrayValue ?? [] { known[item["type"]?.stringValue ?? ""] = item }
        let time = JSONValue.string(String(Timestamp(seconds: now.seconds).rfc3339.prefix(19)) + "Z")
        let list = conditions.map { condition -> JSONValue in
            let status: JSONValue = condition.isTrue ? "True" : "False"
            let before = known[condition.type]
            var since = time
            if let before, before["status"] == status, let known = before["lastTransitionTime"] { since = known }
            return [
                "type": .string(condition.type), "status": status, "reason": .string(condition.reason),
                "message": .string(condition.message),
                "lastTransitionTime": since,
            ]
        }
        var status: JSONValue = [
            "observedGeneration": .int(entry.generation), "currentReplicas": .int(Int64(entry.current)),
            "desiredReplicas": .int(Int64(entry.desired)), "conditions": .array(list),
            "target": entry.target.map { JSONValue.string($0) } ?? JSONValue.null,
            "thresholds": .array(entry.thresholds.map(Self.threshold)),
        ]
        if let scaledAt = entry.scaledAt {
            status["lastScaleTime"] = .string(String(Timestamp(seconds: scaledAt.seconds).rfc3339.prefix(19)) + "Z")
        }
        for (key, value) in status.objectValue ?? [:] where (old[key] ?? .null) != value { return ["status": status] }
        return nil
    }

    private static func threshold(_ threshold: Evaluation.ScalerEntry.Threshold) -> JSONValue {
        func text(_ value: Double) -> JSONValue { .string("\((value * 100).rounded() / 100)") }
        var value: JSONValue = [
            "stat": .string(threshold.stat), "goal": text(threshold.goal), "unit": .string(threshold.unit),
            "reason": .string(threshold.outcome.reason.rawValue),
        ]
        if let measured = threshold.value { value["value"] = text(measured) }
        if let replicas = threshold.replicas { value["replicas"] = .int(Int64(replicas)) }
        return value
    }

    /// What is worth an Event after this patch: conditions that have turned bad, or good again.
    func news(since object: JSONValue) -> [(isWarning: Bool, Explanation)] {
        var news: [(isWarning: Bool, Explanation)] = []
        let old = object[path: "status", "conditions"]?.arrayValue ?? []
        for condition in conditions where condition.type != "ScalingLimited" {
            let before = old.first { $0["type"]?.stringValue == condition.type }
            let wasTrue = before?["status"]?.stringValue != "False"
            let isSame = before?["reason"]?.stringValue == condition.reason
            guard let reason = Reason(rawValue: condition.reason) else { continue }
            if !condition.isTrue && (wasTrue || !isSame) {
                news.append((Self.isWarning(reason), Explanation(reason, condition.message)))
            } else if condition.isTrue && !wasTrue {
                news.append((false, Explanation(reason, "\(condition.type) again: \(condition.message)")))
            }
        }
        // Both conditions may say the same.
        return news.count == 2 && news[0].1 == news[1].1 ? [news[0]] : news
    }
}
