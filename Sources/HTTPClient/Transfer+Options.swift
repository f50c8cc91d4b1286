import CCurl
import CShimsCurl

extension Transfer {
    /// What all transfers of a client have in common.
    struct Profile: Sendable {
        let tls: TLSSettings
        let userAgent: String
        /// Streams get a connection of their own and HTTP/1.1: in HTTP/2 of libcurl 7.88 one paused stream can hold up
        /// the others of its connection, and a slow reader of a watch must not delay an eviction.
        let ownConnection: Bool
    }

    /// Sets everything for this transfer. The error says what could not be set.
    func configure(_ profile: Profile, now: Int64) throws(HTTPError) {
        let request = job.request
        var failed: [String] = []
        func check(_ done: Bool, _ what: String) {
            if !done { failed.append(what) }
        }
        check(easy.setErrorBuffer(), "error buffer")
        let context = Unmanaged.passUnretained(self).toOpaque()
        check(
            updraft_curl_set_receivers(easy.raw, TransferCallbacks.body, TransferCallbacks.header, context) == 0,
            "callbacks")
        check(easy.set(CURLOPT_URL, job.target.text), "URL")
        check(easy.set(CURLOPT_PROTOCOLS_STR, "http,https"), "protocols")
        check(easy.set(CURLOPT_FOLLOWLOCATION, 0), "redirects")
        // http_proxy and its like count, but not for this machine: the proxy's 127.0.0.1 is another.
        if job.target.isLoopback { check(easy.set(CURLOPT_NOPROXY, "*"), "no proxy") }
        check(easy.set(CURLOPT_NOSIGNAL, 1), "NOSIGNAL")
        // Without it, cancelling during a slow name lookup would wait for the lookup on the event thread.
        check(easy.set(CURLOPT_QUICK_EXIT, 1), "QUICK_EXIT")
        check(updraft_curl_set_private_sockets(easy.raw) == 0, "sockets")
        check(easy.set(CURLOPT_TCP_KEEPALIVE, 1), "keep-alive")
        check(easy.set(CURLOPT_TCP_KEEPIDLE, 30), "keep-alive")
        check(easy.set(CURLOPT_TCP_KEEPINTVL, 10), "keep-alive")
        check(easy.set(CURLOPT_USERAGENT, profile.userAgent), "user agent")
        check(easy.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(request.timeouts.connect.microseconds)), "timeout")
        if case .whole = job.sink {
            if let deadline = job.deadline {
                check(easy.set(CURLOPT_TIMEOUT_MS, milliseconds(deadline - now)), "timeout")
            }
            check(easy.set(CURLOPT_MAXFILESIZE_LARGE, large: request.maximumResponseBytes), "size limit")
        }
        setVersion(profile, check)
        setMethodAndHeaders(check)
        if job.target.isSecure { setTLS(profile.tls, check) }
        guard failed.isEmpty else {
            throw HTTPError(
                .invalidRequest, url: request.url,
                detail: "libcurl refused to set: " + failed.joined(separator: ", "), isUnsent: true)
        }
    }

    /// libcurl takes 0 for "no limit", so a limit that has passed becomes one millisecond.
    private func milliseconds(_ microseconds: Int64) -> Int {
        Int(min(max(microseconds / 1_000, 1), Int64(Int32.max)))
    }

    private func setVersion(_ profile: Profile, _ check: (Bool, String) -> Void) {
        if profile.ownConnection {
            check(easy.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1), "HTTP version")
            check(easy.set(CURLOPT_FRESH_CONNECT, 1), "own connection")
            check(easy.set(CURLOPT_FORBID_REUSE, 1), "own connection")
        } else if job.target.isSecure {
            check(easy.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS), "HTTP version")
            check(easy.set(CURLOPT_PIPEWAIT, 1), "PIPEWAIT")
        } else {
            // Not PIPEWAIT here: without ALPN libcurl learns only from the first *answer* that it cannot share the
            // connection, so one slow answer would hold up all other requests to that server.
            check(easy.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1), "HTTP version")
        }
    }

    private func setMethodAndHeaders(_ check: (Bool, String) -> Void) {
        let request = job.request
        switch request.method {
        case .get where request.body == nil:
            check(easy.set(CURLOPT_HTTPGET, 1), "method")
        case .head:
            check(easy.set(CURLOPT_NOBODY, 1), "method")
        case .post:
            check(easy.set(CURLOPT_POST, 1), "method")
        case .get, .put, .patch, .delete:
            check(easy.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue), "method")
        }
        if request.method == .post || (request.body != nil && request.method != .head) {
            check(easy.setBody(request.body ?? []), "body")
        }
        var lines: [String] = []
        if request.headers["Expect"] == nil { lines.append("Expect:") }
        // libcurl would name any body a web form.
        if request.headers["Content-Type"] == nil { lines.append("Content-Type:") }
        if job.target.text != request.url, request.headers["Host"] == nil {
            lines.append("Host: \(hostField)")
        }
        for field in request.headers.fields {
            lines.append(field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)")
        }
        check(easy.set(CURLOPT_HTTPHEADER, list: lines), "headers")
    }

    private var hostField: String {
        let standard = job.target.isSecure ? 443 : 80
        return job.target.port == standard ? job.target.host : "\(job.target.host):\(job.target.port)"
    }

    private func setTLS(_ tls: TLSSettings, _ check: (Bool, String) -> Void) {
        check(easy.set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2), "TLS version")
        if tls.insecureSkipVerify {
            check(easy.set(CURLOPT_SSL_VERIFYPEER, 0), "verification")
            check(easy.set(CURLOPT_SSL_VERIFYHOST, 0), "verification")
        } else if tls.caData != nil || tls.caFile != nil {
            // The distribution's directory of public authorities would be trusted beside the private one.
            check(easy.set(CURLOPT_CAPATH, nil), "CA path")
            if let data = tls.caData {
                check(easy.set(CURLOPT_CAINFO, nil), "CA")
                check(easy.set(CURLOPT_CAINFO_BLOB, blob: data), "CA")
            } else {
                check(easy.set(CURLOPT_CAINFO, tls.caFile), "CA")
            }
        }
        // libcurl keeps a parsed CA file for a day by itself; a rotated one must be seen sooner.
        check(easy.set(CURLOPT_CA_CACHE_TIMEOUT, 60), "CA cache")
        if let data = tls.clientCertificateData {
            check(easy.set(CURLOPT_SSLCERT_BLOB, blob: data), "client certificate")
        } else if let file = tls.clientCertificateFile {
            check(easy.set(CURLOPT_SSLCERT, file), "client certificate")
        }
        if let data = tls.clientKeyData ?? (tls.clientKeyFile == nil ? tls.clientCertificateData : nil) {
            check(easy.set(CURLOPT_SSLKEY_BLOB, blob: data), "client key")
        } else if let file = tls.clientKeyFile ?? tls.clientCertificateFile {
            check(easy.set(CURLOPT_SSLKEY, file), "client key")
        }
        if job.target.text != job.request.url {
            check(easy.set(CURLOPT_CONNECT_TO, list: ["::\(job.target.host):\(job.target.port)"]), "server name")
        }
    }
}
