import Messages
import Support

/// RabbitMQ: routing, one message in hand at a time, redelivery, wait queues, lost connections.
extension World {
    // MARK: Publishing

    /// A process publishes; `then` hears whether the broker has it. A command waits for the connection as long as it
    /// takes; what is perishable is given up.
    func publish(_ event: Event, from process: Process, then: @escaping (Bool) -> Void) {
        let life = process.life
        guard process.isConnected else {
            if event.type.topic.isPerishable {
                return after(.seconds(1)) { if process.life == life { then(false) } }
            }
            process.whenConnected { self.publish(event, from: process, then: then) }
            return
        }
        let connection = process.connection
        after(random.pause(1...10)) {
            // What was sent just before a process died may have arrived.
            if process.life != life && self.random.chance(0.5) { return }
            if process.life == life && process.connection != connection {
                // The connection broke: with a command nobody knows whether it arrived, so it is sent again.
                if self.random.chance(0.5) { self.publish(event) }
                return self.publish(event, from: process, then: then)
            }
            self.publish(event)
            self.after(self.random.pause(1...10)) { if process.life == life { then(true) } }
        }
    }

    /// An event reaches the exchange.
    func publish(_ event: Event) {
        // Replicas of the Collector ask once a second who is active: that is no part of a story.
        if !event.isProbe { say("bus", event.line) }
        audit(published: event)
        if event.type.topic == .decisions { broker.decisions.append(event) }
        if event.type.topic.isPerishable && strikes(.perishableLost) {
            return say("fault", "\(event.type.rawValue) is lost")
        }
        let copies = strikes(.duplicate) ? 2 : 1
        for queue in broker.queues where queue.topics.contains(event.type.topic) {
            for _ in 0..<copies { enqueue(event, queue) }
        }
    }

    private func enqueue(_ event: Event, _ queue: MessageQueue) {
        audit.messages += 1
        queue.messages.append(MessageQueue.Message(event: event, at: now, number: audit.messages))
        if let limit = queue.maximumLength, queue.messages.count > limit {
            queue.messages.removeFirst(queue.messages.count - limit)
        }
        plan(queue)
    }

    // MARK: Consuming

    func queue(_ name: String, _ topics: Set<Topic>, maximumLength: Int? = nil, ttl: Interval? = nil) -> MessageQueue {
        if let known = broker.queues.first(where: { $0.name == name }) { return known }
        let queue = MessageQueue(name, topics, maximumLength: maximumLength, ttl: ttl)
        broker.queues.append(queue)
        return queue
    }

    /// The process gets in line at the queue, and again whenever its connection comes back.
    func subscribe(
        _ process: Process, _ queue: MessageQueue,
        _ handler: @escaping (Event, @escaping (MessageQueue.Settlement) -> Void) -> Void
    ) {
        process.subscriptions.append((queue, MessageQueue.Consumer(process: process, handler: handler)))
        if process.isConnected { attach(process) }
    }

    private func attach(_ process: Process) {
        for (queue, consumer) in process.subscriptions
        where !queue.consumers.contains(where: { $0.process === process }) {
            queue.consumers.append(consumer)
            plan(queue)
        }
    }

    private func plan(_ queue: MessageQueue) {
        guard !queue.isPlanned, queue.inHand == nil, !queue.messages.isEmpty, !queue.consumers.isEmpty else { return }
        queue.isPlanned = true
        after(random.pause(1...8)) {
            queue.isPlanned = false
            self.handOut(queue)
        }
    }

    private func handOut(_ queue: MessageQueue) {
        guard queue.inHand == nil, let consumer = queue.consumers.first else { return }
        let process = consumer.process
        guard queue.busy[process.name] != process.life else { return }
        if let ttl = queue.ttl { queue.messages.removeAll { now - $0.at > ttl } }
        guard !queue.messages.isEmpty else { return }
        let message = queue.messages.removeFirst()
        let (life, connection) = (process.life, process.connection)
        queue.inHand = (message, connection)
        // Who is frozen has it in its socket and does nothing with it.
        guard process.isUp else { return }
        queue.busy[process.name] = life
        consumer.handler(message.event) { settlement in
            guard process.life == life else { return }
            queue.busy[process.name] = nil
            self.settle(message, settlement, queue, process, connection)
            self.plan(queue)
        }
    }

