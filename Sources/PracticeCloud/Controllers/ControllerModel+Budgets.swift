import JSONReader
import Messages
import Support

/// PodDisruptionBudgets: how many pods may go.
extension ControllerModel {
    /// Sets the status of all budgets of a namespace right.
    mutating func reconcileBudgets(
        _ namespace: String, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) {
        let budgets = store.all(.podDisruptionBudget).filter { $0.namespace == namespace }
        guard !budgets.isEmpty else { return }
        let pods = (index.podsByNamespace[namespace] ?? []).compactMap { index.pods[$0] }
        for budget in budgets {
            guard let selector = LabelSelector(json: budget.value[path: "spec", "selector"]) else { continue }
            let matching = pods.filter { !$0.isTerminal && selector.matches($0.labels) }
            let expected = expectedPods(of: matching, store: store)
            let healthy = matching.filter { $0.isReady && $0.deletion == nil }.count
            let desired: Int
            var expectedPods = matching.count
            if let least = budget.value[path: "spec", "minAvailable"] {
                if least.intValue == nil { expectedPods = expected }
                desired = Self.amount(least, of: expectedPods)
            } else {
                expectedPods = expected
                let most = budget.value[path: "spec", "maxUnavailable"] ?? 1
                desired = max(0, expected - Self.amount(most, of: expected))
            }
            let allowed = expectedPods > 0 ? max(0, healthy - desired) : 0
            store.update(.podDisruptionBudget, budget.key) { value in
                value.set(
                    "status",
                    to: [
                        "observedGeneration": value[path: "metadata", "generation"] ?? 1,
                        "disruptionsAllowed": .int(Int64(allowed)), "currentHealthy": .int(Int64(healthy)),
                        "desiredHealthy": .int(Int64(desired)), "expectedPods": .int(Int64(expectedPods)),
                    ])
            }
        }
    }

    /// A number, or a percentage of `whole` rounded up.
    private static func amount(_ value: JSONValue, of whole: Int) -> Int {
        if let number = value.intValue { return Int(clamping: number) }
        guard let text = value.stringValue, text.hasSuffix("%"), let percent = Double(text.dropLast()) else { return 0 }
        return Int((Double(whole) * percent / 100).rounded(.up))
    }

    /// What the owners of these pods want, as the real controller counts for percentages and `maxUnavailable`.
    private func expectedPods(of pods: [PodFacts], store: KubernetesStore) -> Int {
        var owners: Set<String> = []
        var total = 0
        for pod in pods {
            guard let uid = pod.ownerUID else {
                total += 1
                continue
            }
            guard owners.insert(uid).inserted, let found = owner(uid), let object = store.get(found.kind, found.key)
            else { continue }
            total += Int(clamping: object.value[path: "spec", "replicas"]?.intValue ?? 1)
        }
        return total
    }
}
