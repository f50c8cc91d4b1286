import OpenStack
import ServiceRuntime
import Support

/// Says in good time that the login's application credential or trust will end.
struct LoginWatch: Sendable {
    private let client: OpenStackClient
    private let log: Logger
    private let ends: Lock<Timestamp?>

    init(_ client: OpenStackClient, _ context: ServiceContext) {
        self.client = client
        log = context.log
        let ends = Lock<Timestamp?>(nil)
        self.ends = ends
        context.metrics.gauge(
            "actuator_login_seconds_left",
            "Until the login's application credential or trust ends; not there where it does not, or is a password."
        ) { ends.withLock { $0.map { ($0 - .now()).inSeconds } } }
    }

    /// Until the task is cancelled.
    func run() async {
        await client.watchDelegation { news in
            ends.withLock { $0 = news.delegation?.expiresAt }
            if let failure = news.failure {
                log.info(
                    "when the login's application credential or trust ends cannot be read",
                    [.code: .string(failure.code.rawValue), .error: .string(failure.description)])
            }
            guard let word = news.word else { return }
            if word.isUrgent { log.error(word.text) } else { log.warning(word.text) }
        }
    }
}
