import Messages
import Support
import Testing

@testable import Decider

@Suite("Pod scalers whose stats come from Gnocchi and Aodh")
struct StatSourceTests {
    private func stage(_ place: StatSource.Place, maximumAge: Interval? = nil) -> ScalerStage {
        ScalerStage {
            $0.scaler.intentions = [Intention(stat: "load", isExternal: true, goal: .average(10))]
            $0.scaler.sources = [StatSource(stat: "load", place: place, maximumAge: maximumAge)]
        }
    }

    private let metric = StatSource.Place.gnocchi(
        GnocchiPlace(metric: "connections", resourceID: "r", granularity: .seconds(300)))

    @Test("The value of its own source counts, and no other of that name")
    func own() {
        var stage = stage(metric)
        stage.tell("load", 1_000)
        stage.tell("other/load", 1_000)
        stage.evaluate(after: .seconds(5))
        #expect(stage.decided.isEmpty && stage.entry()?.problem?.reason == .statUnknown)
        stage.tell("web/load", 40)
        stage.evaluate(after: .seconds(5))
        #expect(stage.change == [2, 4])
    }

    @Test(
        "A value is fresh for two granules and a minute, an alarm's as long as other stats, or as the scaler says",
        arguments: [(0, 659.0, 662.0), (1, 59, 62), (2, 29, 32)])
    func age(which: Int, fresh: Double, stale: Double) {
        let alarm = StatSource.Place.alarm(AlarmPlace(name: "slow"))
        func made() -> ScalerStage {
            switch which {
            case 0: stage(metric)
            case 1: stage(alarm)
            default: stage(metric, maximumAge: .seconds(30))
            }
        }
        for (age, reason) in [(fresh, Reason.statAbove), (stale, .statStale)] {
            var stage = made()
            stage.tell("web/load", 40, at: stage.stage.now - .seconds(age - 1))
            stage.evaluate(after: .seconds(1))
            #expect(stage.decided.isEmpty == (reason == .statStale), "\(which), \(age) s old")
            #expect(stage.entry()?.problem?.reason == (reason == .statStale ? reason : nil))
        }
    }

    @Test(
        "What is told less often than it may be old counts until its sender has missed two turns; an age that the scaler names is kept",
        arguments: [
            (nil, 300.0, 599.0, 601.0), (nil, 7_200, 7_199, 7_201), (nil, -5, 59, 61),
            (Interval.seconds(60), 300, 59, 61),
        ]
            as [(Interval?, Double, Double, Double)])
    func rarely(maximumAge: Interval?, interval: Double, fresh: Double, stale: Double) {
        for (age, isStale) in [(fresh, false), (stale, true)] {
            var stage = stage(.alarm(AlarmPlace(name: "slow")), maximumAge: maximumAge)
            stage.tell("web/load", 40, every: .seconds(interval))
            stage.evaluate(after: .seconds(age))
            #expect(stage.decided.isEmpty == isStale, "told every \(interval) s, \(age) s ago")
            #expect(stage.entry()?.problem?.reason == (isStale ? .statStale : nil))
            let isExplained = stage.entry()?.problem?.detail.contains("maxAgeSeconds is too short") ?? false
            #expect(isExplained == (isStale && maximumAge != nil))
        }
    }

    @Test("A value that was too old when it was told is not made fresh by telling it again")
    func toldAgain() {
        var stage = stage(.alarm(AlarmPlace(name: "slow")))
        let measured = stage.stage.now
        for minutes in [0, 5, 10] {
            stage.tell("web/load", 40, at: measured, every: .minutes(5))
            stage.evaluate(after: .minutes(5))
            #expect((stage.entry()?.problem?.reason == .statStale) == (minutes > 0), "\(minutes)")
        }
    }

