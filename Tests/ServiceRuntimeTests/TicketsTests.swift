import ServiceRuntime
import Support
import Testing

@Suite struct TicketsTests {
    @Test func eachGetsTheAnswerToItsNumber() async {
        let tickets = Tickets<String>()
        let answers = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let asked = Lock(0)
                    let answer = await tickets.wait { ticket in
                        asked.withLock { $0 = ticket }
                        // From elsewhere, and twice: the second finds nobody.
                        Task {
                            tickets.answer(ticket, "\(number) by \(ticket)")
                            tickets.answer(ticket, "again")
                        }
                    }
                    return answer == "\(number) by \(asked.withLock { $0 })"
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(answers == 100)
    }

    @Test func whenItIsClosedNobodyWaits() async {
        let tickets = Tickets<String>()
        let submitted = AsyncStream.makeStream(of: Int.self)
        async let waiting = tickets.wait { submitted.continuation.yield($0) }
        for await _ in submitted.stream { break }
        tickets.close()
        #expect(await waiting == nil)
        let late = await tickets.wait { _ in Issue.record("nobody is there to be told") }
        #expect(late == nil)
    }
}
