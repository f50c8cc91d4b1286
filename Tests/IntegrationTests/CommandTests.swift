import Bus
import FoundationEssentials
import Messages
import ServiceRuntime
import Settings
import Support
import TestServer
import Testing

@testable import Decider
@testable import UpdraftCommand

/// The user's commands against a real broker, with the services played by the test.
@Suite("Commands on the bus", .enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(3)))
struct CommandTests {
    private let folder: String

    init() throws {
        folder = "\(FileManager.default.temporaryDirectory.path)/updraft-\(TestBroker.unique("commands"))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private func settings(
        _ cluster: String, url: String? = nil, more: String = "", file: String? = nil
    ) throws -> Settings {
        let file = file ?? "\(folder)/\(TestBroker.unique("updraft")).yaml"
        let text = """
            cluster: \(cluster)
            bus:
              transport_url: "\(try #require(url ?? TestBroker.transportURL))"
              connect_timeout: 3s
              keys: [{id: k1, key: 0123456789abcdef0123456789abcdef}]
            \(more)
            """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return try Settings.load(file: file)
    }

    private func keys() -> SigningKeys? {
        SigningKeys(
            [SigningKeys.Key(id: "k1", secret: Array("0123456789abcdef0123456789abcdef".utf8))].compactMap { $0 },
            maximumAge: .minutes(15))
    }

    /// A Decider that answers questions by `answer` until the test is over.
    private func decider(
        _ cluster: String, _ answer: @escaping @Sendable (EvaluationRequested) -> Evaluation.Answer
    ) throws -> (Bus, Task<Void, Never>) {
        let bus = try TestBroker.bus(cluster: cluster, service: "decider", keys: keys())
        let task = Task<Void, Never> {
            _ = try? await bus.subscribe(Subscription(topics: [.questions])) { incoming in
                guard case .evaluationRequested(let question) = incoming.event else { return .done }
                var evaluation = Evaluation(
                    cluster: cluster, number: 3, at: .now(), summary: "nothing to do",
                    nodes: (0..<5).map { .init(node: "n\($0)", outcome: Explanation(.notUnderutilized, "80%")) })
                evaluation.answers = [answer(question)]
                for (index, node) in evaluation.nodes.enumerated() {
                    var part = evaluation
                    part.nodes = [node]
                    part.isComplete = index == 0
                    (part.part, part.parts) = (index, evaluation.nodes.count)
                    _ = try? await bus.publish(part)
                }
                return .done
            }
        }
        return (bus, task)
    }

    @Test("A question is answered, in parts")
    func ask() async throws {
        let cluster = TestBroker.unique("ask")
        let (bus, task) = try decider(cluster) {
            Evaluation.Answer(id: $0.id, subject: $0.subject, isKnown: true, standing: "is ready")
        }
        let link = try await SuiteLink(try settings(cluster))
        let (view, answer) = try await Question.ask(link, .init(.node, "n2"), within: .seconds(60))
        #expect(view.nodes.count == 5)
        let explained = try #require(Explained(answer, view))
        #expect(explained.text.contains("Node n2 is ready"), "\(explained.text)")
        await bus.close(within: .seconds(1))
        await task.value
    }

    @Test(
        "explain pod, as a command: the engine's own answer, in words and as JSON; a pod that is not known ends with 1")
    func explainPod() async throws {
        let cluster = TestBroker.unique("pod")
        let bus = try TestBroker.bus(cluster: cluster, service: "decider", keys: keys())
        let core = Lock(
            DeciderCore(
                DeciderConfiguration(cluster: cluster, groups: [GroupRules(id: "w", min: 0, max: 3)]), term: "t"))
        let node = Node(
            name: "n1", uid: "u1", providerID: "openstack:///server-1", labels: ["disk": "hdd"],
            allocatable: ResourceList(cpuMillis: 4_000, memoryBytes: 8 << 30, pods: 110), readiness: .ready,
            createdAt: .now() - .minutes(60))
        let shape = PodShape(
            owner: PodShape.Owner(kind: "ReplicaSet", name: "web"), requests: ResourceList(cpuMillis: 100),
            nodeSelector: ["disk": "ssd"])
        let pod = Pod(uid: "p", name: "web-0", shape: 0, scheduling: .unschedulable, createdAt: .now() - .minutes(5))
        core.withLock { core in
            _ = core.receive(
                .clusterSnapshot(
                    ClusterSnapshot(
                        cluster: cluster, epoch: "e", sequence: 1, takenAt: .now(),
                        shapes: [NumberedShape(id: 0, shape: shape)], nodes: [node], pods: [pod])), at: .now())
            _ = core.receive(
                .groupState(
                    GroupState(
                        cluster: cluster, group: "w", min: 0, max: 3, desired: 1, size: 1,
                        members: [.init(name: "m", physicalID: "p1", serverID: "server-1", status: "CREATE_COMPLETE")],
                        observedAt: .now())), at: .now())
        }
        let task = Task<Void, Never> {
            _ = try? await bus.subscribe(Subscription(topics: [.questions])) { incoming in
                let actions = core.withLock { core in
                    _ = core.receive(incoming.event, at: .now())
                    return core.evaluate(at: .now())
                }
                for case .publish(.evaluation(let record)) in actions {
                    for part in record.parts(of: 100) { _ = try? await bus.publish(part) }
                }
                return .done
            }
        }
        let file = "\(folder)/\(TestBroker.unique("updraft")).yaml"
        _ = try settings(cluster, file: file)
        func explain(_ words: String...) async throws -> (text: String, code: Int32) {
            let arguments = ["explain", "pod"] + words + ["--config", file, "--timeout", "60s"]
            let ended = try await onThread { try Program.run("updraft", arguments) }
            return (ended.lines.joined(separator: "\n"), ended.code)
        }
        let (text, known) = try await explain("default/web-0")
        #expect(known == 0)
        #expect(text.contains("group w: the node's labels do not match: wants disk=ssd, label is 'hdd'"), "\(text)")
        let (json, _) = try await explain("default/web-0", "--json")
        #expect(json.contains("\"reason\":\"NodeAffinityMismatch\""), "\(json)")
        #expect(try await explain("default/nobody").code == 1)
        await bus.close(within: .seconds(1))
        await task.value
    }

