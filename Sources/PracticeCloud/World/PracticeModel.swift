import JSONReader
import Messages
import Support

/// What the practice cloud does to the world outside.
enum PracticeOutput: Sendable {
    /// A message for an exchange of OpenStack.
    case notification(exchange: String, routingKey: String, body: [UInt8])
    /// A POST of an application's answer.
    case post(HookModel.Post)
}

/// The whole practice cloud as a value: requests and time in; answers, notifications and changes out. It has no clock,
/// no socket and no randomness but its seed, so that a test plays days in milliseconds.
struct PracticeModel: Sendable {
    let settings: PracticeSettings
    let credentials: PracticeCredentials
    var endpoints = PracticeEndpoints()
    var journal = Journal()
    var faults = Faults()
    var keystone: KeystoneModel
    var nova: NovaModel
    var heat: HeatModel
    var aodh = AodhModel()
    var store: KubernetesStore
    var index = ClusterIndex()
    var scheduler: SchedulerModel
    var controllers: ControllerModel
    var kubelets: KubeletModel
    var hooks = HookModel()
    var snapshots: [String: ListSnapshot] = [:]
    /// Uids of pods that were told in some way that their node goes.
    var told: Set<String> = []
    /// Bearer tokens of the API server; true: may only read.
    let kubernetesTokens: [String: Bool]
    var random: Generator
    private var broadcast: [StoreChange] = []
    private var outputs: [PracticeOutput] = []
    private var novaChanged = false
    private(set) var clock: Timestamp

