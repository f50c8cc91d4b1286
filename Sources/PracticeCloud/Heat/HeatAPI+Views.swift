import JSONReader
import Support

/// Stacks, resources, outputs and events as Heat's API shows them.
extension PracticeModel {
    /// Name and id of the stack that is meant.
    func names(_ place: Int, _ kind: HeatStackKind) -> (name: String, id: String) {
        let stack = heat.stacks[place]
        switch kind {
        case .main: return (stack.name, stack.id)
        case .group(let group): return (stack.groups[group].stackName, stack.groups[group].stackID)
        case .member(let group, let member):
            let found = stack.groups[group].members[member]
            return (found.stackName, found.stackID ?? "")
        }
    }

    /// Address of a stack.
    func stackURL(name: String, id: String) -> String {
        "\(endpoints.heat)/v1/\(keystone.projectID)/stacks/\(name)/\(id)"
    }

    private func links(_ pairs: [(String, String)]) -> JSONValue {
        .array(pairs.map { ["rel": .string($0.0), "href": .string($0.1)] })
    }

    /// An entry of `GET /stacks`.
    func summary(of stack: HeatStack) -> JSONValue {
        [
            "id": .string(stack.id), "stack_name": .string(stack.name), "stack_status": .string(stack.state.text),
            "stack_status_reason": .string(stack.state.reason), "description": "No description",
            "creation_time": .string(stack.created.wholeSeconds),
            "updated_time": stack.updated.map { .string($0.wholeSeconds) } ?? nil, "deletion_time": nil,
            "tags": .array(stack.definition.tags.map { .string($0) }), "stack_owner": nil, "parent": nil,
            "stack_user_project_id": .string(keystone.projectID),
            "links": links([("self", stackURL(name: stack.name, id: stack.id))]),
        ]
    }

    /// `GET /stacks/{stack}`.
    func detail(_ place: Int, _ kind: HeatStackKind, outputs wanted: Bool) -> JSONValue {
        let stack = heat.stacks[place]
        var value = summary(of: stack)
        let (name, id) = names(place, kind)
        value["id"] = .string(id)
        value["stack_name"] = .string(name)
        value["links"] = links([("self", stackURL(name: name, id: id))])
        value["timeout_mins"] = .int(Int64(stack.definition.timeoutMinutes.rounded(.up)))
        value["disable_rollback"] = true
        value["capabilities"] = []
        value["notification_topics"] = []
        value["template_description"] = "No description"
        value["parameters"] = ["OS::stack_id": .string(id), "OS::stack_name": .string(name)]
        switch kind {
        case .main:
            for (parameter, given) in stack.parameters {
                value.set("parameters", parameter, to: .string(given.stringValue ?? given.text))
            }
            if let group = stack.groups.first?.definition {
                value.set("parameters", "min_size", to: .string(String(group.minimum)))
                value.set("parameters", "max_size", to: .string(String(group.maximum)))
                value.set("parameters", "flavor", to: .string(group.flavor))
            }
            if wanted {
                value["outputs"] = .array(
                    outputs(place).sorted { $0.key < $1.key }.map {
                        ["output_key": .string($0.key), "output_value": $0.value, "description": ""]
                    })
            }
        case .group(let group):
            let current = stack.groups[group]
            value["stack_status"] = .string(current.stackState.text)
            value["stack_status_reason"] = .string(current.stackState.reason)
            value["parent"] = .string(stack.id)
            value["updated_time"] = current.stackUpdated.map { .string($0.wholeSeconds) } ?? nil
        case .member(let group, let member):
            let found = stack.groups[group].members[member]
            value["stack_status"] = .string(found.state.text)
            value["stack_status_reason"] = .string(found.state.reason)
            value["parent"] = .string(stack.groups[group].stackID)
            value["creation_time"] = .string(found.created.wholeSeconds)
            value["updated_time"] = found.updated.map { .string($0.wholeSeconds) } ?? nil
        }
        return value
    }

    /// The outputs that a template like `deploy/heat/updraft.yaml` has: of the first group by their plain names, of
    /// each also with the group's name before. They may be stale, as in life: marked and leaving members are in them.
    func outputs(_ place: Int) -> [String: JSONValue] {
        var found: [String: JSONValue] = [:]
        for (number, group) in heat.stacks[place].groups.enumerated() {
            let members = group.listed.filter { $0.phase != .gone }
            let counted = members.filter { !($0.state.action == "CREATE" && $0.state.isFailed) && !$0.isLeaving }
            var references: [String: JSONValue] = [:]
            var servers: [String: JSONValue] = [:]
            for member in members {
                let id = member.stackID ?? ""
                references[member.name] = .string(
                    "arn:openstack:heat::\(keystone.projectID):stacks/\(member.stackName)/\(id)")
                if let server = member.serverID { servers[member.name] = .string(server) }
            }
            let values: [String: JSONValue] = [
                "size": .int(Int64(counted.count)), "refs_map": .object(references),
                "servers": .object(servers),
            ]
            for (key, value) in values {
                found["\(group.definition.resource)_\(key)"] = value
                if number == 0 { found[key] = value }
            }
        }
        return found
    }

