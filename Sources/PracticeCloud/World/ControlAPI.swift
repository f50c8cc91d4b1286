import JSONReader
import Messages
import Support

/// The control API: workloads, load, faults, and the journal. Not part of any cloud; docs/practice-cloud.md lists it.
extension PracticeModel {
    /// Connections that the shell has to act on.
    enum ControlEffect: Sendable {
        case none
        /// Break all watches off.
        case cutWatches
    }

    /// Answers a request to the control API.
    mutating func control(_ request: PracticeRequest, at now: Timestamp) -> (PracticeAnswer, ControlEffect) {
        let segments = request.segments
        guard segments.first == "practice" else { return (controlError(404, "not a path of the control API"), .none) }
        let body: JSONValue
        do {
            body = try request.json()
        } catch {
            return (controlError(400, "the body is not JSON: \(error)"), .none)
        }
        let rest = Array(segments.dropFirst())
        do throws(ControlFailure) {
            switch (request.method, rest.first ?? "", rest.count) {
            case ("GET", "state", 1): return (.json(200, state), .none)
            case ("GET", "verdict", 1): return (.json(200, verdict), .none)
            case ("GET", "journal", 1): return (.json(200, journalPage(request)), .none)
            case ("GET", "notices", 1): return (.json(200, notices), .none)
            case ("POST", "stacks", 1): return (try makeStack(body, at: now), .none)
            case ("POST", "workloads", 1): return (try makeWorkload(body, at: now), .none)
            case ("PATCH", "workloads", 3):
                return (try scaleWorkload(namespace: rest[1], name: rest[2], body, at: now), .none)
            case ("DELETE", "workloads", 3):
                return (try deleteWorkload(namespace: rest[1], name: rest[2], at: now), .none)
            case ("POST", "hooks", 1): return (try setHook(body), .none)
            case ("POST", "alarms", 1): return (try setAlarm(body, at: now), .none)
            case ("DELETE", "alarms", 2): return (try removeAlarm(rest[1]), .none)
            case ("POST", "load", 1): return (try setLoad(body, at: now), .none)
            case ("GET", "faults", 1): return (.json(200, ["faults": .array(faults.rules.map(\.json))]), .none)
            case ("POST", "faults", 1): return (try addFault(body, at: now), .none)
            case ("DELETE", "faults", 1), ("DELETE", "faults", 2):
                let id = rest.count == 2 ? Int(rest[1]) : nil
                guard rest.count == 1 || id != nil, faults.remove(id) else {
                    throw ControlFailure(404, "no such fault")
                }
                journal.record("fault.cleared", at: now, ["id": id.map { .int(Int64($0)) } ?? "all"])
                return (.json(200, [:]), .none)
            case ("POST", "actions", 2): return try act(rest[1], body, at: now)
            default: throw ControlFailure(404, "not a path of the control API")
            }
        } catch {
            return (controlError(error.status, error.message), .none)
        }
    }

    private func controlError(_ status: Int, _ message: String) -> PracticeAnswer {
        .json(status, ["error": .string(message)])
    }

    // MARK: Looking

    /// `GET /practice/journal?after=N&kind=PREFIX&limit=N`.
    private func journalPage(_ request: PracticeRequest) -> JSONValue {
        let after = request.parameter("after").flatMap { Int($0) } ?? 0
        let limit = request.parameter("limit").flatMap { Int($0) } ?? 10_000
        let prefixes = request.query.filter { $0.0 == "kind" }.map(\.1)
        let found = journal.entries(after: after, prefixes: prefixes, limit: max(0, limit))
        return ["entries": .array(found.map(\.json)), "last": .int(Int64(journal.lastSequence))]
    }