    @Test("No Decider: said so, within the bound")
    func nobody() async throws {
        let link = try await SuiteLink(try settings(TestBroker.unique("nobody")))
        let error = await #expect(throws: CommandError.self) {
            _ = try await Question.ask(link, .init(.cluster), within: .milliseconds(600))
        }
        #expect(error?.text.contains("no Decider of cluster nobody") ?? false, "\(error?.text ?? "")")
        #expect(error?.exitCode == 1)
    }

    @Test("No broker, and a wrong password: named with the broker's address, without the password")
    func noBroker() async throws {
        let away = await #expect(throws: CommandError.self) {
            _ = try await SuiteLink(try settings("c", url: "rabbit://u:secret@127.0.0.1:9/"))
        }
        #expect(away?.text.contains("127.0.0.1:9") ?? false, "\(away?.text ?? "")")
        let host = try #require(try TestBroker.settings().url.hosts.first)
        let wrong = await #expect(throws: CommandError.self) {
            _ = try await SuiteLink(try settings("c", url: "rabbit://nobody:secret@\(host.host):\(host.port)/"))
        }
        #expect(wrong?.text.contains("cannot be used") ?? false)
        #expect(!(wrong?.text.contains("secret") ?? true))
        #expect(wrong?.text.lowercased().contains("refused") ?? false, "\(wrong?.text ?? "")")
    }

    @Test("The history keeps decisions and what became of them; reading takes nothing away; forged entries are marked")
    func history() async throws {
        let cluster = TestBroker.unique("history")
        let bus = try TestBroker.bus(cluster: cluster, service: "decider", keys: keys())
        await #expect(throws: BusError.self) { try await bus.history { _ in } }
        try await bus.declareHistory()
        try await bus.declareHistory()
        let decision = RemovalDecided(
            cluster: cluster, id: "r1", group: "w", from: 2,
            nodes: [RemovalTarget(node: "n1", nodeUID: "u", serverID: "s", reason: Explanation(.nodeUnneeded))],
            decidedAt: .now(), deadline: .now() + .minutes(2))
        try await bus.remember(decision, id: "m1")
        let forger = try TestBroker.bus(cluster: cluster, service: "actuator")
        func progress(_ seconds: Double) -> RemovalProgress {
            RemovalProgress(
                id: "r1", group: "w", node: "n1", nodeUID: "u", serverID: "s", reason: Explanation(.nodeUnneeded),
                at: decision.decidedAt + .seconds(seconds))
        }
        try await bus.publish(RemovalCordoned(cluster: cluster, removal: progress(1)))
        try await forger.publish(RemovalCompleted(cluster: cluster, removal: progress(9)))
        for _ in 0..<2 {
            var entries: [HistoryEntry] = []
            try await bus.history { entries.append($0) }
            #expect(entries.map(\.event.type) == [.removalDecided, .removalCordoned, .removalCompleted])
            #expect(entries.map(\.isTrusted) == [true, true, false])
        }
        var later: [HistoryEntry] = []
        try await bus.history(since: .now() + .minutes(10)) { later.append($0) }
        #expect(later.isEmpty)
        let timeline = await TimelineCommand.timeline(of: "n1", try await SuiteLink(try settings(cluster)), nil)
        #expect(timeline.notes.isEmpty, "\(timeline.notes)")
        #expect(timeline.removals.first?.steps.map(\.what) == ["decided", "cordoned", "completed"])
        #expect(timeline.removals.first?.seconds == 9)
        await forger.close(within: .seconds(1))
        await bus.close(within: .seconds(1))
    }

    @Test("The history makes no decision routable: one without an Actuator's queue is still refused")
    func historyIsNoReader() async throws {
        let cluster = TestBroker.unique("unread")
        let bus = try TestBroker.bus(cluster: cluster, service: "decider")
        try await bus.declareHistory()
        let decision = RemovalCancelled(
            cluster: cluster, id: "r1", nodes: [], reason: Explanation(.loadReturned), decidedAt: .now())
        let error = await #expect(throws: BusError.self) { try await bus.publish(decision) }
        #expect(error?.code == .unroutable)
        await bus.close(within: .seconds(1))
    }

    @Test("A recording holds a snapshot that it asked for, ends when told, and is read again")
    func record() async throws {
        let cluster = TestBroker.unique("record")
        let collector = try TestBroker.bus(cluster: cluster, service: "collector", keys: keys())
        let serving = Task<Void, Never> {
            _ = try? await collector.subscribe(Subscription(topics: [.requests])) { incoming in
                guard case .snapshotRequested = incoming.event else { return .done }
                _ = try? await collector.publish(
                    GroupState(cluster: cluster, group: "workers", min: 0, max: 3, size: 0, observedAt: .now()))
                _ = try? await collector.publish(
                    ClusterSnapshot(cluster: cluster, epoch: "e", sequence: 1, takenAt: .now()))
                return .done
            }
        }
        let path = "\(folder)/recording"
        let link = try await SuiteLink(
            try settings(cluster, more: "groups: [{id: workers, stack: s, resource: r, min: 0, max: 3}]"))
        let wish = Shutdown()
        let recording = Task {
            try await RecordCommand.record(link, to: path, replacing: false, for: nil, maximumBytes: 1 << 20, wish)
        }
        var text = ""
        for _ in 0..<600 where !text.contains(EventType.clusterSnapshot.rawValue) {
            try await Task.sleep(for: .milliseconds(100))
            text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        }
        wish.request("the test")
        let summary = try await recording.value
        #expect(summary.endedBy == "the test")
        var types: Set<EventType> = []
        try await RecordingFile.read(path) { (head) throws(CommandError) in
            #expect(head.cluster == cluster)
        } _: { (entry) throws(CommandError) in
            types.insert(entry.event.type)
        }
        #expect(types == [.clusterSnapshot, .groupState])
        #expect(summary.isUsable, "\(summary.text)")
        let again = await #expect(throws: CommandError.self) {
            _ = try await RecordCommand.record(link, to: path, replacing: false, for: nil, maximumBytes: 1 << 20, wish)
        }
        #expect(again?.text.contains("is there already") ?? false)
        await collector.close(within: .seconds(1))
        await serving.value
    }

    @Test("A node under removal is taken back: a signed command, and the Actuator's word is the outcome")
    func cancel() async throws {
        let cluster = TestBroker.unique("cancel")
        let record = RemovalRecord(
            id: "r1", group: "w", nodeUID: "u", serverID: "s", member: "m", memberID: "p", decidedAt: .now(),
            startedAt: .now(), deadline: .now() + .minutes(5), reason: Explanation(.nodeUnneeded))
        let text = try record.text()
        let (decider, deciding) = try decider(cluster) {
            var answer = Evaluation.Answer(id: $0.id, subject: $0.subject, isKnown: true)
            answer.removals = [.init(node: "n1", record: text)]
            return answer
        }
        let actuator = try TestBroker.bus(cluster: cluster, service: "actuator", keys: keys())
        let acting = Task<Void, Never> {
            _ = try? await actuator.subscribe(Subscription(topics: [.decisions])) { incoming in
                guard case .removalCancelled(let command) = incoming.event else { return .done }
                _ = try? await actuator.publish(
                    RemovalFailed(
                        cluster: cluster,
                        removal: record.progress(node: "n1", reason: command.reason, at: .now())))
                return .done
            }
        }
        let link = try await SuiteLink(try settings(cluster))
        // Until the Actuator's queue is there a command is refused as unroutable: the command may be given again.
        var outcome: CancelOutcome?
        for _ in 0..<50 where outcome == nil {
            do {
                outcome = try await CancelCommand.cancel("n1", "needed for a test", link, nil, within: .seconds(60))
            } catch {
                #expect(error.text.contains("not delivered"), "\(error.text)")
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        #expect(outcome?.isTakenBack ?? false, "\(outcome?.text ?? "no outcome")")
        #expect(outcome?.detail.contains("needed for a test") ?? false)
        for bus in [decider, actuator] { await bus.close(within: .seconds(1)) }
        await deciding.value
        await acting.value
    }
}
