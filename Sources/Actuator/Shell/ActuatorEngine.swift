import Messages
import ServiceRuntime
import Support

/// Carries out what the core says: one loop owns the core, each act runs beside it and comes back as an event.
///
/// One engine is one turn of this replica: it does nothing, publishes nothing and settles nothing without its lease, and
/// whoever acts next begins with a new core.
final class ActuatorEngine: Sendable {
    /// Where events leave to. False: it did not, and nothing that follows it may happen.
    typealias Publish = @Sendable (Event) async -> Bool

    private let cloud: any CloudActing
    private let cluster: any ClusterActing
    private let nodes: WarmTable<NodeView>
    private let lease: Lease
    private let observer: ActuatorObserver
    private let outbox = Outbox()
    private let input: AsyncStream<ActuatorEvent>.Continuation
    private let events: AsyncStream<ActuatorEvent>
    private let policy: ActuatorPolicy
    private let tickets = Tickets<Settlement>()

    /// An engine; `run` starts it.
    init(
        policy: ActuatorPolicy, cloud: any CloudActing, cluster: any ClusterActing, nodes: WarmTable<NodeView>,
        lease: Lease, observer: ActuatorObserver
    ) {
        self.policy = policy
        self.cloud = cloud
        self.cluster = cluster
        self.nodes = nodes
        self.lease = lease
        self.observer = observer
        (events, input) = AsyncStream.makeStream()
    }

    // MARK: What comes in

    /// Something happened for which nobody waits.
    func tell(_ event: ActuatorEvent) {
        input.yield(event)
    }

    /// Hands a command to the core and waits until its delivery may be settled: at most the core's `ticketHold` and
    /// what the broker takes to confirm the answer. Nil: the engine ends, and whoever acts next takes it up.
    func handle(_ command: (Int) -> ActuatorEvent) async -> Settlement? {
        await tickets.wait { input.yield(command($0)) }
    }

    private func settle(_ ticket: Int, _ settlement: Settlement) {
        tickets.answer(ticket, lease.isHeld ? settlement : nil)
    }

    // MARK: Running

    /// Runs until the task is cancelled; then what was said still leaves, within the broker's patience.
    func run(publish: @escaping Publish) async {
        await withTaskGroup { group in
            let observer = observer
            group.addTask {
                await self.outbox.run { event in
                    guard self.lease.isHeld else { return false }
                    observer.published(event)
                    return await publish(event)
                }
            }
            group.addTask {
                await self.loop()
                self.close()
            }
        }
    }

    private func close() {
        tickets.close()
        outbox.finish()
    }

    private func loop() async {
        await withDiscardingTaskGroup { acts in
            nodes.listen { [input] change in
                switch change {
                case .all(let views): input.yield(.nodesListed(views))
                case .seen(let view): input.yield(.nodeSeen(view))
                case .gone(let view): input.yield(.nodeGone(name: view.name, uid: view.uid))
                }
            }
            var core = ActuatorCore(policy: policy)
            var alarm = Alarm { [input] in input.yield(.tick) }
            carryOut(core.handle(.tick, at: .now()), &acts)
            alarm.set(core.nextWake())
            var countedAt = Timestamp(seconds: 0)
            for await event in events {
                let now = Timestamp.now()
                carryOut(core.handle(event, at: now), &acts)
                alarm.set(core.nextWake())
                // Counting a thousand at each of their events would take a quarter of the time.
                if core.removalCount <= 50 || now - countedAt >= .milliseconds(250) {
                    countedAt = now
                    observer.removals(core.removalsByPhase)
                }
                observer.nodesWithoutGroup(core.nodesWithoutGroup)
            }
            alarm.cancel()
            acts.cancelAll()
        }
    }

    /// Acts run beside the loop. What was published before an act that ends something leaves before that act.
    private func carryOut(_ actions: [ActuatorAction], _ acts: inout DiscardingTaskGroup) {
        for action in actions {
            switch action {
            case .publish(let event): outbox.publish(event)
            case .settle(let ticket, let settlement):
                outbox.then { self.settle(ticket, settlement) }
            case .deleteNode(let node, let uid):
                outbox.then {
                    // Only the order matters to the outbox: it does not wait for the answer.
                    Task { await self.delete(node, uid) }
                }
            case .editNode(let edit) where edit.kind == .release:
                // With it the Node may go, and what was to be told of it with it.
                outbox.then {
                    Task {
                        guard let event = await self.perform(action) else { return }
                        self.input.yield(event)
                    }
                }
            case .note(let note):
                observer.note(note)
                if note.level == .error || note.level == .warning, note.subject.isEmpty == false {
                    observer.count(note.explanation.reason)
                }
            case .condition(let name, let explanation):
                observer.condition(name, explanation.map { "\($0.reason.rawValue): \($0.detail)" })
            default:
                acts.addTask {
                    guard let event = await self.perform(action) else { return }
                    self.input.yield(event)
                }
            }
        }
    }

    private func delete(_ node: String, _ uid: String) async {
        guard lease.isHeld else { return }
        do throws(ActFailure) {
            try await cluster.deleteNode(node, uid: uid)
            input.yield(.nodeDeleted(node: node, nil))
        } catch {
            input.yield(.nodeDeleted(node: node, error))
        }
    }

