import Bus
import FoundationEssentials
import Glibc
import JSONReader
import Messages
import Support
import Testing

/// What others hear of a removal.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct RemovalStoryTests {
    /// A notification as an oslo endpoint was given it.
    private struct Heard {
        var type: String
        var publisher: String
        var payload: JSONValue
    }

    @Test("an unmodified oslo.messaging listener hears a whole removal from a live Actuator, each step")
    func listener() async throws {
        let url = try #require(TestBroker.transportURL)
        try await ReplicaStage.with("actuator", names: ["a"]) { stage in
            // Its exchange is there first.
            try await eventually("it acts") { try await stage.isActive("a") }
            let output = "\(stage.folder)/listener"
            func lines() -> [String] {
                ((try? String(contentsOfFile: output, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
            }
            func heard() throws -> [Heard] {
                try lines().filter { $0.hasPrefix("{") }.map { line in
                    let value = try JSONValue.parse(Array(line.utf8))
                    return Heard(
                        type: value["event_type"]?.stringValue ?? "",
                        publisher: value["publisher_id"]?.stringValue ?? "",
                        payload: value["payload"] ?? .null)
                }
            }
            func first(_ type: String) throws -> Heard? { try heard().first { $0.type == "updraft.\(type)" } }
            let listener = try Command.spawn(
                [
                    "/usr/bin/python3", "\(TestBroker.repository)/Tests/IntegrationTests/oslo/peer.py", "listen", url,
                    "updraft", "updraft.\(stage.cluster).lifecycle", "999",
                ], output: output)
            defer {
                kill(listener, SIGKILL)
                waitpid(listener, nil, 0)
            }
            try await eventually("it listens") { lines().contains("READY") }
            try await stage.decide(from: 1, to: 2)
            try await eventually("a node is ready") {
                try first("node.ready") != nil && first("scale.completed") != nil
            }
            let arrival = try #require(try first("node.ready")?.payload["arrival"])
            let target = RemovalTarget(
                node: arrival["node"]?.stringValue ?? "", nodeUID: arrival["nodeUID"]?.stringValue ?? "",
                serverID: arrival["serverID"]?.stringValue ?? "", reason: Explanation(.nodeUnneeded, "for a test"))
            try await stage.publish(
                RemovalDecided(
                    cluster: stage.cluster, id: "r1", group: "workers", from: 2, nodes: [target], decidedAt: .now(),
                    deadline: .now() + .seconds(60)))
            try await eventually("it is cordoned") { try first("removal.cordoned") != nil }
            // The test is the Notifier; no pod is there that could be told.
            var progress = RemovalProgress(
                id: "r1", group: "workers", node: target.node, nodeUID: target.nodeUID, serverID: target.serverID,
                reason: target.reason, deadline: .now() + .seconds(5), at: .now(), phase: .cordoned)
            try await stage.publish(RemovalNoticed(cluster: stage.cluster, removal: progress))
            progress.reason = Explanation(.nothingToTell, "no pod has to move")
            try await stage.publish(RemovalQuiesced(cluster: stage.cluster, removal: progress))
            try await eventually("it is complete") { try first("removal.completed") != nil }

            var steps: [String] = []
            let story = try heard().filter { $0.type.hasPrefix("updraft.removal.") }
            for step in story where !steps.contains(step.type) { steps.append(step.type) }
            #expect(
                steps.map { $0.dropFirst("updraft.removal.".count) } == [
                    "cordoned", "noticed", "quiesced", "drained", "committed", "completed",
                ])
            for step in story {
                #expect(step.payload["schema"]?.intValue == 1, "\(step)")
                #expect(step.payload["cluster"]?.stringValue == stage.cluster, "\(step)")
                #expect(step.payload[path: "removal", "node"]?.stringValue == target.node, "\(step)")
            }
            let committed = try #require(try first("removal.committed"))
            #expect(committed.publisher.hasPrefix("updraft-actuator."))
            #expect(committed.payload[path: "removal", "phase"]?.stringValue == "removing")
            #expect(committed.payload[path: "removal", "calledAt"] != nil)
        }
    }
}
