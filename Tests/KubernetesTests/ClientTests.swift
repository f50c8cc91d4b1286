import FoundationEssentials
import HTTPServer
import JSONReader
import Kubernetes
import Messages
import Support
import TestServer
import Testing

@Suite("Calls and what is sent for them")
struct ClientTests {
    private let missing = ScriptedServer.status(404, "NotFound")

    /// Runs `body` and gives back what it threw.
    private func failure(_ body: () async throws(KubernetesError) -> Void) async -> KubernetesError? {
        do throws(KubernetesError) {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    @Test("an eviction names the version that the server's list of the core API names; asked once")
    func evictionVersions() async throws {
        for (version, expected) in [("v1beta1", "policy/v1beta1"), ("v1", "policy/v1")] {
            let server = try ScriptedServer { request, _ in
                request.path == "/api/v1"
                    ? ScriptedServer.json(
                        #"{"resources":[{"name":"pods"},{"name":"pods/eviction","group":"policy","version":"\#(version)"}]}"#
                    )
                    : ScriptedServer.json("{}", 201)
            }
            let client = server.client()
            try await client.evict(namespace: "default", "web-1", uid: "u-1", gracePeriodSeconds: 20)
            try await client.evict(namespace: "default", "web-2", dryRun: true)
            #expect(
                server.log == [
                    "GET /api/v1", "POST /api/v1/namespaces/default/pods/web-1/eviction",
                    "POST /api/v1/namespaces/default/pods/web-2/eviction",
                ])
            let first = try JSONValue.parse(server.requests[1].body)
            #expect(first["apiVersion"]?.stringValue == expected)
            #expect(first["metadata"] == ["name": "web-1", "namespace": "default"])
            #expect(first["deleteOptions"] == ["preconditions": ["uid": "u-1"], "gracePeriodSeconds": 20])
            #expect(try server.lastBody("POST")["deleteOptions"] == ["dryRun": ["All"]])
        }
    }

    @Test("a server that does not name its eviction gets a body without version, and 400 makes us ask again")
    func unnamedEviction() async throws {
        let server = try ScriptedServer { request, number in
            request.path == "/api/v1"
                ? ScriptedServer.json(
                    number == 0
                        ? "{}" : #"{"resources":[{"name":"pods/eviction","group":"policy","version":"v1"}]}"#)
                : number == 0 ? ScriptedServer.status(400, "BadRequest") : ScriptedServer.json("{}", 201)
        }
        let client = server.client()
        let error = await failure { () throws(KubernetesError) in
            try await client.evict(namespace: "default", "web-1")
        }
        #expect(error?.code == .invalid)
        #expect(try server.lastBody("POST")["apiVersion"] == nil)
        try await client.evict(namespace: "default", "web-1")
        #expect(try server.lastBody("POST")["apiVersion"]?.stringValue == "policy/v1")
    }

    @Test("a budget's refusal is no reason to send the eviction again")
    func refusedEviction() async throws {
        let refusal = try Fixture.response("eviction-429.json").body
        let server = try ScriptedServer { request, _ in
            request.path == "/api/v1" ? ScriptedServer.json("{}") : .response(.json(429, refusal))
        }
        let error = await failure { () throws(KubernetesError) in
            try await server.client().evict(namespace: "default", "web-1")
        }
        #expect(error?.code == .disruptionBudget(name: "web", isProcessing: false))
        #expect(server.log.count { $0.hasPrefix("POST") } == 1)
    }

    @Test("budgets: policy/v1 where there is one, else v1beta1; asked again when that is gone")
    func budgetVersions() async throws {
        let server = try ScriptedServer { request, number in
            switch request.path {
            case "/apis/policy":
                ScriptedServer.json(
                    number == 0
                        ? #"{"versions":[{"version":"v1beta1"}]}"#
                        : #"{"versions":[{"version":"v1"},{"version":"v1beta1"}]}"#)
            case "/apis/policy/v1beta1/poddisruptionbudgets" where number > 0:
                ScriptedServer.status(404, "NotFound")
            default:
                ScriptedServer.json(
                    #"{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"b"},"spec":{"selector":{}}}]}"#)
            }
        }
        let client = server.client()
        #expect(try await client.all(BudgetObject.self).map(\.budget.selector) == [nil])
        #expect(
            await failure { () throws(KubernetesError) in _ = try await client.all(BudgetObject.self) }?.code
                == .notFound)
        #expect(try await client.all(BudgetObject.self).map(\.budget.selector) == [LabelSelector()])
        #expect(server.log.last == "GET /apis/policy/v1/poddisruptionbudgets")
    }

    @Test("all of a kind: not without those that cannot be decoded")
    func allOrNone() async throws {
        let server = try ScriptedServer { _, _ in
            ScriptedServer.json(
                #"{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"n7"},"spec":{"unschedulable":7}}]}"#
            )
        }
        let client = server.client()
        let error = await failure { () throws(KubernetesError) in _ = try await client.all(NodeObject.self) }
        #expect(error?.code == .malformed)
        #expect(error?.description.contains("n7: true or false expected") == true, "\(String(describing: error))")
    }

    @Test("a node is deleted only if it is still the same one")
    func deleteNode() async throws {
        let server = try ScriptedServer { _, number in
            number == 0
                ? ScriptedServer.status(409, "Conflict", "the UID in the precondition") : ScriptedServer.json("{}")
        }
        let client = server.client()
        let error = await failure { () throws(KubernetesError) in try await client.deleteNode("worker 1", uid: "u") }
        #expect(error?.code == .conflict)
        try await client.deleteNode("worker 1", uid: "v", dryRun: true)
        #expect(server.requests.last?.target == "/api/v1/nodes/worker%201")
        #expect(
            try server.lastBody("DELETE")
                == ["apiVersion": "v1", "kind": "DeleteOptions", "preconditions": ["uid": "v"], "dryRun": ["All"]])
    }

    @Test("an edit begins again when somebody else was faster")
    func edit() async throws {
        let server = try ScriptedServer { request, number in
            if request.method == "GET" {
                return ScriptedServer.json(
                    #"{"metadata":{"resourceVersion":"\#(10 + number)","uid":"u"},"spec":{"taints":[{"key":"old"}]}}"#)
            }
            return number == 0 ? ScriptedServer.status(409, "Conflict") : ScriptedServer.json("{}")
        }
        let sent = try await server.client().edit(NodeObject.resource, "n") { node in
            let taints = node["spec"]?["taints"]?.arrayValue ?? []
            return ["spec": ["taints": .array(taints + [["key": "updraft.io/removing", "effect": "NoSchedule"]])]]
        }
        #expect(sent)
        #expect(server.log == ["GET", "PATCH", "GET", "PATCH"].map { "\($0) /api/v1/nodes/n" })
        let body = try server.lastBody("PATCH")
        #expect(body["metadata"] == ["resourceVersion": "11", "uid": "u"])
        #expect(body["spec"]?["taints"]?.arrayValue?.count == 2)
        #expect(server.requests.last?.headers["Content-Type"] == "application/merge-patch+json")
        #expect(try await server.client().edit(NodeObject.resource, "n") { _ in nil } == false)
    }

    @Test("a pod is annotated and its condition set, on the condition that it is that very pod")
    func pods() async throws {
        let pod = try Fixture.bytes("pod-running.json")
        let server = try ScriptedServer { _, _ in .response(.json(pod)) }
        let client = server.client()
        try await client.annotatePod(namespace: "default", "web", uid: "u", ["updraft.io/a": "1", "updraft.io/b": nil])
        #expect(
            try server.lastBody("PATCH")
                == ["metadata": ["uid": "u", "annotations": ["updraft.io/a": "1", "updraft.io/b": nil]]])
        try await client.setPodCondition(
            namespace: "default", "web", uid: "u", type: "updraft.io/serving", status: false, reason: "NodeRemoval",
            message: "goes", at: Timestamp(microseconds: 1_500_000))
        #expect(server.log.last == "PATCH /api/v1/namespaces/default/pods/web/status")
        #expect(server.requests.last?.headers["Content-Type"] == "application/strategic-merge-patch+json")
        let condition = try server.lastBody("PATCH")["status"]?["conditions"]?[0]
        #expect(condition?["status"] == "False")
        #expect(condition?["lastTransitionTime"] == "1970-01-01T00:00:01Z")
    }

    @Test("an event that repeats is counted up; when the first has gone it is written anew")
    func events() async throws {
        let server = try ScriptedServer { request, number in
            request.method == "PATCH" && number == 1
                ? ScriptedServer.status(404, "NotFound") : ScriptedServer.json("{}", 201)
        }
        let recorder = EventRecorder(server.client(), component: "updraft-actuator", host: "h")
        let text = EventText(isWarning: true, reason: "RemovalFailed", message: String(repeating: "é", count: 900))
        for second in 1...4 {
            try await recorder.record(text, on: .node("worker-1"), at: Timestamp(seconds: Int64(second)))
        }
        #expect(server.requests.map(\.method) == ["POST", "PATCH", "PATCH", "POST", "PATCH"])
        #expect(server.requests[0].path == "/api/v1/namespaces/default/events")
        let first = try JSONValue.parse(server.requests[0].body)
        #expect(first["involvedObject"]?["uid"] == "worker-1")
        #expect(first["type"] == "Warning")
        #expect((first["message"]?.stringValue?.utf8.count ?? 0) <= 1_024)
        #expect(try JSONValue.parse(server.requests[1].body)["count"] == 2)
        // Another message is another event.
        try await recorder.record(
            EventText(reason: "RemovalFailed", message: "x"), on: .node("worker-1"), at: Timestamp(seconds: 9))
        #expect(server.requests.last?.method == "POST")
    }

    @Test("leases and scales")
    func leasesAndScales() async throws {
        let lease = try Fixture.bytes("lease.json")
        let scale = try Fixture.bytes("scale-deployment.json")
        let server = try ScriptedServer { request, _ in
            .response(.json(request.path.hasSuffix("/scale") ? scale : lease))
        }
        let client = server.client()
        var held = try await client.lease(namespace: "kube-node-lease", "worker-0")
        held.holder = "me"
        _ = try await client.updateLease(held)
        #expect(server.log.last == "PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker-0")
        #expect(try server.lastBody("PUT")["metadata"]?["resourceVersion"] == "349")
        #expect(try server.lastBody("PUT")["spec"]?["renewTime"] == "2026-11-23T21:39:42.192127Z")
        _ = try await client.setScale(
            of: DeploymentObject.resource, namespace: "default", "web", replicas: 5, resourceVersion: "7")
        #expect(server.log.last == "PATCH /apis/apps/v1/namespaces/default/deployments/web/scale")
        #expect(try server.lastBody("PATCH") == ["spec": ["replicas": 5], "metadata": ["resourceVersion": "7"]])
    }

    @Test("a rotated token is read again when the old one is refused, and not before its time")
    func rotatedToken() async throws {
        let scratch = try TemporaryFolder()
        let file = try scratch.write("token", "old\n")
        let valid = Lock("Bearer old")
        let server = try ScriptedServer { request, _ in
            request.headers["Authorization"] == valid.withLock { $0 }
                ? ScriptedServer.json(#"{"gitVersion":"v1.30.1","major":"1","minor":"30+"}"#)
                : ScriptedServer.status(401, "Unauthorized")
        }
        let start = Timestamp.now()
        let client = server.client(.tokenFile(file), now: { start })
        #expect(try await client.serverVersion().minor == 30)
        try scratch.write("token", "new")
        valid.withLock { $0 = "Bearer new" }
        _ = try await client.serverVersion()
        #expect(
            server.requests.compactMap { $0.headers["Authorization"] } == ["Bearer old", "Bearer old", "Bearer new"])
        // A token that stays refused is tried once more only if the file holds another.
        valid.withLock { $0 = "Bearer third" }
        let error = await failure { () throws(KubernetesError) in _ = try await client.serverVersion() }
        #expect(error?.code == .unauthorized)
        #expect(server.requests.count == 4)
    }

    @Test("a credential plug-in runs when needed, is told its kind of call, and again when its token is refused")
    func plugin() async throws {
        let scratch = try TemporaryFolder()
        let program = try scratch.write(
            "plugin",
            """
            #!/bin/sh
            echo "$KUBERNETES_EXEC_INFO" > "$1/info"
            echo x >> "$1/runs"
            printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t%s%s"}}' \
            "$(wc -l < "$1/runs" | tr -d ' ')" "$SUFFIX"
            """, executable: true)
        let valid = Lock("Bearer t1-s")
        let server = try ScriptedServer { request, _ in
            request.headers["Authorization"] == valid.withLock { $0 }
                ? ScriptedServer.json(#"{"gitVersion":"v1","major":"1","minor":"30"}"#)
                : ScriptedServer.status(401, "Unauthorized")
        }
        let client = server.client(
            .plugin(CredentialPlugin(command: program, arguments: [scratch.path], environment: ["SUFFIX": "-s"])))
        async let first = client.serverVersion()
        async let second = client.serverVersion()
        _ = try await (first, second)
        let info = try String(contentsOfFile: "\(scratch.path)/info", encoding: .utf8)
        #expect(try JSONValue.parse(info)["spec"] == ["interactive": false])
        #expect(try String(contentsOfFile: "\(scratch.path)/runs", encoding: .utf8) == "x\n")
        valid.withLock { $0 = "Bearer t2-s" }
        _ = try await client.serverVersion()
        #expect(try String(contentsOfFile: "\(scratch.path)/runs", encoding: .utf8) == "x\nx\n")
    }

    @Test(
        "a plug-in that fails is named with what it said; its output is not shown",
        arguments: [
            ("echo secret; echo 'no session' >&2; exit 3", "exit code 3: no session"),
            ("echo secret", "its output is not JSON"),
            (
                #"echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{}}'"#,
                "neither a token"
            ),
            ("kill -9 $$", "exit code 137"),
            ("head -c 3000000 /dev/zero", "printed more than"),
        ])
    func failingPlugin(script: String, expected: String) async throws {
        let scratch = try TemporaryFolder()
        let program = try scratch.write("plugin", "#!/bin/sh\n\(script)\n", executable: true)
        let server = try ScriptedServer { _, _ in ScriptedServer.json("{}") }
        let client = server.client(.plugin(CredentialPlugin(command: program)))
        let error = await failure { () throws(KubernetesError) in _ = try await client.serverVersion() }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains(expected) == true, "\(error?.message ?? "no error")")
        #expect(error?.message.contains("secret") == false)
        #expect(server.requests.isEmpty)
    }

    @Test("a plug-in that fails is left alone for a while, and its last credential serves as long as it holds")
    func plugInBackOff() async throws {
        let scratch = try TemporaryFolder()
        let program = try scratch.write(
            "plugin",
            """
            #!/bin/sh
            echo x >> "$1/runs"
            test -e "$1/broken" && exit 1
            printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t",\
            "expirationTimestamp":"2030-01-01T00:10:00Z"}}'
            """, executable: true)
        func runs() throws -> Int { try String(contentsOfFile: "\(scratch.path)/runs", encoding: .utf8).count / 2 }
        let start = try #require(Timestamp("2030-01-01T00:00:00Z"))
        let time = Lock(start)
        let isValid = Lock(true)
        let server = try ScriptedServer { request, _ in
            isValid.withLock { $0 } && request.headers["Authorization"] == "Bearer t"
                ? ScriptedServer.json(#"{"gitVersion":"v1","major":"1","minor":"30"}"#)
                : ScriptedServer.status(401, "Unauthorized")
        }
        let client = server.client(
            .plugin(CredentialPlugin(command: program, arguments: [scratch.path])), now: { time.withLock { $0 } })
        _ = try await client.serverVersion()
        #expect(try runs() == 1)
        // Within its last half minute a new one is wanted: it fails once, and the old one goes on.
        try scratch.write("broken", "")
        time.withLock { $0 = start + .seconds(575) }
        for _ in 0..<5 { _ = try await client.serverVersion() }
        #expect(try runs() == 2)
        // The server refuses it: no use in it, and still no use in running the plug-in again at once.
        isValid.withLock { $0 = false }
        for _ in 0..<5 {
            let error = await failure { () throws(KubernetesError) in _ = try await client.serverVersion() }
            #expect(error?.message.contains("exit code 1") == true, "\(String(describing: error))")
        }
        #expect(try runs() == 2)
        // Later it is over; the plug-in is run again, once.
        isValid.withLock { $0 = true }
        time.withLock { $0 = start + .seconds(700) }
        for _ in 0..<5 {
            #expect(await failure { () throws(KubernetesError) in _ = try await client.serverVersion() } != nil)
        }
        #expect(try runs() == 3)
        time.withLock { $0 = start + .seconds(710) }
        _ = try? await client.serverVersion()
        #expect(try runs() == 4)
    }

    @Test("a plug-in that is not there")
    func missingPlugin() async throws {
        let server = try ScriptedServer { _, _ in ScriptedServer.json("{}") }
        let client = server.client(.plugin(CredentialPlugin(command: "/nowhere/plugin", installHint: "Install it.")))
        let error = await failure { () throws(KubernetesError) in _ = try await client.serverVersion() }
        #expect(error?.message.contains("cannot be started") == true)
        #expect(error?.message.contains("Install it.") == true)
    }

    @Test("an answer that is not what it should be")
    func malformed() async throws {
        let server = try ScriptedServer { _, _ in .response(.text("<html>")) }
        let error = await failure { () throws(KubernetesError) in
            _ = try await server.client().get(NodeObject.self, "n")
        }
        #expect(error?.code == .malformed)
        #expect(error?.description.contains("GET /api/v1/nodes/n") == true)
    }

    @Test("a call takes no longer than the client was told, unless it says so itself")
    func timeout() async throws {
        let server = try ScriptedServer { _, _ in ScriptedServer.watch([], ends: false) }
        let client = KubernetesClient(
            KubernetesConfiguration(server: server.url), requestTimeout: .milliseconds(200))
        let error = await failure { () throws(KubernetesError) in
            _ = try await client.request(KubernetesClient.Call(.get, "/version", retry: .none))
        }
        #expect(error?.code == .transport(.timedOut), "\(error?.description ?? "no error")")
        await client.close()
    }

    @Test("nobody there: retriable, with the address")
    func refused() async throws {
        let client = KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:1"))
        let error = await failure { () throws(KubernetesError) in
            _ = try await client.request(KubernetesClient.Call(.get, "/version", retry: .none))
        }
        #expect(error?.code == .transport(.refused))
        #expect(error?.isRetriable == true)
    }
}
