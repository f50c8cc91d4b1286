import Kubernetes
import Messages
import OpenStack
import Settings

/// One round through the groups: read, tell, mend.
struct HeatVisit: Sendable {
    let examination: HeatExamination
    let options: DoctorOptions
    let say: @Sendable (String) -> Void
    let ask: @Sendable (String) -> Bool

    /// 0: nothing is wrong (any more); 1: something is.
    func run() async -> Int32 {
        var nodes: [HeatPatient.Node]?
        do throws(KubernetesError) {
            nodes = try await examination.nodes()
        } catch {
            say("nodes cannot be read, so what stands on them is unknown: \(error)\n")
        }
        var isWell = true
        let groups = examination.settings.groups
        if groups.isEmpty {
            say("no groups are configured")
            return 1
        }
        for group in groups {
            do throws(OpenStackError) {
                isWell = try await visit(group, nodes) && isWell
            } catch {
                isWell = false
                say(
                    HeatVisit.text(
                        group,
                        HeatFinding(
                            kind: .unreadable, weight: .problem, what: "\(error)",
                            meaning: "nothing is known of the group, and nothing can be done",
                            mend: "check groups[].stack and resource, and the login (openstack.cloud)")))
            }
        }
        if let nodes { tellUnowned(nodes, await owned(groups)) }
        return isWell ? 0 : 1
    }

    private func visit(_ group: Settings.Group, _ nodes: [HeatPatient.Node]?) async throws(OpenStackError) -> Bool {
        let patient = try await examination.examine(group, nodes)
        for line in HeatVisit.table(patient) { say(line) }
        var isWell = true
        for finding in HeatDiagnosis(patient).findings {
            say(HeatVisit.text(finding))
            guard options.repairs, let repair = finding.repair, !options.asks || ask("    \(repair.text)") else {
                if finding.weight == .problem { isWell = false }
                continue
            }
            do throws(OpenStackError) {
                let isDone = try await examination.carryOut(repair, group)
                say(isDone ? "    done: \(repair.text)" : "    no longer needed: \(repair.text)")
            } catch {
                isWell = false
                say("    failed: \(repair.text): \(error)")
            }
        }
        say("")
        return isWell
    }

    // MARK: Nodes of nobody

    private func owned(_ groups: [Settings.Group]) async -> Set<String>? {
        var servers: Set<String> = []
        for group in groups {
            let snapshot = try? await examination.openstack.groupSnapshot(
                stack: group.stack, resource: group.resource, desiredParameter: nil)
            guard let snapshot else { return nil }
            servers.formUnion(snapshot.members.compactMap(\.serverID))
        }
        return servers
    }

    private func tellUnowned(_ nodes: [HeatPatient.Node], _ servers: Set<String>?) {
        guard let servers else { return }
        for node in nodes where !node.isControlPlane && node.serverID.map(servers.contains) != true {
            let what =
                node.serverID.map { "node \(node.name) is server \($0), which belongs to no group" }
                ?? "node \(node.name) has no provider id of OpenStack"
            say(
                HeatVisit.text(
                    HeatFinding(
                        kind: .nodeUnowned, weight: .note, what: what, meaning: "Updraft never removes it",
                        mend:
                            "nothing if it is meant so; else look at the cloud controller manager, or configure its group"
                    )))
        }
    }

    // MARK: Words

    static func text(_ group: Settings.Group, _ finding: HeatFinding) -> String {
        "group \(group.id): stack \(group.stack), resource \(group.resource)\n" + text(finding) + "\n"
    }

    static func text(_ finding: HeatFinding) -> String {
        "  \(finding.weight.rawValue): \(finding.what)\n      meaning: \(finding.meaning)\n      to mend: \(finding.mend)"
    }

    /// The group in a few lines: status, and each member with its server and node.
    static func table(_ patient: HeatPatient) -> [String] {
        let snapshot = patient.snapshot
        var lines = [
            "group \(patient.group.id): stack \(snapshot.stack.id.name) \(snapshot.stack.status), \(snapshot.resource) "
                + "\(snapshot.resourceStatus), group stack \(snapshot.groupStack?.status.text ?? "none")",
            "  \(patient.parameter) \(snapshot.desired.map(String.init) ?? "unknown"), \(snapshot.size) of "
                + "\(snapshot.members.count) members count, limits \(patient.group.min)…\(patient.group.max), "
                + "scaling_in_progress \(snapshot.metadata.scalingInProgress)",
        ]
        let rows = snapshot.members.map { member -> [String] in
            let node = patient.node(of: member)
            let server: String
            switch member.serverID.flatMap({ patient.servers[$0] }) {
            case .status(let status, _): server = status
            case .gone: server = "gone"
            case nil: server = "?"
            }
            let nodeText = node.map { node in
                [node.name, node.isReady ? "Ready" : "NotReady", node.record.map { $0.phase.rawValue } ?? ""]
                    .filter { !$0.isEmpty }.joined(separator: " ")
            }
            return [
                member.name, member.status.text, member.serverID ?? "no server", server,
                nodeText ?? (patient.nodes == nil ? "" : "no node"),
            ]
        }
        let widths = (0..<5).map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = row.enumerated().map { index, text in
                text + String(repeating: " ", count: widths[index] - text.count)
            }
            var line = "  " + cells.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            lines.append(line)
        }
        return lines
    }
}
