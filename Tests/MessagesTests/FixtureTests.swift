import FoundationEssentials
import Messages
import Support
import Testing

/// Every recorded notification of Heat, Nova, Ceilometer and Aodh opens, and its text survives our own envelope.
@Suite struct FixtureTests {
    static let folder = #filePath.replacing("FixtureTests.swift", with: "Fixtures/oslo/")
    static let names: [String] =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".body") }.sorted()

    static func body(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: folder + name)))
    }

    @Test func theFixturesAreThere() {
        #expect(Self.names.count == 133)
    }

    @Test(arguments: names) func opens(name: String) throws {
        let received = try MessageCoder.open(try Self.body(name))
        let isMinimal = name == "telemetry.polling.minimal.body"
        #expect(received.envelope.messageID.isEmpty == isMinimal)
        #expect((received.envelope.time == nil) == isMinimal)
        #expect(throws: MessageError.self) { _ = try Event(received) }
        // A foreign event is told from ours by name, not by accident.
        do {
            _ = try Event(received)
        } catch {
            #expect(error.code == .unknownEvent)
            #expect(error.path == "event_type")
        }
    }

    @Test(arguments: ["heat.stack.delete.start.member-stack.body", "nova.compute.instance.delete.start.body"])
    func truncationAtEveryByteIsAnErrorNeverACrash(name: String) throws {
        let body = try Self.body(name)
        for length in 0..<body.count {
            #expect(throws: MessageError.self) { try MessageCoder.open(Array(body.prefix(length))) }
        }
    }

    @Test func theMemberStackIsNamed() throws {
        struct StackEvent: Decodable {
            var stack_identity: String
            var state: String
        }
        let received = try MessageCoder.open(try Self.body("heat.stack.delete.start.member-stack.body"))
        #expect(received.envelope.eventType == "orchestration.stack.delete.start")
        let payload = try MessageCoder.payload(StackEvent.self, of: received)
        #expect(payload.stack_identity == "ee1d2d4c-258d-4c68-bed6-e1cffdcb3668")
        #expect(payload.state == "DELETE_IN_PROGRESS")
    }
}
