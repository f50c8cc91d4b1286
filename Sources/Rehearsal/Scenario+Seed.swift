import Support

extension Scenario {
    /// The story of a seed.
    init(seed: UInt64) {
        var dice = SplitMix64(seed: seed &* 0x2545_F491_4F6C_DD1D &+ 17)
        let kinds = ScenarioKind.allCases
        self.init(seed: seed, kind: kinds[Int(seed % UInt64(kinds.count))])
        nodes = dice.within(2...4)
        minimum = dice.within(1...2)
        maximum = dice.within(max(nodes, 4)...6)
        spreads = dice.chance(0.6)
        hasDeleteHook = dice.chance(0.3)
        if dice.chance(0.25) { forceTimeout = .seconds(20) }
        if dice.chance(0.25) { surgeTimeout = .seconds(30) }
        if dice.chance(0.2) { loadBalancerWait = .seconds(5) }
        faultsEnd = .seconds(Double(dice.within(150...300)))
        switch kind {
        case .growth:
            addWorkloads(&dice, load: 40...70)
            addLoad(&dice, 20...60, 100...170)
        case .idle:
            addWorkloads(&dice, load: 50...90)
            addLoad(&dice, 20...60, 10...40)
        case .cancel:
            addWorkloads(&dice, load: 60...90)
            addLoad(&dice, 10...20, 10...30)
            addLoad(&dice, 35...75, 60...120)
            if dice.chance(0.4) { script.append((.seconds(Double(dice.within(30...80))), .operatorCancels)) }
        case .hooks:
            addWorkloads(&dice, load: 30...60)
            for index in workloads.indices { workloads[index].temper = Scenario.temper(&dice) }
            mayRefuse = dice.chance(0.5)
            addLoad(&dice, 20...40, 10...40)
        case .budgets:
            addWorkloads(&dice, load: 40...70)
            for index in workloads.indices where dice.chance(0.8) && workloads[index].replicas > 1 {
                workloads[index].minAvailable = workloads[index].replicas - 1
                workloads[index].hasTwoBudgets = dice.chance(0.15)
            }
            addLoad(&dice, 20...40, 15...50)
        case .heat, .nodes, .broker, .crashes, .everything, .replicas, .groups:
            addWorkloads(&dice, load: 40...80)
            for index in workloads.indices where dice.chance(0.5) { workloads[index].temper = Scenario.temper(&dice) }
            mayRefuse = dice.chance(0.2)
            addLoad(&dice, 10...40, 20...160)
            addLoad(&dice, 60...120, 10...120)
            addLoad(&dice, 130...200, 20...120)
        }
        if kind == .replicas || (kind == .everything && dice.chance(0.3)) { actors = 2 }
        if kind == .groups || (kind == .everything && dice.chance(0.3)) { groups = 2 }
        if dice.chance(0.3) { script.append((.seconds(Double(dice.within(20...200))), .repeatedDecisions)) }
        if dice.chance(0.2) {
            let change = dice.chance(0.6) ? -1 : 1
            script.append((.seconds(Double(dice.within(20...200))), .operatorResizes(by: change)))
        }
        setRates(&dice)
        if [.heat, .nodes, .everything, .replicas, .groups].contains(kind) {
            for _ in 0..<2 where dice.chance(0.25) {
                script.append((.seconds(Double(dice.within(15...220))), .signal(by: dice.chance(0.5) ? -1 : 1)))
            }
            if dice.chance(0.15) { script.append((.seconds(Double(dice.within(15...200))), .serverDeleted)) }
        }
    }

    /// A few workloads that together ask for so many percent of the nodes.
    private mutating func addWorkloads(_ dice: inout SplitMix64, load: ClosedRange<Int>) {
        let wanted = nodes * nodeCPU * dice.within(load) / 100
        let count = dice.within(1...3)
        for index in 0..<count {
            let cpu = dice.within(3...9) * 100
            var plan = WorkloadPlan(
                name: ["web", "db", "job"][index], replicas: max(1, wanted / count / cpu), cpu: cpu)
            if index == 1 && dice.chance(0.6) { plan.kind = "StatefulSet" }
            plan.hasGate = dice.chance(0.4)
            plan.grace = dice.within(1...30)
            plan.stopTakes = dice.pause(100...(dice.chance(0.2) ? 60_000 : 4_000))
            plan.startTakes = dice.pause(200...5_000)
            if dice.chance(0.4) { plan.temper = Scenario.temper(&dice) }
            if dice.chance(0.2) && plan.replicas > 2 { plan.minAvailable = plan.replicas - 1 }
            workloads.append(plan)
        }
        if dice.chance(0.3) {
            var agents = WorkloadPlan(name: "logs", kind: "DaemonSet", replicas: 0, cpu: 50)
            agents.hasGate = dice.chance(0.2)
            workloads.append(agents)
        }
    }

