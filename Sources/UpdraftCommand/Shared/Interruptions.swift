import Dispatch
import Glibc
import ServiceRuntime

/// SIGINT and SIGTERM as a wish to end, from now on.
// @unchecked: Dispatch's sources may be cancelled from any thread, which its Swift overlay does not say.
final class Interruptions: @unchecked Sendable {
    private let sources: [any DispatchSourceSignal]

    init(_ wish: Shutdown) {
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { @Sendable in wish.request("signal \(number)") }
            source.resume()
            return source
        }
    }

    func cancel() {
        for source in sources { source.cancel() }
    }
}
