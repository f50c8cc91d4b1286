import JSONReader
import Kubernetes
import Messages
import ServiceRuntime
import Support

/// Writes the standing of pod scalers into `status` of their objects, with Events. What is lost is written again: the Decider
/// tells every scaler's standing anew every few minutes.
struct ScalerDoor: Sendable {
    let client: KubernetesClient
    let recorder: EventRecorder
    let isDryRun: Bool
    let log: Logger
    let lease: Lease

    /// Takes what an evaluation says of scalers.
    func tell(_ entries: [Evaluation.ScalerEntry], at now: Timestamp) async {
        for entry in entries where entry.isGone != true {
            guard lease.isHeld else { return }
            guard entry.isObject else {
                await record(entry, at: now)
                continue
            }
            // Somebody changes the object at the same time: what is there then is looked at anew.
            var left = Self.attempts
            while left > 0, await !write(entry, at: now) { left -= 1 }
        }
    }

    private static let attempts = 3

    /// - Returns: false if somebody else was faster.
    private func write(_ entry: Evaluation.ScalerEntry, at now: Timestamp) async -> Bool {
        let (namespace, name) = Self.split(entry.scaler)
        let report = ScalerReport(entry: entry)
        do throws(KubernetesError) {
            let object = try await client.getValue(PodScalerObject.resource, namespace: namespace, name)
            guard var patch = report.patch(of: object, at: now) else { return true }
            patch["metadata"] = ["resourceVersion": object[path: "metadata", "resourceVersion"] ?? .null]
            _ = try await client.patch(
                PodScalerObject.self, namespace: namespace, name, subresource: "status", .merge, patch.bytes,
                dryRun: isDryRun)
            guard !isDryRun else { return true }
            let reference = ObjectReference(
                kind: "PodScaler", apiVersion: "updraft.io/v1alpha1", namespace: namespace, name: name,
                uid: object[path: "metadata", "uid"]?.stringValue ?? "")
            for news in report.news(since: object) {
                try await recorder.record(
                    EventText(isWarning: news.isWarning, reason: news.1.reason.rawValue, message: news.1.detail),
                    on: reference, at: now)
            }
        } catch {
            if error.code == .conflict { return false }
            if error.code == .notFound { return true }
            log.warning(
                "the status of a pod scaler was not written",
                [.resource: .string("podscaler/\(entry.scaler)"), .error: .text(error)])
        }
        return true
    }

    /// A scaler of the configuration has no object: its target is where people look.
    private func record(_ entry: Evaluation.ScalerEntry, at now: Timestamp) async {
        guard let problem = entry.problem, let target = entry.target, !isDryRun else { return }
        let parts = target.split(separator: "/", maxSplits: 2).map(String.init)
        guard parts.count == 3 else { return }
        // `Rollout.argoproj.io`: the version of a kind of somebody's own is not in it.
        let words = parts[0].split(separator: ".", maxSplits: 1).map(String.init)
        let apiVersion = words.count == 2 ? words[1] : words[0] == "ReplicationController" ? "v1" : "apps/v1"
        let reference = ObjectReference(
            kind: words[0], apiVersion: apiVersion, namespace: parts[1], name: parts[2], uid: "")
        _ = try? await recorder.record(
            EventText(
                isWarning: true, reason: problem.reason.rawValue,
                message: "pod scaler \(entry.scaler): \(problem.detail)"), on: reference, at: now)
    }

    private static func split(_ id: String) -> (String, String) {
        let parts = id.split(separator: "/", maxSplits: 1).map(String.init)
        return parts.count == 2 ? (parts[0], parts[1]) : ("default", id)
    }
}
