import JSONReader
import Messages
import OpenStack
import Settings
import Support

/// What the Actuator asks of the cloud. A seam, so that the engine can be tested without one.
protocol CloudActing: Sendable {
    /// The group as it is now, and of the members expected those that are off Heat's list and not gone.
    func read(_ group: String, expecting: [ExpectedMember]) async throws(ActFailure) -> GroupReading
    /// Sends the size of a group, and those of others of the same stack with it; returns when Heat accepted it, long before
    /// it is so.
    func resize(_ group: String, to size: Int, keeping others: [String: Int]) async throws(ActFailure)
    /// Marks a member unhealthy, or takes the mark back.
    func mark(_ group: String, member: String, unhealthy: Bool, why: String) async throws(ActFailure)
    /// What Nova says of these servers; those of which it says nothing are left out.
    func servers(_ ids: [String]) async -> [String: ServerWord]
    /// Lets these members (by physical id) go on leaving where something in the stack holds them. Nothing that holds
    /// them is no failure.
    func letGo(_ group: String, memberIDs: [String]) async throws(ActFailure)
    /// Refuses the deletion of these members (by physical id), where what holds them can: Heat fails it, and they live on.
    func refuse(_ group: String, memberIDs: [String]) async throws(ActFailure)
    /// What Nova says of a server.
    func fate(ofServer id: String) async -> ServerFate
}

/// Heat and Nova.
///
/// Dry run: the calls that change something are refused here, in the last line before the wire.
final class HeatDoor: CloudActing {
    struct Cached<Value: Sendable>: Sendable {
        var value: Value
        var at: Timestamp
    }

    struct State {
        /// What the last reading found: stack of the group and of its members, by their ids.
        var snapshots: [String: HeatGroupSnapshot] = [:]
        var flavors: [String: Cached<GroupState.Flavor?>] = [:]
        var limits: Cached<CloudLimits>?
        /// Whether a group's stack can hold deletions, and the stack of which that is known.
        var holding: [String: Cached<Bool?>] = [:]
        /// Members that left the list of their group: their stacks may live on for a while.
        var departed: [String: [HeatMember]] = [:]
        /// Expected members that were found to be gone, by physical id, as long as they are expected: a deleted stack stays deleted.
        var gone: [String: Set<String>] = [:]
        /// When this process last saw a group, having missed nothing: see `HeatDoor.missed`.
        var watched: [String: Timestamp] = [:]
    }

    /// Hardly ever changed.
    private static let flavorAge = Interval.seconds(600)

    let client: OpenStackClient
    private let groups: [String: Settings.Group]
    private let isDryRun: Bool
    let state = Lock(State())