    private func perform(_ action: ActuatorAction) async -> ActuatorEvent? {
        guard lease.isHeld else { return nil }
        let started = Timestamp.now()
        defer { observer.took(action.label, Timestamp.now() - started) }
        switch action {
        case .readGroup(let id, let expected):
            do throws(ActFailure) {
                return .groupRead(group: id, try await cloud.read(id, expecting: expected))
            } catch {
                return .groupUnread(group: id, error)
            }
        case .resize(let id, let size, let others):
            let failure = await failure { () async throws(ActFailure) in
                try await self.cloud.resize(id, to: size, keeping: others)
            }
            return .resized(group: id, failure)
        case .mark(let id, let member, let unhealthy, let why):
            let failure = await failure { () async throws(ActFailure) in
                try await self.cloud.mark(id, member: member, unhealthy: unhealthy, why: why)
            }
            return .marked(group: id, member: member, unhealthy: unhealthy, failure)
        case .clearHooks(let id, let members):
            let failure = await failure { () async throws(ActFailure) in
                try await self.cloud.letGo(id, memberIDs: members)
            }
            if let failure {
                observer.note(ActuatorNote(.warning, id, failure.reason, "letting members go: \(failure.detail)"))
            }
            return .holdsCleared(group: id, failure)
        case .refuseDeletion(let id, let members):
            let failure = await failure { () async throws(ActFailure) in
                try await self.cloud.refuse(id, memberIDs: members)
            }
            if let failure {
                observer.note(ActuatorNote(.warning, id, failure.reason, "keeping members: \(failure.detail)"))
            }
            return .holdsCleared(group: id, failure)
        case .checkServer(let id): return .serverChecked(serverID: id, await cloud.fate(ofServer: id))
        case .readServers(let id, let servers): return .serversRead(group: id, await cloud.servers(servers))
        case .report(let node, let explanation):
            await cluster.record(explanation, isWarning: true, onNode: node)
            return nil
        case .editNode(let edit):
            let outcome = await cluster.edit(edit)
            // Told at once: the removal must not wait for its Event, which is for people, however long that takes to write.
            input.yield(.nodeEdited(node: edit.node, outcome))
            if case .done(let record?) = outcome {
                await cluster.record(record.event, isWarning: record.phase == .failed, onNode: edit.node)
            }
            return nil
        case .checkNode(let name):
            do throws(ActFailure) {
                // Nil is an answer too: there is no such Node.
                return .nodeChecked(name: name, try await cluster.node(name))
            } catch {
                // The watch tells of it again, at the latest when it begins anew.
                return nil
            }
        case .readPods(let node):
            do throws(ActFailure) {
                return .podsRead(node: node, try await cluster.pods(on: node))
            } catch {
                return .podsUnread(node: node, error)
            }
        case .evict(let node, let pod, let grace):
            return .evicted(node: node, podUID: pod.uid, await cluster.evict(pod, grace: grace))
        case .deletePod(let node, let pod, let grace):
            let outcome = await cluster.deletePod(pod, grace: grace)
            if outcome == .accepted {
                let why = "pod \(pod.id) was deleted: the drain's deadline had passed and the configuration says so"
                await cluster.record(Explanation(.drainForced, why), isWarning: true, onNode: node)
            }
            return .evicted(node: node, podUID: pod.uid, outcome)
        case .readVolumes(let node):
            do throws(ActFailure) {
                return .volumesRead(node: node, try await cluster.volumesLeft(on: node))
            } catch {
                return .volumesUnread(node: node, error)
            }
        case .readWorkload(let node, let pod):
            do throws(ActFailure) {
                return .workloadRead(node: node, podUID: pod.uid, try await cluster.workload(of: pod))
            } catch {
                return .workloadUnread(node: node, podUID: pod.uid, error)
            }
        case .scaleWorkload(let decision): return .workloadScaled(decision, await cluster.scale(decision))
        case .publish, .settle, .deleteNode, .note, .condition: return nil
        }
    }

    private func failure(_ body: () async throws(ActFailure) -> Void) async -> ActFailure? {
        do throws(ActFailure) {
            try await body()
            return nil
        } catch {
            return error
        }
    }
}

extension RemovalRecord {
    /// For the Kubernetes Event on the Node at each step.
    var event: Explanation {
        let why = outcome ?? reason
        return Explanation(why.reason, "removal \(id) \(phase.rawValue): \(why.detail)")
    }
}

extension ActuatorAction {
    /// For metrics.
    var label: String {
        switch self {
        case .readGroup: "read_group"
        case .resize: "resize"
        case .mark: "mark"
        case .clearHooks: "clear_hooks"
        case .refuseDeletion: "refuse_deletion"
        case .readServers: "read_servers"
        case .report: "report"
        case .checkServer: "check_server"
        case .editNode: "edit_node"
        case .checkNode: "check_node"
        case .readPods: "read_pods"
        case .evict: "evict"
        case .deletePod: "delete_pod"
        case .readVolumes: "read_volumes"
        case .readWorkload: "read_workload"
        case .deleteNode: "delete_node"
        case .scaleWorkload: "scale_workload"
        case .publish, .settle, .note, .condition: "other"
        }
    }

    static let labels = [
        "read_group", "resize", "mark", "clear_hooks", "read_servers", "report", "edit_node", "check_node", "read_pods",
        "evict", "delete_pod",
        "read_volumes", "read_workload", "delete_node", "scale_workload", "check_server", "refuse_deletion", "other",
    ]
}
