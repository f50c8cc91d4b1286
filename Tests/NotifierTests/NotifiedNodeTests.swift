import Messages
import Support
import Testing

@testable import Notifier

/// Reading a Node, and not reading again what has not changed.
@Suite("Nodes as the Notifier sees them")
struct NotifiedNodeTests {
    private static let start = Timestamp(seconds: 1_800_000_000)

    private static func record(_ id: String, of uid: String = "uid-1") -> RemovalRecord {
        RemovalRecord(
            id: id, group: "workers", nodeUID: uid, serverID: "s", member: "m", memberID: "p", decidedAt: start,
            startedAt: start, deadline: start + .minutes(5), reason: Explanation(.nodeUnneeded))
    }

    private static func node(_ text: String?, uid: String = "uid-1") -> Node {
        Node(
            name: "n1", uid: uid, annotations: text.map { [RemovalNames.record: $0] } ?? [:],
            allocatable: ResourceList(cpuMillis: 1_000),
            readiness: .ready, createdAt: start)
    }

    @Test("a record is taken over from the node as it was before if its text is the same, and read if it is another")
    func again() throws {
        let first = NotifiedNode(Self.node(try Self.record("r1").text()))
        #expect(first.record?.id == "r1")
        let same = NotifiedNode(Self.node(try Self.record("r1").text()), after: first)
        #expect(same == first)
        let other = NotifiedNode(Self.node(try Self.record("r2").text()), after: first)
        #expect(other.record?.id == "r2")
        #expect(NotifiedNode(Self.node(nil), after: first).record == nil)
        #expect(NotifiedNode(Self.node("{"), after: first).record == nil)
    }

    @Test("a record of another Node counts as none, also on a Node that came in the place of the one it was read from")
    func anotherNode() throws {
        let text = try Self.record("r1").text()
        let first = NotifiedNode(Self.node(text))
        #expect(NotifiedNode(Self.node(text, uid: "uid-2"), after: first).record == nil)
        #expect(NotifiedNode(Self.node(try Self.record("r1", of: "uid-2").text())).record == nil)
    }
}
