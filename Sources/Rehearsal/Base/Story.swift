import Support

/// What happened, a line each. Kept only when somebody wants to read it: a run that fails is run again with a story.
struct Story {
    let isKept: Bool
    private(set) var lines: [String] = []

    init(isKept: Bool) {
        self.isKept = isKept
    }

    mutating func say(_ now: Timestamp, _ who: String, _ what: String) {
        let milliseconds = (now - World.start).microseconds / 1_000
        let fraction = "\(1_000 + milliseconds % 1_000)".dropFirst()
        let seconds = "\(milliseconds / 1_000)"
        let time = String(repeating: " ", count: max(0, 5 - seconds.count)) + seconds + "." + fraction
        lines.append("\(time)  \(who)\(String(repeating: " ", count: max(1, 12 - who.count)))\(what)")
    }
}
