import Support
import Testing
import UpdraftCommand

@Suite struct VerdictTests {
    static let start = Timestamp(seconds: 1_795_467_769)

    static var good: Verdict.Facts {
        var facts = Verdict.Facts()
        facts.serversBefore = ["a", "b", "c", "d"]
        facts.serversAfter = ["a", "b"]
        facts.nodesAfter = ["a", "b"]
        facts.desired = 2
        facts.chosen = ["c", "d"]
        facts.oldest = "a"
        facts.told = ["p1": start]
        facts.ended = [.init(pod: "default/p1", uid: "p1", endedAt: start + .seconds(3))]
        return facts
    }

    static func broken(_ change: (inout Verdict.Facts) -> Void) -> [String] {
        var facts = good
        change(&facts)
        return Verdict(facts).findings.filter { !$0.holds }.map(\.invariant)
    }

    @Test func allHolds() {
        #expect(Verdict(Self.good).holds)
    }

    @Test func eachInvariantCanFail() {
        #expect(Self.broken { $0.told = [:] } == ["no pod evicted without notice"])
        #expect(Self.broken { $0.told["p1"] = Self.start + .seconds(9) } == ["no pod evicted without notice"])
        #expect(Self.broken { $0.chosen = ["b", "c"] } == ["nothing removed but the chosen members"])
        #expect(Self.broken { $0.desired = 3 } == ["sizes agree in Heat and Kubernetes"])
        #expect(Self.broken { $0.nodesAfter.insert("c") } == ["sizes agree in Heat and Kubernetes"])
        #expect(Self.broken { $0.leftCordoned = ["n1"] } == ["no node left cordoned"])
        #expect(
            Self.broken {
                $0.serversAfter = ["a", "e"]
                $0.nodesAfter = ["a", "e"]
                $0.chosen = ["b", "c", "d"]
            } == ["the survivors are the same servers"])
        #expect(
            Self.broken {
                $0.serversAfter = ["b", "c"]
                $0.nodesAfter = ["b", "c"]
                $0.chosen = ["a", "d"]
            } == ["Heat's own choice, the oldest, was kept"])
    }
}
