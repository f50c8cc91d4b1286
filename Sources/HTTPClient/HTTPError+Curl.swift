import CCurl

extension HTTPError {
    /// The failure of a transfer in this module's words.
    /// - Parameters:
    ///   - connected: whether the connection (with TLS) was established, so that the request may have been seen.
    ///   - status: of the answer that began, if one did.
    static func from(
        _ code: CURLcode, message: String, url: String, connected: Bool, status: Int?
    ) -> HTTPError {
        func error(_ own: Code) -> HTTPError {
            HTTPError(own, url: url, detail: message, isUnsent: !connected)
        }
        switch code {
        case CURLE_OPERATION_TIMEDOUT: return error(.timedOut)
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return error(.resolve)
        case CURLE_COULDNT_CONNECT: return error(.refused)
        case CURLE_SSL_CONNECT_ERROR:
            // A server that goes away during the handshake (a restart behind a load balancer) is no certificate matter.
            let cut = message.contains("SSL_ERROR_SYSCALL") || message.contains("reset by peer")
            return error(cut ? .closed : .tls)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_SSL_CLIENTCERT, CURLE_USE_SSL_FAILED, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_INITFAILED,
            CURLE_SSL_ENGINE_SETFAILED, CURLE_SSL_CRL_BADFILE:
            return error(.tls)
        case CURLE_FILESIZE_EXCEEDED: return HTTPError(.tooLarge, url: url, detail: message, status: status)
        case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR: return error(.closed)
        case CURLE_URL_MALFORMAT: return error(.invalidURL)
        case CURLE_OUT_OF_MEMORY: return error(.overloaded)
        default: return error(.protocolError)
        }
    }
}
