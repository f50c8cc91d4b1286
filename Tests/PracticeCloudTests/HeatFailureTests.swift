import JSONReader
import Support
import Testing

@testable import PracticeCloud

/// docs/openstack/heat.md §6 and §9, docs/openstack/nova.md §5 and §6: hooks, failures, dead engines.
@Suite struct HeatFailureTests {
    @Test func aHookHoldsTheMemberUntilItIsCleared() throws {
        let story = try HeatStory(size: 3, hook: true, policies: [.down])
        let oldest = story.members[0]
        try story.signal("down")
        story.pass(60)
        let paused = try #require(story.members.first { $0.name == oldest.name })
        #expect(paused.phase == .paused)
        #expect(paused.state.text == "DELETE_IN_PROGRESS")
        #expect(story.group.scalingInProgress)
        #expect(story.nova.servers[oldest.serverID ?? ""]?.status == "ACTIVE")
        let event = try #require(story.stack.events.last { $0.stackID == oldest.stackID })
        #expect(event.reason == "DELETE paused until Hook pre-delete is cleared")
        #expect(event.resource == "server")
        #expect(event.physicalID == oldest.serverID)
        #expect(event.status == "CREATE_COMPLETE")
        // Signals are dropped meanwhile.
        try story.signal("down")
        story.pass(5)
        #expect(story.members.count == 3)
        try story.clearHook(paused)
        story.pass(2)
        #expect(story.members.count == 2)
        #expect(story.nova.servers[oldest.serverID ?? ""] == nil)
        // Its events vanish with it.
        #expect(!story.stack.events.contains { $0.stackID == oldest.stackID })
        story.settle()
        #expect(!story.group.scalingInProgress)
    }

    @Test func aHookThatDoesNotPauseIsNotCleared() throws {
        let story = try HeatStory(size: 2, hook: true)
        let error = #expect(throws: HeatError.self) { try story.clearHook(story.members[0]) }
        #expect(error?.status == 400)
        #expect(error?.type == "InvalidBreakPointHook")
    }

    @Test func membersThatLeaveTogetherPauseTogether() throws {
        let story = try HeatStory(size: 4, hook: true)
        try story.patch(2)
        story.pass(10)
        #expect(story.members.filter { $0.phase == .paused }.count == 2)
        for member in story.members where member.phase == .paused { try story.clearHook(member) }
        story.settle()
        #expect(story.members.count == 2)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func aPatchWhileOneIsPausedMakesANewMemberAtOnce() throws {
        let story = try HeatStory(size: 3, hook: true, policies: [.down])
        try story.signal("down")
        story.pass(10)
        try story.patch(3)
        story.pass(20)
        #expect(story.group.standing.filter { $0.state.isComplete }.count == 3)
        let paused = try #require(story.members.first { $0.phase == .paused })
        try story.clearHook(paused)
        story.settle()
        #expect(story.members.count == 3)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func aHookNeverClearedTimesOutAndTheNextPatchPausesAgain() throws {
        let story = try HeatStory(size: 3, hook: true, timeoutMinutes: 2)
        try story.mark(story.members[1])
        try story.patch(2)
        story.pass(130)
        let failed = try #require(story.members.first { $0.isLeaving })
        #expect(failed.state.text == "DELETE_FAILED")
        #expect(story.stack.state.text == "UPDATE_FAILED")
        #expect(story.group.stackState.reason == "Timed out")
        #expect(story.nova.servers.count == 3)
        try story.patch(2)
        story.pass(10)
        let again = try #require(story.members.first { $0.isLeaving })
        #expect(again.phase == .paused)
        try story.clearHook(again)
        story.settle()
        #expect(story.members.count == 2)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func aDeadEngineIsCuredByAPatch() throws {
        let story = try HeatStory(size: 3, hook: true, policies: [.down])
        try story.signal("down")
        story.pass(10)
        story.heat.killEngine()
        story.pass(600)
        #expect(story.group.scalingInProgress)
        #expect(story.group.stackState.text == "UPDATE_IN_PROGRESS")
        let orphan = try #require(story.members.first { $0.phase == .orphaned })
        // Clearing answers 200 and nothing moves.
        try story.clearHook(orphan)
        story.pass(60)
        #expect(story.members.count == 3)
        try story.patch(2)
        story.pass(10)
        let paused = try #require(story.members.first { $0.phase == .paused })
        try story.clearHook(paused)
        story.settle()
        #expect(story.members.count == 2)
        #expect(!story.group.scalingInProgress)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func aMemberThatFailsBySignalLeavesTheMainStackComplete() throws {
        let story = try HeatStory(size: 2, policies: [.up])
        story.heat.memberFailuresAhead = 1
        try story.signal("up")
        story.settle()
        #expect(story.group.stackState.text == "UPDATE_FAILED")
        #expect(story.stack.state.isComplete)
        #expect(story.group.state.isComplete)
        #expect(story.group.cooldownEnd == nil || story.group.cooldownEnd.map { $0 <= story.now } == true)
        let failed = try #require(story.members.last)
        #expect(failed.state.text == "CREATE_FAILED")
        let error = try #require(story.notifications.last { $0.type == "autoscaling.error" })
        #expect(error.isError)
        #expect(error.payload["capacity"]?.intValue == 2)
        // The next signal tries again, with the same name.
        try story.signal("up")
        story.settle()
        #expect(story.members.count == 3)
        #expect(story.names.contains(failed.name))
        #expect(story.members.allSatisfy { $0.state.isComplete })
    }

