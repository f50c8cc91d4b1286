import JSONReader
import Kubernetes
import Messages
import Support

/// What a drain asks beyond evictions.
extension ClusterDoor {
    func deletePod(_ pod: NodePod, grace: Int64?) async -> EvictionOutcome {
        do throws(KubernetesError) {
            try await client.delete(
                PodObject.self, namespace: pod.namespace, pod.name, uid: pod.uid, gracePeriodSeconds: grace,
                dryRun: isDryRun)
            return isDryRun ? .failed(Self.dryRun) : .accepted
        } catch {
            // Gone, or another one of its name.
            return error.code == .notFound || error.code == .conflict ? .gone : .failed(ActFailure(error))
        }
    }

    /// The API server does not say which budgets it means when a pod has two.
    func budgets(of pod: NodePod, _ message: String) async -> String {
        let all = try? await client.all(BudgetObject.self, Selection(namespace: pod.namespace))
        let names = (all ?? []).filter { $0.budget.selector?.matches(pod.labels) == true }.map(\.meta.name).sorted()
        guard !names.isEmpty else { return "\(pod.id): \(message)" }
        return "\(pod.id) has \(names.count) budgets, \(names.joined(separator: ", ")): \(message)"
    }

    // MARK: Volumes

    func volumesLeft(on node: String) async throws(ActFailure) -> [String] {
        do throws(KubernetesError) {
            let attached = try await client.all(AttachmentObject.self).filter { $0.node == node }
            guard !attached.isEmpty else { return [] }
            // Pods that stay (DaemonSets, static ones) keep theirs.
            let pods = try await client.all(PodObject.self, Selection(fields: "spec.nodeName=\(node)"))
            let kept = Set(
                pods.filter { $0.pod.phase != .succeeded && $0.pod.phase != .failed }
                    .flatMap { pod in pod.pod.claims.map { "\(pod.meta.namespace)/\($0)" } })
            var left: [String] = []
            for attachment in attached {
                let name = attachment.volume ?? attachment.meta.name
                if !kept.isEmpty, let volume = attachment.volume, let claim = try await claim(of: volume),
                    kept.contains(claim)
                {
                    continue
                }
                left.append(name)
            }
            return left.sorted()
        } catch {
            // A server without this API attaches nothing.
            if error.code == .notFound { return [] }
            throw ActFailure(error)
        }
    }

    /// `namespace/name` of the claim that a PersistentVolume is bound to.
    private func claim(of volume: String) async throws(KubernetesError) -> String? {
        do throws(KubernetesError) {
            let raw = try await client.getValue(VolumeObject.resource, volume)
            guard let claim = raw[path: "spec", "claimRef"], let name = claim["name"]?.stringValue else { return nil }
            return "\(claim["namespace"]?.stringValue ?? "")/\(name)"
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    // MARK: Workloads

    private struct Owner {
        var apiVersion: String
        var kind: String
        var name: String

        /// The controller among the owners of an object.
        init?(_ raw: JSONValue) {
            let owners = raw[path: "metadata", "ownerReferences"]?.arrayValue ?? []
            guard let owner = owners.first(where: { $0["controller"]?.boolValue == true }),
                let kind = owner["kind"]?.stringValue, let name = owner["name"]?.stringValue
            else { return nil }
            apiVersion = owner["apiVersion"]?.stringValue ?? "v1"
            self.kind = kind
            self.name = name
        }

        /// Only what we know to have a `scale` of the usual kind.
        var resource: ResourceName? {
            switch (apiVersion, kind) {
            case ("apps/v1", "Deployment"): ResourceName(group: "apps", "deployments")
            case ("apps/v1", "ReplicaSet"): ResourceName(group: "apps", "replicasets")
            case ("apps/v1", "StatefulSet"): ResourceName(group: "apps", "statefulsets")
            case ("v1", "ReplicationController"): ResourceName("replicationcontrollers")
            default: nil
            }
        }
    }

    func workload(of pod: NodePod) async throws(ActFailure) -> WorkloadView? {
        do throws(KubernetesError) {
            guard var owner = Owner(try await client.getValue(PodObject.resource, namespace: pod.namespace, pod.name)),
                var resource = owner.resource
            else { return nil }
            // A ReplicaSet or ReplicationController that belongs to something else is not ours to scale; what it
            // belongs to is, if we know it.
            // (A StatefulSet, which is only looked at, counts itself, whoever made it.)
            if owner.kind != "StatefulSet",
                let above = Owner(try await client.getValue(resource, namespace: pod.namespace, owner.name))
            {
                guard let known = above.resource else { return nil }
                owner = above
                resource = known
            }
            let scale = try await client.scale(of: resource, namespace: pod.namespace, owner.name)
            var ready: [PodObject] = []
            if !scale.selector.isEmpty {
                let pods = try await client.all(
                    PodObject.self, Selection(namespace: pod.namespace, labels: scale.selector))
                ready = pods.filter { $0.pod.ready && $0.pod.deletedAt == nil && $0.pod.node != nil }
            }
            return WorkloadView(
                apiVersion: owner.apiVersion, kind: owner.kind, namespace: pod.namespace, name: owner.name,
                replicas: Int(scale.replicas), readyElsewhere: ready.count { $0.pod.node != pod.node },
                readyOthers: ready.count { $0.meta.uid != pod.uid }, isReady: ready.contains { $0.meta.uid == pod.uid })
        } catch {
            if error.code == .notFound { return nil }
            throw ActFailure(error)
        }
    }
}
