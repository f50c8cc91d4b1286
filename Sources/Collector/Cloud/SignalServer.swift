import Bus
import Crypto
import HTTPServer
import JSONReader
import Messages
import ServiceRuntime
import Support

/// Takes signals of alarms and people: `POST /signal/<group>/<up|down>?token=…`, and hands them on as
/// `scale.requested`; and the states of alarms, `POST /alarms?token=…`, as `cloud.alarm` (`AlarmWebhook`).
///
/// The token stands in the query, or as password in the address (`http://x:TOKEN@host/…`, which clients send as Basic
/// credentials), or as Bearer token. It is never logged. The body may be Aodh's, or anything else, or missing.
struct SignalServer: Sendable {
    /// What the handler needs of the world.
    struct Doors: Sendable {
        var now: @Sendable () -> Timestamp = { .now() }
        var newID: @Sendable () -> String = { String(UInt64.random(in: 0 ... .max), radix: 36) }
        /// False: the broker did not take it.
        var publish: @Sendable (ScaleRequested) async -> Bool
        /// The same for the state of an alarm.
        var publishAlarm: @Sendable (CloudAlarm) async -> Bool = { _ in false }
        /// Told how many alerts Alertmanager left out of a message.
        var truncated: @Sendable (Int) -> Void = { _ in }
        /// Told why alerts of a message were passed over.
        var passedOver: @Sendable ([String]) -> Void = { _ in }
        /// Told now and then that a message with alarms was refused as a whole, and why: its sender gives it up.
        var refused: @Sendable (_ what: String) -> Void = { _ in }
        /// Told now and then that a token for an address that there is was wrong.
        var forged: @Sendable (_ path: String) -> Void = { _ in }
        /// How it ended, for metrics: the HTTP status.
        var ended: @Sendable (Int) -> Void = { _ in }
    }

    /// A larger body is answered 413. Aodh's are below one KiB; Alertmanager's hold about one for each alert.
    static let maximumBodyBytes = 1 << 20
    /// A request that nobody takes in this time is forgotten: an alarm that still holds says so again.
    static let lifetime = Interval.seconds(120)

    private let cluster: String
    private let groups: Set<String>
    private let urls: SignalURL
    private let doors: Doors
    private let gate = Lock(SignalGate.signals)
    private let alarmGate = Lock(SignalGate.alarms)
    /// When a wrong token was last told of, by path: whoever posts it is most likely an alarm whose address holds no more.
    private let told = Lock<[String: Timestamp]>([:])

    init(cluster: String, groups: Set<String>, urls: SignalURL, doors: Doors) {
        self.cluster = cluster
        self.groups = groups
        self.urls = urls
        self.doors = doors
    }

    /// Starts to listen.
    func listen(host: String, port: UInt16, tls: ServerTLS? = nil) throws(HTTPServerError) -> HTTPServer {
        try HTTPServer(
            host: host, port: port, maximumBodyBytes: Self.maximumBodyBytes, maximumConnections: 256,
            idleTimeout: .seconds(30), tls: tls, refused: { tooLarge($0) }
        ) { request in
            let response = await reply(to: request)
            doors.ended(response.status)
            return .response(response)
        }
    }

    /// The server has refused a request, since its body is too large. Of a message with alarms that is told as any other refusal
    /// is: its sender gives it up, and whoever looks after alerts that do not come would look in vain.
    private func tooLarge(_ request: ServerRequest) {
        doors.ended(413)
        guard request.path == "/alarms" else { return }
        guard let token = Self.token(of: request), urls.isValid(alarms: token) else { return tellForged("/alarms") }
        if isNews("/alarms: size") {
            doors.refused("it has more than \(Self.maximumBodyBytes) bytes: group the alerts otherwise")
        }
    }

    /// The answer to one request.
    func reply(to request: ServerRequest) async -> ServerResponse {
        if request.path == "/alarms" { return await takeAlarms(request) }
        let parts = request.path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[1] == "signal", let direction = ScaleRequested.Direction(rawValue: parts[3])
        else { return error(404, "signals are posted to /signal/<group>/<up|down>, alarms to /alarms") }
        guard request.method == "POST" else { return error(405, "POST") }
        let group = parts[2]
        guard let step = request[query: "step"].map({ Int($0) }) ?? 1, (1...ScaleRequested.maximumStep).contains(step)
        else { return error(400, "step is a number from 1 to \(ScaleRequested.maximumStep)") }
        // Before anything is said of groups: strangers learn nothing.
        guard let token = Self.token(of: request), urls.isValid(token, group: group, direction, step: step) else {
            if groups.contains(group) { tellForged("/signal/\(group)/\(direction.rawValue)") }
            return error(401, "the token is missing or is not that of this address")
        }
        guard groups.contains(group) else { return error(404, "no such group") }
        let now = doors.now()
        guard gate.withLock({ $0.admits(group, at: now) }) else {
            var response = error(429, "too many signals for this group")
            response.headers.append(("Retry-After", String(Int(SignalGate.signals.refill.inSeconds))))
            return response
        }
        let (who, why) = Self.sender(request)
        let signal = ScaleRequested(
            cluster: cluster, id: "signal-\(group)-\(direction.rawValue)-\(doors.newID())", group: group,
            direction: direction, step: step, who: who, why: why, at: now, deadline: now + Self.lifetime)
        guard await doors.publish(signal) else {
            var response = error(503, "the broker did not take it; send it again")
            response.headers.append(("Retry-After", "5"))
            return response
        }
        return .json(202, JSONValue.object(["id": .string(signal.id)]).text)
    }

