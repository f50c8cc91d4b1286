import Kubernetes
import Messages

/// `updraft timeline NODE`: every step of a node's life, with its duration.
enum TimelineCommand {
    static let usage = Usage(
        name: "timeline", words: "NODE", count: 1...1,
        about: """
            Prints how the node came, and each of its removals step by step with durations: decided, cordoned, noticed,
            quiesced, drained, removing, completed (or failed, and why). It works for nodes that are gone: decisions and what became of
            them are kept in the stream updraft.<cluster>.history for 14 days, at most 64 MiB; reading takes nothing away.
            With a kubeconfig, also the record on the Node and its Kubernetes Events, while they live.
            """,
        flags: SuiteLink.flags + [ClusterAccess.flag, SuiteLink.jsonFlag],
        exitCodes: "0 something is known of the node; 1 nothing is, or no broker; 2 wrong usage or configuration.")

    static func run(_ arguments: [String]) async -> Int32 {
        await usage.run(arguments) { (read) async throws(CommandError) in
            let link = try await SuiteLink(read)
            let client = try ClusterAccess.client(read, link.settings)
            let timeline = await timeline(of: read.words[0], link, client)
            await client?.close()
            Terminal.line(read.switches.contains("--json") ? timeline.json : timeline.text)
            return timeline.isEmpty ? 1 : 0
        }
    }

    static func timeline(of node: String, _ link: SuiteLink, _ client: KubernetesClient?) async -> NodeTimeline {
        var timeline = NodeTimeline(node: node)
        do throws(CommandError) {
            try await History.read(link) { timeline.take(at: $0.at, $0.event, isTrusted: $0.isTrusted) }
        } catch {
            timeline.notes.append("the history cannot be read: \(error.text)")
        }
        guard let client else { return timeline }
        do throws(KubernetesError) {
            let object = try await client.get(NodeObject.self, node)
            if let text = object.node.annotations[RemovalNames.record] {
                do throws(MessageError) {
                    timeline.take(try RemovalRecord(text: text))
                } catch {
                    timeline.notes.append("the record on the Node cannot be read: \(error.description)")
                }
            }
        } catch {
            if error.code != .notFound { timeline.notes.append("the Node cannot be read: \(error.description)") }
        }
        do throws(KubernetesError) {
            timeline.take(try await client.events(aboutNode: node))
        } catch {
            timeline.notes.append("the Kubernetes Events cannot be read: \(error.description)")
        }
        return timeline
    }
}
