/// How a client proves itself and whom it trusts. Files are read for each new connection, so rotated ones are seen.
public struct TLSSettings: Sendable, Hashable {
    /// PEM file with the trusted authorities; nil with `caData` nil: those of the system.
    public var caFile: String?
    /// PEM text with the trusted authorities; goes before `caFile`.
    public var caData: [UInt8]?
    /// PEM file with the client certificate (chain).
    public var clientCertificateFile: String?
    /// PEM text with the client certificate (chain); goes before the file.
    public var clientCertificateData: [UInt8]?
    /// PEM file with the client key; nil with `clientKeyData` nil: the key is in the certificate's PEM.
    public var clientKeyFile: String?
    /// PEM text with the client key; goes before the file.
    public var clientKeyData: [UInt8]?
    /// The name to ask for (SNI) and to find in the server's certificate, where it is not the URL's host.
    public var serverName: String?
    /// Accept any certificate. For tests and for kubeconfig's `insecure-skip-tls-verify` only.
    public var insecureSkipVerify: Bool

    /// Settings as given; by default the system's authorities and no client certificate.
    public init(
        caFile: String? = nil, caData: [UInt8]? = nil,
        clientCertificateFile: String? = nil, clientCertificateData: [UInt8]? = nil,
        clientKeyFile: String? = nil, clientKeyData: [UInt8]? = nil,
        serverName: String? = nil, insecureSkipVerify: Bool = false
    ) {
        self.caFile = caFile
        self.caData = caData
        self.clientCertificateFile = clientCertificateFile
        self.clientCertificateData = clientCertificateData
        self.clientKeyFile = clientKeyFile
        self.clientKeyData = clientKeyData
        self.serverName = serverName
        self.insecureSkipVerify = insecureSkipVerify
    }
}

extension TLSSettings: CustomStringConvertible, CustomDebugStringConvertible {
    /// Names of files and whether data is there; never the key.
    public var description: String {
        func source(_ file: String?, _ data: [UInt8]?) -> String {
            data != nil ? "in memory" : file ?? "none"
        }
        return "TLS(ca: \(source(caFile, caData)), "
            + "certificate: \(source(clientCertificateFile, clientCertificateData)), "
            + "key: \(source(clientKeyFile, clientKeyData)), server name: \(serverName ?? "of the URL")"
            + (insecureSkipVerify ? ", NOT VERIFIED)" : ")")
    }

    /// The same as `description`.
    public var debugDescription: String { description }
}
