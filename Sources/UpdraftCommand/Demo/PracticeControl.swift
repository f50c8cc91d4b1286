import HTTPClient
import JSONReader
import Support

/// The practice cloud's control API, as far as the demo uses it.
struct PracticeControl: Sendable {
    /// What the cloud is, in short.
    struct State: Sendable {
        var unschedulable = 0
        var running = 0
        /// Servers of the group's members with their creation times (RFC 3339, so that text order is time order).
        var members: [String: String] = [:]
        var desired: Int?
        /// Whether a stack of the group is changing.
        var isBusy = false
        /// Node name → server.
        var nodes: [String: String] = [:]
        var readyNodes = 0
        var cordoned: [String] = []
    }

    /// Base URL, without a slash at the end.
    var url: String
    var http: HTTPClient

    /// Reads the state; nil when the cloud does not answer.
    func state() async -> State? {
        guard let value = await get("/practice/state") else { return nil }
        var state = State()
        let pods = value["pods"]
        state.unschedulable = Int(pods?["unschedulable"]?.intValue ?? 0)
        state.running = Int(pods?["by_phase"]?["Running"]?.intValue ?? 0)
        for stack in value["stacks"]?.arrayValue ?? [] {
            state.isBusy = state.isBusy || stack["status"]?.stringValue?.hasSuffix("IN_PROGRESS") ?? false
            for group in stack["groups"]?.arrayValue ?? [] {
                state.isBusy = state.isBusy || group["status"]?.stringValue?.hasSuffix("IN_PROGRESS") ?? false
                state.desired =
                    group["desired"]?.intValue.map { Int($0) } ?? group["desired"]?.stringValue.flatMap { Int($0) }
                for member in group["members"]?.arrayValue ?? [] {
                    guard let server = member["server"]?.stringValue else { continue }
                    state.members[server] = member["created"]?.stringValue ?? ""
                }
            }
        }
        for node in value["nodes"]?.arrayValue ?? [] {
            guard let name = node["name"]?.stringValue else { continue }
            state.nodes[name] = node["server"]?.stringValue ?? ""
            if node["ready"]?.boolValue ?? false { state.readyNodes += 1 }
            if node["unschedulable"]?.boolValue ?? false { state.cordoned.append(name) }
        }
        return state
    }

    /// Journal entries of some kinds: each with its time, pod and UID.
    func journal(_ kind: String) async -> [(time: Timestamp, pod: String, uid: String)] {
        let entries = await get("/practice/journal?limit=100000&kind=\(kind)")?["entries"]?.arrayValue ?? []
        return entries.compactMap { entry in
            guard let time = entry["time"]?.stringValue.flatMap({ Timestamp($0) }), let uid = entry["uid"]?.stringValue
            else { return nil }
            return (time, entry["pod"]?.stringValue ?? uid, uid)
        }
    }

    /// Times of journal entries of a kind whose JSON contains `text`.
    func times(_ kind: String, containing text: String) async -> [Timestamp] {
        let entries = await get("/practice/journal?limit=100000&kind=\(kind)")?["entries"]?.arrayValue ?? []
        return entries.filter { $0.text.contains(text) }.compactMap {
            $0["time"]?.stringValue.flatMap { Timestamp($0) }
        }
    }

    /// The cloud's own verdict: what, whether it holds, and who offended.
    func verdict() async -> [Verdict.Finding] {
        let findings = await get("/practice/verdict")?["findings"]?.arrayValue ?? []
        return findings.map { finding in
            Verdict.Finding(
                invariant: finding["invariant"]?.stringValue ?? "?", holds: finding["holds"]?.boolValue ?? false,
                detail: finding["offenders"].map { $0.arrayValue?.isEmpty ?? true ? "none offended" : $0.text } ?? "")
        }
    }

    /// Makes a workload. `body` is JSON as docs/practice-cloud.md describes it.
    func makeWorkload(_ body: JSONValue) async throws(ChildProcessError) {
        try await send(.post, "/practice/workloads", body)
    }

    /// Changes a workload's replicas.
    func scale(_ name: String, to replicas: Int) async throws(ChildProcessError) {
        try await send(.patch, "/practice/workloads/default/\(name)", ["replicas": .int(Int64(replicas))])
    }

    private func get(_ path: String) async -> JSONValue? {
        do {
            let response = try await http.send(HTTPRequest(.get, url + path))
            return response.status == 200 ? try JSONValue.parse(response.body) : nil
        } catch {
            return nil
        }
    }

    private func send(_ method: HTTPMethod, _ path: String, _ body: JSONValue) async throws(ChildProcessError) {
        let response: HTTPResponse
        do {
            response = try await http.send(
                HTTPRequest(method, url + path, headers: ["content-type": "application/json"], body: body.bytes))
        } catch {
            throw ChildProcessError(name: "practice-cloud", what: "\(path): \(error)")
        }
        guard response.status / 100 == 2 else {
            let text = String(decoding: response.body.prefix(300), as: UTF8.self)
            throw ChildProcessError(name: "practice-cloud", what: "\(path): \(text)")
        }
    }
}
