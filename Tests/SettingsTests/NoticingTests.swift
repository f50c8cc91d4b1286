import Messages
import Support
import TestServer
import Testing

@testable import Settings

@Suite("Policies and webhooks of the Notifier") struct NoticingTests {
    @Test("a policy says what it says, and takes the rest from notifier") func policies() throws {
        let settings = try load(
            """
            cluster: prod
            notifier:
              cooldown: 60s
              max_cooldown: 10m
              policies:
              - {namespaces: [batch, "ml-*"], max_cooldown: 1h, may_refuse: true}
              - {min_priority: 1000, labels: {tier: gold}, cooldown: 5m}
              - {max_priority: -1, max_cooldown: 10s}
            """
        ).get().notifier
        let policies = settings.policies
        #expect(policies.map(\.cooldown) == [.seconds(60), .minutes(5), .seconds(10)])
        #expect(policies.map(\.maximumCooldown) == [.minutes(60), .minutes(10), .seconds(10)])
        #expect(policies.map(\.mayRefuse) == [true, false, false])
        #expect(policies[0].namespaces == [Glob("batch"), Glob("ml-*")])
        #expect(policies[1].minimumPriority == 1_000)
        #expect(policies[1].labels == ["tier": "gold"])
        // The Actuator waits for the longest.
        #expect(settings.longestCooldown == .minutes(60))
    }

    @Test("a certificate makes addresses https; one without its key is a mistake") func certificates() throws {
        let settings = try load(
            """
            cluster: prod
            notifier: {tls: {cert_file: /etc/updraft/tls.crt, key_file: /etc/updraft/tls.key}}
            collector: {signals: {listen: "10.0.0.1:9477", tls: {cert_file: a.pem, key_file: b.pem}}}
            """
        ).get()
        #expect(settings.notifier.tls?.keyFile == "/etc/updraft/tls.key")
        #expect(settings.collector.signals.baseURL == "https://10.0.0.1:9477")
        let alone = try mistakes("cluster: prod\nnotifier: {tls: {cert_file: /a.pem}}")
        #expect(alone.contains { $0.contains("notifier.tls.cert_file") && $0.contains("key_file") }, "\(alone)")
        #expect(try load("cluster: prod").get().notifier.tls == nil)
    }

