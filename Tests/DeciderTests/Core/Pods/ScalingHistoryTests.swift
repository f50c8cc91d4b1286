import Messages
import Support
import Testing

@testable import Decider

@Suite("How fast replicas may change: windows and policies of HorizontalPodAutoscaler v2")
struct ScalingHistoryTests {
    static let start = Timestamp(seconds: 1_800_000_000)

    private func scaler(_ change: (inout PodScaler) -> Void = { _ in }) -> PodScaler {
        var scaler = PodScaler(namespace: "default", name: "s", minimum: 1, maximum: 1_000)
        change(&scaler)
        return scaler
    }

    @Test("Shrinking waits for the window: the highest recommendation within it counts")
    func downWindow() {
        var history = ScalingHistory()
        let scaler = scaler()
        history.begin(10, at: Self.start)
        #expect(history.stabilize(4, current: 10, scaler, at: Self.start + .seconds(15)).replicas == 10)
        #expect(history.stabilize(7, current: 10, scaler, at: Self.start + .seconds(30)).replicas == 10)
        // The first has left the window at 300 s; the seven lasts till 330 s.
        let held = history.stabilize(4, current: 10, scaler, at: Self.start + .seconds(299))
        #expect(held.replicas == 10 && held.limits.first?.reason == .scalingStabilized)
        #expect(history.stabilize(4, current: 10, scaler, at: Self.start + .seconds(301)).replicas == 7)
        #expect(history.stabilize(4, current: 7, scaler, at: Self.start + .seconds(331)).replicas == 4)
    }

    @Test("Growing is not held by default, and by the lowest recommendation within a window of its own")
    func upWindow() {
        var history = ScalingHistory()
        history.begin(2, at: Self.start)
        #expect(history.stabilize(6, current: 2, scaler(), at: Self.start + .seconds(1)).replicas == 6)
        let slow = scaler { $0.scaleUp.stabilization = .seconds(60) }
        history = ScalingHistory()
        history.begin(2, at: Self.start)
        #expect(history.stabilize(6, current: 2, slow, at: Self.start + .seconds(10)).replicas == 2)
        #expect(history.stabilize(9, current: 2, slow, at: Self.start + .seconds(61)).replicas == 6)
        #expect(history.stabilize(9, current: 6, slow, at: Self.start + .seconds(75)).replicas == 9)
    }

    @Test(
        "The default allows the larger of four pods and a doubling every 15 s",
        arguments: [
            (1, 5), (2, 6), (4, 8), (10, 20), (100, 200),
        ])
    func defaultUp(current: Int, allowed: Int) {
        let outcome = ScalingHistory().limit(900, current: current, scaler(), at: Self.start)
        #expect(outcome.replicas == allowed && outcome.limits.first?.reason == .scalingPolicyLimited)
    }

    @Test("What was added within the period counts; after it the next step is free")
    func period() {
        var history = ScalingHistory()
        history.changed(from: 10, to: 20, scaler(), at: Self.start)
        #expect(history.limit(100, current: 20, scaler(), at: Self.start + .seconds(10)).replicas == 20)
        #expect(history.limit(100, current: 20, scaler(), at: Self.start + .seconds(15)).replicas == 40)
    }

    @Test("What was taken away within the period counts for growing")
    func mixed() {
        var history = ScalingHistory()
        history.changed(from: 10, to: 4, scaler(), at: Self.start)
        // It began with 10: doubled from there.
        #expect(history.limit(100, current: 4, scaler(), at: Self.start + .seconds(5)).replicas == 20)
    }

    @Test("The documented example: 4 pods or 10 % a minute, from 80 down to 10")
    func documentedDown() {
        let scaler = scaler {
            $0.scaleDown.policies = [.init(.pods, 4, per: .seconds(60)), .init(.percent, 10, per: .seconds(60))]
        }
        var history = ScalingHistory()
        var current = 80
        var now = Self.start
        var steps: [Int] = []
        while current > 10 {
            let next = history.limit(10, current: current, scaler, at: now).replicas
            history.changed(from: current, to: next, scaler, at: now)
            steps.append(current - next)
            current = next
            now = now + .seconds(60)
        }
        #expect(steps.prefix(3) == [8, 8, 7])
        #expect(steps.dropFirst(8).prefix(2) == [4, 4], "\(steps)")
    }

    @Test("Min takes the smallest change, Max the largest, Disabled none")
    func selection() {
        let policies: [ScalingRules.Policy] = [
            .init(.pods, 2, per: .seconds(60)), .init(.percent, 50, per: .seconds(60)),
        ]
        let history = ScalingHistory()
        for (selection, up, down) in [(ScalingRules.Selection.max, 15, 5), (.min, 12, 8), (.disabled, 10, 10)] {
            let scaler = scaler {
                $0.scaleUp.policies = policies
                $0.scaleDown.policies = policies
                $0.scaleUp.selection = selection
                $0.scaleDown.selection = selection
            }
            #expect(history.limit(100, current: 10, scaler, at: Self.start).replicas == up)
            #expect(history.limit(1, current: 10, scaler, at: Self.start).replicas == down)
        }
    }

    @Test("Minimum and maximum are named when they bind")
    func bounds() {
        let scaler = scaler {
            $0.minimum = 3
            $0.maximum = 12
        }
        let up = ScalingHistory().limit(50, current: 10, scaler, at: Self.start)
        #expect(up.replicas == 12 && up.limits.first?.reason == .maximumReached)
        let down = ScalingHistory().limit(1, current: 10, scaler, at: Self.start)
        #expect(down.replicas == 3 && down.limits.first?.reason == .minimumReached)
    }
}
