import HTTPClient
import JSONReader
import Support

/// Why a call to the API server failed.
public struct KubernetesError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it was.
    public enum Code: Sendable, Equatable {
        /// 401, also after the credential was read again.
        case unauthorized
        /// 403: the service account lacks a right; the message names verb and resource.
        case forbidden
        /// 404: no such object, or no such API.
        case notFound
        /// 409: another resource version, or a precondition on the uid does not hold.
        case conflict
        /// 409 to a create: an object of that name is there.
        case alreadyExists
        /// 410, as an answer or as an ERROR event of a watch: the version is too old, list again.
        case gone
        /// 429 because of load, with the server's `Retry-After` if it named one.
        case tooManyRequests(retryAfter: Interval?)
        /// 429 to an eviction: a budget forbids it now. `isProcessing`: the controller has not looked at the budget
        /// yet, so that another attempt soon is worth it.
        case disruptionBudget(name: String?, isProcessing: Bool)
        /// 500 to an eviction: two budgets cover the pod, which no server version evicts until one is removed.
        case twoBudgets
        /// 400, 405, 415, 422 and the like: the request itself is wrong.
        case invalid
        /// 5xx.
        case server
        /// No answer: refused, timed out, TLS, cancelled.
        case transport(HTTPError.Code)
        /// An answer that is not what it should be.
        case malformed
        /// kubeconfig, token file or credential plug-in: nothing was sent.
        case configuration
    }

    /// What kind of failure it was.
    public var code: Code
    /// What was tried, e.g. `GET /api/v1/nodes`; for configuration errors the file.
    public var operation: String
    /// The server's message, or the particulars of a failure on this side. Without secrets.
    public var message: String
    /// The answer's status, where there was one.
    public var status: Int?

    /// From its parts.
    public init(_ code: Code, operation: String, message: String, status: Int? = nil) {
        self.code = code
        self.operation = operation
        self.message = message
        self.status = status
    }

    /// Whether the same call may well succeed a little later with nothing repaired.
    public var isRetriable: Bool {
        switch code {
        case .tooManyRequests, .disruptionBudget, .server, .conflict, .gone: true
        case .transport(let code): HTTPError(code, url: "", detail: "").isRetriable
        case .unauthorized, .forbidden, .notFound, .alreadyExists, .twoBudgets, .invalid, .malformed, .configuration:
            false
        }
    }

    /// A word for metrics and logs: one of a small fixed set.
    public var label: String {
        switch code {
        case .unauthorized: "unauthorized"
        case .forbidden: "forbidden"
        case .notFound: "not_found"
        case .conflict: "conflict"
        case .alreadyExists: "already_exists"
        case .gone: "gone"
        case .tooManyRequests: "too_many_requests"
        case .disruptionBudget: "disruption_budget"
        case .twoBudgets: "two_budgets"
        case .invalid: "invalid"
        case .server: "server"
        case .transport: "transport"
        case .malformed: "malformed"
        case .configuration: "configuration"
        }
    }

    /// `GET /api/v1/nodes: 403: nodes is forbidden: User … cannot list resource "nodes" …`
    public var description: String {
        "\(operation): \(status.map { "\($0): " } ?? "")\(message)"
    }
}

extension KubernetesError {
    /// What a failed exchange means.
    init(_ error: HTTPError, operation: String) {
        self.init(.transport(error.code), operation: operation, message: error.description)
    }

    /// What an answer other than 2xx means.
    init(_ response: HTTPResponse, operation: String) {
        let status = StatusObject(response)
        self.init(
            KubernetesError.code(status, response), operation: operation,
            message: status.causes.isEmpty ? status.message : "\(status.message) \(status.causes[0].message)",
            status: response.status)
    }

    /// What an ERROR event of a watch means.
    init(_ status: StatusObject, operation: String) {
        let response = HTTPResponse(status: status.code ?? 500)
        self.init(
            KubernetesError.code(status, response), operation: operation, message: status.message,
            status: response.status)
    }

    private static func code(_ status: StatusObject, _ response: HTTPResponse) -> Code {
        switch response.status {
        case 401: return .unauthorized
        case 403: return .forbidden
        case 404: return .notFound
        case 409: return status.reason == "AlreadyExists" ? .alreadyExists : .conflict
        case 410: return .gone
        case 429:
            if let cause = status.causes.first(where: { $0.reason == "DisruptionBudget" }) {
                return .disruptionBudget(
                    name: budgetName(cause.message), isProcessing: cause.message.contains("still being processed"))
            }
            return .tooManyRequests(retryAfter: retryAfter(status, response))
        case 500...:
            if status.message.contains("more than one PodDisruptionBudget") { return .twoBudgets }
            if let interval = retryAfter(status, response) { return .tooManyRequests(retryAfter: interval) }
            return .server
        default:
            // A watch may carry reason Expired in an event without a code.
            return status.reason == "Expired" || status.reason == "Gone" ? .gone : .invalid
        }
    }

    private static func retryAfter(_ status: StatusObject, _ response: HTTPResponse) -> Interval? {
        let seconds = response.headers["Retry-After"].flatMap { Int64($0) } ?? status.retryAfterSeconds
        guard let seconds, seconds > 0 else { return nil }
        return .seconds(Double(min(seconds, 3_600)))
    }

    /// "The disruption budget web needs 2 healthy pods and has 2 currently": the name has no field of its own.
    private static func budgetName(_ message: String) -> String? {
        let words = message.split(separator: " ")
        guard let index = words.firstIndex(of: "budget"), words.indices.contains(index + 1) else { return nil }
        return String(words[index + 1])
    }
}

/// A `Status` object: the body of every error of an API server. A body that is none gives its beginning as message.
struct StatusObject: Sendable, Equatable {
    struct Cause: Sendable, Equatable {
        var reason = ""
        var message = ""
    }

    var message = ""
    var reason = ""
    var code: Int?
    var retryAfterSeconds: Int64?
    var causes: [Cause] = []

    init(_ response: HTTPResponse) {
        let parsed = try? JSONReader.read(response.body) { (reader) throws(JSONError) in
            try StatusObject(reading: &reader)
        }
        if let parsed, !parsed.message.isEmpty || !parsed.reason.isEmpty {
            self = parsed
        } else {
            let text = String(decoding: response.body.prefix(300), as: UTF8.self)
            message = text.isEmpty ? "no further particulars" : text
        }
    }

    init(reading reader: inout JSONReader) throws(JSONError) {
        var status = StatusObject()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "message": status.message = try reader.stringOrNull() ?? ""
            case "reason": status.reason = try reader.stringOrNull() ?? ""
            case "code": status.code = Int(try reader.int())
            case "details":
                if try reader.isNull() { return }
                try reader.object { (reader, key) throws(JSONError) in
                    switch key {
                    case "retryAfterSeconds": status.retryAfterSeconds = try reader.int()
                    case "causes": status.causes = try StatusObject.causes(&reader)
                    default: try reader.skip()
                    }
                }
            default: try reader.skip()
            }
        }
        self = status
    }

    private init() {}

    private static func causes(_ reader: inout JSONReader) throws(JSONError) -> [Cause] {
        if try reader.isNull() { return [] }
        var causes: [Cause] = []
        try reader.array { (reader) throws(JSONError) in
            var cause = Cause()
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "reason": cause.reason = try reader.stringOrNull() ?? ""
                case "message": cause.message = try reader.stringOrNull() ?? ""
                default: try reader.skip()
                }
            }
            causes.append(cause)
        }
        return causes
    }
}
