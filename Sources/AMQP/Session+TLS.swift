import COpenSSL
import CRabbitMQ
import Glibc

extension Session {
    /// A TLS socket that checks the broker's certificate. Files are tried first, because the library's own word for a
    /// missing file is "a SSL error occurred".
    static func tlsSocket(
        _ state: amqp_connection_state_t, _ host: TransportURL.Host, _ tls: AMQPTLS
    ) throws(AMQPError) -> OpaquePointer {
        for (name, file) in [
            ("CA file", tls.caFile), ("client certificate", tls.certificateFile), ("client key", tls.keyFile),
        ] {
            guard let file, access(file, R_OK) != 0 else { continue }
            throw AMQPError(.tls, "\(name) \(file): \(String(cString: strerror(errno)))")
        }
        guard let socket = amqp_ssl_socket_new(state) else { throw AMQPError(.tls, "no TLS socket") }
        guard amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(.tls, "TLS 1.2 is not available")
        }
        let context = amqp_ssl_socket_get_context(socket).map { OpaquePointer($0) }
        if let caFile = tls.caFile {
            guard amqp_ssl_socket_set_cacert(socket, caFile) == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(.tls, "CA file \(caFile) holds no certificate")
            }
        } else if let context {
            // The library loads none by itself.
            SSL_CTX_set_default_verify_paths(context)
        }
        if let certificate = tls.certificateFile {
            let key = tls.keyFile ?? certificate
            guard amqp_ssl_socket_set_key(socket, certificate, key) == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(.tls, "client certificate \(certificate) and key \(key) cannot be used together")
            }
        }
        amqp_ssl_socket_set_verify_peer(socket, 1)
        try verifyHost(socket, context, host.host, tls.verifyHost)
        return socket
    }

    /// The library compares DNS names only and refuses a certificate for an IP address; OpenSSL's own check of the
    /// chain takes the address then.
    private static func verifyHost(
        _ socket: OpaquePointer, _ context: OpaquePointer?, _ host: String, _ verify: Bool
    ) throws(AMQPError) {
        guard verify else {
            amqp_ssl_socket_set_verify_hostname(socket, 0)
            return
        }
        guard isAddress(host) else {
            amqp_ssl_socket_set_verify_hostname(socket, 1)
            return
        }
        amqp_ssl_socket_set_verify_hostname(socket, 0)
        guard let context, X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(context), host) == 1 else {
            throw AMQPError(.tls, "the address \(host) cannot be checked against the broker's certificate")
        }
    }

    static func isAddress(_ host: String) -> Bool {
        var buffer = in6_addr()
        return inet_pton(AF_INET, host, &buffer) == 1 || inet_pton(AF_INET6, host, &buffer) == 1
    }
}
