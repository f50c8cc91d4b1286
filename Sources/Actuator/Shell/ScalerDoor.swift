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

    /// Problems of scalers without an object that the log has named, by scaler.
    private let named = Lock<[String: Reason]>([:])

    init(client: KubernetesClient, recorder: EventRecorder, isDryRun: Bool, log: Logger, lease: Lease) {
        self.client = client
        self.recorder = recorder
        self.isDryRun = isDryRun
        self.log = log
        self.lease = lease
    }

    /// Takes what an evaluation says of scalers.
    func tell(_ entries: [Evaluation.ScalerEntry], at now: Timestamp) async {
        for entry in entries {
            guard lease.isHeld else { return }
            guard entry.isGone != true else {
                named.withLock { $0[entry.scaler] = nil }
                continue
            }
            guard entry.isObject else {
                await record(entry, at: now)
                continue
            }
            // Somebody changes the object at the same time: what is there then is looked at anew.
            var told: Set<Explanation> = []
            for _ in 1...Self.attempts where await write(entry, &told, at: now) { break }
        }
    }

    private static let attempts = 3

    /// - Parameter told: Events that are written already.
    /// - Returns: false if somebody else was faster.
    private func write(
        _ entry: Evaluation.ScalerEntry, _ told: inout Set<Explanation>, at now: Timestamp
    ) async -> Bool {
        let (namespace, name) = Self.split(entry.scaler)
        let report = ScalerReport(entry: entry)
        do throws(KubernetesError) {
            let object = try await client.getValue(PodScalerObject.resource, namespace: namespace, name)
            guard var patch = report.patch(of: object, at: now) else { return true }
            let reference = ObjectReference(
                kind: "PodScaler", apiVersion: "updraft.io/v1alpha1", namespace: namespace, name: name,
                uid: object[path: "metadata", "uid"]?.stringValue ?? "")
            // Before the status, which says what is news: what was not told would never be.
            for news in isDryRun ? [] : report.news(since: object) where told.insert(news.1).inserted {
                await event(news.1, isWarning: news.isWarning, on: reference, entry.scaler, at: now)
            }
            patch["metadata"] = ["resourceVersion": object[path: "metadata", "resourceVersion"] ?? .null]
            _ = try await client.patch(
                PodScalerObject.self, namespace: namespace, name, subresource: "status", .merge, patch.bytes,
                dryRun: isDryRun)
        } catch {
            if error.code == .conflict { return false }
            if error.code == .notFound { return true }
            log.warning(
                "the status of a pod scaler was not written",
                [.resource: .string("podscaler/\(entry.scaler)"), .error: .text(error)])
        }
        return true
    }

    /// Writes an Event; what may pass is tried again.
    private func event(
        _ what: Explanation, isWarning: Bool, on reference: ObjectReference, _ scaler: String, at now: Timestamp
    ) async {
        for attempt in 1...Self.attempts {
            do throws(KubernetesError) {
                return try await recorder.record(
                    EventText(isWarning: isWarning, reason: what.reason.rawValue, message: what.detail), on: reference,
                    at: now)
            } catch {
                guard attempt == Self.attempts || !error.isRetriable else { continue }
                log.warning(
                    "the Event of a pod scaler was not written",
                    [.resource: .string("podscaler/\(scaler)"), .error: .text(error)])
                return
            }
        }
    }

    /// A scaler of the configuration has no object: its target is where people look, and the log.
    private func record(_ entry: Evaluation.ScalerEntry, at now: Timestamp) async {
        let problem = entry.problem
        let before = named.withLock { named in
            defer { named[entry.scaler] = problem?.reason }
            return named[entry.scaler]
        }
        if before != problem?.reason {
            let scaler = LogValue.string("podscaler/\(entry.scaler)")
            if let problem {
                log.warning(
                    "a pod scaler of the configuration cannot scale",
                    [
                        .resource: scaler, .code: .string(problem.reason.rawValue), .reason: .string(problem.detail),
                    ])
            } else {
                log.info("a pod scaler of the configuration can scale again", [.resource: scaler])
            }
        }
        guard let problem, !isDryRun else { return }
        await event(
            Explanation(problem.reason, "pod scaler \(entry.scaler): \(problem.detail)"),
            isWarning: ScalerReport.isWarning(problem.reason), on: Self.place(of: entry), entry.scaler, at: now)
    }

    /// What an Event of a scaler of the configuration is about.
    static func place(of entry: Evaluation.ScalerEntry) -> ObjectReference {
        let parts = entry.target?.split(separator: "/", maxSplits: 2).map(String.init) ?? []
        guard parts.count == 3 else {
            let (namespace, name) = split(entry.scaler)
            return ObjectReference(
                kind: "PodScaler", apiVersion: "updraft.io/v1alpha1", namespace: namespace, name: name, uid: "")
        }
        // `Rollout.argoproj.io`: the group of a kind of somebody's own is in it, its version is not.
        let kind = parts[0].split(separator: ".", maxSplits: 1).first.map(String.init) ?? parts[0]
        let usual = kind == "ReplicationController" ? "v1" : "apps/v1"
        return ObjectReference(
            kind: kind, apiVersion: entry.targetAPIVersion ?? usual, namespace: parts[1], name: parts[2],
            uid: entry.targetUID ?? "")
    }

    private static func split(_ id: String) -> (String, String) {
        let parts = id.split(separator: "/", maxSplits: 1).map(String.init)
        return parts.count == 2 ? (parts[0], parts[1]) : ("default", id)
    }
}
