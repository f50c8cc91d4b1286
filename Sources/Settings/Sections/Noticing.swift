import JSONReader
import Messages
import Support

extension Settings.Notifier {
    /// What pods may claim.
    public var pods: PodPolicy {
        PodPolicy(
            terms: PodTerms(cooldown: cooldown, maximumCooldown: maximumCooldown, mayRefuse: mayRefuse),
            rules: policies.map { policy in
                TermsRule(
                    namespaces: policy.namespaces, minimumPriority: policy.minimumPriority,
                    maximumPriority: policy.maximumPriority, labels: policy.labels,
                    terms: PodTerms(
                        cooldown: policy.cooldown, maximumCooldown: policy.maximumCooldown,
                        mayRefuse: policy.mayRefuse))
            })
    }

    /// `notifier.hooks`.
    public struct Hooks: Sendable, Hashable {
        /// For one call.
        public var timeout: Interval
        /// Calls before a hook counts as failed.
        public var attempts: Int
        /// Calls at once.
        public var parallel: Int
        /// Hosts other than the pod itself that a hook may name.
        public var foreignHosts: [Glob]
        /// PEM file of the authorities that certificates of hooks must come from; nil: the system's.
        public var caFile: String?
        /// Whether any certificate is accepted.
        public var insecure: Bool

        init(_ reader: SettingsReader) {
            timeout = reader.interval(
                "timeout", default: .seconds(5), in: .milliseconds(100) ... .minutes(5), "For one call.")
            attempts = reader.count("attempts", default: 5, in: 1...100, "Calls before a hook counts as failed.")
            parallel = reader.count(
                "parallel", default: 512, in: 1...10_000,
                "Calls at once; each takes a file descriptor. Nodes take turns.")
            foreignHosts = reader.globs(
                "foreign_hosts",
                "Hosts other than the pod itself that a pod's hook may name, `*.apps.example.org`; `*` for any. Whoever "
                    + "writes a pod's annotations then chooses whom the Notifier calls. A pattern opens no address of "
                    + "loopback or link-local: they must be named. (A name that leads to one is called, so allow no "
                    + "domain whose names others give.)")
            caFile = reader.path(
                "ca_file", "PEM file of the authorities for `https` hooks; without it the system's are trusted.")
            insecure = reader.flag(
                "insecure", default: false,
                "Accept any certificate of an `https` hook, where pods make their own.")
        }
    }

    /// One entry of `notifier.policies`: what particular pods may claim.
    public struct Policy: Sendable, Hashable {
        /// Namespaces; empty: all.
        public var namespaces: [Glob]
        /// The lowest priority; nil: any.
        public var minimumPriority: Int?
        /// The highest priority; nil: any.
        public var maximumPriority: Int?
        /// Labels that the pod must have.
        public var labels: [String: String]
        /// How long such pods have.
        public var cooldown: Interval
        /// How much they may ask for.
        public var maximumCooldown: Interval
        /// Whether they may refuse.
        public var mayRefuse: Bool

