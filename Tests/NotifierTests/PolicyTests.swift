import Messages
import Support
import Testing

@testable import Notifier

@Suite("What pods may claim")
struct PolicyTests {
    func terms(_ cooldown: Double, _ most: Double, _ mayRefuse: Bool = false) -> PodTerms {
        PodTerms(cooldown: .seconds(cooldown), maximumCooldown: .seconds(most), mayRefuse: mayRefuse)
    }

    var policy: NotifierPolicy {
        var policy = NotifierPolicy(cluster: "prod")
        policy.pods.rules = [
            TermsRule(namespaces: [Glob("batch-*")], terms: terms(10, 20)),
            TermsRule(minimumPriority: 1_000, maximumPriority: 1_999, terms: terms(90, 300, true)),
            TermsRule(labels: ["tier": "gold"], terms: terms(120, 600, true)),
        ]
        return policy
    }

    @Test("the first rule whose conditions all hold counts; else the defaults")
    func first() {
        func claimed(_ namespace: String, _ priority: Int32 = 0, _ labels: [String: String] = [:]) -> Interval {
            policy.pods.terms(
                for: NodePod(namespace: namespace, name: "p", uid: "u", node: "n", labels: labels, priority: priority)
            ).cooldown
        }
        #expect(claimed("batch-1", 1_500, ["tier": "gold"]) == .seconds(10))
        #expect(claimed("batch", 1_500, ["tier": "gold"]) == .seconds(90))
        #expect(claimed("web", 1_999) == .seconds(90))
        #expect(claimed("web", 2_000) == .seconds(60))
        #expect(claimed("web", 999, ["tier": "gold", "x": "y"]) == .seconds(120))
        #expect(claimed("web", 0, ["tier": "silver"]) == .seconds(60))
    }

    @Test("the cooldown of a node is the longest that its pods may claim; each pod is told its own")
    func longest() {
        var village = Village { $0 = policy }
        village.addPod("b", namespace: "batch-1")
        village.addPod("w", priority: 1_000)
        village.cordon()
        #expect(village.deadlines["b"] == [Village.start + .seconds(10)])
        #expect(village.deadlines["w"] == [Village.start + .seconds(90)])
        #expect(village.noticed.map(\.deadline) == [Village.start + .seconds(90)])
        #expect(village.countdowns["n1"] == Village.start + .seconds(90))
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - Village.start >= .seconds(90) && ended - Village.start <= .seconds(91))
        #expect(village.countdowns["n1"] == nil)
    }

    @Test("done by the one who may claim most ends it at the next one's deadline")
    func early() {
        var village = Village { $0 = policy }
        village.addPod("b", namespace: "batch-1")
        village.addPod("w", priority: 1_000)
        village.cordon()
        village.run(.seconds(2))
        #expect(village.answer("w", .done) == .accepted)
        #expect(village.countdowns["n1"] == Village.start + .seconds(10))
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - Village.start <= .seconds(11))
    }

    @Test("each pod may ask for as much as its own rule grants")
    func most() {
        var village = Village { $0 = policy }
        village.addPod("b", namespace: "batch-1")
        village.addPod("w", priority: 1_000)
        village.cordon()
        #expect(village.answer("b", .extend(.seconds(15))) == .accepted)
        #expect(village.answer("b", .extend(.seconds(500))) == .clamped)
        #expect(village.pods["b"]?.annotations[RemovalNames.podDeadline] == (Village.start + .seconds(20)).rfc3339)
        #expect(village.answer("w", .extend(.seconds(299))) == .accepted)
        #expect(village.noticed.last?.deadline == Village.start + .seconds(299))
    }

    @Test("refusing is for those whose rule says so")
    func refusing() {
        var village = Village { $0 = policy }
        village.addPod("b", namespace: "batch-1")
        village.addPod("w", priority: 1_000)
        village.cordon()
        #expect(village.answer("b", .refuse) == .notAllowed)
        #expect(!village.story.contains(.removalCancelled))
        #expect(village.answer("w", .refuse) == .accepted)
        #expect(village.story.contains(.removalCancelled))
    }

    @Test("somebody else's scale-in leaves less time than policy: the record's deadline counts")
    func external() {
        var village = Village { $0 = policy }
        village.addPod("w", priority: 1_000)
        village.node.record = Village.record("n1", at: village.now)
        village.node.record?.deadline = village.now + .seconds(25)
        village.node.record?.reason = Explanation(.externalScaleIn)
        village.feed(.nodeSeen(village.node))
        #expect(village.deadlines["w"] == [Village.start + .seconds(25)])
        #expect(village.answer("w", .extend(.seconds(100))) == .clamped)
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - Village.start <= .seconds(26))
    }

    @Test("a deadline that moves forward is told by every way, said again, and kept")
    func shortened() {
        var village = Village()
        village.addPod("web-1", hook: true, gate: .serving)
        village.addPod("web-2")
        village.cordon()
        village.step(.noticed(until: Village.start + .seconds(60)))
        village.run(.seconds(5))
        #expect(village.answer("web-2", .done) == .accepted)
        village.order = []
        village.node.record?.deadline = Village.start + .seconds(20)
        village.feed(.nodeSeen(village.node))
        #expect(village.deadlines["web-1"] == [Village.start + .seconds(60), Village.start + .seconds(20)])
        #expect(village.order == ["web-1 annotation", "web-1 hook", "web-1 bus", "web-1 event"])
        #expect(village.noticed.map(\.deadline) == [Village.start + .seconds(60), Village.start + .seconds(20)])
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - Village.start <= .seconds(21))
    }

    @Test("a process that takes over finds pods that were told of more time than there is")
    func shortenedMeanwhile() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.cordon()
        village.run(.seconds(5))
        village.recordAfterCrash = village.node.record
        village.recordAfterCrash?.deadline = Village.start + .seconds(20)
        village.order = []
        village.crash()
        village.feed(.tick)
        #expect(village.deadlines["web-1"]?.last == Village.start + .seconds(20))
        #expect(village.order == ["web-1 annotation", "web-1 hook", "web-1 bus", "web-1 event"])
        village.order = []
        village.crash()
        village.run(.seconds(5))
        #expect(village.order.isEmpty, "told once of it is enough")
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - Village.start <= .seconds(21))
    }
}