    // MARK: Resources

    /// `GET …/resources` with `nested_depth`, `type`, `physical_resource_id`, `name`.
    func resources(_ place: Int, _ kind: HeatStackKind, _ request: PracticeRequest) -> [JSONValue] {
        let depth = request.parameter("nested_depth").flatMap { Int($0) } ?? 0
        let stack = heat.stacks[place]
        var found: [JSONValue] = []
        switch kind {
        case .main:
            for (number, group) in stack.groups.enumerated() {
                found.append(groupResource(stack, group))
                for policy in group.definition.policies { found.append(policyResource(stack, group, policy)) }
                if depth >= 1 { found += memberResources(place, number, depth: depth - 1, nested: true) }
            }
        case .group(let group):
            found = memberResources(place, group, depth: depth, nested: false)
        case .member(let group, let member):
            found = insides(stack.groups[group], stack.groups[group].members[member], nested: false)
        }
        if let type = request.parameter("type") {
            // Not exact, as in life: OS::Nova::Server also finds OS::Nova::ServerGroup.
            found = found.filter { $0["resource_type"]?.stringValue?.hasPrefix(type) ?? false }
        }
        if let id = request.parameter("physical_resource_id") {
            found = found.filter { $0["physical_resource_id"]?.stringValue == id }
        }
        if let name = request.parameter("name") {
            found = found.filter { $0["resource_name"]?.stringValue == name }
        }
        return found
    }

    /// One resource of a stack, by name or physical id.
    func resource(_ place: Int, _ kind: HeatStackKind, named name: String) -> JSONValue? {
        resources(place, kind, PracticeRequest(method: "GET", path: "")).first { entry in
            entry["resource_name"]?.stringValue == name || entry["physical_resource_id"]?.stringValue == name
        }
    }

    private func entry(
        _ name: String, type: String, state: HeatState, physical: String?, created: Timestamp, updated: Timestamp?,
        stack: (name: String, id: String), nested: (name: String, id: String)?
    ) -> JSONValue {
        let home = stackURL(name: stack.name, id: stack.id)
        var rels = [("self", "\(home)/resources/\(name)"), ("stack", home)]
        if let nested { rels.append(("nested", stackURL(name: nested.name, id: nested.id))) }
        return [
            "resource_name": .string(name), "logical_resource_id": .string(name), "resource_type": .string(type),
            "resource_status": .string(state.text), "resource_status_reason": .string(state.reason),
            "physical_resource_id": physical.map { .string($0) } ?? "", "required_by": [],
            "creation_time": .string(created.wholeSeconds),
            "updated_time": .string((updated ?? created).wholeSeconds), "links": links(rels),
        ]
    }

    private func groupResource(_ stack: HeatStack, _ group: HeatGroup) -> JSONValue {
        var value = entry(
            group.definition.resource, type: "OS::Heat::AutoScalingGroup", state: group.state,
            physical: group.stackID, created: group.created, updated: group.stackUpdated,
            stack: (stack.name, stack.id), nested: (group.stackName, group.stackID))
        value["required_by"] = .array(group.definition.policies.map { .string($0.resource) })
        value["attributes"] = ["outputs": nil, "outputs_list": nil, "current_size": nil, "refs": nil, "refs_map": nil]
        return value
    }

    private func policyResource(_ stack: HeatStack, _ group: HeatGroup, _ policy: PolicyDefinition) -> JSONValue {
        entry(
            policy.resource, type: "OS::Heat::ScalingPolicy", state: HeatState("CREATE", "COMPLETE"),
            physical: policy.resource, created: group.created, updated: nil, stack: (stack.name, stack.id),
            nested: nil)
    }

    private func memberResources(_ place: Int, _ group: Int, depth: Int, nested: Bool) -> [JSONValue] {
        let current = heat.stacks[place].groups[group]
        var found: [JSONValue] = []
        for member in current.listed {
            var value = entry(
                member.name, type: "member.yaml", state: member.state, physical: member.stackID,
                created: member.created, updated: member.updated, stack: (current.stackName, current.stackID),
                nested: member.stackID.map { (member.stackName, $0) })
            if nested { value["parent_resource"] = .string(current.definition.resource) }
            found.append(value)
            if depth >= 1, member.phase != .gone { found += insides(current, member, nested: true) }
        }
        return found
    }

