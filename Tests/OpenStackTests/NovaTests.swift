import JSONReader
import Support
import TestServer
import Testing

@testable import OpenStack

@Suite("Nova")
struct NovaTests {
    @Test("Limits as recorded; -1 is unlimited")
    func limits() async throws {
        let cloud = FakeCloud { _ in .fixture("nova.limits.json") }
        let limits = try await cloud.client().limits()
        #expect(limits.instances.limit == 500)
        #expect(limits.cores.limit == 4_000)
        #expect(limits.memoryMiB.limit == 8_000_000)
        #expect(limits.serverGroupMembers == 100)
        #expect(cloud.calls == ["GET /nova/v2.1/limits"])
        #expect(NovaQuota(limit: -1, used: 7).limit == nil)
        #expect(NovaQuota(limit: 7, used: 9).limit == 7)
    }

    @Test("Flavors and servers as recorded")
    func recorded() async throws {
        let cloud = FakeCloud { request in
            request.path.contains("flavors") ? .fixture("nova.flavors.json") : .fixture("nova.servers.json")
        }
        let client = try cloud.client()
        let flavor = try #require(try await client.flavors().first { $0.name == "m1.large" })
        #expect(flavor.vcpus == 4 && flavor.memoryMiB == 8_192 && flavor.diskGiB == 80 && flavor.ephemeralGiB == 0)
        let server = try #require(try await client.servers(status: "ACTIVE").first)
        #expect(server.status == "ACTIVE" && server.task == nil && server.fault == nil)
        #expect(server.flavor?.name != nil && server.flavor?.vcpus != nil && server.flavor?.id == nil)
        #expect(server.availabilityZone == "nova")
        #expect(cloud.requests.last?.headers["openstack-api-version"] == "compute 2.61")
        #expect(cloud.calls.last == "GET /nova/v2.1/servers/detail?status=ACTIVE")
    }

    @Test("Pages are followed to the end, and a service that repeats itself does not go on for ever")
    func pages() async throws {
        @Sendable func page(_ ids: [String], next: Bool) -> Reply {
            let servers = ids.map { #"{"id": "\#($0)", "status": "ACTIVE"}"# }.joined(separator: ",")
            return .json(
                #"{"servers": [\#(servers)]\#(next ? #", "servers_links": [{"rel": "next", "href": "x"}]"# : "")}"#)
        }
        let cloud = FakeCloud { request in
            switch request.query {
            case "": page(["1", "2"], next: true)
            case "marker=2": page(["3"], next: false)
            default: .text(500, request.query)
            }
        }
        #expect(try await cloud.client().servers().map(\.id) == ["1", "2", "3"])
        let stuck = FakeCloud { _ in page(["1", "2"], next: true) }
        #expect(try await stuck.client().servers().map(\.id) == ["1", "2"])
    }

    @Test("An old cloud without the microversion is asked without it")
    func oldCloud() async throws {
        let cloud = FakeCloud { request in
            if request.headers["openstack-api-version"] != nil {
                return .json(#"{"computeFault": {"code": 406, "message": "Version 2.61 is not supported"}}"#, 406)
            }
            return .json(#"{"server": {"id": "s", "status": "BUILD", "flavor": {"id": "f1", "links": []}}}"#)
        }
        #expect(try await cloud.client().server("s").flavor?.id == "f1")
    }

    @Test("Server groups in both forms of their policy")
    func serverGroups() async throws {
        let cloud = FakeCloud { _ in
            .json(
                """
                {"server_groups": [{"id": "1", "name": "a", "policies": ["anti-affinity"], "members": ["x", "y"]},
                 {"id": "2", "name": "b", "policy": "soft-affinity", "members": []}]}
                """)
        }
        let groups = try await cloud.client().serverGroups()
        #expect(groups.map(\.policy) == ["anti-affinity", "soft-affinity"])
        #expect(groups.first?.members.count == 2)
    }

    @Test(
        "Nova's errors: not found, forbidden, quota",
        arguments: [
            (
                404, #"{"itemNotFound": {"code": 404, "message": "Instance nope could not be found."}}"#,
                OpenStackError.Code.notFound, "itemNotFound"
            ),
            (403, #"{"forbidden": {"code": 403, "message": "Policy doesn't allow it"}}"#, .forbidden, "forbidden"),
            (
                403,
                #"{"forbidden":{"code":403,"message":"Quota exceeded for instances: Requested 1, but already used 7 of 7 instances"}}"#,
                .quota, "forbidden"
            ),
        ])
    func errors(_ status: Int, _ body: String, _ code: OpenStackError.Code, _ type: String) async throws {
        let cloud = FakeCloud { _ in .json(body, status) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.server("nope") }
        #expect(error?.code == code)
        #expect(error?.type == type)
    }

    @Test(
        "Malformed answers name the path",
        arguments: [
            (#"{"limits": {}}"#, "limits.absolute is missing"),
            (
                #"{"limits": {"absolute": {"maxTotalInstances": "many"}}}"#,
                "limits.absolute.maxTotalInstances is not a whole number"
            ),
        ])
    func malformed(_ body: String, _ expected: String) async throws {
        let cloud = FakeCloud { _ in .json(body) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.limits() }
        #expect(error?.description.contains(expected) == true)
    }
}
