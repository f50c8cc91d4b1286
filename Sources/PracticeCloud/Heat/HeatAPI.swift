import JSONReader
import Support

/// Heat's API as docs/openstack/heat.md §2 records it.
extension PracticeModel {
    /// Answers a request to Heat.
    mutating func heat(_ request: PracticeRequest, at now: Timestamp) -> PracticeAnswer {
        let segments = request.segments
        guard segments.first == "v1", segments.count >= 2 else {
            return .json(300, ["versions": [["id": "v1.0", "status": "CURRENT", "links": []]]])
        }
        let token: KeystoneModel.Token
        switch authenticate(request, at: now) {
        case .success(let valid): token = valid
        case .failure(let refused): return refused.answer
        }
        guard segments[1] == keystone.projectID else {
            return heatError(HeatError(status: 403, type: "Forbidden", message: "You are not authorized."))
        }
        if request.method != "GET" {
            journal.record(
                "heat.request", at: now,
                [
                    "method": .string(request.method), "path": .string(request.path),
                    "body": .string(String(decoding: request.body.prefix(2_000), as: UTF8.self)),
                ])
        }
        let rest = Array(segments.dropFirst(2))
        guard rest.first == "stacks" else { return .text(404, "404 Not Found") }
        do throws(HeatError) {
            switch rest.count {
            case 1: return try stacksCall(request, at: now)
            case 2: return try redirect(request, name: rest[1], rest: [])
            default:
                // {name}/{id}/… or, without the id, {name}/resources…: the latter is redirected when it is a GET.
                if let (place, kind) = find(name: rest[1], id: rest[2]) {
                    return try stackCall(request, place, kind, Array(rest.dropFirst(3)), token, at: now)
                }
                return try redirect(request, name: rest[1], rest: Array(rest.dropFirst(2)))
            }
        } catch {
            return heatError(error)
        }
    }

    /// Which of a stack's stacks is meant.
    enum HeatStackKind: Sendable {
        case main
        case group(Int)
        case member(Int, Int)
    }

    private func find(name: String, id: String) -> (Int, HeatStackKind)? {
        if let place = heat.stacks.firstIndex(where: { $0.id == id && $0.name == name }) { return (place, .main) }
        if let (place, group) = heat.locate(groupStack: id), heat.stacks[place].groups[group].stackName == name {
            return (place, .group(group))
        }
        if let (place, group, member) = heat.locate(memberStack: id),
            heat.stacks[place].groups[group].members[member].stackName == name
        {
            return (place, .member(group, member))
        }
        return nil
    }

    private func stacksCall(_ request: PracticeRequest, at now: Timestamp) throws(HeatError) -> PracticeAnswer {
        guard request.method == "GET" else {
            throw HeatError(
                status: 400, type: "NotSupported",
                message: "The practice cloud reads no templates: stacks are made by POST /practice/stacks.")
        }
        let tags = request.parameter("tags").map { $0.split(separator: ",").map(String.init) } ?? []
        let name = request.parameter("name") ?? request.parameter("stack_name")
        let found = heat.stacks.filter { stack in
            tags.allSatisfy(stack.definition.tags.contains) && (name.map { $0 == stack.name } ?? true)
        }
        return .json(200, ["stacks": .array(found.map { summary(of: $0) })])
    }

    /// `GET /stacks/{name}` redirects to the address with the id; other methods without id are 404.
    private func redirect(
        _ request: PracticeRequest, name: String, rest: [String]
    ) throws(HeatError) -> PracticeAnswer {
        let stack = heat.stacks.first { $0.name == name || $0.id == name }
        let nested = heat.locate(groupStack: name).map { heat.stacks[$0.stack].groups[$0.group] }
        let target: (String, String)
        if let stack {
            target = (stack.name, stack.id)
        } else if let nested {
            target = (nested.stackName, nested.stackID)
        } else if let found = heat.locate(memberStack: name) {
            let member = heat.stacks[found.stack].groups[found.group].members[found.member]
            target = (member.stackName, name)
        } else {
            throw HeatError(status: 404, type: "EntityNotFound", message: "The Stack (\(name)) could not be found.")
        }
        guard request.method == "GET" || request.method == "DELETE" else { return .text(404, "404 Not Found") }
        var location = stackURL(name: target.0, id: target.1)
        for part in rest { location += "/\(part)" }
        if !request.query.isEmpty {
            location += "?" + request.query.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        }
        return .json(302, ["code": 302, "title": "Found"], headers: [("Location", location)])
    }

