import HTTPClient
import JSONReader
import Kubernetes
import ServiceRuntime
import Settings
import Support

/// Why the numbers of a node could not be had.
struct ScrapeError: Error, Sendable {
    /// A word for metrics: one of a small fixed set.
    var label: String
    var what: String
    /// Whether nothing else can be had by the same route either: another page would only cost another timeout.
    var isRouteDown = false
    /// What of the answers was not used.
    var rejected = Rejections()
}

/// Asks kubelets for the use of their node, pods and containers: at their own port or through the API server's proxy, for
/// the page that they have; where none has any, `metrics.k8s.io`. What does not work is replaced by the other way, with
/// the reason told once, and tried again later.
final class KubeletScraper: Sendable {
    typealias Route = Settings.Collector.Stats.Route

    /// A page of the kubelet.
    enum Page: String, CaseIterable {
        case metricsResource = "/metrics/resource"
        case statsSummary = "/stats/summary"
        case cadvisor = "/metrics/cadvisor"
    }

    /// A way to the numbers of a node.
    enum Way: Hashable, CustomStringConvertible {
        case kubelet(Route, Page)
        case metricsAPI

        var description: String {
            switch self {
            case .kubelet(let route, let page): "\(route.rawValue) \(page.rawValue)"
            case .metricsAPI: "metrics.k8s.io"
            }
        }
    }

    /// What worked last for a node.
    private struct Habit {
        var way: Way
        /// Since when the preferred way has been given up.
        var since: Timestamp
        /// So long; then it is tried again.
        var age: Interval
    }

    /// Of a node and one kind of turn: what serves for a plain one may lack the details.
    private struct HabitKey: Hashable {
        var node: String
        var details: Bool
    }

    /// A page or a route that is not there is not tried again for so long.
    private static let habitAge = Interval.minutes(10)
    private static let maximumBytes = 32 << 20
    /// The usual reason, for whoever reads the log.
    private static let aboutCertificates =
        "; a kubelet that signs its own certificate (kubeadm's default) is not believed: set serverTLSBootstrap: true at the "
        + "kubelets and approve their certificate requests, see docs/telemetry.md"

    private let client: KubernetesClient
    private let kubelets: HTTPClient
    private let settings: Settings.Collector.Stats
    /// Whether only the node that this runs on is asked.
    private let isOnNode: Bool
    private let log: Logger
    private let detours: Counter
    private let habits = Lock<[HabitKey: Habit]>([:])
    private let metricsAPI: MetricsAPIReader

    /// - Parameter isOnNode: there is such a Collector on each node, which asks its own kubelet only. It has no right to the API
    ///   server's proxy and metrics, and all of them together would be too much for it.
    init(
        _ client: KubernetesClient, _ settings: Settings.Collector.Stats, isOnNode: Bool = false, log: Logger,
        metrics: Metrics
    ) {
        self.client = client
        self.settings = settings
        self.isOnNode = isOnNode
        self.log = log
        // Kubelets are checked against the cluster's authority, whatever name the API server is asked for by.
        var tls = client.configuration.tls
        tls.serverName = nil
        kubelets = HTTPClient(tls: tls, maximumInFlight: settings.parallel, userAgent: "updraft-collector")
        metricsAPI = MetricsAPIReader(client, age: settings.interval * 0.5, timeout: settings.timeout)
        detours = metrics.counter(
            "stats_detours", "Nodes asked another way or for another page than configured.",
            .label("why", atMost: 20))
    }

    func close() async {
        await kubelets.close()
    }

    /// Forgets nodes that are no more.
    func keep(only names: Set<String>) {
        habits.withLock { habits in
            guard habits.contains(where: { !names.contains($0.key.node) }) else { return }
            habits = habits.filter { names.contains($0.key.node) }
        }
    }

    /// The numbers of a node.
    /// - Parameters:
    ///   - details: whether network and file systems are wanted too, where the settings leave the choice.
    ///   - pods: the pods that are known to be on it.
    func read(
        _ target: UsageMeter.Target, details: Bool = false, pods: [KubeletReading.PodKey] = [], at now: Timestamp
    ) async throws(ScrapeError) -> KubeletReading {
        var first: ScrapeError?
        var rejected = Rejections()
        var down: Set<Route> = []
        for way in ways(target, details, now) {
            if case .kubelet(let route, _) = way, down.contains(route) { continue }
            do throws(ScrapeError) {
                var reading = try await read(target, way, pods, now)
                // Also what another way's answer was worth.
                reading.rejected.add(rejected)
                let key = HabitKey(node: target.node, details: details)
                if let first { remember(key, way, first, now) } else { worked(key, way) }
                return reading
            } catch {
                if first == nil { first = error }
                rejected.add(error.rejected)
                if error.isRouteDown, case .kubelet(let route, _) = way { down.insert(route) }
            }
        }
        first?.rejected = rejected
        throw first ?? ScrapeError(label: "no_way", what: "the node has no address")
    }

