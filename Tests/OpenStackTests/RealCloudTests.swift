import Glibc
import HTTPClient
import JSONReader
import Testing

@testable import OpenStack

/// Against a real Keystone, Heat and Nova, when `UPDRAFT_TEST_OPENRC` names an openrc file of a project member. The
/// cloud needs a flavor `m1.tiny` and an image `tiny`. With `<file>.appcred` beside it, that login is tried too.
@Suite("A real cloud", .enabled(if: getenv("UPDRAFT_TEST_OPENRC") != nil, "SKIPPED: UPDRAFT_TEST_OPENRC is not set"))
struct RealCloudTests {
    /// The environment as the shell has it after reading the file.
    private func environment(_ suffix: String = "") throws -> [String: String] {
        let pipe = try #require(popen("bash -c '. \"$UPDRAFT_TEST_OPENRC\(suffix)\" && env -0'", "r"))
        defer { pclose(pipe) }
        var bytes = [UInt8](repeating: 0, count: 1 << 18)
        let count = fread(&bytes, 1, bytes.count, pipe)
        var variables: [String: String] = [:]
        for entry in bytes[..<count].split(separator: 0) {
            let text = String(decoding: entry, as: UTF8.self)
            guard let equals = text.firstIndex(of: "="), text.hasPrefix("OS_") else { continue }
            variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        return variables
    }

    private func settled(_ client: OpenStackClient, _ stack: StackID) async throws -> HeatStack {
        let end = ContinuousClock.now + .seconds(180)
        while true {
            let found = try await client.stack(stack)
            if found.status.state != .inProgress { return found }
            try #require(ContinuousClock.now < end, "the stack stays \(found.status)")
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private var template: JSONValue {
        [
            "heat_template_version": "2018-08-31", "parameters": ["desired": ["type": "number", "default": 3]],
            "resources": [
                "asg": [
                    "type": "OS::Heat::AutoScalingGroup",
                    "properties": [
                        "min_size": 1, "max_size": 4, "desired_capacity": ["get_param": "desired"],
                        "resource": ["type": "member.yaml"],
                    ],
                ]
            ],
        ]
    }

    private var member: JSONValue {
        [
            "heat_template_version": "2018-08-31",
            "resources": [
                "server": [
                    "type": "OS::Nova::Server",
                    "properties": [
                        "flavor": "m1.tiny", "image": "tiny", "networks": [["allocate_network": "none"]],
                    ],
                ]
            ],
        ]
    }

    @Test("A group is read, one chosen member removed, and the others keep their servers")
    func group() async throws {
        let client = OpenStackClient(try CloudConfiguration.load(environment: try environment()))
        let name = "updraft-client-\(UInt32.random(in: 0 ... .max))"
        _ = try await client.call(
            "orchestration", .post, "stacks",
            body: [
                "stack_name": .string(name), "template": template, "files": ["member.yaml": .string(member.text)],
                "timeout_mins": 10, "disable_rollback": true,
            ])
        let stack = try await client.resolve(name)
        do {
            try await story(client, stack)
        } catch {
            Issue.record(error)
        }
        _ = try await client.call("orchestration", .delete, "stacks/\(name)/\(stack.id)")
    }

    private func story(_ client: OpenStackClient, _ stack: StackID) async throws {
        #expect(try await settled(client, stack).status == HeatStatus("CREATE_COMPLETE"))
        let before = try await client.groupSnapshot(stack: stack.name, resource: "asg", desiredParameter: "desired")
        #expect(before.size == 3 && before.desired == 3 && !before.isChanging)
        #expect(Set(before.members.compactMap(\.serverID)).count == 3)
        let servers = Set(try await client.servers().map(\.id))
        #expect(before.members.allSatisfy { servers.contains($0.serverID ?? "") })

        let refused = await failure { () async throws(OpenStackError) in
            try await client.patch(stack, parameters: ["desired": 9])
        }
        #expect(refused?.type == "StackValidationFailed")

        let group = try #require(before.groupStack?.id)
        let chosen = try #require(before.members.last)
        try await client.mark(group, member: chosen.name, unhealthy: true, reason: "drained")
        let marked = try await client.groupSnapshot(stack: stack.name, resource: "asg", desiredParameter: "desired")
        #expect(marked.members.first { $0.isFailed }?.physicalID == chosen.physicalID)
        try await client.patch(stack, parameters: ["desired": 2])
        #expect(try await settled(client, stack).status == HeatStatus("UPDATE_COMPLETE"))
        let after = try await client.groupSnapshot(stack: stack.name, resource: "asg", desiredParameter: "desired")
        #expect(after.members.map(\.serverID) == before.members.dropLast().map(\.serverID))
        #expect(after.desired == 2)

        let gone = await failure { () async throws(OpenStackError) in
            try await client.server(chosen.serverID ?? "")
        }
        #expect(gone?.code == .notFound)
        let hook = await failure { () async throws(OpenStackError) in try await client.clearHook(stack, "asg") }
        #expect(hook?.type == "InvalidBreakPointHook")
        let events = try await client.events(stack)
        #expect(events.contains { $0.resource == "asg" && $0.status == HeatStatus("UPDATE_COMPLETE") })
    }

    @Test("Limits, flavors and server groups can be read")
    func nova() async throws {
        let client = OpenStackClient(try CloudConfiguration.load(environment: try environment()))
        #expect(try await client.limits().instances.used >= 0)
        let flavor = try #require(try await client.flavors().first { $0.name == "m1.tiny" })
        #expect(try await client.flavor(flavor.id ?? "") == flavor)
        _ = try await client.serverGroups()
    }

    @Test("A stack that is not there, a wrong password, an application credential")
    func logins() async throws {
        var variables = try environment()
        let client = OpenStackClient(try CloudConfiguration.load(environment: variables))
        let missing = await failure { () async throws(OpenStackError) in
            try await client.groupSnapshot(stack: "updraft-no-such-stack", resource: "asg", desiredParameter: nil)
        }
        #expect(missing?.code == .notFound && missing?.type == "EntityNotFound")
        variables["OS_PASSWORD"] = "wrong"
        let wrong = OpenStackClient(try CloudConfiguration.load(environment: variables))
        let refused = await failure { () async throws(OpenStackError) in try await wrong.stacks() }
        #expect(refused?.code == .unauthorized)

        variables = try environment(".appcred")
        guard variables["OS_APPLICATION_CREDENTIAL_ID"] != nil else { return }
        _ = try await OpenStackClient(try CloudConfiguration.load(environment: variables)).stacks()
        variables["OS_APPLICATION_CREDENTIAL_ID"] = "revoked"
        let revoked = OpenStackClient(try CloudConfiguration.load(environment: variables))
        let unknown = await failure { () async throws(OpenStackError) in try await revoked.stacks() }
        #expect(unknown?.code == .unauthorized)
    }
}
