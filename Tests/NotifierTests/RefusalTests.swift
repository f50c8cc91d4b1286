import Messages
import Support
import Testing

@testable import Notifier

/// A refusal that was accepted stands, however long its way to the Actuator takes; an answer that comes twice counts once.
@Suite("Refusals that stand, and answers that come again")
struct RefusalTests {
    /// A pod that refused one second before its time was over.
    static func refused() -> Village {
        var village = Village { $0.pods.terms.mayRefuse = true }
        village.addPod("web-1")
        village.addPod("web-2")
        village.cordon()
        village.run(.seconds(59))
        #expect(village.answer("web-1", .refuse) == .accepted)
        return village
    }

    @Test("the cooldown does not end while a refusal stands, also when its time is over")
    func stands() {
        var village = Self.refused()
        village.run(.seconds(300))
        #expect(village.quiesced.isEmpty)
        #expect(village.story.filter { $0 == .removalCancelled }.count == 1)
    }

    @Test("nor does another process end it, which finds the refusal on the pod")
    func afterCrash() {
        var village = Self.refused()
        village.crash()
        village.run(.seconds(300))
        #expect(village.quiesced.isEmpty)
        #expect(village.story.filter { $0 == .removalCancelled }.count == 2)
    }

    @Test("more time is granted to who refused, and takes nothing back; done does")
    func takenBack() {
        for word in [AnswerWord.extend(.seconds(10)), .done] {
            var village = Self.refused()
            #expect(village.answer("web-1", word) == .accepted)
            village.crash()
            village.run(.seconds(300))
            #expect(village.quiesced.isEmpty == (word != .done))
        }
    }

    @Test("where it may not refuse, or the machine goes anyway, the cooldown ends in its time")
    func notAllowed() {
        for isExternal in [false, true] {
            var village = Village { $0.pods.terms.mayRefuse = isExternal }
            village.addPod("web-1")
            var record = Village.record("n1", at: village.now)
            if isExternal { record.reason = Explanation(.externalScaleIn, "Heat deletes member m") }
            village.node.record = record
            village.feed(.nodeSeen(village.node))
            village.run(.seconds(59))
            #expect(village.answer("web-1", .refuse) == (isExternal ? .irrevocable : .notAllowed))
            village.run(.seconds(2))
            #expect(village.quiesced.count == 1)
        }
    }

    @Test("a refusal does not hold a machine that somebody else takes meanwhile")
    func takenMeanwhile() {
        var village = Self.refused()
        village.run(.seconds(30))
        #expect(village.quiesced.isEmpty)
        village.step(.taken(true))
        #expect(village.quiesced.count == 1)
    }

    @Test("too little time is left to tell a pod: it is told when somebody else takes the machine, with what there is")
    func toldAfterAll() {
        var village = Village()
        village.addPod("web-1")
        var record = Village.record("n1", at: village.now)
        record.deadline = village.now + .seconds(30)
        village.node.record = record
        village.feed(.nodeSeen(village.node))
        village.run(.seconds(5))
        #expect(village.deliveries.isEmpty && village.noticed.isEmpty)
        village.step(.taken(true))
        #expect(village.deadlines["web-1"] == [record.deadline])
        village.run(.seconds(26))
        #expect(village.quiesced.count == 1)
    }

    @Test("a message that comes twice asks for more time once, also of another process")
    func again() {
        for isAnother in [false, true] {
            var village = Village()
            village.addPod("web-1")
            village.cordon()
            village.run(.seconds(1))
            #expect(village.answer("web-1", .extend(.seconds(120)), by: .bus, id: "m 1") == .accepted)
            let end = village.core.end(ofNode: "n1")
            #expect(end == village.now + .seconds(120))
            village.run(.seconds(50))
            if isAnother { village.crash() }
            #expect(village.answer("web-1", .extend(.seconds(120)), by: .bus, id: "m 1") == .duplicate)
            #expect(village.core.end(ofNode: "n1") == end)
            // Asked for once more.
            #expect(village.answer("web-1", .extend(.seconds(120)), by: .bus, id: "m 2") == .accepted)
            #expect(village.core.end(ofNode: "n1") == village.now + .seconds(120))
            // An older one is remembered as well.
            if !isAnother {
                #expect(village.answer("web-1", .extend(.seconds(120)), by: .bus, id: "m 1") == .duplicate)
            }
        }
    }

    @Test("what stands on the pod of a message is a word of bounded length, whatever its id")
    func word() {
        #expect(NoticeMarks.word("5f6c3a4e-0000-4000-8000-000000000002") == "5f6c3a4e-0000-4000-8000-000000000002")
        #expect(NoticeMarks.word("a b=c\nd\u{301}é") == "a_b_c_d__")
        #expect(NoticeMarks.word(String(repeating: "x", count: 1_000)).count == 64)
        let marks = NoticeMarks(ways: [.init("hook", "told")], answer: "extend=60", answerID: "m_1")
        #expect(NoticeMarks(marks.text(removal: "r1"), removal: "r1") == marks)
    }
}