    private func settle(
        _ message: MessageQueue.Message, _ settlement: MessageQueue.Settlement, _ queue: MessageQueue,
        _ process: Process, _ connection: Int
    ) {
        let isMine = queue.inHand?.message.number == message.number && process.connection == connection
        if isMine { queue.inHand = nil }
        switch settlement {
        case .done: break
        case .requeue: if isMine { queue.messages.insert(message, at: 0) }
        case .retryLater(let pause):
            // Without its old channel the message is put off as well as redelivered.
            guard process.isConnected else { return }
            after(pause) {
                queue.messages.append(message)
                self.plan(queue)
            }
        }
    }

    // MARK: Connections

    func disconnect(_ process: Process, for pause: Interval) {
        guard process.isUp, process.isConnected else { return }
        say("fault", "\(process.name) loses its connection to the broker for \(pause)")
        detach(process)
        let life = process.life
        // Who acts does so under a lease of the broker: without a connection it ends.
        if process.acts && process.isLeased && (pause > World.lease || process.isOneOfMany) {
            after(World.lease) {
                // Among several a new subscription begins anew, also if nobody else was there to take over.
                guard process.life == life, process.isOneOfMany || !process.isConnected else { return }
                process.turnEnds()
            }
        }
        after(pause) { if process.life == life { self.connect(process) } }
    }

    /// How long whoever acts may go on without the broker's word, counted from its last probe; and how long whoever
    /// begins to receive probes waits, by when the lease of the one before is over (docs/architecture.md §3).
    static let lease = Interval.seconds(1)
    static let wait = Interval.milliseconds(1_250)

    private func isFirst(_ process: Process) -> Bool {
        guard process.isOneOfMany else { return true }
        return broker.lines[process.service]?.first === process
    }

    /// Gets in line for a turn.
    private func standInLine(_ process: Process) {
        guard process.isOneOfMany, broker.lines[process.service]?.contains(where: { $0 === process }) != true else {
            return
        }
        broker.lines[process.service, default: []].append(process)
        if isFirst(process) { lookAtLine(process.service) }
    }

    private func leaveLine(_ process: Process) {
        guard process.isOneOfMany, let place = broker.lines[process.service]?.firstIndex(where: { $0 === process })
        else { return }
        broker.lines[process.service]?.remove(at: place)
        if place == 0 { lookAtLine(process.service) }
    }

    /// Whoever is first now begins a turn, once that of the one before is over for certain.
    private func lookAtLine(_ service: String) {
        guard let first = broker.lines[service]?.first else { return }
        let (life, connection) = (first.life, first.connection)
        after(World.wait + random.pause(1...300)) {
            guard first.life == life, first.connection == connection, self.isFirst(first), first.isConnected,
                !first.acts
            else { return }
            first.turnBegins()
        }
    }

    func connect(_ process: Process) {
        guard !process.isConnected else { return }
        process.isConnected = true
        process.connection += 1
        attach(process)
        process.connected()
        standInLine(process)
    }

    /// What it held goes back to the head of the queue, and the next consumer gets it.
    func detach(_ process: Process) {
        process.isConnected = false
        process.connection += 1
        leaveLine(process)
        for queue in broker.queues {
            guard let place = queue.consumers.firstIndex(where: { $0.process === process }) else { continue }
            queue.consumers.remove(at: place)
            if place == 0, let held = queue.inHand?.message {
                queue.inHand = nil
                queue.messages.insert(held, at: 0)
            }
            plan(queue)
        }
    }

    // MARK: People

    /// Somebody publishes old decisions once more.
    func repeatDecisions() {
        for event in broker.decisions.suffix(5) {
            say("people", "\(event.type.rawValue) is published again")
            for queue in broker.queues where queue.topics.contains(.decisions) { enqueue(event, queue) }
        }
    }

    func operatorCancels() {
        let removals = cluster.nodes.compactMap(\.record).filter { !$0.phase.isOver }
        guard let record = removals.first else { return }
        publish(
            .removalCancelled(
                RemovalCancelled(
                    cluster: Scenario.cluster, id: record.id, nodes: [], reason: Explanation(.cancelledByOperator),
                    decidedAt: now)))
    }
}
