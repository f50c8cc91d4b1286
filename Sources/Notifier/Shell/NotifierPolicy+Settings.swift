import Settings

extension NotifierPolicy {
    /// The policy that the configuration says.
    init(_ settings: Settings) {
        self.init(cluster: settings.cluster)
        let notifier = settings.notifier
        pods = notifier.pods
        tellsDaemonSets = settings.actuator.drain.daemonSets == .last
        attempts = notifier.hooks.attempts
        webhooks = notifier.webhooks.map { webhook in
            WebhookPlan(
                id: webhook.id, phases: Set(webhook.events), attempts: webhook.attempts, backoff: webhook.backoff,
                maximumBackoff: webhook.maximumBackoff)
        }
    }
}
