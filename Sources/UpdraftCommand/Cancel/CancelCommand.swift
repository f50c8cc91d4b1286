import Bus
import Decider
import Kubernetes
import Messages
import Support

/// `updraft cancel NODE`: takes a node back that is under removal.
enum CancelCommand {
    static let usage = Usage(
        name: "cancel", words: "NODE", count: 1...1,
        about: """
            Takes a node back that is under removal: it becomes schedulable again and its pods are told that it stays. The
            Actuator does so up to the moment in which Heat is called; after that it is too late, and this says so; likewise if
            somebody else (an alarm on a policy, an operator, Nova) takes the machine away. The command is signed with the
            first key of the configuration (bus.keys), as the services' are, so the same configuration is needed. Waits for the outcome and prints it.
            The Decider may choose the node again later; the annotation cluster-autoscaler.kubernetes.io/scale-down-disabled=true keeps it for good.
            """,
        flags: SuiteLink.flags + [
            ClusterAccess.flag, Usage.Flag("--reason", "TEXT", "why, for the record"),
            SuiteLink.timeoutFlag("60s"), SuiteLink.jsonFlag,
        ],
        exitCodes: """
            0 taken back; 1 not: it is not under removal, it was too late, nobody acted, or no broker;
            2 wrong usage or configuration.
            """)

    static func run(_ arguments: [String]) async -> Int32 {
        await usage.run(arguments) { (read) async throws(CommandError) in
            let timeout = try SuiteLink.timeout(read, .seconds(60))
            let why = String((read.value("--reason") ?? "asked for by an operator").prefix(500))
            let link = try await SuiteLink(read)
            let client = try ClusterAccess.client(read, link.settings)
            let outcome = try await cancel(read.words[0], why, link, client, within: timeout)
            await client?.close()
            Terminal.line(read.switches.contains("--json") ? outcome.json : outcome.text)
            return outcome.isTakenBack ? 0 : 1
        }
    }

    static func cancel(
        _ node: String, _ why: String, _ link: SuiteLink, _ client: KubernetesClient?, within timeout: Interval
    ) async throws(CommandError) -> CancelOutcome {
        let record = try await record(of: node, link, client, within: timeout)
        if let outcome = CancelOutcome(withoutAsking: node, record) { return outcome }
        let command = RemovalCancelled(
            cluster: link.cluster, id: record.id, nodes: [node], reason: Explanation(.cancelledByOperator, why),
            decidedAt: .now())
        let watch = CancelWatch(node: node, removal: record.id)
        return try await Hearing.run(link, topics: [.lifecycle]) { (hearing) async throws(CommandError) in
            var isSent = false
            let begun = ContinuousClock.now
            var toldAt = begun
            for await heard in hearing.heard {
                switch heard {
                case .connected:
                    // Only now: the outcome must not be missed.
                    if isSent { continue }
                    isSent = true
                    try await send(command, hearing.bus)
                case .disconnected(let problem): Terminal.complaint("… no connection to the broker: \(problem)")
                case .message(let incoming):
                    if let outcome = watch.outcome(of: incoming.event) { return outcome }
                case .tick: break
                }
                let waited = ContinuousClock.now - begun
                if waited > timeout.duration { break }
                if waited > .seconds(2), ContinuousClock.now - toldAt > .seconds(5) {
                    toldAt = .now
                    Terminal.complaint("… waiting for the Actuator (\(waited.components.seconds) s)")
                }
            }
            return CancelOutcome(
                node: node, removal: record.id, kind: .unanswered,
                detail:
                    "the command was \(isSent ? "published" : "not published"), and nothing came of it within \(timeout): "
                    + (link.signs
                        ? "is the Actuator running, and does it have this key?"
                        : "is the Actuator running? If it wants signed commands, this configuration lacks the key (bus.keys).")
            )
        }
    }

    private static func send(_ command: RemovalCancelled, _ bus: Bus) async throws(CommandError) {
        do throws(BusError) {
            let id = try await bus.publish(command)
            // For the timeline; a broker without a history is none the worse.
            _ = try? await bus.remember(command, id: id)
        } catch {
            throw CommandError("the command was not delivered: \(error.description)")
        }
    }

    /// The record of the node's removal: from the node itself, else as the Decider knows it, asked for up to `timeout`.
    private static func record(
        of node: String, _ link: SuiteLink, _ client: KubernetesClient?, within timeout: Interval
    ) async throws(CommandError) -> RemovalRecord {
        var text: String?
        if let client {
            do throws(KubernetesError) {
                text = try await client.get(NodeObject.self, node).node.annotations[RemovalNames.record]
            } catch {
                guard error.code != .notFound else { throw CommandError("there is no node \(node)") }
                throw CommandError("the Kubernetes API cannot be asked: \(error.description)")
            }
        } else {
            let (_, answer) = try await Question.ask(
                link, EvaluationRequested.Subject(.node, node), within: timeout)
            guard answer.isKnown else {
                let near = answer.near.isEmpty ? "" : "; did you mean \(answer.near.joined(separator: ", "))?"
                throw CommandError("the Decider knows no node \(node)\(near)")
            }
            text = answer.removals?.first?.record
        }
        guard let text else { throw CommandError("node \(node) is not under removal") }
        do throws(MessageError) {
            return try RemovalRecord(text: text)
        } catch {
            throw CommandError("the record of node \(node) cannot be read: \(error.description)")
        }
    }
}
