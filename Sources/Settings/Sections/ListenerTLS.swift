import Support

extension Settings {
    /// `tls` of a listener: certificate and key. Both or neither.
    public struct ListenerTLS: Sendable, Hashable {
        /// PEM file: the certificate, followed by its chain.
        public var certificateFile: String
        /// PEM file: the private key.
        public var keyFile: String

        /// Declares the two fields; nil where none is set.
        static func read(_ reader: SettingsReader) -> ListenerTLS? {
            let certificate = reader.path(
                "cert_file",
                "PEM file of the certificate, followed by its chain. With it the address speaks `https` only. Read when the "
                    + "service starts.")
            let key = reader.path("key_file", "PEM file of the private key.")
            if let certificate, let key { return ListenerTLS(certificateFile: certificate, keyFile: key) }
            if certificate != nil { reader.mistake("cert_file", "stands alone", allowed: "with key_file") }
            if key != nil { reader.mistake("key_file", "stands alone", allowed: "with cert_file") }
            return nil
        }
    }
}
