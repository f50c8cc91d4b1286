import Messages
import Support
import Testing

@testable import Actuator

@Suite struct OutboxTests {
    private func event(_ node: String) -> Event {
        .nodeOverdue(
            NodeOverdue(
                cluster: "prod", group: "workers", member: node, serverID: "", node: nil,
                reason: Explanation(.podsPending), after: .zero, at: Timestamp(seconds: 0)))
    }

    @Test func `An act follows the events before it, and happens not if one of them did not leave`() async {
        for broken in [nil, "b"] as [String?] {
            let said = Lock<[String]>([])
            let outbox = Outbox()
            outbox.publish(event("a"))
            outbox.then { said.withLock { $0.append("act a") } }
            outbox.publish(event("b"))
            outbox.then { said.withLock { $0.append("act b") } }
            outbox.finish()
            await outbox.run { event in
                guard case .nodeOverdue(let overdue) = event, overdue.member != broken else { return false }
                said.withLock { $0.append(overdue.member) }
                return true
            }
            let expected = broken == nil ? ["a", "act a", "b", "act b"] : ["a", "act a"]
            #expect(said.withLock { $0 } == expected)
        }
    }
}
