import Messages
import Notifier
import Support

/// What pods are told, and how they answer.
extension World {
    /// One delivery, as the Notifier's door does it.
    /// - Parameter triedAt: when the Notifier began it.
    func deliver(_ notice: Notice, by channel: NoticeChannel, triedAt: Timestamp) -> DeliveryOutcome {
        guard let index = cluster.pod(uid: notice.pod.uid) else { return .gone }
        switch channel {
        case .annotation:
            let names = [
                RemovalNames.podRemoval, RemovalNames.podDeadline, RemovalNames.podToken, RemovalNames.podNotice,
                RemovalNames.podAnswer,
            ]
            for name in names { cluster.pods[index].annotations[name] = nil }
            if !notice.withdrawn {
                cluster.pods[index].annotations[RemovalNames.podRemoval] = notice.removal
                cluster.pods[index].annotations[RemovalNames.podDeadline] = notice.deadline.rfc3339
                cluster.pods[index].annotations[RemovalNames.podToken] = "token"
                answerLater(cluster.pods[index], notice.removal)
            }
            changed(pod: index)
        case .gate:
            cluster.pods[index].gate = notice.withdrawn ? .serving : .notServing
            lookAtReadiness(index)
            changed(pod: index)
        case .hook:
            cluster.pods[index].hookCalls += 1
            let outcome = hook(cluster.pods[index], notice)
            if case .failed = outcome { return outcome }
            audit(told: notice, by: channel, triedAt: triedAt)
            return outcome
        case .bus, .event: break
        }
        audit(told: notice, by: channel, triedAt: triedAt)
        return .delivered(answer: nil)
    }

    private func hook(_ pod: ClusterState.Pod, _ notice: Notice) -> DeliveryOutcome {
        guard pod.phase == .running else { return .failed("the hook did not answer: refused", isRetriable: true) }
        guard isOnline(pod) else { return .failed("the hook did not answer: no route", isRetriable: true) }
        switch cluster.workloads[pod.workload].plan.temper {
        case .silent: return .failed("the hook did not answer: timeout", isRetriable: true)
        case .broken: return .failed("the hook answered 500", isRetriable: true)
        case .flaky(let times) where pod.hookCalls <= times:
            return .failed("the hook answered 503", isRetriable: true)
        case .flaky, .done: return .delivered(answer: notice.withdrawn ? nil : .done)
        case .extend(let seconds):
            return .delivered(answer: notice.withdrawn ? nil : .extend(.seconds(Double(seconds))))
        case .refuse: return .delivered(answer: notice.withdrawn ? nil : .refuse)
        case .deaf, .doneOnBus, .doneByAnnotation, .refuseOnBus: return .delivered(answer: nil)
        }
    }

    /// Nothing on a machine that died says anything.
    private func isOnline(_ pod: ClusterState.Pod) -> Bool {
        pod.node.flatMap { cluster.node($0) }.map { cluster.nodes[$0].kubeletWorks } ?? false
    }

    /// Answers that come by another way than the hook.
    private func answerLater(_ pod: ClusterState.Pod, _ removal: String) {
        let answer = Answer(removal: removal, podUID: pod.uid, token: "token")
        switch cluster.workloads[pod.workload].plan.temper {
        case .doneOnBus(let seconds):
            after(.seconds(Double(seconds))) {
                guard self.isOnline(pod) else { return }
                self.audit(answered: pod.uid, removal)
                self.publish(.podShutdownDone(PodShutdownDone(cluster: Scenario.cluster, answer: answer)))
            }
        case .extend(let seconds):
            after(.seconds(Double(seconds / 2))) {
                guard self.isOnline(pod) else { return }
                self.audit(answered: pod.uid, removal)
                self.publish(.podShutdownDone(PodShutdownDone(cluster: Scenario.cluster, answer: answer)))
            }
        case .refuseOnBus:
            after(.seconds(1)) {
                guard self.isOnline(pod) else { return }
                self.publish(.podShutdownRefuse(PodShutdownRefuse(cluster: Scenario.cluster, answer: answer)))
            }
        case .doneByAnnotation(let seconds):
            after(.seconds(Double(seconds))) {
                guard self.isOnline(pod), let index = self.cluster.pod(uid: pod.uid),
                    self.cluster.pods[index].annotations[RemovalNames.podRemoval] == removal
                else { return }
                self.cluster.pods[index].annotations[RemovalNames.podAnswer] = "done"
                self.audit(answered: pod.uid, removal)
                self.changed(pod: index)
            }
        case .deaf, .silent, .broken, .flaky, .done, .refuse: break
        }
    }

    func annotate(_ uid: String, _ annotations: [(String, String)]) {
        guard let index = cluster.pod(uid: uid) else { return }
        for (name, value) in annotations { cluster.pods[index].annotations[name] = value }
        changed(pod: index)
    }

    func openGate(_ uid: String) -> Bool {
        guard let index = cluster.pod(uid: uid) else { return false }
        cluster.pods[index].gate = .serving
        lookAtReadiness(index)
        changed(pod: index)
        return true
    }
}
