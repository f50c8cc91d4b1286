import Support

/// Something that holds the deletion of a stack until it is let go: docs/architecture.md §5.
public struct HeatHold: Sendable, Hashable {
    /// What holds it.
    public enum Kind: Sendable, Hashable {
        /// A `pre-delete` hook: cleared by `unset_hook`.
        case hook
        /// A software deployment with the action DELETE: ended by a signal, with status 0 if it may go on.
        case deployment
    }

    /// What holds it.
    public let kind: Kind
    /// The resource in the stack.
    public let resource: String
    /// Since when, if known.
    public let since: Timestamp?

    /// From its parts.
    public init(kind: Kind, resource: String, since: Timestamp? = nil) {
        self.kind = kind
        self.resource = resource
        self.since = since
    }
}

extension OpenStackClient {
    /// More pages of events than this are not read for one stack that is being deleted.
    private static let maximumEventPages = 40
    private static let eventPage = 500

    /// What holds a stack that is being deleted, just now. A stack that is gone is held by nothing.
    public func holds(of stack: StackID) async throws(OpenStackError) -> [HeatHold] {
        do throws(OpenStackError) {
            return try await hooks(of: stack) + deployments(of: stack)
        } catch {
            // Its events vanish with it.
            if error.code == .notFound || error.code == .badRequest { return [] }
            throw error
        }
    }

    /// Lets go what holds a stack.
    public func release(_ hold: HeatHold, of stack: StackID) async throws(OpenStackError) {
        switch hold.kind {
        case .hook: try await clearHook(stack, hold.resource)
        case .deployment: try await endDeployment(stack, hold.resource, status: 0)
        }
    }

    /// Refuses a deletion that waits: Heat fails it, and the server lives on. Only a deployment can say no
    /// (docs/openstack/nova.md §3).
    /// - Returns: false: this cannot refuse.
    public func refuse(_ hold: HeatHold, of stack: StackID) async throws(OpenStackError) -> Bool {
        guard hold.kind == .deployment else { return false }
        try await endDeployment(stack, hold.resource, status: 1)
        return true
    }

    /// Events tell of hooks. A member that lived long has thousands of them, so they are read from the newest back to
    /// the start of the deletion.
    private func hooks(of stack: StackID) async throws(OpenStackError) -> [HeatHold] {
        var latest: [String: HeatHold?] = [:]
        var marker: String?
        pages: for _ in 0..<Self.maximumEventPages {
            let page = try await events(
                stack, nestedDepth: 0, after: marker, limit: Self.eventPage, newestFirst: true)
            for event in page {
                if event.resource == stack.name, event.status.text == "DELETE_IN_PROGRESS" { break pages }
                guard latest[event.resource] == nil else { continue }
                if event.pausedHook == "pre-delete" {
                    latest[event.resource] = HeatHold(kind: .hook, resource: event.resource, since: event.time)
                } else if event.clearedHook == "pre-delete" {
                    latest[event.resource] = .some(nil)
                }
            }
            guard page.count == Self.eventPage, let last = page.last else { break }
            marker = last.id
        }
        return latest.values.compactMap { $0 }.sorted { $0.resource < $1.resource }
    }

    private func deployments(of stack: StackID) async throws(OpenStackError) -> [HeatHold] {
        try await resources(stack)
            .filter { HoldCapability.deploymentTypes.contains($0.type) && $0.status.text == "DELETE_IN_PROGRESS" }
            .map { HeatHold(kind: .deployment, resource: $0.name, since: nil) }
    }
}
