import Messages
import Support

/// A `PodsDecided` that has been published and whose replicas do not all exist yet.
struct PodsAct: Sendable, Codable, Equatable {
    var id: String
    /// The target (`kind/namespace/name`).
    var target: String
    var from: Int
    var to: Int
    /// Replicas beyond that, wanted as soon as policies allow.
    var ahead = 0
    var decidedAt: Timestamp
    /// When the scaler decided before; nil: never, or it is not known.
    var previousAt: Timestamp?
    /// Not seen by then: given up.
    var deadline: Timestamp
}

/// What a Decider must not forget of pod scaling; part of the checkpoint. What is recommended is not in it: whoever takes over
/// begins with what is there, as HorizontalPodAutoscaler does, so that nothing shrinks before a window has passed.
struct PodScalingMemory: Sendable, Codable, Equatable {
    /// What a Decider must not forget of one scaler.
    struct Scaler: Sendable, Codable, Equatable {
        var act: PodsAct?
        var ups: [ScalingHistory.Change] = []
        var downs: [ScalingHistory.Change] = []
        var scaledAt: Timestamp?
        /// Those of `PodScalingMemory.idled` that this scaler set to zero: older releases know no other, and take no checkpoint
        /// without it.
        var idled: Set<String> = []
        /// Since when there is no such scaler; nil: there is.
        var goneAt: Timestamp?
        /// An act was refused: it is not tried again before.
        var refusal: Refusal?

        struct Refusal: Sendable, Codable, Equatable {
            var reason: Explanation
            var until: Timestamp
            var pause: Interval
        }
    }

    /// By the scaler's id.
    var scalers: [String: Scaler] = [:]
    /// Targets that a scaler set to zero, and not somebody else: whoever scales them wakes them. Nil: none.
    var idled: [String: Idle]?

    /// A target that a scaler set to zero.
    struct Idle: Sendable, Codable, Equatable {
        /// Since when it is not among the targets known; nil: it is.
        var missingSince: Timestamp?
        /// The object that was set to zero: one that is made anew under its name is another.
        var uid: String?
        /// It was done, and nobody has told the zero yet.
        var done: Done?

        struct Done: Sendable, Codable, Equatable {
            /// When the Actuator said so.
            var at: Timestamp
            /// The replicas that it had before.
            var from: Int
        }
    }
    /// Nodes that pods of a target have left that was made smaller, and when: by UID.
    var freed: [String: Timestamp] = [:]

    /// Takes over what older releases wrote with each scaler.
    mutating func mergeIdled() {
        var all = idled ?? [:]
        for target in scalers.values.flatMap(\.idled) where all[target] == nil { all[target] = Idle() }
        idled = all.isEmpty ? nil : all
    }

    /// Each scaler has those of its targets that are still at zero.
    mutating func trimIdled() {
        for (id, scaler) in scalers where !scaler.idled.isEmpty {
            scalers[id]?.idled = scaler.idled.filter { idled?[$0] != nil }
        }
    }
}

extension PodScalingMemory.Scaler {
    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        act = try values.decodeIfPresent(PodsAct.self, forKey: .act)
        ups = try values.decode([ScalingHistory.Change].self, forKey: .ups)
        downs = try values.decode([ScalingHistory.Change].self, forKey: .downs)
        scaledAt = try values.decodeIfPresent(Timestamp.self, forKey: .scaledAt)
        // There were releases that wrote none.
        idled = try values.decodeIfPresent(Set<String>.self, forKey: .idled) ?? []
        goneAt = try values.decodeIfPresent(Timestamp.self, forKey: .goneAt)
        refusal = try values.decodeIfPresent(Refusal.self, forKey: .refusal)
    }
}

/// Pods of a target that became smaller, with the nodes that they run on: so many of them as it became smaller free their nodes
/// when they go. Not in the checkpoint: whoever takes over waits with those nodes as with others.
struct LeavingPods: Sendable {
    var since: Timestamp
    /// How many are still to go; what goes beyond that goes for other reasons.
    var count: Int
    /// Nodes by the UIDs of pods; nil: it has none yet.
    var nodes: [String: String?]
}

/// What is known of a scaler between two evaluations, besides its memory.
struct ScalerRuntime: Sendable {
    var history = ScalingHistory()
    /// Since when each value threshold holds.
    var since: [Int: Timestamp] = [:]
    /// Value thresholds whose time has come, at the last look.
    var fired: Set<Int> = []
    /// `since` as it was before the last act: it counts again if nothing comes of the act.
    var before: [Int: Timestamp] = [:]
    /// Since when no stat can be had.
    var failingSince: Timestamp?
    /// Replicas beyond those that policies allow now, from the last look.
    var ahead = 0
    /// What was said last.
    var entry: Evaluation.ScalerEntry?
    /// The spec that `history` and `since` belong to.
    var spec: PodScaler?
    /// The scalers (`ScalerRoster`) that it was last compared with.
    var revision = -1
}
