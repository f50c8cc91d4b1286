import Dispatch

/// Runs the core on a queue of its own: an evaluation may take tens of milliseconds, which no thread of the cooperative
/// pool should be held for.
final class CoreExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "updraft.decider.core", qos: .userInitiated)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedSerialExecutor()
        queue.async { job.runSynchronously(on: executor) }
    }

    func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}