    /// The cloud of these groups.
    init(_ client: OpenStackClient, groups: [Settings.Group], isDryRun: Bool) {
        self.client = client
        self.groups = Dictionary(groups.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        self.isDryRun = isDryRun
    }

    // MARK: Reading

    func read(_ group: String, expecting: [ExpectedMember]) async throws(ActFailure) -> GroupReading {
        let begunAt = Timestamp.now()
        let settings = try configuration(group)
        let snapshot: HeatGroupSnapshot
        do throws(OpenStackError) {
            snapshot = try await client.groupSnapshot(
                stack: settings.stack, resource: settings.resource, desiredParameter: settings.sizeParameter)
        } catch {
            throw ActFailure(error)
        }
        let before = state.withLock { state -> HeatGroupSnapshot? in
            defer { state.snapshots[group] = snapshot }
            return state.snapshots[group]
        }
        let holds = await holds(group, snapshot, before: before, expecting: expecting)
        let members = (snapshot.members + holds.departed).map { member in
            GroupState.Member(
                name: member.name, physicalID: member.physicalID, serverID: member.serverID,
                status: member.status.text, statusReason: String(member.statusReason.prefix(300)),
                createdAt: member.createdAt)
        }
        // The group resource itself may be in progress or failed while both stacks say nothing of it.
        let own = snapshot.resourceStatus
        let groupStack = snapshot.groupStack
        let tellsMore = own.state != .complete && groupStack?.status.state == .complete
        var reading = GroupReading(
            begunAt: begunAt, stackID: snapshot.stack.id.id, stackStatus: snapshot.stack.status.text,
            stackReason: snapshot.stack.statusReason,
            groupStackStatus: tellsMore ? own.text : groupStack?.status.text ?? own.text,
            groupStackReason: tellsMore
                ? snapshot.resourceStatusReason : groupStack?.statusReason ?? snapshot.resourceStatusReason,
            scalingInProgress: snapshot.metadata.scalingInProgress, desired: snapshot.desired, members: members,
            flavor: await flavor(group, members), quotas: await limits().quotas(of: members))
        reading.stackUpdatedAt = snapshot.stack.updatedAt
        reading.removesChosen = snapshot.kind == .autoScalingGroup
        reading.canHold = holds.canHold
        reading.held = holds.held
        reading.unsettled = holds.unsettled
        for member in snapshot.members + holds.departed where !member.candidates.isEmpty {
            reading.candidates[member.physicalID ?? member.name] = member.candidates
        }
        // Without a timeout of its own a stack has that of the engine, `stack_action_timeout`, an hour by default.
        reading.timeout = .minutes(Double(snapshot.stack.timeoutMinutes ?? 60))
        return reading
    }

    private func configuration(_ group: String) throws(ActFailure) -> Settings.Group {
        guard let settings = groups[group] else {
            throw ActFailure(.groupUnknown, "no group '\(group)' is configured", isRetriable: false)
        }
        return settings
    }

    /// The flavor of a running server of the group. Nova's word is welcome, but a group without it can be driven.
    private func flavor(_ group: String, _ members: [GroupState.Member]) async -> GroupState.Flavor? {
        let now = Timestamp.now()
        if let known = state.withLock({ $0.flavors[group] }), now - known.at < Self.flavorAge { return known.value }
        guard let serverID = members.first(where: { !$0.isFailed && $0.serverID != nil })?.serverID else { return nil }
        guard let server = try? await client.server(serverID) else { return nil }
        var flavor = server.flavor
        // Before microversion 2.47 the server names only the flavor's id.
        if let id = flavor?.id, flavor?.vcpus == nil { flavor = try? await client.flavor(id) }
        let found = flavor.flatMap(GroupState.Flavor.init)
        state.withLock { $0.flavors[group] = Cached(value: found, at: now) }
        return found
    }

    func servers(_ ids: [String]) async -> [String: ServerWord] {
        var words: [String: ServerWord] = [:]
        for id in ids {
            do throws(OpenStackError) {
                let server = try await client.server(id)
                words[id] = server.status == "DELETED" ? .gone : .status(server.status, fault: server.fault)
            } catch {
                if error.code == .notFound { words[id] = .gone }
            }
        }
        return words
    }

    // MARK: Acting

    func resize(_ group: String, to size: Int, keeping others: [String: Int]) async throws(ActFailure) {
        let settings = try configuration(group)
        var sizes = [settings.sizeParameter: size]
        for (other, has) in others { sizes[try configuration(other).sizeParameter] = has }
        let words = sizes.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
        try refuseInDryRun("PATCH \(settings.stack) \(words)")
        let snapshot = try last(group)
        do throws(OpenStackError) {
            try await client.patch(snapshot.stack.id, parameters: sizes.mapValues { .int(Int64($0)) })
        } catch {
            throw ActFailure(error)
        }
    }

    func mark(_ group: String, member: String, unhealthy: Bool, why: String) async throws(ActFailure) {
        try refuseInDryRun("mark \(member) of \(group)")
        let snapshot = try last(group)
        guard snapshot.kind == .autoScalingGroup, let groupStack = snapshot.groupStack else {
            // In a ResourceGroup a marked member is replaced and another one removed (docs/openstack/heat.md §5).
            throw ActFailure(
                .heatRefused, "members of a \(snapshot.kind) are not removed by marking", isRetriable: false)
        }
        do throws(OpenStackError) {
            try await client.mark(groupStack.id, member: member, unhealthy: unhealthy, reason: why)
        } catch {
            throw ActFailure(error)
        }
    }

    func last(_ group: String) throws(ActFailure) -> HeatGroupSnapshot {
        guard let snapshot = state.withLock({ $0.snapshots[group] }) else {
            throw ActFailure(.heatUnreachable, "the group was not read yet", isRetriable: true)
        }
        return snapshot
    }

    func refuseInDryRun(_ what: String) throws(ActFailure) {
        guard isDryRun else { return }
        throw ActFailure(.dryRun, "not sent: \(what)", isRetriable: false)
    }
}

extension GroupState.Flavor {
    /// Nil while Nova does not say how large it is.
    init?(_ flavor: NovaFlavor) {
        guard let vcpus = flavor.vcpus, let memory = flavor.memoryMiB else { return nil }
        self.init(
            name: flavor.name ?? flavor.id ?? "", vcpus: Int64(vcpus), ramMiB: Int64(memory),
            diskGiB: Int64((flavor.diskGiB ?? 0) + (flavor.ephemeralGiB ?? 0)), extraSpecs: flavor.extraSpecs)
    }
}

extension ActFailure {
    /// What a failed call to OpenStack means for whoever decided.
    init(_ error: OpenStackError) {
        let reason: Reason
        switch error.code {
        case .unauthorized, .forbidden: reason = .credentialRefused
        case .notFound where error.isGoneStack: reason = .stackNotFound
        // Of something else that Heat does not have; or nobody's word: a proxy's page, while heat-api begins anew. What hangs on a
        // stack that is gone (its nodes are deleted) must not hang on that.
        case .notFound: reason = error.type == nil ? .heatUnreachable : .heatRefused
        case .conflict: reason = .heatConflict
        case .badRequest: reason = .heatRefused
        case .quota: reason = .quotaReached
        case .configuration: reason = .heatRefused
        case .server, .transport, .malformed, .cancelled: reason = .heatUnreachable
        }
        let isNobodys = error.code == .notFound && error.type == nil
        // (heat-api says 500 when the engine does not answer it, and a proxy 502 or 504 when heat-api does not; what is not
        // even begun is 429 or 503.)
        let isUnanswered =
            switch error.code {
            case .server: error.status != 429 && error.status != 503
            case .transport, .malformed, .cancelled: !error.isUnsent
            default: false
            }
        self.init(
            reason, error.description, isRetriable: error.isRetriable || error.code == .cancelled || isNobodys,
            isUnanswered: isUnanswered)
    }
}
