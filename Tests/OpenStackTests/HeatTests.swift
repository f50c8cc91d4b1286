import Glibc
import HTTPClient
import JSONReader
import Support
import TestServer
import Testing

@testable import OpenStack

@Suite("Heat")
struct HeatTests {
    let stack = StackID(name: "k8s", id: "9c5b")

    @Test("A name is redirected to the full identity, once; host and port of the redirect do not count")
    func resolve() async throws {
        let cloud = FakeCloud { request in
            switch below(request) {
            case "stacks/http-template":
                .redirect("http://elsewhere.invalid:8004/v1/zzz/stacks/http-template/14f9c73f?resolve_outputs=false")
            case "stacks/http-template/14f9c73f": .fixture("http-template.stack.json")
            default: .text(500, "unexpected \(request.path)")
            }
        }
        let client = try cloud.client()
        let found = try await client.resolve("http-template")
        #expect(found == StackID(name: "http-template", id: "14f9c73f"))
        _ = try await client.resolve("http-template")
        #expect(cloud.calls == ["GET /heat/v1/p1/stacks/http-template?resolve_outputs=false"])
        let stack = try await client.stack(found)
        #expect(stack.status == HeatStatus("CREATE_COMPLETE"))
        #expect(stack.parameters["desired"] == "2")
        #expect(stack.timeoutMinutes == 10)
        #expect(try await client.resolve("a/b") == StackID(name: "a", id: "b"))
    }

    @Test("A redirect that names no stack is an error", arguments: ["http://h/v1/p/elsewhere", "/stacks/", ""])
    func badRedirect(_ location: String) async throws {
        let cloud = FakeCloud { _ in .redirect(location) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.resolve("x") }
        #expect(error?.code == .malformed)
    }

    @Test("A name cannot change the path", arguments: ["?x=1", "a#b", "..", ".", "a b", "%2e%2e", "é"])
    func encoded(_ name: String) async throws {
        let cloud = FakeCloud { _ in .json("null") }
        let client = try cloud.client()
        try await client.signal(stack, name)
        let target = try #require(cloud.calls.first)
        #expect(target.hasPrefix("POST /heat/v1/p1/stacks/k8s/9c5b/resources/"))
        #expect(target.hasSuffix("/signal"))
        #expect(target.split(separator: "/").count == 10)
        #expect(!target.contains("?") && !target.contains(".."))
    }

