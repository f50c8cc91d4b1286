import Support
import Testing

@testable import ServiceRuntime

/// Replicas and a broker under one stepped clock.
private struct Stage {
    /// What stands between a replica and the broker.
    struct Replica {
        var core = Leadership()
        /// What its subscription has brought and it has not read yet.
        var socket: [(probe: (replica: String, number: UInt64), connection: UInt64)] = []
        /// Subscriptions so far; nil while the broker has none of it.
        var connections: UInt64 = 0
        var isSubscribed = false
        /// Stopped: reads nothing, does nothing.
        var isFrozen = false
        /// The clock's view of it, for the invariant.
        var actsUntil: Timestamp?
    }

    var now = Timestamp(seconds: 1_000)
    var replicas: [String: Replica] = [:]
    /// In the order in which the broker prefers them: of their subscription.
    var subscribed: [String] = []
    /// Sent to whoever gets the queue next.
    var queue: [(replica: String, number: UInt64)] = []
    var story: [String] = []
    var violations: [String] = []

    mutating func subscribe(_ name: String) {
        replicas[name, default: Replica()].connections += 1
        replicas[name]?.isSubscribed = true
        subscribed.append(name)
    }

    /// The broker forgets a subscription, whether or not the replica knows. What was not acknowledged goes on.
    mutating func drop(_ name: String) {
        subscribed.removeAll { $0 == name }
        replicas[name]?.isSubscribed = false
    }

    mutating func apply(_ name: String, _ event: Leadership.Event) {
        guard var replica = replicas[name] else { return }
        for action in replica.core.handle(event, at: now) {
            switch action {
            case .probe(let number): queue.append((name, number))
            case .activated: story.append("\(name) acts at \((now - Timestamp(seconds: 1_000)))")
            case .stoodDown: story.append("\(name) stood down at \((now - Timestamp(seconds: 1_000)))")
            }
        }
        replica.actsUntil = replica.core.leaseUntil
        replicas[name] = replica
    }

    /// Ten milliseconds: the broker delivers, the replicas read.
    mutating func step() {
        now = now + .milliseconds(10)
        if let holder = subscribed.first {
            let connection = replicas[holder]?.connections ?? 0
            replicas[holder]?.socket += queue.map { ($0, connection) }
            queue = []
        }
        for name in replicas.keys.sorted() where replicas[name]?.isFrozen == false {
            let arrived = replicas[name]?.socket ?? []
            replicas[name]?.socket = []
            for (probe, connection) in arrived {
                apply(
                    name,
                    probe.replica == name
                        ? .ownProbe(probe.number, connection: connection) : .otherProbe(connection: connection))
            }
            if replicas[name]?.core.wakeAt.map({ $0 <= now }) ?? true { apply(name, .ticked) }
        }
        // Who would find its lease held if it looked now, frozen or not.
        let acting = replicas.filter { ($0.value.actsUntil ?? Timestamp(seconds: 0)) > now }.keys.sorted()
        if acting.count > 1 { violations.append("\(acting) at \(now - Timestamp(seconds: 1_000))") }
    }

    mutating func pass(_ interval: Interval) {
        let end = now + interval
        while now < end { step() }
    }

    var acting: [String] { replicas.filter { $0.value.core.isActive && !$0.value.isFrozen }.keys.sorted() }
}

@Suite struct LeadershipTests {
    @Test("alone: acts after the time that another could still act, and goes on")
    func alone() {
        var stage = Stage()
        stage.subscribe("a")
        stage.pass(.seconds(10))
        #expect(stage.story == ["a acts at 1.3s"])
    }

    @Test("two: one acts; killed, the other follows within two seconds")
    func killed() {
        var stage = Stage()
        stage.subscribe("a")
        stage.subscribe("b")
        stage.pass(.seconds(5))
        #expect(stage.acting == ["a"])
        stage.drop("a")
        stage.replicas["a"] = nil
        stage.pass(.seconds(1.6))
        #expect(stage.acting == ["b"])
        #expect(stage.violations == [])
    }

    @Test("a frozen one no longer acts when it goes on, whatever lies in its socket")
    func frozen() {
        var stage = Stage()
        stage.subscribe("a")
        stage.subscribe("b")
        stage.pass(.seconds(5))
        stage.replicas["a"]?.isFrozen = true
        // The broker takes long to notice.
        stage.pass(.seconds(5))
        #expect(stage.acting == [])
        stage.drop("a")
        stage.pass(.seconds(2))
        #expect(stage.acting == ["b"])
        stage.replicas["a"]?.isFrozen = false
        stage.pass(.seconds(1))
        #expect(stage.acting == ["b"])
        stage.subscribe("a")
        stage.pass(.seconds(5))
        #expect(stage.acting == ["b"])
        #expect(stage.violations == [])
        #expect(stage.story.count == 3, "\(stage.story)")
    }

    @Test("frozen and robbed of the queue at the same moment: the next one waits until the lease must be over")
    func frozenAndDropped() {
        var stage = Stage()
        stage.subscribe("a")
        stage.subscribe("b")
        stage.pass(.seconds(5))
        stage.replicas["a"]?.isFrozen = true
        stage.drop("a")
        stage.pass(.milliseconds(900))
        stage.replicas["a"]?.isFrozen = false
        stage.pass(.seconds(3))
        #expect(stage.acting == ["b"])
        #expect(stage.violations == [])
    }

