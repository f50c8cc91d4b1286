import Support
import TestServer
import Testing

@testable import OpenStack

/// Answers recorded on a real Heat for one stack, served again under its own paths.
struct RecordedStack: Sendable {
    let prefix: String
    let group: String
    /// What to answer instead of a recorded file: file → other file or body.
    var instead: [String: Reply] = [:]

    func reply(_ request: TestRequest) -> Reply {
        func file(_ kind: String) -> Reply { instead[kind] ?? .fixture("\(prefix).\(kind).json") }
        let parts = below(request).split(separator: "/").map(String.init)
        guard parts.count >= 2, parts[0] == "stacks" else { return .text(500, "unexpected \(request.target)") }
        let isMain = parts[1] == prefix
        if parts.count == 2 {
            return isMain
                ? .redirect("http://127.0.0.1:18004/v1/p/stacks/\(prefix)/main-id") : .text(500, request.target)
        }
        switch (isMain, parts.dropFirst(3).joined(separator: "/")) {
        case (true, ""): return file("stack")
        case (true, "resources/\(group)"): return file("group")
        case (true, "resources/\(group)/metadata"): return file("metadata")
        case (true, "resources"): return file("servers")
        case (false, ""): return file("nested")
        case (false, "resources"): return file("members")
        default: return .text(500, "unexpected \(request.target)")
        }
    }
}

@Suite("A group as one snapshot")
struct GroupTests {
    private func snapshot(
        _ recorded: RecordedStack, desired: String? = "desired"
    ) async throws -> (HeatGroupSnapshot, FakeCloud) {
        let cloud = FakeCloud { recorded.reply($0) }
        let client = try cloud.client()
        let snapshot = try await client.groupSnapshot(
            stack: recorded.prefix, resource: recorded.group, desiredParameter: desired)
        return (snapshot, cloud)
    }

    @Test("Template members of an AutoScalingGroup, each with its server")
    func template() async throws {
        let (group, cloud) = try await snapshot(RecordedStack(prefix: "http-template", group: "asg"))
        #expect(group.kind == .autoScalingGroup)
        #expect(group.stack.id.name == "http-template")
        #expect(group.desired == 2 && group.size == 2)
        #expect(group.groupStack?.status == HeatStatus("CREATE_COMPLETE"))
        #expect(group.metadata.cooldownEnd != nil && !group.metadata.scalingInProgress)
        #expect(!group.isChanging)
        #expect(group.members.map(\.type) == ["member.yaml", "member.yaml"])
        let servers = group.members.compactMap(\.serverID)
        #expect(Set(servers).count == 2)
        #expect(group.members.allSatisfy { $0.stack?.id == $0.physicalID && $0.serverID != $0.physicalID })
        #expect(group.members == group.members.sorted { ($0.createdAt!, $0.name) < ($1.createdAt!, $1.name) })
        // One look-up of the name, then one call for each part.
        #expect(cloud.calls.count == 7)
    }

    @Test("Plain servers as members")
    func plain() async throws {
        let (group, _) = try await snapshot(RecordedStack(prefix: "http-plain", group: "asg"))
        #expect(group.kind == .autoScalingGroup)
        #expect(group.members.count == 2)
        #expect(group.members.allSatisfy { $0.serverID == $0.physicalID && $0.serverID != nil && $0.stack == nil })
    }

    @Test("A ResourceGroup, which has no cooldown")
    func resourceGroup() async throws {
        let (group, cloud) = try await snapshot(RecordedStack(prefix: "http-rg", group: "rg"), desired: "count")
        #expect(group.kind == .resourceGroup)
        #expect(group.members.map(\.name) == ["0", "1"])
        #expect(group.desired == 2)
        #expect(group.members.allSatisfy { $0.serverID != nil })
        #expect(group.metadata == HeatGroupMetadata(scalingInProgress: false, cooldownEnd: nil))
        #expect(!cloud.calls.contains { $0.contains("metadata") })
    }

