import HTTPServer
import JSONReader
import Support

/// Thousands of kubelets with pods, behind one API server: for measuring those who ask them. Nothing changes in it but
/// time, and each use grows with that.
public final class KubeletFarm: Sendable {
    /// Where the API server listens.
    public let port: UInt16
    private let server: HTTPServer
    private let streams: Lock<[StreamSource]>

    /// Starts serving.
    /// - Parameters:
    ///   - nodes: kubelets.
    ///   - pods: of each, with one container.
    public init(nodes: Int, pods: Int) throws {
        let streams = Lock<[StreamSource]>([])
        self.streams = streams
        let farm = Farm(nodes: nodes, pods: pods)
        server = try HTTPServer(maximumConnections: 2_048) { request in
            if request.query.contains(where: { $0.name == "watch" && $0.value != "false" && $0.value != "0" }) {
                // Nothing ever changes: the watch is open and silent.
                let stream = StreamSource()
                streams.withLock { $0.append(stream) }
                return .stream(status: 200, headers: [("Content-Type", "application/json")], stream)
            }
            return .response(farm.answer(request, at: .now()))
        }
        port = server.port
    }

    /// Closes the port.
    public func stop() {
        for stream in streams.withLock({ $0 }) { stream.finish() }
        server.stop()
    }

    private struct Farm: Sendable {
        let nodes: Int
        let pods: Int
        let started = Timestamp.now()

        func answer(_ request: ServerRequest, at now: Timestamp) -> ServerResponse {
            let path = request.path
            if path.hasPrefix("/api/v1/nodes/node-") {
                guard let number = Int(path.dropFirst(19).prefix { $0 != "/" }), number < nodes,
                    path.hasSuffix("/proxy/metrics/resource")
                else { return .text(404, "404 page not found\n") }
                return ServerResponse(
                    status: 200, headers: [("Content-Type", "text/plain; version=0.0.4")], body: page(number, at: now))
            }
            func value(_ name: String) -> Int {
                request.query.first { $0.name == name }.flatMap { Int($0.value) } ?? 0
            }
            switch path {
            case "/api/v1/nodes": return list(nodes, from: value("continue"), limit: value("limit"), node)
            case "/api/v1/pods": return list(nodes * pods, from: value("continue"), limit: value("limit"), pod)
            default: return list(0, from: 0, limit: 0) { _, _ in }
            }
        }

        private func list(
            _ count: Int, from: Int, limit: Int, _ write: (Int, inout JSONWriter) -> Void
        ) -> ServerResponse {
            let end = limit > 0 ? min(count, from + limit) : count
            var writer = JSONWriter()
            writer.object { writer in
                writer.key("metadata")
                writer.object { writer in
                    writer.member("resourceVersion", "1")
                    if end < count { writer.member("continue", "\(end)") }
                }
                writer.key("items")
                writer.array { writer in
                    for number in from..<max(from, end) { write(number, &writer) }
                }
            }
            return .json(200, writer.bytes)
        }

        private func node(_ number: Int, _ writer: inout JSONWriter) {
            writer.object { writer in
                writer.key("metadata")
                writer.object { writer in
                    writer.member("name", "node-\(number)")
                    writer.member("uid", Self.uuid(1, number))
                    writer.member("creationTimestamp", "2026-01-01T00:00:00Z")
                }
                writer.key("spec")
                writer.object { $0.member("providerID", "openstack:///\(Self.uuid(2, number))") }
                writer.key("status")
                writer.object { writer in
                    for name in ["capacity", "allocatable"] {
                        writer.member(name, ["cpu": "16", "memory": "64Gi", "pods": "110"])
                    }
                }
            }
        }

        private func pod(_ number: Int, _ writer: inout JSONWriter) {
            let (node, pod) = number.quotientAndRemainder(dividingBy: pods)
            writer.object { writer in
                writer.key("metadata")
                writer.object { writer in
                    writer.member("name", Self.podName(node, pod))
                    writer.member("namespace", "default")
                    writer.member("uid", Self.uuid(3, number))
                    writer.member("creationTimestamp", "2026-01-01T00:00:00Z")
                    writer.member("labels", ["app": "web-\(pod)"])
                }
                writer.key("spec")
                writer.object { writer in
                    writer.member("nodeName", "node-\(node)")
                    writer.key("containers")
                    writer.array { writer in
                        writer.object { writer in
                            writer.member("name", "app")
                            writer.key("resources")
                            writer.object { $0.member("requests", ["cpu": "250m", "memory": "256Mi"]) }
                        }
                    }
                }
                writer.key("status")
                writer.object { $0.member("phase", "Running") }
            }
        }

        private static func podName(_ node: Int, _ pod: Int) -> String { "web-\(pod)-7d9d5d86df-\(node)x" }

        private static func uuid(_ kind: Int, _ number: Int) -> String {
            let digits = String(number, radix: 16)
            return "0000000\(kind)-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
        }

        /// `/metrics/resource` as a kubelet 1.30 writes it: families in alphabetical order.
        private func page(_ node: Int, at now: Timestamp) -> [UInt8] {
            let stamp = " \(now.microseconds / 1_000)\n"
            let seconds = (now - started).inSeconds + 1_000
            let labels = (0..<pods).map { "namespace=\"default\",pod=\"\(Self.podName(node, $0))\"}" }
            let use = (0..<pods).map { " \(seconds * (0.05 + Double($0) / 400) + Double(node) / 7)" + stamp }
            let memory = (0..<pods).map { " \(Double(200_000_000 + $0 * 4_096))" + stamp }
            var text = ""
            text.reserveCapacity(pods * 900 + 1_000)
            func family(_ name: String, _ kind: String, _ line: (Int) -> String) {
                text += "# HELP \(name) [STABLE] Something that is measured\n# TYPE \(name) \(kind)\n"
                for pod in 0..<pods { text += name + line(pod) }
            }
            let container = "{container=\"app\","
            family("container_cpu_usage_seconds_total", "counter") { container + labels[$0] + use[$0] }
            family("container_memory_working_set_bytes", "gauge") { container + labels[$0] + memory[$0] }
            family("container_start_time_seconds", "gauge") {
                container + labels[$0] + " 1.7954700241170002e+09" + stamp
            }
            text += "# TYPE node_cpu_usage_seconds_total counter\nnode_cpu_usage_seconds_total \(seconds * 3)" + stamp
            text += "# TYPE node_memory_working_set_bytes gauge\nnode_memory_working_set_bytes 9.5e+09" + stamp
            family("pod_cpu_usage_seconds_total", "counter") { "{" + labels[$0] + use[$0] }
            family("pod_memory_working_set_bytes", "gauge") { "{" + labels[$0] + memory[$0] }
            text += "# TYPE scrape_error gauge\nscrape_error 0\n"
            return Array(text.utf8)
        }
    }
}
