import HTTPClient
import JSONReader

extension OpenStackError {
    /// Makes the error of an answer that is none of 2xx.
    /// - Parameter secrets: texts that must not appear, whatever the service echoes.
    static func from(_ response: HTTPResponse, call: String, secrets: [String]) -> OpenStackError {
        var (type, message) = explanation(response)
        for secret in secrets where secret.utf8.count >= 4 { message = message.replacing(secret, with: "***") }
        return OpenStackError(
            code(response.status, type: type, message: message), call: call, status: response.status, type: type,
            message: message, requestID: response.headers["X-Openstack-Request-Id"],
            unknownResources: response.status == 400 ? unknownResources(response) : [])
    }

    /// Gnocchi: `{"description": {"cause": "Unknown resources", "detail": [{"resource_id": "…", …}]}}`
    private static func unknownResources(_ response: HTTPResponse) -> [String] {
        guard let description = (try? JSONValue.parse(response.body))?["description"],
            description["cause"]?.stringValue == "Unknown resources"
        else { return [] }
        return (description["detail"]?.arrayValue ?? []).compactMap { $0["resource_id"]?.stringValue }
    }

    private static func code(_ status: Int, type: String?, message: String) -> Code {
        let text = message.lowercased()
        switch status {
        case 401: return .unauthorized
        case 403, 413: return text.contains("quota exceeded") ? .quota : status == 403 ? .forbidden : .badRequest
        case 404, 410: return .notFound
        case 409: return .conflict
        case 300: return .configuration
        case 408, 429: return .server
        case 400..<500: return .badRequest
        case 500 where type == "RemoteError" && (text.contains("delegated token") || text.contains("trust")):
            // Heat would have to make a new trust for a PATCH by another user, which a delegated token (application
            // credential, trust) is not allowed to do: docs/openstack/heat.md §8, footnote 1.
            return .forbidden
        default: return .server
        }
    }

    /// Type and message in the forms of Heat, Keystone and Nova, else the beginning of the text.
    private static func explanation(_ response: HTTPResponse) -> (type: String?, message: String) {
        if response.status == 300 {
            return (nil, "the endpoint is not versioned (300 Multiple Choices): its URL must lead to one version")
        }
        if let object = try? JSONValue.parse(response.body).objectValue {
            if let error = object["error"], error.objectValue != nil {
                let type = error["type"]?.stringValue
                let message = error["message"]?.stringValue ?? object["explanation"]?.stringValue
                return (type, shortened(message ?? error["title"]?.stringValue ?? "no message"))
            }
            if object.count == 1, let (key, inner) = object.first, let message = inner["message"]?.stringValue {
                // Nova: {"itemNotFound": {"code": 404, "message": "…"}}
                return (key, shortened(message))
            }
            if let description = object["description"], !description.isNull {
                // Gnocchi: {"code": 400, "title": "Bad Request", "description": "…"}, or an object in its place
                return (object["title"]?.stringValue, shortened(description.stringValue ?? description.text))
            }
            if let message = object["message"]?.stringValue ?? object["title"]?.stringValue {
                return (nil, shortened(message))
            }
        }
        let text = shortened(response.text)
        return (nil, text.isEmpty ? "no message" : text)
    }

    /// One line without mark-up (WSGI's own errors are HTML, also inside JSON), cut to what fits a log line.
    private static func shortened(_ text: String) -> String {
        var plain = ""
        var isTag = false
        for character in text.prefix(8_192) {
            switch character {
            case "<": isTag = true
            case ">" where isTag:
                isTag = false
                plain.append(" ")
            default: if !isTag { plain.append(character) }
            }
        }
        let line = plain.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return line.count > 600 ? line.prefix(600) + "…" : line
    }
}
