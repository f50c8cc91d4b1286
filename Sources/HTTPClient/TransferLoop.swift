import CCurl
import Glibc
import Support

/// The event thread: takes commands, drives libcurl, hands out results. Everything in it happens on that one thread.
final class TransferLoop {
    /// The bounds of a loop.
    struct Limits: Sendable {
        /// Transfers driven at once. `curl_multi_perform` visits each on every turn, so thousands at once halve the rate.
        let inFlight: Int
        /// Jobs waiting for a slot before further ones are refused.
        let waiting: Int
    }

    private let multi: MultiHandle
    private let mailbox: Mailbox
    private let profile: Transfer.Profile
    private let limits: Limits

    private var active: [UnsafeMutableRawPointer: Transfer] = [:]
    private var handles: [UInt64: UnsafeMutableRawPointer] = [:]
    private var waiting: [UInt64: TransferJob] = [:]
    /// Ids in order of arrival; one whose job is gone (cancelled, timed out) is passed over.
    private var order: [UInt64] = []
    private var orderHead = 0
    private var spare: [EasyHandle] = []
    /// No job that waits is due before this, so that thousands of them need not be looked at on every turn.
    private var earliestWaiting = Int64.max

    private init(_ multi: MultiHandle, _ mailbox: Mailbox, _ profile: Transfer.Profile, _ limits: Limits) {
        self.multi = multi
        self.mailbox = mailbox
        self.profile = profile
        self.limits = limits
    }

    /// Starts a thread that runs until the mailbox is closed. Nil if there is no memory or no thread to be had.
    static func start(_ profile: Transfer.Profile, _ limits: Limits) -> Mailbox? {
        guard let multi = MultiHandle(maximumConnections: max(limits.inFlight, 1) * 2) else { return nil }
        let mailbox = Mailbox(multi)
        let start = EventThread {
            TransferLoop(multi, mailbox, profile, limits).run()
        }
        return start.launch() ? mailbox : nil
    }

    private func run() {
        while true {
            let (commands, isClosing) = mailbox.take()
            for command in commands { obey(command) }
            if isClosing { break }
            startWaiting()
            var running: Int32 = 0
            curl_multi_perform(multi.raw, &running)
            collect()
            let next = sweep()
            // Slots that just became free are given out before sleeping.
            if startWaiting() { continue }
            let pause = max(0, min(next - monotonicMicroseconds(), 10_000_000))
            curl_multi_poll(multi.raw, nil, 0, Int32((pause + 999) / 1_000), nil)
        }
        end()
    }

    private func obey(_ command: TransferCommand) {
        switch command {
        case .start(let job):
            guard waiting.count < limits.waiting else {
                return job.fail(
                    HTTPError(
                        .overloaded, url: job.request.url, detail: "\(waiting.count) requests wait already",
                        isUnsent: true))
            }
            waiting[job.id] = job
            order.append(job.id)
            earliestWaiting = min(earliestWaiting, job.deadline ?? .max)
        case .cancel(let id):
            if let job = waiting.removeValue(forKey: id) {
                job.fail(HTTPError(.cancelled, url: job.request.url, detail: "the task was cancelled", isUnsent: true))
            } else if let raw = handles[id], let transfer = remove(raw) {
                transfer.job.fail(
                    HTTPError(.cancelled, url: transfer.job.request.url, detail: "the task was cancelled"))
            }
        case .resume(let id):
            if let raw = handles[id] { active[raw]?.resume(now: monotonicMicroseconds()) }
        }
    }

    /// Gives free slots to those who wait; true if any began.
    @discardableResult
    private func startWaiting() -> Bool {
        var began = false
        while active.count < limits.inFlight, orderHead < order.count {
            let id = order[orderHead]
            orderHead += 1
            guard let job = waiting.removeValue(forKey: id) else { continue }
            if begin(job) { began = true }
        }
        if orderHead == order.count || orderHead > 1_024 {
            order.removeFirst(orderHead)
            orderHead = 0
        }
        return began
    }

    private func begin(_ job: TransferJob) -> Bool {
        let now = monotonicMicroseconds()
        guard let easy = spare.popLast() ?? EasyHandle() else {
            job.fail(HTTPError(.overloaded, url: job.request.url, detail: "out of memory", isUnsent: true))
            return false
        }
        let transfer = Transfer(job, easy, now: now)
        do throws(HTTPError) {
            try transfer.configure(profile, now: now)
        } catch {
            job.fail(error)
            return false
        }
        let code = curl_multi_add_handle(multi.raw, easy.raw)
        guard code == CURLM_OK else {
            job.fail(
                HTTPError(
                    .overloaded, url: job.request.url, detail: String(cString: curl_multi_strerror(code)),
                    isUnsent: true))
            return false
        }
        active[easy.raw] = transfer
        handles[job.id] = easy.raw
        return true
    }

    /// Takes a transfer out of libcurl; its callbacks come no more.
    private func remove(_ raw: UnsafeMutableRawPointer) -> Transfer? {
        guard let transfer = active.removeValue(forKey: raw) else { return nil }
        handles[transfer.job.id] = nil
        curl_multi_remove_handle(multi.raw, raw)
        return transfer
    }

    private func collect() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi.raw, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let raw = message.pointee.easy_handle else { continue }
            // The message is gone with the handle: read its result first.
            let code = message.pointee.data.result
            guard let transfer = remove(raw) else { continue }
            transfer.completed(code)
            if spare.count < limits.inFlight {
                transfer.easy.reset()
                spare.append(transfer.easy)
            }
        }
    }

    /// Fails what is past its time; returns when to look again.
    private func sweep() -> Int64 {
        let now = monotonicMicroseconds()
        if earliestWaiting <= now { failLateWaiting(now) }
        var next = min(now + 10_000_000, earliestWaiting)
        var late: [(UnsafeMutableRawPointer, HTTPError)] = []
        for (raw, transfer) in active {
            guard let (at, expiry) = transfer.nextDeadline() else { continue }
            if at <= now { late.append((raw, transfer.failure(expiry))) } else { next = min(next, at) }
        }
        for (raw, error) in late {
            remove(raw)?.job.fail(error)
        }
        return next
    }

    private func failLateWaiting(_ now: Int64) {
        earliestWaiting = .max
        for (id, job) in waiting {
            guard let deadline = job.deadline else { continue }
            guard deadline <= now else {
                earliestWaiting = min(earliestWaiting, deadline)
                continue
            }
            waiting[id] = nil
            job.fail(
                HTTPError(
                    .timedOut, url: job.request.url,
                    detail: "no free slot among \(limits.inFlight) within the total timeout", isUnsent: true))
        }
    }

    private func end() {
        func closed(_ job: TransferJob, _ isUnsent: Bool) {
            job.fail(
                HTTPError(.clientClosed, url: job.request.url, detail: "the client was closed", isUnsent: isUnsent))
        }
        for raw in Array(active.keys) {
            if let transfer = remove(raw) { closed(transfer.job, false) }
        }
        for job in waiting.values { closed(job, true) }
        waiting = [:]
        mailbox.loopEnded()
    }
}

/// A detached thread with all signals blocked, so that the process's handlers run elsewhere.
private final class EventThread {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }

    func launch() -> Bool {
        let context = Unmanaged.passRetained(self)
        var everything = sigset_t()
        var before = sigset_t()
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<EventThread>.fromOpaque(context).takeRetainedValue().body()
                return nil
            }, context.toOpaque())
        guard code == 0 else {
            context.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}
