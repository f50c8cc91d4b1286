import Messages
import Support
import Testing

@testable import Notifier

/// Answers that change nothing, from each source; and answers that must not be lost.
@Suite("Late, repeated, forged, unknown and unreadable answers")
struct StrangeAnswerTests {
    /// Two pods under notice.
    func village() -> Village {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.addPod("web-2")
        village.cordon()
        village.run(.seconds(1))
        return village
    }

    /// What the cooldown comes to, as long as nobody is heard.
    func isUntouched(_ village: Village) -> Bool {
        village.quiesced.isEmpty && village.core.end(ofNode: "n1") == Village.start + .seconds(60)
            && !village.story.contains(.removalCancelled)
    }

    @Test("forged and unknown", arguments: [AnswerSource.http, .bus])
    func forged(source: AnswerSource) {
        var village = village()
        for word in [AnswerWord.done, .extend(.seconds(300)), .refuse] {
            #expect(village.answer("web-1", word, isAuthentic: false, by: source) == .forged)
            #expect(village.answer("nobody", word, by: source) == .unknown)
            #expect(village.answer("web-1", word, removal: "r0", by: source) == .unknown)
        }
        #expect(isUntouched(village))
        #expect(village.heardBy[source]?.count == 9)
        #expect(village.verdicts.count == 9)
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podAnswer] == nil)
    }

    @Test("repeated", arguments: [AnswerSource.http, .bus])
    func repeated(source: AnswerSource) {
        var village = village()
        #expect(village.answer("web-1", .done, by: source) == .accepted)
        let before = village.pods["web-1"]
        #expect(village.answer("web-1", .done, by: source) == .duplicate)
        #expect(village.answer("web-1", .extend(.seconds(300)), by: source) == .late)
        #expect(village.answer("web-1", .refuse, by: source) == .late)
        #expect(village.pods["web-1"] == before)
        #expect(isUntouched(village))
        #expect(village.heardBy[source] == [.accepted, .duplicate, .late, .late])
    }

    @Test("after the end, during the drain, and after a cancellation", arguments: [AnswerSource.http, .bus])
    func late(source: AnswerSource) {
        var village = village()
        _ = village.runUntil { $0.story.contains(.removalQuiesced) }
        let count = village.published.count
        #expect(village.answer("web-1", .extend(.seconds(300)), by: source) == .late)
        village.step(.noticed(until: village.now))
        village.step(.quiesced(Explanation(.cooldownExpired), deadline: village.now + .seconds(900)))
        #expect(village.answer("web-1", .refuse, by: source) == .late)
        #expect(village.published.count == count)
        village.step(.cancelled(Explanation(.loadReturned)))
        #expect(village.answer("web-1", .done, by: source) == .late)
        #expect(village.heardBy[source] == [.late, .late, .late])
    }

    @Test("by annotation: unreadable once, refused once, late; never twice for one text")
    func annotations() {
        var village = village()
        for text in ["perhaps", "perhaps", "extend=-5", "refuse", "refuse"] {
            village.annotate("web-2", text)
            village.sees("web-2")
        }
        #expect(village.heardBy[.annotation] == [.unreadable, .unreadable, .notAllowed])
        #expect(isUntouched(village))
        village.annotate("web-2", "done")
        #expect(village.heardBy[.annotation]?.last == .accepted)
        village.annotate("web-2", "extend=300")
        #expect(village.heardBy[.annotation]?.last == .late)
        #expect(isUntouched(village))
    }

    @Test("an annotation that another removal's answer left counts for nothing")
    func otherRemoval() {
        var village = Village()
        village.addPod("web-1")
        village.pods["web-1"]?.annotations = [
            RemovalNames.podRemoval: "r0", RemovalNames.podAnswer: "done", RemovalNames.podNotice: "r0 annotation=told",
        ]
        village.cordon()
        village.run(.seconds(1))
        #expect(village.quiesced.isEmpty)
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podRemoval] == "r1")
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podAnswer] == nil)
    }

    @Test("by hook: the reply to a notice that is over is late; one that is garbled is recorded")
    func hooks() {
        var village = Village()
        village.addPod("web-1", hook: true)
        village.hanging = ["web-1"]
        village.cordon()
        village.step(.cancelled(Explanation(.loadReturned)))
        let id = DeliveryID(podUID: "web-1", channel: .hook, generation: 1)
        village.feed(.delivered(id, .delivered(answer: .done)))
        #expect(village.heardBy[.hook] == [.late])
        var other = Village()
        other.addPod("web-1", hook: true)
        other.hanging = ["web-1"]
        other.cordon()
        other.feed(.delivered(id, .garbled("no answer")))
        #expect(other.heardBy[.hook] == [.unreadable])
        other.feed(.delivered(id, .delivered(answer: .done)))
        #expect(other.heardBy[.hook] == [.unreadable, .late])
        #expect(other.quiesced.isEmpty)
    }

    // MARK: Not lost

    @Test("an answer that comes before its pod was read again is held, and counts")
    func early() {
        var village = village()
        village.readsFail = true
        village.crash()
        village.run(.seconds(2))
        #expect(village.answer("web-1", .done) == nil, "not judged yet")
        #expect(village.verdicts.isEmpty)
        village.readsFail = false
        village.run(.seconds(2))
        #expect(village.heard == [.accepted])
        #expect(village.verdicts == [1: .accepted])
        #expect(village.pods["web-1"]?.annotations[RemovalNames.podAnswer] == "done")
    }

    @Test("whoever was held gets an answer when the removal ends before")
    func heldTooLong() {
        var village = village()
        village.readsFail = true
        village.crash()
        _ = village.answer("web-1", .done)
        village.step(.cancelled(Explanation(.loadReturned)))
        #expect(village.verdicts == [1: .late])
    }

    @Test("an answer that cannot be written is, later; who answered does not wait for that")
    func unwritable() {
        var village = village()
        village.unwritable = ["web-2"]
        #expect(village.answer("web-2", .extend(.seconds(200))) == .accepted)
        #expect(village.verdicts == [1: .accepted])
        #expect(village.pods["web-2"]?.annotations[RemovalNames.podAnswer] == nil)
        village.unwritable = []
        village.run(.seconds(6))
        #expect(village.pods["web-2"]?.annotations[RemovalNames.podAnswer] == "extend=200")
        #expect(village.verdicts.count == 1)
    }

    @Test("an answer by the bus that cannot be written keeps its message until it stands on the pod")
    func unwritten() {
        var village = village()
        village.unwritable = ["web-2"]
        #expect(village.answer("web-2", .extend(.seconds(200)), by: .bus, id: "m 1") == .accepted)
        village.run(.seconds(20))
        // Put off and brought again meanwhile: it is known, and not settled either.
        #expect(village.answer("web-2", .extend(.seconds(200)), by: .bus, id: "m 1") == .duplicate)
        #expect(village.verdicts.isEmpty)
        // Another pod's is settled at once.
        #expect(village.answer("web-1", .extend(.seconds(100)), by: .bus, id: "m 2") == .accepted)
        #expect(village.verdicts == [3: .accepted])
        village.unwritable = []
        village.run(.seconds(6))
        #expect(village.pods["web-2"]?.annotations[RemovalNames.podAnswer] == "extend=200")
        #expect(village.verdicts == [1: .accepted, 2: .duplicate, 3: .accepted])
    }

    @Test("killed before such an answer was written: its message comes again, and the time is granted")
    func unwrittenAndKilled() {
        var village = village()
        village.unwritable = ["web-2"]
        #expect(village.answer("web-2", .extend(.seconds(200)), by: .bus, id: "m 1") == .accepted)
        #expect(village.verdicts.isEmpty)
        village.crash()
        village.unwritable = []
        village.run(.seconds(1))
        #expect(village.answer("web-2", .extend(.seconds(200)), by: .bus, id: "m 1") == .accepted)
        #expect(village.verdicts == [2: .accepted])
        #expect(village.core.end(ofNode: "n1") == village.now + .seconds(200))
    }

    @Test("nor is such a message kept when the removal ends or the pod goes", arguments: ["stays", "goes", "pod"])
    func unwrittenAndOver(end: String) {
        var village = village()
        village.unwritable = ["web-2"]
        #expect(village.answer("web-2", .extend(.seconds(200)), by: .bus, id: "m 1") == .accepted)
        village.run(.seconds(6))
        #expect(village.verdicts.isEmpty)
        switch end {
        case "stays": village.step(.cancelled(Explanation(.loadReturned)))
        case "goes": village.feed(.nodeGone(name: "n1", uid: "uid-n1"))
        default: village.removePod("web-2")
        }
        #expect(village.verdicts == [1: .accepted])
        #expect(village.core.unwritten.isEmpty)
    }

    @Test("a verdict says what was granted")
    func granted() {
        var village = village()
        _ = village.answer("web-1", .extend(.seconds(100_000)))
        #expect(village.verdicts == [1: .clamped])
    }

    @Test("an answer given by annotation while nobody was there is heard by who comes, once")
    func whileAway() {
        var village = village()
        village.pods["web-2"]?.annotations[RemovalNames.podAnswer] = "extend=120"
        village.run(.zero)
        village.crash()
        village.feed(.tick)
        #expect(village.heardBy[.annotation] == [.accepted])
        let end = village.core.end(ofNode: "n1")
        #expect(end == village.now + .seconds(120))
        village.run(.seconds(5))
        village.crash()
        village.run(.seconds(1))
        #expect(village.heardBy[.annotation] == [.accepted])
        #expect(village.core.end(ofNode: "n1") == end, "not granted anew")
    }
}
