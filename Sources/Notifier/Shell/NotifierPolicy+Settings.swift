import Settings

extension NotifierPolicy {
    /// The policy that the configuration says.
    init(_ settings: Settings) {
        self.init(cluster: settings.cluster)
        let notifier = settings.notifier
        terms = PodTerms(
            cooldown: notifier.cooldown, maximumCooldown: notifier.maximumCooldown, mayRefuse: notifier.mayRefuse)
        rules = notifier.policies.map { policy in
            TermsRule(
                namespaces: policy.namespaces, minimumPriority: policy.minimumPriority,
                maximumPriority: policy.maximumPriority, labels: policy.labels,
                terms: PodTerms(
                    cooldown: policy.cooldown, maximumCooldown: policy.maximumCooldown, mayRefuse: policy.mayRefuse))
        }
        tellsDaemonSets = settings.actuator.drain.daemonSets == .last
        attempts = notifier.hooks.attempts
        webhooks = notifier.webhooks.map { webhook in
            WebhookPlan(
                id: webhook.id, phases: Set(webhook.events), attempts: webhook.attempts, backoff: webhook.backoff,
                maximumBackoff: webhook.maximumBackoff)
        }
    }
}
