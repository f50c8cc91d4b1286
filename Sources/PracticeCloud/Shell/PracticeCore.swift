import HTTPServer
import JSONReader
import Support

/// The model behind its lock, with the watches that hang on it. All requests and ticks go through here, so that each
/// watch sees the changes in their order.
final class PracticeCore: Sendable {
    /// A service of the cloud.
    enum Service: String, Sendable, CaseIterable {
        case keystone, heat, nova, kubernetes, hooks, control, aodh
    }

    private struct Watcher {
        var stream: StreamSource
        var version: String
        var selector: ListSelector
        var wantsBookmarks: Bool
        var ends: Timestamp
        var bookmarkDue: Timestamp
    }

    private struct State {
        var model: PracticeModel
        var watchers: [KubernetesKind: [Int: Watcher]] = [:]
        var lastWatcher = 0
        /// When bookmarks and ends of watches are looked at next.
        var watchesDue: Timestamp
    }

    private let state: Lock<State>
    private let outputs: AsyncStream<PracticeOutput>.Continuation
    /// Bytes that may wait for a slow watcher; beyond it the watch is broken off, as the real server does.
    private static let watchBuffer = 64 << 20

    init(_ model: PracticeModel, outputs: AsyncStream<PracticeOutput>.Continuation) {
        state = Lock(State(model: model, watchesDue: model.clock + .seconds(1)))
        self.outputs = outputs
    }

    /// Answers a request: the reply, and how much later it goes out.
    func answer(_ service: Service, _ request: PracticeRequest, at now: Timestamp) -> (ServerReply, Interval) {
        state.withLock { state in
            state.model.advance(to: now, steps: 20)
            let clock = max(now, state.model.clock)
            var delay = Interval.zero
            let marked = request.path + (request.flag("watch") ? "?watch" : "")
            if let fault = state.model.faults.strike(service: service.rawValue, method: request.method, path: marked) {
                delay = fault.delay
                if let status = fault.status {
                    let answer = state.model.faultAnswer(fault, status: status)
                    state.model.journal.record(
                        "fault.struck", at: clock,
                        [
                            "service": .string(service.rawValue), "method": .string(request.method),
                            "path": .string(request.path), "status": .int(Int64(status)),
                        ])
                    return (reply(answer), delay)
                }
            }
            let result: (ServerReply, Interval)
            switch service {
            case .keystone: result = (reply(state.model.keystone(request, at: clock)), delay)
            case .heat: result = (reply(state.model.heat(request, at: clock)), delay)
            case .nova: result = (reply(state.model.nova(request, at: clock)), delay)
            case .aodh: result = (reply(state.model.aodh(request, at: clock)), delay)
            case .hooks:
                let (answer, later) = state.model.hook(request, at: clock)
                result = (reply(answer), delay + later)
            case .control:
                let (answer, effect) = state.model.control(request, at: clock)
                if case .cutWatches = effect { Self.cutWatches(&state) }
                result = (reply(answer), delay)
            case .kubernetes:
                switch state.model.kubernetes(request, at: clock) {
                case .answer(let answer): result = (reply(answer), delay)
                case .watch(let opening): result = (Self.open(opening, &state, at: clock), delay)
                }
            }
            spread(&state)
            return result
        }
    }

    private func reply(_ answer: PracticeAnswer) -> ServerReply {
        .response(ServerResponse(status: answer.status, headers: answer.headers, body: answer.body))
    }

    /// Lets time pass in steps short enough that requests come through in between. True if nothing is left to do.
    func tick(at now: Timestamp) -> Bool {
        state.withLock { state in
            let isDone = state.model.advance(to: now, steps: 20)
            spread(&state)
            if state.watchesDue <= now { Self.tend(&state, at: now) }
            return isDone
        }
    }

    /// What changed goes to the watches, what is to be sent to the sender.
    private func spread(_ state: inout State) {
        state.model.settle()
        for output in state.model.takeOutputs() { outputs.yield(output) }
        for change in state.model.takeBroadcast() {
            guard let watchers = state.watchers[change.kind], !watchers.isEmpty else { continue }
            // Each form is made once, however many watch.
            var lines: [String: [UInt8]] = [:]
            for (id, watcher) in watchers {
                guard let type = WatchLines.type(of: change, watcher.selector) else { continue }
                let form = "\(type) \(watcher.version)"
                let line =
                    lines[form]
                    ?? WatchLines.line(type, change.new.bytes(change.kind, version: watcher.version))
                lines[form] = line
                if !watcher.stream.send(line) {
                    watcher.stream.abort()
                    state.watchers[change.kind]?[id] = nil
                }
            }
        }
    }

    // MARK: Watches

    private static func open(_ opening: WatchOpening, _ state: inout State, at now: Timestamp) -> ServerReply {
        let stream = StreamSource(maximumBufferedBytes: watchBuffer)
        if !opening.backlog.isEmpty { stream.send(Array(opening.backlog.joined())) }
        if opening.isOver {
            stream.finish()
        } else {
            state.lastWatcher += 1
            let ends = now + opening.timeout
            state.watchers[opening.kind, default: [:]][state.lastWatcher] = Watcher(
                stream: stream, version: opening.version, selector: opening.selector,
                wantsBookmarks: opening.wantsBookmarks, ends: ends, bookmarkDue: bookmarkTime(ends, after: now))
        }
        return .stream(status: 200, headers: [("Content-Type", "application/json")], stream)
    }

    /// About once a minute, and about two seconds before the end (recorded).
    private static func bookmarkTime(_ ends: Timestamp, after now: Timestamp) -> Timestamp {
        let last = ends - .seconds(2)
        return last > now ? min(now + .seconds(60), last) : ends + .seconds(60)
    }

    private static func tend(_ state: inout State, at now: Timestamp) {
        state.watchesDue = now + .milliseconds(250)
        let position = state.model.store.version
        for (kind, watchers) in state.watchers {
            for (id, var watcher) in watchers {
                if watcher.stream.isClosed {
                    state.watchers[kind]?[id] = nil
                } else if watcher.ends <= now {
                    watcher.stream.finish()
                    state.watchers[kind]?[id] = nil
                } else if watcher.wantsBookmarks, watcher.bookmarkDue <= now {
                    watcher.stream.send(WatchLines.bookmark(kind, version: watcher.version, at: position))
                    watcher.bookmarkDue = bookmarkTime(watcher.ends, after: now)
                    state.watchers[kind]?[id] = watcher
                }
            }
        }
    }

    private static func cutWatches(_ state: inout State) {
        for watchers in state.watchers.values {
            for watcher in watchers.values { watcher.stream.abort() }
        }
        state.watchers = [:]
    }

    /// Reads the model, for tests and the state file.
    func read<Result: Sendable>(_ body: @Sendable (PracticeModel) -> Result) -> Result {
        state.withLock { body($0.model) }
    }

    /// Sets where the services are, once their ports are known.
    func setEndpoints(_ endpoints: PracticeEndpoints) {
        state.withLock { $0.model.endpoints = endpoints }
    }
}
