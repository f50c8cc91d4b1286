import HTTPClient

/// Why a call to OpenStack failed. Never holds a password, secret or token.
public struct OpenStackError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it was.
    public enum Code: String, Sendable {
        /// Keystone refused the login, or a service refused a token that was just made.
        case unauthorized
        /// The login is good, the right is missing. Also a trust that the token may not replace.
        case forbidden
        /// No such stack, resource, server…
        case notFound
        /// Something is under way that excludes this (`ActionInProgress`), or changed meanwhile.
        case conflict
        /// The service understood and refused: a value out of range, a hook that is not pending.
        case badRequest
        /// A quota is used up.
        case quota
        /// The service failed or asks for patience (5xx, 429).
        case server
        /// No answer.
        case transport
        /// An answer that is not what the API promises; the message names call and JSON path.
        case malformed
        /// The cloud's configuration or catalogue does not lead to the service.
        case configuration
        /// The task was cancelled.
        case cancelled
    }

    /// What kind of failure it was.
    public let code: Code
    /// Which call: `PATCH orchestration stacks/k8s/9c5b…`. For `configuration` where the setting stands.
    public let call: String
    /// The HTTP status, if there was an answer.
    public let status: Int?
    /// The service's own name for it: `EntityNotFound`, `StackValidationFailed`, `MessagingTimeout`.
    public let type: String?
    /// What the service said, or what was wrong.
    public let message: String
    /// The id under which the service's operators find the request in their logs.
    public let requestID: String?
    /// Whether it is certain that the service did not see the request.
    public let isUnsent: Bool
    /// The ids of the resources that Gnocchi does not know, where it refuses measures for that; else empty.
    public let unknownResources: [String]

    /// An error.
    public init(
        _ code: Code, call: String, status: Int? = nil, type: String? = nil, message: String,
        requestID: String? = nil, isUnsent: Bool = false, unknownResources: [String] = []
    ) {
        self.code = code
        self.call = call
        self.status = status
        self.type = type
        self.message = message
        self.requestID = requestID
        self.isUnsent = isUnsent
        self.unknownResources = unknownResources
    }

    /// Whether the same call may well succeed later with nobody changing anything by hand.
    public var isRetriable: Bool {
        switch code {
        case .server, .transport, .conflict, .malformed: true
        case .unauthorized, .forbidden, .notFound, .badRequest, .quota, .configuration, .cancelled: false
        }
    }

    /// Whether it is Heat's own word that there is no such stack, and not a 404 of a proxy or behind a wrong endpoint.
    public var isGoneStack: Bool { code == .notFound && type == "EntityNotFound" }

    /// `notFound: GET orchestration stacks/k8s: 404 EntityNotFound: The Stack (k8s) could not be found.`
    public var description: String {
        let answer = [status.map(String.init), type].compactMap { $0 }.joined(separator: " ")
        return "\(code.rawValue): \(call): \(answer.isEmpty ? "" : answer + ": ")\(message)"
            + (requestID.map { " (\($0))" } ?? "")
    }

    /// The same, judged otherwise.
    func withCode(_ code: Code) -> OpenStackError {
        OpenStackError(
            code, call: call, status: status, type: type, message: message, requestID: requestID, isUnsent: isUnsent,
            unknownResources: unknownResources)
    }

    /// The same with more to say.
    func adding(_ word: String) -> OpenStackError {
        OpenStackError(
            code, call: call, status: status, type: type, message: "\(message); \(word)", requestID: requestID,
            isUnsent: isUnsent, unknownResources: unknownResources)
    }

    static func configuration(_ place: String, _ message: String) -> OpenStackError {
        OpenStackError(.configuration, call: place, message: message, isUnsent: true)
    }

    /// A failure without an answer.
    static func transport(_ error: HTTPError, call: String) -> OpenStackError {
        let code: Code =
            switch error.code {
            case .cancelled: .cancelled
            // These do not pass by waiting: somebody must change the certificate or the URL.
            case .tls, .invalidURL, .invalidRequest: .configuration
            case .tooLarge: .malformed
            default: .transport
            }
        return OpenStackError(code, call: call, message: error.description, isUnsent: error.isUnsent)
    }
}
