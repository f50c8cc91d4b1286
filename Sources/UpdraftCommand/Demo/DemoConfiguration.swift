/// The one configuration file of the demo's four services. Short timers, so that the story fits into two minutes.
enum DemoConfiguration {
    /// The text of `updraft.yaml`. `kubeconfig`, `clouds` and `key` are paths.
    static func text(
        kubeconfig: String, clouds: String, cloud: String, stack: String, resource: String, sizes: ClosedRange<Int>,
        key: String
    )
        -> String
    {
        """
        # Written by `updraft demo`. The same file serves all four services; the broker's address is in the environment.
        cluster: demo
        bus:
          keys:
          - {id: demo, key_file: "\(key)"}
        kubernetes:
          kubeconfig: "\(kubeconfig)"
        openstack:
          cloud: \(cloud)
          clouds_file: "\(clouds)"
        groups:
        - id: workers
          stack: \(stack)
          resource: \(resource)
          desired_parameter: desired
          min: \(sizes.lowerBound)
          max: \(sizes.upperBound)
        collector:
          stats: {interval: 5s}
        decider:
          resync: 1s
          scale_down:
            unneeded_time: 4s
            delay_after_add: 4s
            delay_after_failure: 4s
        actuator:
          resync: 2s
          drain: {timeout: 60s, eviction_retry: 1s}
          heat: {poll_interval: 500ms}
        notifier:
          cooldown: 8s
          max_cooldown: 30s
          hooks: {timeout: 3s, attempts: 5}

        """
    }
}
