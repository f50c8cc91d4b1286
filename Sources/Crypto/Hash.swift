import COpenSSL

/// SHA-256 of `bytes`: 32 bytes.
public func sha256(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    _ = SHA256(bytes, bytes.count, &digest)
    return digest
}

/// HMAC-SHA256 (RFC 2104) of `message` under `key`: 32 bytes.
public func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    var code = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    var length: UInt32 = 0
    // A null key would mean "the key of the last call" to OpenSSL; an empty Swift array may well be a null pointer.
    let key = key.isEmpty ? [0] : key
    _ = HMAC(EVP_sha256(), key, Int32(clamping: key.count), message, message.count, &code, &length)
    return code
}

/// Whether two byte strings are equal, in a time that depends on their length only: for codes and tokens, so that an
/// attacker cannot guess them byte by byte.
public func constantTimeEquals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    return CRYPTO_memcmp(left, right, left.count) == 0
}

/// `count` bytes nobody can foresee, from the kernel's generator.
public func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
        withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0.prefix(count - bytes.count)) }
    }
    return bytes
}

/// SHA-1 of `bytes`: 20 bytes. For names only (`UUID5`); it protects nothing.
public func sha1(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: Int(SHA_DIGEST_LENGTH))
    _ = SHA1(bytes, bytes.count, &digest)
    return digest
}