    /// At some time one workload changes so that all ask for so many percent of the nodes that there were at first.
    private mutating func addLoad(_ dice: inout SplitMix64, _ at: ClosedRange<Int>, _ percent: ClosedRange<Int>) {
        let movable = workloads.indices.filter { workloads[$0].kind != "DaemonSet" }
        let target = nodes * nodeCPU * dice.within(percent) / 100
        let time = Interval.milliseconds(Int64(dice.within(at) * 1_000 + dice.below(1_000)))
        for index in movable where movable.count == 1 || dice.chance(0.7) {
            let replicas = max(0, target / movable.count / workloads[index].cpu)
            script.append((time, .replicas(workload: index, replicas)))
        }
    }

    private static func temper(_ dice: inout SplitMix64) -> Temper {
        switch dice.below(10) {
        case 0: .deaf
        case 1: .silent
        case 2: .broken
        case 3: .flaky(dice.within(1...3))
        case 4: .done
        case 5: .extend(dice.within(2...80))
        case 6: .refuse
        case 7: .doneOnBus(dice.within(0...12))
        case 8: .doneByAnnotation(dice.within(0...12))
        default: .refuseOnBus
        }
    }

    private mutating func setRates(_ dice: inout SplitMix64) {
        // A quarter of the calm stories has no fault at all.
        let isCalm = [.growth, .idle, .cancel, .hooks, .budgets].contains(kind)
        if isCalm && dice.chance(0.25) { return }
        func set(_ faults: [Fault], _ rate: Double, _ dice: inout SplitMix64) {
            for fault in faults where dice.chance(0.6) { rates[fault] = rate * Double(dice.within(2...15)) / 10 }
        }
        let heat: [Fault] = [
            .heatError, .heatAnswerLost, .heatConflict, .heatSlow, .heatSilentDrop, .updateFails, .createFails,
            .deleteFails,
        ]
        let kubernetes: [Fault] = [
            .kubernetesError, .kubernetesAnswerLost, .kubernetesConflict, .evictionRefused, .slowBinding,
        ]
        if isCalm {
            set(heat, 0.01, &dice)
            set(kubernetes, 0.01, &dice)
            set([.watchCut, .duplicate, .perishableLost], 0.003, &dice)
            set([.brokerLost, .crash], 0.0005, &dice)
            return
        }
        if kind == .heat || kind == .everything {
            set(heat, 0.08, &dice)
            if dice.chance(0.15) { rates[.wrongVictim] = 0.3 }
            if dice.chance(0.3) { rates[.strangerUpdates] = 0.01 }
            if dice.chance(0.3) { rates[.neverRegisters] = 0.1 }
            if dice.chance(0.3) { rates[.memberDoubted] = 0.02 }
        }
        if kind == .nodes || kind == .everything {
            set(kubernetes, 0.06, &dice)
            set([.watchCut], 0.01, &dice)
            if dice.chance(0.5) { rates[.slowBinding] = 0.4 }
            if dice.chance(0.6) { rates[.nodeDies] = 0.004 }
            if dice.chance(0.3) { rates[.neverRegisters] = 0.1 }
        }
        if kind == .broker || kind == .everything {
            set([.duplicate, .perishableLost], 0.05, &dice)
            rates[.brokerLost] = 0.004
        }
        if kind == .crashes || kind == .everything {
            rates[.crash] = 0.01
            set(heat + kubernetes, 0.01, &dice)
        }
        if kind == .replicas {
            rates[.crash] = 0.003
            rates[.brokerLost] = 0.006
            set(heat + kubernetes, 0.02, &dice)
        }
        if kind == .groups {
            set(heat, 0.05, &dice)
            set(kubernetes, 0.02, &dice)
            if dice.chance(0.3) { rates[.neverRegisters] = 0.1 }
            if dice.chance(0.3) { rates[.nodeDies] = 0.002 }
            if dice.chance(0.3) { rates[.crash] = 0.003 }
        }
        if actors > 1 { rates[.freeze] = 0.01 }
    }
}
