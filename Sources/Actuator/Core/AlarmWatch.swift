import Messages
import Support

/// When Aodh is asked for the alarms that rules are for, and what is said of its answers: so that a transition is not lost
/// that nobody heard, and a rule may name an alarm by its name. Pure.
///
/// A transition's own time goes along, from the alarm's history: what the bus has said already is said again to the
/// microsecond, so the Decider sees that nothing changed.
struct AlarmWatch: Sendable {
    /// An alarm as Aodh has it.
    struct Seen: Sendable, Equatable {
        var id: String
        var name: String
        var state: String
        var why: String
        /// What it watches, in words.
        var definition: String?
        /// The last transition of its history, if that led to this state.
        var since: Timestamp?
        /// There is no such alarm any more.
        var isGone = false
    }

    /// What came of asking.
    struct Answer: Sendable, Equatable {
        /// For the bus, in the order of ids.
        var alarms: [CloudAlarm] = []
        /// Alarms whose state is another than the one said last: nobody had heard of it.
        var missed: [(alarm: CloudAlarm, before: String)] = []
        /// Ids that rules name and that Aodh does not show to this login, each told once: deleted, mistyped, or another
        /// project's.
        var unseen: [String] = []

        static func == (left: Answer, right: Answer) -> Bool {
            left.alarms == right.alarms && left.missed.map(\.alarm) == right.missed.map(\.alarm)
                && left.unseen == right.unseen
                && left.missed.map(\.before) == right.missed.map(\.before)
        }
    }

    private struct Said: Sendable {
        var name: String?
        var state: String
        var at: Timestamp
        /// When that was heard, by our own clock.
        var heardAt: Timestamp
        /// Whether Aodh has shown it to us: others may be Alertmanager's.
        var wasSeen = false
    }

    private let cluster: String
    private let wanted: Set<String>
    private let interval: Interval
    /// What was said last of each alarm, by whomever.
    private var said: [String: Said] = [:]
    /// Ids that were told as unseen.
    private var toldUnseen: Set<String> = []
    /// Ids whose names nobody knew, which have been asked for since.
    private var nameless: Set<String> = []
    private var wantsLook = true
    private var lookedAt: Timestamp?
    private var busWorked = true
    /// How long after the last look the next one that is wanted soon may be: more with each that failed.
    private var pause = AlarmWatch.spacing

    /// Two looks keep this distance, whatever happens.
    private static let spacing = Interval.seconds(5)
    private static let remembered = 1_000

    /// - Parameter wanted: ids and names, as rules have them.
    init(cluster: String, wanted: Set<String>, interval: Interval) {
        self.cluster = cluster
        self.wanted = wanted
        self.interval = interval
    }

    /// Whether Aodh is to be asked now. At first, after the broker was away, when an alarm without a name is heard, and
    /// every interval.
    mutating func isDue(busWorks: Bool, at now: Timestamp) -> Bool {
        // What Aodh said meanwhile went nowhere.
        if busWorks, !busWorked { wantsLook = true }
        busWorked = busWorks
        // What is asked now could not be said.
        guard busWorks, !wanted.isEmpty else { return false }
        guard let lookedAt, now >= lookedAt else { return true }
        return now - lookedAt >= (wantsLook ? pause : interval)
    }

    /// This process begins to act, for the first time or again: what was said meanwhile went past it.
    mutating func begin() {
        wantsLook = true
    }

    /// Aodh did not answer.
    mutating func failed() {
        wantsLook = true
        pause = min(pause * 2, max(interval, Self.spacing))
    }

    /// The question goes out.
    mutating func asked(at now: Timestamp) {
        lookedAt = now
        wantsLook = false
    }

    /// Somebody said an alarm's state on the bus.
    mutating func heard(_ alarm: CloudAlarm, at now: Timestamp) {
        let before = said[alarm.alarmID]
        // A time that has not come would keep every later word out.
        let at = min(alarm.at, now)
        if let before, before.at > at { return }
        if said.count >= Self.remembered, before == nil { said = [:] }
        said[alarm.alarmID] = Said(
            name: alarm.name ?? before?.name, state: alarm.state, at: at, heardAt: now,
            wasSeen: before?.wasSeen ?? false)
        guard alarm.name == nil, before?.name == nil, !wanted.contains(alarm.alarmID) else { return }
        // Aodh's notifications bear no names, and a rule may be for it by its name.
        if nameless.count >= Self.remembered { nameless = [] }
        if nameless.insert(alarm.alarmID).inserted { wantsLook = true }
    }

