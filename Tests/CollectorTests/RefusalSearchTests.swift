import OpenStack
import Testing

@testable import Collector

@Suite("Which metric of a batch Gnocchi refuses")
struct RefusalSearchTests {
    private func pieces(_ resources: Int, _ metrics: Int) -> [RefusalSearch.Piece] {
        (0..<resources).flatMap { resource in
            (0..<metrics).map {
                .init(resource: "r\(resource)", metric: .init(name: "m\($0)", unit: "B", points: []))
            }
        }
    }

    private func name(_ piece: RefusalSearch.Piece) -> String { "\(piece.resource)/\(piece.metric.name)" }

    /// A search to its end, where a request with any of `bad` is refused.
    private func search(
        _ pieces: [RefusalSearch.Piece], bad: Set<String>
    ) -> (taken: Set<String>, guilty: Set<String>, requests: Int) {
        var search = RefusalSearch(pieces)
        var requests = 0
        while requests < 1_000, let part = search.next() {
            requests += 1
            if bad.isDisjoint(with: part.map(name)) { search.wasTaken() } else { search.wasRefused() }
        }
        #expect(Set(search.taken.map(name)).count == search.taken.count, "each is sent once")
        return (Set(search.taken.map(name)), Set(search.guilty.map(name)), requests)
    }

    @Test("a few culprits: they alone are found, and all others are taken")
    func few() {
        let all = pieces(50, 10)
        let names = Set(all.map(name))
        for bad: Set<String> in [
            [], ["r0/m0"], ["r49/m9"], ["r7/m3", "r7/m4", "r31/m0"], Set((0..<10).map { "r20/m\($0)" }),
        ] {
            let end = search(all, bad: bad)
            #expect(end.guilty == bad)
            #expect(end.taken == names.subtracting(bad))
            #expect(end.requests <= 1 + bad.count * 20)
        }
    }

    @Test("the same metric of each resource: found in the next batches, and the other metrics are taken")
    func everywhere() {
        var left = pieces(50, 10)
        let bad = Set((0..<50).map { "r\($0)/m6" })
        var guilty: Set<String> = []
        for _ in 0..<3 {
            let end = search(left, bad: bad)
            #expect(end.requests <= 2 * RefusalSearch.mostRequests + 20)
            #expect(end.guilty.isSubset(of: bad))
            guilty.formUnion(end.guilty)
            left.removeAll { guilty.contains(name($0)) }
        }
        #expect(guilty == bad)
        #expect(search(left, bad: bad).requests == 1)
    }

    @Test("half of the resources are another's: found within a few batches, with a bounded number of requests each")
    func half() {
        var left = pieces(50, 10)
        let names = Set(left.map(name))
        let bad = Set(left.filter { ["1", "3", "5", "7", "9"].contains($0.resource.suffix(1)) }.map(name))
        var guilty: Set<String> = []
        var taken: Set<String> = []
        for _ in 0..<3 {
            let end = search(left, bad: bad)
            #expect(end.requests <= 2 * RefusalSearch.mostRequests + 20)
            guilty.formUnion(end.guilty)
            taken = end.taken
            left.removeAll { guilty.contains(name($0)) }
        }
        #expect(guilty == bad)
        #expect(taken == names.subtracting(bad))
    }

    @Test("nothing is taken: the search ends")
    func nothing() {
        let all = pieces(200, 5)
        let end = search(all, bad: Set(all.map(name)))
        #expect(end.taken.isEmpty && end.requests <= 2 * RefusalSearch.mostRequests + 20)
    }
}
