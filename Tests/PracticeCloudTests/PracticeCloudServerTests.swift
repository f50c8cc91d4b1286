import HTTPClient
import JSONReader
import Kubernetes
import Messages
import OpenStack
import Support
import Testing

@testable import PracticeCloud

/// The practice cloud over its sockets, spoken to by the very clients that the services use.
@Suite(.serialized) struct PracticeCloudServerTests {
    private func start(_ change: (inout PracticeCloudOptions) -> Void = { _ in }) throws -> PracticeCloud {
        var options = PracticeCloudOptions()
        options.pace = 0.02
        options.boot = .seconds(5)
        options.setGroup(minimum: 1, desired: 2, maximum: 6)
        change(&options)
        return try PracticeCloud(options)
    }

    private func kubernetes(_ cloud: PracticeCloud) throws -> KubernetesClient {
        let path = "\(try Files.directory(nil))/kubeconfig"
        try Files.write(Array(cloud.kubeconfig.utf8), to: path)
        return KubernetesClient(try KubernetesConfiguration.kubeconfig(path: path))
    }

    private func openStack(_ cloud: PracticeCloud, _ name: String = "practice") throws -> OpenStackClient {
        let path = "\(try Files.directory(nil))/clouds.yaml"
        try Files.write(Array(cloud.cloudsYAML.utf8), to: path)
        return OpenStackClient(try CloudConfiguration.load(cloud: name, file: path, environment: [:]))
    }

    @discardableResult
    private func control(
        _ cloud: PracticeCloud, _ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil
    ) async throws -> JSONValue {
        let client = HTTPClient()
        let response = try await client.send(
            HTTPRequest(method, "\(cloud.controlURL)/practice/\(path)", body: body?.bytes))
        await client.close()
        #expect((200...201).contains(response.status), "\(path): \(String(decoding: response.body, as: UTF8.self))")
        return try JSONValue.parse(response.body)
    }

