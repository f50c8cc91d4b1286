import Crypto
import Testing

@Suite struct CryptoTests {
    @Test func `SHA-256 of "abc" is that of FIPS 180-2`() {
        #expect(
            sha256(Array("abc".utf8)).hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(sha256([]).hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test func `HMAC-SHA256 follows RFC 4231`() {
        #expect(
            hmacSHA256(key: Array(repeating: 0x0b, count: 20), Array("Hi There".utf8)).hex
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            hmacSHA256(key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8)).hex
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        // A key above the block size is hashed first.
        #expect(
            hmacSHA256(
                key: Array(repeating: 0xaa, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
            ).hex == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test func `An empty key and an empty message work, as zero padding of the key demands`() {
        let code = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        #expect(hmacSHA256(key: [], []).hex == code)
    }

    @Test func `Equality does not look at more than equality`() {
        #expect(constantTimeEquals([1, 2, 3], [1, 2, 3]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2, 4]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2]))
        #expect(constantTimeEquals([], []))
    }

    @Test(arguments: [0, 1, 7, 8, 9, 32, 1_000])
    func `Random bytes are as many as asked for`(count: Int) {
        #expect(randomBytes(count).count == count)
    }

    @Test func `Random bytes differ`() {
        #expect(randomBytes(16) != randomBytes(16))
    }

    @Test func `Hexadecimal goes both ways and refuses the rest`() {
        let all = (0...255).map(UInt8.init)
        #expect([UInt8](hex: all.hex) == all)
        #expect([UInt8](hex: "FFfe") == [255, 254])
        #expect([UInt8](hex: "abc") == nil)
        #expect([UInt8](hex: "zz") == nil)
        #expect([UInt8](hex: "") == [])
    }

    @Test func `Base64 goes both ways and refuses the rest`() {
        #expect(Array("foob".utf8).base64 == "Zm9vYg==")
        #expect([UInt8](base64: "Zm9vYg==") == Array("foob".utf8))
        #expect([UInt8](base64: "Zm9*") == nil)
    }
}
