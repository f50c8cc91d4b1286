import Support

extension Settings {
    /// `actuator`.
    public struct Actuator: Sendable, Hashable {
        /// `actuator.drain`.
        public struct Drain: Sendable, Hashable {
            /// What becomes of pods of DaemonSets.
            public enum DaemonSets: String, Sendable, CaseIterable {
                /// They stay with their node.
                case leave
                /// They are evicted when the other pods are gone and their volumes are detached.
                case last
            }
            /// Whether pods are deleted that cannot be evicted.
            public enum Force: String, Sendable, CaseIterable {
                case never
                case afterDeadline = "after_deadline"
            }
            /// What volumes that stay attached mean.
            public enum VolumesLeft: String, Sendable, CaseIterable {
                case proceed = "continue"
                case fail
            }

            /// From the first eviction until the last pod is gone.
            public var timeout: Interval
            /// A pod's own grace counts up to this.
            public var maximumGrace: Interval
            /// Between two tries of a refused eviction.
            public var evictionRetry: Interval
            /// Between two looks at the pods of a node that drains.
            public var pollInterval: Interval
            /// Evictions at once, per node.
            public var parallel: Int
            /// Pods of DaemonSets.
            public var daemonSets: DaemonSets
            /// Volumes of pods that are gone may stay attached for so long.
            public var volumeDetachTimeout: Interval
            /// What it means when they stay longer.
            public var volumesLeft: VolumesLeft
            /// Whether pods are deleted at the deadline.
            public var force: Force
            /// How long those may take to go.
            public var forceTimeout: Interval
            /// Their grace period; nil: their own.
            public var forceGrace: Interval?
            /// Whether the only pod of a workload is doubled before it is evicted.
            public var surge: Bool
            /// How long the second pod has to become ready.
            public var surgeTimeout: Interval

            init(_ reader: SettingsReader) {
                timeout = reader.interval(
                    "timeout", default: .minutes(15), in: .seconds(1) ... .minutes(1_440),
                    "From the first eviction until the last pod is gone; then the removal fails and the node serves on. "
                        + "Grace periods are cut to end by then; pods that do have 10s more until they are gone."
                )
                maximumGrace = reader.interval(
                    "max_graceful_termination", default: .minutes(10), "A pod's own grace period counts up to this.")
                evictionRetry = reader.interval(
                    "eviction_retry", default: .seconds(5), in: .milliseconds(100) ... .minutes(10),
                    "Between two tries of an eviction that a budget refused.")
                pollInterval = reader.interval(
                    "poll_interval", default: .seconds(1), in: .milliseconds(50) ... .minutes(5),
                    "Between two looks at the pods of a node while it drains.")
                parallel = reader.count("parallel", default: 10, in: 1...1_000, "Evictions at once, per node.")
                daemonSets = reader.choice(
                    "daemonsets", default: .leave,
                    "Pods of DaemonSets stay with their node (`leave`), or are told like the others and evicted after them "
                        + "(`last`); one annotated `cluster-autoscaler.kubernetes.io/enable-ds-eviction: \"false\"` stays."
                )
                volumeDetachTimeout = reader.interval(
                    "volume_detach_timeout", default: .minutes(2), in: .zero ... .minutes(1_440),
                    "How long volumes of pods that are gone may stay attached to the node; 0: nobody looks.")
                volumesLeft = reader.choice(
                    "volumes_left", default: .proceed,
                    "When they stay longer, the removal goes on with a warning (`continue`) or fails (`fail`).")
                force = reader.choice(
                    "force", default: .never,
                    "Whether pods that are left at the deadline are deleted, budgets or not, with their grace period. "
                        + "One on which its notice cannot be written is not.")
                forceTimeout = reader.interval(
                    "force_timeout", default: .minutes(5), in: .seconds(1) ... .minutes(1_440),
                    "How long deleted pods have to be gone; then the removal fails after all.")
                forceGrace = reader.interval(
                    "force_grace", in: .zero ... .minutes(1_440),
                    "Grace period of pods that are deleted, if shorter than their own; 0 kills them at once.")
                surge = reader.flag(
                    "surge", default: false,
                    "Raise the replicas of a Deployment, ReplicaSet or ReplicationController by one before its only pod "
                        + "is evicted, and put them back afterwards.")
                surgeTimeout = reader.interval(
                    "surge_timeout", default: .minutes(5), in: .seconds(1) ... .minutes(1_440),
                    "How long the pod more may take to become ready elsewhere; then the only pod is evicted all the same."
                )
            }
        }

