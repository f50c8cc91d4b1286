import JSONReader
import Messages
import Support

/// `telemetry.polling` of Ceilometer's compute agents, checked and reduced to the nodes' servers. Pure.
struct HypervisorNotification {
    /// The event type's beginning.
    static let eventType = "telemetry.polling"
    /// More samples in one notification are not looked at.
    private static let maximumSamples = 20_000

    /// What is used.
    private(set) var samples: [CloudStats.Sample] = []
    /// What is not, by why.
    private(set) var refused: [ForeignRefusal.Why: Int] = [:]

    /// Reads a notification.
    /// - Parameters:
    ///   - meters: the names that are wanted.
    ///   - nodes: node names by server id. Samples of other servers are none of ours, and are passed over. Those of a device of a
    ///     node's server (`disk.device.*`, `network.*`) are refused: they are not the server's whole.
    init(_ text: String, meters: Set<String>, nodes: [String: String]) throws(ForeignRefusal) {
        do throws(JSONError) {
            try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
                try reader.object { (reader, key) throws(JSONError) in
                    guard key == "payload" else { return try reader.skip() }
                    try reader.object { (reader, key) throws(JSONError) in
                        guard key == "samples" else { return try reader.skip() }
                        var count = 0
                        try reader.array { (reader) throws(JSONError) in
                            count += 1
                            if count > Self.maximumSamples { return try reader.skip() }
                            take(try Self.read(&reader), meters, nodes)
                        }
                    }
                }
            }
        } catch {
            throw ForeignRefusal(why: .malformed, what: "\(error)")
        }
    }

    private struct Raw {
        var meter: String?
        var kind: String?
        var unit: String?
        var server: String?
        /// The server that a device belongs to; of a server itself it is the same once more.
        var instance: String?
        var time: String?
        var value: Double?
        var isForeignValue = false
    }

    private static func read(_ reader: inout JSONReader) throws(JSONError) -> Raw {
        var raw = Raw()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "counter_name": raw.meter = try text(&reader)
            case "counter_type": raw.kind = try text(&reader)
            case "counter_unit": raw.unit = try text(&reader)
            case "resource_id": raw.server = try text(&reader)
            case "resource_metadata":
                guard try reader.kind() == .object else { return try reader.skip() }
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "instance_id" { raw.instance = try text(&reader) } else { try reader.skip() }
                }
            case "timestamp": raw.time = try text(&reader)
            case "counter_volume":
                if try reader.kind() == .number {
                    raw.value = Double(String(decoding: try reader.rawValue(), as: UTF8.self))
                } else {
                    raw.isForeignValue = true
                    try reader.skip()
                }
            default: try reader.skip()
            }
        }
        return raw
    }

    /// A text; nil for anything else.
    private static func text(_ reader: inout JSONReader) throws(JSONError) -> String? {
        guard try reader.kind() == .string else {
            try reader.skip()
            return nil
        }
        return try reader.string()
    }

    private mutating func take(_ raw: Raw, _ meters: Set<String>, _ nodes: [String: String]) {
        guard let meter = raw.meter, let server = raw.server else { return refuse(.malformed) }
        guard meters.contains(meter) else { return }
        guard let node = nodes[server] else {
            if let instance = raw.instance, nodes[instance] != nil { refuse(.ofDevice) }
            return
        }
        guard let value = raw.value, value.isFinite else { return refuse(raw.isForeignValue ? .malformed : .notFinite) }
        guard let at = raw.time.flatMap({ Timestamp($0) }) else { return refuse(.badTime) }
        samples.append(
            CloudStats.Sample(
                serverID: server, node: node, meter: meter, kind: raw.kind ?? "gauge",
                unit: String((raw.unit ?? "").prefix(40)), value: value, at: at))
    }

    private mutating func refuse(_ why: ForeignRefusal.Why) {
        refused[why, default: 0] += 1
    }
}
