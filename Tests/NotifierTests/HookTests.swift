import Glibc
import HTTPClient
import JSONReader
import Messages
import Support
import TestServer
import Testing

@testable import Notifier

/// Whatever may stand at the other end of a hook.
@Suite("Calling hooks", .timeLimit(.minutes(6)))
struct HookTests {
    static let deadline = Timestamp(seconds: 1_800_000_060)

    func notice(_ hook: String, withdrawn: Bool = false, isShortened: Bool = false) -> Notice {
        let pod = NodePod(
            name: "web", uid: "u", node: "n1", ip: "127.0.0.1", annotations: [RemovalNames.shutdownHook: hook])
        return Notice(
            removal: "r1", node: "n1", serverID: "s", pod: pod, reason: Explanation(.nodeUnneeded, "idle"),
            deadline: HookTests.deadline, withdrawn: withdrawn, isShortened: isShortened)
    }

    func call(
        _ server: TestServer, timeout: Interval = .seconds(20), _ notice: Notice? = nil,
        tls: TLSSettings = TLSSettings(),
        scheme: String = "http", isDryRun: Bool = false
    ) async -> DeliveryOutcome {
        let door = HookDoor(
            tls: tls, timeout: timeout, foreignHosts: [], maximumInFlight: 4, userAgent: "test")
        let outcome = await door.call(
            notice ?? self.notice("\(scheme)://:\(server.port)/bye"), cluster: "prod", token: "secret-token",
            answerURL: "http://notifier/answers/r1/u", isDryRun: isDryRun)
        await door.close()
        return outcome
    }

    func replying(_ status: Int, _ body: String = "", headers: [(String, String)] = []) -> TestServer {
        TestServer.answering { _ in (status, headers, body) }
    }

    @Test("it gets a CloudEvent in structured mode, with all that an answer needs")
    func event() async throws {
        let seen = Lock<[TestRequest]>([])
        let server = TestServer.answering { request in
            seen.withLock { $0.append(request) }
            return (202, [], "")
        }
        #expect(await call(server) == .delivered(answer: nil))
        let request = try #require(seen.withLock { $0.first })
        #expect(request.method == "POST")
        #expect(request.target == "/bye")
        #expect(request.headers["content-type"] == "application/cloudevents+json; charset=utf-8")
        let event = try JSONValue.parse(request.body)
        #expect(event["specversion"]?.stringValue == "1.0")
        #expect(event["id"]?.stringValue == "r1/u")
        #expect(event["source"]?.stringValue == "/updraft/prod")
        #expect(event["type"]?.stringValue == "updraft.pod.shutdown")
        #expect(event["datacontenttype"]?.stringValue == "application/json")
        #expect(event["time"]?.stringValue.flatMap { Timestamp($0) } != nil)
        #expect(event[path: "data", "node"]?.stringValue == "n1")
        #expect(event[path: "data", "reason", "reason"]?.stringValue == "NodeUnneeded")
        #expect(event[path: "data", "deadline"]?.stringValue == HookTests.deadline.rfc3339)
        #expect(event[path: "data", "answerURL"]?.stringValue == "http://notifier/answers/r1/u")
        #expect(event[path: "data", "token"]?.stringValue == "secret-token")
    }

