import HTTPClient
import JSONReader
import Support

/// Reading Gnocchi's measures.
extension OpenStackClient {
    /// The measures of a resource's metric, as `[time, granularity, value]`, newest last; nil if there is no such metric, or
    /// not with that granularity and aggregation.
    /// - Parameter refresh: what has come since the last aggregation is aggregated first, which costs Gnocchi work.
    public func measures(
        ofResource id: String, type: String = "generic", metric: String, granularity: Int? = nil,
        aggregation: String = "mean", since start: Timestamp? = nil, refresh: Bool = true
    ) async throws(OpenStackError) -> [Measure]? {
        var query = [("aggregation", aggregation)]
        if refresh { query.append(("refresh", "true")) }
        if let granularity { query.append(("granularity", "\(granularity)")) }
        if let start { query.append(("start", start.rfc3339)) }
        return try await found { () async throws(OpenStackError) in
            let path =
                "v1/resource/\(PercentEncoding.segment(type))/\(PercentEncoding.segment(id))/metric/"
                + "\(PercentEncoding.segment(metric))/measures"
            return try Self.measures(try await call(Self.gnocchi, .get, path, query: query).json())
        }
    }

    /// The measures of a metric over all resources of a type that have not ended and whose attributes are as said, newest last.
    /// - Parameters:
    ///   - across: how those of several resources become one: `mean`, `sum`, `max`, `min`.
    ///   - needsAll: whether a time counts only where every resource has a measure.
    /// - Throws: `badRequest` when no resource has the metric, or none with that granularity.
    public func measures(
        across: String, ofResourceType type: String, match: [String: String], metric: String, granularity: Int,
        aggregation: String, needsAll: Bool, since start: Timestamp
    ) async throws(OpenStackError) -> [Measure] {
        var query = [("granularity", "\(granularity)"), ("start", start.rfc3339)]
        if !needsAll { query.append(("needed_overlap", "0")) }
        let conditions = match.sorted { $0.key < $1.key }.map { JSONValue.object(["=": [$0.key: .string($0.value)]]) }
        let body: JSONValue = [
            "resource_type": .string(type),
            "search": ["and": .array(conditions + [["=": ["ended_at": .null]]])],
            "operations": [
                "aggregate", .string(across), ["metric", .string(metric), .string(aggregation)],
            ],
        ]
        let answer = try await call(Self.gnocchi, .post, "v1/aggregates", query: query, body: body).json()
        return try Self.measures(try answer.member("measures").member("aggregated"))
    }

    /// One measure: the start of its granule, the granule's length in seconds, the value.
    public typealias Measure = (at: Timestamp, granularity: Double, value: Double)

    private static func measures(_ list: Field) throws(OpenStackError) -> [Measure] {
        var measures: [Measure] = []
        for entry in try list.elements() {
            let parts = try entry.elements()
            guard parts.count == 3, let step = parts[1].value.doubleValue else {
                throw entry.malformed("is not [time, granularity, value]")
            }
            // A value that is no number was `NaN`.
            guard let value = parts[2].value.doubleValue else { continue }
            measures.append((try parts[0].time(), step, value))
        }
        return measures
    }
}