    @Test func aMemberThatFailsByPatchStopsSignalsUntilAPatchSucceeds() throws {
        let story = try HeatStory(size: 2, policies: [.up])
        story.heat.memberFailuresAhead = 1
        try story.patch(3)
        story.settle()
        #expect(story.stack.state.text == "UPDATE_FAILED")
        #expect(story.group.state.text == "UPDATE_FAILED")
        try story.signal("up")
        story.settle()
        #expect(story.capacity == 2)
        try story.patch(3)
        story.settle()
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
        #expect(story.capacity == 3)
    }

    @Test func quotaIsNamedInHeatsWords() throws {
        let story = try HeatStory(size: 2)
        story.nova.quota.instances = 2
        try story.patch(4)
        story.settle()
        #expect(story.stack.state.text == "UPDATE_FAILED")
        #expect(
            story.stack.state.reason.contains(
                "Quota exceeded for instances: Requested 1, but already used 2 of 2 instances"))
        #expect(story.stack.state.reason.contains("resources.workers.resources."))
        // Back to what fits: the failed ones go first.
        try story.patch(2)
        story.settle()
        #expect(story.members.count == 2)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func aSignalDownWithAFailedMemberRemovesItAndTheOldest() throws {
        let story = try HeatStory(size: 5, policies: [.up, .down])
        let oldest = story.members[0]
        story.heat.memberFailuresAhead = 1
        try story.signal("up")
        story.settle()
        #expect(story.members.count == 6)
        try story.signal("down")
        story.settle()
        #expect(story.members.count == 4)
        #expect(!story.names.contains(oldest.name))
    }

    @Test func heatDoesNotNoticeAServerDeletedInNovaUntilItChecks() throws {
        let story = try HeatStory(size: 3, policies: [.up])
        let victim = story.members[1]
        story.nova.delete(victim.serverID ?? "")
        try story.patch(3)
        story.settle()
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
        #expect(story.nova.servers.count == 2)
        try story.heat.check(stack: story.stackID, nova: story.nova, at: story.now)
        #expect(story.stack.state.text == "CHECK_FAILED")
        #expect(story.stack.state.reason.contains("resources.workers.resources.\(victim.name).resources.server"))
        // Signals are dropped now.
        try story.signal("up")
        story.settle()
        #expect(story.nova.servers.count == 2)
        try story.patch(3)
        story.settle()
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
        let healed = try #require(story.members.first { $0.name == victim.name })
        #expect(healed.stackID == victim.stackID)
        #expect(healed.serverID != victim.serverID)
        #expect(story.nova.servers.count == 3)
    }

    @Test func aStoppedServerIsCondemnedByACheckToo() throws {
        let story = try HeatStory(size: 2)
        let victim = story.members[0].serverID ?? ""
        let isKnown = story.nova.setStatus(victim, "SHUTOFF", at: story.now)
        #expect(isKnown)
        try story.heat.check(stack: story.stackID, nova: story.nova, at: story.now)
        #expect(story.stack.state.reason.contains("'status': expected 'ACTIVE', got 'SHUTOFF'"))
    }

    @Test func aStackIsDeletedThroughItsHooks() throws {
        let story = try HeatStory(size: 2, hook: true)
        try story.heat.delete(stack: story.stackID, at: story.now)
        story.pass(10)
        #expect(story.members.filter { $0.phase == .paused }.count == 2)
        for member in story.members { try story.clearHook(member) }
        story.pass(20)
        #expect(story.heat.stacks.isEmpty)
        #expect(story.nova.servers.isEmpty)
    }
}