    @Test("that the pod may stay, and that it has less time, are events of their own")
    func kinds() async throws {
        let seen = Lock<[JSONValue]>([])
        let server = TestServer.answering { request in
            if let event = try? JSONValue.parse(request.body) { seen.withLock { $0.append(event) } }
            return (200, [], "")
        }
        let hook = "http://:\(server.port)/bye"
        _ = await call(server, notice(hook, withdrawn: true))
        _ = await call(server, notice(hook, isShortened: true))
        let events = seen.withLock { $0 }
        #expect(events.map { $0["type"]?.stringValue } == ["updraft.pod.shutdown.withdrawn", "updraft.pod.shutdown"])
        #expect(
            events.map { $0["id"]?.stringValue } == ["r1/u/withdrawn", "r1/u/\(HookTests.deadline.rfc3339)"])
    }

    @Test("an answer in the reply counts; any other reply is just a delivery")
    func replies() async {
        #expect(await call(replying(200, #"{"answer":"done"}"#)) == .delivered(answer: .done))
        #expect(
            await call(replying(200, #"{"answer":"extend","seconds":30}"#)) == .delivered(answer: .extend(.seconds(30)))
        )
        for body in ["", "OK", "{", #"{"status":"ok"}"#, "[1,2,3]", #"{"answer":null}"#, #"{"answer":7}"#] {
            #expect(await call(replying(200, body)) == .delivered(answer: nil), "\(body)")
        }
        let long = String(repeating: " ", count: 40 << 10)
        #expect(await call(replying(200, #"{"answer":"done"}"# + long)) == .delivered(answer: .done))
        for body in [
            #"{"answer":"perhaps"}"#, #"{"answer":"extend"}"#, #"{"answer":"extend","seconds":-1}"#,
            #"{"answer":"extend","seconds":"30"}"#,
        ] {
            guard case .garbled = await call(replying(200, body)) else {
                Issue.record("\(body) was taken")
                continue
            }
        }
    }

    @Test("a redirect is not followed, and not tried again")
    func redirect() async {
        let elsewhere = replying(200)
        for status in [301, 302, 307, 308] {
            let outcome = await call(replying(status, headers: [("Location", "\(elsewhere.url)/stolen")]))
            #expect(outcome == .failed("the hook answered \(status); redirects are not followed", isRetriable: false))
        }
        #expect(elsewhere.connections == 0)
    }

    @Test("a status that is no success is tried again", arguments: [400, 404, 429, 500, 503])
    func failing(status: Int) async {
        #expect(await call(replying(status)) == .failed("the hook answered \(status)", isRetriable: true))
    }

    @Test("one that never answers, and one that drips, end at the timeout")
    func slow() async {
        let silent = TestServer { connection in
            _ = connection.readRequest()
            _ = connection.readRequest()
        }
        #expect(
            await call(silent, timeout: .milliseconds(300))
                == .failed("the hook did not answer: timedOut", isRetriable: true))
        // It would go on for ever: that the call ends, and how, is the proof.
        let dripping = TestServer { connection in
            _ = connection.readRequest()
            connection.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".utf8))
            while connection.write([UInt8(ascii: "x")]) { usleep(20_000) }
        }
        #expect(
            await call(dripping, timeout: .milliseconds(300))
                == .failed("the hook did not answer: timedOut", isRetriable: true))
    }

    @Test("ten megabytes are not read, and not asked for again")
    func large() async {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n".utf8))
            let chunk = [UInt8](repeating: 32, count: 65_536)
            for _ in 0..<160 where !connection.write(chunk) { return }
        }
        #expect(await call(server) == .garbled("the hook replied more than 64 KiB"))
        let failing = TestServer { connection in
            _ = connection.readRequest()
            connection.write(Array("HTTP/1.1 503 Sorry\r\nContent-Length: 10485760\r\n\r\n".utf8))
            let chunk = [UInt8](repeating: 32, count: 65_536)
            for _ in 0..<160 where !connection.write(chunk) { return }
        }
        #expect(await call(failing) == .failed("the hook answered 503", isRetriable: true))
    }

    @Test("a pod that has no address yet is called again")
    func withoutAddress() async {
        var early = notice("http://:8080/bye")
        early.pod.ip = nil
        let outcome = await call(replying(200), early)
        #expect(outcome == .failed("the pod has no address yet", isRetriable: true))
    }

    @Test("one that closes, one that is not there, and one that speaks no HTTP are tried again")
    func broken() async {
        let closing = TestServer { connection in _ = connection.readRequest() }
        let babbling = TestServer { connection in
            _ = connection.readRequest()
            connection.write(Array("SSH-2.0-OpenSSH_9.2\r\n\r\n".utf8))
        }
        for server in [closing, babbling] {
            guard case .failed(_, isRetriable: true) = await call(server) else {
                Issue.record("it was delivered")
                continue
            }
        }
        let port = closing.port
        let gone = notice("http://:\(port == 1 ? 2 : 1)/")
        #expect(await call(closing, gone) == .failed("the hook did not answer: refused", isRetriable: true))
    }

    @Test("https that proves nothing is refused unless policy says so")
    func tls() async throws {
        let certificates = try #require(Certificates())
        let server = try #require(OpenSSLServer(certificates))
        let port = try #require(server.url.split(separator: ":").last)
        func outcome(_ tls: TLSSettings) async -> DeliveryOutcome {
            let door = HookDoor(
                tls: tls, timeout: .seconds(20), foreignHosts: [], maximumInFlight: 4, userAgent: "test")
            let outcome = await door.call(
                notice("https://:\(port)/bye"), cluster: "prod", token: "t", answerURL: nil, isDryRun: false)
            await door.close()
            return outcome
        }
        // Once a certificate is issued by an authority that is trusted, the same hook works.
        #expect(await outcome(TLSSettings()) == .failed("the hook did not answer: tls", isRetriable: true))
        let other = TLSSettings(caFile: certificates.path("other.pem"))
        #expect(await outcome(other) == .failed("the hook did not answer: tls", isRetriable: true))
        for trusting in [TLSSettings(caFile: certificates.path("ca.pem")), TLSSettings(insecureSkipVerify: true)] {
            let result = await outcome(trusting)
            // The test's server knows GET only: it is enough that it was reached.
            #expect(result != .failed("the hook did not answer: tls", isRetriable: true), "\(result)")
        }
    }

    @Test("a dry run calls nobody")
    func dryRun() async {
        let server = replying(200)
        #expect(await call(server, isDryRun: true) == .delivered(answer: nil))
        #expect(server.connections == 0)
    }
}
