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
}

/// Asks kubelets for the use of their node and pods: at their own port or through the API server's proxy, for the page
/// that they have. What does not work is replaced by the other way, with the reason told once, and tried again later.
final class KubeletScraper: Sendable {
    /// What worked last for a node.
    private struct Habit {
        var route: Settings.Collector.Stats.Route
        var page: Page
        /// Since when the preferred way has been given up; tried again after `habitAge`.
        var since: Timestamp?
    }

    private enum Page: String, CaseIterable {
        case metricsResource = "/metrics/resource"
        case statsSummary = "/stats/summary"
    }

    private static let habitAge = Interval.minutes(10)
    private static let maximumBytes = 32 << 20

    private let client: KubernetesClient
    private let kubelets: HTTPClient
    private let settings: Settings.Collector.Stats
    private let log: Logger
    private let detours: Counter
    private let habits = Lock<[String: Habit]>([:])

    init(_ client: KubernetesClient, _ settings: Settings.Collector.Stats, log: Logger, metrics: Metrics) {
        self.client = client
        self.settings = settings
        self.log = log
        // Kubelets are checked against the cluster's authority, whatever name the API server is asked for by.
        var tls = client.configuration.tls
        tls.serverName = nil
        kubelets = HTTPClient(tls: tls, maximumInFlight: settings.parallel, userAgent: "updraft-collector")
        detours = metrics.counter(
            "stats_detours", "Nodes asked another way or for another page than configured.",
            .label("why", atMost: 20))
    }

    func close() async {
        await kubelets.close()
    }

    /// Forgets nodes that are no more.
    func keep(only names: Set<String>) {
        habits.withLock { $0 = $0.filter { names.contains($0.key) } }
    }

    /// The numbers of a node.
    func read(_ target: UsageMeter.Target, at now: Timestamp) async throws(ScrapeError) -> KubeletReading {
        var first: ScrapeError?
        for (route, page) in ways(target, now) {
            do throws(ScrapeError) {
                let reading = try await read(target, route, page)
                remember(target.node, route, page, first, now)
                return reading
            } catch {
                // A node that is silent at its own port may still be reached by the API server, but a proxy that
                // times out will not answer for another page either.
                if first == nil { first = error }
                if error.label == "timed_out", route == .apiserver { break }
            }
        }
        throw first ?? ScrapeError(label: "no_way", what: "the node has no address")
    }

    /// The ways to try, the one that worked last first.
    private func ways(
        _ target: UsageMeter.Target, _ now: Timestamp
    ) -> [(Settings.Collector.Stats.Route, Page)] {
        let pages: [Page] =
            switch settings.source {
            case .auto: [.metricsResource, .statsSummary]
            case .metricsResource: [.metricsResource]
            case .statsSummary: [.statsSummary]
            }
        let routes: [Settings.Collector.Stats.Route] =
            settings.through == .kubelet ? [.kubelet, .apiserver] : [.apiserver]
        var ways = routes.flatMap { route in pages.map { (route, $0) } }
        if target.address == nil { ways.removeAll { $0.0 == .kubelet } }
        if let habit = habits.withLock({ $0[target.node] }), let since = habit.since, now - since < Self.habitAge,
            let index = ways.firstIndex(where: { $0.0 == habit.route && $0.1 == habit.page })
        {
            ways.swapAt(0, index)
        }
        return ways
    }

    private func remember(
        _ node: String, _ route: Settings.Collector.Stats.Route, _ page: Page, _ failure: ScrapeError?, _ now: Timestamp
    ) {
        guard let failure else { return }
        let isNews = habits.withLock { habits in
            let before = habits[node]
            habits[node] = Habit(route: route, page: page, since: now)
            return before?.route != route || before?.page != page
        }
        detours.increment(failure.label)
        guard isNews else { return }
        log.info(
            "a kubelet is asked another way than configured",
            [
                .node: .string(node), .path: .string("\(route.rawValue) \(page.rawValue)"),
                .reason: .string(failure.what),
            ])
    }

    private func read(
        _ target: UsageMeter.Target, _ route: Settings.Collector.Stats.Route, _ page: Page
    ) async throws(ScrapeError) -> KubeletReading {
        let body =
            switch route {
            case .apiserver: try await throughServer(target, page)
            case .kubelet: try await directly(target, page)
            }
        let reading: KubeletReading?
        switch page {
        case .metricsResource: reading = KubeletReading.metricsResource(body)
        case .statsSummary:
            do throws(JSONError) {
                reading = try KubeletReading.statsSummary(body)
            } catch {
                throw ScrapeError(label: "malformed", what: "\(page.rawValue): \(error)")
            }
        }
        guard let reading else { throw ScrapeError(label: "no_numbers", what: "\(page.rawValue) holds no numbers") }
        return reading
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
            if case .transport(.timedOut) = error.code { label = "timed_out" }
            throw ScrapeError(label: label, what: error.description)
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
                label: error.code == .timedOut ? "timed_out" : error.code.rawValue, what: error.description)
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
