import Messages
import Support

extension CollectorCore {
    /// When `ticked` is due, if nothing else happens before.
    public var wakeAt: Timestamp? {
        guard let active else { return nil }
        var times = [active.heardAt + options.lease]
        if !active.isPublishing, isComplete {
            let batch = active.batch.dueAt
            let snapshot = snapshotAt(active)
            times.append(max(snapshot, batch ?? snapshot))
            if active.isFollowed {
                if let batch { times.append(batch) }
                times.append(active.lastPublishedAt + options.heartbeat)
            }
        }
        return times.min()
    }

    /// Whether all that must be known is known, if perhaps no longer up to date.
    private var isComplete: Bool {
        // (Of a kind that is not among them nothing was heard yet.)
        watches.count == ObservedKind.allCases.count
            && watches.allSatisfy { kind, state in
                switch state {
                case .synced, .absent: true
                case .waiting: false
                case .failed(_, _, let wasSynced): wasSynced || !kind.isRequired
                }
            }
    }

    /// Whether a watch has failed for too long to go on saying that all is known.
    private func isStale(at now: Timestamp) -> Bool {
        watches.contains { kind, state in
            if case .failed(_, let since, _) = state {
                kind.isRequired && now - since >= options.staleAfter
            } else {
                false
            }
        }
    }

    /// After each event: steps down, publishes, or waits.
    mutating func settle(at now: Timestamp, _ actions: inout [CollectorAction]) {
        guard let current = active else {
            // Nobody is told, so what changed need not be remembered: a new epoch begins with a snapshot.
            cluster.forgetChanges()
            return
        }
        if now >= current.heardAt + options.lease {
            active = nil
            cluster.forgetChanges()
            let silence = now - current.heardAt
            actions.append(.stoodDown(reason: "no request has reached this replica for \(silence)"))
            return
        }
        if !current.batch.isOpen, !cluster.isUnchanged { active?.batch.changed(at: now) }
        guard !current.isPublishing, isComplete, let batch = active?.batch else { return }
        // Neither cuts a burst in two: whoever reads the first half would act on it.
        let isRipe = !batch.isOpen || batch.isDue(at: now)
        if now >= snapshotAt(current), isRipe {
            actions.append(.publishSnapshot(snapshot(current, now)))
        } else if !current.isFollowed {
            // Only a snapshot is of use.
        } else if batch.isOpen, isRipe {
            // Also while a snapshot is wanted that has to wait: those who did not ask for it need not wait as well.
            actions.append(.publishDelta(delta(current, now)))
        } else if now >= current.lastPublishedAt + options.heartbeat, !isStale(at: now) {
            active?.isPublishing = true
            actions.append(
                .publishDelta(
                    ClusterDelta(
                        cluster: options.cluster, epoch: current.epoch, sequence: current.sequence, takenAt: now)))
        } else if now >= current.lastPublishedAt + options.heartbeat {
            // Nothing may be said; look again after the same time.
            active?.lastPublishedAt = now
        }
    }

    /// When the next snapshot is due.
    private func snapshotAt(_ active: Active) -> Timestamp {
        guard let last = active.lastSnapshotAt else { return active.heardAt }
        return last + (active.wantsSnapshot ? options.snapshotGap : options.snapshotInterval)
    }

    private mutating func snapshot(_ current: Active, _ now: Timestamp) -> SnapshotParts {
        let unlisted = Set(self.unlisted.keys)
        active?.isPublishing = true
        active?.wantsSnapshot = false
        active?.lastSnapshotAt = now
        active?.hasGap = false
        active?.toldUnlisted = unlisted
        active?.batch.close()
        return cluster.snapshot(
            ClusterSnapshot(
                cluster: options.cluster, epoch: current.epoch, sequence: current.sequence, takenAt: now))
    }

    private mutating func delta(_ current: Active, _ now: Timestamp) -> ClusterDelta {
        let sequence = current.sequence + 1
        var delta = ClusterDelta(cluster: options.cluster, epoch: current.epoch, sequence: sequence, takenAt: now)
        cluster.fill(&delta)
        active?.sequence = sequence
        active?.isPublishing = true
        // What did not fit goes into the next, at once.
        if cluster.isUnchanged { active?.batch.close() }
        return delta
    }
}
