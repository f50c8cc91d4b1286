import Dispatch
import Glibc
import Support

/// SIGTERM and SIGINT as a wish to end; the second one ends at once. SIGPIPE is ignored: a closed connection is an error
/// of the call that writes.
final class Signals: @unchecked Sendable {
    // @unchecked: Dispatch's sources may be used from any thread, which its Swift overlay does not say; they are only kept.
    private let sources: [any DispatchSourceSignal]

    /// `asked` hears the first signal, on a thread of Dispatch.
    init(asked: @escaping @Sendable (String) -> Void) {
        signal(SIGPIPE, SIG_IGN)
        let count = Lock(0)
        sources = [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")].map { number, name in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                let first = count.withLock { count in
                    count += 1
                    return count == 1
                }
                guard first else { _exit(128 + number) }
                asked(name)
            }
            source.resume()
            return source
        }
    }
}
