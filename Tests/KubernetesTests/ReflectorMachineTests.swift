import HTTPClient
import Kubernetes
import Support
import Testing

@Suite("List and watch as a conversation")
struct ReflectorMachineTests {
    private let gone = KubernetesError(.gone, operation: "x", message: "too old")
    private let refused = KubernetesError(.transport(.refused), operation: "x", message: "refused")

    private func machine() -> ReflectorMachine {
        ReflectorMachine(limit: 500, backoff: Backoff(first: .seconds(1), cap: .seconds(8)))
    }

    /// A machine that watches from version 10.
    private func watching() -> ReflectorMachine {
        var machine = machine()
        _ = machine.started()
        _ = machine.pageArrived(resourceVersion: "10", next: nil)
        return machine
    }

    @Test("pages, then the watch from the list's version")
    func ordinary() {
        var machine = machine()
        #expect(machine.started() == .list(continuing: nil, limit: 500))
        #expect(machine.pageArrived(resourceVersion: "10", next: "a") == .list(continuing: "a", limit: 500))
        #expect(machine.pageArrived(resourceVersion: "10", next: nil) == .watch(from: "10"))
        machine.watchProgressed(to: "11")
        machine.watchProgressed(to: "15")
        #expect(machine.watchEnded(nil, lasted: .seconds(290), jitter: 1) == .watch(from: "15"))
    }

    @Test("an object without version does not lose the place")
    func noVersion() {
        var machine = watching()
        machine.watchProgressed(to: "")
        #expect(machine.watchEnded(nil, lasted: .seconds(290), jitter: 1) == .watch(from: "10"))
    }

    @Test("a lost connection: the same version again, later and later")
    func reconnect() {
        var machine = watching()
        machine.watchProgressed(to: "12")
        #expect(machine.watchEnded(refused, lasted: .seconds(5), jitter: 1) == .pause(.seconds(1)))
        #expect(machine.resumed() == .watch(from: "12"))
        #expect(machine.watchEnded(refused, lasted: .zero, jitter: 1) == .pause(.seconds(2)))
        #expect(machine.resumed() == .watch(from: "12"))
        // It works again: the next failure starts from the first delay.
        machine.watchProgressed(to: "13")
        #expect(machine.watchEnded(refused, lasted: .seconds(5), jitter: 1) == .pause(.seconds(1)))
    }

    @Test("the version is too old: list again at once, the second time after a pause")
    func expired() {
        var machine = watching()
        #expect(machine.watchEnded(gone, lasted: .zero, jitter: 1) == .list(continuing: nil, limit: 500))
        #expect(machine.pageArrived(resourceVersion: "20", next: nil) == .watch(from: "20"))
        #expect(machine.watchEnded(gone, lasted: .zero, jitter: 1) == .pause(.seconds(1)))
        #expect(machine.resumed() == .list(continuing: nil, limit: 500))
        #expect(machine.pageArrived(resourceVersion: "30", next: nil) == .watch(from: "30"))
        machine.watchProgressed(to: "31")
        #expect(machine.watchEnded(gone, lasted: .zero, jitter: 1) == .list(continuing: nil, limit: 500))
    }

    @Test("a list that expires between its pages begins again, with larger pages")
    func expiredList() {
        var machine = machine()
        _ = machine.started()
        #expect(machine.pageArrived(resourceVersion: "10", next: "a") == .list(continuing: "a", limit: 500))
        #expect(machine.listFailed(gone, jitter: 1) == .pause(.seconds(1)))
        #expect(machine.resumed() == .list(continuing: nil, limit: 2_000))
        #expect(machine.listFailed(gone, jitter: 1) == .pause(.seconds(2)))
        #expect(machine.resumed() == .list(continuing: nil, limit: 8_000))
        #expect(machine.pageArrived(resourceVersion: "12", next: nil) == .watch(from: "12"))
        #expect(machine.watchEnded(gone, lasted: .zero, jitter: 1) == .list(continuing: nil, limit: 500))
    }

    @Test("a server that ends watches at once is not asked in a loop")
    func spinning() {
        var machine = watching()
        #expect(machine.watchEnded(nil, lasted: .milliseconds(3), jitter: 1) == .pause(.seconds(1)))
        #expect(machine.resumed() == .watch(from: "10"))
        #expect(machine.watchEnded(nil, lasted: .milliseconds(3), jitter: 1) == .pause(.seconds(2)))
    }

    @Test("the server's Retry-After counts when it is longer")
    func retryAfter() {
        var machine = watching()
        let busy = KubernetesError(.tooManyRequests(retryAfter: .seconds(5)), operation: "x", message: "busy")
        #expect(machine.watchEnded(busy, lasted: .zero, jitter: 1) == .pause(.seconds(5)))
        #expect(machine.resumed() == .watch(from: "10"))
    }

    @Test("a question that the server refuses is asked from the beginning")
    func refusedQuestion() {
        var machine = watching()
        let bad = KubernetesError(.invalid, operation: "x", message: "invalid resource version")
        #expect(machine.watchEnded(bad, lasted: .zero, jitter: 1) == .pause(.seconds(1)))
        #expect(machine.resumed() == .list(continuing: nil, limit: 500))
    }
}