    @Test("mistakes in policies are named") func policyMistakes() throws {
        let found = try mistakes(
            """
            cluster: prod
            notifier:
              policies:
              - {cooldown: 5m, max_cooldown: 1m}
              - {min_priority: 5, max_priority: 4}
              - {namespace: x}
            """)
        #expect(
            found == [
                "FILE:4: notifier.policies[0].cooldown: is above max_cooldown (allowed: cooldown ≤ max_cooldown)",
                "FILE:5: notifier.policies[1].min_priority: is above max_priority "
                    + "(allowed: min_priority ≤ max_priority)",
                "FILE:6: notifier.policies[2].namespace: unknown key; did you mean notifier.policies[2].namespaces?",
            ])
    }

    @Test("a webhook needs an id and a URL only") func webhook() throws {
        let webhooks = try load(
            "cluster: prod\nnotifier:\n  webhooks: [{id: chat, url: 'https://chat.example.org/hooks/T0'}]\n"
        ).get().notifier.webhooks
        let webhook = try #require(webhooks.first)
        #expect(webhook.events == [.noticed, .removed, .cancelled, .failed])
        #expect(webhook.contentType == "application/json")
        #expect(
            webhook.body.filled([.node: "n\"1", .phase: "removed", .group: "g", .cluster: "prod", .reason: "X"])
                == #"{"text": "prod: node n\"1 of group g: removed (X) "}"#)
        #expect(!"\(webhook)".contains("T0"))
    }

    @Test("its secrets are taken out of logs") func secrets() throws {
        let settings = try load(
            """
            cluster: prod
            collector: {signals: {token_key: abcdef9876543210}}
            notifier:
              token_key: 0123456789abcdef
              webhooks:
              - id: chat
                url_env: CHAT
                headers: [{name: Authorization, value: Bearer abcdefgh}]
            """, environment: ["CHAT": "https://chat.example.org/T0"]
        ).get()
        for secret in ["0123456789abcdef", "abcdef9876543210", "https://chat.example.org/T0", "Bearer abcdefgh"] {
            #expect(settings.secrets.contains(secret))
        }
    }

    @Test("only the Notifier needs them") func foreignSecrets() throws {
        let file = try TemporaryFile(
            """
            cluster: prod
            collector:
              queues: [{id: q, url: "http://rabbit:15672", queue: work, password_file: /nowhere/password}]
            notifier:
              token_key_env: TOKEN_KEY
              webhooks:
              - id: chat
                url_env: CHAT
                headers: [{name: Authorization, value_file: /nowhere/token}]
            """)
        func mistakes(_ program: String?) -> [String] {
            do throws(SettingsErrors) {
                _ = try Settings.load(file: file.path, for: program)
                return []
            } catch {
                return error.mistakes.map(\.path)
            }
        }
        let notifier = [
            "notifier.token_key_env", "notifier.webhooks[0].url_env", "notifier.webhooks[0].headers[0].value_file",
        ]
        let broker = try TemporaryFile("rabbit://u:p@ceilometer/\n")
        let telemetry = try TemporaryFile(
            "cluster: prod\ncollector: {telemetry: {transport_url_file: \(broker.path)}}\n")
        let seen = try Settings.load(file: telemetry.path, for: "actuator").collector.telemetry.transportURL?.revealed
        #expect(seen == "rabbit://u:p@ceilometer/", "the Actuator looks at that broker too")
        let alarms = try TemporaryFile("cluster: prod\ncollector: {alarms: {transport_url_file: \(broker.path)}}\n")
        let aodh = try Settings.load(file: alarms.path, for: "actuator").collector.alarms.transportURL?.revealed
        #expect(aodh == "rabbit://u:p@ceilometer/", "and at Aodh's")
        let brokers = try TemporaryFile(
            """
            cluster: prod
            actuator: {heat: {transport_url_file: \(broker.path)}}
            collector: {cloud: {transport_url_file: \(broker.path)}, alarms: {transport_url: rabbit://u:hunter2@aodh/}}

            """)
        let actuator = try Settings.load(file: brokers.path, for: "actuator")
        #expect(actuator.actuator.heat.transportURL?.revealed == "rabbit://u:p@ceilometer/")
        #expect(actuator.collector.cloud.transportURL == nil, "another service's file is not read")
        let collector = try Settings.load(file: brokers.path, for: "collector")
        #expect(collector.collector.cloud.transportURL?.revealed == "rabbit://u:p@ceilometer/")
        #expect(collector.secrets.contains("hunter2") && collector.actuator.heat.transportURL == nil)
        #expect(mistakes("decider") == [])
        #expect(mistakes("command") == [])
        #expect(mistakes("collector") == ["collector.queues[0].password_file"])
        #expect(Set(mistakes("notifier")) == Set(notifier))
        #expect(Set(mistakes(nil)) == Set(notifier + ["collector.queues[0].password_file"]))
    }

    @Test("mistakes in templates are found at the start, with file and line") func templates() throws {
        let found = try mistakes(
            """
            cluster: prod
            notifier:
              webhooks:
              - id: a
                url: https://h/
                body: '{"text": "{{nod}}"}'
              - id: b
                url: https://h/
                body: |
                  {"text": "{{node}}",
                   "more": "{{detail"}
              - id: c
                url: https://h/
                body: '{"text": {{node}}}'
              - id: d
                url: https://h/
                content_type: text/plain
              - id: e
                url: https://h/
                content_type: text/plain
                body: "{ {{node}} is no JSON and need not be"
            """)
        try #require(found.count == 4, "\(found)")
        #expect(
            found[0].hasPrefix(
                "FILE:6: notifier.webhooks[0].body: cannot be used: line 1 of it: {{nod}} is not known; there are {{node}}"
            ))
        #expect(found[1].contains("notifier.webhooks[1].body: cannot be used: line 2 of it: {{ without }}"))
        #expect(found[2].hasPrefix("FILE:14: notifier.webhooks[2].body: is not JSON once it is filled in: "))
        #expect(found[3].contains("notifier.webhooks[3].body: is missing; the default one is JSON"))
    }

    @Test(
        "what a webhook cannot be",
        arguments: [
            ("{id: a}", "notifier.webhooks[0].url: is missing"),
            ("{id: a, url: 'ftp://h/'}", "notifier.webhooks[0].url: is no URL of a webhook"),
            ("{id: a, url: 'http:///x'}", "notifier.webhooks[0].url: is no URL of a webhook"),
            ("{id: a, url: 'https://h/ x'}", "notifier.webhooks[0].url: is no URL of a webhook"),
            ("{id: a, url_env: NOWHERE}", "notifier.webhooks[0].url_env: the environment has no NOWHERE"),
            ("{id: a, url: 'https://h/', url_env: X}", "notifier.webhooks[0].url: is given twice"),
            ("{id: a, url: 'https://h/', events: [gone]}", "notifier.webhooks[0].events: has \"gone\""),
            (
                "{id: a, url: 'https://h/', headers: [{name: 'A B', value: x}]}",
                "headers[0].name: is no name of a header"
            ),
            ("{id: a, url: 'https://h/', headers: [{name: Host, value: x}]}", "headers[0].name: is made by Updraft"),
            (
                "{id: a, url: 'https://h/', headers: [{name: A, value: \"x\\ny\"}]}",
                "headers[0].value: has a line break"
            ),
            ("{id: a, url: 'https://h/', content_type: json}", "notifier.webhooks[0].content_type: is no content type"),
            ("{id: a, url: 'https://h/', backoff: 10m}", "notifier.webhooks[0].backoff: is above max_backoff"),
            ("{id: a, url: 'https://h/'}, {id: a, url: 'https://h/'}", "notifier.webhooks: uses an id twice"),
        ])
    func wrong(entry: String, mistake: String) throws {
        let found = try mistakes("cluster: prod\nnotifier:\n  webhooks: [\(entry)]\n")
        #expect(found.contains { $0.contains(mistake) }, "\(found)")
        #expect(!found.joined().contains("https://h"))
    }
}