    /// `GET /practice/state`.
    private var state: JSONValue {
        var phases: [String: Int64] = ["Pending": 0, "Running": 0]
        var unschedulable = 0
        var terminating = 0
        for pod in index.pods.values {
            phases[pod.phase, default: 0] += 1
            if pod.deletion != nil { terminating += 1 }
            if pod.node == nil, pod.schedulingMessage != nil { unschedulable += 1 }
        }
        let stacks = heat.stacks.map { stack -> JSONValue in
            let groups = stack.groups.map { group -> JSONValue in
                [
                    "resource": .string(group.definition.resource), "stack_id": .string(group.stackID),
                    "stack_name": .string(group.stackName), "status": .string(group.stackState.text),
                    "capacity": .int(Int64(group.capacity)),
                    "desired": stack.parameters[group.definition.desiredParameter] ?? nil,
                    "members": .array(
                        group.listed.filter { $0.phase != .gone }.map { member in
                            [
                                "name": .string(member.name), "id": .string(member.stackID ?? ""),
                                "server": member.serverID.map { .string($0) } ?? nil,
                                "status": .string(member.state.text), "created": .string(member.created.rfc3339),
                                "marked": .bool(member.isMarked),
                                "paused": .bool(member.phase == .paused || member.phase == .deploying),
                            ]
                        }),
                ]
            }
            return [
                "name": .string(stack.name), "id": .string(stack.id), "status": .string(stack.state.text),
                "groups": .array(groups),
            ]
        }
        let nodes = index.nodes.values.sorted { $0.name < $1.name }.map { node -> JSONValue in
            [
                "name": .string(node.name), "server": node.serverID.map { .string($0) } ?? nil,
                "ready": .bool(node.isReady), "unschedulable": .bool(node.isUnschedulable),
                "pods": .int(Int64(index.podsByNode[node.name]?.count ?? 0)),
            ]
        }
        return [
            "time": .string(clock.rfc3339),
            "pods": [
                "total": .int(Int64(index.pods.count)), "by_phase": .object(phases.mapValues { .int($0) }),
                "unschedulable": .int(Int64(unschedulable)), "terminating": .int(Int64(terminating)),
            ],
            "nodes": .array(nodes), "stacks": .array(stacks), "servers": .int(Int64(nova.servers.count)),
            "journal": .int(Int64(journal.lastSequence)),
        ]
    }

    /// `GET /practice/verdict`: the invariants, judged from the journal and what is there now.
    private var verdict: JSONValue {
        var untold: [JSONValue] = []
        var killed: [JSONValue] = []
        var unchosen: [JSONValue] = []
        for entry in journal.entries {
            let isDaemon = entry.facts["owner"]?.stringValue == "DaemonSet"
            switch entry.kind {
            case "pod.evicted" where !isDaemon && entry.facts["told"]?.boolValue != true: untold.append(entry.json)
            case "pod.killed" where !isDaemon: killed.append(entry.json)
            case "member.removed" where entry.facts["chosen"]?.boolValue != true: unchosen.append(entry.json)
            default: break
            }
        }
        let members = Set(
            heat.stacks.flatMap { $0.groups }.flatMap(\.listed).filter { !$0.isLeaving }.compactMap(\.serverID))
        let nodes = Set(index.nodes.values.compactMap(\.serverID))
        func finding(_ what: String, _ offenders: [JSONValue]) -> JSONValue {
            ["invariant": .string(what), "holds": .bool(offenders.isEmpty), "offenders": .array(offenders)]
        }
        let odd = members.symmetricDifference(nodes).sorted().map { JSONValue.string($0) }
        return [
            "holds": .bool(untold.isEmpty && killed.isEmpty && unchosen.isEmpty && odd.isEmpty),
            "findings": [
                finding("no pod evicted without notice", untold), finding("no pod died with its machine", killed),
                finding("only chosen members were removed", unchosen),
                finding("each member has its node and each node its member", odd),
            ],
        ]
    }

    private var notices: JSONValue {
        .object([
            "notices": .array(
                hooks.notices.map { notice in
                    [
                        "time": .string(notice.time.rfc3339), "namespace": .string(notice.namespace),
                        "app": .string(notice.app), "pod": .string(notice.pod), "uid": .string(notice.podUID),
                        "removal": .string(notice.removal), "withdrawn": .bool(notice.withdrawn),
                        "body": notice.body,
                    ]
                })
        ])
    }
}

/// The control API's refusal.
struct ControlFailure: Error, Sendable {
    var status: Int
    var message: String

    init(_ status: Int, _ message: String) {
        self.status = status
        self.message = message
    }
}
