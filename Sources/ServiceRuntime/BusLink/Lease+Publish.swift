import Bus
import Messages
import Support

/// What became of an event that was to be published.
public enum Publication: Sendable, Equatable {
    /// The broker has it.
    case taken
    /// It cannot be sent at all (too large, a value out of range), or nobody reads such messages: told in the log, and the same
    /// the next time.
    case impossible
    /// This replica may act no longer, or the service ends: it is not on the bus, and nothing that follows it may happen here.
    case ended
}

extension Lease {
    /// Publishes an event under this lease: also when the calling task is cancelled meanwhile, so that what was said leaves
    /// when a service ends.
    /// - Parameter again: whether to try again, as long as this replica may act and the task is not cancelled, when the bus does not
    ///   take it; else that is `.ended`.
    public func publish(_ event: Event, on bus: Bus, log: Logger, again: Bool) async -> Publication {
        await publish(event.type, log, again: again) {
            do throws(BusError) {
                _ = try await bus.publish(event.payload)
                return nil
            } catch {
                return error
            }
        }
    }

    func publish(
        _ type: EventType, _ log: Logger, again: Bool,
        backoff given: Backoff = Backoff(first: .milliseconds(200), cap: .seconds(10)),
        attempt: @escaping @Sendable () async -> BusError?
    ) async -> Publication {
        var backoff = given
        while isHeld {
            guard let failure = await finishing(attempt) else { return .taken }
            let isImpossible = failure.code == .message || failure.code == .unroutable
            // While it is tried again the bus tells each failure.
            if isImpossible || !again || failure.code == .closed || Task.isCancelled || !isHeld {
                log.error("an event was not published", [.eventType: .string(type.rawValue), .error: .text(failure)])
                return isImpossible ? .impossible : .ended
            }
            try? await Task.sleep(for: backoff.failed(jitter: .random(in: 0...1)).duration)
        }
        return .ended
    }
}
