/// One thing that is wrong with the configuration.
public struct SettingsMistake: Sendable, Hashable, CustomStringConvertible {
    /// Where it was written: `updraft.yaml:12`, `environment UPDRAFT_LOG_LEVEL`, `--set log.level`.
    public let origin: String
    /// The field: `groups[0].max`. Empty when the whole source is meant.
    public let path: String
    /// What is wrong; never shows a secret.
    public let what: String
    /// What would be right, if that can be said.
    public let allowed: String?

    /// From its parts.
    public init(origin: String, path: String, what: String, allowed: String? = nil) {
        self.origin = origin
        self.path = path
        self.what = what
        self.allowed = allowed
    }

    /// `origin: path: what (allowed: …)`.
    public var description: String {
        "\(origin): " + (path.isEmpty ? "" : "\(path): ") + what + (allowed.map { " (allowed: \($0))" } ?? "")
    }
}

/// Everything that is wrong with the configuration, found at once.
public struct SettingsErrors: Error, Sendable, CustomStringConvertible {
    /// The mistakes in the order of the file, then the environment, then the flags.
    public let mistakes: [SettingsMistake]

    /// From a list that is not empty.
    public init(_ mistakes: [SettingsMistake]) {
        self.mistakes = mistakes
    }

    /// The same configuration fails again.
    public var isRetriable: Bool { false }

    /// A line for each mistake.
    public var description: String {
        mistakes.map(\.description).joined(separator: "\n")
    }
}
