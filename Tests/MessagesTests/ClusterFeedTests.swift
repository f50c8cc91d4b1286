import Messages
import Support
import Testing

@Suite("Following what a Collector tells of a cluster")
struct ClusterFeedTests {
    private static let now = Timestamp(seconds: 1_800_000_000)

    private func part(_ part: Int = 0, of parts: Int = 1, _ epoch: String = "e", _ sequence: Int64 = 4)
        -> ClusterSnapshot
    {
        ClusterSnapshot(
            cluster: "c", epoch: epoch, sequence: sequence, part: part, parts: parts, takenAt: Self.now,
            namespaces: [Namespace(name: "n\(part)", labels: [:])])
    }

    private func delta(_ sequence: Int64, _ epoch: String = "e", empty: Bool = false) -> ClusterDelta {
        ClusterDelta(
            cluster: "c", epoch: epoch, sequence: sequence, takenAt: Self.now, removedNodes: empty ? [] : ["n"])
    }

    /// A step in a word.
    private func word(_ step: ClusterFeed.SnapshotStep) -> String {
        switch step {
        case .whole(let parts): "whole \(parts.flatMap { $0.namespaces.map(\.name) }.joined(separator: " "))"
        case .waiting: "waiting"
        case .ignored: "ignored"
        case .gap(let why): "gap: \(why)"
        }
    }

    private func words(_ feed: inout ClusterFeed, _ parts: ClusterSnapshot...) -> [String] {
        var words: [String] = []
        for part in parts { words.append(word(feed.take(part))) }
        return words
    }

    @Test("Parts in order are a whole; nothing is known before the last came")
    func parts() {
        var feed = ClusterFeed()
        #expect(feed.take(delta(1)) == .gap("no snapshot yet"))
        #expect(words(&feed, part(0, of: 3), part(1, of: 3)) == ["waiting", "waiting"])
        #expect(!feed.isComplete && feed.epoch.isEmpty)
        #expect(words(&feed, part(2, of: 3)) == ["whole n0 n1 n2"])
        #expect(feed.isComplete && feed.epoch == "e" && feed.sequence == 4)
    }

    @Test("A part that came twice changes nothing; a new beginning counts")
    func repeated() {
        var feed = ClusterFeed()
        #expect(
            words(&feed, part(0, of: 3), part(1, of: 3), part(1, of: 3), part(2, of: 3))
                == ["waiting", "waiting", "ignored", "whole n0 n1 n2"])
        #expect(
            words(&feed, part(0, of: 3), part(1, of: 3), part(0, of: 2), part(1, of: 2))
                == ["waiting", "waiting", "waiting", "whole n0 n1"])
    }

    @Test("A part without those before, of another snapshot or another number of parts is a gap")
    func missing() {
        let beginnings: [ClusterSnapshot?] = [
            nil, part(0, of: 4), part(0, of: 3, "other"), part(0, of: 3, "e", 5), part(0, of: 3),
        ]
        for (number, beginning) in beginnings.enumerated() {
            var feed = ClusterFeed()
            if let beginning { _ = feed.take(beginning) }
            let next = part(number == 4 ? 2 : 1, of: 3)
            #expect(
                words(&feed, next) == ["gap: part \(next.part) of a snapshot came without the parts before"],
                "after beginning \(number)")
            #expect(!feed.isComplete)
        }
    }

    @Test("Deltas are numbered without a gap; an empty one repeats the last number")
    func deltas() {
        var feed = ClusterFeed()
        _ = feed.take(part())
        #expect(feed.take(delta(4, empty: true)) == .heartbeat)
        #expect(feed.take(delta(5)) == .changed)
        #expect(feed.take(delta(5)) == .ignored)
        #expect(feed.take(delta(3)) == .ignored)
        #expect(feed.take(delta(4, empty: true)) == .heartbeat, "late")
        #expect(feed.take(delta(6, empty: true)) == .gap("sequence 6 after 5"))
        #expect(feed.take(delta(7)) == .gap("sequence 7 after 5"))
        #expect(feed.take(delta(6)) == .changed)
        #expect(feed.take(delta(7, "f")) == .gap("epoch f after e"))
        #expect(feed.take(delta(.min)) == .ignored)
        #expect(feed.take(delta(.max)) == .gap("sequence \(Int64.max) after 6"))
    }

    @Test("A delta that brings only shapes counts")
    func shapes() {
        var feed = ClusterFeed()
        _ = feed.take(part())
        var only = delta(5, empty: true)
        only.shapes = [NumberedShape(id: 0, shape: PodShape())]
        #expect(feed.take(only) == .changed)
        #expect(feed.sequence == 5)
    }

    @Test("A snapshot that deltas have overtaken is left out, also when they came between its parts")
    func overtaken() {
        var feed = ClusterFeed()
        _ = feed.take(part())
        #expect(words(&feed, part(0, of: 2)) == ["waiting"])
        #expect(feed.take(delta(5)) == .changed)
        #expect(words(&feed, part(1, of: 2), part()) == ["ignored", "ignored"])
        #expect(feed.sequence == 5)
        #expect(words(&feed, part(0, of: 1, "e", 5)) == ["whole n0"], "as new as what is known")
        #expect(words(&feed, part(0, of: 1, "f", 1)) == ["whole n0"], "another Collector counts anew")
        #expect(feed.take(delta(2, "f")) == .changed)
    }
}
