import JSONReader
import Support

/// What a reflector tells.
public enum ReflectorEvent<Object: KubernetesResource>: Sendable {
    /// A new list begins: what is not named in a page before `listed` is gone.
    case listing
    /// A part of the list.
    case page([Object])
    /// The list is complete; from here on changes follow.
    case listed
    /// An object is new or has changed.
    case upserted(Object)
    /// An object is gone; its last state.
    case deleted(Object)
    /// The watch is open: what is known is up to date.
    case watching
    /// An object that could not be decoded; the rest goes on.
    case rejected(JSONError)
    /// A call failed; it is tried again after a while.
    case failed(KubernetesError, retryIn: Interval)
}

/// Keeps somebody informed about all objects of a kind: list in pages, then watch; list again when the watch has lost
/// its place; reconnect with backoff.
public struct Reflector<Object: KubernetesResource>: Sendable {
    private let client: KubernetesClient
    private let selection: Selection
    private let limit: Int
    private let backoff: Backoff
    private let lasting: Interval

    /// A reflector; `run` starts it.
    /// - Parameters:
    ///   - limit: objects a page.
    ///   - lasting: how long one watch is kept open; spread a little, so that many do not end at once.
    public init(
        _ client: KubernetesClient, _ selection: Selection = .all, limit: Int = KubernetesClient.pageSize,
        backoff: Backoff = Backoff(first: .milliseconds(500), cap: .seconds(30)), lasting: Interval = .seconds(290)
    ) {
        self.client = client
        self.selection = selection
        self.limit = limit
        self.backoff = backoff
        self.lasting = lasting
    }

    /// Runs until the task is cancelled. `handler` is called for one event after the other; while it is busy the
    /// server's stream is held back.
    public func run(_ handler: @Sendable (ReflectorEvent<Object>) async -> Void) async {
        var machine = ReflectorMachine(limit: limit, backoff: backoff)
        var step = machine.started()
        while !Task.isCancelled {
            switch step {
            case .list(let continuing, let limit):
                step = await list(&machine, continuing, limit, handler)
            case .watch(let version):
                step = await watch(&machine, version, handler)
            case .pause(let interval):
                guard (try? await Task.sleep(for: interval.duration)) != nil else { return }
                step = machine.resumed()
            }
        }
    }

    private func list(
        _ machine: inout ReflectorMachine, _ continuing: String?, _ limit: Int,
        _ handler: @Sendable (ReflectorEvent<Object>) async -> Void
    ) async -> ReflectorMachine.Step {
        do throws(KubernetesError) {
            let page = try await client.page(
                Object.self, selection, limit: limit, continuing: continuing, retry: .none)
            if continuing == nil { await handler(.listing) }
            for error in page.rejected { await handler(.rejected(error)) }
            await handler(.page(page.items))
            if page.next == nil { await handler(.listed) }
            return machine.pageArrived(resourceVersion: page.resourceVersion, next: page.next)
        } catch {
            let step = machine.listFailed(error, jitter: .random(in: 0...1))
            await report(error, step, handler)
            return step
        }
    }

    private func watch(
        _ machine: inout ReflectorMachine, _ version: String,
        _ handler: @Sendable (ReflectorEvent<Object>) async -> Void
    ) async -> ReflectorMachine.Step {
        let start = ContinuousClock.now
        var failure: KubernetesError?
        do throws(KubernetesError) {
            let watch = try await client.watch(
                Object.self, selection, from: version, lasting: lasting * Double.random(in: 0.9...1))
            await handler(.watching)
            while failure == nil, let event = try await watch.next() {
                switch event {
                case .added(let object), .modified(let object):
                    await handler(.upserted(object))
                    machine.watchProgressed(to: object.meta.resourceVersion)
                case .deleted(let object):
                    await handler(.deleted(object))
                    machine.watchProgressed(to: object.meta.resourceVersion)
                case .bookmark(let version): machine.watchProgressed(to: version)
                case .rejected(let error): await handler(.rejected(error))
                case .failed(let error): failure = error
                }
            }
        } catch {
            failure = error
        }
        let lasted = Interval(microseconds: start.duration(to: .now).wholeMicroseconds)
        let step = machine.watchEnded(failure, lasted: lasted, jitter: .random(in: 0...1))
        if let failure { await report(failure, step, handler) }
        return step
    }

    private func report(
        _ error: KubernetesError, _ step: ReflectorMachine.Step,
        _ handler: @Sendable (ReflectorEvent<Object>) async -> Void
    ) async {
        // The end of the task cancels the transfer: nothing to tell.
        if Task.isCancelled { return }
        if case .pause(let interval) = step {
            await handler(.failed(error, retryIn: interval))
        } else {
            await handler(.failed(error, retryIn: .zero))
        }
    }
}

extension Duration {
    fileprivate var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds.multipliedReportingOverflow(by: 1_000_000).partialValue &+ attoseconds / 1_000_000_000_000
    }
}
