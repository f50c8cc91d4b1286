import Bus
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
            maximumInFlight: settings.kubernetes.maximumInFlight,
            requestTimeout: settings.kubernetes.requestTimeout)
        let hooks = HookDoor(notifier.hooks, userAgent: "updraft-notifier/\(UpdraftVersion.text)")
        let webhooks = WebhookDoor(
            notifier.webhooks, userAgent: "updraft-notifier/\(UpdraftVersion.text)", isDryRun: notifier.dryRun)
        let bus = try context.openBus(standing: [answers])
        let tokens = AnswerTokens(settings)
        // The server of any replica hears answers: for its own engine while it acts, else for the bus.
        let engineBox = Lock<NotifierEngine?>(nil)
        let server = try AnswerServer(
            host: notifier.listen.host, port: notifier.listen.port, advertised: notifier.advertiseURL,
            tls: notifier.tls.map { ServerTLS(certificateFile: $0.certificateFile, keyFile: $0.keyFile) }
        ) { removal, podUID, word, token in
            if let engine = engineBox.withLock({ $0 }),
                let receipt = await engine.answer(removal: removal, podUID: podUID, word, token: token, .http)
            {
                return .verdict(receipt)
            }
            guard tokens.isValid(token, removal: removal, podUID: podUID) else {
                return .verdict(AnswerReceipt(verdict: .forged))
            }
            let answer = Answer(removal: removal, podUID: podUID, token: token)
            return await forward(answer, word, cluster: settings.cluster, bus) ? .forwarded : .lost
        }
        let observer = NotifierObserver(
            log: context.log, metrics: context.metrics, readiness: context.readiness,
            webhooks: notifier.webhooks.map(\.id))
        let pods = PodDoor(
            client, hooks: hooks, cluster: settings.cluster, host: context.host, isDryRun: notifier.dryRun,
            unread: { node, error in
                observer.note(
                    node, Explanation(.kubernetesUnreachable, "its pods cannot be read: \(error)"), isLoud: true)
            })
        let warm = WarmCluster()
        if !server.hasURL {
            context.log.warning(
                "pods are not told where to POST an answer: notifier.listen leads nowhere from a pod; listen on an address "
                    + "that pods reach and set notifier.advertise_url (other ways to answer work without)",
                [.address: .string(notifier.listen.description)])
        }
        if server.leadsToReader, let advertised = notifier.advertiseURL {
            context.log.warning(
                "pods elsewhere cannot POST an answer: notifier.advertise_url is a loopback address, which is the pod itself to a pod",
                [.address: .string(advertised)])
        }
        if notifier.dryRun { context.log.warning("dry run: no pod is told", [.dryRun: true]) }
        await withTaskGroup { group in
            group.addTask { await warm.watch(client) { observer.condition($0, $1) } }
            await context.whileActive(bus) { lease in
                let engine = NotifierEngine(
                    policy: NotifierPolicy(settings), pods: pods, warm: warm, lease: lease, observer: observer,
                    tokens: tokens, webhooks: webhooks, parallelHooks: notifier.hooks.parallel,
                    answerURL: { server.url(removal: $0, podUID: $1) })
                engineBox.withLock { $0 = engine }
                await serve(engine, bus, context, lease)
                engineBox.withLock { $0 = nil }
                observer.ended()
            }
            group.cancelAll()
        }
        server.stop()
        await bus.close(within: .seconds(5))
        await client.close()
        await hooks.close()
        await webhooks.close()
    }

    private static let answers = Subscription(topics: [.answers], heartbeat: Bus.probeHeartbeat)

    /// What the webhooks are told of, also when the Node is gone. A signature is good for 15 minutes, so what waits longer
    /// would be refused.
    private static let lifecycle = Subscription(
        topics: [.lifecycle], kind: .perishable(maximumLength: 10_000, ttl: .minutes(14)), suffix: "webhooks",
        heartbeat: Bus.probeHeartbeat)

    /// How long a pod waits for the broker to take its answer from a replica that stands by.
    private static let forwardWithin = Interval.seconds(5)

    /// How long an answer by the bus is waited for until it stands on its pod. Then its message is put off, so that those of
    /// other pods do not wait behind it; it comes back, is known, and is settled when the answer was written.
    private static let writtenWithin = Interval.seconds(5)

    /// An answer that this replica cannot take goes to the one that acts, as if the pod had sent it by the bus.
    private static func forward(_ answer: Answer, _ word: AnswerWord, cluster: String, _ bus: Bus) async -> Bool {
        let publishing = Task {
            do throws(BusError) {
                switch word {
                case .done: try await bus.publish(PodShutdownDone(cluster: cluster, answer: answer))
                case .refuse: try await bus.publish(PodShutdownRefuse(cluster: cluster, answer: answer))
                case .extend(let more):
                    // More than a week is not even a message; policy clamps it anyway.
                    let seconds = min(max(0, more.inSeconds), 604_800)
                    try await bus.publish(PodShutdownExtend(cluster: cluster, answer: answer, seconds: seconds))
                }
                return true
            } catch {
                // In the log and metrics already; the pod is told to try again.
                return false
            }
        }
        let bound = Task {
            if (try? await Task.sleep(for: forwardWithin.duration)) != nil { publishing.cancel() }
        }
        defer { bound.cancel() }
        return await publishing.value
    }

    /// The engine with its subscription, until the task is cancelled. Only the active replica reads it.
    private static func serve(
        _ engine: NotifierEngine, _ bus: Bus, _ context: ServiceContext, _ lease: Lease
    ) async {
        let log = context.log
        let supervisor = context.supervisor
        await withTaskGroup { group in
            group.addTask {
                await engine.run { event in
                    // A notice is tried again by the core, which knows other ways to tell a pod.
                    let again = event.type.topic != .notices
                    return await lease.publish(event, on: bus, log: log, again: again) == .taken
                }
            }
            group.addTask {
                await supervisor.run("answers") { part in
                    part.ready()
                    try await bus.subscribe(answers) { incoming in await hear(incoming, engine) }
                }
            }
            // Without webhooks there is no such queue, which nobody would read.
            guard !context.settings.notifier.webhooks.isEmpty else { return }
            group.addTask {
                await supervisor.run("lifecycle") { part in
                    part.ready()
                    try await bus.subscribe(lifecycle) { incoming in engine.hear(incoming.event) ? .done : .requeue }
                }
            }
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
        let id = incoming.envelope.messageID
        let (dispositions, input) = AsyncStream<Disposition>.makeStream()
        // Not waited for below: it ends with the verdict, or with this replica's turn.
        Task {
            let verdict = await engine.answer(
                removal: answer.removal, podUID: answer.podUID, word, token: answer.token, .bus, id: id)
            // Without a verdict this replica's turn ends: whoever acts next hears it.
            input.yield(verdict == nil ? .requeue : .done)
        }
        let bound = Task {
            if (try? await Task.sleep(for: writtenWithin.duration)) != nil { input.yield(.retryLater(.seconds(5))) }
        }
        defer { bound.cancel() }
        var first = dispositions.makeAsyncIterator()
        return await first.next() ?? .requeue
    }
}
