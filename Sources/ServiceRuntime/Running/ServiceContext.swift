import Settings
import Support

/// What a running service is given.
public struct ServiceContext: Sendable {
    /// The short name: `decider`.
    public let name: String
    /// This machine's name, for `publisher_id` and logs.
    public let host: String
    /// The configuration, checked.
    public let settings: Settings
    /// The log.
    public let log: Logger
    /// The metrics.
    public let metrics: Metrics
    /// What must hold for the service to be ready.
    public let readiness: Readiness
    /// The wish that it ends.
    public let shutdown: Shutdown
    /// Runs parts again that failed.
    public let supervisor: Supervisor
    /// The health pages, where a service may add its own; nil in tests.
    public let health: HealthServer?

    /// For tests and for running several services in one process.
    public init(
        name: String, host: String = "localhost", settings: Settings, log: Logger, metrics: Metrics = Metrics(),
        readiness: Readiness = Readiness(), shutdown: Shutdown = Shutdown(), health: HealthServer? = nil
    ) {
        self.name = name
        self.host = host
        self.settings = settings
        self.log = log
        self.metrics = metrics
        self.readiness = readiness
        self.shutdown = shutdown
        self.health = health
        supervisor = Supervisor(log: log, metrics: metrics, readiness: readiness, shutdown: shutdown)
    }
}
