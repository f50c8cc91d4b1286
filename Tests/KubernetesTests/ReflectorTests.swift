import HTTPServer
import Kubernetes
import Support
import Testing

@Suite("Reflector against a scripted server", .timeLimit(.minutes(6)))
struct ReflectorTests {
    /// What a reflector of namespaces tells, as short words, until `enough` says so.
    private func words(
        _ client: KubernetesClient, until enough: @escaping @Sendable ([String]) -> Bool
    ) async -> [String] {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        let reflector = Reflector<NamespaceObject>(
            client, limit: 2, backoff: Backoff(first: .milliseconds(5), cap: .milliseconds(20)))
        let task = Task {
            await reflector.run { event in
                let word: String
                switch event {
                case .listing: word = "listing"
                case .page(let items): word = "page(\(items.map(\.meta.name).joined(separator: ",")))"
                case .listed: word = "listed"
                case .upserted(let object): word = "+\(object.meta.name)"
                case .deleted(let object): word = "-\(object.meta.name)"
                case .watching: word = "watching"
                case .rejected: word = "rejected"
                case .failed(let error, _): word = "failed(\(error.label))"
                }
                continuation.yield(word)
            }
            continuation.finish()
        }
        var words: [String] = []
        for await word in stream {
            words.append(word)
            if enough(words) { break }
        }
        task.cancel()
        await task.value
        return words
    }

    private static func list(_ names: [String], version: Int, next: String = "") -> ServerReply {
        let items = names.map { #"{"metadata":{"name":"\#($0)","resourceVersion":"1"}}"# }.joined(separator: ",")
        return ScriptedServer.json(
            #"{"metadata":{"resourceVersion":"\#(version)","continue":"\#(next)"},"items":[\#(items)]}"#)
    }

    private static func event(_ type: String, _ name: String, _ version: Int) -> String {
        #"{"type":"\#(type)","object":{"metadata":{"name":"\#(name)","resourceVersion":"\#(version)"}}}"#
    }

    @Test("pages, changes, a bookmark; the connection ends and the watch goes on from the bookmark")
    func ordinary() async throws {
        let server = try ScriptedServer { request, _ in
            guard request[query: "watch"] == "1" else {
                return request[query: "continue"] == "more"
                    ? Self.list(["c"], version: 10) : Self.list(["a", "b"], version: 10, next: "more")
            }
            switch request[query: "resourceVersion"] {
            case "10":
                return ScriptedServer.watch(
                    [
                        Self.event("ADDED", "d", 11), Self.event("MODIFIED", "a", 12), "not json",
                        Self.event("DELETED", "b", 13), Self.event("BOOKMARK", "", 20),
                    ], ends: true)
            default: return ScriptedServer.watch([Self.event("ADDED", "e", 21)], ends: false)
            }
        }
        let words = await words(server.client()) { $0.last == "+e" }
        #expect(
            words == [
                "listing", "page(a,b)", "page(c)", "listed", "watching", "+d", "+a", "rejected", "-b", "watching", "+e",
            ])
        let watches = server.requests.filter { $0[query: "watch"] == "1" }
        #expect(watches.map { $0[query: "resourceVersion"] } == ["10", "20"])
        #expect(watches.allSatisfy { $0[query: "allowWatchBookmarks"] == "true" })
    }

    @Test("410 as an ERROR event inside a 200: list again")
    func expiredInside() async throws {
        let gone = #"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#
        let server = try ScriptedServer { request, _ in
            guard request[query: "watch"] == "1" else {
                return request[query: "limit"] == "2" ? Self.list(["a"], version: 10) : Self.list([], version: 0)
            }
            return ScriptedServer.watch([gone], ends: true)
        }
        let words = await words(server.client()) { $0.count { $0 == "listed" } == 2 }
        #expect(
            words == ["listing", "page(a)", "listed", "watching", "failed(gone)", "listing", "page(a)", "listed"])
    }

    @Test("410 to a page and to a watch, 500, a broken line: it goes on")
    func troubles() async throws {
        let server = try ScriptedServer { request, number in
            switch number {
            case 0: Self.list(["a"], version: 10, next: "more")
            case 1: ScriptedServer.status(410, "Expired")
            case 2: ScriptedServer.status(500, "InternalError")
            case 3: Self.list(["a"], version: 11)
            case 4: ScriptedServer.status(503, "ServiceUnavailable")
            case 5: ScriptedServer.status(410, "Gone")
            case 6: Self.list(["b"], version: 12)
            default: ScriptedServer.watch([Self.event("ADDED", "c", 13)], ends: false)
            }
        }
        let words = await words(server.client()) { $0.last == "+c" }
        #expect(
            words == [
                "listing", "page(a)", "failed(gone)", "failed(server)", "listing", "page(a)", "listed",
                "failed(server)", "failed(gone)", "listing", "page(b)", "listed", "watching", "+c",
            ])
    }

    @Test("a missing right is told and asked for again")
    func forbidden() async throws {
        let server = try ScriptedServer { _, number in
            number < 2
                ? ScriptedServer.status(403, "Forbidden", "cannot list resource namespaces") : Self.list([], version: 1)
        }
        let words = await words(server.client()) { $0.last == "listed" }
        #expect(words == ["failed(forbidden)", "failed(forbidden)", "listing", "page()", "listed"])
    }
}
