import Support
import TestServer
import Testing

@testable import Collector

@Suite("Rounds of readings")
struct RoundsTests {
    @Test("whoever begins to speak for the cluster reads soon, however long the interval")
    func takesOver() async throws {
        let looks = Lock(0)
        let read = Lock(0)
        let rounds = Rounds(interval: .minutes(60)) {
            looks.withLock {
                $0 += 1; return $0 > 1
            }
        }
        let task = Task { await rounds.run { _ in read.withLock { $0 += 1 } } }
        try await eventually("the first round") { read.withLock { $0 } == 1 }
        task.cancel()
        await task.value
        #expect(read.withLock { $0 } == 1)
    }
}
