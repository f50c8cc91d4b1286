import Glibc
import HTTPClient
import Support
import TestServer
import Testing

@testable import OpenStack

@Suite("Login, catalogue and tokens")
struct LoginTests {
    private let empty: @Sendable (TestRequest) -> Reply = { _ in .json(#"{"stacks": []}"#) }

    @Test("The first call logs in; later ones use the token")
    func once() async throws {
        let cloud = FakeCloud(empty)
        let client = try cloud.client()
        for _ in 0..<3 { _ = try await client.stacks() }
        #expect(cloud.logins == 1)
        #expect(cloud.calls == Array(repeating: "GET /heat/v1/p1/stacks?limit=200", count: 3))
        #expect(try await client.projectID() == "p1")
    }

    @Test("Many first calls at once log in once")
    func singleFlight() async throws {
        let cloud = FakeCloud(empty)
        let client = try cloud.client()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { _ = try await client.stacks() } }
            try await group.waitForAll()
        }
        #expect(cloud.logins == 1)
    }

    @Test("A token near its end is renewed before use, by Keystone's idea of its length and our clock")
    func renewal() async throws {
        let cloud = FakeCloud(lifetime: 3_600, empty)
        let time = Lock(Timestamp(seconds: 50))
        let client = try cloud.client(now: { time.withLock { $0 } })
        _ = try await client.stacks()
        time.withLock { $0 = $0 + .seconds(3_290) }
        _ = try await client.stacks()
        #expect(cloud.logins == 1)
        // From five minutes before its end, while the old one serves.
        time.withLock { $0 = $0 + .seconds(20) }
        _ = try await client.stacks()
        try await eventually("a second login") { cloud.logins == 2 }
        while try await client.keeper.current().id.revealed != "token-2" { await Task.yield() }
        // In the last minute a call waits for the new one.
        time.withLock { $0 = $0 + .seconds(3_570) }
        _ = try await client.stacks()
        #expect(cloud.logins == 3)
        #expect(try await client.keeper.current().id.revealed == "token-3")
    }

    @Test(
        "A Keystone that hangs makes no call wait while the token is good, and is left alone for a while after it failed"
    )
    func hangingKeystone() async throws {
        let tries = Lock(0)
        let hangs = Lock(false)
        let release = Lock(false)
        let cloud = FakeCloud(
            lifetime: 3_600,
            login: { _ in
                guard hangs.withLock({ $0 }) else { return nil }
                tries.withLock { $0 += 1 }
                while !release.withLock({ $0 }) { usleep(1_000) }
                return .text(400, "no")
            }, empty)
        let time = Lock(Timestamp(seconds: 50))
        let client = try cloud.client(now: { time.withLock { $0 } })
        _ = try await client.stacks()
        hangs.withLock { $0 = true }
        time.withLock { $0 = $0 + .seconds(3_310) }
        // All of these end while Keystone has not said a word.
        for _ in 0..<5 { _ = try await client.stacks() }
        try await eventually("one renewal is under way") { tries.withLock { $0 } == 1 }
        for _ in 0..<5 { _ = try await client.stacks() }
        #expect(tries.withLock { $0 } == 1)
        release.withLock { $0 = true }
        while await client.keeper.isRenewing { await Task.yield() }
        // It failed: for half a minute nobody asks again, then one does.
        time.withLock { $0 = $0 + .seconds(29) }
        for _ in 0..<5 { _ = try await client.stacks() }
        while await client.keeper.isRenewing { await Task.yield() }
        #expect(tries.withLock { $0 } == 1)
        time.withLock { $0 = $0 + .seconds(2) }
        _ = try await client.stacks()
        try await eventually("a second renewal") { tries.withLock { $0 } == 2 }
    }

