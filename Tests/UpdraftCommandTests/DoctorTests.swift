import FoundationEssentials
import HTTPClient
import JSONReader
import Messages
import PracticeCloud
import Settings
import Support
import Testing

@testable import OpenStack
@testable import UpdraftCommand

/// The doctor against a practice cloud, in one process.
final class Practice: Sendable {
    let cloud: PracticeCloud
    let openstack: OpenStackClient
    let http = HTTPClient(userAgent: "updraft-test")
    let folder: String
    private let lines = Lock<[String]>([])

    struct Unexpected: Error, CustomStringConvertible {
        let description: String
    }

    init() throws {
        var options = PracticeCloudOptions()
        options.pace = 0.05
        options.boot = .seconds(1)
        options.setGroup(minimum: 1, desired: 2, maximum: 6)
        cloud = try PracticeCloud(options)
        folder = FileManager.default.temporaryDirectory.path + "/updraft-doctor-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try cloud.cloudsYAML.write(toFile: folder + "/clouds.yaml", atomically: true, encoding: .utf8)
        try cloud.kubeconfig.write(toFile: folder + "/kubeconfig", atomically: true, encoding: .utf8)
        openstack = OpenStackClient(
            try CloudConfiguration.load(cloud: "practice", file: folder + "/clouds.yaml", environment: [:]))
    }

