import JSONReader
import Support

@testable import PracticeCloud

/// A conversation with the practice Heat: one stack `k8s` with one group, an hour that passes when told to.
final class HeatStory {
    var heat: HeatModel
    var nova: NovaModel
    var now = Timestamp(seconds: 1_795_000_000)
    /// Notifications so far: event type and payload.
    var notifications: [(type: String, isError: Bool, payload: JSONValue)] = []
    /// Journal so far: kind and facts.
    var journal: [(kind: String, facts: [String: JSONValue])] = []
    let owner = "owner"
    let stackID: String

    /// A group grown one by one to `size`, so that its members have an order of age.
    init(
        size: Int, minimum: Int = 1, maximum: Int = 6, hook: Bool = false, cooldown: Double = 0,
        policies: [PolicyDefinition] = [], timeoutMinutes: Double = 10
    ) throws {
        var random = Generator(seed: 7)
        nova = NovaModel(
            flavors: [Flavor(id: "3", name: "m1.large", vcpus: 4, ram: 8_192, disk: 80)], buildTime: .seconds(2),
            random: random.fork())
        heat = HeatModel(projectID: "project", timing: HeatTiming(), random: random.fork())
        var group = GroupDefinition()
        group.desired = max(1, minimum)
        group.minimum = minimum
        group.maximum = maximum
        group.cooldown = .seconds(cooldown)
        group.policies = policies
        group.preDeleteHook = hook
        var definition = StackDefinition(name: "k8s", groups: [group])
        definition.timeoutMinutes = timeoutMinutes
        stackID = try heat.create(definition, owner: owner, at: now)
        settle()
        while size > capacity {
            try patch(capacity + 1)
            settle()
        }
        notifications = []
        journal = []
    }

    var stack: HeatStack { heat.stacks[0] }
    var group: HeatGroup { heat.stacks[0].groups[0] }
    var capacity: Int { group.capacity }
    /// Members by age, those that are gone left out.
    var members: [HeatMember] {
        group.listed.filter { $0.phase != .gone }.sorted { ($0.created, $0.name) < ($1.created, $1.name) }
    }
    var names: [String] { members.map(\.name) }
    var physicalIDs: [String] { members.compactMap(\.stackID) }

    func patch(_ desired: Int, user: String? = nil, isDelegated: Bool = false) throws {
        defer { collect() }
        try heat.update(
            stack: stackID, parameters: ["desired": .int(Int64(desired))], user: user ?? owner,
            isDelegated: isDelegated, at: now)
    }

    func mark(_ member: HeatMember, _ unhealthy: Bool = true) throws {
        try heat.mark(groupStack: group.stackID, member: member.name, unhealthy: unhealthy, reason: "drained", at: now)
        collect()
    }

    func signal(_ policy: String) throws {
        try heat.signal(policy: policy, stack: stackID, body: .object([:]), at: now)
    }

    func clearHook(_ member: HeatMember) throws {
        try heat.clearHook(memberStack: member.stackID ?? "", resource: "server", hook: "pre-delete", at: now)
    }

    /// Lets `seconds` pass.
    func pass(_ seconds: Double) {
        let end = now + .seconds(seconds)
        while let next = [heat.nextDeadline, nova.nextDeadline].compactMap({ $0 }).min(), next <= end {
            now = max(now, next)
            nova.advance(to: now)
            heat.advance(to: now, nova: &nova)
            heat.advance(to: now, nova: &nova)
            collect()
        }
        now = end
    }

    /// Lets time pass until nothing is under way but what waits for somebody; at most five minutes.
    func settle() { pass(300) }

    private func collect() {
        for output in heat.takeOutputs() {
            switch output {
            case .notification(let type, let isError, let payload): notifications.append((type, isError, payload))
            case .journal(let kind, let facts): journal.append((kind, facts))
            }
        }
    }
}

extension PolicyDefinition {
    static let up = PolicyDefinition(resource: "up", adjustment: 1)
    static let down = PolicyDefinition(resource: "down", adjustment: -1)
    static func exact(_ number: Int) -> PolicyDefinition {
        PolicyDefinition(resource: "exact", kind: .exact, adjustment: number)
    }
}
