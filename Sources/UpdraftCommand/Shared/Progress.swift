import Support

/// Says on standard error what is being waited for, once that takes longer than two seconds.
enum Progress {
    static func during<Value: Sendable, Failure: Error>(
        _ what: String, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let teller = Task {
            var pause = Interval.seconds(2)
            var waited = Interval.zero
            while (try? await Task.sleep(for: pause.duration)) != nil {
                waited = waited + pause
                Terminal.complaint("… \(what) (\(Int(waited.inSeconds)) s)")
                pause = .seconds(10)
            }
        }
        defer { teller.cancel() }
        return try await body()
    }
}
