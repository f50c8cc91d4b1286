import Glibc
import Support
import Testing

/// How a service meets a broker that answers no more, and how it ends: each as a process of its own.
@Suite(.serialized, .enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct EndingTests {
    private static let services = ["collector", "decider", "actuator", "notifier"]
    /// What a busy machine may take to start and end a process, beyond what is promised.
    private static let patience = 15.0

    /// It acts and reaches the broker. (A Decider that nobody tells anything is not ready for want of that.)
    private func works(_ stage: ReplicaStage) async throws -> Bool {
        guard let ready = try? await stage.get("a", "/readyz") else { return false }
        let acts = try await stage.isActive("a")
        return acts && !ready.text.contains("\"bus\":")
    }

    private func isReady(_ stage: ReplicaStage) async -> Bool {
        (try? await stage.get("a", "/readyz"))?.status == 200
    }

    @Test("told to end, a service leaves in order, well before it would have to", arguments: services)
    func answers(_ service: String) async throws {
        try await ReplicaStage.with(service, names: ["a"]) { stage in
            try await eventually("the \(service) works") { try await works(stage) }
            stage.signal("a", SIGTERM)
            // `shutdown_timeout` is 20 s: who needs so long has waited for something that does not come.
            let code = try await stage.ended("a", within: 19)
            #expect(code == 0, "\(service): \(stage.log("a").suffix(2_000))")
            #expect(stage.log("a").contains(#""message":"ended""#), "\(stage.log("a").suffix(2_000))")
        }
    }

    @Test("told to end while the broker is frozen, each service leaves within its bound")
    func frozen() async throws {
        try await OwnBroker.with { broker in
            for service in Self.services {
                try await ReplicaStage.with(
                    service, names: ["a"], transportURL: broker.url, more: ["shutdown_timeout: 4s"]
                ) { stage in
                    try await eventually("the \(service) works") { try await works(stage) }
                    try broker.freeze()
                    stage.signal("a", SIGTERM)
                    let code = try await stage.ended("a", within: 4 + Self.patience)
                    try broker.thaw()
                    // 1: it could not hand back what was in hand, says so, and leaves anyway.
                    #expect(code == 0 || code == 1, "\(service): \(stage.log("a").suffix(2_000))")
                    #expect(
                        stage.log("a").contains(code == 0 ? #""message":"ended""# : "did not end in time"),
                        "\(service): \(stage.log("a").suffix(2_000))")
                }
            }
        }
    }

    @Test("a frozen broker: readiness says so, and says when it is over; what was decided meanwhile is done, once")
    func readiness() async throws {
        try await OwnBroker.with { broker in
            try await ReplicaStage.with(
                "actuator", names: ["a"], transportURL: broker.url
            ) { stage in
                try await eventually("it acts") { try await stage.isActive("a") }
                try await eventually("it is ready") { await isReady(stage) }
                try broker.freeze()
                try await eventually("it does not act, and says that the bus does not answer") {
                    let ready = try await stage.get("a", "/readyz")
                    let acts = try await stage.isActive("a")
                    return ready.status == 503 && ready.text.contains("bus") && !acts
                }
                // Given to a broker that does not take it: it waits for that.
                async let decided: Void = stage.decide(from: 1, to: 2)
                try broker.thaw()
                try await decided
                try await eventually("it acts again") { try await stage.isActive("a") }
                try await eventually("it is ready again") { await isReady(stage) }
                try await eventually("what was decided is done") { try await stage.size() == 2 }
                #expect(try await stage.patches() == 1)
            }
        }
    }
}
