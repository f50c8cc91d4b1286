import Glibc
import Settings

/// What a person reads. Unbuffered, so that a killed process has said all it had to say.
enum Terminal {
    /// A line on standard output.
    static func line(_ text: String) {
        write(text + "\n", to: 1)
    }

    /// A line on standard error.
    static func complaint(_ text: String) {
        write(text + "\n", to: 2)
    }

    /// What is no mistake in the configuration unless the Collector reads the same, on standard error.
    static func warnings(of settings: Settings, _ command: String) {
        for warning in settings.warnings {
            complaint("\(command): unless the Collector has it otherwise: \(warning)")
        }
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                return
            }
        }
    }
}
