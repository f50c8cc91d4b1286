import HTTPClient
import JSONReader
import Support

/// Measures of one resource for Gnocchi.
public struct GnocchiMeasures: Sendable, Equatable {
    /// One metric.
    public struct Metric: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Its unit; only counts when the metric is made.
        public var unit: String
        /// Times and values. Finite: Gnocchi takes `NaN` and gives it back as JSON that nobody reads.
        public var points: [(at: Timestamp, value: Double)]

        /// A metric with its measures.
        public init(name: String, unit: String, points: [(at: Timestamp, value: Double)]) {
            self.name = name
            self.unit = unit
            self.points = points
        }

        /// Whether name, unit and points are equal.
        public static func == (left: Metric, right: Metric) -> Bool {
            left.name == right.name && left.unit == right.unit && left.points.elementsEqual(right.points, by: ==)
        }
    }

    /// The resource's UUID.
    public var resource: String
    /// Its metrics.
    public var metrics: [Metric]

    /// Measures of a resource.
    public init(resource: String, metrics: [Metric]) {
        self.resource = resource
        self.metrics = metrics
    }
}

/// Calls to Gnocchi (`metric` of the catalogue). The facts are from a running one: docs/telemetry.md.
extension OpenStackClient {
    static let gnocchi = "metric"

    /// Stores measures of several resources, making metrics that do not exist yet.
    ///
    /// - Throws: `badRequest` with `unknownResources` when any resource does not exist: then nothing is stored.
    public func storeMeasures(
        _ measures: [GnocchiMeasures], archivePolicy: String
    ) async throws(OpenStackError) {
        var body: [String: JSONValue] = [:]
        for resource in measures {
            var metrics: [String: JSONValue] = [:]
            for metric in resource.metrics {
                metrics[metric.name] = [
                    "archive_policy_name": .string(archivePolicy), "unit": .string(metric.unit),
                    "measures": .array(
                        metric.points.filter(\.value.isFinite).map {
                            ["timestamp": .string($0.at.rfc3339), "value": .double($0.value)]
                        }),
                ]
            }
            body[resource.resource] = .object(metrics)
        }
        _ = try await call(
            Self.gnocchi, .post, "v1/batch/resources/metrics/measures", query: [("create_metrics", "true")],
            body: .object(body))
    }

    /// Makes a resource.
    /// - Returns: false if it exists already.
    public func createResource(
        type: String, id: String, attributes: [String: String], projectID: String, userID: String?
    ) async throws(OpenStackError) -> Bool {
        var body = attributes.mapValues { JSONValue.string($0) }
        body["id"] = .string(id)
        // It is not filled in from the token.
        body["project_id"] = .string(projectID)
        if let userID { body["user_id"] = .string(userID) }
        do throws(OpenStackError) {
            _ = try await call(
                Self.gnocchi, .post, "v1/resource/\(PercentEncoding.segment(type))", body: .object(body))
            return true
        } catch {
            guard error.code == .conflict else { throw error }
            return false
        }
    }

    /// Changes attributes of a resource.
    public func updateResource(
        type: String, id: String, attributes: [String: String]
    ) async throws(OpenStackError) {
        _ = try await call(
            Self.gnocchi, .patch, "v1/resource/\(PercentEncoding.segment(type))/\(PercentEncoding.segment(id))",
            body: .object(attributes.mapValues { .string($0) }))
    }

    /// The names of a resource type's attributes; nil if there is no such type.
    public func resourceTypeAttributes(_ type: String) async throws(OpenStackError) -> Set<String>? {
        try await found { () async throws(OpenStackError) in
            let answer = try await call(Self.gnocchi, .get, "v1/resource_type/\(PercentEncoding.segment(type))")
            return Set(try answer.json().member("attributes").members().map(\.name))
        }
    }

    /// An archive policy.
    public struct ArchivePolicy: Sendable, Equatable {
        /// The finest granularity in seconds.
        public var finestSeconds: Double
        /// The aggregation methods kept.
        public var methods: [String]
    }

    /// An archive policy; nil if there is none of that name.
    public func archivePolicy(_ name: String) async throws(OpenStackError) -> ArchivePolicy? {
        try await found { () async throws(OpenStackError) in
            let policy = try await call(Self.gnocchi, .get, "v1/archive_policy/\(PercentEncoding.segment(name))")
                .json()
            return ArchivePolicy(
                finestSeconds: try policy.list("definition", Self.granularity).min() ?? 0,
                methods: try policy.list("aggregation_methods") { (field) throws(OpenStackError) in
                    try field.string()
                })
        }
    }

