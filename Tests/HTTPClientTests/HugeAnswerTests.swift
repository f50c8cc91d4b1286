import HTTPClient
import Support
import TestServer
import Testing

/// Answers of half a gigabyte, really offered.
@Suite(.serialized, .timeLimit(.minutes(6)))
struct HugeAnswerTests {
    private static let huge = 500 << 20

    /// What the server got rid of before the connection was cut, in bytes.
    private final class Offer: Sendable {
        private let state = Lock((sent: 0, isOver: false, peak: 0))

        var sent: Int { state.withLock { $0.sent } }
        var isOver: Bool { state.withLock { $0.isOver } }
        var peak: Int { state.withLock { $0.peak } }

        /// Sends `piece` until `total` bytes are out or the other side has gone.
        func make(_ total: Int, _ piece: [UInt8], _ send: ([UInt8]) -> Bool) {
            var left = total
            while left > 0, send(piece) {
                left -= piece.count
                let sent = total - left
                state.withLock { $0.sent = sent }
                if sent % (8 << 20) < piece.count {
                    let memory = Memory.megabytes
                    state.withLock { $0.peak = max($0.peak, memory) }
                }
            }
            state.withLock { $0.isOver = true }
        }
    }

    @Test(
        "500 MB are refused: at the head if it says so, else at the limit; the connection is cut, memory stays",
        arguments: ["length", "chunks", "close"])
    func refused(how: String) async throws {
        let offer = Offer()
        let server = TestServer { connection in
            _ = connection.readRequest()
            let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 16)
            switch how {
            case "length":
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(Self.huge)\r\n\r\n")
                offer.make(Self.huge, piece) { connection.write($0) }
            case "chunks":
                connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                offer.make(Self.huge, piece) { connection.write(Array("10000\r\n".utf8) + $0 + Array("\r\n".utf8)) }
            default:
                connection.write("HTTP/1.1 200 OK\r\n\r\n")
                offer.make(Self.huge, piece) { connection.write($0) }
            }
        }
        let client = HTTPClient()
        let before = Memory.megabytes
        let limit = 16 << 20
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, server.url, maximumResponseBytes: limit, retry: .none))
        }
        #expect(error?.code == .tooLarge, "\(String(describing: error))")
        #expect(error?.isRetriable == false)
        try await eventually("the end of the offer") { offer.isOver }
        // The limit, and what the kernel holds between the two.
        #expect(offer.sent < limit + (64 << 20), "\(offer.sent >> 20) MB were taken")
        #expect(offer.peak - before < 200, "memory grew from \(before) to \(offer.peak) MB")
        await client.close()
    }
}