    /// What is in a member stack.
    private func insides(_ group: HeatGroup, _ member: HeatMember, nested: Bool) -> [JSONValue] {
        var found = [serverResource(group, member, nested: nested)]
        if group.definition.deleteDeployment {
            var value = entry(
                "drain", type: "OS::Heat::SoftwareDeployment", state: member.deployment ?? member.serverState,
                physical: nil, created: member.created, updated: member.updated,
                stack: (member.stackName, member.stackID ?? ""), nested: nil)
            if nested { value["parent_resource"] = .string(member.name) }
            found.append(value)
        }
        return found
    }

    /// `GET …/environment`: where the hooks stand.
    func environment(_ place: Int, _ kind: HeatStackKind) -> JSONValue {
        var resources: [String: JSONValue] = [:]
        if case .main = kind {
            for group in heat.stacks[place].groups.map(\.definition) where group.preDeleteHook {
                resources[group.resource] = [
                    "*": .object([group.hookedResource ?? group.serverResource: ["hooks": "pre-delete"]])
                ]
            }
        }
        return [
            "parameters": [:], "parameter_defaults": [:], "encrypted_param_names": [], "event_sinks": [],
            "resource_registry": ["resources": .object(resources)],
        ]
    }

    /// `GET …/template`, as far as one can be told from a description.
    func template(_ place: Int, _ kind: HeatStackKind) -> JSONValue {
        var resources: [String: JSONValue] = [:]
        switch kind {
        case .main:
            for group in heat.stacks[place].groups.map(\.definition) {
                resources[group.resource] = [
                    "type": "OS::Heat::AutoScalingGroup", "properties": ["resource": ["type": "member.yaml"]],
                ]
            }
        case .group(let group):
            for member in heat.stacks[place].groups[group].listed { resources[member.name] = ["type": "member.yaml"] }
        case .member(let group, _):
            let definition = heat.stacks[place].groups[group].definition
            resources[definition.serverResource] = [
                "type": "OS::Nova::Server", "properties": ["flavor": .string(definition.flavor)],
            ]
            if definition.deleteDeployment {
                resources["drain"] = [
                    "type": "OS::Heat::SoftwareDeployment",
                    "properties": ["actions": ["DELETE"], "signal_transport": "HEAT_SIGNAL"],
                ]
            }
        }
        return ["heat_template_version": "2018-08-31", "resources": .object(resources)]
    }

    private func serverResource(_ group: HeatGroup, _ member: HeatMember, nested: Bool) -> JSONValue {
        var value = entry(
            group.definition.serverResource, type: "OS::Nova::Server", state: member.serverState,
            physical: member.serverID, created: member.created, updated: nil,
            stack: (member.stackName, member.stackID ?? ""), nested: nil)
        if member.serverID == nil { value["physical_resource_id"] = nil as JSONValue }
        if nested { value["parent_resource"] = .string(member.name) }
        return value
    }

    // MARK: Events

    /// `GET …/events` with `nested_depth`, `sort_dir`, `limit`, `marker`.
    func events(_ place: Int, _ kind: HeatStackKind, _ request: PracticeRequest) -> [JSONValue] {
        let stack = heat.stacks[place]
        let depth = request.parameter("nested_depth").flatMap { Int($0) } ?? 0
        let (_, id) = names(place, kind)
        let groups = Set(stack.groups.map(\.stackID))
        var found = stack.events.filter { event in
            if event.stackID == id { return true }
            guard case .main = kind else { return false }
            return depth >= (groups.contains(event.stackID) ? 1 : 2)
        }
        if request.parameter("sort_dir") == "desc" { found.reverse() }
        if let marker = request.parameter("marker"), let seen = found.firstIndex(where: { $0.id == marker }) {
            found.removeFirst(seen + 1)
        }
        if let limit = request.parameter("limit").flatMap({ Int($0) }) { found = Array(found.prefix(max(0, limit))) }
        return found.map { event in
            let home = stackURL(name: event.stackName, id: event.stackID)
            return [
                "id": .string(event.id), "resource_name": .string(event.resource),
                "logical_resource_id": .string(event.resource),
                "physical_resource_id": event.physicalID.map { .string($0) } ?? nil,
                "resource_status": .string(event.status), "resource_status_reason": .string(event.reason),
                "event_time": .string(event.time.wholeSeconds),
                "links": links([
                    ("self", "\(home)/resources/\(event.resource)/events/\(event.id)"),
                    ("resource", "\(home)/resources/\(event.resource)"), ("stack", home),
                    ("root_stack", stackURL(name: stack.name, id: stack.id)),
                ]),
            ]
        }
    }
}
