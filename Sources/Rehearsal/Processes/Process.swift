import Messages
import Support

/// A process: it has lives, a connection to the broker, and dies at any instruction.
class Process {
    unowned let world: World
    let name: String
    /// Number of its life: what an earlier life had begun means nothing to this one.
    private(set) var life = 0
    private(set) var isUp = false
    /// It does its work, rather than standing by.
    private(set) var acts = false
    var isConnected = false
    /// Number of its connection.
    var connection = 0
    var subscriptions: [(MessageQueue, MessageQueue.Consumer)] = []
    private var waiting: [() -> Void] = []
    private var alarmNumber = 0
    private var alarmAt: Timestamp?

    init(_ world: World, _ name: String) {
        self.world = world
        self.name = name
    }

    // MARK: Life

    func start() {
        life += 1
        isUp = true
        world.connect(self)
        // Where there are others it stands by until it is its turn.
        guard !isOneOfMany else { return }
        acts = true
        begin()
    }

    /// It is its turn now.
    func turnBegins() {
        guard isUp else { return }
        world.say(name, "acts from now on")
        acts = true
        begin()
    }

    /// Does nothing for a while. The broker notices after two to three heartbeats; when it goes on its lease is over.
    func freeze(for pause: Interval) {
        guard isUp else { return }
        world.say("fault", "\(name) freezes for \(pause)")
        stop()
        let life = life
        world.after(min(pause, world.random.pause(4_000...6_000))) {
            guard self.life == life else { return }
            self.world.detach(self)
            self.subscriptions = []
        }
        world.after(pause) { if self.life == life { self.start() } }
    }

    /// Dies now; another one takes its place after a while.
    func crash() {
        guard isUp else { return }
        world.say("fault", "\(name) dies")
        world.crashesLeft -= 1
        leave()
        begin(after: world.random.pause(world.random.chance(0.2) ? 5_000...30_000 : 100...4_000))
    }

    /// Its lease has ended: another replica begins its turn.
    func turnEnds() {
        guard isUp else { return }
        world.say(name, "its turn is over")
        leave()
        begin(after: world.random.pause(10...1_500))
    }

    /// Whether one replica acts at a time, under a lease.
    var isLeased: Bool { false }
    /// For its service, of which another replica may act.
    var service: String { String(name.prefix { $0 != "-" }) }
    var isOneOfMany: Bool { isLeased && world.scenario.actors > 1 }

    private func leave() {
        stop()
        world.detach(self)
        subscriptions = []
    }

    private func stop() {
        isUp = false
        acts = false
        life += 1
        alarmNumber += 1
        alarmAt = nil
        waiting = []
        world.closeWatch(self)
        dropState()
    }

    private func begin(after pause: Interval) {
        world.after(pause) {
            self.world.say(self.name, "starts anew")
            self.start()
        }
    }

    /// The run is over: nothing is held any more.
    func end() {
        waiting = []
        subscriptions = []
        dropState()
    }

    /// For subclasses: make a core, subscribe, watch.
    func begin() {}
    /// For subclasses: forget everything.
    func dropState() {}

    // MARK: Connection

    func whenConnected(_ act: @escaping () -> Void) {
        waiting.append(act)
    }

    func connected() {
        let acts = waiting
        waiting = []
        for act in acts { act() }
    }

    // MARK: Time

    /// Calls `alarmRang` then, unless another time is set before.
    func setAlarm(_ time: Timestamp?) {
        if let time, let alarmAt, alarmAt == time { return }
        alarmNumber += 1
        alarmAt = time
        guard let time else { return }
        let number = alarmNumber
        world.after(max(time - world.now, .zero)) {
            guard self.alarmNumber == number else { return }
            self.alarmAt = nil
            self.alarmRang()
        }
    }

    /// For subclasses.
    func alarmRang() {}

    // MARK: Acting

    /// Carries out actions one after the other; the process may die between any two.
    func carryOut<Action>(_ actions: [Action], _ act: (Action) -> Void) {
        let life = life
        for action in actions {
            act(action)
            guard self.life == life else { return }
            if world.crashesLeft > 0, world.strikes(.crash) { return crash() }
        }
    }

    /// The same for Actuator and Notifier, whose actions are counted for crashes at a given place.
    func carryOutCounted<Action>(_ actions: [Action], _ act: (Action) -> Void) {
        guard let point = world.options.crash else {
            world.actionsTaken += actions.count
            return carryOut(actions, act)
        }
        for action in actions {
            world.actionsTaken += 1
            let isHere = world.actionsTaken == point.action
            if isHere && !point.isAfter { return crash() }
            act(action)
            if isHere { return crash() }
        }
    }
}
