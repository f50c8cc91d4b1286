import Support
import Testing

@Suite struct BatchWindowTests {
    private func at(_ milliseconds: Int64) -> Timestamp { Timestamp(seconds: 100) + .milliseconds(milliseconds) }

    @Test func oneChangeWaitsForTheWindowOnly() {
        var batch = BatchWindow(.milliseconds(20))
        #expect(batch.dueAt == nil && !batch.isDue(at: at(0)))
        batch.changed(at: at(0))
        #expect(batch.dueAt == at(20))
        #expect(!batch.isDue(at: at(19)) && batch.isDue(at: at(20)))
        batch.close()
        #expect(!batch.isOpen && !batch.isDue(at: at(1_000)))
    }

    @Test func aBurstThatEndsSoonAfterTheWindowIsNotCut() {
        var batch = BatchWindow(.milliseconds(20))
        for time in stride(from: Int64(0), through: 30, by: 3) { batch.changed(at: at(time)) }
        #expect(batch.dueAt == at(35))
    }

    @Test func aBurstThatDoesNotEndIsCutAfterTwoWindows() {
        var batch = BatchWindow(.milliseconds(20))
        for time in Int64(0)...1_000 { batch.changed(at: at(time)) }
        #expect(batch.dueAt == at(40))
    }

    @Test func withoutAWindowItIsTimeAtOnce() {
        var batch = BatchWindow(.zero)
        batch.changed(at: at(7))
        #expect(batch.isDue(at: at(7)))
    }
}
