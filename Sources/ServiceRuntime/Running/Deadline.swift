import Dispatch
import Support

/// Runs something later on a thread of Dispatch, whatever the tasks are doing.
enum Deadline {
    static func after(_ interval: Interval, _ body: @escaping @Sendable () -> Void) {
        let micros = Int(clamping: interval.microseconds)
        DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(micros), execute: body)
    }
}
