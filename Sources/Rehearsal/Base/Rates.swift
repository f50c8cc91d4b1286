/// How often each fault strikes when it could.
struct Rates: Sendable {
    private var values = [Double](repeating: 0, count: Fault.allCases.count)

    subscript(fault: Fault) -> Double {
        get { values[fault.rawValue] }
        set { values[fault.rawValue] = newValue }
    }
}
