import Bus
import Decider
import FoundationEssentials
import Messages
import Support

/// The parts of an answer as they come in. Pure.
struct AnswerAssembly: Sendable {
    private let id: String
    private var parts: [Evaluation] = []

    init(id: String) {
        self.id = id
    }

    /// Takes a record of the ledger; the whole answer once its last part is there.
    mutating func take(_ evaluation: Evaluation) -> (LedgerView, Evaluation.Answer)? {
        guard let part = evaluation.part, let count = evaluation.parts,
            evaluation.answers?.contains(where: { $0.id == id }) ?? false
        else { return nil }
        // A question that was repeated may be answered twice: the later answer counts.
        if part == 0 { parts = [] }
        guard part == parts.count, parts.first.map({ $0.number == evaluation.number }) ?? true else { return nil }
        parts.append(evaluation)
        guard parts.count == count, let answer = parts.first?.answers?.first(where: { $0.id == id }) else { return nil }
        var view = LedgerView()
        for part in parts { view.apply(part) }
        return (view, answer)
    }
}

/// Asks the active Decider of the cluster.
enum Question {
    /// The answer; fails when none comes within `timeout`.
    static func ask(
        _ link: SuiteLink, _ subject: EvaluationRequested.Subject, within timeout: Interval
    ) async throws(CommandError) -> (LedgerView, Evaluation.Answer) {
        try await Hearing.run(link, topics: [.ledger]) { (hearing) async throws(CommandError) in
            try await ask(hearing, link.cluster, subject, within: timeout)
        }
    }

    /// The same, with a hearing of the ledger that is there already.
    static func ask(
        _ hearing: Hearing, _ cluster: String, _ subject: EvaluationRequested.Subject, within timeout: Interval
    ) async throws(CommandError) -> (LedgerView, Evaluation.Answer) {
        let request = EvaluationRequested(
            cluster: cluster, id: UUID().uuidString.lowercased(), requester: "updraft on \(SuiteLink.hostName())",
            subject: subject)
        var assembly = AnswerAssembly(id: request.id)
        let clock = ContinuousClock()
        let begun = clock.now
        var askedAt: ContinuousClock.Instant?
        var isConnected = false
        var toldAt = begun
        var problem: String?
        for await heard in hearing.heard {
            switch heard {
            case .connected: (isConnected, problem, askedAt) = (true, nil, nil)
            case .disconnected(let why): (isConnected, problem) = (false, why)
            case .message(let incoming):
                if case .evaluation(let evaluation) = incoming.event, let answer = assembly.take(evaluation) {
                    return answer
                }
            case .tick: break
            }
            let now = clock.now
            // Asked again from time to time: a Decider that has just taken over may not have heard it.
            if isConnected, askedAt.map({ now - $0 > .seconds(3) }) ?? true {
                askedAt = now
                do throws(BusError) {
                    try await hearing.bus.publish(request)
                } catch {
                    throw CommandError("the question could not be sent: \(error.description)")
                }
            }
            if now - begun > timeout.duration { break }
            if now - toldAt > .seconds(2), now - begun > .seconds(2) {
                toldAt = now + .seconds(8)
                Terminal.complaint("… waiting for the Decider of cluster \(cluster) (\(seconds(now - begun)) s)")
            }
        }
        if let problem { throw CommandError("no connection to the broker: \(problem)") }
        throw CommandError(
            "no Decider of cluster \(cluster) answered within \(timeout). Is one running, with this cluster's name and this "
                + "broker? Its /readyz says what is wrong.")
    }

    private static func seconds(_ duration: Duration) -> Int64 { duration.components.seconds }
}
