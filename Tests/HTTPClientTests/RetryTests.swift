import Support
import TestServer
import Testing

@testable import HTTPClient

@Suite("Retries")
struct RetryTests {
    let client = HTTPClient()
    let quick = RetryPolicy(attempts: 3, backoff: Backoff(first: .milliseconds(1), cap: .milliseconds(5)))

    /// A server that answers its first requests with `status`, then 200, and counts.
    private func server(failing times: Int, _ status: Int, headers: [(String, String)] = []) -> (TestServer, Lock<Int>)
    {
        let count = Lock(0)
        let server = TestServer.answering { _ in
            let number = count.withLock { state in
                state += 1
                return state
            }
            return number <= times ? (status, headers, "later") : (200, [], "now")
        }
        return (server, count)
    }

    @Test("An idempotent request is sent again after 429, 502, 503, 504", arguments: [429, 502, 503, 504])
    func statuses(_ status: Int) async throws {
        let (server, count) = server(failing: 2, status)
        #expect(try await client.send(HTTPRequest(.get, server.url, retry: quick)).text == "now")
        #expect(count.withLock { $0 } == 3)
    }

    @Test("The last answer is given out when the attempts are used up")
    func usedUp() async throws {
        let (server, count) = server(failing: 5, 503)
        #expect(try await client.send(HTTPRequest(.get, server.url, retry: quick)).status == 503)
        #expect(count.withLock { $0 } == 3)
    }

    @Test("500 and 404 are not tried again", arguments: [500, 404])
    func final(_ status: Int) async throws {
        let (server, count) = server(failing: 5, status)
        #expect(try await client.send(HTTPRequest(.get, server.url, retry: quick)).status == status)
        #expect(count.withLock { $0 } == 1)
    }

    @Test("A POST is not sent twice unless the policy says that it may be")
    func post() async throws {
        let (once, onceCount) = server(failing: 5, 503)
        #expect(try await client.send(HTTPRequest(.post, once.url, retry: quick)).status == 503)
        #expect(onceCount.withLock { $0 } == 1)
        var policy = quick
        policy.alsoNonIdempotent = true
        let (twice, _) = server(failing: 1, 503)
        #expect(try await client.send(HTTPRequest(.post, twice.url, retry: policy)).status == 200)
    }

    @Test("A broken connection is tried again for GET, not for POST")
    func broken() async throws {
        let count = Lock(0)
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            let number = count.withLock { state in
                state += 1
                return state
            }
            if number == 1 {
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            } else {
                connection.answer(200, headers: [], "whole")
            }
        }
        #expect(try await client.send(HTTPRequest(.get, server.url, retry: quick)).text == "whole")
        count.withLock { $0 = 0 }
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.post, server.url, retry: quick))
        }
        #expect(error?.code == .closed)
        #expect(count.withLock { $0 } == 1)
    }

    @Test("Retry-After is waited for")
    func retryAfter() async throws {
        let (server, _) = server(failing: 1, 429, headers: [("Retry-After", "1")])
        let started = ContinuousClock.now
        #expect(try await client.send(HTTPRequest(.get, server.url, retry: quick)).status == 200)
        #expect(ContinuousClock.now - started >= .seconds(1))
    }

    @Test("A Retry-After beyond the policy's patience gives the answer to the caller")
    func tooLong() async throws {
        let (server, count) = server(failing: 1, 429, headers: [("Retry-After", "3600")])
        #expect(try await client.send(HTTPRequest(.get, server.url, retry: quick)).status == 429)
        #expect(count.withLock { $0 } == 1)
    }

    @Test("Cancelling during the pause ends it")
    func cancelled() async throws {
        let (server, count) = server(failing: 1, 429, headers: [("Retry-After", "50")])
        let client = client
        let policy = quick
        let task = Task { try await client.send(HTTPRequest(.get, server.url, retry: policy)) }
        try await eventually("the first request") { count.withLock { $0 } > 0 }
        task.cancel()
        let error = await #expect(throws: HTTPError.self) { try await task.value }
        #expect(error?.code == .cancelled)
    }
}

@Suite("Retry policy, as values")
struct RetryPolicyTests {
    let now = Timestamp(seconds: 784_111_777)

    @Test("Retry-After as seconds and as a date")
    func forms() {
        #expect(RetryAfter.parse("120", now: now) == .seconds(120))
        #expect(RetryAfter.parse("0", now: now) == .zero)
        #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:50:37 GMT", now: now) == .seconds(60))
        #expect(RetryAfter.parse("Sun, 06 Nov 1994 08:00:00 GMT", now: now) == .zero)
        for bad in ["", "-1", "soon", "1.5", "Sun, 06 Now 1994 08:49:37 GMT", "06 Nov 1994"] {
            #expect(RetryAfter.parse(bad, now: now) == nil, "\(bad)")
        }
        #expect(RetryAfter.parse("99999999999999999", now: now) ?? .zero > .seconds(60))
    }

    @Test("Delays grow, with jitter, and never undercut what the server asked for")
    func delays() {
        var policy = RetryPolicy(attempts: 9, backoff: Backoff(first: .seconds(1), cap: .seconds(4)))
        let plain = HTTPResponse(status: 503)
        #expect(policy.delay(after: plain, to: .get, made: 1, jitter: 1, now: now) == .seconds(1))
        #expect(policy.delay(after: plain, to: .get, made: 2, jitter: 0, now: now) == .seconds(1))
        #expect(policy.delay(after: plain, to: .get, made: 3, jitter: 1, now: now) == .seconds(4))
        #expect(policy.delay(after: plain, to: .get, made: 9, jitter: 1, now: now) == nil)
        let asked = HTTPResponse(status: 429, headers: ["Retry-After": "7"])
        #expect(policy.delay(after: asked, to: .get, made: 1, jitter: 0, now: now) == .seconds(7))
        #expect(policy.delay(after: asked, to: .get, made: 1, jitter: 1, now: now) ?? .zero <= .seconds(8))
    }

    @Test("A POST that never reached the server may go again")
    func unsent() {
        var policy = RetryPolicy(attempts: 2)
        let refused = HTTPError(.refused, url: "http://h/", detail: "", isUnsent: true)
        let cut = HTTPError(.closed, url: "http://h/", detail: "", isUnsent: false)
        #expect(policy.delay(after: refused, to: .post, made: 1, jitter: 0) != nil)
        #expect(policy.delay(after: cut, to: .post, made: 1, jitter: 0) == nil)
        #expect(policy.delay(after: cut, to: .put, made: 1, jitter: 0) != nil)
        let tls = HTTPError(.tls, url: "https://h/", detail: "", isUnsent: true)
        #expect(policy.delay(after: tls, to: .get, made: 1, jitter: 0) == nil)
    }

    @Test(
        "Secrets leave no trace in an error",
        arguments: [
            ("http://u:p@h:1/a?t=1#f", "http://h:1/a"), ("https://h/a@b?x", "https://h/a@b"),
            ("u:p@h/x", "h/x"), ("http://a@b@h/x", "http://h/x"), ("", ""), ("https://h?secret", "https://h"),
        ])
    func secrets(_ url: String, _ shown: String) {
        #expect(HTTPError(.closed, url: url, detail: "").url == shown)
    }
}
