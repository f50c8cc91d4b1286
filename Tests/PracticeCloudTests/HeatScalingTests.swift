import JSONReader
import Support
import Testing

@testable import PracticeCloud

/// docs/openstack/heat.md §1, §3, §4: signals and updates.
@Suite struct HeatScalingTests {
    @Test(arguments: [
        (3, PolicyDefinition.up, 4), (4, .down, 3), (3, .exact(2), 2),
        (2, PolicyDefinition(resource: "p", kind: .percent, adjustment: -50), 1),
        // Less than one member rounds away from zero, more toward it.
        (3, PolicyDefinition(resource: "p", kind: .percent, adjustment: 10), 4),
        (3, PolicyDefinition(resource: "p", kind: .percent, adjustment: 50), 4),
        (3, PolicyDefinition(resource: "p", kind: .percent, adjustment: 10, minimumStep: 2), 5),
        // Clipped.
        (6, .up, 6), (1, .down, 1),
    ])
    func adjustments(from: Int, policy: PolicyDefinition, to: Int) {
        var group = GroupDefinition()
        group.maximum = 6
        #expect(HeatModel.capacity(from: from, policy, group) == to)
    }

    @Test func aSignalScalesAndLeavesTheMainStackAlone() throws {
        let story = try HeatStory(size: 3, policies: [.up])
        let state = story.stack.state.text
        try story.signal("up")
        story.pass(2)
        #expect(story.group.scalingInProgress)
        #expect(story.group.stackState.text == "UPDATE_IN_PROGRESS")
        #expect(story.stack.state.text == state)
        #expect(story.group.state.isComplete)
        story.settle()
        #expect(story.members.count == 4)
        #expect(!story.group.scalingInProgress)
        #expect(story.stack.events.last { $0.resource == "up" }?.status == "SIGNAL_COMPLETE")
    }

    @Test func signalsAreDroppedWithoutATrace() throws {
        let story = try HeatStory(
            size: 6, policies: [.up, PolicyDefinition(resource: "slow", adjustment: -1, cooldown: .seconds(30))])
        // At the maximum.
        try story.signal("up")
        story.settle()
        #expect(story.members.count == 6)
        #expect(story.notifications.isEmpty)
        // In cooldown: it belongs to the group, whoever set it.
        try story.signal("slow")
        story.pass(20)
        #expect(story.members.count == 5)
        story.notifications = []
        try story.signal("up")
        story.pass(5)
        #expect(story.members.count == 5)
        #expect(story.notifications.isEmpty)
        story.pass(30)
        try story.signal("up")
        story.settle()
        #expect(story.members.count == 6)
    }

    @Test func ofTwoSignalsAtOnceTheSecondIsDropped() throws {
        let story = try HeatStory(size: 2, policies: [.up])
        try story.signal("up")
        try story.signal("up")
        story.settle()
        #expect(story.members.count == 3)
        #expect(story.journal.filter { $0.kind == "heat.signal-dropped" }.count == 1)
    }

    @Test func signalsDuringAnUpdateAreDropped() throws {
        let story = try HeatStory(size: 2, policies: [.up])
        try story.patch(3)
        story.pass(1)
        try story.signal("up")
        story.settle()
        #expect(story.members.count == 3)
    }

    @Test func aPatchAlwaysResizesToDesiredAndIgnoresCooldown() throws {
        let story = try HeatStory(
            size: 3, policies: [PolicyDefinition(resource: "up", adjustment: 1, cooldown: .seconds(600))])
        try story.signal("up")
        story.pass(20)
        #expect(story.members.count == 4)
        // Of whatever parameter: the parameter desired still says 3.
        try story.heat.update(stack: story.stackID, parameters: [:], user: "owner", isDelegated: false, at: story.now)
        story.settle()
        #expect(story.members.count == 3)
    }

    @Test func aSecondPatchSupersedesTheFirst() throws {
        let story = try HeatStory(size: 2)
        let before = story.members
        try story.patch(4)
        story.pass(3)
        try story.patch(2)
        #expect(story.stack.state.text == "UPDATE_IN_PROGRESS")
        let cancelled = try #require(story.notifications.last { $0.type == "stack.update.error" })
        #expect(cancelled.payload["state_reason"]?.stringValue == "Stack UPDATE cancelled")
        #expect(cancelled.payload["stack_identity"]?.stringValue == story.group.stackID)
        story.settle()
        // Work begun is finished first: the two new ones were made, then the two oldest removed.
        #expect(story.members.count == 2)
        #expect(Set(story.names).isDisjoint(with: before.map(\.name)))
        #expect(story.journal.filter { $0.kind == "member.created" }.count == 2)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func desiredOutsideItsLimitsIsRefused() throws {
        let story = try HeatStory(size: 2, minimum: 1, maximum: 6)
        for desired in [0, 7, -1] {
            let error = #expect(throws: HeatError.self) { try story.patch(desired) }
            #expect(error?.status == 400)
            #expect(error?.message == "DesiredCapacity must be between MinSize and MaxSize")
        }
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func desiredZeroCountsAsNotGiven() throws {
        let story = try HeatStory(size: 3, minimum: 0)
        try story.patch(0)
        story.settle()
        #expect(story.members.count == 3)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func aDelegatedTokenOfAnotherUserCannotPatch() throws {
        let story = try HeatStory(size: 2)
        let error = #expect(throws: HeatError.self) { try story.patch(3, user: "other", isDelegated: true) }
        #expect(error?.status == 500)
        #expect(error?.type == "RemoteError")
        #expect(story.stack.state.isComplete)
        #expect(story.notifications.map(\.type) == ["stack.update.error"])
        try story.patch(3, isDelegated: true)
        story.settle()
        #expect(story.members.count == 3)
    }

    @Test func notificationsOfASignalComeInTheRecordedOrder() throws {
        let story = try HeatStory(size: 3, policies: [.down])
        let oldest = story.members[0]
        try story.signal("down")
        story.settle()
        let types = story.notifications.map(\.type)
        #expect(types.first == "autoscaling.start")
        #expect(types.last == "autoscaling.end")
        let groupStart = try #require(
            story.notifications.firstIndex {
                $0.type == "stack.update.start" && $0.payload["stack_identity"]?.stringValue == story.group.stackID
            })
        let memberStart = try #require(story.notifications.firstIndex { $0.type == "stack.delete.start" })
        #expect(groupStart < memberStart)
        #expect(story.notifications[memberStart].payload["stack_identity"]?.stringValue == oldest.stackID)
        // Each member that stays is updated as a no-op, with notifications of its own.
        #expect(types.filter { $0 == "stack.update.start" }.count == 3)
        let start = story.notifications[0].payload
        #expect(start["capacity"]?.intValue == 3)
        #expect(start["adjustment"]?.intValue == -1)
        #expect(start["adjustment_type"]?.stringValue == "change_in_capacity")
        #expect(start["groupname"]?.stringValue == story.group.stackID)
        #expect(start["stack_identity"]?.stringValue == story.stackID)
        #expect(start["user_identity"]?.isNull == true)
        #expect(story.notifications.last?.payload["capacity"]?.intValue == 2)
    }

    @Test func updatesSendNoAutoscalingNotifications() throws {
        let story = try HeatStory(size: 2)
        try story.patch(3)
        story.settle()
        #expect(!story.notifications.contains { $0.type.hasPrefix("autoscaling") })
        #expect(story.notifications.first?.type == "stack.update.start")
        #expect(story.notifications.last?.type == "stack.update.end")
        #expect(story.notifications.last?.payload["stack_name"]?.stringValue == "k8s")
    }
}
