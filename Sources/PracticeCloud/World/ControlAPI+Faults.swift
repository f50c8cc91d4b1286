import JSONReader
import Messages
import Support

/// Faults: rules for requests, and things that happen once.
extension PracticeModel {
    /// `POST /practice/faults`.
    mutating func addFault(_ body: JSONValue, at now: Timestamp) throws(ControlFailure) -> PracticeAnswer {
        let services = ["heat", "nova", "keystone", "kubernetes", "hooks", "aodh"]
        guard let service = body["service"]?.stringValue, services.contains(service) else {
            throw ControlFailure(400, "service: one of \(services.joined(separator: ", "))")
        }
        let status = body["status"]?.intValue
        if let status, !(400...599).contains(status) { throw ControlFailure(400, "status: 400…599") }
        let delay = body["delay"]?.doubleValue ?? 0
        guard status != nil || delay > 0 else { throw ControlFailure(400, "a status or a delay is needed") }
        let rule = Faults.Rule(
            id: 0, service: service, method: body["method"]?.stringValue, path: body["path"]?.stringValue,
            status: status.map { Int(clamping: $0) }, type: body["type"]?.stringValue,
            message: body["message"]?.stringValue, retryAfter: body["retry_after"]?.intValue.map { Int(clamping: $0) },
            delay: .seconds(min(max(delay, 0), 3_600)), remaining: body["count"]?.intValue.map { Int(clamping: $0) })
        let id = faults.add(rule)
        var facts = rule.json.objectValue ?? [:]
        facts["id"] = .int(Int64(id))
        journal.record("fault.set", at: now, facts)
        return .json(201, ["id": .int(Int64(id))])
    }

    /// The answer of a fault that strikes, in the service's own form.
    func faultAnswer(_ rule: Faults.Rule, status: Int) -> PracticeAnswer {
        let message = rule.message ?? "a practice fault"
        switch rule.service {
        case "heat":
            let types = [409: "ActionInProgress", 404: "EntityNotFound", 400: "StackValidationFailed"]
            return heatError(
                HeatError(status: status, type: rule.type ?? types[status] ?? "RemoteError", message: message))
        case "kubernetes":
            let reasons = [
                403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 429: "TooManyRequests",
                500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout", 401: "Unauthorized",
            ]
            var failure = KubernetesFailure(status, rule.type ?? reasons[status], message)
            if rule.type == "DisruptionBudget" {
                failure.reason = "TooManyRequests"
                failure.message = "Cannot evict pod as it would violate the pod's disruption budget."
                failure.details = ["causes": [["reason": "DisruptionBudget", "message": .string(message)]]]
            }
            failure.retryAfter = rule.retryAfter
            return failure.answer
        default:
            let headers = rule.retryAfter.map { [("Retry-After", String($0))] } ?? []
            return .json(
                status,
                ["error": ["code": .int(Int64(status)), "title": "Practice", "message": .string(message)]],
                headers: headers)
        }
    }

    /// `POST /practice/actions/NAME`.
    mutating func act(
        _ name: String, _ body: JSONValue, at now: Timestamp
    ) throws(ControlFailure) -> (PracticeAnswer, ControlEffect) {
        let count = Int(clamping: min(max(body["count"]?.intValue ?? 1, 0), 100_000))
        var effect = ControlEffect.none
        switch name {
        case "cut-watches": effect = .cutWatches
        case "expire-watches":
            store.forgetHistory()
            snapshots = [:]
            effect = .cutWatches
        case "expire-tokens": keystone.expireAll()
        case "revoke-credential":
            guard keystone.revokeCredential(body["id"]?.stringValue ?? credentials.credentialID) else {
                throw ControlFailure(404, "no such application credential")
            }
        case "end-credential":
            let left = Interval.seconds(body["seconds"]?.doubleValue ?? 0)
            guard keystone.setEnd(body["id"]?.stringValue ?? credentials.credentialID, now + left) else {
                throw ControlFailure(404, "no such application credential or trust")
            }
        case "kill-engine": heat.killEngine()
        case "fail-members":
            if body["late"]?.boolValue == true {
                heat.lateFailuresAhead = count
            } else {
                heat.memberFailuresAhead = count
            }
        case "fail-servers": nova.failuresAhead = count
        case "no-boot": kubelets.stillbornAhead = count
        case "wrong-victim": heat.takesWrongVictim = body["on"]?.boolValue ?? true
        case "quota":
            if let value = body["instances"]?.intValue { nova.quota.instances = Int(clamping: value) }
            if let value = body["cores"]?.intValue { nova.quota.cores = Int(clamping: value) }
            if let value = body["ram"]?.intValue { nova.quota.ram = Int(clamping: value) }
        case "signal": try signal(body, at: now)
        case "delete-server": nova.delete(try server(body))
        case "server-status":
            let id = try server(body)
            guard let status = body["status"]?.stringValue, ["ACTIVE", "ERROR", "SHUTOFF"].contains(status),
                nova.setStatus(id, status, at: now)
            else { throw ControlFailure(400, "status: ACTIVE, ERROR or SHUTOFF") }
        case "silence-node": kubelets.setSilent(try server(body), body["silent"]?.boolValue ?? true, at: now)
        case "restart-kubelet": kubelets.restart(try server(body), at: now)
        default: throw ControlFailure(404, "no such action: \(name)")
        }
        var facts = body.objectValue ?? [:]
        facts["action"] = .string(name)
        journal.record("fault.action", at: now, facts)
        settle()
        return (.json(200, [:]), effect)
    }

    private func server(_ body: JSONValue) throws(ControlFailure) -> String {
        if let id = body["server"]?.stringValue, nova.servers[id] != nil { return id }
        if let node = body["node"]?.stringValue, let machine = kubelets.machine(ofNode: node) {
            return machine.server.id
        }
        throw ControlFailure(404, "server or node: no such one")
    }

    private mutating func signal(_ body: JSONValue, at now: Timestamp) throws(ControlFailure) {
        let name = body["stack"]?.stringValue
        guard let stack = heat.stacks.first(where: { name == nil || $0.name == name }),
            let policy = body["policy"]?.stringValue
        else { throw ControlFailure(400, "stack and policy are needed") }
        guard stack.groups.contains(where: { $0.definition.policies.contains { $0.resource == policy } }) else {
            throw ControlFailure(404, "no policy \(policy) in stack \(stack.name)")
        }
        do throws(HeatError) {
            try heat.signal(policy: policy, stack: stack.id, body: body, at: now)
        } catch {
            throw ControlFailure(error.status, error.message)
        }
    }
}
