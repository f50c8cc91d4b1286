import Bus
import HTTPClient
import HTTPServer
import Kubernetes
import Messages
import ServiceRuntime
import Settings
import Support

/// The Notifier as a service: tells the pods of nodes under removal, hears their answers, says when the cooldown is
/// over.
public enum NotifierService {
    /// One sentence for `--help`.
    public static let about = "Tells pods that their node goes, hears their answers, and ends the cooldown."

    /// Runs until the context's shutdown.
    public static func run(_ context: ServiceContext) async throws {
        let settings = context.settings
        let notifier = settings.notifier
        let client = KubernetesClient(
            try KubernetesConfiguration.chosen(
                kubeconfig: settings.kubernetes.kubeconfig, context: settings.kubernetes.context,
                inCluster: settings.kubernetes.inCluster, environment: ServiceMain.environmentVariables()),
            userAgent: "updraft-notifier/\(UpdraftVersion.text)",
            maximumInFlight: settings.kubernetes.maximumInFlight)
        let hooks = HTTPClient(
            tls: TLSSettings(insecureSkipVerify: true), maximumInFlight: 256,
            userAgent: "updraft-notifier/\(UpdraftVersion.text)")
        let bus = try context.openBus()
        // The server hears answers for the engine, and the engine's notices name the server: they meet here.
        let engineBox = Lock<NotifierEngine?>(nil)
        let server = try AnswerServer(
            host: notifier.listen.host, port: notifier.listen.port, advertised: notifier.advertiseURL
        ) { removal, podUID, word, token in
            guard let engine = engineBox.withLock({ $0 }) else { return nil }
            return await engine.answer(removal: removal, podUID: podUID, word, token: token, .http)
        }
        let engine = NotifierEngine(
            policy: NotifierPolicy(settings),
            pods: PodDoor(
                client, hooks: hooks, hookTimeout: notifier.hooks.timeout,
                foreignHosts: notifier.hooks.foreignHosts, cluster: settings.cluster, host: context.host,
                isDryRun: notifier.dryRun),
            observer: NotifierObserver(log: context.log, metrics: context.metrics, readiness: context.readiness),
            tokens: AnswerTokens(settings), answerURL: { server.url(removal: $0, podUID: $1) })
        engineBox.withLock { $0 = engine }
        if notifier.dryRun { context.log.warning("dry run: no pod is told", [.dryRun: true]) }
        await serve(engine, bus, context)
        server.stop()
        await bus.close(within: .seconds(5))
        await client.close()
        await hooks.close()
    }

    private static func serve(_ engine: NotifierEngine, _ bus: Bus, _ context: ServiceContext) async {
        let log = context.log
        let supervisor = context.supervisor
        await withTaskGroup { group in
            group.addTask {
                await engine.run { event in
                    do throws(BusError) {
                        _ = try await bus.publish(event.payload)
                        return true
                    } catch {
                        log.error(
                            "an event was not published",
                            [.eventType: .string(event.type.rawValue), .error: .text(error)])
                        return false
                    }
                }
            }
            group.addTask {
                await supervisor.run("answers") { part in
                    part.ready()
                    try await bus.subscribe(Subscription(topics: [.answers])) { incoming in
                        await hear(incoming, engine)
                    }
                }
            }
            await context.shutdown.requested()
            group.cancelAll()
        }
    }

    private static func hear(_ incoming: Incoming, _ engine: NotifierEngine) async -> Disposition {
        let answer: Answer
        let word: AnswerWord
        switch incoming.event {
        case .podShutdownDone(let event): (answer, word) = (event.answer, .done)
        case .podShutdownExtend(let event): (answer, word) = (event.answer, .extend(.seconds(event.seconds)))
        case .podShutdownRefuse(let event): (answer, word) = (event.answer, .refuse)
        default: return .done
        }
        let verdict = await engine.answer(
            removal: answer.removal, podUID: answer.podUID, word, token: answer.token, .bus)
        // Without a verdict the service ends: whoever takes over hears it.
        return verdict == nil ? .requeue : .done
    }
}
