import FoundationEssentials
import HTTPClient
import HTTPServer
import JSONReader
import Messages
import Support
import TestServer
import Testing

@testable import Notifier

@Suite("Hooks and answers")
struct AnswerTests {
    func pod(_ hook: String, ip: String? = "10.0.0.7") -> NodePod {
        NodePod(
            name: "web", uid: "u", node: "n", ip: ip, ports: [.init(name: "admin", number: 9_000)],
            annotations: [RemovalNames.shutdownHook: hook])
    }

    @Test(
        "a hook without a host is the pod itself",
        arguments: [
            ("http://:8080/bye", "http://10.0.0.7:8080/bye"), ("https://:8443", "https://10.0.0.7:8443/"),
            ("http://:admin/x?y=1", "http://10.0.0.7:9000/x?y=1"), ("http://:80?y", "http://10.0.0.7:80/?y"),
        ])
    func own(hook: String, url: String) throws {
        #expect(try HookAddress.url(of: pod(hook), foreignHosts: []) == url)
    }

    @Test("an IPv6 address stands in brackets")
    func ipv6() throws {
        #expect(
            try HookAddress.url(of: pod("http://:80/", ip: "fd00::1"), foreignHosts: []) == "http://[fd00::1]:80/")
    }

    @Test(
        "what leads nowhere is named",
        arguments: [
            "ftp://:21/", ":8080/x", "http://:0/", "http://:99999/", "http://:nobody/", "http://:80/a b",
            "http://user:secret@host/", "",
        ])
    func mistakes(hook: String) {
        #expect(throws: HookAddress.Mistake.self) { try HookAddress.url(of: pod(hook), foreignHosts: [Glob("*")]) }
    }

    @Test("a pattern of hosts opens what it matches, and never the Notifier's own machine")
    func hosts() throws {
        func isAllowed(_ hook: String, _ hosts: String...) -> Bool {
            (try? HookAddress.url(of: pod(hook), foreignHosts: hosts.map { Glob($0) })) != nil
        }
        #expect(isAllowed("https://a.apps.example.org:8443/x", "*.apps.example.org"))
        #expect(isAllowed("https://A.Apps.Example.ORG/x", "*.apps.example.org"))
        #expect(isAllowed("http://10.1.2.3/x", "10.1.*"))
        #expect(isAllowed("http://[fd00::1]:80/x", "*"))
        #expect(!isAllowed("https://apps.example.org.evil.net/x", "*.apps.example.org"))
        #expect(!isAllowed("https://evil.net/.apps.example.org", "*.apps.example.org"))
        #expect(!isAllowed("https://evil.net#.apps.example.org", "*.apps.example.org"))
        #expect(!isAllowed("https://evil.net\\.apps.example.org/", "*.apps.example.org"))
        #expect(!isAllowed("https://user@a.apps.example.org/", "*.apps.example.org"))
        let own = [
            "127.0.0.1", "localhost", "api.localhost", "169.254.169.254", "0.0.0.0", "2130706433", "0x7f.1", "127.1",
            "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "[::]", "127.0.0.1.", "localhost.",
            "api.localhost.",
        ]
        for host in own {
            #expect(!isAllowed("http://\(host)/latest", "*"), "\(host)")
            #expect(!isAllowed("http://\(host):80/latest", "*", "10.*"), "\(host)")
        }
        #expect(isAllowed("http://127.0.0.1:9000/x", "127.0.0.1"))
    }

    @Test("another host only where the configuration says so")
    func foreign() throws {
        #expect(
            try HookAddress.url(of: pod("http://gateway.local/x"), foreignHosts: [Glob("*")])
                == "http://gateway.local/x")
        #expect(throws: HookAddress.Mistake.self) {
            try HookAddress.url(of: pod("http://gateway.local/x"), foreignHosts: [])
        }
    }

    @Test("a token is good for one pod and one removal, and is the same in every replica")
    func tokens() {
        let tokens = AnswerTokens("of the installation")
        let token = tokens.token(removal: "r1", podUID: "u1")
        #expect(token == AnswerTokens("of the installation").token(removal: "r1", podUID: "u1"))
        #expect(token != AnswerTokens("of another").token(removal: "r1", podUID: "u1"))
        #expect(tokens.isValid(token, removal: "r1", podUID: "u1"))
        #expect(!tokens.isValid(token, removal: "r1", podUID: "u2"))
        #expect(!tokens.isValid(token, removal: "r2", podUID: "u1"))
        #expect(!tokens.isValid("", removal: "r1", podUID: "u1"))
        #expect(!tokens.isValid("zz", removal: "r1", podUID: "u1"))
        #expect(!tokens.isValid(String(token.dropLast(2)), removal: "r1", podUID: "u1"))
        // Rotating keys: what the old one made is good as long as it is known.
        let rotated = AnswerTokens("a new one", ["of the installation"])
        #expect(rotated.token(removal: "r1", podUID: "u1") != token)
        #expect(rotated.isValid(token, removal: "r1", podUID: "u1"))
        #expect(!AnswerTokens("a new one").isValid(token, removal: "r1", podUID: "u1"))
    }

    @Test("answers as words")
    func words() {
        #expect(AnswerWord("done") == .done)
        #expect(AnswerWord("extend=30") == .extend(.seconds(30)))
        #expect(AnswerWord("extend=-1") == nil)
        #expect(AnswerWord("extend=1e99") == nil)
        #expect(AnswerWord("extend") == nil)
        #expect(AnswerWord("Done ") == nil)
        #expect(AnswerWord("extend", seconds: nil) == nil)
        #expect(AnswerWord(AnswerWord.extend(.seconds(12)).text) == .extend(.seconds(12)))
    }

    @Test("over HTTP: what is accepted, and what each mistake gets")
    func server() async throws {
        let heard = Lock<[String]>([])
        let server = try AnswerServer(host: "127.0.0.1", port: 0, advertised: "http://notifier/") {
            removal, podUID, word, token in
            heard.withLock { $0.append("\(removal) \(podUID) \(word.text) \(token)") }
            switch token {
            case "right":
                return .verdict(AnswerReceipt(verdict: .accepted, deadline: Timestamp(seconds: 1_800_000_000)))
            case "standby": return .forwarded
            case "nobody": return .lost
            case "held": return .verdict(AnswerReceipt(verdict: .irrevocable))
            default: return .verdict(AnswerReceipt(verdict: .forged))
            }
        }
        let http = HTTPClient(userAgent: "test")
        func post(_ body: String, token: String? = nil, method: HTTPMethod = .post) async throws -> HTTPResponse {
            var headers: HTTPHeaders = [:]
            if let token { headers["Authorization"] = "Bearer \(token)" }
            let url = try #require(server.url(removal: "r/1", podUID: "u 1"))
            #expect(url == "http://notifier/answers/r%2F1/u%201")
            let path = url.dropFirst("http://notifier".count)
            return try await http.send(
                HTTPRequest(
                    method, "http://127.0.0.1:\(server.port)\(path)", headers: headers,
                    body: method == .get ? nil : Array(body.utf8)))
        }
        #expect(try await post(#"{"answer":"done"}"#, token: "right").status == 200)
        #expect(try await post(#"{"answer":"extend","seconds":5,"token":"right"}"#).status == 200)
        #expect(try await post(#"{"answer":"done"}"#, token: "wrong").status == 401)
        #expect(try await post(#"{"answer":"done"}"#).status == 401)
        #expect(try await post(#"{"answer":"done"}"#, token: "standby").status == 202)
        #expect(try await post(#"{"answer":"done"}"#, token: "nobody").status == 503)
        #expect(try await post(#"{"answer":"perhaps"}"#, token: "right").status == 400)
        #expect(try await post("not json", token: "right").status == 400)
        #expect(try await post("", token: "right", method: .get).status == 405)
        #expect(try await post(String(repeating: "x", count: 100_000), token: "right").status == 413)
        let held = try await post(#"{"answer":"refuse"}"#, token: "held")
        #expect(held.status == 409)
        #expect(
            held.text
                == #"{"verdict":"irrevocable","reason":"somebody else takes the machine away, and nobody here can keep it"}"#
        )
        #expect(
            heard.withLock { $0 } == [
                "r/1 u 1 done right", "r/1 u 1 extend=5 right", "r/1 u 1 done wrong", "r/1 u 1 done standby",
                "r/1 u 1 done nobody", "r/1 u 1 refuse held",
            ])
        server.stop()
        await http.close()
    }

    @Test("a pod is told a URL only where one may lead to the Notifier")
    func urls() throws {
        func url(_ host: String, _ advertised: String?) throws -> String? {
            let server = try AnswerServer(host: host, port: 0, advertised: advertised) { _, _, _, _ in .lost }
            defer { server.stop() }
            // Pods elsewhere would post to themselves: the service warns.
            #expect(server.leadsToReader == (advertised?.contains("//127.") ?? false))
            #expect(server.hasURL == (server.url(removal: "r1", podUID: "u1") != nil))
            return server.url(removal: "r1", podUID: "u1")
        }
        #expect(try url("127.0.0.1", nil) == nil)
        #expect(try url("0.0.0.0", nil) == nil)
        #expect(try url("0.0.0.0", "https://notifier.example.org/") == "https://notifier.example.org/answers/r1/u1")
        // Whoever says it himself may have pods on this machine.
        #expect(try url("127.0.0.1", "http://127.0.0.1:9480") == "http://127.0.0.1:9480/answers/r1/u1")
        for (text, host) in [
            ("http://127.0.0.1:9480", "127.0.0.1"), ("https://user@[::1]:9480/x", "::1"),
            ("http://n.example.org/", "n.example.org"),
        ] {
            #expect(AnswerServer.host(of: text) == host)
        }
        for host in ["127.8.9.1", "::1", "::", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost"] {
            #expect(!AnswerServer.isReachable(host), "\(host)")
        }
        for host in ["10.0.0.1", "192.168.127.1", "fd00::1", "2001:db8::10:1", "::ffff:10.0.0.1"] {
            #expect(AnswerServer.isReachable(host), "\(host)")
        }
    }

    @Test("with a certificate the tokens of answers travel encrypted, and nothing else is taken")
    func encrypted() async throws {
        let certificates = try #require(Certificates())
        let tls = ServerTLS(
            certificateFile: certificates.path("server.pem"), keyFile: certificates.path("server.key"))
        let server = try AnswerServer(host: "127.0.0.1", port: 0, advertised: nil, tls: tls) { _, _, _, token in
            .verdict(AnswerReceipt(verdict: token == "right" ? .accepted : .forged))
        }
        defer { server.stop() }
        func post(_ scheme: String, trusts file: String?) async throws -> Int {
            let http = HTTPClient(tls: TLSSettings(caFile: file), userAgent: "test")
            let request = HTTPRequest(
                .post, "\(scheme)://127.0.0.1:\(server.port)/answers/r1/u1",
                headers: ["Authorization": "Bearer right"], body: Array(#"{"answer":"done"}"#.utf8), retry: .none)
            let answer: Result<HTTPResponse, HTTPError>
            do throws(HTTPError) { answer = .success(try await http.send(request)) } catch { answer = .failure(error) }
            await http.close()
            return try answer.get().status
        }
        #expect(try await post("https", trusts: certificates.path("ca.pem")) == 200)
        await #expect(throws: HTTPError.self) { _ = try await post("https", trusts: certificates.path("other.pem")) }
        await #expect(throws: HTTPError.self) { _ = try await post("http", trusts: nil) }
        // What pods are told says so, where they are told an address.
        let open = try AnswerServer(host: "0.0.0.0", port: 0, advertised: "https://notifier:9480", tls: tls) {
            _, _, _, _ in .lost
        }
        defer { open.stop() }
        #expect(open.url(removal: "r1", podUID: "u1")?.hasPrefix("https://notifier:9480/") == true)
    }

    @Test("a hook is sent a CloudEvent, whose id is the same however often it is sent")
    func cloudEvent() throws {
        let notice = Notice(
            removal: "r1", node: "n1", serverID: "s", pod: pod("http://:80/"), reason: Explanation(.nodeUnneeded),
            deadline: Timestamp(seconds: 1_800_000_060))
        let payload = PodShutdown(notice, cluster: "prod", token: "t", answerURL: "http://a/answers/r1/u")
        let bytes = Array(
            try JSONEncoder().encode(CloudEvent.shutdown(payload, of: notice, at: Timestamp(seconds: 1_800_000_000))))
        let event = try JSONValue.parse(bytes)
        #expect(event["specversion"]?.stringValue == "1.0")
        #expect(event["id"]?.stringValue == "r1/u")
        #expect(event["type"]?.stringValue == "updraft.pod.shutdown")
        #expect(event["subject"]?.stringValue == "default/web")
        #expect(event[path: "data", "node"]?.stringValue == "n1")
        #expect(event[path: "data", "token"]?.stringValue == "t")
    }

    @Test("what was told is found again in the annotation, for the same removal only")
    func recorded() {
        let notice = Notice(
            removal: "r1", node: "n1", serverID: "s", pod: pod("http://:80/"), reason: Explanation(.nodeUnneeded),
            deadline: Timestamp(seconds: 1_800_000_060),
            outcomes: [.hook: "told", .gate: "failed: 403", .bus: "told"], answer: .extend(.seconds(30)))
        let text = notice.record
        #expect(text == "r1 gate=failed hook=told bus=told answer=extend=30")
        let marks = NoticeMarks(text, removal: "r1")
        #expect(marks?.told == ["hook", "bus"])
        #expect(marks?.answer == "extend=30")
        #expect(NoticeMarks(text, removal: "r2") == nil)
        #expect(NoticeMarks("", removal: "r1") == nil)
        #expect(NoticeMarks([:], removal: "r1") == nil)
        #expect(NoticeMarks("r1 = told hook answer", removal: "r1") == NoticeMarks())
    }
}