    @Test("without the broker nobody acts; the possession of before counts for nothing afterwards")
    func brokerGone() {
        var stage = Stage()
        stage.subscribe("a")
        stage.subscribe("b")
        stage.pass(.seconds(5))
        stage.drop("a")
        stage.drop("b")
        stage.pass(.seconds(1.2))
        #expect(stage.acting == [])
        stage.subscribe("b")
        stage.subscribe("a")
        stage.pass(.seconds(3))
        #expect(stage.acting == ["b"])
        #expect(stage.violations == [])
    }

    @Test("a subscription made anew begins anew, also within the lease")
    func reconnected() {
        var stage = Stage()
        stage.subscribe("a")
        stage.subscribe("b")
        stage.pass(.seconds(5))
        // b has the queue for a moment, then a again.
        stage.drop("a")
        stage.pass(.milliseconds(100))
        stage.subscribe("a")
        stage.drop("b")
        stage.subscribe("b")
        stage.pass(.milliseconds(200))
        #expect(stage.story.last == "a stood down at 5.2s", "\(stage.story)")
        stage.pass(.seconds(3))
        #expect(stage.acting == ["a"])
        #expect(stage.violations == [])
    }

    @Test("whatever happens, never two at a time, and in the end one", arguments: 0..<200)
    func never(seed: UInt64) {
        var random = SplitMix(state: seed)
        var stage = Stage()
        let names = ["a", "b", "c"]
        for name in names { stage.subscribe(name) }
        for _ in 0..<80 {
            let name = names[Int(random.next() % 3)]
            switch random.next() % 6 {
            case 0: stage.drop(name)
            case 1: if stage.replicas[name]?.isSubscribed == false { stage.subscribe(name) }
            case 2: stage.replicas[name]?.isFrozen = true
            case 3: stage.replicas[name]?.isFrozen = false
            default: break
            }
            stage.pass(.milliseconds(Int64(random.next() % 1_500)))
        }
        #expect(stage.violations == [], "\(stage.story)")
        for name in names {
            stage.replicas[name]?.isFrozen = false
            if stage.replicas[name]?.isSubscribed == false { stage.subscribe(name) }
        }
        stage.pass(.seconds(4))
        #expect(stage.acting.count == 1, "\(stage.story)")
    }
}

private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct LeaseTests {
    @Test("ends by the clock, and for good when it is over")
    func lease() {
        let clock = SteadyClock()
        #expect(Lease(until: clock.now + .seconds(60), clock: clock).isHeld)
        #expect(!Lease(until: clock.now, clock: clock).isHeld)
        let over = Lease(until: clock.now + .seconds(60), clock: clock)
        over.finish("enough")
        #expect(!over.extend(until: clock.now + .seconds(600)))
        #expect(!over.isHeld)
    }

    @Test("a lease that ran out is never held again: an act may have been left out meanwhile")
    func ranOut() async {
        let clock = SteadyClock()
        let lease = Lease(until: clock.now, clock: clock)
        #expect(!lease.isHeld)
        #expect(!lease.extend(until: clock.now + .seconds(600)))
        #expect(!lease.isHeld)
        // Whoever works under it hears of it.
        await lease.ended()
    }

    @Test("what was begun goes on when its caller is cancelled, and ends with the lease")
    func finishing() async {
        let lease = Lease.unlimited
        let caller = Task {
            await lease.finishing { () -> Bool in
                // Only cancellation ends it.
                try? await Task.sleep(for: .seconds(3_600))
                return Task.isCancelled
            }
        }
        caller.cancel()
        lease.finish("over")
        #expect(await caller.value)
    }
}

@Suite struct WarmTableTests {
    private struct Thing: Equatable {
        var name: String
        var value = 0
    }

    private func told(_ table: WarmTable<Thing>) -> Lock<[String]> {
        let told = Lock<[String]>([])
        table.listen { change in
            told.withLock { told in
                switch change {
                case .all(let things): told.append("all \(things.map(\.name).sorted())")
                case .seen(let thing): told.append("\(thing.name)=\(thing.value)")
                case .gone(let thing): told.append("no \(thing.name)")
                }
            }
        }
        return told
    }

    @Test("who begins to listen gets all, then each change; who listened before gets nothing more")
    func takeover() {
        let table = WarmTable<Thing> { $0.name }
        let first = told(table)
        table.replace([Thing(name: "a"), Thing(name: "b")])
        table.set(Thing(name: "a", value: 2))
        let second = told(table)
        table.remove(Thing(name: "b"))
        table.set(Thing(name: "c"))
        table.forget("c")
        let third = told(table)
        #expect(first.withLock { $0 } == ["all [\"a\", \"b\"]", "a=2"])
        #expect(second.withLock { $0 } == ["all [\"a\", \"b\"]", "no b", "c=0"])
        #expect(third.withLock { $0 } == ["all [\"a\"]"])
    }

    @Test("before the first list nothing is said to be all")
    func incomplete() {
        let table = WarmTable<Thing> { $0.name }
        table.set(Thing(name: "a"))
        #expect(told(table).withLock { $0 } == [])
    }
}
