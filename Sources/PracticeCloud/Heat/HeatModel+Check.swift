import Support

/// Looking whether the servers are there (docs/openstack/nova.md §5).
extension HeatModel {
    /// `POST …/actions {"check": null}`: looks in Nova, down into the members.
    mutating func check(stack stackID: String, nova: NovaModel, at now: Timestamp) throws(HeatError) {
        let place = try index(of: stackID)
        var failures: [String] = []
        for group in stacks[place].groups.indices {
            var groupFailure: String?
            for found in stacks[place].groups[group].members.indices {
                let member = stacks[place].groups[group].members[found]
                guard !member.isLeaving, member.phase == .settled else { continue }
                let resource = stacks[place].groups[group].definition.serverResource
                let path = "resources.\(stacks[place].groups[group].definition.resource).resources.\(member.name)"
                var problem: (kind: String, text: String)?
                switch member.serverID.flatMap({ nova.servers[$0] }) {
                case nil:
                    problem = (
                        "NotFound",
                        "Instance \(member.serverID ?? "None") could not be found. (HTTP 404)"
                    )
                case .some(let server) where server.status != "ACTIVE":
                    problem = ("Error", "'status': expected 'ACTIVE', got '\(server.status)'")
                default: break
                }
                let state =
                    problem.map {
                        HeatState("CHECK", "FAILED", "\($0.kind): resources.\(resource): \($0.text)")
                    } ?? HeatState("CHECK", "COMPLETE", "state changed")
                stacks[place].groups[group].members[found].serverState = state
                if let problem {
                    let text = "\(problem.kind): \(path).resources.\(resource): \(problem.text)"
                    stacks[place].groups[group].members[found].state = HeatState("CHECK", "FAILED", text)
                    stacks[place].groups[group].members[found].goesFirst = true
                    groupFailure = groupFailure ?? text
                } else if !member.isMarked {
                    stacks[place].groups[group].members[found].state = state
                }
            }
            let state = HeatState("CHECK", groupFailure == nil ? "COMPLETE" : "FAILED", groupFailure ?? "")
            stacks[place].groups[group].state = state
            stacks[place].groups[group].stackState = state
            if let groupFailure { failures.append(groupFailure) }
        }
        stacks[place].state = HeatState(
            "CHECK", failures.isEmpty ? "COMPLETE" : "FAILED",
            failures.first ?? "Stack CHECK completed successfully")
        stacks[place].updated = now
    }
}