        /// `actuator.heat`.
        public struct Heat: Sendable, Hashable {
            /// Between two looks at a stack that changes.
            public var pollInterval: Interval
            /// For one stack change.
            public var timeout: Interval
            /// Where Heat's notifications are heard; nil: at the suite's own broker.
            public var transportURL: Secret?

            init(_ reader: SettingsReader) {
                transportURL = reader.secret(
                    "transport_url", "The broker that Heat notifies; without it the suite's own (`bus.transport_url`).")
                pollInterval = reader.interval(
                    "poll_interval", default: .seconds(2), in: .milliseconds(50) ... .minutes(5),
                    "Between two looks at a stack while it changes.")
                timeout = reader.interval(
                    "timeout", default: .minutes(60), in: .seconds(1) ... .minutes(1_440),
                    "For one stack change; above the longest drain that a `pre-delete` hook waits for.")
            }
        }

        /// `actuator.external`: machines that somebody else takes away.
        public struct External: Sendable, Hashable {
            /// How much earlier than the stack's own timeout a held deletion is let go.
            public var margin: Interval
            /// Whether it is let go then although pods are left.
            public var releaseAtLimit: Bool
            /// How long pods may be told of a machine that nothing holds.
            public var unheldNotice: Interval

            init(_ reader: SettingsReader) {
                margin = reader.interval(
                    "margin", default: .seconds(60), in: .zero ... .minutes(60),
                    "How much earlier than the stack's timeout_mins a deletion is let go that a hook or a software "
                        + "deployment of the stack holds; at most a quarter of that timeout.")
                releaseAtLimit = reader.flag(
                    "release_at_limit", default: true,
                    "Whether it is let go then although pods are left that were told but are not gone. If not, Heat's "
                        + "deletion fails (a software deployment refuses it then, a hook waits for the timeout) and the "
                        + "machine lives on. Pods that were not told are never let go.")
                unheldNotice = reader.interval(
                    "unheld_notice", default: .seconds(10), in: .seconds(1) ... .minutes(10),
                    "How long pods may be told that run on a machine that goes and that nothing holds.")
            }
        }

        /// Everything but the last call.
        public var dryRun: Bool
        /// From the label that takes a node out of load balancers until its first eviction.
        public var loadBalancerWait: Interval
        /// Between two looks at Heat without any cause.
        public var resync: Interval
        /// Between two looks at the alarms that rules are for.
        public var alarmsInterval: Interval
        /// How long annotations may delay the deletion of a drained node's machine.
        public var deletionDelay: Interval
        /// Draining.
        public var drain: Drain
        /// Heat.
        public var heat: Heat
        /// Machines that somebody else takes away.
        public var external: External

        init(_ reader: SettingsReader) {
            dryRun = reader.flag(
                "dry_run", default: false, "Do everything but the last call: neither Heat nor Kubernetes is changed.")
            resync = reader.interval(
                "resync", default: .seconds(30), in: .seconds(1) ... .minutes(60),
                "Between two looks at Heat and the nodes without any cause.")
            alarmsInterval = reader.interval(
                "alarms_interval", default: .minutes(2), in: .seconds(5) ... .minutes(60),
                "Between two looks at the alarms of Aodh that `decider.rules` name, for transitions that nobody heard; where "
                    + "`collector.alarms.enabled`. The Actuator looks since it has the login.")
            loadBalancerWait = reader.interval(
                "load_balancer_wait", default: .zero, in: .zero ... .minutes(60),
                "From the label that takes a node out of load balancers until its first eviction at least; the cooldown "
                    + "counts towards it.")
            deletionDelay = reader.interval(
                "deletion_delay", default: .minutes(2), in: .zero ... .minutes(60),
                "How long a drained node waits for annotations `delay-deletion.cluster-autoscaler.kubernetes.io/…` to be "
                    + "taken away; then its machine goes all the same. 0: they mean nothing.")
            drain = reader.section("drain", "Moving the pods of a node away.", Drain.init)
            heat = reader.section("heat", "Changing the stacks.", Heat.init)
            external = reader.section(
                "external", "Machines that somebody else takes away: an alarm on a policy, an operator, Nova.",
                External.init)
        }
    }