    /// Waits until `condition` holds, at most 20 seconds.
    private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = Timestamp.now() + .seconds(120)
        while try await !condition() {
            guard Timestamp.now() < deadline else {
                Issue.record("never: \(what)")
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// practice.json and the configuration name files there, for programs that run elsewhere.
    @Test func aRelativeStateFolderIsNamedByItsWholePath() throws {
        let made = try Files.directory(nil)
        let relative = String(repeating: "../", count: 40) + made.dropFirst()
        #expect(try Files.directory(relative + "/state") == made + "/state")
    }

    @Test func fromPendingPodsToABiggerGroupAndBack() async throws {
        let cloud = try start()
        let client = try kubernetes(cloud)
        let openStack = try openStack(cloud)
        #expect(try await client.serverVersion().minor == 30)
        #expect(try await client.all(NodeObject.self).count == 2)

        try await control(cloud, .post, "workloads", ["name": "web", "replicas": 11, "cpu": "1", "grace": 3])
        try await eventually("three pods pending") {
            let pods = try await client.all(PodObject.self, Selection(labels: "app=web"))
            return pods.filter { $0.pod.scheduling == .unschedulable }.count == 3
        }
        let stack = try await openStack.resolve("k8s")
        try await openStack.patch(stack, parameters: ["desired": 3])
        try await eventually("all pods ready on three nodes") {
            let pods = try await client.all(PodObject.self, Selection(labels: "app=web"))
            return pods.filter(\.pod.ready).count == 11
        }
        var snapshot = try await openStack.groupSnapshot(stack: "k8s", resource: "workers", desiredParameter: "desired")
        #expect(snapshot.size == 3)
        #expect(snapshot.desired == 3)
        let nodes = try await client.all(NodeObject.self)
        #expect(Set(nodes.compactMap(\.node.serverID)) == Set(snapshot.members.compactMap(\.serverID)))

        // Remove the one that is neither the oldest nor the newest, drained before.
        try await eventually("the stack is at rest") {
            snapshot = try await openStack.groupSnapshot(
                stack: "k8s", resource: "workers", desiredParameter: "desired")
            return !snapshot.isChanging
        }
        try await control(cloud, .patch, "workloads/default/web", ["replicas": 6])
        let victim = snapshot.members[1]
        let node = try #require(nodes.first { $0.node.serverID == victim.serverID }?.node)
        _ = try await client.patchNode(node.name, .merge, Array(#"{"spec":{"unschedulable":true}}"#.utf8))
        try await eventually("drained") {
            let pods = try await client.all(PodObject.self, Selection(fields: "spec.nodeName=\(node.name)"))
            for pod in pods where pod.pod.deletedAt == nil {
                try? await client.evict(namespace: "default", pod.pod.name, uid: pod.pod.uid)
            }
            return pods.isEmpty
        }
        let groupStack = try #require(snapshot.groupStack)
        try await openStack.mark(groupStack.id, member: victim.name, unhealthy: true, reason: "drained")
        try await openStack.patch(stack, parameters: ["desired": 2])
        try await eventually("exactly the chosen member is gone") {
            let after = try await openStack.groupSnapshot(
                stack: "k8s", resource: "workers", desiredParameter: "desired")
            return !after.isChanging
                && after.members.map(\.physicalID)
                    == snapshot.members.map(\.physicalID).filter { $0 != victim.physicalID }
        }
        try await client.deleteNode(node.name, uid: node.uid)
        let verdict = try await control(cloud, .get, "verdict")
        let findings = verdict["findings"]?.arrayValue ?? []
        // Nobody told the pods here; everything else is in order.
        #expect(findings.map { $0["holds"]?.boolValue ?? false } == [false, true, true, true])
        await client.close()
        await openStack.close()
        await cloud.stop()
    }

    @Test func reflectorsFollowThroughCutAndExpiredWatches() async throws {
        let cloud = try start()
        let client = try kubernetes(cloud)
        let seen = Lock<Set<String>>([])
        let relisted = Lock(0)
        let reflector = Reflector<PodObject>(client, backoff: Backoff(first: .milliseconds(20), cap: .milliseconds(50)))
        let following = Task {
            await reflector.run { event in
                switch event {
                case .listing: relisted.withLock { $0 += 1 }
                case .page(let pods): seen.withLock { set in for pod in pods { set.insert(pod.pod.name) } }
                case .upserted(let pod): seen.withLock { _ = $0.insert(pod.pod.name) }
                case .deleted(let pod): seen.withLock { _ = $0.remove(pod.pod.name) }
                default: break
                }
            }
        }
        for (step, action) in ["", "actions/cut-watches", "actions/expire-watches"].enumerated() {
            if !action.isEmpty { try await control(cloud, .post, action, [:]) }
            try await control(cloud, .post, "workloads", ["name": .string("w\(step)"), "replicas": 3])
            try await eventually("the reflector knows \((step + 1) * 3) pods") {
                seen.withLock { $0.count } == (step + 1) * 3
            }
        }
        #expect(relisted.withLock { $0 } >= 2)
        following.cancel()
        await following.value
        await client.close()
        await cloud.stop()
    }

    @Test(arguments: ["practice", "practice-password", "practice-trust"])
    func everyWayOfLoggingInWorksAndExpiredTokensAreRenewed(name: String) async throws {
        let cloud = try start()
        let client = try openStack(cloud, name)
        #expect(try await client.limits().instances.used == 2)
        try await control(cloud, .post, "actions/expire-tokens", [:])
        #expect(try await client.servers().count == 2)
        let stack = try await client.stack(try await client.resolve("k8s"))
        #expect(stack.status.text == "CREATE_COMPLETE")
        await client.close()
        await cloud.stop()
    }

    @Test func faultsStrikeAsOftenAsTheyWereAskedTo() async throws {
        let cloud = try start()
        let client = try openStack(cloud)
        let stack = try await client.resolve("k8s")
        try await control(
            cloud, .post, "faults", ["service": "heat", "method": "PATCH", "status": 409, "count": 1])
        let error = await #expect(throws: OpenStackError.self) {
            try await client.patch(stack, parameters: ["desired": 3])
        }
        #expect(error?.code == .conflict)
        try await client.patch(stack, parameters: ["desired": 3])
        let journal = try await control(cloud, .get, "journal?kind=fault")
        #expect(
            journal["entries"]?.arrayValue?.compactMap { $0["kind"]?.stringValue } == ["fault.set", "fault.struck"])
        // A revoked credential cannot log in again.
        try await control(cloud, .post, "actions/revoke-credential", [:])
        let revoked = await #expect(throws: OpenStackError.self) { _ = try await client.limits() }
        #expect(revoked?.code == .unauthorized)
        await client.close()
        await cloud.stop()
    }

    @Test func aSlowAnswerIsLateButItsEffectIsNot() async throws {
        let cloud = try start()
        try await control(cloud, .post, "faults", ["service": "kubernetes", "path": "/version", "delay": 0.5])
        let client = HTTPClient()
        let start = Timestamp.now()
        let response = try await client.send(
            HTTPRequest(
                .get, "\(cloud.kubernetesURL)/version", headers: ["Authorization": "Bearer \(cloud.kubernetesToken)"]))
        #expect(response.status == 200)
        #expect(Timestamp.now() - start >= .seconds(0.5))
        await client.close()
        await cloud.stop()
    }

    @Test func podsAnswerTheirHooksAtOnceLaterOrNever() async throws {
        let cloud = try start()
        let posted = Lock<[JSONValue]>([])
        let notifier = try HTTPAnswers { answer in posted.withLock { $0.append(answer) } }
        let client = HTTPClient()
        func notice(_ app: String, _ uid: String) async throws -> (Int, JSONValue) {
            let body: JSONValue = [
                "specversion": "1.0", "type": "io.updraft.pod.shutdown",
                "data": [
                    "namespace": "default", "pod": .string("\(app)-1"), "podUID": .string(uid), "removal": "r1",
                    "token": "secret", "answerURL": .string(notifier.url),
                ],
            ]
            let response = try await client.send(
                HTTPRequest(.post, "\(cloud.hooksURL)/hooks/default/\(app)", body: body.bytes))
            return (response.status, try JSONValue.parse(response.body))
        }
        for (app, hook) in [
            ("now", ["answer": "done"] as JSONValue), ("later", ["answer": "done", "delay": 2.2]),
            ("more", ["answer": "extend", "seconds": 0.5]), ("no", ["answer": "refuse"]), ("mute", ["answer": "never"]),
        ] {
            var body = hook
            body["app"] = .string(app)
            try await control(cloud, .post, "hooks", body)
        }
        #expect(try await notice("now", "u1").1["answer"]?.stringValue == "done")
        #expect(try await notice("no", "u2").1["answer"]?.stringValue == "refuse")
        let more = try await notice("more", "u3")
        #expect(more.1["answer"]?.stringValue == "extend")
        #expect(more.1["seconds"]?.doubleValue == 0.5)
        #expect(try await notice("later", "u4").0 == 202)
        #expect(try await notice("mute", "u5").0 == 202)
        try await eventually("both answers were posted") { posted.withLock { $0.count } == 2 }
        let answers = posted.withLock { $0 }
        #expect(answers.map { $0["podUID"]?.stringValue } == ["u3", "u4"])
        #expect(answers.allSatisfy { $0["answer"]?.stringValue == "done" && $0["token"]?.stringValue == "secret" })
        let notices = try await control(cloud, .get, "notices")["notices"]?.arrayValue ?? []
        #expect(notices.map { $0["uid"]?.stringValue } == ["u1", "u2", "u3", "u4", "u5"])
        await client.close()
        notifier.stop()
        await cloud.stop()
    }

    @Test func bookmarksComeBeforeAWatchEnds() async throws {
        let cloud = try start()
        let client = HTTPClient()
        let lines = try await client.lines(
            HTTPRequest(
                .get,
                "\(cloud.kubernetesURL)/api/v1/nodes?watch=1&allowWatchBookmarks=true&timeoutSeconds=3"
                    + "&resourceVersion=0",
                headers: ["Authorization": "Bearer \(cloud.kubernetesToken)"]))
        var types: [String] = []
        for try await line in lines { types.append(try JSONValue.parse(line)["type"]?.stringValue ?? "") }
        #expect(types.prefix(2) == ["ADDED", "ADDED"])
        #expect(types.last == "BOOKMARK")
        await client.close()
        await cloud.stop()
    }

    @Test func flagsAreCheckedByName() throws {
        let options = try PracticeCloudCommand.parse([
            "--group", "asg", "--min", "2", "--max", "9", "--pace", "0.1", "--pre-delete-hook", "--stack", "prod",
        ])
        #expect(options.group.desired == 2)
        #expect(options.group.preDeleteHook)
        #expect(options.settings.stacks[0].name == "prod")
        for wrong in [
            ["--nonsense"], ["--min"], ["--min", "x"], ["--pace", "0"], ["--min", "5", "--max", "2"],
            ["--flavor", "unknown"], ["--config", "/nonexistent"],
        ] {
            #expect(throws: PracticeCloudError.self) { try PracticeCloudCommand.parse(wrong) }
        }
    }
}
