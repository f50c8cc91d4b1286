import HTTPClient
import JSONReader
import Kubernetes
import Support

/// Asks `metrics.k8s.io` for all nodes and pods at once, and answers for each node out of that for a while.
actor MetricsAPIReader {
    private let client: KubernetesClient
    private let age: Interval
    private let timeout: Interval
    private var last: (at: Timestamp, answer: Result<MetricsAPI, ScrapeError>)?
    private var flight: Task<Result<MetricsAPI, ScrapeError>, Never>?

    /// A server that does not have the API is not asked again for so long.
    private static let absentFor = Interval.minutes(10)
    private static let maximumBytes = 256 << 20

    /// - Parameter age: so long one answer is used.
    init(_ client: KubernetesClient, age: Interval, timeout: Interval) {
        self.client = client
        self.age = age
        self.timeout = timeout
    }

    /// What it says of a node and of the pods that are known to be on it.
    func reading(
        of node: String, pods: [KubeletReading.PodKey], at now: Timestamp
    ) async throws(ScrapeError) -> KubeletReading {
        let answer = await answer(at: now)
        let found = try answer.get().reading(of: node, pods: pods)
        let rejected = takeRejected()
        guard var reading = found else {
            let why = rejected.isEmpty ? "" : ", rejected \(rejected.summary)"
            throw ScrapeError(
                label: "no_numbers", what: "metrics.k8s.io does not know the node\(why)", rejected: rejected)
        }
        reading.rejected.add(rejected)
        return reading
    }

    /// What was not used of the whole answer: for the first node that is asked for, also where it is not in it.
    private func takeRejected() -> Rejections {
        guard let last, case .success(var all) = last.answer else { return Rejections() }
        let rejected = all.takeRejected()
        self.last = (last.at, .success(all))
        return rejected
    }

    private func answer(at now: Timestamp) async -> Result<MetricsAPI, ScrapeError> {
        // An answer of the future is one from before our clock was set back.
        if let last, last.at <= now, now - last.at < lifetime(last.answer) { return last.answer }
        if let flight { return await flight.value }
        let task = Task { [client, timeout] in await Self.ask(client, timeout) }
        flight = task
        let answer = await task.value
        flight = nil
        last = (now, answer)
        return answer
    }

    private func lifetime(_ answer: Result<MetricsAPI, ScrapeError>) -> Interval {
        if case .failure(let error) = answer, error.label == "not_found" || error.label == "forbidden" {
            return Self.absentFor
        }
        return age
    }

    private static func ask(_ client: KubernetesClient, _ timeout: Interval) async -> Result<MetricsAPI, ScrapeError> {
        do throws(ScrapeError) {
            let nodes = try await get(MetricsAPI.nodesPath, client, timeout)
            let pods = try await get(MetricsAPI.podsPath, client, timeout)
            do throws(JSONError) {
                return .success(try MetricsAPI.read(nodes: nodes, pods: pods))
            } catch {
                return .failure(ScrapeError(label: "malformed", what: "metrics.k8s.io: \(error)"))
            }
        } catch {
            return .failure(error)
        }
    }

    private static func get(
        _ path: String, _ client: KubernetesClient, _ timeout: Interval
    ) async throws(ScrapeError) -> [UInt8] {
        let call = KubernetesClient.Call(
            .get, path, timeouts: HTTPTimeouts(total: timeout), maximumResponseBytes: maximumBytes, retry: .none)
        do throws(KubernetesError) {
            return try await client.request(call).body
        } catch {
            throw ScrapeError(label: error.label, what: error.description)
        }
    }
}
