import Crypto
import JSONReader
import Messages
import Support

/// Writes batches as the notifications `telemetry.polling` that ceilometer-agent-notification takes. Pure.
///
/// Every sample has all eleven keys: one that lacks any costs Ceilometer the whole notification. Numbers are finite, ids
/// are UUIDs, units are texts, for the same reason. There is no `_unique_id`: Ceilometer would skip a repetition.
struct CeilometerNotification: Sendable {
    /// The exchange that Ceilometer listens on by default.
    static let exchange = "ceilometer"
    /// Its queue and routing key.
    static let routingKey = "notifications.sample"
    /// `source` of our samples.
    static let source = "updraft"

    let publisherID: String
    /// The project that shall see the samples.
    let projectID: String
    let userID: String?
    /// `[publisher] telemetry_secret` of Ceilometer; nil: unsigned.
    let secret: [UInt8]?

    /// The body of a batch.
    func body(_ batch: TelemetryCore.Batch, at now: Timestamp) -> [UInt8] {
        let id = UUID5(
            namespace: TelemetryPoints.namespace, name: "\(publisherID)/\(batch.number)/\(now.microseconds)")
        var inner = JSONWriter()
        inner.object { inner in
            inner.member("event_type", "telemetry.polling")
            inner.member("message_id", id.description)
            inner.key("payload")
            inner.object { inner in
                inner.key("samples")
                inner.array { inner in
                    for entry in batch.entries { write(entry, &inner) }
                }
            }
            // The agent goes by this field, not by the routing key.
            inner.member("priority", "SAMPLE")
            inner.member("publisher_id", publisherID)
            inner.member("timestamp", now.oslo)
        }
        var outer = JSONWriter()
        outer.object { outer in
            outer.member("oslo.message", String(decoding: inner.bytes, as: UTF8.self))
            outer.member("oslo.version", "2.0")
        }
        return outer.bytes
    }

    private func write(_ entry: TelemetryCore.Entry, _ writer: inout JSONWriter) {
        for point in entry.points {
            let resource = point.id.description
            let time = point.at.rfc3339
            for (gauge, value) in point.values {
                let meter = gauge.meter(of: point.kind)
                let sample = Sample(
                    meter: meter, unit: gauge.unit, volume: PythonText.of(value),
                    messageID: UUID5(namespace: point.id, name: "\(meter)@\(point.at.microseconds)").description,
                    projectID: projectID, userID: userID, resourceID: resource,
                    metadata: entry.withAttributes ? point.attributes : [:], timestamp: time)
                sample.write(&writer, secret: secret)
            }
        }
    }

    /// One sample, ready to be written.
    struct Sample {
        var meter: String
        var unit: String
        /// As Python writes it.
        var volume: String
        var messageID: String
        var projectID: String
        var userID: String?
        var resourceID: String
        var metadata: [String: String]
        var timestamp: String

        func write(_ writer: inout JSONWriter, secret: [UInt8]?) {
            let metadata = metadata.sorted { $0.key < $1.key }
            writer.object { writer in
                writer.member("counter_name", meter)
                writer.member("counter_type", "gauge")
                writer.member("counter_unit", unit)
                writer.key("counter_volume")
                writer.raw(volume.utf8)
                writer.member("message_id", messageID)
                if let secret { writer.member("message_signature", signature(secret)) }
                writer.member("project_id", projectID)
                writer.member("resource_id", resourceID)
                writer.key("resource_metadata")
                writer.object { writer in
                    for (name, value) in metadata { writer.member(name, value) }
                }
                writer.member("source", CeilometerNotification.source)
                writer.member("timestamp", timestamp)
                writer.key("user_id")
                if let userID { writer.string(userID) } else { writer.null() }
            }
        }

        /// Ceilometer's own algorithm (`ceilometer/publisher/utils.py`, `compute_signature`): an HMAC-SHA256 over name
        /// and `str(value)` of every key, sorted by name, without separators; those of nested objects joined by `:`.
        func signature(_ secret: [UInt8]) -> String {
            var text = "counter_name" + meter + "counter_typegauge" + "counter_unit" + unit
            text += "counter_volume" + volume + "message_id" + messageID + "project_id" + projectID
            text += "resource_id" + resourceID
            for (name, value) in metadata.sorted(by: { $0.key < $1.key }) {
                text += "resource_metadata:\(name)\(value)"
            }
            text += "source" + CeilometerNotification.source + "timestamp" + timestamp
            text += "user_id" + (userID ?? "None")
            return hmacSHA256(key: secret, Array(text.utf8)).hex
        }
    }
}
