import Testing

@testable import AMQP

@Suite struct SettlementsTests {
    private func out(_ count: UInt64) -> Settlements {
        var settlements = Settlements()
        for tag in 1...count { settlements.delivered(tag: tag) }
        return settlements
    }

    @Test func `An unbroken run of acks is one frame`() {
        var settlements = out(5)
        for tag: UInt64 in [2, 1, 3] { settlements.settled(tag: tag, as: .ack) }
        #expect(settlements.flush() == [.ack(tag: 3, multiple: true)])
        #expect(settlements.outstanding == 2)
        #expect(settlements.flush() == [])
    }

    @Test func `Acks beyond a message still out are single`() {
        var settlements = out(5)
        for tag: UInt64 in [5, 3, 1] { settlements.settled(tag: tag, as: .ack) }
        #expect(
            settlements.flush() == [
                .ack(tag: 1, multiple: false), .ack(tag: 5, multiple: false), .ack(tag: 3, multiple: false),
            ])
        settlements.settled(tag: 2, as: .ack)
        settlements.settled(tag: 4, as: .ack)
        // 3 and 5 are settled already: the multiple ack covers only what was out.
        #expect(settlements.flush() == [.ack(tag: 4, multiple: true)])
        #expect(settlements.outstanding == 0)
    }

    @Test func `What is given back is written before a multiple ack could cover it`() {
        var settlements = out(4)
        settlements.settled(tag: 1, as: .ack)
        settlements.settled(tag: 2, as: .requeue)
        settlements.settled(tag: 3, as: .reject)
        settlements.settled(tag: 4, as: .ack)
        #expect(
            settlements.flush() == [
                .nack(tag: 2, requeue: true), .nack(tag: 3, requeue: false), .ack(tag: 4, multiple: true),
            ])
        #expect(settlements.outstanding == 0)
    }

    @Test func `Settling twice, or what never came, changes nothing`() {
        var settlements = out(2)
        settlements.settled(tag: 1, as: .ack)
        settlements.settled(tag: 1, as: .requeue)
        settlements.settled(tag: 9, as: .ack)
        settlements.settled(tag: 0, as: .ack)
        #expect(settlements.flush() == [.ack(tag: 1, multiple: false)])
        settlements.settled(tag: 1, as: .ack)
        #expect(settlements.flush() == [])
        #expect(settlements.outstanding == 1)
    }

    /// What the broker would hold after `actions`, by its own rules; nil if it would close the channel.
    private func apply(_ actions: [Settlements.Action], to unacked: Set<UInt64>) -> Set<UInt64>? {
        var unacked = unacked
        for action in actions {
            switch action {
            case .ack(let tag, multiple: true):
                guard unacked.contains(where: { $0 <= tag }) else { return nil }
                unacked = unacked.filter { $0 > tag }
            case .ack(let tag, multiple: false), .nack(let tag, _):
                guard unacked.remove(tag) != nil else { return nil }
            }
        }
        return unacked
    }

    @Test(arguments: 1...50)
    func `In any order the broker ends with exactly what is still out`(seed: Int) throws {
        var generator = Seeded(seed)
        var settlements = Settlements()
        var out: Set<UInt64> = []
        var broker: Set<UInt64> = []
        var next: UInt64 = 1
        for _ in 0..<300 {
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1:
                settlements.delivered(tag: next)
                out.insert(next)
                broker.insert(next)
                next += 1
            case 2...4:
                guard let tag = out.sorted().randomElement(using: &generator) else { continue }
                let outcomes: [Settlements.Outcome] = [.ack, .ack, .ack, .requeue, .reject]
                settlements.settled(tag: tag, as: outcomes.randomElement(using: &generator) ?? .ack)
                out.remove(tag)
            default:
                broker = try #require(apply(settlements.flush(), to: broker))
                #expect(broker == out)
            }
            #expect(settlements.outstanding == out.count)
        }
    }
}

/// SplitMix64: the same numbers for the same seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: Int) { state = UInt64(seed) }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
