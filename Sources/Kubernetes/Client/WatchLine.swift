/// Decoding of single lines of a recorded watch, for replays and tests.
public enum WatchLine {
    /// What one line says. Never fails: what cannot be read is `rejected`.
    public static func decode<Object: KubernetesResource>(
        _ type: Object.Type, _ line: [UInt8], version: String = Object.resource.version
    ) -> WatchEvent<Object> {
        WatchEvent.decode(line, version: version, operation: "recorded watch of \(type.resource)")
    }
}
