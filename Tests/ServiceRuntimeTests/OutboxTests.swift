import Messages
import ServiceRuntime
import Support
import Testing

@Suite struct OutboxTests {
    private func step(_ node: String, _ pods: Int) -> Event {
        .removalDrained(
            RemovalDrained(
                cluster: "prod",
                removal: RemovalProgress(
                    id: "r", group: "workers", node: node, nodeUID: node, serverID: "",
                    reason: Explanation(.nodeUnneeded),
                    pods: pods, at: Timestamp(seconds: 0))))
    }

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

    @Test func `Steps of one node leave in order, those of others beside them, and other events between all`() async {
        let said = Lock<[String]>([])
        let outbox = Outbox()
        // The first step of "slow" is confirmed when the second node's steps have left: it does not keep them waiting.
        let (others, otherLeft) = AsyncStream<Void>.makeStream()
        outbox.publish(step("slow", 1))
        outbox.publish(step("slow", 2))
        outbox.publish(step("quick", 1))
        outbox.publish(step("quick", 2))
        outbox.then { said.withLock { $0.append("act") } }
        outbox.publish(event("after"))
        outbox.publish(step("slow", 3))
        outbox.finish()
        await outbox.run { event in
            guard case .removalDrained(let drained) = event else {
                said.withLock { $0.append("after") }
                return true
            }
            let step = "\(drained.removal.node) \(drained.removal.pods)"
            if step == "slow 1" { for await _ in others { break } }
            said.withLock { $0.append(step) }
            if step == "quick 2" { otherLeft.yield() }
            return true
        }
        let order = said.withLock { $0 }
        #expect(order.filter { $0 != "act" } == ["quick 1", "quick 2", "slow 1", "slow 2", "after", "slow 3"])
        // The act follows what came before it; nothing waits for the act.
        #expect(order.firstIndex(of: "act").map { $0 >= 4 } ?? false)
    }

    @Test func `What is there still leaves when the task is cancelled`() async {
        let said = Lock<[Int]>([])
        let outbox = Outbox()
        let running = Task {
            await outbox.run { event in
                if case .removalDrained(let drained) = event { said.withLock { $0.append(drained.removal.pods) } }
                return true
            }
        }
        running.cancel()
        for number in 1...100 { outbox.publish(step("n", number)) }
        outbox.finish()
        await running.value
        #expect(said.withLock { $0 } == Array(1...100))
    }
}