    /// `notifier`.
    public struct Notifier: Sendable, Hashable {
        /// How long pods have to answer.
        public var cooldown: Interval
        /// How long they may ask for at most.
        public var maximumCooldown: Interval
        /// Where answers are taken.
        public var listen: ListenAddress
        /// The URL under which pods reach it.
        public var advertiseURL: String?
        /// Certificate of that address; nil: plain HTTP.
        public var tls: ListenerTLS?
        /// Everything but the last delivery.
        public var dryRun: Bool
        /// Hooks of pods.
        public var hooks: Hooks
        /// Whether a pod may refuse.
        public var mayRefuse: Bool
        /// What particular pods may claim; the first that matches counts.
        public var policies: [Policy]
        /// The longest that any pod may ask for.
        public var longestCooldown: Interval { policies.map(\.maximumCooldown).reduce(maximumCooldown, max) }
        /// Key of the tokens in notices.
        public var tokenKey: Secret?
        /// Chat, tickets.
        public var webhooks: [Webhook]

        init(_ reader: SettingsReader) {
            cooldown = reader.interval(
                "cooldown", default: .seconds(60), in: .zero ... .minutes(1_440),
                "How long the pods of a node have to answer; it ends early when all have.")
            maximumCooldown = reader.interval(
                "max_cooldown", default: .minutes(10), in: .zero ... .minutes(10_080),
                "However much time pods ask for, the cooldown ends after this.")
            listen =
                reader.listen(
                    "listen", shown: "127.0.0.1:0", "Where pods' answers are taken; port 0 is any free one.")
                ?? ListenAddress(host: "127.0.0.1", port: 0)
            advertiseURL = reader.text(
                "advertise_url",
                "Base URL under which pods reach that address; without it `http://<listen>` (`https` with `tls`), and where that "
                    + "is a loopback address or stands for all addresses, pods are told no URL.")
            tls = reader.section(
                "tls", "The certificate of that address: answers carry tokens.", ListenerTLS.read)
            dryRun = reader.flag("dry_run", default: false, "Do everything but the delivery: no pod is told.")
            hooks = reader.section("hooks", "HTTP hooks that pods declare by annotation.", Hooks.init)
            mayRefuse = reader.flag(
                "may_refuse", default: false, "Whether a pod's refusal stops the removal of its node.")
            let (usual, longest, refuses) = (cooldown, maximumCooldown, mayRefuse)
            policies = reader.list(
                "policies",
                "What particular pods may claim. The first entry whose conditions all hold counts; without one, the fields "
                    + "above. The cooldown of a node is the longest that its pods may claim."
            ) { Policy($0, cooldown: usual, maximumCooldown: longest, mayRefuse: refuses) }
            tokenKey = reader.secretOrVariable(
                "token_key",
                "Key of the tokens that pods answer with, the same for all replicas; without it the first of `bus.keys`, "
                    + "without any the transport URL.")
            webhooks = reader.list(
                "webhooks",
                "Whom to tell of removals: a chat, a ticket system. A webhook that fails is tried again, and delays nothing.",
                Webhook.init)
            if Set(webhooks.map(\.id)).count < webhooks.count {
                reader.mistake("webhooks", "uses an id twice", allowed: "an id of its own for each webhook")
            }
            if let tokenKey, tokenKey.revealed.utf8.count < 16 {
                reader.mistake("token_key", "is too short", allowed: "at least 16 bytes")
            }
            if cooldown > maximumCooldown {
                reader.mistake("cooldown", "is above max_cooldown", allowed: "cooldown ≤ max_cooldown")
            }
        }
    }
}
