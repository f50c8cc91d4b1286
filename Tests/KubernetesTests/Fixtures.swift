import FoundationEssentials
import HTTPClient
import JSONReader
import Kubernetes

/// Recorded answers of a real API server (Kubernetes 1.20.2).
enum Fixture {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures")

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    static func lines(_ name: String) throws -> [[UInt8]] {
        try bytes(name).split(separator: 10).map { Array($0) }
    }

    static func object<Object: KubernetesResource>(
        _ type: Object.Type, _ name: String, version: String = "v1"
    ) throws -> Object {
        try JSONReader.read(try bytes(name)) { (reader) throws(JSONError) in
            try Object.read(&reader, version: version)
        }
    }

    /// The answer of a file that holds request, status, headers and body.
    static func response(_ name: String) throws -> HTTPResponse {
        let recorded = try JSONValue.parse(try bytes(name))
        var headers = HTTPHeaders()
        for (key, value) in recorded["headers"]?.objectValue ?? [:] { headers[key] = value.stringValue }
        return HTTPResponse(
            status: Int(recorded["status"]?.intValue ?? 0), headers: headers, body: recorded["body"]?.bytes ?? [])
    }

    /// An object out of JSON text.
    static func decode<Object: KubernetesResource>(
        _ type: Object.Type, _ text: String, version: String = "v1"
    ) throws(JSONError) -> Object {
        try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
            try Object.read(&reader, version: version)
        }
    }
}