    /// States of alarms, all or none: who is answered 503 sends them again, and a state said twice does no harm.
    private func takeAlarms(_ request: ServerRequest) async -> ServerResponse {
        guard request.method == "POST" else { return error(405, "POST") }
        guard let token = Self.token(of: request), urls.isValid(alarms: token) else {
            tellForged("/alarms")
            return error(401, "the token is missing or is not that of this address")
        }
        let now = doors.now()
        guard alarmGate.withLock({ $0.admits("alarms", at: now) }) else {
            // Not 429: Alertmanager gives up on every 4xx and sends again after 5xx only.
            var response = error(503, "too many messages with alarms; send it again")
            response.headers.append(("Retry-After", String(Int(SignalGate.alarms.refill.inSeconds))))
            return response
        }
        let told: AlarmWebhook.Told
        do throws(AlarmWebhook.Refusal) {
            told = try AlarmWebhook.read(request.body, cluster: cluster, at: now)
        } catch {
            if isNews("/alarms: body") { doors.refused(error.what) }
            return self.error(400, error.what)
        }
        if told.truncated > 0 { doors.truncated(told.truncated) }
        if !told.faults.isEmpty { doors.passedOver(told.faults) }
        for alarm in told.alarms {
            guard await doors.publishAlarm(alarm) else {
                var response = error(503, "the broker did not take it; send it again")
                response.headers.append(("Retry-After", "5"))
                return response
            }
        }
        var answer: JSONValue = ["alarms": .int(Int64(told.alarms.count))]
        if !told.faults.isEmpty { answer["passed_over"] = .array(told.faults.prefix(20).map { .string($0) }) }
        return .json(202, answer.text)
    }

    private func tellForged(_ path: String) {
        if isNews(path) { doors.forged(path) }
    }

    /// Once an hour for each matter; those are few.
    private func isNews(_ matter: String) -> Bool {
        let now = doors.now()
        return told.withLock { told in
            if let last = told[matter], now >= last, now - last < .minutes(60) { return false }
            told[matter] = now
            return true
        }
    }

    private func error(_ status: Int, _ what: String) -> ServerResponse {
        .json(status, JSONValue.object(["error": .string(what)]).text)
    }

    private static func token(of request: ServerRequest) -> String? {
        if let token = request[query: "token"], !token.isEmpty { return token }
        guard let header = request.headers["Authorization"] else { return nil }
        if header.hasPrefix("Bearer ") { return String(header.dropFirst(7)) }
        guard header.hasPrefix("Basic "), let bytes = [UInt8](base64: String(header.dropFirst(6))) else { return nil }
        let pair = String(decoding: bytes, as: UTF8.self)
        guard let colon = pair.firstIndex(of: ":") else { return nil }
        let password = pair[pair.index(after: colon)...]
        return password.isEmpty ? String(pair[..<colon]) : String(password)
    }

    /// Who asks and why: Aodh's words where the body is Aodh's, else the address.
    private static func sender(_ request: ServerRequest) -> (who: String, why: String) {
        guard let body = try? JSONValue.parse(request.body), let alarm = body["alarm_id"]?.stringValue else {
            return (request.remote, "")
        }
        let name = body["alarm_name"]?.stringValue.map { "\(clean($0, 100)) " } ?? ""
        return ("alarm \(name)(\(clean(alarm, 64)))", clean(body["reason"]?.stringValue ?? "", 300))
    }

    private static func clean(_ text: String, _ most: Int) -> String { AlarmWebhook.clean(text, most) }
}

extension SignalServer {
    /// The service's own: signals go to the bus, and each is logged without its token.
    init(_ context: ServiceContext, _ bus: Bus) {
        let settings = context.settings
        let log = context.log
        let answers = context.metrics.counter(
            "collector_signals", "Signals by alarms and people, by the status of the answer.",
            .label("status", ["202", "400", "401", "404", "405", "413", "429", "503"]))
        self.init(
            cluster: settings.cluster, groups: Set(settings.groups.map(\.id)), urls: SignalURL(settings),
            doors: Doors(
                publish: { signal in
                    let what: KeyValuePairs<LogKey, LogValue> = [
                        .decision: .string(signal.id), .group: .string(signal.group),
                        .reason: .string("\(signal.direction.rawValue) \(signal.step)"),
                        .details: .string("\(signal.who): \(signal.why)"),
                    ]
                    do throws(BusError) {
                        _ = try await bus.publish(signal)
                        log.info("scale requested", what)
                        return true
                    } catch {
                        log.warning("a signal was not handed on", what)
                        return false
                    }
                },
                publishAlarm: { alarm in
                    let what: KeyValuePairs<LogKey, LogValue> = [
                        .alarm: .string("\(alarm.name ?? "") (\(alarm.alarmID))"), .status: .string(alarm.state),
                        .reason: .string(alarm.why),
                    ]
                    do throws(BusError) {
                        _ = try await bus.publish(alarm)
                        log.info("an alarm changed its state", what)
                        return true
                    } catch {
                        log.warning("the state of an alarm was not handed on", what)
                        return false
                    }
                },
                truncated: { number in
                    log.warning(
                        "Alertmanager left alerts out of its message: set max_alerts of the receiver to 0",
                        [.total: .int(number)])
                },
                passedOver: { faults in
                    log.warning(
                        "alerts of a message are not used; the others are",
                        [.total: .int(faults.count), .details: .string(faults.prefix(3).joined(separator: "; "))])
                },
                refused: { what in
                    log.warning(
                        "a message with alarms was refused, and its sender gives it up", [.details: .string(what)])
                },
                forged: { path in
                    log.warning(
                        "a signal was refused: its token is missing or wrong. If an alarm posts it, give it the address that "
                            + "`updraft signal-url` prints", [.path: .string(path)])
                }, ended: { answers.increment(String($0)) }))
    }
}
