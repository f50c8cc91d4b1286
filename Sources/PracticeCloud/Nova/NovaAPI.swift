import JSONReader
import Support

/// Nova as Updraft uses it: limits, flavors, servers (docs/openstack/nova.md §6, §7).
extension PracticeModel {
    /// Answers a request to Nova.
    mutating func nova(_ request: PracticeRequest, at now: Timestamp) -> PracticeAnswer {
        let segments = request.segments
        guard segments.first == "v2.1" || segments.first == "v2" else {
            return .json(200, ["versions": [["id": "v2.1", "status": "CURRENT", "version": "2.93"]]])
        }
        if case .failure(let refused) = authenticate(request, at: now) { return refused.answer }
        let rest = Array(segments.dropFirst())
        let name = rest.count > 1 ? rest[1] : ""
        switch (request.method, rest.first ?? "", rest.count) {
        case ("GET", "", 0):
            return .json(
                200, ["version": ["id": "v2.1", "status": "CURRENT", "version": "2.93", "min_version": "2.1"]])
        case ("GET", "limits", 1):
            return .json(200, ["limits": ["rate": [], "absolute": limits]])
        case ("GET", "os-quota-sets", 3) where rest[2] == "detail":
            return .json(200, ["quota_set": quotaDetail])
        case ("GET", "os-quota-sets", 2):
            return .json(
                200,
                [
                    "quota_set": [
                        "id": .string(keystone.projectID), "instances": .int(Int64(nova.quota.instances)),
                        "cores": .int(Int64(nova.quota.cores)), "ram": .int(Int64(nova.quota.ram)),
                        "server_groups": 10, "server_group_members": 10,
                    ]
                ])
        case ("GET", "os-server-groups", 1):
            return .json(200, ["server_groups": []])
        case ("GET", "flavors", 1...2) where rest.count == 1 || name == "detail":
            return .json(200, ["flavors": .array(nova.flavors.map { describe($0, request) })])
        case ("GET", "flavors", 2):
            guard let flavor = nova.flavors.first(where: { $0.id == name }) else {
                return novaError(404, "itemNotFound", "Flavor \(name) could not be found.")
            }
            return .json(200, ["flavor": describe(flavor, request)])
        case ("GET", "flavors", 3) where rest[2] == "os-extra_specs":
            guard let flavor = nova.flavors.first(where: { $0.id == name }) else {
                return novaError(404, "itemNotFound", "Flavor \(name) could not be found.")
            }
            return .json(200, ["extra_specs": .strings(flavor.extraSpecs)])
        case ("GET", "servers", 1...2) where rest.count == 1 || name == "detail":
            return .json(200, ["servers": .array(serverPage(request).map { describe($0, request) })])
        case ("GET", "servers", 2):
            guard let server = nova.servers[name] else { return serverNotFound(name) }
            return .json(200, ["server": describe(server, request)])
        case ("DELETE", "servers", 2):
            guard nova.delete(name) else { return serverNotFound(name) }
            return PracticeAnswer(status: 204)
        default:
            return novaError(404, "itemNotFound", "The resource could not be found.")
        }
    }

    /// Pages by `marker` and `limit` (Nova's default and bound is 1000).
    private func serverPage(_ request: PracticeRequest) -> [NovaModel.Server] {
        var servers = nova.servers.values.sorted { ($1.created, $1.id) < ($0.created, $0.id) }
        if let status = request.parameter("status") { servers = servers.filter { $0.status == status } }
        if let name = request.parameter("name") { servers = servers.filter { $0.name.contains(name) } }
        if let marker = request.parameter("marker"), let place = servers.firstIndex(where: { $0.id == marker }) {
            servers.removeFirst(place + 1)
        }
        let limit = request.parameter("limit").flatMap { Int($0) } ?? 1_000
        return Array(servers.prefix(max(0, min(limit, 1_000))))
    }

