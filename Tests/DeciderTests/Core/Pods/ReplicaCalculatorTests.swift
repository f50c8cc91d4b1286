import Messages
import Support
import Testing

@testable import Decider

/// The cases of kube-controller-manager's own `replica_calculator_test.go`, by their names there.
@Suite("Replicas that an intention asks for, as HorizontalPodAutoscaler v2 counts them")
struct ReplicaCalculatorTests {
    static let now = Timestamp(seconds: 1_800_000_000)

    /// One pod: its CPU in thousandths of a core, of one core requested.
    enum Sample: Sendable {
        case ready(Double)
        case unready(Double)
        /// It became ready a moment ago: what was measured covers time before.
        case hot(Double)
        case missing
        case pending
        case leaving(Double)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var current: Int
        var pods: [Sample]
        var goal: Intention.Goal
        var expected: Int
        var isCPU = true
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "ScaleUp", current: 3, pods: [.ready(300), .ready(500), .ready(700)], goal: .utilization(30),
            expected: 5),
        Case(
            name: "ScaleUpUnreadyLessScale", current: 3, pods: [.unready(300), .ready(500), .ready(700)],
            goal: .utilization(30), expected: 4),
        Case(
            name: "ScaleUpUnreadyNoScale", current: 3, pods: [.ready(400), .unready(500), .unready(700)],
            goal: .utilization(30), expected: 3),
        Case(
            name: "ScaleUpHotCpuLessScale", current: 3, pods: [.hot(300), .ready(500), .ready(700)],
            goal: .utilization(30), expected: 4),
        Case(
            name: "ScaleHotCpuNoScale", current: 3, pods: [.ready(400), .hot(500), .hot(700)],
            goal: .utilization(30), expected: 3),
        Case(
            name: "a pending pod counts as idle", current: 3,
            pods: [.pending, .ready(500), .ready(700)], goal: .utilization(30), expected: 4),
        Case(
            name: "ScaleUpIgnoresDeletionPods", current: 2,
            pods: [.ready(500), .ready(700), .leaving(5_000), .leaving(5_000)], goal: .utilization(30), expected: 4),
        Case(
            name: "ScaleDown", current: 5,
            pods: [.ready(100), .ready(300), .ready(500), .ready(250), .ready(250)], goal: .utilization(50),
            expected: 3),
        Case(
            name: "ScaleDownIgnoresUnreadyPods", current: 5,
            pods: [.ready(100), .ready(300), .ready(500), .unready(250), .unready(250)], goal: .utilization(50),
            expected: 2),
        Case(
            name: "ScaleDownExcludeUnscheduledPods", current: 5,
            pods: [.ready(100), .pending, .pending, .pending, .pending], goal: .utilization(50), expected: 1),
        Case(
            name: "ScaleDownIgnoreHotCpuPods", current: 5,
            pods: [.ready(100), .ready(300), .ready(500), .hot(250), .hot(250)], goal: .utilization(50), expected: 2),
        Case(
            name: "ScaleDownIgnoresDeletionPods", current: 5,
            pods: [.ready(100), .ready(300), .ready(500), .ready(250), .ready(250), .leaving(0), .leaving(0)],
            goal: .utilization(50), expected: 3),
        Case(
            name: "Tolerance", current: 3, pods: [.ready(1_010), .ready(1_030), .ready(1_020)],
            goal: .utilization(100), expected: 3),
        Case(
            name: "tolerance edge: 1.1 is within", current: 2, pods: [.ready(1_100), .ready(1_100)],
            goal: .utilization(100), expected: 2),
        Case(
            name: "tolerance edge: 1.11 is not", current: 2, pods: [.ready(1_110), .ready(1_110)],
            goal: .utilization(100), expected: 3),
        Case(
            name: "tolerance edge: 1.109 is cut to 1.10, whole percents count", current: 2,
            pods: [.ready(1_109), .ready(1_109)], goal: .utilization(100), expected: 2),
        Case(
            name: "tolerance edge: 0.9 is within", current: 10, pods: Array(repeating: .ready(900), count: 10),
            goal: .utilization(100), expected: 10),
        Case(
            name: "tolerance edge: 0.89 is not", current: 10, pods: Array(repeating: .ready(890), count: 10),
            goal: .utilization(100), expected: 9),
        Case(
            name: "MissingMetrics: what is not known counts as 100 % when shrinking", current: 4,
            pods: [.ready(400), .ready(95), .missing, .missing], goal: .utilization(100), expected: 3),
        Case(
            name: "MissingMetricsNoChangeEq", current: 2, pods: [.ready(1_000), .missing], goal: .utilization(100),
            expected: 2),
        Case(
            name: "MissingMetricsNoChangeGt: what is not known counts as 0 when growing", current: 2,
            pods: [.ready(1_900), .missing], goal: .utilization(100), expected: 2),
        Case(
            name: "MissingMetricsNoChangeLt", current: 2, pods: [.ready(600), .missing], goal: .utilization(100),
            expected: 2),
        Case(
            name: "MissingMetricsUnreadyChange: the direction flips, so nothing changes", current: 3,
            pods: [.unready(100), .ready(450), .missing], goal: .utilization(50), expected: 3),
        Case(
            name: "MissingMetricsUnreadyScaleUp", current: 3, pods: [.unready(100), .ready(2_000), .missing],
            goal: .utilization(50), expected: 4),
        Case(
            name: "MissingMetricsUnreadyScaleDown", current: 4,
            pods: [.unready(100), .ready(100), .ready(100), .missing], goal: .utilization(50), expected: 3),
        Case(
            name: "MissingMetricsHotCpuNoChange", current: 3, pods: [.hot(100), .ready(450), .missing],
            goal: .utilization(50), expected: 3),
        Case(
            name: "MissingMetricsHotCpuScaleUp", current: 3, pods: [.hot(100), .ready(2_000), .missing],
            goal: .utilization(50), expected: 4),
        Case(
            name: "DuringRollingUpdateWithMaxSurge: a pod more than replicas, without a value", current: 2,
            pods: [.ready(100), .ready(100), .missing], goal: .utilization(50), expected: 2),
        Case(
            name: "DuringRollingUpdateWithMaxSurgeCM", current: 2, pods: [.ready(10), .ready(10), .missing],
            goal: .average(17), expected: 2, isCPU: false),
        Case(
            name: "ToleranceCM", current: 3, pods: [.ready(20), .ready(21), .ready(21)], goal: .average(20),
            expected: 3,
            isCPU: false),
        Case(
            name: "tolerance edge of an average: 1.1 is within", current: 3,
            pods: [.ready(22), .ready(22), .ready(22)],
            goal: .average(20), expected: 3, isCPU: false),
        Case(
            name: "tolerance edge of an average: 1.11 is not", current: 3,
            pods: [.ready(22.2), .ready(22.2), .ready(22.2)], goal: .average(20), expected: 4, isCPU: false),
        Case(
            name: "PlainMetricReplicaCalcMissingMetricsNoChangeEq", current: 5,
            pods: [.ready(20), .ready(19), .ready(21), .missing, .missing], goal: .average(20), expected: 5,
            isCPU: false),
        Case(
            name: "ScaleUpCMUnreadyHotCpuScaleWouldScaleDown", current: 3,
            pods: [.unready(50), .ready(15), .hot(30)], goal: .average(15), expected: 7, isCPU: false),
        Case(
            name: "ScaleUpCM: an average", current: 3, pods: [.ready(20), .ready(10), .ready(30)],
            goal: .average(15), expected: 4, isCPU: false),
        Case(
            name: "ScaleUpCMUnreadyHotCpuNoLessScale: readiness is of no account for other stats", current: 3,
            pods: [.ready(50), .ready(10), .unready(30)], goal: .average(15), expected: 6, isCPU: false),
        Case(
            name: "ScaleDownCM", current: 5, pods: Array(repeating: .ready(12), count: 5), goal: .average(20),
            expected: 3, isCPU: false),
        Case(
            name: "a missing average counts as the target when shrinking", current: 4,
            pods: [.ready(5), .ready(5), .missing, .missing], goal: .average(10), expected: 3, isCPU: false),
        Case(
            name: "a huge value asks for much and does not overflow", current: 1, pods: [.ready(1e300)],
            goal: .average(1), expected: 1_000_000_000, isCPU: false),
    ]

    static func pod(_ sample: Sample) -> MonitoredPod {
        var pod = MonitoredPod()
        pod.request = 1_000
        pod.isReady = true
        pod.startedAt = now - .minutes(60)
        pod.readyChangedAt = now - .minutes(59)
        pod.measuredAt = now - .seconds(5)
        switch sample {
        case .ready(let value): pod.value = value
        case .unready(let value):
            pod.value = value
            pod.isReady = false
            pod.readyChangedAt = pod.startedAt
        case .hot(let value):
            pod.value = value
            pod.startedAt = now - .seconds(20)
            pod.readyChangedAt = now - .seconds(10)
        case .missing: break
        case .pending: pod.isPending = true
        case .leaving(let value):
            pod.value = value
            pod.isLeaving = true
        }
        return pod
    }

    @Test("Documented cases", arguments: cases) func documented(one: Case) {
        let calculator = ReplicaCalculator(current: one.current, now: Self.now)
        let outcome = calculator.perPod(
            one.pods.map(Self.pod), one.goal, isCPU: one.isCPU, scale: one.isCPU ? 1 : 1_000)
        #expect(outcome.replicas == one.expected, "\(outcome)")
    }

    @Test(
        "Pods that request different amounts: MissingMetricsScaleDownTargetOver100, ComputedToleranceAlgImplementation")
    func differentRequests() {
        func pods(_ samples: [Sample], _ requests: [Double]) -> [MonitoredPod] {
            zip(samples, requests).map { sample, request in
                var pod = Self.pod(sample)
                pod.request = request
                return pod
            }
        }
        let over = pods([.unready(200), .ready(100), .ready(100), .missing], [1_000, 1_000, 2_000, 2_000])
        let few = ReplicaCalculator(current: 4, now: Self.now).perPod(over, .utilization(300), isCPU: true)
        #expect(few.replicas == 2 && few.value == 6, "\(few)")
        let many = pods(
            Array(repeating: .ready(150), count: 10), [400, 200, 310, 290, 302, 298, 301, 299, 300, 300])
        let calculator = ReplicaCalculator(current: 10, now: Self.now)
        #expect(calculator.perPod(many, .utilization(56), isCPU: true).replicas == 9, "just beyond the tolerance")
        #expect(calculator.perPod(many, .utilization(55), isCPU: true).replicas == 10, "just within")
    }

    @Test(
        "External stats: the whole, and the average over the replicas",
        arguments: [
            (1, 8.6, Intention.Goal.total(4.4), 1, 2), (3, 8.6, .average(2.15), 3, 4), (5, 8.6, .total(14.334), 5, 3),
            (5, 8.6, .average(2.867), 5, 3), (3, 6.0, .average(2), 3, 3), (0, 7.0, .average(2), 0, 4),
            (0, 7.0, .total(2), 0, 4), (4, 0.0, .total(2), 4, 0), (20, 8.4, .average(0.3), 20, 28),
            (5, 2.1, .average(0.3), 5, 7), (1, 0.3, .total(0.1), 1, 3),
            // ToleranceCMExternal, TolerancePerPodCMExternal, ScaleUpCMExternalIgnoresUnreadyPods.
            (3, 8.6, .total(8.888), 3, 3), (3, 8.6, .average(2.9), 3, 3), (3, 8.6, .total(4.4), 1, 2),
            // The edges of the tolerance.
            (10, 11.0, .total(10), 10, 10), (10, 11.1, .total(10), 10, 12), (10, 9.0, .total(10), 10, 10),
            (10, 8.9, .total(10), 10, 9), (10, 22.0, .average(2), 10, 10), (10, 22.2, .average(2), 10, 12),
            (10, 18.0, .average(2), 10, 10), (10, 17.8, .average(2), 10, 9),
        ] as [(Int, Double, Intention.Goal, Int, Int)])
    func external(current: Int, value: Double, goal: Intention.Goal, ready: Int, expected: Int) {
        let outcome = ReplicaCalculator(current: current, now: Self.now).external(value, goal, ready: ready)
        #expect(outcome.replicas == expected, "\(outcome)")
    }

    @Test(
        "Metrics of an object, which are external values here: cases of kube-controller-manager by their names there",
        arguments: [
            ("ScaleUpCMObject", 1, 40.0, Intention.Goal.total(15), 1, 3),
            ("ScaleUpCMObject, three", 3, 20, .total(15), 3, 4),
            ("ScaleUpCMObjectIgnoresUnreadyPods", 5, 50, .total(10), 3, 15),
            ("ScaleUpPerPodCMObject", 3, 40, .average(10), 3, 4),
            ("ScaleDownCMObject", 5, 12, .total(20), 5, 3),
            ("ScaleDownPerPodCMObject", 5, 60, .average(20), 5, 3),
            ("ToleranceCMObject", 3, 20.050, .total(20), 3, 3),
            ("TolerancePerPodCMObject", 4, 40.050, .average(10), 4, 4),
            ("ScaleUpCMObjectFromZero", 0, 40, .total(10), 0, 4),
            ("a part of the goal, from none", 0, 0.001, .total(10), 0, 1),
            ("idle", 3, 0, .total(10), 3, 0), ("idle on average", 3, 0, .average(10), 3, 0),
            ("a thousandth above a whole", 1, 30.001, .average(10), 1, 4),
            // Pods that are not ready count for an average, and do not for a whole.
            ("unready pods, on average", 5, 50, .average(10), 3, 5),
        ] as [(String, Int, Double, Intention.Goal, Int, Int)])
    func object(name: String, current: Int, value: Double, goal: Intention.Goal, ready: Int, expected: Int) {
        let outcome = ReplicaCalculator(current: current, now: Self.now).external(value, goal, ready: ready)
        #expect(outcome.replicas == expected, "\(name): \(outcome)")
    }

    @Test(
        "The replicas of the status count for an average, not those of the spec: in a rollout there are more",
        arguments: [
            (10, 12, 530.0, 11, 44.0), (10, nil, 530, 10, 53), (10, 12, 600, 10, 50), (10, 12, 401, 9, 33),
            (10, 8, 530, 11, 66), (10, 0, 530, 11, 530), (10, 0, 0, 0, 0), (0, 3, 530, 11, 530),
        ] as [(Int, Int?, Double, Int, Double)])
    func status(spec: Int, present: Int?, value: Double, expected: Int, shown: Double) {
        let outcome = ReplicaCalculator(current: spec, now: Self.now)
            .external(value, .average(50), ready: spec, present: present)
        #expect(outcome.replicas == expected && outcome.value?.rounded(.down) == shown, "\(outcome)")
    }

    @Test("Values of pods are counted in thousandths, as Kubernetes does: 2.1 against 0.3 is 7, not a little more")
    func thousandths() {
        let pods = (1...3).map { _ in
            var pod = MonitoredPod()
            (pod.value, pod.isReady) = (0.7, true)
            return pod
        }
        let calculator = ReplicaCalculator(current: 3, now: Self.now)
        #expect(calculator.perPod(pods, .average(0.1), isCPU: false, scale: 1_000).replicas == 21)
    }

    @Test("CPU is counted in whole thousandths, rounded up: 199.2 of 200 is 100 %")
    func wholeThousandths() {
        var pod = MonitoredPod()
        (pod.value, pod.request, pod.isReady) = (199.2, 200, true)
        (pod.startedAt, pod.readyChangedAt) = (Self.now - .minutes(60), Self.now - .minutes(59))
        pod.measuredAt = Self.now
        let calculator = ReplicaCalculator(current: 1, now: Self.now)
        #expect(calculator.perPod([pod], .utilization(90), isCPU: true).value == 100)
        // Two containers of 99.2 each, which are rounded up before they are added; as a pod it would be 199.
        pod.value = 198.4
        #expect(calculator.perPod([pod], .utilization(90), isCPU: true).value == 99)
        pod.steps = 200
        #expect(calculator.perPod([pod], .utilization(90), isCPU: true).value == 100)
        pod.steps = nil
        // Missing pods count as fully used where the goal is more than that.
        var missing = pod
        missing.value = nil
        let few = ReplicaCalculator(current: 4, now: Self.now)
        pod.value = 200
        let outcome = few.perPod([pod, pod, pod, missing], .utilization(200), isCPU: true)
        #expect(outcome.replicas == 3, "(3 × 100 % + 200 %) / 4 of 200 %, over four pods: \(outcome)")
    }

    @Test("No pod, no value, no request: an error, never a load of zero")
    func failures() {
        let calculator = ReplicaCalculator(current: 3, now: Self.now)
        let unready = calculator.external(8.8, .total(4.4), ready: 0)
        // The value is known: no error, so no fallback either, and nothing that it could be a multiple of.
        #expect(unready.replicas == 3 && unready.value == 8.8 && unready.why.detail == "no pod is ready")
        #expect(calculator.perPod([], .utilization(50), isCPU: true).replicas == nil)
        let silent = calculator.perPod([Self.pod(.missing)], .utilization(50), isCPU: true)
        #expect(silent.replicas == nil && silent.why.reason == .statUnknown && silent.why.detail == "1 pods gave none")
        var stale = Self.pod(.missing)
        stale.absence = .stale
        #expect(calculator.perPod([stale], .average(5), isCPU: false).why.reason == .statStale)
        var free = Self.pod(.ready(100))
        free.request = 0
        let outcome = calculator.perPod([free, Self.pod(.ready(1))], .utilization(50), isCPU: true)
        #expect(outcome.replicas == nil && outcome.why.detail == "a pod requests nothing of it")
    }

    @Test(
        "CPU of a pod that starts is left out: five minutes for one that is not ready, one window for one that became ready"
    )
    func starting() {
        let rules = ReadinessRules()
        var pod = Self.pod(.ready(500))
        pod.startedAt = Self.now - .minutes(2)
        pod.readyChangedAt = Self.now - .minutes(1)
        #expect(!rules.isStarting(pod, at: Self.now))
        pod.readyChangedAt = Self.now - .seconds(10)
        #expect(rules.isStarting(pod, at: Self.now), "the measurement covers time before it was ready")
        pod.isReady = false
        pod.readyChangedAt = Self.now - .minutes(1)
        #expect(rules.isStarting(pod, at: Self.now))
        // Older than the initialization: only one that was never ready.
        pod.startedAt = Self.now - .minutes(30)
        pod.readyChangedAt = Self.now - .minutes(30) + .seconds(10)
        #expect(rules.isStarting(pod, at: Self.now))
        pod.readyChangedAt = Self.now - .minutes(10)
        #expect(!rules.isStarting(pod, at: Self.now), "it was ready once")
        pod.startedAt = nil
        #expect(rules.isStarting(pod, at: Self.now))
    }

    @Test("A tolerance for each direction")
    func tolerances() {
        var calculator = ReplicaCalculator(current: 4, now: Self.now)
        calculator.toleranceUp = 0.5
        calculator.toleranceDown = 0
        let pods = { (value: Double) in Array(repeating: Self.pod(.ready(value)), count: 4) }
        #expect(calculator.perPod(pods(750), .utilization(50), isCPU: true).replicas == 4)
        #expect(calculator.perPod(pods(760), .utilization(50), isCPU: true).replicas == 7)
        #expect(calculator.perPod(pods(370), .utilization(50), isCPU: true).replicas == 3)
        #expect(calculator.perPod(pods(490), .utilization(50), isCPU: true).replicas == 4)
    }
}
