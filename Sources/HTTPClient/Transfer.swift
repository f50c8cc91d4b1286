import CCurl
import CShimsCurl
import Glibc
import Support

/// One transfer under way. Lives on the event thread only; libcurl's callbacks come in there as well.
final class Transfer {
    let job: TransferJob
    let easy: EasyHandle
    /// The limit that our own callback hit, which goes before libcurl's "write error".
    private(set) var ownFailure: HTTPError?
    private(set) var isPaused = false
    private(set) var hasHead = false
    /// When the last byte came or went, monotonic microseconds.
    private(set) var lastActivity: Int64
    private var uploadedBytes: Int64 = 0

    private var head = HTTPResponseHead(status: 0, headers: [:])
    private var headBytes = 0
    private var body: [UInt8] = []
    private var partialLine: [UInt8] = []

    /// More header than this is no honest answer.
    private static let maximumHeadBytes = 256 << 10

    init(_ job: TransferJob, _ easy: EasyHandle, now: Int64) {
        self.job = job
        self.easy = easy
        lastActivity = now
    }

    // MARK: Callbacks

    /// One header line, with its line end.
    func receivedHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        lastActivity = monotonicMicroseconds()
        headBytes += bytes.count
        guard headBytes <= Self.maximumHeadBytes else {
            return refuse(.tooLarge, "the answer's header is larger than \(Self.maximumHeadBytes) bytes")
        }
        // Trailers of a chunked body come here too; nobody asks for them.
        guard !hasHead else { return bytes.count }
        var line = Substring(String(decoding: bytes, as: UTF8.self))
        while let last = line.unicodeScalars.last, last == "\r" || last == "\n" { line.unicodeScalars.removeLast() }
        if line.hasPrefix("HTTP/") {
            // A later status line follows a 1xx answer and begins anew.
            head = HTTPResponseHead(status: 0, headers: [:])
        } else if line.isEmpty {
            endOfHead()
        } else if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            head.headers.add(String(line[..<colon]), String(value))
        }
        return bytes.count
    }

    private func endOfHead() {
        let status = Int(easy.number(CURLINFO_RESPONSE_CODE))
        guard status >= 200 else { return }
        head.status = status
        hasHead = true
        switch job.sink {
        case .lines(let stream, _):
            stream.arrived(head)
        case .whole:
            if let length = head.headers["Content-Length"].flatMap(Int.init), length > 0 {
                // Only a hint: a header alone must not make us allocate.
                body.reserveCapacity(min(length, job.request.maximumResponseBytes, 8 << 20))
            }
        }
    }

    /// A chunk of the body.
    func receivedBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        lastActivity = monotonicMicroseconds()
        switch job.sink {
        case .whole:
            guard body.count + bytes.count <= job.request.maximumResponseBytes else {
                return refuse(.tooLarge, "the answer is larger than \(job.request.maximumResponseBytes) bytes")
            }
            body.append(contentsOf: bytes)
            return bytes.count
        case .lines(let stream, let maximumLineBytes):
            // A paused transfer gets the same chunk again, so nothing may be taken from it before this.
            if stream.pauseIfFull() {
                isPaused = true
                return Int(CURL_WRITEFUNC_PAUSE)
            }
            guard (200..<300).contains(head.status) else {
                stream.append([Array(bytes)])
                return bytes.count
            }
            return split(bytes, into: stream, maximumLineBytes)
        }
    }

    private func split(_ bytes: UnsafeRawBufferPointer, into stream: LineStream, _ maximumLineBytes: Int) -> Int {
        var lines: [[UInt8]] = []
        var rest = bytes[...]
        while let start = rest.indices.first, let base = bytes.baseAddress {
            guard let found = memchr(base + start, 10, rest.count) else { break }
            let length = UnsafeRawPointer(found) - (base + start)
            guard partialLine.count + length <= maximumLineBytes else { return tooLong(maximumLineBytes) }
            let line = rest[start..<start + length]
            if partialLine.isEmpty {
                lines.append(Array(line))
            } else {
                partialLine.append(contentsOf: line)
                lines.append(partialLine)
                partialLine = []
            }
            rest = rest[(start + length + 1)...]
        }
        guard partialLine.count + rest.count <= maximumLineBytes else { return tooLong(maximumLineBytes) }
        partialLine.append(contentsOf: rest)
        stream.append(lines)
        return bytes.count
    }

    private func tooLong(_ limit: Int) -> Int {
        refuse(.lineTooLong, "a line of the answer is longer than \(limit) bytes")
    }

    private func refuse(_ code: HTTPError.Code, _ detail: String) -> Int {
        ownFailure = HTTPError(code, url: job.request.url, detail: detail, status: hasHead ? head.status : nil)
        return 0
    }

    // MARK: From the loop

    /// Goes on after a pause. Only a paused handle may be resumed.
    func resume(now: Int64) {
        guard isPaused else { return }
        isPaused = false
        lastActivity = now
        curl_easy_pause(easy.raw, CURLPAUSE_CONT)
    }

    /// What makes a transfer fail by time.
    enum Expiry {
        case total
        case stall(Interval)
    }

    /// When this transfer fails unless something happens: the deadline of a stream's head, or the stall timeout.
    /// Nil: libcurl's own timers are enough. (Asked of all at each turn: the words are made only when it does.)
    func nextDeadline() -> (at: Int64, expiry: Expiry)? {
        var found: (at: Int64, expiry: Expiry)?
        if case .lines = job.sink, !hasHead, let deadline = job.deadline { found = (deadline, .total) }
        if let stall = job.request.timeouts.stall, !isPaused {
            let uploaded = easy.large(CURLINFO_SIZE_UPLOAD_T)
            if uploaded != uploadedBytes {
                uploadedBytes = uploaded
                lastActivity = monotonicMicroseconds()
            }
            let at = lastActivity + stall.microseconds
            if at < found?.at ?? .max { found = (at, .stall(stall)) }
        }
        return found
    }

    /// The failure that this is.
    func failure(_ expiry: Expiry) -> HTTPError {
        switch expiry {
        case .total: HTTPError(.timedOut, url: job.request.url, detail: "no answer within the total timeout")
        case .stall(let stall): HTTPError(.stalled, url: job.request.url, detail: "nothing came for \(stall)")
        }
    }

    /// libcurl is done with it.
    func completed(_ code: CURLcode) {
        if let ownFailure {
            job.fail(ownFailure)
        } else if code != CURLE_OK {
            // Without a finished handshake the request was not written yet.
            let connected = easy.large(CURLINFO_PRETRANSFER_TIME_T) > 0
            let status = Int(easy.number(CURLINFO_RESPONSE_CODE))
            job.fail(
                .from(
                    code, message: easy.errorMessage(code), url: job.request.url, connected: connected,
                    status: status >= 200 ? status : nil))
        } else {
            succeeded()
        }
    }

    private func succeeded() {
        // HTTP/0.9 is refused by libcurl, so a head is always there; should it not be, say so instead of inventing one.
        guard hasHead else {
            return job.fail(HTTPError(.protocolError, url: job.request.url, detail: "an answer without a status"))
        }
        switch job.sink {
        case .whole(let deliver):
            deliver(.success(HTTPResponse(status: head.status, headers: head.headers, body: body)))
        case .lines(let stream, _):
            if !partialLine.isEmpty { stream.append([partialLine]) }
            stream.finish(.success(()))
        }
    }
}

/// libcurl's callbacks: plain functions, so that no actor isolation is attached to them.
enum TransferCallbacks {
    static let body: updraft_curl_receiver = { data, size, count, context in
        guard let data, let context else { return 0 }
        let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
        return transfer.receivedBody(UnsafeRawBufferPointer(start: data, count: size * count))
    }

    static let header: updraft_curl_receiver = { data, size, count, context in
        guard let data, let context else { return 0 }
        let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
        return transfer.receivedHeader(UnsafeRawBufferPointer(start: data, count: size * count))
    }
}