        /// What an entry does not say is as `notifier` says it.
        init(_ reader: SettingsReader, cooldown: Interval, maximumCooldown: Interval, mayRefuse: Bool) {
            namespaces = reader.globs("namespaces", "Namespaces, `prod-*`; without it all.")
            let priorities = -2_147_483_648...2_147_483_647
            minimumPriority = reader.count("min_priority", in: priorities, "The lowest `spec.priority`.")
            maximumPriority = reader.count("max_priority", in: priorities, "The highest `spec.priority`.")
            labels = reader.texts(of: "labels", "Labels that the pod must have.")
            let longest = reader.interval(
                "max_cooldown", in: .zero ... .minutes(10_080),
                "However much time such a pod asks for, its cooldown ends after this; without it `notifier.max_cooldown`."
            )
            let usual = reader.interval(
                "cooldown", in: .zero ... .minutes(1_440),
                "How long such a pod has to answer; without it `notifier.cooldown`.")
            let refuses: Bool? = reader.field(
                "may_refuse", "true or false", default: nil, shown: "",
                "Whether its refusal stops the removal; without it `notifier.may_refuse`."
            ) { node throws(SettingsReader.Refusal) in
                guard let value = node.scalar?.bool else { throw SettingsReader.Refusal("is no truth value") }
                return value
            }
            self.maximumCooldown = longest ?? max(maximumCooldown, usual ?? .zero)
            self.cooldown = usual ?? min(cooldown, self.maximumCooldown)
            self.mayRefuse = refuses ?? mayRefuse
            if let usual, let longest, usual > longest {
                reader.mistake("cooldown", "is above max_cooldown", allowed: "cooldown ≤ max_cooldown")
            }
            if let minimumPriority, let maximumPriority, minimumPriority > maximumPriority {
                reader.mistake("min_priority", "is above max_priority", allowed: "min_priority ≤ max_priority")
            }
        }
    }

    /// One header of a webhook.
    public struct Header: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// Its value.
        public var value: Secret

