import Bus
import Kubernetes
import Messages
import Support

/// `updraft status`: groups, pods without a node, nodes under removal, last decisions.
enum StatusCommand {
    static let usage = Usage(
        name: "status", words: "", count: 0...0,
        about: """
            Prints the node groups (size, desired, limits, what bound them, whether they are busy, paused or have a problem), the
            pods without a node and what becomes of them, the nodes under removal with their phase and how long their
            cooldown still lasts, and the decisions of the last day.
            The active Decider is asked over the bus; with a kubeconfig the removals are read from the nodes themselves, also
            when no Decider answers.
            """,
        flags: SuiteLink.flags + [ClusterAccess.flag, SuiteLink.timeoutFlag("10s"), SuiteLink.jsonFlag],
        exitCodes: "0 all was asked; 1 no Decider answered, or no broker; 2 wrong usage or configuration.")

    static func run(_ arguments: [String]) async -> Int32 {
        await usage.run(arguments) { (read) async throws(CommandError) in
            let timeout = try SuiteLink.timeout(read, .seconds(10))
            let link = try await SuiteLink(read)
            let client = try ClusterAccess.client(read, link.settings)
            let status = try await status(link, client, within: timeout)
            await client?.close()
            Terminal.line(read.switches.contains("--json") ? status.json : status.text)
            return status.deciderAnswered ? 0 : 1
        }
    }

    static func status(
        _ link: SuiteLink, _ client: KubernetesClient?, within timeout: Interval
    ) async throws(CommandError) -> ClusterStatus {
        var status = ClusterStatus(cluster: link.cluster, at: .now())
        do throws(CommandError) {
            let (view, answer) = try await Question.ask(
                link, EvaluationRequested.Subject(.cluster), within: timeout)
            status.at = .now()
            status.take(answer, view)
        } catch {
            status.notes.append(error.text)
        }
        if let client {
            do throws(KubernetesError) {
                // (One that cannot be decoded hides none of the others.)
                _ = try await client.list(NodeObject.self) { page in
                    status.take(
                        removals: page.items.compactMap { object in
                            object.node.annotations[RemovalNames.record].map { (object.node.name, $0) }
                        })
                    for error in page.rejected { status.notes.append("a node cannot be decoded: \(error)") }
                }
            } catch {
                status.notes.append("the Kubernetes API cannot be asked: \(error.description)")
            }
        }
        do throws(CommandError) {
            try await History.read(link, since: status.at - .minutes(24 * 60)) {
                status.take(($0.at, $0.event, $0.isTrusted))
            }
        } catch {
            status.notes.append("no decisions of before: \(error.text)")
        }
        return status
    }
}

/// The history of the cluster, for commands.
enum History {
    static func read(
        _ link: SuiteLink, since: Timestamp? = nil, _ body: (HistoryEntry) -> Void
    ) async throws(CommandError) {
        let bus: Bus
        do throws(BusError) {
            bus = try Bus(link.forBus)
        } catch {
            throw CommandError(error.description)
        }
        let result: Result<Void, CommandError>
        do throws(BusError) {
            try await Progress.during("reading the history") { () async throws(BusError) in
                try await bus.history(since: since, body)
            }
            result = .success(())
        } catch {
            result = .failure(CommandError(error.text))
        }
        await bus.close(within: .seconds(1))
        try result.get()
    }
}