    func close() async {
        await openstack.close()
        await http.close()
        await cloud.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Says what the doctor said.
    func doctor(stack: String = "k8s", repair: Bool = false, nodes: Bool = true) async -> (code: Int32, text: String) {
        lines.withLock { $0 = [] }
        var options = DoctorOptions()
        options.repairs = repair
        options.asks = false
        options.looksAtNodes = nodes
        options.fields = [
            "cluster=practice", "bus.transport_url=rabbit://guest:guest@127.0.0.1:1/", "openstack.cloud=practice",
            "openstack.clouds_file=\(folder)/clouds.yaml", "kubernetes.kubeconfig=\(folder)/kubeconfig",
            "groups=[{id: workers, stack: \(stack), resource: workers, min: 1, max: 6}]",
        ]
        let code = await DoctorCommand.run(
            options, environment: [:], { line in self.lines.withLock { $0.append(line) } }, ask: { _ in false })
        return (code, lines.withLock { $0.joined(separator: "\n") })
    }

    func group(_ stack: String = "k8s") async throws -> HeatGroupSnapshot {
        try await openstack.groupSnapshot(stack: stack, resource: "workers", desiredParameter: "desired")
    }

    func control(_ path: String, _ body: JSONValue) async throws {
        let response = try await http.send(
            HTTPRequest(.post, cloud.controlURL + "/practice/" + path, body: body.bytes))
        guard response.status < 300 else { throw Unexpected(description: "\(path): \(response.text)") }
    }

    func wait(_ what: String, until condition: () async throws -> Bool) async throws {
        let end = Timestamp.now() + .seconds(60)
        while try await !condition() {
            guard Timestamp.now() < end else { throw Unexpected(description: "\(what): not within 60 s") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// All members are there and their nodes ready, as the doctor sees it.
    func ready(_ stack: String = "k8s", _ count: Int) async throws {
        try await wait("\(count) nodes of \(stack) ready") {
            await doctor(stack: stack).text.split(separator: "\n").filter { $0.hasSuffix(" Ready") }.count == count
        }
    }
}

@Suite("updraft doctor heat", .serialized)
struct DoctorTests {
    @Test("a group that is well: shown member by member; the missing hook is named; exit code 0")
    func well() async throws {
        let practice = try Practice()
        try await practice.ready("k8s", 2)
        let (code, text) = await practice.doctor()
        #expect(code == 0, "\(text)")
        let group = try await practice.group()
        for member in group.members {
            #expect(text.contains(member.name) && text.contains(member.serverID ?? "?"), "\(text)")
        }
        #expect(text.contains("warning: neither a pre-delete hook nor a software deployment"), "\(text)")
        #expect(!text.contains("problem:"), "\(text)")
        await practice.close()
    }

    @Test("a stack that is not there, and a login that is refused: named, exit code 1")
    func unreadable() async throws {
        let practice = try Practice()
        let (code, text) = await practice.doctor(stack: "k9s", nodes: false)
        #expect(code == 1)
        #expect(text.contains("problem:") && text.contains("k9s"), "\(text)")
        try await practice.control("actions/revoke-credential", [:])
        let refused = await practice.doctor(nodes: false)
        #expect(refused.code == 1)
        await practice.close()
    }

    @Test("a hook on a resource that members do not have: named, with those that they have; it holds nothing")
    func hookOnNothing() async throws {
        let practice = try Practice()
        try await practice.control(
            "stacks",
            [
                "name": "hooked",
                "groups": [
                    [
                        "resource": "workers", "min": 1, "max": 6, "desired": 2, "pre_delete_hook": true,
                        "hooked_resource": "server", "server_resource": "node",
                    ]
                ],
            ])
        try await practice.ready("hooked", 2)
        let (code, text) = await practice.doctor(stack: "hooked")
        #expect(code == 1)
        #expect(
            text.contains(
                "problem: the pre-delete hook is on 'server', and members have no such resource; they have 'node'"),
            "\(text)")
        #expect(!text.contains("neither a pre-delete hook"), "\(text)")
        await practice.close()
    }

    @Test("somebody's scale-in waits at its hook for nothing: let go; then the size that is meant is sent")
    func hook() async throws {
        let practice = try Practice()
        try await practice.control(
            "stacks",
            [
                "name": "hooked",
                "groups": [
                    [
                        "resource": "workers", "desired_parameter": "desired", "min": 1, "desired": 3, "max": 6,
                        "pre_delete_hook": true,
                        "policies": [["resource": "down", "adjustment": -1, "adjustment_type": "change_in_capacity"]],
                    ]
                ],
            ])
        try await practice.ready("hooked", 3)
        try await practice.control("actions/signal", ["stack": "hooked", "policy": "down"])
        try await practice.wait("a member waits at its hook") {
            await practice.doctor(stack: "hooked").text.contains("waits at the pre-delete hook")
        }
        let (code, text) = await practice.doctor(stack: "hooked")
        #expect(code == 1, "\(text)")
        #expect(text.contains("problem: member") && text.contains("clear the hook"), "\(text)")
        // Its node has no pods that a removal would move: the hook holds it for nothing.
        let (_, repaired) = await practice.doctor(stack: "hooked", repair: true)
        #expect(repaired.contains("done: clear the pre-delete hook"), "\(repaired)")
        try await practice.wait("the member goes") {
            let group = try await practice.group("hooked")
            return group.members.count == 2 && !group.isChanging
        }
        #expect(await practice.doctor(stack: "hooked", repair: true).text.contains("done: send the size 2"))
        try await practice.wait("settled") { try await !practice.group("hooked").isChanging }
        let (end, last) = await practice.doctor(stack: "hooked")
        #expect(end == 0, "\(last)")
        await practice.close()
    }

    @Test("a growth that failed: the stack is made whole by the size that is there")
    func failed() async throws {
        let practice = try Practice()
        try await practice.ready("k8s", 2)
        try await practice.control("actions/fail-members", ["count": 1])
        let group = try await practice.group()
        try await practice.openstack.patch(group.stack.id, parameters: ["desired": 3])
        try await practice.wait("failed") { try await practice.group().stack.status.state == .failed }
        let (code, text) = await practice.doctor()
        #expect(code == 1)
        #expect(text.contains("problem: the stack is UPDATE_FAILED"), "\(text)")
        let (_, repaired) = await practice.doctor(repair: true)
        #expect(repaired.contains("done: send the size 2"), "\(repaired)")
        try await practice.wait("whole again") {
            let group = try await practice.group()
            return group.stack.status.text == "UPDATE_COMPLETE" && group.members.count == 2
        }
        #expect(await practice.doctor().code == 0)
        await practice.close()
    }

    @Test("a mark that no removal claims is taken back; one of a removal that runs is left")
    func marked() async throws {
        let practice = try Practice()
        try await practice.ready("k8s", 2)
        let group = try await practice.group()
        let stack = try #require(group.groupStack?.id)
        try await practice.openstack.mark(
            stack, member: group.members[1].name, unhealthy: true, reason: "updraft removal r9")
        let blind = await practice.doctor(nodes: false)
        #expect(blind.text.contains("look again with a kubeconfig"), "\(blind.text)")
        let (code, text) = await practice.doctor()
        #expect(code == 1)
        #expect(text.contains("marked for removal r9, which no node knows of"), "\(text)")
        let (_, repaired) = await practice.doctor(repair: true)
        #expect(repaired.contains("done: take back the mark"), "\(repaired)")
        #expect(try await practice.group().members.allSatisfy { !$0.isFailed })
        #expect(await practice.doctor().code == 0)
        await practice.close()
    }
}

@Suite("What the doctor finds")
struct DiagnosisTests {
    func patient(
        _ members: [HeatMember], desired: Int? = 2, timeout: Int? = 60, scaling: Bool = false,
        status: String = "UPDATE_COMPLETE", kind: HeatGroupSnapshot.Kind = .autoScalingGroup,
        hook: HeatPatient.HookSetting = .present, updatedAt: Timestamp? = nil, flags: [String] = []
    ) throws -> HeatPatient {
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=c", "bus.transport_url=rabbit://g:g@127.0.0.1:1/",
                "groups=[{id: workers, stack: k8s, resource: workers, min: 0, max: 6, provision_timeout: 10m}]",
            ] + flags)
        func stack(_ name: String) -> HeatStack {
            HeatStack(
                id: StackID(name: name, id: "id-\(name)"), status: HeatStatus(status), statusReason: "because",
                parameters: [:], timeoutMinutes: timeout, tags: [], createdAt: nil, updatedAt: updatedAt, parent: nil)
        }
        let snapshot = HeatGroupSnapshot(
            stack: stack("k8s"), kind: kind, resource: "workers", resourceStatus: HeatStatus(status),
            resourceStatusReason: "because", desired: desired, groupStack: stack("k8s-workers"),
            metadata: HeatGroupMetadata(scalingInProgress: scaling, cooldownEnd: nil), members: members)
        return HeatPatient(
            group: settings.groups[0], snapshot: snapshot, hookSetting: hook,
            longestDrain: HeatPatient.longestDrain(settings), now: Timestamp(seconds: 1_800_000_000))
    }

    func member(_ name: String, _ status: String = "CREATE_COMPLETE", reason: String = "", age: Double = 3_600)
        -> HeatMember
    {
        HeatMember(
            name: name, physicalID: "id-\(name)", type: "member.yaml", status: HeatStatus(status), statusReason: reason,
            createdAt: Timestamp(seconds: 1_800_000_000) - .seconds(age), serverID: "server-\(name)",
            stack: StackID(name: name, id: "id-\(name)"))
    }

    func node(_ name: String, pods: Int = 0) -> HeatPatient.Node {
        HeatPatient.Node(
            name: "node-\(name)", isReady: true, isCordoned: false, isControlPlane: false, serverID: "server-\(name)",
            movedPods: pods)
    }

    func kinds(_ patient: HeatPatient) -> Set<HeatFinding.Kind> { Set(HeatDiagnosis(patient).findings.map(\.kind)) }

    @Test("the stack: limits, parameters, hooks")
    func stack() throws {
        let both = [member("a"), member("b")]
        #expect(try kinds(patient(both)) == [.minimumIgnored])
        #expect(try kinds(patient(both, timeout: 10)).contains(.timeoutTooShort))
        #expect(try kinds(patient(both, timeout: nil)).contains(.timeoutTooShort) == false)
        // A policy may allow a longer cooldown than others have, and load balancers may take longer than any.
        for more in ["notifier.policies=[{namespaces: [db], max_cooldown: 50m}]", "actuator.load_balancer_wait=50m"] {
            #expect(try kinds(patient(both, flags: [more])).contains(.timeoutTooShort), "\(more)")
        }
        #expect(try kinds(patient(both, desired: nil)).contains(.parameterMissing))
        #expect(try kinds(patient(both, kind: .resourceGroup)).contains(.unusableKind))
        #expect(try kinds(patient(both, hook: .absent)).contains(.noHook))
        #expect(try kinds(patient(both, desired: 9)).isSuperset(of: [.limits, .sizeMismatch]))
        #expect(try kinds(patient(both, scaling: true)).contains(.stackStuck))
        let now = Timestamp(seconds: 1_800_000_000)
        #expect(
            try kinds(patient(both, status: "UPDATE_IN_PROGRESS", updatedAt: now - .seconds(600))).contains(.stackBusy))
        #expect(
            try kinds(patient(both, status: "UPDATE_IN_PROGRESS", updatedAt: now - .seconds(4_000))).contains(
                .stackStuck))
    }

    @Test(
        "no repair that could cost a node: a failed member that is one, nothing that counts, a group that cannot be marked"
    )
    func careful() throws {
        var patient = try patient([member("a"), member("b", "CHECK_FAILED")], desired: 1, status: "UPDATE_FAILED")
        patient.nodes = [node("a"), node("b", pods: 4)]
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        #expect(HeatDiagnosis(patient).findings.contains { $0.kind == .memberFailed && $0.weight == .problem })
        // Not known to be no node: without a look at the nodes, or with one that names no server.
        let failed = try self.patient([member("a"), member("b", "CHECK_FAILED")], desired: 1, status: "UPDATE_FAILED")
        patient = failed
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        patient.nodes = [node("a")]
        #expect(HeatDiagnosis(patient).findings.contains { $0.repair == .resend(size: 1) })
        patient.nodes = [
            node("a"),
            HeatPatient.Node(name: "x", isReady: true, isCordoned: false, isControlPlane: false, movedPods: 3),
        ]
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        // Another group of the stack: an update of the stack is one of it as well.
        patient.nodes = [node("a"), node("c", pods: 2)]
        let sibling = try self.patient([member("c", "CHECK_FAILED")])
        patient.others = [HeatPatient.Other(group: sibling.group, snapshot: sibling.snapshot)]
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        let scaling = try self.patient([member("c")], scaling: true)
        patient.others = [HeatPatient.Other(group: scaling.group, snapshot: scaling.snapshot)]
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        let quiet = try self.patient([member("c")])
        patient.others = [HeatPatient.Other(group: quiet.group, snapshot: quiet.snapshot)]
        #expect(HeatDiagnosis(patient).findings.contains { $0.repair == .resend(size: 1) })
        patient = try self.patient([member("a", "CREATE_FAILED")], status: "UPDATE_FAILED")
        patient.nodes = []
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        // A member that waits at its hook is let go only when its node is empty, or its removal says drained.
        patient = try self.patient([member("a"), member("b", "DELETE_IN_PROGRESS")], status: "UPDATE_IN_PROGRESS")
        patient.hooks = [HeatPatient.Hook(member: "b", resource: "server")]
        patient.nodes = [node("a"), node("b", pods: 1)]
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        patient.nodes = nil
        #expect(HeatDiagnosis(patient).findings.allSatisfy { $0.repair == nil })
        patient.nodes = [node("a")]
        #expect(
            HeatDiagnosis(patient).findings.contains { $0.repair == .clearHook(member: "b", resource: "server") })
        // A Node that does not say which machine it is may be on it, with its pods.
        var nameless = node("x", pods: 3)
        nameless.serverID = nil
        patient.nodes = [node("a"), nameless]
        let held = HeatDiagnosis(patient).findings
        #expect(held.allSatisfy { $0.repair == nil })
        #expect(
            held.contains { $0.kind == .hookPending && $0.what.contains("node \(nameless.name) has no provider id") },
            "\(held.map(\.what))")
    }

    @Test("servers and nodes")
    func servers() throws {
        var patient = try patient([member("a"), member("b"), member("c", age: 60)], desired: 3)
        patient.servers = ["server-a": .gone, "server-b": .status("ERROR", fault: "No valid host was found")]
        patient.nodes = [node("a")]
        let findings = HeatDiagnosis(patient).findings
        #expect(findings.contains { $0.kind == .serverGone && $0.what.contains("server-a") })
        #expect(findings.contains { $0.kind == .serverFailed && $0.what.contains("No valid host") })
        let missing = findings.filter { $0.kind == .nodeMissing }
        #expect(missing.map(\.weight) == [.problem, .note], "late and young")
        // Worst first.
        #expect(
            findings.map { $0.weight == .problem ? 0 : $0.weight == .warning ? 1 : 2 }.sorted()
                == findings.map { $0.weight == .problem ? 0 : $0.weight == .warning ? 1 : 2 })
    }

    @Test("docs/doctor.md names every finding")
    func documented() throws {
        let page = try String(
            contentsOfFile: #filePath.replacing("Tests/UpdraftCommandTests/DoctorTests.swift", with: "docs/doctor.md"),
            encoding: .utf8)
        for kind in HeatFinding.Kind.allCases { #expect(page.contains("`\(kind.rawValue)`"), "\(kind)") }
    }

    @Test("wrong words are refused")
    func options() {
        #expect(DoctorOptions.parse([]).0 == nil)
        #expect(DoctorOptions.parse(["nova"]).0 == nil)
        #expect(DoctorOptions.parse(["heat", "--config"]).0 == nil)
        #expect(DoctorOptions.parse(["heat", "--mend"]).0 == nil)
        #expect(DoctorOptions.parse(["heat", "-c", "other.yaml"]).0?.file == "other.yaml")
        #expect(
            DoctorOptions.parse(["heat", "--set", "a=b", "--set", "c=d", "--repair", "--yes"]).0?.fields.count == 2)
    }
}
