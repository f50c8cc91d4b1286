import CCurl

/// The parts of a URL that the client needs, as libcurl itself understands them.
struct RequestURL {
    let isSecure: Bool
    let host: String
    let port: Int
    /// The URL with its host replaced, for `TLSSettings.serverName`.
    let text: String

    /// Whether the host is this machine, by its name or a loopback address.
    var isLoopback: Bool {
        let host = host.lowercased()
        return host == "localhost" || host.hasPrefix("127.") || host == "[::1]" || host == "::1"
    }

    /// Refuses what is not an absolute `http` or `https` URL.
    static func parse(_ text: String, serverName: String?) throws(HTTPError) -> RequestURL {
        guard let handle = curl_url() else { throw HTTPError(.invalidURL, url: text, detail: "out of memory") }
        defer { curl_url_cleanup(handle) }
        func part(_ part: CURLUPart, _ flags: UInt32 = 0) -> String? {
            var value: UnsafeMutablePointer<CChar>?
            guard curl_url_get(handle, part, &value, flags) == CURLUE_OK, let value else { return nil }
            defer { curl_free(value) }
            return String(cString: value)
        }
        // A C string ends at NUL: what follows would silently be cut off.
        guard !text.utf8.contains(0) else { throw HTTPError(.invalidURL, url: text, detail: "holds a NUL byte") }
        let code = curl_url_set(handle, CURLUPART_URL, text, 0)
        guard code == CURLUE_OK else {
            throw HTTPError(.invalidURL, url: text, detail: String(cString: curl_url_strerror(code)))
        }
        guard let scheme = part(CURLUPART_SCHEME), scheme == "http" || scheme == "https" else {
            throw HTTPError(.invalidURL, url: text, detail: "must begin with http:// or https://")
        }
        guard let host = part(CURLUPART_HOST), !host.isEmpty,
            let port = part(CURLUPART_PORT, UInt32(CURLU_DEFAULT_PORT)).flatMap(Int.init)
        else { throw HTTPError(.invalidURL, url: text, detail: "names no host") }
        var target = text
        if scheme == "https", let serverName {
            guard curl_url_set(handle, CURLUPART_HOST, serverName, 0) == CURLUE_OK, let renamed = part(CURLUPART_URL)
            else {
                throw HTTPError(.invalidURL, url: text, detail: "server name \"\(serverName)\" is not a host name")
            }
            target = renamed
        }
        return RequestURL(isSecure: scheme == "https", host: host, port: port, text: target)
    }
}