    private mutating func stackCall(
        _ request: PracticeRequest, _ place: Int, _ kind: HeatStackKind, _ rest: [String],
        _ token: KeystoneModel.Token, at now: Timestamp
    ) throws(HeatError) -> PracticeAnswer {
        let stackID = heat.stacks[place].id
        switch (request.method, rest.first, rest.count) {
        case ("GET", nil, _):
            return .json(200, ["stack": detail(place, kind, outputs: request.parameter("resolve_outputs") != "false")])
        case ("PATCH", nil, _), ("PUT", nil, _):
            guard case .main = kind else { throw notMain }
            let parameters = try heatBody(request)["parameters"]?.objectValue ?? [:]
            try heat.update(
                stack: stackID, parameters: parameters, user: token.userID, isDelegated: token.isDelegated, at: now)
            return .text(
                202, "202 Accepted\n\nThe request is accepted for processing.\n\n   ",
                headers: [("Content-Type", "text/plain; charset=UTF-8")])
        case ("DELETE", nil, _):
            guard case .main = kind else { throw notMain }
            try heat.delete(stack: stackID, at: now)
            return PracticeAnswer(status: 204)
        case ("POST", "actions", 1):
            guard case .main = kind else { throw notMain }
            guard try heatBody(request).objectValue?.keys.contains("check") ?? false else {
                throw HeatError(status: 400, type: "NotSupported", message: "The practice cloud knows only check.")
            }
            try heat.check(stack: stackID, nova: nova, at: now)
            return PracticeAnswer(status: 200, headers: [("Content-Type", "application/json")], body: [])
        case ("GET", "outputs", 1):
            let known = outputs(place)
            let list = known.keys.sorted().map { JSONValue.object(["output_key": .string($0), "description": ""]) }
            return .json(200, ["outputs": .array(list)])
        case ("GET", "outputs", 2):
            guard case .main = kind, let value = outputs(place)[rest[1]] else {
                throw HeatError(
                    status: 404, type: "NotFound", message: "Specified output key \(rest[1]) not found.")
            }
            return .json(
                200, ["output": ["output_key": .string(rest[1]), "output_value": value, "description": ""]])
        case ("GET", "environment", 1): return .json(200, environment(place, kind))
        case ("GET", "template", 1): return .json(200, template(place, kind))
        case ("GET", "events", 1):
            return .json(200, ["events": .array(events(place, kind, request))])
        case ("GET", "resources", 1):
            return .json(200, ["resources": .array(resources(place, kind, request))])
        case ("GET", "resources", 2):
            guard let found = resource(place, kind, named: rest[1]) else { throw missing(rest[1], place, kind) }
            return .json(200, ["resource": found])
        case ("GET", "resources", 3) where rest[2] == "metadata":
            return .json(200, ["metadata": try metadata(place, kind, rest[1])])
        case ("PATCH", "resources", 2):
            return try markCall(request, place, kind, rest[1], at: now)
        case ("POST", "resources", 3) where rest[2] == "signal":
            return try signalCall(request, place, kind, rest[1], at: now)
        default:
            return .text(404, "404 Not Found")
        }
    }

    private var notMain: HeatError {
        HeatError(status: 400, type: "NotSupported", message: "Updating a nested stack by itself is not supported.")
    }

    private func missing(_ resource: String, _ place: Int, _ kind: HeatStackKind) -> HeatError {
        .noSuchResource(resource, in: names(place, kind).name)
    }

