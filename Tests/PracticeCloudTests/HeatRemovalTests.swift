import Testing

@testable import PracticeCloud

/// docs/openstack/heat.md §5: what becomes of a marked member. Four members, the third marked, unless said otherwise.
@Suite struct HeatRemovalTests {
    @Test func markAndPatchToOneLessRemovesExactlyTheMarkedOne() throws {
        let story = try HeatStory(size: 4)
        let before = story.members
        try story.mark(before[2])
        #expect(story.members[2].state.text == "CHECK_FAILED")
        try story.patch(3)
        story.settle()
        #expect(story.physicalIDs == [before[0], before[1], before[3]].compactMap(\.stackID))
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
        let removed = story.journal.filter { $0.kind == "member.removed" }
        #expect(removed.count == 1)
        #expect(removed.first?.facts["chosen"]?.boolValue == true)
        #expect(story.nova.servers.count == 3)
    }

    @Test func twoMarkedAndPatchToTwoLessRemovesExactlyThose() throws {
        let story = try HeatStory(size: 4)
        let before = story.members
        try story.mark(before[1])
        try story.mark(before[3])
        try story.patch(2)
        story.settle()
        #expect(story.physicalIDs == [before[0], before[2]].compactMap(\.stackID))
    }

    @Test func markAndSignalMinusOneRemovesTwo() throws {
        let story = try HeatStory(size: 4, policies: [.down])
        let before = story.members
        try story.mark(before[2])
        try story.signal("down")
        story.settle()
        #expect(story.names == [before[1].name, before[3].name])
    }

    @Test func markAndExactTwoRemovesMarkedAndOldest() throws {
        let story = try HeatStory(size: 4, policies: [.exact(2)])
        let before = story.members
        try story.mark(before[2])
        try story.signal("exact")
        story.settle()
        #expect(story.names == [before[1].name, before[3].name])
    }

    @Test func markAndExactOneLessDoesNothingAtAll() throws {
        let story = try HeatStory(size: 3, policies: [.exact(2)])
        let before = story.members
        try story.mark(before[1])
        try story.signal("exact")
        story.settle()
        #expect(story.physicalIDs == before.compactMap(\.stackID))
        #expect(story.members[1].state.text == "CHECK_FAILED")
        #expect(story.notifications.isEmpty)
    }

    @Test(arguments: [true, false])
    func markAndAnUpdateThatDoesNotShrinkReplaces(bySignal: Bool) throws {
        let story = try HeatStory(size: 4, policies: [.up])
        let before = story.members
        try story.mark(before[2])
        if bySignal { try story.signal("up") } else { try story.patch(4) }
        story.settle()
        #expect(story.members.count == 4)
        #expect(Set(story.names) == Set(before.map(\.name)))
        let replaced = try #require(story.members.first { $0.name == before[2].name })
        #expect(replaced.stackID != before[2].stackID)
        #expect(!story.nova.servers.keys.contains(before[2].serverID ?? ""))
        #expect(story.nova.servers.count == 4)
    }

    @Test func unmarkAndPatchToOneLessRemovesTheOldest() throws {
        let story = try HeatStory(size: 4)
        let before = story.members
        try story.mark(before[2])
        try story.mark(before[2], false)
        #expect(story.members[2].state.text == "CHECK_COMPLETE")
        try story.patch(3)
        story.settle()
        #expect(story.physicalIDs == before.dropFirst().compactMap(\.stackID))
        #expect(story.journal.last { $0.kind == "member.removed" }?.facts["chosen"]?.boolValue == false)
    }

    @Test func markingWhileASignalRunsMakesOneMemberForNothing() throws {
        let story = try HeatStory(size: 4, policies: [.up])
        let before = story.members
        try story.signal("up")
        // The signal has been looked at, the group's update has not begun.
        story.pass(0.6)
        try story.mark(before[2])
        story.pass(0.6)
        try story.patch(4)
        story.settle()
        #expect(story.members.count == 4)
        #expect(!story.names.contains(before[2].name))
        #expect(story.journal.filter { $0.kind == "member.replacing" }.count == 1)
        #expect(story.stack.state.text == "UPDATE_COMPLETE")
    }

    @Test func withoutMarkTheOldestGoes() throws {
        let story = try HeatStory(size: 4, policies: [.down])
        let before = story.members
        try story.signal("down")
        story.settle()
        #expect(story.physicalIDs == before.dropFirst().compactMap(\.stackID))
    }

    @Test func aMemberInProgressCannotBeMarked() throws {
        let story = try HeatStory(size: 2)
        try story.patch(3)
        story.pass(1)
        let newest = try #require(story.members.last)
        let error = #expect(throws: HeatError.self) { try story.mark(newest) }
        #expect(error?.status == 409)
        #expect(error?.type == "ActionInProgress")
    }

    @Test func theFaultOfTheWrongVictimTakesTheOldest() throws {
        let story = try HeatStory(size: 4)
        let before = story.members
        try story.mark(before[2])
        story.heat.takesWrongVictim = true
        try story.patch(3)
        story.settle()
        #expect(!story.names.contains(before[0].name))
    }
}
