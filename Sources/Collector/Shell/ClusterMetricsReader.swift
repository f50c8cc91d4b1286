import HTTPClient
import Kubernetes
import Messages
import Support

/// Asks `external.metrics.k8s.io` and `custom.metrics.k8s.io` of the cluster for what pod scalers name.
struct ClusterMetricsReader: Sendable {
    /// Which version the server has of an API, or why none.
    typealias Versions = [ClusterMetricsAPI: Result<String, SourceTrouble>]

    let client: KubernetesClient
    /// What takes longer holds up the next round; the value before serves meanwhile.
    private static let timeout = Interval.seconds(10)
    private static let maximumBytes = 8 << 20

    /// Which versions there are, asked once a round: an adapter may come, go and be replaced.
    func versions(for places: [StatSource.Place]) async -> Versions {
        var needed: Set<ClusterMetricsAPI> = []
        for case .kubernetes(let place) in places { needed.insert(ClusterMetricsAPI(place)) }
        var versions: Versions = [:]
        for api in ClusterMetricsAPI.allCases where needed.contains(api) { versions[api] = await version(of: api) }
        return versions
    }

    private func version(of api: ClusterMetricsAPI) async -> Result<String, SourceTrouble> {
        do throws(KubernetesError) {
            let offered = try await client.offered(api.rawValue, retry: .none)
            if let version = api.versions.first(where: offered.contains) { return .success(version) }
            let what =
                offered.isEmpty
                ? "the API server has no \(api.rawValue): no adapter serves it"
                : "the API server has \(api.rawValue) in \(offered.joined(separator: ", ").cut(utf8: 100)) and not in "
                    + api.versions.joined(separator: " or ")
            return .failure(SourceTrouble(label: "not_served", what: what))
        } catch {
            return .failure(SourceTrouble(error, api, "the API itself"))
        }
    }

    /// The value, or why there is none.
    /// - Parameters:
    ///   - pods: which ones, where it is a metric of theirs.
    ///   - clock: for the time of the answer.
    func read(
        _ place: KubernetesPlace, in namespace: String, pods: String, _ versions: Versions, clock: () -> Timestamp
    ) async -> SourceValue {
        let api = ClusterMetricsAPI(place)
        let words = place.words(in: namespace)
        do throws(KubernetesError) {
            let version: String
            switch versions[api] {
            case .success(let known)?: version = known
            case .failure(let trouble)?: return .missing(trouble)
            case nil: return .missing(SourceTrouble(label: "not_served", what: "\(api.rawValue) was not asked for"))
            }
            if place.isOfPods && pods.isEmpty {
                let what = "\(api.rawValue): \(words): it is not known which pods the scaler has"
                return .missing(SourceTrouble(label: "pods_unknown", what: what))
            }
            var resource: ResourceName?
            if let object = place.object, !place.isOfNamespace {
                switch try await client.resource(object.apiVersion, kind: object.kind) {
                case .found(let found): resource = found
                case .absent(let why):
                    return .missing(SourceTrouble(label: "kind_unknown", what: "\(api.rawValue): \(words): \(why)"))
                }
            }
            let labels = place.selector?.text ?? ""
            let call = KubernetesClient.Call(
                .get, place.path(version, namespace: namespace, resource),
                query: (pods.isEmpty ? [] : [("labelSelector", pods)])
                    + (labels.isEmpty ? [] : [(api.selectorItem, labels)]),
                timeouts: HTTPTimeouts(total: Self.timeout), maximumResponseBytes: Self.maximumBytes, retry: .none)
            let body = try await client.request(call).body
            return SourceValue.of(body, place, namespace: namespace, at: clock())
        } catch {
            if error.code == .notFound, let object = place.object {
                // The kind may have another place by now.
                client.forgetResource(object.apiVersion, kind: object.kind)
            }
            return .missing(SourceTrouble(error, api, words))
        }
    }
}

extension SourceTrouble {
    /// What a failed call to one of the two APIs means, for whoever has to repair it.
    fileprivate init(_ error: KubernetesError, _ api: ClusterMetricsAPI, _ words: String) {
        let said = error.message.cut(utf8: 160)
        let status = error.status.map { " (\($0))" } ?? ""
        switch error.code {
        case .notFound:
            self.init(label: "metric_unknown", what: "\(api.rawValue) does not know \(words): \(said)")
        case .forbidden, .unauthorized:
            self.init(
                label: error.label,
                what: "\(api.rawValue): the Collector may not read \(words)\(status), see deploy/kubernetes/rbac.yaml: "
                    + said)
        case .transport:
            self.init(label: "unreachable", what: "\(api.rawValue): no answer about \(words): \(said)")
        case .server, .tooManyRequests, .twoBudgets, .disruptionBudget, .gone, .conflict, .alreadyExists:
            self.init(
                label: "unavailable",
                what: "\(api.rawValue) cannot tell \(words)\(status), its adapter fails: \(said)")
        case .malformed:
            self.init(label: "malformed", what: "\(api.rawValue): \(words) cannot be read: \(said)")
        case .invalid, .configuration:
            self.init(label: error.label, what: "\(api.rawValue): \(words) cannot be asked for\(status): \(said)")
        }
    }
}