    @Test("A marked member is failed and does not count")
    func marked() async throws {
        var recorded = RecordedStack(prefix: "http-template", group: "asg")
        recorded.instead["members"] = .fixture("marked.members.json")
        let (group, _) = try await snapshot(recorded)
        #expect(group.members.count == 2 && group.size == 1)
        let marked = try #require(group.members.first { $0.isFailed })
        #expect(marked.status == HeatStatus("CHECK_FAILED"))
        #expect(marked.statusReason == "drained")
        #expect(marked.serverID != nil)
    }

    @Test("A member that waits at a hook is leaving, with its server still there")
    func leaving() async throws {
        var recorded = RecordedStack(prefix: "http-template", group: "asg")
        recorded.instead = [
            "members": .fixture("paused.members.json"), "servers": .fixture("paused.servers.json"),
            "metadata": .fixture("paused.metadata.json"), "stack": .fixture("updating.stack.json"),
        ]
        let (group, _) = try await snapshot(recorded)
        let leaving = try #require(group.members.first { $0.status == HeatStatus("DELETE_IN_PROGRESS") })
        #expect(leaving.serverID != nil)
        // Scaling by PATCH shows in the stack's status, and only that by a policy in the metadata.
        #expect(group.stack.status == HeatStatus("UPDATE_IN_PROGRESS") && !group.metadata.scalingInProgress)
        #expect(group.isChanging)
    }

    @Test("Deleted members are left out; a member refused by quota has no server")
    func deletedAndRefused() async throws {
        var recorded = RecordedStack(prefix: "http-plain", group: "asg")
        recorded.instead["members"] = .json(
            """
            {"resources": [
             {"resource_name": "gone", "resource_type": "OS::Nova::Server", "resource_status": "DELETE_COMPLETE",
              "physical_resource_id": "s1"},
             {"resource_name": "refused", "resource_type": "OS::Nova::Server", "resource_status": "CREATE_FAILED",
              "resource_status_reason": "Forbidden: Quota exceeded for instances", "physical_resource_id": ""},
             {"resource_name": "good", "resource_type": "OS::Nova::Server", "resource_status": "CREATE_COMPLETE",
              "physical_resource_id": "s2", "creation_time": "2026-11-25T02:48:12Z"}]}
            """)
        let (group, _) = try await snapshot(recorded)
        #expect(group.members.map(\.name) == ["good", "refused"])
        #expect(group.members.map(\.serverID) == ["s2", nil])
        #expect(group.size == 1)
    }

    @Test("Equal member names of two groups in one stack do not mix up their servers")
    func twoGroups() {
        func resource(_ name: String, _ type: String, id: String, stack: String?, nested: String?) -> HeatResource {
            HeatResource(
                name: name, type: type, physicalID: id, status: HeatStatus("CREATE_COMPLETE"), statusReason: "",
                createdAt: nil, parentResource: "0", stack: stack.map { StackID(name: "n", id: $0) },
                nested: nested.map { StackID(name: "n", id: $0) })
        }
        let members = OpenStackClient.members(
            [resource("0", "member.yaml", id: "stack-b", stack: "group-b", nested: "stack-b")],
            servers: [
                resource("server", "OS::Nova::Server", id: "server-a", stack: "stack-a", nested: nil),
                resource("server", "OS::Nova::Server", id: "server-b", stack: "stack-b", nested: nil),
                resource("bastion", "OS::Nova::Server", id: "server-c", stack: "stack-b", nested: nil),
            ])
        #expect(members.map(\.serverID) == ["server-b"])
    }

