import Messages
import Support
import Testing

@testable import Notifier

/// A Node that somebody deletes (`kubectl delete node`) while its machine works on.
@Suite("A Node goes while its pods are under notice")
struct DepartureTests {
    static func departed(at phase: RemovalPhase = .cordoned) -> Village {
        var village = Village()
        village.addPod("web-1", hook: true, gate: .serving)
        village.addPod("web-2")
        village.cordon()
        village.run(.seconds(5))
        if phase == .quiesced { village.drain() }
        village.node.record = nil
        village.feed(.nodeGone(name: "n1", uid: "uid-n1"))
        return village
    }

    /// Its kubelet registers it again.
    static func register(_ village: inout Village) {
        village.node = NotifiedNode(name: "n1", uid: "uid-n1-again", record: nil)
        village.feed(.nodeSeen(village.node))
    }

    @Test("its machine registers again: the pods that lived on stay", arguments: [RemovalPhase.cordoned, .quiesced])
    func comesBack(phase: RemovalPhase) {
        var village = Self.departed(at: phase)
        village.run(.seconds(20))
        #expect(village.withdrawals.isEmpty, "the machine may be gone as well")
        Self.register(&village)
        village.run(.seconds(5))
        #expect(village.withdrawals["web-1"] == [.annotation, .gate, .hook, .bus, .event])
        #expect(village.pods["web-1"]?.gate == .serving)
        for pod in ["web-1", "web-2"] {
            #expect(village.pods[pod]?.annotations[RemovalNames.podRemoval] == nil, "\(pod)")
        }
        let stays = village.published.compactMap { event -> NodeRemoval? in
            if case .nodeRemoval(let removal) = event, removal.withdrawn { removal } else { nil }
        }
        #expect(stays.map(\.removal) == ["r1"])
        #expect(village.answer("web-1", .done) != .accepted)
    }

    @Test("it does not come back: its pods go with it, and nobody is told to stay")
    func staysAway() {
        var village = Self.departed()
        // Kubernetes marks pods without a Node before it deletes them.
        village.sees("web-1")
        village.run(.seconds(60))
        village.removePod("web-1")
        village.removePod("web-2")
        village.run(.seconds(700))
        #expect(village.withdrawals.isEmpty)
        #expect(village.core.nextWake() == nil)
    }

    @Test("it comes back and goes again by another removal: told anew")
    func another() {
        var village = Self.departed()
        var record = Village.record("n1", at: village.now)
        record.id = "r2"
        village.node = NotifiedNode(name: "n1", uid: "uid-n1-again", record: record)
        village.feed(.nodeSeen(village.node))
        village.run(.seconds(5))
        for pod in ["web-1", "web-2"] {
            #expect(village.pods[pod]?.annotations[RemovalNames.podRemoval] == "r2", "\(pod)")
        }
        #expect(village.pods["web-1"]?.gate == .notServing)
    }
}
