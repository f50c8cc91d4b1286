import FoundationEssentials
import HTTPClient
import Messages
import Settings
import Support

/// Calls the hooks that pods declare. What is at the other end may be anything: it gets so much time, so many bytes, no
/// second address (redirects are not followed), and no host that the configuration does not allow.
final class HookDoor: Sendable {
    /// A reply is an answer of a few words.
    static let maximumReplyBytes = 64 << 10

    private let http: HTTPClient
    private let timeout: Interval
    private let foreignHosts: [Glob]

    /// - Parameters:
    ///   - timeout: for one call, from the lookup of the name to the last byte.
    ///   - foreignHosts: hosts other than the pod itself that may be called.
    init(tls: TLSSettings, timeout: Interval, foreignHosts: [Glob], maximumInFlight: Int, userAgent: String) {
        http = HTTPClient(tls: tls, maximumInFlight: maximumInFlight, userAgent: userAgent)
        self.timeout = timeout
        self.foreignHosts = foreignHosts
    }

    /// As configured.
    convenience init(_ settings: Settings.Notifier.Hooks, userAgent: String) {
        self.init(
            tls: TLSSettings(caFile: settings.caFile, insecureSkipVerify: settings.insecure),
            timeout: settings.timeout, foreignHosts: settings.foreignHosts, maximumInFlight: settings.parallel,
            userAgent: userAgent)
    }

    /// Tells a pod.
    func call(_ notice: Notice, cluster: String, token: String, answerURL: String?, isDryRun: Bool) async
        -> DeliveryOutcome
    {
        let url: String
        do throws(HookAddress.Mistake) {
            url = try HookAddress.url(of: notice.pod, foreignHosts: foreignHosts)
        } catch {
            return .failed(error.what, isRetriable: error.isRetriable)
        }
        if isDryRun { return .delivered(answer: nil) }
        let payload = PodShutdown(notice, cluster: cluster, token: token, answerURL: answerURL)
        guard let body = try? JSONEncoder().encode(CloudEvent.shutdown(payload, of: notice, at: .now())) else {
            return .failed("the notice cannot be encoded", isRetriable: false)
        }
        let request = HTTPRequest(
            .post, url, headers: ["Content-Type": "application/cloudevents+json; charset=utf-8"], body: Array(body),
            timeouts: HTTPTimeouts(connect: timeout, total: timeout),
            maximumResponseBytes: HookDoor.maximumReplyBytes, retry: .none)
        do throws(HTTPError) {
            return HookDoor.outcome(try await http.send(request))
        } catch {
            if error.code == .tooLarge, let status = error.status, (200..<300).contains(status) {
                return .garbled("the hook replied more than \(HookDoor.maximumReplyBytes >> 10) KiB")
            }
            if let status = error.status { return HookDoor.outcome(HTTPResponse(status: status)) }
            let isRetriable = error.isRetriable || error.code == .tls
            return .failed("the hook did not answer: \(error.code)", isRetriable: isRetriable)
        }
    }

    private static func outcome(_ response: HTTPResponse) -> DeliveryOutcome {
        switch response.status {
        case 200..<300:
            // Most hooks reply something of their own, or nothing.
            guard let body = AnswerBody(response.body) else { return .delivered(answer: nil) }
            guard let word = body.word else {
                return .garbled("the hook replied no answer: it must be done, refuse, or extend with seconds")
            }
            return .delivered(answer: word)
        case 300..<400:
            return .failed("the hook answered \(response.status); redirects are not followed", isRetriable: false)
        default:
            // 404 and the like may well pass while the application starts or reloads.
            return .failed("the hook answered \(response.status)", isRetriable: true)
        }
    }

    /// Ends it.
    func close() async {
        await http.close()
    }
}