    /// The ways to try, the one that worked last first.
    private func ways(_ target: UsageMeter.Target, _ details: Bool, _ now: Timestamp) -> [Way] {
        let pages: [Page] =
            switch settings.source {
            case .auto where details: [.statsSummary, .metricsResource, .cadvisor]
            case .auto: [.metricsResource, .statsSummary, .cadvisor]
            case .metricsResource: [.metricsResource]
            case .statsSummary: [.statsSummary]
            case .cadvisor: [.cadvisor]
            case .metricsAPI: []
            }
        // What the settings name is asked in any case, on a node as well: there the right may have been given for it.
        let isAlone = isOnNode && settings.through == .kubelet
        let routes: [Route] =
            isAlone ? [.kubelet] : settings.through == .kubelet ? [.kubelet, .apiserver] : [.apiserver]
        var ways = routes.flatMap { route in pages.map { Way.kubelet(route, $0) } }
        if target.address == nil {
            ways.removeAll { way in
                if case .kubelet(.kubelet, _) = way { true } else { false }
            }
        }
        if settings.source == .metricsAPI || (settings.source == .auto && !isAlone) { ways.append(.metricsAPI) }
        if let habit = habits.withLock({ $0[HabitKey(node: target.node, details: details)] }),
            now - habit.since < habit.age, now >= habit.since,
            let index = ways.firstIndex(of: habit.way)
        {
            ways.insert(ways.remove(at: index), at: 0)
        }
        return ways
    }

    private func remember(_ key: HabitKey, _ way: Way, _ failure: ScrapeError, _ now: Timestamp) {
        let isNews = habits.withLock { habits in
            let before = habits[key]
            var age = Self.habitAge
            if failure.label == "timed_out" {
                // One that was slow once is most likely well the next time; one that never answers costs its timeout
                // ever more rarely.
                let usual = key.details ? max(settings.interval, settings.detailsInterval ?? .zero) : settings.interval
                age = min(before.map { $0.age * 2 } ?? usual * 2, Self.habitAge)
            }
            habits[key] = Habit(way: way, since: now, age: age)
            return before?.way != way
        }
        detours.increment(failure.label)
        guard isNews else { return }
        log.info(
            "a kubelet is asked another way than configured",
            [.node: .string(key.node), .path: .text(way), .reason: .string(failure.what)])
    }

    /// A way answered at once: if it is not the one of the habit, that is over.
    private func worked(_ key: HabitKey, _ way: Way) {
        habits.withLock { habits in
            if let habit = habits[key], habit.way != way { habits[key] = nil }
        }
    }

    private func read(
        _ target: UsageMeter.Target, _ way: Way, _ pods: [KubeletReading.PodKey], _ now: Timestamp
    ) async throws(ScrapeError) -> KubeletReading {
        guard case .kubelet(let route, let page) = way else {
            return try await metricsAPI.reading(of: target.node, pods: pods, at: now)
        }
        let body =
            switch route {
            case .apiserver: try await throughServer(target, page)
            case .kubelet: try await directly(target, page)
            }
        let reading: KubeletReading
        switch page {
        case .metricsResource: reading = KubeletReading.lines(body, isCadvisor: false)
        case .cadvisor: reading = KubeletReading.lines(body, isCadvisor: true)
        case .statsSummary:
            do throws(JSONError) {
                reading = try KubeletReading.summary(body)
            } catch {
                throw ScrapeError(
                    label: "malformed", what: "\(page.rawValue): \(error)", rejected: [.malformedPage: 1])
            }
        }
        guard let ofNode = reading.ofNode else {
            let why = reading.rejected.isEmpty ? "" : ", rejected \(reading.rejected.summary)"
            throw ScrapeError(
                label: "no_numbers", what: "\(page.rawValue) holds no numbers of the node\(why)",
                rejected: reading.rejected)
        }
        return ofNode
    }

    private func throughServer(_ target: UsageMeter.Target, _ page: Page) async throws(ScrapeError) -> [UInt8] {
        let path = NodeObject.resource.path(name: target.node, subresource: "proxy") + page.rawValue
        let call = KubernetesClient.Call(
            .get, path, accept: "*/*", timeouts: HTTPTimeouts(total: settings.timeout),
            maximumResponseBytes: Self.maximumBytes, retry: .none)
        do throws(KubernetesError) {
            return try await client.request(call).body
        } catch {
            var label = error.label
            var isDown = error.status.map { (502...504).contains($0) } ?? false
            if case .transport(let code) = error.code {
                isDown = true
                if code == .timedOut { label = "timed_out" }
            }
            throw ScrapeError(label: label, what: error.description, isRouteDown: isDown)
        }
    }

    private func directly(_ target: UsageMeter.Target, _ page: Page) async throws(ScrapeError) -> [UInt8] {
        guard let address = target.address else { throw ScrapeError(label: "no_way", what: "the node has no address") }
        let host = address.contains(":") ? "[\(address)]" : address
        var headers: HTTPHeaders = [:]
        do throws(KubernetesError) {
            headers["Authorization"] = try await client.authorization()
        } catch {
            throw ScrapeError(label: "unauthorized", what: error.description)
        }
        let response: HTTPResponse
        do throws(HTTPError) {
            response = try await kubelets.send(
                HTTPRequest(
                    .get, "https://\(host):\(target.port)\(page.rawValue)", headers: headers,
                    timeouts: HTTPTimeouts(connect: min(settings.timeout, .seconds(5)), total: settings.timeout),
                    maximumResponseBytes: Self.maximumBytes))
        } catch {
            throw ScrapeError(
                label: error.code == .timedOut ? "timed_out" : error.code.rawValue,
                what: error.description + (error.code == .tls ? Self.aboutCertificates : ""),
                isRouteDown: error.code != .tooLarge)
        }
        guard response.status == 200 else {
            let text = String(decoding: response.body.prefix(200), as: UTF8.self)
            throw ScrapeError(
                label: "status_\(response.status)",
                what: "kubelet \(address): \(page.rawValue): \(response.status) \(text)")
        }
        return response.body
    }
}
