import Support
import TestServer
import Testing

@testable import OpenStack

@Suite("A login that will end")
struct DelegationTests {
    private static let start = Timestamp(seconds: 1_795_470_000)
    private static let ends = start + .minutes(40 * 1_440)

    @Test("it is told 30, 7, 3 and 1 days and an hour before, each once; urgent from the last day on")
    func steps() {
        var watch = ExpiryWatch()
        let trust = Delegation(kind: .trust, id: "t1", expiresAt: Self.ends)
        var told: [(hour: Int, isUrgent: Bool)] = []
        for hour in 0...(41 * 24) {
            if let word = watch.look(trust, at: Self.start + .minutes(Double(hour) * 60)) {
                told.append((hour, word.isUrgent))
            }
        }
        #expect(told.map(\.hour) == [240, 792, 888, 936, 959])
        #expect(told.map(\.isUrgent) == [false, false, false, true, true])
    }

    @Test("who looks for the first time in the last days is told at once, once; a longer one is good again")
    func late() {
        var watch = ExpiryWatch()
        let credential = Delegation(kind: .applicationCredential, id: "c1", expiresAt: Self.ends)
        let now = Self.ends - .minutes(2 * 1_440)
        let word = watch.look(credential, at: now)
        #expect(word?.isUrgent == false)
        #expect(
            word?.text.contains("application credential c1 ends in 2 days") == true
                && word?.text.contains("openstack application credential create") == true, "\(word?.text ?? "")")
        #expect(watch.look(credential, at: now + .minutes(10)) == nil)
        let longer = Delegation(kind: .applicationCredential, id: "c2", expiresAt: Self.ends + .minutes(90 * 1_440))
        #expect(watch.look(longer, at: now) == nil)
        #expect(watch.look(nil, at: now) == nil)
        #expect(ExpiryWatch.word(credential, at: Self.ends + .minutes(1))?.text.contains("has ended") == true)
        #expect(ExpiryWatch.word(longer, at: now) == nil)
    }

    @Test("the token says by what it was made, Keystone when that ends; a password's ends never")
    func delegation() async throws {
        func cloud(_ members: String) -> FakeCloud {
            FakeCloud(
                login: { request in
                    Reply(
                        status: 201, headers: [("X-Subject-Token", "token-1")],
                        body: #"{"token":{"issued_at":"2026-11-23T00:00:00Z","expires_at":"2026-11-23T01:00:00Z","#
                            + #""project":{"id":"p1"},"user":{"id":"u1"},"catalog":[]\#(members)}}"#)
                },
                { request in
                    switch request.path {
                    case "/v3/OS-TRUST/trusts/t1":
                        .json(#"{"trust":{"id":"t1","expires_at":"2026-12-01T00:00:00.000000Z"}}"#)
                    case "/v3/users/u1/application_credentials/c1":
                        .json(#"{"application_credential":{"id":"c1","expires_at":null}}"#)
                    default: .json(#"{"error":{"code":403,"title":"Forbidden","message":"no"}}"#, 403)
                    }
                }, isChecked: false)
        }
        let delegated = cloud(#","OS-TRUST:trust":{"id":"t1","impersonation":true}"#)
        #expect(
            try await delegated.client().delegation()
                == Delegation(kind: .trust, id: "t1", expiresAt: Timestamp("2026-12-01T00:00:00Z")))
        let lasting = cloud(#","application_credential":{"id":"c1","restricted":true}"#)
        #expect(try await lasting.client().delegation() == Delegation(kind: .applicationCredential, id: "c1"))
        let guarded = cloud(#","application_credential":{"id":"c2","restricted":true}"#)
        let client = try guarded.client()
        #expect(await failure { () async throws(OpenStackError) in try await client.delegation() }?.code == .forbidden)
        let own = cloud("")
        #expect(try await own.client().delegation() == nil)
        // The servers last as long as their clients.
        #expect([delegated, lasting, guarded, own].allSatisfy { $0.logins == 0 })
    }

    @Test("one that has ended stays known: how long ago goes on being told")
    func ended() async throws {
        let hasEnded = Lock(false)
        let cloud = FakeCloud(
            login: { _ in
                Reply(
                    status: 201, headers: [("X-Subject-Token", "token-1")],
                    body: #"{"token":{"issued_at":"2026-11-23T00:00:00Z","expires_at":"2026-11-23T01:00:00Z","#
                        + #""project":{"id":"p1"},"user":{"id":"u1"},"catalog":[],"#
                        + #""OS-TRUST:trust":{"id":"t1","impersonation":true}}}"#)
            },
            { _ in
                hasEnded.withLock { ended in
                    defer { ended = true }
                    return ended
                        ? .json(
                            #"{"error":{"code":404,"title":"Not Found","message":"Could not find trust: t1."}}"#, 404)
                        : .json(#"{"trust":{"id":"t1","expires_at":"2026-12-01T00:00:00.000000Z"}}"#)
                }
            }, isChecked: false)
        let client = try cloud.client()
        let told = Lock<[DelegationNews]>([])
        let task = Task {
            await client.watchDelegation(every: .milliseconds(5)) { news in told.withLock { $0.append(news) } }
        }
        for _ in 0..<6_000 where told.withLock({ $0.count }) < 2 { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        await task.value
        let news = told.withLock { $0 }
        #expect(news.count >= 2 && news[0].failure == nil && news[1].failure != nil, "\(news)")
        #expect(news.allSatisfy { $0.delegation?.expiresAt == Timestamp("2026-12-01T00:00:00Z") }, "\(news)")
    }

    @Test("the login was replaced by one that may not read its own end: the old one's is told no more")
    func replaced() async throws {
        let isReplaced = Lock(false)
        let cloud = FakeCloud(
            login: { _ in
                let (token, made) =
                    isReplaced.withLock { $0 }
                    ? ("token-2", #""application_credential":{"id":"c2","restricted":true}"#)
                    : ("token-1", #""OS-TRUST:trust":{"id":"t1","impersonation":true}"#)
                return Reply(
                    status: 201, headers: [("X-Subject-Token", token)],
                    body: #"{"token":{"issued_at":"2026-11-23T00:00:00Z","expires_at":"2026-11-23T01:00:00Z","#
                        + #""project":{"id":"p1"},"user":{"id":"u1"},"catalog":[],\#(made)}}"#)
            },
            { request in
                if request.headers["x-auth-token"] == "token-2" {
                    return .json(#"{"error":{"code":403,"title":"Forbidden","message":"access rules"}}"#, 403)
                }
                // Read once; then the trust is revoked, and with it its tokens.
                return isReplaced.withLock { replaced in
                    defer { replaced = true }
                    return replaced
                        ? .json(#"{"error":{"code":401,"title":"Unauthorized","message":"no"}}"#, 401)
                        : .json(#"{"trust":{"id":"t1","expires_at":"2020-01-01T00:00:00.000000Z"}}"#)
                }
            }, isChecked: false)
        let client = try cloud.client()
        let told = Lock<[DelegationNews]>([])
        let task = Task {
            await client.watchDelegation(every: .milliseconds(5)) { news in told.withLock { $0.append(news) } }
        }
        for _ in 0..<6_000 where cloud.calls.count < 10 { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        await task.value
        let news = told.withLock { $0 }
        #expect(news.count >= 2 && news[0].delegation?.id == "t1" && news[0].word != nil, "\(news)")
        // Once why it cannot be read, and no word of the old one.
        let after = news.dropFirst()
        #expect(after.first?.failure?.code == .forbidden, "\(news)")
        #expect(after.allSatisfy { $0.delegation == nil && $0.word == nil }, "\(news)")
    }
}