        init(_ reader: SettingsReader) {
            name = reader.requiredText("name", "Name of the header, `Authorization`.")
            let given = reader.secretOrVariable("value", "Its value, `Bearer …`.")
            value = given ?? Secret("")
            let isToken = name.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
            if !isToken { reader.mistake("name", "is no name of a header", allowed: "letters, digits, -") }
            if ["host", "content-length", "content-type", "transfer-encoding"].contains(name.lowercased()) {
                reader.mistake("name", "is made by Updraft", allowed: "any other header")
            }
            if let given, !given.revealed.utf8.allSatisfy({ $0 >= 32 && $0 != 127 }) {
                reader.mistake("value", "has a line break or another control character")
            }
        }
    }

    /// One entry of `notifier.webhooks`.
    public struct Webhook: Sendable, Hashable {
        /// Its name, in metrics and logs.
        public var id: String
        /// Where to POST. Chat systems write their secret into it.
        public var url: Secret
        /// What it is told of.
        public var events: [RemovalPhase]
        /// Headers.
        public var headers: [Header]
        /// Of the body.
        public var contentType: String
        /// The body.
        public var body: NoticeTemplate
        /// For one call.
        public var timeout: Interval
        /// Calls before it counts as failed.
        public var attempts: Int
        /// Before the second call; doubled each time.
        public var backoff: Interval
        /// The longest wait between two calls.
        public var maximumBackoff: Interval
        /// PEM file of the authorities; nil: the system's.
        public var caFile: String?
        /// Whether any certificate is accepted.
        public var insecure: Bool

        /// What chat systems take.
        static let defaultBody =
            #"{"text": "{{cluster}}: node {{node}} of group {{group}}: {{phase}} ({{reason}}) {{detail}}"}"#

        init(_ reader: SettingsReader) {
            id = reader.identifier("id", "Name of the webhook, in metrics and logs.")
            let given = reader.secretOrVariable("url", "Where to POST; `http` or `https`.")
            url = given ?? Secret("")
            events = reader.choices(
                "events", default: [.noticed, .removed, .cancelled, .failed],
                "Of which phases of a removal it is told.")
            headers = reader.list("headers", "Headers of the request.", Header.init)
            let contentType = reader.text(
                "content_type", default: "application/json",
                "Of the body; says how values are escaped: JSON, form, HTML and XML, else plain text.")
            self.contentType = contentType
            let escaping = NoticeTemplate.Escaping(contentType: contentType)
            let usual = try? NoticeTemplate(Webhook.defaultBody, escaping: .json)
            let names = NoticeVariable.allCases.map { "`{{\($0.rawValue)}}`" }.joined(separator: ", ")
            let body: NoticeTemplate? = reader.field(
                "body", "template", default: usual, shown: Webhook.defaultBody,
                "The body; in it \(names) are replaced by their values, escaped."
            ) { node throws(SettingsReader.Refusal) in
                try Webhook.template(try SettingsReader.text(node), escaping)
            }
            self.body = body ?? NoticeTemplate.empty
            if escaping != .json, reader.node("body") == nil {
                reader.mistake(
                    "body", "is missing; the default one is JSON", allowed: "a template of this content type")
            }
            timeout = reader.interval(
                "timeout", default: .seconds(10), in: .milliseconds(100) ... .minutes(5), "For one call.")
            attempts = reader.count("attempts", default: 5, in: 1...100, "Calls before it counts as failed.")
            backoff = reader.interval(
                "backoff", default: .seconds(2), in: .milliseconds(100) ... .minutes(60),
                "Before the second call; doubled each time. A `Retry-After` of the answer counts if it is longer.")
            maximumBackoff = reader.interval(
                "max_backoff", default: .minutes(1), in: .milliseconds(100) ... .minutes(60),
                "The longest wait between two calls.")
            caFile = reader.path("ca_file", "PEM file of the trusted authorities; without it the system's.")
            insecure = reader.flag("insecure", default: false, "Accept any certificate.")
            check(reader, given)
        }

        private func check(_ reader: SettingsReader, _ given: Secret?) {
            if given == nil, ["url", "url_file", "url_env"].allSatisfy({ reader.node($0) == nil }) {
                reader.mistake("url", "is missing", allowed: "url, url_file or url_env")
            }
            if let text = given?.revealed {
                let rest = ["http://", "https://"].first(where: text.hasPrefix).map { text.dropFirst($0.count) }
                let isClean = text.utf8.allSatisfy { $0 > 32 && $0 < 127 } && text.utf8.count <= 4_096
                if !isClean || rest?.first.map({ $0 != "/" }) != true {
                    reader.mistake("url", "is no URL of a webhook", allowed: "http://… or https://…")
                }
            }
            if !contentType.utf8.allSatisfy({ $0 >= 32 && $0 < 127 }) || !contentType.contains("/") {
                reader.mistake("content_type", "is no content type", allowed: "application/json, text/plain, …")
            }
            if backoff > maximumBackoff {
                reader.mistake("backoff", "is above max_backoff", allowed: "backoff ≤ max_backoff")
            }
        }

        /// A template, and of JSON also that it is JSON once it is filled in.
        private static func template(
            _ text: String, _ escaping: NoticeTemplate.Escaping
        ) throws(SettingsReader.Refusal) -> NoticeTemplate {
            let template: NoticeTemplate
            do throws(NoticeTemplate.Mistake) {
                template = try NoticeTemplate(text, escaping: escaping)
            } catch {
                throw SettingsReader.Refusal("cannot be used: \(error)")
            }
            guard escaping == .json else { return template }
            // As values inside of strings they need something that is no JSON by itself.
            let values = Dictionary(uniqueKeysWithValues: NoticeVariable.allCases.map { ($0, "a \"b\"") })
            do throws(JSONError) {
                _ = try JSONValue.parse(template.filled(values))
            } catch {
                throw SettingsReader.Refusal("is not JSON once it is filled in: \(error)")
            }
            return template
        }
    }
}

extension SettingsReader {
    /// A list of patterns.
    func globs(_ name: String, _ doc: String) -> [Glob] {
        texts(name, doc).map { Glob($0) }
    }

    /// A secret in the field itself, in the file that `<name>_file` names, or in the variable that `<name>_env` names.
    func secretOrVariable(_ name: String, _ doc: String) -> Secret? {
        let own = secret(name, doc)
        let variable = text("\(name)_env", "The same, from this variable of the environment.")
        guard let variable else { return own }
        if own != nil {
            mistake(name, "is given twice: here and by \(name)_env", allowed: "one of them")
            return own
        }
        return secret(inVariable: variable, field: "\(name)_env")
    }
}