    private var limits: JSONValue {
        let used = nova.usage
        return [
            "maxTotalInstances": .int(Int64(nova.quota.instances)), "totalInstancesUsed": .int(Int64(used.instances)),
            "maxTotalCores": .int(Int64(nova.quota.cores)), "totalCoresUsed": .int(Int64(used.cores)),
            "maxTotalRAMSize": .int(Int64(nova.quota.ram)), "totalRAMUsed": .int(Int64(used.ram)),
            "maxServerGroups": 10, "totalServerGroupsUsed": 0, "maxServerGroupMembers": 10,
            "maxServerMeta": 128, "maxImageMeta": 128, "maxPersonality": 5, "maxPersonalitySize": 10_240,
            "maxTotalKeypairs": 100, "maxSecurityGroups": -1, "maxSecurityGroupRules": -1, "maxTotalFloatingIps": -1,
            "totalFloatingIpsUsed": 0, "totalSecurityGroupsUsed": 0,
        ]
    }

    private var quotaDetail: JSONValue {
        let used = nova.usage
        func entry(_ limit: Int, _ used: Int) -> JSONValue {
            ["limit": .int(Int64(limit)), "in_use": .int(Int64(used)), "reserved": 0]
        }
        return [
            "id": .string(keystone.projectID), "instances": entry(nova.quota.instances, used.instances),
            "cores": entry(nova.quota.cores, used.cores), "ram": entry(nova.quota.ram, used.ram),
        ]
    }

    private func describe(_ flavor: Flavor, _ request: PracticeRequest) -> JSONValue {
        var value: JSONValue = [
            "id": .string(flavor.id), "name": .string(flavor.name), "vcpus": .int(Int64(flavor.vcpus)),
            "ram": .int(Int64(flavor.ram)), "disk": .int(Int64(flavor.disk)), "OS-FLV-EXT-DATA:ephemeral": 0,
            "swap": "", "os-flavor-access:is_public": true, "rxtx_factor": 1.0,
            "OS-FLV-DISABLED:disabled": false, "links": [],
        ]
        if microversion(request) >= 61 { value["extra_specs"] = .strings(flavor.extraSpecs) }
        return value
    }

    /// The minor of `OpenStack-API-Version: compute 2.N`; 1 without.
    private func microversion(_ request: PracticeRequest) -> Int {
        let text =
            request.headers["openstack-api-version"]?.split(separator: " ").last.map(String.init)
            ?? request.headers["x-openstack-nova-api-version"]
        guard let text else { return 1 }
        if text == "latest" { return 93 }
        return text.split(separator: ".").last.flatMap { Int($0) } ?? 1
    }

    private func describe(_ server: NovaModel.Server, _ request: PracticeRequest) -> JSONValue {
        var value: JSONValue = [
            "id": .string(server.id), "name": .string(server.name), "status": .string(server.status),
            "created": .string(server.created.wholeSeconds), "updated": .string(server.updated.wholeSeconds),
            "tenant_id": .string(keystone.projectID), "user_id": .string(keystone.users.first?.id ?? ""),
            "metadata": .strings(server.metadata), "addresses": [:], "hostId": "practice", "links": [],
            "OS-EXT-STS:vm_state": .string(server.status == "BUILD" ? "building" : server.status.lowercased()),
            "OS-EXT-STS:task_state": server.status == "BUILD" ? "spawning" : nil,
            "OS-EXT-STS:power_state": server.status == "ACTIVE" ? 1 : 0,
            "OS-EXT-AZ:availability_zone": "nova",
            "OS-SRV-USG:launched_at": server.launched.map { .string($0.withoutZone) } ?? nil,
        ]
        if let flavor = nova.flavor(server.flavor) {
            value["flavor"] =
                microversion(request) >= 47
                ? [
                    "vcpus": .int(Int64(flavor.vcpus)), "ram": .int(Int64(flavor.ram)),
                    "disk": .int(Int64(flavor.disk)), "ephemeral": 0, "swap": 0,
                    "original_name": .string(flavor.name), "extra_specs": .strings(flavor.extraSpecs),
                ] : ["id": .string(flavor.id), "links": []]
        }
        if let fault = server.fault {
            value["fault"] = ["code": 500, "message": .string(fault), "created": .string(server.updated.wholeSeconds)]
        }
        return value
    }

    private func serverNotFound(_ id: String) -> PracticeAnswer {
        novaError(404, "itemNotFound", "Instance \(id) could not be found.")
    }

    private func novaError(_ status: Int, _ kind: String, _ message: String) -> PracticeAnswer {
        .json(status, [kind: ["code": .int(Int64(status)), "message": .string(message)]])
    }
}
