import JSONReader
import Messages
import Support

/// One change of a Node object for its removal: all of a step in one patch, so that a crash leaves either the state
/// before it or the state after it.
public struct NodeEdit: Sendable, Equatable {
    /// What to do.
    public enum Kind: Sendable, Equatable {
        /// Begin: cordon, taint, label, record.
        case cordon(RemovalRecord)
        /// Go on: the record must still be the one of `id` in `from`. `undo`: take back what is ours.
        case advance(from: RemovalPhase, RemovalRecord, undo: Bool)
        /// The removal is over and that was published: the Node need not stay for it any more.
        case release
        /// Take the record of a removal that is over away.
        case forget(id: String)
        /// The taint or our label is there and no record: somebody took the record away by hand.
        case untaint
        /// The record is of another Node (it was copied, or restored from a backup): it goes, with taint and label.
        case discard
        /// A node that joined gets what its group declares and it lacks.
        case dress(labels: [String: String], taints: [Taint])
        /// An incident stopped a group, and the Node that it happened on is gone: this one tells of it.
        case pauseGroup(PausedGroup)
    }

    /// Name of the Node.
    public var node: String
    /// Its UID: another node of the name is left alone.
    public var uid: String
    /// What to do.
    public var kind: Kind
    /// The Node shall stay until the removal is over, whoever deletes it: it gets our finalizer.
    public var holds = false

    /// From its parts.
    public init(node: String, uid: String, kind: Kind) {
        self.node = node
        self.uid = uid
        self.kind = kind
    }

    /// The removal that it is about; empty for a taint without one.
    var recordID: String {
        switch kind {
        case .cordon(let record), .advance(_, let record, _): record.id
        case .forget(let id): id
        case .untaint, .discard, .dress, .pauseGroup, .release: ""
        }
    }

    /// The group that it says is paused.
    var pausesGroup: String? {
        if case .pauseGroup(let paused) = kind { paused.group } else { nil }
    }

    /// Why an edit does not apply to the Node as it is now.
    public enum Refusal: Error, Equatable {
        /// It is another Node of the same name.
        case otherNode
        /// The record says something else than was assumed: another replica, or a person, was here.
        case overtaken(RemovalRecord?)
        /// The annotation is there and cannot be read.
        case unreadable(String)
        /// It is as it shall be.
        case nothingToDo
    }

    /// The JSON merge patch (RFC 7386) that makes the edit on `raw`, the Node as just read, and the record that the
    /// Node then has. The patch names the resource version, so it fails if the Node changed since.
    public func patch(for raw: JSONValue) throws(Refusal) -> (patch: JSONValue, record: RemovalRecord?) {
        guard raw[path: "metadata", "uid"]?.stringValue == uid else { throw .otherNode }
        let current = try currentRecord(raw)
        var metadata: [String: JSONValue] = [:]
        metadata["resourceVersion"] = raw[path: "metadata", "resourceVersion"] ?? .null
        var spec: [String: JSONValue] = [:]
        let result: RemovalRecord?
        switch kind {
        case .cordon(var record):
            if let current, !current.phase.isOver { throw .overtaken(current) }
            // Replicas that the last removal raised and that are not put back yet: from here on this one owes them.
            if let owed = current?.drain?.surges, !owed.isEmpty {
                record.drain = RemovalRecord.Drain(surges: owed)
            }
            record.ours.cordon = raw[path: "spec", "unschedulable"]?.boolValue != true
            let labels = raw[path: "metadata", "labels"]?.objectValue ?? [:]
            record.ours.label = labels[RemovalNames.excludeFromLoadBalancers] == nil
            if record.ours.label {
                metadata["labels"] = .object([
                    RemovalNames.excludeFromLoadBalancers: .string(RemovalNames.excludedByUs)
                ])
            }
            spec["unschedulable"] = true
            spec["taints"] = NodeEdit.taints(raw, ours: true)
            metadata["annotations"] = try NodeEdit.annotation(record)
            result = record
        case .advance(let from, let record, let undo):
            guard let current, current.id == record.id, current.phase == from else { throw .overtaken(current) }
            if undo {
                if current.ours.cordon { spec["unschedulable"] = .null }
                if current.ours.label {
                    metadata["labels"] = .object([RemovalNames.excludeFromLoadBalancers: .null])
                }
                spec["taints"] = NodeEdit.taints(raw, ours: false)
            }
            // (None can be added to one that is deleted already: somebody else's keeps that.)
            if holds, !NodeEdit.isHeld(raw), raw[path: "metadata", "deletionTimestamp"] == nil {
                metadata["finalizers"] = NodeEdit.finalizers(raw, ours: true)
            }
            metadata["annotations"] = try NodeEdit.annotation(record)
            result = record
        case .release:
            guard current?.phase.isOver != false else { throw .overtaken(current) }
            guard NodeEdit.isHeld(raw) else { throw .nothingToDo }
            metadata["finalizers"] = NodeEdit.finalizers(raw, ours: false)
            result = current
        case .forget(let id):
            guard let current, current.id == id, current.phase.isOver else { throw .overtaken(current) }
            metadata["annotations"] = .object([RemovalNames.record: .null])
            if NodeEdit.isHeld(raw) { metadata["finalizers"] = NodeEdit.finalizers(raw, ours: false) }
            result = nil
        case .untaint:
            if let current { throw .overtaken(current) }
            takeTracesAway(raw, &metadata, &spec)
            result = nil
        case .discard:
            guard let current, current.nodeUID != uid else { throw .overtaken(current) }
            metadata["annotations"] = .object([RemovalNames.record: .null])
            takeTracesAway(raw, &metadata, &spec)
            result = nil
        case .dress(let labels, let taints):
            let there = raw[path: "metadata", "labels"]?.objectValue ?? [:]
            let lacking = labels.filter { there[$0.key] == nil }
            let list = raw[path: "spec", "taints"]?.arrayValue ?? []
            let more = taints.filter { taint in
                !list.contains {
                    $0["key"]?.stringValue == taint.key && $0["effect"]?.stringValue == taint.effect.rawValue
                }
            }
            guard !lacking.isEmpty || !more.isEmpty else { throw .nothingToDo }
            if !lacking.isEmpty { metadata["labels"] = .object(lacking.mapValues(JSONValue.string)) }
            if !more.isEmpty { spec["taints"] = .array(list + more.map(NodeEdit.value)) }
            result = current
        case .pauseGroup(let paused):
            if let text = raw[path: "metadata", "annotations", RemovalNames.pausedGroup]?.stringValue {
                guard PausedGroup(text)?.group == paused.group else { throw .overtaken(current) }
                throw .nothingToDo
            }
            metadata["annotations"] = .object([RemovalNames.pausedGroup: .string(paused.text)])
            result = current
        }
        var patch: [String: JSONValue] = ["metadata": .object(metadata)]
        if !spec.isEmpty { patch["spec"] = .object(spec) }
        return (.object(patch), result)
    }

