import CCurl
import CShimsCurl
import Glibc

/// Set-up of the library, once per process.
enum Curl {
    static let isReady: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
}

/// One multi handle. Freed when neither the loop nor anyone who might wake it holds it any more.
///
/// @unchecked: `wake` is the one call made from other threads, and libcurl documents `curl_multi_wakeup` as safe for
/// that; all else happens on the loop's thread, the free after the last reference is gone.
final class MultiHandle: @unchecked Sendable {
    let raw: UnsafeMutableRawPointer

    init?(maximumConnections: Int) {
        guard Curl.isReady, let raw = curl_multi_init() else { return nil }
        self.raw = raw
        _ = updraft_curl_multi_set_number(raw, CURLMOPT_MAXCONNECTS.rawValue, maximumConnections)
        _ = updraft_curl_multi_set_number(raw, CURLMOPT_PIPELINING.rawValue, Int(CURLPIPE_MULTIPLEX))
    }

    /// Makes the loop leave its poll. Never blocks.
    func wake() {
        _ = curl_multi_wakeup(raw)
    }

    deinit {
        curl_multi_cleanup(raw)
    }
}

/// One easy handle; used again after `reset`, which keeps nothing of the last transfer's options.
final class EasyHandle {
    let raw: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var lists: [UnsafeMutablePointer<curl_slist>] = []

    init?() {
        guard Curl.isReady, let raw = curl_easy_init() else { return nil }
        self.raw = raw
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_easy_cleanup(raw)
        lists.forEach { curl_slist_free_all($0) }
        errorText.deallocate()
    }

    func reset() {
        curl_easy_reset(raw)
        lists.forEach { curl_slist_free_all($0) }
        lists = []
        errorText[0] = 0
    }

    func set(_ option: CURLoption, _ text: String?) -> Bool {
        updraft_curl_set_text(raw, option.rawValue, text) == 0
    }

    func set(_ option: CURLoption, _ number: Int) -> Bool {
        updraft_curl_set_number(raw, option.rawValue, number) == 0
    }

    func set(_ option: CURLoption, large number: Int) -> Bool {
        updraft_curl_set_large(raw, option.rawValue, Int64(number)) == 0
    }

    func set(_ option: CURLoption, blob: [UInt8]) -> Bool {
        blob.withUnsafeBufferPointer { updraft_curl_set_blob(raw, option.rawValue, $0.baseAddress, $0.count) == 0 }
    }

    func set(_ option: CURLoption, list: [String]) -> Bool {
        var head: UnsafeMutablePointer<curl_slist>?
        for line in list {
            guard let longer = curl_slist_append(head, line) else {
                curl_slist_free_all(head)
                return false
            }
            head = longer
        }
        guard let head else { return true }
        lists.append(head)
        return updraft_curl_set_list(raw, option.rawValue, head) == 0
    }

    func setBody(_ body: [UInt8]) -> Bool {
        body.withUnsafeBufferPointer { updraft_curl_set_body(raw, $0.baseAddress, $0.count) == 0 }
    }

    func setErrorBuffer() -> Bool {
        updraft_curl_set_error_buffer(raw, errorText) == 0
    }

    /// What libcurl wrote about the last error, else its general text for the code.
    func errorMessage(_ code: CURLcode) -> String {
        let text = String(cString: errorText)
        return text.isEmpty ? String(cString: curl_easy_strerror(code)) : text
    }

    func number(_ info: CURLINFO) -> Int64 {
        updraft_curl_get_number(raw, info.rawValue)
    }

    func large(_ info: CURLINFO) -> Int64 {
        updraft_curl_get_large(raw, info.rawValue)
    }
}

/// Microseconds of a clock that nobody sets.
func monotonicMicroseconds() -> Int64 {
    var spec = timespec()
    clock_gettime(CLOCK_MONOTONIC, &spec)
    return Int64(spec.tv_sec) * 1_000_000 + Int64(spec.tv_nsec) / 1_000
}
