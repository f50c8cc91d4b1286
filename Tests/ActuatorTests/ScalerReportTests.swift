import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

@Suite("Status and Events of pod scalers")
struct ScalerReportTests {
    private let now = Timestamp(seconds: 1_800_000_000)

    private func entry(_ change: (inout Evaluation.ScalerEntry) -> Void = { _ in }) -> Evaluation.ScalerEntry {
        var entry = Evaluation.ScalerEntry(
            scaler: "shop/web", generation: 2, target: "Deployment/shop/web", current: 2, desired: 4,
            outcome: Explanation(.statAbove, "cpu 93%, goal 60%"),
            thresholds: [
                .init(
                    stat: "cpu", value: 93, goal: 60, unit: "%", replicas: 4, outcome: Explanation(.statAbove))
            ], scaledAt: now)
        change(&entry)
        return entry
    }

    private func conditions(_ entry: Evaluation.ScalerEntry) -> [String] {
        ScalerReport(entry: entry).conditions.map { "\($0.type) \($0.isTrue) \($0.reason)" }
    }

    @Test("Conditions in the words of HorizontalPodAutoscaler")
    func words() {
        #expect(
            conditions(entry()) == [
                "AbleToScale true ScalerSatisfied", "ScalingActive true StatAboveThreshold",
                "ScalingLimited false ScalerSatisfied",
            ])
        #expect(
            conditions(entry { $0.problem = Explanation(.statStale, "cpu") }) == [
                "AbleToScale true ScalerSatisfied", "ScalingActive false StatStale",
                "ScalingLimited false ScalerSatisfied",
            ])
        #expect(
            conditions(entry { $0.problem = Explanation(.kubernetesRefused, "403") }).prefix(2) == [
                "AbleToScale false KubernetesRefused", "ScalingActive false KubernetesRefused",
            ])
        #expect(
            conditions(entry { $0.limits = [Explanation(.maximumReached, "10")] }).last
                == "ScalingLimited true MaximumReached")
        #expect(
            conditions(entry { $0.outcome = Explanation(.scalerDisabled) })[1] == "ScalingActive false ScalerDisabled")
    }

    @Test(
        "What keeps the scaler from the target is AbleToScale False with its reason, and a warning",
        arguments: [
            Reason.kubernetesRefused, .kubernetesUnreachable, .kubernetesConflict, .credentialRefused, .targetNotFound,
            .targetNotScalable, .scalerConflict, .autoscalerOwnsTarget,
        ])
    func unable(reason: Reason) throws {
        let refused = entry { $0.problem = Explanation(reason, "why") }
        #expect(conditions(refused)[0] == "AbleToScale false \(reason.rawValue)")
        let well = try #require(ScalerReport(entry: entry()).patch(of: [:], at: now))
        let news = ScalerReport(entry: refused).news(since: well)
        #expect(news.map(\.1) == [Explanation(reason, "why")] && news.allSatisfy(\.isWarning))
    }

    @Test(
        "A spec or stats that cannot be used are ScalingActive False with the reason, and a warning, of a new scaler too",
        arguments: [Reason.scalerInvalid, .statUnknown, .statStale])
    func inactive(reason: Reason) throws {
        let problem = entry { $0.problem = Explanation(reason, "why") }
        #expect(
            conditions(problem).prefix(2) == [
                "AbleToScale true ScalerSatisfied", "ScalingActive false \(reason.rawValue)",
            ])
        let well = try #require(ScalerReport(entry: entry()).patch(of: [:], at: now))
        for object in [well, ["spec": [:]]] {
            let news = ScalerReport(entry: problem).news(since: object)
            #expect(news.map(\.1) == [Explanation(reason, "why")] && news.allSatisfy(\.isWarning))
        }
    }

    @Test("The status is patched once; a condition that has not turned keeps its time")
    func patch() throws {
        let first = try #require(ScalerReport(entry: entry()).patch(of: ["spec": [:]], at: now))
        #expect(first["status"]?["desiredReplicas"] == 4)
        #expect(first["status"]?["observedGeneration"] == 2)
        let written: JSONValue = ["status": first["status"] ?? .null]
        #expect(ScalerReport(entry: entry()).patch(of: written, at: now + .minutes(5)) == nil)
        let stale = entry { $0.problem = Explanation(.statStale, "cpu") }
        let second = try #require(ScalerReport(entry: stale).patch(of: written, at: now + .minutes(5)))
        let times = second["status"]?["conditions"]?.arrayValue?.map { $0["lastTransitionTime"]?.stringValue ?? "" }
        #expect(times == ["2027-01-15T08:00:00Z", "2027-01-15T08:05:00Z", "2027-01-15T08:00:00Z"])
    }

    @Test("An Event when a condition turns, none when it stays")
    func events() throws {
        let well = try #require(ScalerReport(entry: entry()).patch(of: [:], at: now))
        #expect(ScalerReport(entry: entry()).news(since: [:]).isEmpty)
        let stale = entry { $0.problem = Explanation(.statStale, "cpu is old") }
        let news = ScalerReport(entry: stale).news(since: well)
        #expect(news.count == 1 && news[0].isWarning && news[0].1 == Explanation(.statStale, "cpu is old"))
        let bad = try #require(ScalerReport(entry: stale).patch(of: well, at: now))
        #expect(ScalerReport(entry: stale).news(since: bad).isEmpty)
        let again = ScalerReport(entry: entry()).news(since: bad)
        #expect(again.count == 1 && !again[0].isWarning)
        let refused = entry { $0.problem = Explanation(.scalerConflict, "two") }
        #expect(ScalerReport(entry: refused).news(since: well).count == 1, "both conditions say the same")
    }
}