    /// Aodh has answered.
    /// - Parameters:
    ///   - seen: the alarms that rules are for, those that exist.
    ///   - askedAt: when the question went out; what is said later on the bus is newer.
    ///   - isWhole: false: there are more alarms of these names than were read.
    ///   - seesAll: whether this login would see every alarm that may be heard of: only those of its project are heard.
    ///     Aodh answers 404 also for the alarms of other projects.
    mutating func answered(
        _ seen: [Seen], askedAt: Timestamp, isWhole: Bool = true, seesAll: Bool = true
    ) -> Answer {
        var answer = Answer()
        var there: Set<String> = []
        pause = Self.spacing
        for alarm in seen.sorted(by: { $0.id < $1.id }) where there.insert(alarm.id).inserted {
            tell(alarm, askedAt, &answer)
        }
        guard isWhole else { return answer }
        // One that was there and is not any more must not hold its last state for ever; nor one that a rule names by its
        // id and that nobody says anything of: it may have gone while another process looked. What somebody else says, such
        // as a webhook of another project, is theirs to end.
        let ids = wanted.filter(Self.isID)
        var absent = said.filter { lookedFor($0.key, $0.value) && $0.value.wasSeen }.map(\.key)
        if seesAll { absent += ids.filter { said[$0] == nil } }
        // Said again for a while, as the states of living ones are: a word may be lost, and a Decider may have been away. Not
        // for ever: one that is gone must not stay fresh beside a new one of its name.
        for id in absent.sorted() where !there.contains(id) {
            if let before = said[id], before.state == Self.unknown, askedAt - before.at > Self.goneIsRepeated {
                continue
            }
            let gone = Seen(
                id: id, name: said[id]?.name ?? "", state: Self.unknown, why: "Aodh has no such alarm", isGone: true)
            tell(gone, askedAt, &answer)
        }
        let unseen = ids.subtracting(there)
        answer.unseen = unseen.subtracting(toldUnseen).sorted()
        toldUnseen = unseen
        return answer
    }

    private static let unknown = "insufficient data"
    /// Longer than a word waits for a Decider that is away.
    private static let goneIsRepeated = Interval.minutes(60)

    /// Aodh's ids are UUIDs; it answers 404 to a path with anything else, and a name may look like anything.
    static func isID(_ word: String) -> Bool {
        word.utf8.count == 36
            && word.split(separator: "-", omittingEmptySubsequences: false).map(\.count) == [8, 4, 4, 4, 12]
    }

    private func lookedFor(_ id: String, _ said: Said) -> Bool {
        wanted.contains(id) || said.name.map { wanted.contains($0) } ?? false
    }

    private mutating func tell(_ alarm: Seen, _ askedAt: Timestamp, _ answer: inout Answer) {
        let before = said[alarm.id]
        let same = before?.state == alarm.state ? before?.at : nil
        // The bus was quicker than Aodh's answer.
        if let before, before.state != alarm.state, before.heardAt > askedAt { return }
        // What was heard before we asked, and is not so, came late: a webhook's word is as of when it comes.
        let isLate = before.map { $0.state != alarm.state && $0.at >= alarm.since ?? askedAt } ?? false
        // Without a history: as of the last word that said the same, else as of now. Never older than a word that said the
        // same: that of a webhook is as of when it came.
        let at =
            isLate ? max(askedAt, before?.at ?? askedAt) : alarm.since.map { max($0, same ?? $0) } ?? same ?? askedAt
        let name = alarm.name.isEmpty ? nil : String(alarm.name.prefix(200))
        let word = CloudAlarm(
            cluster: cluster, alarmID: alarm.id, name: name, state: alarm.state, why: String(alarm.why.prefix(300)),
            at: at, definition: alarm.definition.map { String($0.prefix(300)) }, isGone: alarm.isGone ? true : nil)
        answer.alarms.append(word)
        if let before, before.state != alarm.state { answer.missed.append((word, before.state)) }
        said[alarm.id] = Said(
            name: name, state: alarm.state, at: max(at, before?.at ?? at),
            heardAt: max(askedAt, before?.heardAt ?? askedAt), wasSeen: true)
    }
}
