import Bus
import Messages
import Support
import Testing

@testable import ServiceRuntime

/// Events of a service that acts: on the bus before what follows them, or nothing follows.
@Suite struct PublicationTests {
    private let quick = Backoff(first: .milliseconds(1), cap: .milliseconds(1))

    /// Publishes under `lease` with an attempt that ends as `outcomes` say, one after the other, the last for ever.
    private func publish(
        _ lease: Lease, _ outcomes: [BusError?], again: Bool = true,
        before: @escaping @Sendable (Int) -> Void = { _ in }
    ) async -> (Publication, attempts: Int, log: [String]) {
        let (count, written) = (Lock(0), Written())
        let publication = await lease.publish(
            .removalDrained, testLogger(written), again: again, backoff: quick
        ) {
            let number = count.withLock { count in
                count += 1
                return count
            }
            before(number)
            return outcomes[min(number, outcomes.count) - 1]
        }
        return (publication, count.withLock { $0 }, written.all)
    }

    private let refused = BusError(.broker, "the queue is full", isRetriable: true)

    @Test func `Repeated until the broker takes it`() async {
        let (publication, attempts, log) = await publish(.unlimited, [refused, refused, nil])
        #expect(publication == .taken && attempts == 3 && log.isEmpty)
    }

    @Test func `Once where that is enough`() async {
        let (publication, attempts, log) = await publish(.unlimited, [refused], again: false)
        #expect(publication == .ended && attempts == 1)
        #expect(log.count == 1 && log[0].contains("the queue is full"), "\(log)")
    }

    @Test(arguments: [BusError.Code.message, .unroutable])
    func `What can never leave holds nothing up`(code: BusError.Code) async {
        let (publication, attempts, log) = await publish(.unlimited, [BusError(code, "no", isRetriable: false)])
        #expect(publication == .impossible && attempts == 1 && log.count == 1)
    }

    @Test func `The end of the lease ends it`() async {
        let lease = Lease.unlimited
        let (publication, attempts, log) = await publish(lease, [refused]) { if $0 == 3 { lease.finish("test") } }
        #expect(publication == .ended && attempts == 3 && log.count == 1)
        let late = await publish(lease, [nil])
        #expect(late.0 == .ended && late.attempts == 0)
    }

    @Test func `The end of the bus ends it`() async {
        let (publication, attempts, _) = await publish(.unlimited, [BusError(.closed, "closed", isRetriable: false)])
        #expect(publication == .ended && attempts == 1)
    }

    @Test func `At the end of the service it is said once more, not for ever`() async {
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return await publish(.unlimited, [refused])
        }
        task.cancel()
        let (publication, attempts, _) = await task.value
        #expect(publication == .ended && attempts == 1)
    }
}
