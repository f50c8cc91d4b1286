/// Why a foreign notification was not used. The names are labels of `updraft_cloud_refused_total`.
struct ForeignRefusal: Error, Equatable {
    /// The kinds.
    enum Why: String, Sendable, CaseIterable {
        /// A field is missing, or is of another type.
        case malformed
        /// An id that is no UUID.
        case badID = "bad_id"
        /// A state that Aodh does not have.
        case unknownState = "unknown_state"
        /// A time that cannot be read.
        case badTime = "bad_time"
        /// A value that is no finite number.
        case notFinite = "not_finite"
        /// A meter of a node's disk or network interface: one value of several, and a notification need not hold all.
        case ofDevice = "of_device"
        /// An alarm of a project that is not ours.
        case otherProject = "other_project"
    }

    var why: Why
    var what: String
}