    /// The names of a resource's metrics, with each one's archive policy where Gnocchi tells it; nil if there is no such
    /// resource that this login may see.
    public func metrics(ofResource id: String, type: String = "generic") async throws(OpenStackError) -> [String:
        String]?
    {
        try await found { () async throws(OpenStackError) in
            let resource = try await call(
                Self.gnocchi, .get,
                "v1/resource/\(PercentEncoding.segment(type))/\(PercentEncoding.segment(id))"
            ).json()
            return try resource.member("metrics").strings()
        }
    }

    /// The archive policy of a metric.
    public struct MetricPolicy: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// The finest granularity in seconds; nil: Gnocchi does not tell.
        public var finestSeconds: Double?
    }

    /// The metrics of a resource by name, each with its archive policy. Empty if there is no such resource that this login
    /// may see.
    public func metricsWithPolicies(
        ofResource id: String
    ) async throws(OpenStackError) -> [String: MetricPolicy] {
        let answer = try await found { () async throws(OpenStackError) in
            try await call(Self.gnocchi, .get, "v1/resource/generic/\(PercentEncoding.segment(id))/metric").json()
        }
        guard let answer else { return [:] }
        var metrics: [String: MetricPolicy] = [:]
        for metric in try answer.elements() {
            guard let name = try metric.optionalString("name") else { continue }
            let policy = try metric.member("archive_policy")
            metrics[name] = MetricPolicy(
                name: try policy.string("name"),
                finestSeconds: try policy.optional("definition") == nil
                    ? nil : try policy.list("definition", Self.granularity).min())
        }
        return metrics
    }

    /// A resource.
    public struct GnocchiResource: Sendable, Equatable {
        /// Its id.
        public var id: String
        /// When it was made.
        public var startedAt: Timestamp
        /// Its attributes that are texts, also those of every resource.
        public var attributes: [String: String]
    }

    /// Resources of a type whose attributes have these values, the newest first.
    public func resources(
        type: String, where attributes: [String: String], limit: Int
    ) async throws(OpenStackError) -> [GnocchiResource] {
        let terms = attributes.sorted { $0.key < $1.key }.map { JSONValue.object(["=": [$0.key: .string($0.value)]]) }
        let answer = try await call(
            Self.gnocchi, .post, "v1/search/resource/\(PercentEncoding.segment(type))",
            query: [("limit", "\(limit)"), ("sort", "started_at:desc")], body: ["and": .array(terms)]
        ).json()
        var found: [GnocchiResource] = []
        for resource in try answer.elements() { found.append(try Self.resource(resource)) }
        return found
    }

    /// A resource of any type, with the attributes of every resource; nil if there is none that this login may see.
    public func resource(_ id: String) async throws(OpenStackError) -> GnocchiResource? {
        try await found { () async throws(OpenStackError) in
            try Self.resource(
                try await call(Self.gnocchi, .get, "v1/resource/generic/\(PercentEncoding.segment(id))").json())
        }
    }

    private static func resource(_ resource: Field) throws(OpenStackError) -> GnocchiResource {
        var texts: [String: String] = [:]
        for (name, field) in try resource.members() {
            if let text = field.value.stringValue { texts[name] = text }
        }
        return GnocchiResource(
            id: try resource.string("id"), startedAt: try resource.member("started_at").time(), attributes: texts)
    }

    /// `"0:01:00"`, `"60s"` or a number, as releases differ.
    private static func granularity(_ field: Field) throws(OpenStackError) -> Double {
        let member = try field.member("granularity")
        if let seconds = member.value.doubleValue { return seconds }
        let text = try member.string()
        var days = 0.0
        var rest = Substring(text)
        if let comma = text.firstIndex(of: ",") {
            days = Double(text.prefix { $0.isNumber }) ?? 0
            rest = text[text.index(after: comma)...].drop { $0 == " " }
        }
        let parts = rest.split(separator: ":").map { Double($0) }
        guard parts.count == 3, let hours = parts[0], let minutes = parts[1], let seconds = parts[2] else {
            throw member.malformed("is not a length of time")
        }
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    }

    func found<Value>(
        _ body: () async throws(OpenStackError) -> Value
    ) async throws(OpenStackError) -> Value? {
        do throws(OpenStackError) {
            return try await body()
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }
}
