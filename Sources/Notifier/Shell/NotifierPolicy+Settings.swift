import Settings

extension NotifierPolicy {
    /// The policy that the configuration says.
    init(_ settings: Settings) {
        self.init(cluster: settings.cluster)
        let notifier = settings.notifier
        cooldown = notifier.cooldown
        maximumCooldown = notifier.maximumCooldown
        mayRefuse = notifier.mayRefuse
        attempts = notifier.hooks.attempts
    }
}