    @Test("Why a value could not be read is the scaler's problem, until it is read; nothing shrinks meanwhile")
    func failure() {
        var stage = stage(metric)
        func fail(_ stat: String, _ why: String) {
            stage.stage.receive(
                .externalStats(
                    ExternalStats(
                        cluster: "test", samples: [],
                        failures: [.init(stat: stat, namespace: "default", why: why, at: stage.stage.now)])))
        }
        fail("web/load", "Gnocchi has no connections of loadbalancer r")
        fail("other/load", "something else")
        stage.evaluate(after: .seconds(5))
        #expect(
            stage.entry()?.problem
                == Explanation(
                    .statUnknown, "load: nobody has told it: Gnocchi has no connections of loadbalancer r"))
        stage.tell("web/load", 20)
        stage.evaluate(after: .seconds(5))
        #expect(stage.entry()?.problem == nil && stage.decided.isEmpty)
        fail("web/load", String(repeating: "é", count: 10_000))
        stage.evaluate(after: .minutes(12))
        #expect(stage.entry()?.problem?.reason == .statStale && stage.decided.isEmpty)
        fail("web/load", String(repeating: "é", count: 10_000))
        stage.evaluate(after: .seconds(5))
        #expect((stage.entry()?.problem?.detail.utf8.count ?? 0) < 400)
        #expect(stage.entry()?.problem?.detail.contains("éé") == true)
    }

    @Test("An alarm with a value threshold: one more for each minute that it fires, and none when it is well again")
    func alarm() {
        var stage = ScalerStage {
            $0.scaler.intentions = []
            $0.scaler.values = [
                ValueThreshold(
                    stat: "slow", isExternal: true, comparison: .atLeast, value: 1, duration: .seconds(60),
                    step: .replicas(1))
            ]
            $0.scaler.sources = [StatSource(stat: "slow", place: .alarm(AlarmPlace(name: "slow")))]
        }
        func seconds(_ count: Int, _ value: Double) -> [[Int]] {
            var changes: [[Int]] = []
            for _ in 0..<count / 10 {
                stage.tell("web/slow", value)
                stage.evaluate(after: .seconds(10))
                if !stage.decided.isEmpty { changes.append(stage.change) }
                stage.carryOut()
            }
            return changes
        }
        #expect(seconds(70, 1) == [[2, 3]])
        #expect(seconds(120, 0).isEmpty)
        #expect(seconds(140, 1) == [[3, 4], [4, 5]])
    }

    @Test("A source of pods: each pod's value under the scaler's own name counts, and why there is none is said")
    func ofPods() {
        var stage = ScalerStage {
            $0.scaler.intentions = [Intention(stat: "rps", goal: .average(10))]
            $0.scaler.sources = [
                StatSource(
                    stat: "rps", place: .kubernetes(KubernetesPlace(metric: "rps", isOfPods: true)),
                    maximumAge: .seconds(90))
            ]
        }
        stage.tellOwn("rps", 1_000)
        stage.stage.receive(
            .externalStats(
                ExternalStats(
                    cluster: "test", samples: [],
                    failures: [.init(stat: "web/rps", namespace: "default", why: "no adapter", at: stage.stage.now)])))
        stage.evaluate(after: .seconds(5))
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem == Explanation(.statUnknown, "rps: 2 pods gave none: no adapter"))
        stage.tellOwn("web/rps", 20)
        stage.evaluate(after: .seconds(85))
        #expect(stage.change == [2, 4], "\(String(describing: stage.entry()?.problem))")
    }

    @Test("A source of pods with a value threshold: why there is none is said there as well, until it is read")
    func ofPodsWithStep() {
        var stage = ScalerStage {
            $0.scaler.intentions = []
            $0.scaler.values = [
                ValueThreshold(stat: "rps", comparison: .above, value: 10, duration: .zero, step: .replicas(1))
            ]
            $0.scaler.sources = [
                StatSource(stat: "rps", place: .kubernetes(KubernetesPlace(metric: "rps", isOfPods: true)))
            ]
        }
        stage.stage.receive(
            .externalStats(
                ExternalStats(
                    cluster: "test", samples: [],
                    failures: [.init(stat: "web/rps", namespace: "default", why: "no adapter", at: stage.stage.now)])))
        stage.evaluate(after: .seconds(5))
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem == Explanation(.statUnknown, "rps: 2 pods gave none: no adapter"))
        stage.tellOwn("web/rps", 20)
        stage.evaluate(after: .seconds(5))
        #expect(stage.change == [2, 3] && stage.entry()?.problem == nil)
    }
}