    /// What says by itself that it is ours. Whose cordon it is only the record knew, so that stays.
    private func takeTracesAway(
        _ raw: JSONValue, _ metadata: inout [String: JSONValue], _ spec: inout [String: JSONValue]
    ) {
        spec["taints"] = NodeEdit.taints(raw, ours: false)
        let label = raw[path: "metadata", "labels", RemovalNames.excludeFromLoadBalancers]?.stringValue
        if label == RemovalNames.excludedByUs {
            metadata["labels"] = .object([RemovalNames.excludeFromLoadBalancers: .null])
        }
        if NodeEdit.isHeld(raw) { metadata["finalizers"] = NodeEdit.finalizers(raw, ours: false) }
    }

    /// The JSON merge patch that takes our finalizer from `raw`, a Node as just read that shall be deleted; nil: it has none.
    /// The patch names the resource version.
    static func releasing(_ raw: JSONValue) -> JSONValue? {
        guard isHeld(raw) else { return nil }
        return [
            "metadata": [
                "resourceVersion": raw[path: "metadata", "resourceVersion"] ?? .null,
                "finalizers": finalizers(raw, ours: false),
            ]
        ]
    }

    private static func isHeld(_ raw: JSONValue) -> Bool {
        (raw[path: "metadata", "finalizers"]?.arrayValue ?? []).contains { $0.stringValue == RemovalNames.finalizer }
    }

    /// The list of finalizers with or without ours; those of others as they were read.
    private static func finalizers(_ raw: JSONValue, ours: Bool) -> JSONValue {
        var list = (raw[path: "metadata", "finalizers"]?.arrayValue ?? []).filter {
            $0.stringValue != RemovalNames.finalizer
        }
        if ours { list.append(.string(RemovalNames.finalizer)) }
        return list.isEmpty ? .null : .array(list)
    }

    private static func value(_ taint: Taint) -> JSONValue {
        var value: [String: JSONValue] = ["key": .string(taint.key), "effect": .string(taint.effect.rawValue)]
        if !taint.value.isEmpty { value["value"] = .string(taint.value) }
        return .object(value)
    }

    private func currentRecord(_ raw: JSONValue) throws(Refusal) -> RemovalRecord? {
        guard let text = raw[path: "metadata", "annotations", RemovalNames.record]?.stringValue else { return nil }
        do throws(MessageError) {
            return try RemovalRecord(text: text)
        } catch {
            throw .unreadable(error.description)
        }
    }

    private static func annotation(_ record: RemovalRecord) throws(Refusal) -> JSONValue {
        do throws(MessageError) {
            return .object([RemovalNames.record: .string(try record.text())])
        } catch {
            throw .unreadable(error.description)
        }
    }

    /// The list of taints with or without ours. A merge patch replaces lists whole, so the others are given back as
    /// they were read, `timeAdded` included: without it a NoExecute taint would start its tolerations anew.
    private static func taints(_ raw: JSONValue, ours: Bool) -> JSONValue {
        var taints = (raw[path: "spec", "taints"]?.arrayValue ?? []).filter {
            $0["key"]?.stringValue != RemovalNames.taint
        }
        if ours {
            taints.append(.object(["key": .string(RemovalNames.taint), "effect": "NoSchedule"]))
        }
        return taints.isEmpty ? .null : .array(taints)
    }
}

/// What became of a `NodeEdit`.
public enum NodeEditOutcome: Sendable, Equatable {
    /// Done; the record that the Node has now.
    case done(RemovalRecord?)
    /// The record says something else; nothing was changed.
    case overtaken(RemovalRecord?)
    /// There is no such Node (any more).
    case gone
    /// It failed.
    case failed(ActFailure)
}