    /// A cloud whose stacks were made half an hour before `now` and have come up since.
    init(
        _ settings: PracticeSettings, credentials: PracticeCredentials = .init(), at now: Timestamp
    ) {
        self.settings = settings
        self.credentials = credentials
        var random = Generator(seed: settings.seed)
        let projectID = random.hexadecimal(32)
        let owner = KeystoneModel.User(
            id: random.hexadecimal(32), name: credentials.user, password: credentials.password)
        let trustee = KeystoneModel.User(
            id: random.hexadecimal(32), name: credentials.trustee, password: credentials.trusteePassword)
        keystone = KeystoneModel(
            projectID: projectID, projectName: "practice", users: [owner, trustee], random: random.fork())
        keystone.tokenLifetime = settings.tokenLifetime
        keystone.credentials = [
            .init(
                id: credentials.credentialID, name: "updraft", secret: credentials.credentialSecret, userID: owner.id)
        ]
        keystone.trusts = [.init(id: credentials.trustID, trustorID: owner.id, trusteeID: trustee.id)]
        nova = NovaModel(
            flavors: settings.flavors, buildTime: settings.serverBuild * settings.pace, random: random.fork())
        nova.quota = settings.ampleQuota
        heat = HeatModel(projectID: projectID, timing: settings.pacedHeat, random: random.fork())
        store = KubernetesStore(random: random.fork())
        scheduler = SchedulerModel(random: random.fork())
        controllers = ControllerModel()
        controllers.collectionDelay = settings.podCollection * settings.pace
        kubelets = KubeletModel(timing: settings.pacedKubelets)
        kubernetesTokens = [credentials.kubernetesToken: false, credentials.readerToken: true]
        self.random = random
        clock = now - .minutes(30)
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            _ = try? store.create(
                .namespace, ["metadata": ["name": .string(name)], "status": ["phase": "Active"]], namespace: "",
                at: clock)
        }
        for (name, value) in [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)] {
            _ = try? store.create(
                .priorityClass, ["metadata": ["name": .string(name)], "value": .int(Int64(value))], namespace: "",
                at: clock)
        }
        for stack in settings.stacks {
            // Two stacks of one name: the second is left out, as Heat would refuse it.
            _ = try? heat.create(stack, owner: owner.id, at: clock)
        }
        advance(to: now)
        kubelets.startLeases(at: now)
        outputs = []
        broadcast = []
    }

    // MARK: Time

    /// When something happens next by itself.
    var nextDeadline: Timestamp? {
        [
            nova.nextDeadline, heat.nextDeadline, scheduler.nextDeadline, controllers.nextDeadline,
            kubelets.nextDeadline, hooks.nextDeadline,
        ].compactMap { $0 }.min()
    }

    /// Lets time pass to `now`, in the order in which things fall due, in at most `steps` steps. True if all is done.
    @discardableResult
    mutating func advance(to now: Timestamp, steps: Int = .max) -> Bool {
        settle()
        var left = steps
        while let next = nextDeadline, next <= now {
            guard left > 0 else { return false }
            left -= 1
            clock = max(clock, next)
            nova.advance(to: clock)
            takeNovaEvents()
            if novaChanged || heat.nextDeadline.map({ $0 <= clock }) ?? false {
                novaChanged = false
                heat.advance(to: clock, nova: &nova)
                takeNovaEvents()
            }
            kubelets.advance(to: clock, store: &store, index: index)
            settle()
            controllers.advance(to: clock, store: &store, index: index)
            settle()
            scheduler.advance(to: clock, store: &store, index: index)
            for post in hooks.takePosts(at: clock) {
                outputs.append(.post(post))
                journal.record(
                    "pod.answered", at: clock,
                    [
                        "pod": .string(post.pod), "uid": .string(post.podUID),
                        "answer": post.body["answer"] ?? "", "via": "url",
                    ])
            }
            settle()
        }
        clock = max(clock, now)
        return true
    }

    /// Everybody sees what changed.
    mutating func settle() {
        takeNovaEvents()
        for output in heat.takeOutputs() {
            switch output {
            case .journal(let kind, let facts): journal.record(kind, at: clock, facts)
            case .notification(let type, let isError, let payload):
                outputs.append(
                    .notification(
                        exchange: "heat", routingKey: isError ? "notifications.error" : "notifications.info",
                        body: osloEnvelope("orchestration.\(type)", isError: isError, payload)))
            }
        }
        while true {
            let changes = store.takeChanges()
            if changes.isEmpty { break }
            for change in changes {
                let difference = index.apply(change)
                observe(change, difference)
                controllers.observe(change, difference, at: clock)
                scheduler.observe(difference, at: clock)
                kubelets.observe(difference, store: store, at: clock)
                broadcast.append(change)
            }
        }
        for (kind, facts) in kubelets.takeFacts() { journal.record(kind, at: clock, facts) }
    }

    private mutating func takeNovaEvents() {
        for event in nova.takeEvents() {
            novaChanged = true
            notify(event)
            switch event {
            case .created(let server):
                journal.record("server.created", at: clock, describe(server))
            case .becameActive(let server):
                journal.record("server.active", at: clock, describe(server))
                if let flavor = nova.flavor(server.flavor) {
                    kubelets.serverBecameActive(server, flavor: flavor, at: clock)
                }
            case .failed(let server):
                journal.record("server.failed", at: clock, describe(server))
                kubelets.setSilent(server.id, true, at: clock)
            case .deleted(let server):
                journal.record("server.deleted", at: clock, describe(server))
                kubelets.serverVanished(server.id, index: index, told: told, at: clock)
            }
        }
    }

    private func describe(_ server: NovaModel.Server) -> [String: JSONValue] {
        [
            "server": .string(server.id), "name": .string(server.name), "group": .string(server.template.group),
            "status": .string(server.status),
        ]
    }

    // MARK: Outputs

    /// A message for Aodh's exchange.
    mutating func send(fromAodh body: [UInt8]) {
        outputs.append(.notification(exchange: "aodh", routingKey: "notifications.info", body: body))
    }

    /// A message for Nova's exchange.
    mutating func send(fromNova routingKey: String, _ body: [UInt8]) {
        outputs.append(.notification(exchange: "nova", routingKey: routingKey, body: body))
    }

    /// Messages and posts since the last call.
    mutating func takeOutputs() -> [PracticeOutput] {
        defer { outputs = [] }
        return outputs
    }

    /// Changes for watches since the last call.
    mutating func takeBroadcast() -> [StoreChange] {
        defer { broadcast = [] }
        return broadcast
    }

    /// An oslo.messaging notification, envelope 2.0, as Heat's.
    mutating func osloEnvelope(
        _ type: String, publisher: String = "orchestration.practice", isError: Bool, _ payload: JSONValue
    ) -> [UInt8] {
        let user = payload["user_identity"] ?? .null
        let message: JSONValue = [
            "message_id": .string(random.uuid()), "publisher_id": .string(publisher),
            "event_type": .string(type), "priority": isError ? "ERROR" : "INFO", "payload": payload,
            "timestamp": .string(clock.oslo), "_unique_id": .string(random.hexadecimal(32)),
            "_context_auth_token": nil, "_context_username": nil, "_context_user_id": user,
            "_context_password": nil, "_context_aws_creds": nil, "_context_tenant": .string(keystone.projectName),
            "_context_tenant_id": .string(keystone.projectID),
            "_context_project_name": .string(keystone.projectName),
            "_context_project_id": .string(keystone.projectID), "_context_trust_id": nil,
            "_context_trustor_user_id": nil, "_context_auth_token_info": nil,
            "_context_auth_url": nil, "_context_roles": ["reader", "member"], "_context_is_admin": false,
            "_context_user": nil, "_context_request_id": .string("req-\(random.uuid())"),
            "_context_global_request_id": nil, "_context_show_deleted": false, "_context_region_name": nil,
            "_context_user_identity": .string("\(user.stringValue ?? "-") \(keystone.projectID)"),
            "_context_user_domain_id": "default", "_context_project_domain_id": "default",
        ]
        let envelope: JSONValue = ["oslo.version": "2.0", "oslo.message": .string(message.text)]
        return envelope.bytes
    }

    // MARK: Hooks

    /// A notice to an application: `/hooks/NAMESPACE/APP`. Answer and how much later it goes out.
    mutating func hook(_ request: PracticeRequest, at now: Timestamp) -> (PracticeAnswer, Interval) {
        let segments = request.segments
        guard segments.count >= 3, segments[0] == "hooks", request.method == "POST" else {
            return (.text(404, "no such hook"), .zero)
        }
        guard let body = try? request.json() else { return (.text(400, "not JSON"), .zero) }
        let result = hooks.notice(namespace: segments[1], app: segments[2], body: body, at: now)
        let notice = result.notice
        let facts: [String: JSONValue] = [
            "pod": .string("\(notice.namespace)/\(notice.pod)"), "uid": .string(notice.podUID),
            "removal": .string(notice.removal),
        ]
        journal.record(
            notice.withdrawn ? "pod.reprieved" : "pod.told", at: now,
            facts.merging(["via": "hook"]) { first, _ in first })
        if notice.withdrawn {
            told.remove(notice.podUID)
        } else {
            told.insert(notice.podUID)
            journal.record(
                "pod.answered", at: now,
                facts.merging(["answer": .string(result.said), "via": "response"]) { first, _ in first })
        }
        return (result.answer, result.delay)
    }
}
