import Messages
import Support
import Testing

@testable import Notifier

/// The core is dropped at each of its actions and made anew from what stands on nodes and pods.
@Suite("Killed at any action")
struct CrashTests {
    static let ways: Set<NoticeChannel> = [.annotation, .gate, .hook, .bus, .event]

    /// Runs `story` once for each action, with a crash before and after it.
    func atEachAction(
        _ build: (inout Village) -> Void = { _ in }, _ story: (inout Village, _ label: String) -> Void
    ) -> Int {
        var crashes = 0
        for isBefore in [true, false] {
            for when in 1...500 {
                var village = Village { $0.pods.terms.mayRefuse = true }
                village.addPod("web-1", hook: true, gate: .serving)
                village.addPod("web-2")
                build(&village)
                let first = village.steps
                if isBefore { village.crashBefore = first + when } else { village.crashAfter = first + when }
                story(&village, "crash \(isBefore ? "before" : "after") action \(when)")
                if village.crashes == 0 { break }
                crashes += 1
            }
        }
        return crashes
    }

    @Test("of a notice: told at least once by every way, by none twice where the record says told")
    func notice() {
        let count = atEachAction { village, label in
            village.cordon()
            let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
            #expect(village.deliveries["web-1"] == CrashTests.ways, "\(label)")
            #expect(village.deliveries["web-2"] == [.annotation, .bus, .event], "\(label)")
            #expect(village.toldTwice.isEmpty, "\(label): \(village.toldTwice)")
            #expect(village.story.contains(.removalNoticed), "\(label)")
            #expect(ended - Village.start >= .seconds(60), "\(label)")
            #expect(ended - Village.start <= .seconds(62), "\(label)")
        }
        #expect(count > 30)
    }

    @Test("of an answer: it is heard in the end, whoever it was told to")
    func answers() {
        for word in [AnswerWord.done, .extend(.seconds(200)), .refuse] {
            let count = atEachAction({
                $0.cordon()
                $0.run(.seconds(1))
            }) { village, label in
                // As a client does: again until there is a verdict.
                for _ in 0..<3 where village.verdicts.isEmpty { _ = village.answer("web-2", word) }
                #expect(village.verdicts.values.allSatisfy { $0 == .accepted || $0 == .duplicate }, "\(label)")
                village.crashAfter = nil
                village.crashBefore = nil
                village.crash()
                village.run(.seconds(1))
                #expect(village.pods["web-2"]?.annotations[RemovalNames.podAnswer] == word.text, "\(label)")
                switch word {
                case .done: #expect(village.core.notices["web-2"]?.isSettled == true, "\(label)")
                case .extend:
                    #expect(village.noticed.last?.deadline ?? village.now > Village.start + .seconds(190), "\(label)")
                case .refuse: #expect(village.story.contains(.removalCancelled), "\(label)")
                }
                // The crash at the end is one that every run has.
                village.crashes -= 1
            }
            #expect(count >= 4, "\(word)")
        }
    }

    @Test("of a cancellation: every way by which a pod was told says stay, and nobody is left under notice")
    func cancellation() {
        let count = atEachAction({
            $0.cordon()
            $0.run(.seconds(5))
        }) { village, label in
            village.step(.cancelled(Explanation(.loadReturned)))
            village.run(.seconds(30))
            #expect(village.withdrawals["web-1"] == CrashTests.ways, "\(label)")
            #expect(village.withdrawals["web-2"] == [.annotation, .bus, .event], "\(label)")
            for name in ["web-1", "web-2"] {
                let left = village.pods[name]?.annotations.keys.filter { $0 != RemovalNames.shutdownHook }
                #expect(left?.isEmpty == true, "\(label): \(left ?? [])")
            }
            #expect(village.pods["web-1"]?.gate == .serving, "\(label)")
        }
        #expect(count > 20)
    }

    @Test("of a notice, cancelled before anybody is back: who got a part of it is told to stay by as much")
    func partly() {
        _ = atEachAction { village, label in
            var record = Village.record("n1", at: village.now)
            record.phase = .cancelled
            record.outcome = Explanation(.loadReturned)
            village.recordAfterCrash = record
            village.cordon()
            village.run(.seconds(30))
            guard village.crashes > 0 else { return }
            for name in ["web-1", "web-2"] {
                let told = village.deliveries[name] ?? []
                #expect(told.isSubset(of: village.withdrawals[name] ?? []), "\(label): \(name) was told by \(told)")
                #expect(village.pods[name]?.annotations[RemovalNames.podRemoval] == nil, "\(label)")
            }
            #expect(village.pods["web-1"]?.gate == .serving, "\(label)")
            #expect(village.quiesced.isEmpty, "\(label)")
        }
    }

    @Test("the same when the record is gone by then")
    func partlyWithoutRecord() {
        for when in 1...60 {
            var village = Village()
            village.addPod("web-1", hook: true, gate: .serving)
            village.crashAfter = village.steps + when
            village.cordon()
            guard village.crashes > 0 else { break }
            village.node.record = nil
            village.crash()
            village.run(.seconds(30))
            let told = village.deliveries["web-1"] ?? []
            #expect(told.isSubset(of: village.withdrawals["web-1"] ?? []), "crash after \(when)")
            #expect(village.pods["web-1"]?.gate == .serving, "crash after \(when)")
        }
    }
}