    @Test("Of several servers the one named server is the machine; one nested deeper is where there is no other")
    func severalServers() {
        func resource(_ name: String, id: String?, in stack: String, status: String = "CREATE_COMPLETE") -> HeatResource
        {
            HeatResource(
                name: name, type: "OS::Nova::Server", physicalID: id, status: HeatStatus(status), statusReason: "",
                createdAt: nil, parentResource: "0", stack: StackID(name: stack, id: "id-\(stack)"), nested: nil)
        }
        func member(_ servers: [HeatResource]) -> HeatMember? {
            let member = HeatResource(
                name: "0", type: "member.yaml", physicalID: "id-k8s-0-abc", status: HeatStatus("CREATE_COMPLETE"),
                statusReason: "", createdAt: nil, parentResource: nil, stack: nil,
                nested: StackID(name: "k8s-0-abc", id: "id-k8s-0-abc"))
            return OpenStackClient.members([member], servers: servers).first
        }
        let home = "k8s-0-abc"
        let unclear = member([resource("a", id: "s1", in: home), resource("b", id: "s2", in: home)])
        #expect(unclear?.serverID == nil && unclear?.candidates == ["s1", "s2"])
        // One of them is made, and it is not said which is the machine.
        let half = member([resource("a", id: "s1", in: home), resource("b", id: nil, in: home)])
        #expect(half?.serverID == nil && half?.candidates == ["s1"])
        let gone = resource("b", id: "s2", in: home, status: "DELETE_COMPLETE")
        #expect(member([resource("a", id: "s1", in: home), gone])?.serverID == "s1")
        let deep = resource("x", id: "s3", in: home + "-box-def")
        #expect(member([deep])?.serverID == "s3")
        // Its own is not made yet.
        let early = member([resource("server", id: nil, in: home), deep])
        #expect(early?.serverID == nil && early?.candidates == [])
        let many = member([deep, resource("x", id: "s4", in: home + "-box-ghi-jkl-mno")])
        #expect(many?.serverID == nil && many?.candidates == ["s3", "s4"])
        #expect(member([resource("x", id: "s5", in: "k8s-1-xyz-box-def")])?.serverID == nil, "another member's")
    }

    @Test("A group that is not one is refused with what it is")
    func notAGroup() async throws {
        var recorded = RecordedStack(prefix: "http-plain", group: "asg")
        recorded.instead["group"] = .json(
            fixtureText("http-plain.group.json").replacing("OS::Heat::AutoScalingGroup", with: "OS::Nova::Server"))
        let cloud = FakeCloud { [recorded] in recorded.reply($0) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in
            try await client.groupSnapshot(stack: "http-plain", resource: "asg", desiredParameter: nil)
        }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("OS::Nova::Server") == true)
    }

    @Test("A group still without its stack has no members")
    func empty() async throws {
        var recorded = RecordedStack(prefix: "http-plain", group: "asg")
        recorded.instead["group"] = .json(
            """
            {"resource": {"resource_name": "asg", "resource_type": "OS::Heat::AutoScalingGroup",
             "resource_status": "CREATE_IN_PROGRESS", "physical_resource_id": ""}}
            """)
        let (group, _) = try await snapshot(recorded, desired: nil)
        #expect(group.members.isEmpty && group.groupStack == nil && group.isChanging && group.desired == nil)
    }

    @Test("A stack made anew under its name is found again")
    func remade() async throws {
        let generation = Lock(1)
        let recorded = RecordedStack(prefix: "http-plain", group: "asg")
        let cloud = FakeCloud { request in
            let current = generation.withLock { $0 }
            if below(request) == "stacks/http-plain" {
                return .redirect("http://h/v1/p/stacks/http-plain/id-\(current)")
            }
            if below(request).hasPrefix("stacks/http-plain/"), !below(request).contains("id-\(current)") {
                return .fixture("stack-not-found.json", 404)
            }
            return recorded.reply(request)
        }
        let client = try cloud.client()
        _ = try await client.groupSnapshot(stack: "http-plain", resource: "asg", desiredParameter: nil)
        generation.withLock { $0 = 2 }
        _ = try await client.groupSnapshot(stack: "http-plain", resource: "asg", desiredParameter: nil)
        #expect(cloud.calls.contains { $0.contains("http-plain/id-2") })
        generation.withLock { $0 = 3 }
        let gone = await failure { () async throws(OpenStackError) in
            try await client.groupSnapshot(stack: "http-plain/id-2", resource: "asg", desiredParameter: nil)
        }
        #expect(gone?.code == .notFound)
    }
}
