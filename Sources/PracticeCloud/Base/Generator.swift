/// Names and ids out of a seed, so that a model which needs "random" ids stays a value without outside input
/// (SplitMix64; not for secrets).
struct Generator: Sendable {
    private var state: UInt64

    /// Equal seeds give equal names in equal order.
    init(seed: UInt64) {
        state = seed
    }

    /// The next 64 bits.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A generator of its own, for another model.
    mutating func fork() -> Generator {
        Generator(seed: next())
    }

    /// A version 4 UUID in lower case.
    mutating func uuid() -> String {
        let text = hexadecimal(32)
        let at = { (from: Int, to: Int) in
            String(text[text.index(text.startIndex, offsetBy: from)..<text.index(text.startIndex, offsetBy: to)])
        }
        let variant = ["8", "9", "a", "b"][Int(next() % 4)]
        return "\(at(0, 8))-\(at(8, 12))-4\(at(13, 16))-\(variant)\(at(17, 20))-\(at(20, 32))"
    }

    /// `count` hexadecimal digits, as Keystone's project ids.
    mutating func hexadecimal(_ count: Int) -> String {
        letters(count, of: "0123456789abcdef")
    }

    /// Twelve characters as Heat names members and nested stacks.
    mutating func heatSuffix() -> String {
        letters(12, of: "abcdefghijklmnopqrstuvwxyz234567")
    }

    /// Characters as Kubernetes appends to `generateName` (no vowels).
    mutating func kubernetesSuffix(_ count: Int = 5) -> String {
        letters(count, of: "bcdfghjklmnpqrstvwxz2456789")
    }

    private mutating func letters(_ count: Int, of alphabet: StaticString) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        let length = UInt64(alphabet.utf8CodeUnitCount)
        for _ in 0..<count {
            let place = Int(next() % length)
            alphabet.withUTF8Buffer { bytes.append($0[place]) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