    @Test(
        "A name with a slash is refused: servers decode it and would see another path",
        arguments: [
            "../../v3/users", "a/../b", "/",
        ])
    func slash(_ name: String) async throws {
        let cloud = FakeCloud { _ in .json("null") }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.signal(stack, name) }
        #expect(error?.code == .configuration)
        #expect(cloud.calls.isEmpty)
    }

    @Test("Each change is sent as Heat wants it")
    func changes() async throws {
        let cloud = FakeCloud { request in
            request.method == "PATCH" && !request.path.contains("resources")
                ? .text(202, "202 Accepted\n\nThe request is accepted for processing.") : .json("null")
        }
        let client = try cloud.client()
        try await client.patch(stack, parameters: ["desired": 4, "remove": "1,2"])
        try await client.mark(stack, member: "m1", unhealthy: true, reason: "drained")
        try await client.mark(stack, member: "m1", unhealthy: false, reason: "kept")
        try await client.clearHook(stack, "server")
        try await client.signal(stack, "up")
        let base = "/heat/v1/p1/stacks/k8s/9c5b"
        #expect(
            zip(cloud.calls, cloud.bodies).map { "\($0) \($1)" } == [
                #"PATCH \#(base) {"existing":true,"parameters":{"desired":4,"remove":"1,2"}}"#,
                #"PATCH \#(base)/resources/m1 {"mark_unhealthy":true,"resource_status_reason":"drained"}"#,
                #"PATCH \#(base)/resources/m1 {"mark_unhealthy":false,"resource_status_reason":"kept"}"#,
                #"POST \#(base)/resources/server/signal {"unset_hook":"pre-delete"}"#,
                "POST \(base)/resources/up/signal ",
            ])
        #expect(cloud.requests.first { $0.method == "PATCH" }?.headers["content-type"] == "application/json")
    }

    @Test("The type filter is made exact here, since Heat's is not")
    func exactType() async throws {
        let cloud = FakeCloud { _ in
            let group = """
                {"resource_name": "together", "resource_type": "OS::Nova::ServerGroup", "resource_status":
                 "CREATE_COMPLETE", "physical_resource_id": "g1", "links": []}
                """
            let body = fixtureText("http-template.servers.json")
            return .json(body.replacing(#"{"# + "\n \"resources\": [", with: #"{"resources": ["# + group + ","))
        }
        let client = try cloud.client()
        let found = try await client.resources(stack, nestedDepth: 2, type: "OS::Nova::Server")
        #expect(found.count == 2)
        #expect(found.allSatisfy { $0.type == "OS::Nova::Server" && $0.name == "server" && $0.stack != nil })
        #expect(cloud.calls.first?.hasSuffix("/resources?nested_depth=2&type=OS%3A%3ANova%3A%3AServer") == true)
    }

    @Test("Recorded events show which resource waits at a hook, and where to clear it")
    func hooks() async throws {
        let cloud = FakeCloud { _ in .fixture("hook.events.json") }
        let client = try cloud.client()
        let events = try await client.events(stack, after: "e0")
        let paused = events.filter { $0.pausedHook != nil }
        #expect(paused.count == 1)
        #expect(paused.first?.pausedHook == "pre-delete")
        #expect(paused.first?.resource == "server")
        #expect(paused.first?.stack?.name.contains("m7vaeqj7pppj") == true)
        #expect(paused.first?.rootStack?.name == "http-template")
        #expect(paused.first?.clearedHook == nil)
        #expect(cloud.calls.first?.hasSuffix("events?nested_depth=5&sort_dir=asc&limit=500&marker=e0") == true)
    }

    @Test("The text of a cleared hook is contained in that of a pause, and yet not taken for it")
    func hookTexts() {
        func event(_ reason: String) -> HeatEvent {
            HeatEvent(
                id: "", time: Timestamp(seconds: 0), resource: "", physicalID: nil, status: HeatStatus(""),
                statusReason: reason, stack: nil, rootStack: nil)
        }
        #expect(event("CREATE paused until Hook post-create is cleared").pausedHook == "post-create")
        #expect(event("Hook pre-delete is cleared").clearedHook == "pre-delete")
        #expect(event("Hook pre-delete is cleared").pausedHook == nil)
        #expect(event("DELETE paused until Hook pre-delete is cleared").clearedHook == nil)
        #expect(event("").pausedHook == nil && event("state changed").clearedHook == nil)
    }

    @Test("Stacks by tag, page by page")
    func stacks() async throws {
        let cloud = FakeCloud { request in
            request.query.contains("marker=7b31260b-c991-4868-bda2-6303ea07b601")
                ? .json(#"{"stacks": []}"#) : .fixture("list.json")
        }
        let client = try cloud.client()
        let stacks = try await client.stacks(tags: ["updraft", "prod"])
        #expect(stacks.map(\.id.name) == ["http-rg", "http-plain"])
        #expect(cloud.calls.first == "GET /heat/v1/p1/stacks?limit=200&tags=updraft%2Cprod")
        #expect(cloud.calls.count == 2)
    }

    // MARK: Errors

    @Test(
        "Heat's errors keep their type and text",
        arguments: [
            (
                "stack-not-found.json", 404, OpenStackError.Code.notFound, "EntityNotFound",
                "The Stack (nope) could not be found."
            ),
            (
                "patch-out-of-range.json", 400, .badRequest, "StackValidationFailed",
                "DesiredCapacity must be between MinSize and MaxSize"
            ),
            (
                "signal-unknown.json", 404, .notFound, "ResourceNotFound",
                "The Resource (nope) could not be found in Stack http-template."
            ),
        ])
    func recordedErrors(
        _ file: String, _ status: Int, _ code: OpenStackError.Code, _ type: String, _ message: String
    ) async throws {
        let cloud = FakeCloud { _ in .fixture(file, status) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.patch(stack, parameters: [:]) }
        #expect(error?.code == code)
        #expect(error?.type == type)
        #expect(error?.message == message)
        #expect(error?.call == "PATCH orchestration stacks/k8s/9c5b")
        #expect(error?.isRetriable == false)
    }

    @Test(
        "Other errors are told apart",
        arguments: [
            (
                Reply.text(404, "404 Not Found\n\nThe resource could not be found.\n\n   "),
                OpenStackError.Code.notFound, false,
                "404 Not Found The resource could not be found."
            ),
            (
                .json(
                    #"{"code": 409, "error": {"type": "ActionInProgress", "message": "Stack k8s already has an action"}}"#,
                    409),
                .conflict, true, "Stack k8s already has an action"
            ),
            (
                .json(
                    #"{"code": 500, "error": {"type": "MessagingTimeout", "message": "Timed out waiting for a reply"}}"#,
                    500),
                .server, true, "Timed out waiting for a reply"
            ),
            (
                .json(
                    #"{"error": {"type": "RemoteError", "message": "Remote error: Forbidden Delegated token (HTTP 403)"}}"#,
                    500),
                .forbidden, false, "Remote error: Forbidden Delegated token (HTTP 403)"
            ),
            (
                .json(#"{"choices": []}"#, 300), .configuration, false,
                "the endpoint is not versioned (300 Multiple Choices): its URL must lead to one version"
            ),
            (.text(502, "<html><body><h1>502 Bad Gateway</h1>\n</body></html>"), .server, true, "502 Bad Gateway"),
            (.redirect("http://elsewhere/"), .server, true, "302 Found"),
            (.text(418, ""), .badRequest, false, "no message"),
            (
                .json(
                    #"{"message": "The resource could not be found.<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"}"#,
                    404),
                .notFound, false, "The resource could not be found."
            ),
        ])
    func kinds(_ reply: Reply, _ code: OpenStackError.Code, _ retriable: Bool, _ message: String) async throws {
        let cloud = FakeCloud { _ in reply }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.patch(stack, parameters: [:]) }
        #expect(error?.code == code)
        #expect(error?.isRetriable == retriable)
        #expect(error?.message == message)
        #expect(cloud.calls.count == 1)
    }

    @Test("An echoed token does not get into the message")
    func echo() async throws {
        let cloud = FakeCloud { request in .text(500, "token was \(request.headers["x-auth-token"] ?? "")") }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.patch(stack, parameters: [:]) }
        #expect(error?.message == "token was ***")
    }

    @Test("A huge error text is cut")
    func hugeError() async throws {
        let cloud = FakeCloud { _ in .text(500, String(repeating: "x", count: 3_000_000)) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.patch(stack, parameters: [:]) }
        #expect((error?.message.count ?? 9_999) < 1_000)
    }

    @Test(
        "Malformed answers name call and path",
        arguments: [
            ("", "not JSON"), ("null", "document is not an object"), ("{}", "stack is missing"),
            (#"{"stack": []}"#, "stack is not an object"),
            (#"{"stack": {"id": "1"}}"#, "stack.stack_name is missing"),
            (#"{"stack": {"id": 1, "stack_name": "a"}}"#, "stack.id is not a string"),
            (
                #"{"stack": {"id": "1", "stack_name": "a", "stack_status": "X", "timeout_mins": "soon"}}"#,
                "stack.timeout_mins is not a whole number"
            ),
            (
                #"{"stack": {"id": "1", "stack_name": "a", "stack_status": "X", "parameters": 3}}"#,
                "stack.parameters is not an object"
            ),
            (
                #"{"stack": {"id": "1", "stack_name": "a", "stack_status": "X", "creation_time": "x"}}"#,
                "stack.creation_time is not a time"
            ),
            (
                #"{"stack": {"id": "1", "stack_name": "a", "stack_status": "X", "tags": [1]}}"#,
                "stack.tags[0] is not a string"
            ),
            (String(repeating: "[", count: 100_000), "not JSON"),
        ])
    func malformed(_ body: String, _ expected: String) async throws {
        let cloud = FakeCloud { _ in .json(body) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.stack(stack) }
        #expect(error?.code == .malformed)
        #expect(error?.call == "GET orchestration stacks/k8s/9c5b")
        #expect(error?.message.contains(expected) == true, "\(String(describing: error))")
    }

    @Test("A slow engine is given up after the timeout; a change is sent once only")
    func slow() async throws {
        let count = Lock(0)
        let cloud = FakeCloud { request in
            if request.method == "PATCH" {
                count.withLock { $0 += 1 }
                usleep(1_500_000)
            }
            return .text(202, "")
        }
        var configuration = try cloud.client().configuration
        configuration.timeout = .milliseconds(200)
        let client = OpenStackClient(configuration)
        let error = await failure { () async throws(OpenStackError) in try await client.patch(stack, parameters: [:]) }
        #expect(error?.code == .transport)
        #expect(error?.isUnsent == false)
        #expect(count.withLock { $0 } == 1)
    }

    @Test("A read is repeated on 503")
    func repeated() async throws {
        let count = Lock(0)
        let cloud = FakeCloud { _ in
            let first = count.withLock { state in
                state += 1
                return state == 1
            }
            return first ? .text(503, "later") : .fixture("http-plain.stack.json")
        }
        #expect(try await cloud.client().stack(stack).id.name == "http-plain")
    }

    @Test("Cancelling the task ends the call")
    func cancelled() async throws {
        let server = TestServer { $0.waitForHangUp() }
        let cloud = FakeCloud { _ in .json("null") }
        let client = try cloud.client(["OS_ORCHESTRATION_ENDPOINT_OVERRIDE": server.url])
        let stack = stack
        let task = Task { try await client.patch(stack, parameters: [:]) }
        try await server.connected()
        task.cancel()
        let error = await #expect(throws: OpenStackError.self) { try await task.value }
        #expect(error?.code == .cancelled)
    }

    @Test("What a stack's status says")
    func statuses() {
        #expect(HeatStatus("UPDATE_IN_PROGRESS").state == .inProgress)
        #expect(HeatStatus("UPDATE_IN_PROGRESS").action == "UPDATE")
        #expect(HeatStatus("CHECK_FAILED").state == .failed)
        #expect(HeatStatus("SOMETHING").state == .unknown)
        #expect(HeatStatus("DELETE_COMPLETE").isDeleted)
    }
}