    private func heatBody(_ request: PracticeRequest) throws(HeatError) -> JSONValue {
        do {
            return try request.json()
        } catch {
            throw HeatError(
                status: 400, type: "HTTPBadRequest",
                message: "The server could not comply with the request since it is either malformed or otherwise "
                    + "incorrect.")
        }
    }

    private mutating func markCall(
        _ request: PracticeRequest, _ place: Int, _ kind: HeatStackKind, _ member: String, at now: Timestamp
    ) throws(HeatError) -> PracticeAnswer {
        let body = try heatBody(request)
        guard let given = body["mark_unhealthy"] else {
            throw HeatError(status: 400, type: "HTTPBadRequest", message: "Missing mandatory (mark_unhealthy) key")
        }
        guard let unhealthy = given.boolValue else {
            throw HeatError(
                status: 400, type: "HTTPBadRequest",
                message: "Unrecognized value \"\(given.text)\" for \"mark_unhealthy\", acceptable values are: true, "
                    + "false")
        }
        guard case .group(let group) = kind else { throw missing(member, place, kind) }
        try heat.mark(
            groupStack: heat.stacks[place].groups[group].stackID, member: member, unhealthy: unhealthy,
            reason: body["resource_status_reason"]?.stringValue ?? "", at: now)
        return .json(200, .null)
    }

    private mutating func signalCall(
        _ request: PracticeRequest, _ place: Int, _ kind: HeatStackKind, _ resource: String, at now: Timestamp
    ) throws(HeatError) -> PracticeAnswer {
        let body = try heatBody(request)
        switch kind {
        case .main:
            let groups = heat.stacks[place].groups
            if groups.contains(where: { $0.definition.policies.contains { $0.resource == resource } }) {
                try heat.signal(policy: resource, stack: heat.stacks[place].id, body: body, at: now)
                return .json(200, .null)
            }
            guard groups.contains(where: { $0.definition.resource == resource }) else {
                throw missing(resource, place, kind)
            }
            throw HeatError(
                status: 400, type: "ResourceActionNotSupported",
                message: "Signal to resource \(resource) is not supported.")
        case .group:
            throw HeatError(
                status: 400, type: "InvalidBreakPointHook",
                message: "The hook is not defined on the member \"\(resource)\"")
        case .member(let group, let member):
            let id = heat.stacks[place].groups[group].members[member].stackID ?? ""
            if resource == "drain", heat.stacks[place].groups[group].definition.deleteDeployment {
                let given = body["deploy_status_code"]
                let status = given?.intValue.map { Int(clamping: $0) } ?? given?.stringValue.flatMap { Int($0) }
                try heat.endDeployment(memberStack: id, status: status ?? 0, at: now)
                return .json(200, .null)
            }
            try heat.clearHook(
                memberStack: id, resource: resource, hook: body["unset_hook"]?.stringValue ?? "", at: now)
            return .json(200, .null)
        }
    }

    /// Group metadata: in progress and cooldown.
    private func metadata(
        _ place: Int, _ kind: HeatStackKind, _ resource: String
    ) throws(HeatError) -> JSONValue {
        guard case .main = kind,
            let group = heat.stacks[place].groups.first(where: { $0.definition.resource == resource })
        else {
            if self.resource(place, kind, named: resource) != nil { return [:] }
            throw missing(resource, place, kind)
        }
        var value: JSONValue = ["scaling_in_progress": .bool(group.scalingInProgress)]
        if let end = group.cooldownEnd {
            value["cooldown_end"] = .object([end.withoutZone: .string(group.cooldownText)])
        }
        return value
    }

    /// Heat's error body.
    func heatError(_ error: HeatError) -> PracticeAnswer {
        let titles = [400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict"]
        let title = titles[error.status] ?? "Internal Server Error"
        return .json(
            error.status,
            [
                "code": .int(Int64(error.status)), "title": .string(title),
                "explanation": .string(
                    error.status == 404
                        ? "The resource could not be found."
                        : error.status == 409
                            ? "There was a conflict when trying to complete your request."
                            : "The server could not comply with the request."),
                "error": ["type": .string(error.type), "message": .string(error.message), "traceback": nil],
            ])
    }
}