    @Test("When Keystone is away, the old token serves until its end")
    func keystoneAway() async throws {
        let isAway = Lock(false)
        let cloud = FakeCloud(
            lifetime: 3_600, login: { _ in isAway.withLock { $0 } ? .text(500, "oops") : nil }, empty)
        let time = Lock(Timestamp(seconds: 50))
        let client = try cloud.client(now: { time.withLock { $0 } })
        _ = try await client.stacks()
        isAway.withLock { $0 = true }
        time.withLock { $0 = $0 + .seconds(3_500) }
        _ = try await client.stacks()
        time.withLock { $0 = $0 + .seconds(200) }
        let error = await failure { () async throws(OpenStackError) in try await client.stacks() }
        #expect(error?.code == .server)
        #expect(error?.isRetriable == true)
    }

    @Test("A token refused with 401 is renewed once, and the call repeated, also a POST")
    func revoked() async throws {
        let cloud = FakeCloud { _ in .json("null") }
        let client = try cloud.client()
        let stack = StackID(name: "a", id: "1")
        try await client.signal(stack, "up")
        cloud.revokeTokens()
        try await client.signal(stack, "up")
        #expect(cloud.logins == 2)
        #expect(cloud.calls.count == 3)
    }

    @Test("Many calls with a refused token renew it once")
    func revokedForMany() async throws {
        let cloud = FakeCloud(empty)
        let client = try cloud.client()
        _ = try await client.stacks()
        cloud.revokeTokens()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { _ = try await client.stacks() } }
            try await group.waitForAll()
        }
        #expect(cloud.logins == 2)
    }

    @Test("A service that refuses fresh tokens too is an error, not a loop")
    func refusedForGood() async throws {
        let cloud = FakeCloud { _ in .json(#"{"error": {"message": "no"}}"#, 401) }
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.stacks() }
        #expect(error?.code == .unauthorized)
        #expect(cloud.logins == 2)
        #expect(cloud.calls.count == 2)
        let restricted = try cloud.client([
            "OS_APPLICATION_CREDENTIAL_ID": "x", "OS_APPLICATION_CREDENTIAL_SECRET": "hidden-secret",
        ])
        let hint = await failure { () async throws(OpenStackError) in try await restricted.stacks() }
        #expect(hint?.message.contains("access rules") == true)
    }

    @Test("A wrong password says so, is not retried at once, and is in no message")
    func wrongPassword() async throws {
        let count = Lock(0)
        let cloud = FakeCloud(
            login: { request in
                count.withLock { $0 += 1 }
                let echo = request.text.contains("s3cret-password") ? "s3cret-password" : ""
                return .json(#"{"error": {"code": 401, "message": "Refused \#(echo)", "title": "Unauthorized"}}"#, 401)
            }, empty)
        let start = Timestamp.now()
        let client = try cloud.client(now: { start })
        for _ in 0..<5 {
            let error = await failure { () async throws(OpenStackError) in try await client.stacks() }
            #expect(error?.code == .unauthorized)
            #expect(error?.isRetriable == false)
            #expect(error?.description.contains("s3cret") == false)
            #expect(error?.message == "Refused ***")
        }
        #expect(count.withLock { $0 } == 1)
    }

    @Test("A revoked application credential, which Keystone calls not found, is a refused login")
    func revokedCredential() async throws {
        let cloud = FakeCloud(
            login: { _ in
                Reply(
                    status: 404, headers: [("X-Openstack-Request-Id", "req-1")],
                    body:
                        #"{"error":{"code":404,"message":"Could not find Application Credential: x.","title":"Not Found"}}"#
                )
            }, empty)
        let client = try cloud.client([
            "OS_APPLICATION_CREDENTIAL_ID": "x", "OS_APPLICATION_CREDENTIAL_SECRET": "hidden-secret",
        ])
        let error = await failure { () async throws(OpenStackError) in try await client.stacks() }
        #expect(error?.code == .unauthorized)
        #expect(error?.message == "Could not find Application Credential: x.")
        #expect(error?.requestID == "req-1")
    }

    @Test("A refused login is made with another credential as soon as one stands where the first one stood")
    func newCredential() async throws {
        let good = Lock("first")
        let logins = Lock<[String]>([])
        let cloud = FakeCloud(
            login: { request in
                let (isGood, number) = logins.withLock { logins in
                    let isGood = request.text.contains(good.withLock { "\"\($0)\"" })
                    logins.append(isGood ? "good" : "bad")
                    return (isGood, logins.count)
                }
                guard isGood else { return .json(#"{"error": {"code": 401, "title": "Unauthorized"}}"#, 401) }
                let body =
                    #"{"token": {"issued_at": "2026-11-23T00:00:00Z", "expires_at": "2026-11-23T01:00:00Z","#
                    + #""project": {"id": "p1"}, "user": {"id": "u1"}, "catalog": [{"type": "orchestration","#
                    + #""endpoints": [{"interface": "public", "region_id": "One", "#
                    + #""url": "http://\#(request.headers["host"] ?? "")/heat/v1/p1"}]}]}}"#
                return Reply(status: 201, headers: [("X-Subject-Token", "token-\(number)")], body: body)
            },
            { request in
                // The service honours only tokens of the credential that is good now.
                let isOld = good.withLock { $0 } == "second" && request.headers["x-auth-token"] == "token-1"
                return isOld ? .json("{}", 401) : .json(#"{"stacks": []}"#)
            }, isChecked: false)
        let inFile = Lock("first")
        @Sendable func load() throws(OpenStackError) -> CloudConfiguration {
            try .load(environment: [
                "OS_AUTH_URL": cloud.server.url + "/v3", "OS_APPLICATION_CREDENTIAL_ID": "x",
                "OS_APPLICATION_CREDENTIAL_SECRET": inFile.withLock { $0 },
            ])
        }
        let time = Lock(Timestamp(seconds: 50))
        let client = OpenStackClient(
            try load(), reload: { () throws(OpenStackError) in try load() }, now: { time.withLock { $0 } })
        _ = try await client.stacks()
        // Revoked, and nothing new in the file yet.
        good.withLock { $0 = "second" }
        let refused = await failure { () async throws(OpenStackError) in try await client.stacks() }
        #expect(refused?.code == .unauthorized)
        inFile.withLock { $0 = "second" }
        time.withLock { $0 = $0 + .seconds(120) }
        _ = try await client.stacks()
        #expect(logins.withLock { $0 } == ["good", "bad", "bad", "good"])
        await client.close()
    }

    @Test("What stands there anew and is no help is told with the refusal: a file with a slip, another Keystone")
    func newCredentialUnusable() async throws {
        let cloud = FakeCloud(login: { _ in .json(#"{"error": {"code": 401, "message": "Revoked."}}"#, 401) }, empty)
        let known = [
            "OS_AUTH_URL": cloud.server.url + "/v3", "OS_APPLICATION_CREDENTIAL_ID": "x",
            "OS_APPLICATION_CREDENTIAL_SECRET": "first",
        ]
        let file = try TemporaryFile("clouds: {a: {auth: [}")
        let path = file.path
        let elsewhere = known.merging([
            "OS_AUTH_URL": "http://127.0.0.1:1/v3", "OS_APPLICATION_CREDENTIAL_SECRET": "second-secret",
        ]) { $1 }
        let cases: [(@Sendable () throws(OpenStackError) -> CloudConfiguration, String?)] = [
            ({ () throws(OpenStackError) in try .load(cloud: "a", file: path, environment: [:]) }, path),
            ({ () throws(OpenStackError) in try .load(environment: elsewhere) }, "is for another Keystone"),
            ({ () throws(OpenStackError) in try .load(environment: known) }, nil),
        ]
        for (reload, word) in cases {
            let client = OpenStackClient(
                try .load(environment: known), reload: reload, now: { Timestamp(seconds: 50) })
            let refused = await failure { () async throws(OpenStackError) in try await client.stacks() }
            #expect(refused?.code == .unauthorized)
            #expect(refused?.message.hasPrefix("Revoked.") == true, "\(String(describing: refused))")
            #expect(word.map { refused?.message.contains($0) == true } ?? (refused?.message == "Revoked."))
            #expect(refused?.message.contains("second-secret") == false)
            await client.close()
        }
    }

    @Test(
        "A login answer that is not one",
        arguments: [
            ("{}", "token is missing"), ("[]", "document is not an object"), ("<html>", "not JSON"),
            (#"{"token": {}}"#, "token.expires_at is missing"),
            (#"{"token": {"expires_at": "soon"}}"#, "token.expires_at is not a time"),
            (
                #"{"token": {"expires_at": "2026-11-25T02:36:40Z", "catalog": [{"type": 1}]}}"#,
                "token.catalog[0].type is not a string"
            ),
        ])
    func malformedLogin(_ body: String, _ expected: String) async throws {
        let cloud = FakeCloud(
            login: { _ in Reply(status: 201, headers: [("X-Subject-Token", "t")], body: body) }, empty)
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.stacks() }
        #expect(error?.code == .malformed)
        #expect(error?.description.contains(expected) == true, "\(String(describing: error))")
        #expect(error?.call == "POST identity auth/tokens")
    }

    @Test("A login without the token's header")
    func noHeader() async throws {
        let cloud = FakeCloud(login: { _ in .json("{}", 201) }, empty)
        let client = try cloud.client()
        let error = await failure { () async throws(OpenStackError) in try await client.stacks() }
        #expect(error?.message.contains("X-Subject-Token") == true)
    }

    @Test("The catalogue decides by interface and region; overrides go before it")
    func endpoints() async throws {
        let cloud = FakeCloud(empty)
        #expect(try await cloud.client().endpoint("compute") == cloud.server.url + "/nova/v2.1")
        let inside = try cloud.client(["OS_INTERFACE": "internal"])
        #expect(try await inside.endpoint("orchestration") == cloud.server.url + "/internal")
        let other = try cloud.client(["OS_REGION_NAME": "Two"])
        let error = await failure { () async throws(OpenStackError) in try await other.endpoint("orchestration") }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("in region Two") == true)
        let overridden = try cloud.client(["OS_ORCHESTRATION_ENDPOINT_OVERRIDE": "http://h/v1/%(project_id)s/"])
        #expect(try await overridden.endpoint("orchestration") == "http://h/v1/p1")
        let none = await failure { () async throws(OpenStackError) in try await inside.endpoint("metering") }
        #expect(none?.message == "the catalogue has no metering service (it has compute, metric, orchestration)")
    }

    @Test("Several regions and none chosen: refused, naming them; an empty catalogue: said")
    func unclear() throws {
        let endpoints = ["A", "B"].map {
            Catalogue.Endpoint(service: "compute", interface: "public", region: $0, url: "http://\($0)")
        }
        let catalogue = Catalogue(endpoints: endpoints)
        #expect(throws: OpenStackError.self) {
            try catalogue.url(of: "compute", interface: "public", region: nil, source: "x")
        }
        #expect(try catalogue.url(of: "compute", interface: "public", region: "B", source: "x") == "http://B")
        #expect(throws: OpenStackError.self) {
            try Catalogue(endpoints: []).url(of: "compute", interface: "public", region: nil, source: "x")
        }
    }

    @Test("A real token's catalogue is read")
    func recorded() throws {
        let root = try Field.root(Array(fixtureText("token.json").utf8), call: "test")
        let token = try Token.decode(root, id: "x", received: Timestamp(seconds: 0))
        #expect(token.expires == Timestamp(seconds: 3_600))
        let heat = try token.catalogue.url(
            of: "orchestration", interface: "public", region: "RegionOne", source: "test")
        #expect(heat.hasSuffix("/v1/71a77c59370347db87c36c262aa38075"))
        #expect("\(token)".contains("***"))
    }

    @Test("Keystone that does not answer")
    func unreachable() async throws {
        let client = try FakeCloud(empty).client(["OS_AUTH_URL": "http://127.0.0.1:1/v3"])
        let error = await failure { () async throws(OpenStackError) in try await client.stacks() }
        #expect(error?.code == .transport)
        #expect(error?.isRetriable == true)
        #expect(error?.isUnsent == true)
    }
}
