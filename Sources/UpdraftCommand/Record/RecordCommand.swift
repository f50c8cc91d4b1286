import Bus
import Decider
import FoundationEssentials
import Messages
import ServiceRuntime
import Settings
import Support

/// `updraft record`: writes what the Decider reads, for `updraft simulate`.
enum RecordCommand {
    static let usage = Usage(
        name: "record", words: "--output FILE", count: 0...0,
        about: """
            Writes what the Decider reads to a file, for replays under changed rules (updraft simulate --help): state of the
            cluster, states of the groups, what became of decisions, measurements. It listens on a queue of its own, which goes
            with it; nobody else loses a message. It begins with a request for a snapshot, so that the recording holds all
            that is needed. One JSON line a message, with the time of its arrival. Labels and annotations of pods are in it
            (no environment, no secrets); only its owner may read the file.

            Ends with Ctrl-C, after --for, or when the file has reached --max-size.
            """,
        flags: [
            Usage.Flag("--output", "FILE", "the file to write"),
            Usage.Flag("--force", nil, "replace the file if it is there"),
            Usage.Flag("--for", "TIME", "end after this, e.g. 10m"),
            Usage.Flag("--max-size", "SIZE", "end when the file is this large (default 256MiB)"),
        ] + SuiteLink.flags + [Usage.Flag("--json", nil, "print the summary as JSON")],
        exitCodes: """
            0 recorded; 1 the recording lacks a snapshot or a group, or the broker cannot be used;
            2 wrong usage or configuration.
            """)

    /// What is printed at the end.
    struct Summary: Sendable, Encodable {
        var file: String
        var bytes = 0
        var messages = 0
        var seconds = 0.0
        var events: [String: Int] = [:]
        var endedBy = ""
        var hasSnapshot = false
        var groupsMissing: [String] = []

        var isUsable: Bool { hasSnapshot && groupsMissing.isEmpty }

        var text: String {
            var lines = ["\(file): \(messages) messages, \(bytes) bytes, \(Int(seconds)) s; ended by \(endedBy)"]
            lines += events.sorted { $0.key < $1.key }.map { "  \($0.value) × \($0.key)" }
            if !hasSnapshot { lines.append("no whole snapshot of the cluster came: is a Collector running?") }
            if !groupsMissing.isEmpty {
                lines.append("nothing was heard of \(groupsMissing.joined(separator: ", ")): is an Actuator running?")
            }
            return lines.joined(separator: "\n")
        }

        var json: String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
        }
    }

    static func run(_ arguments: [String]) async -> Int32 {
        await usage.run(arguments) { (read) async throws(CommandError) in
            guard let path = read.value("--output") else { throw CommandError("--output FILE is needed", exitCode: 2) }
            let limit = try SuiteLink.interval(read, "--for", in: .milliseconds(100) ... .minutes(60 * 24 * 31))
            let size = read.value("--max-size")
            guard let maximum = size == nil ? 256 << 20 : Units.bytes(size ?? ""), maximum >= 1 << 10 else {
                throw CommandError("--max-size \(size ?? ""): a size like 64MiB", exitCode: 2)
            }
            let link = try await SuiteLink(read)
            let wish = Shutdown()
            let signals = Interruptions(wish)
            defer { signals.cancel() }
            let summary = try await record(
                link, to: path, replacing: read.switches.contains("--force"), for: limit, maximumBytes: maximum, wish)
            Terminal.line(read.switches.contains("--json") ? summary.json : summary.text)
            return summary.isUsable ? 0 : 1
        }
    }

    /// Records until the end is wanted, `limit` is over or the file is full.
    static func record(
        _ link: SuiteLink, to path: String, replacing: Bool, for limit: Interval?, maximumBytes: Int, _ wish: Shutdown
    ) async throws(CommandError) -> Summary {
        try await Hearing.run(link, topics: [.state, .groups, .lifecycle, .stats], maximumLength: 50_000) {
            (hearing) async throws(CommandError) in
            let writer = try RecordingWriter(path, replacing: replacing)
            let begun = Timestamp.now()
            var history = RecordedHistory(groups: Set(link.settings.groups.map(\.id)))
            var watch = GapWatch()
            var summary = Summary(file: path)
            var toldAt = begun
            let head = Recording.Head(
                cluster: link.cluster, startedAt: begun, writer: "updraft \(UpdraftVersion.text)")
            try writer.write(try Self.line { () throws(DeciderError) in try Recording.line(head) })
            for await heard in hearing.heard {
                let now = Timestamp.now()
                switch heard {
                case .connected: watch.noteConnected()
                case .disconnected(let why): Terminal.complaint("… no connection to the broker: \(why)")
                case .tick: try writer.flush()
                case .message(let incoming):
                    let entry = Recording.Entry(at: now, event: incoming.event)
                    watch.note(incoming.event)
                    history.take(entry)
                    try writer.write(
                        try Self.line { () throws(DeciderError) in try Recording.line(entry, incoming.envelope) })
                    summary.messages += 1
                }
                if watch.wantsSnapshot(at: now) {
                    let request = SnapshotRequested(
                        cluster: link.cluster, requester: "updraft record on \(SuiteLink.hostName())",
                        why: "a recording begins, or has a gap")
                    // If it does not get through, it is asked again.
                    _ = try? await hearing.bus.publish(request)
                }
                if now - toldAt >= .seconds(10) {
                    toldAt = now
                    Terminal.complaint(
                        "… \(Int((now - begun).inSeconds)) s, \(summary.messages) messages, \(writer.size) bytes")
                }
                if wish.isRequested {
                    summary.endedBy = wish.reason ?? ""
                } else if writer.size >= maximumBytes {
                    summary.endedBy = "--max-size"
                } else if let limit, now - begun >= limit {
                    summary.endedBy = "--for"
                }
                if !summary.endedBy.isEmpty { break }
            }
            try writer.flush()
            summary.bytes = writer.size
            summary.seconds = (Timestamp.now() - begun).inSeconds
            summary.events = Dictionary(uniqueKeysWithValues: history.counts.map { ($0.key.rawValue, $0.value) })
            summary.hasSnapshot = history.hasSnapshot
            summary.groupsMissing = link.settings.groups.map(\.id).filter { !history.heardGroups.contains($0) }
            return summary
        }
    }

    private static func line(_ make: () throws(DeciderError) -> String) throws(CommandError) -> String {
        do throws(DeciderError) {
            return try make()
        } catch {
            throw CommandError(error.text)
        }
    }
}

/// Knows when the stream of states has a gap, and when to ask for a snapshot. Pure.
struct GapWatch: Sendable {
    private var feed = ClusterFeed()
    private var isWanted = false
    private var askedAt: Timestamp?

    /// The queue is there (again): what came before was not heard.
    mutating func noteConnected() {
        isWanted = true
        askedAt = nil
    }

    mutating func note(_ event: Event) {
        switch event {
        case .clusterSnapshot(let snapshot):
            switch feed.take(snapshot) {
            case .whole: isWanted = false
            case .gap: isWanted = true
            case .waiting, .ignored: break
            }
        case .clusterDelta(let delta):
            if case .gap = feed.take(delta) { isWanted = true }
        default: break
        }
    }

    /// Whether to ask now; true once, and again after five seconds without an answer.
    mutating func wantsSnapshot(at now: Timestamp) -> Bool {
        guard isWanted, askedAt.map({ now >= $0 + .seconds(5) }) ?? true else { return false }
        askedAt = now
        return true
    }
}
