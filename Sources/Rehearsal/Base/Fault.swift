/// What may go wrong. Each strikes with a rate of its scenario, until the faults end.
enum Fault: Int, CaseIterable, Sendable {
    /// Heat answers 500 without having done anything.
    case heatError
    /// Heat does it, and its answer is lost.
    case heatAnswerLost
    /// Heat answers 409.
    case heatConflict
    /// Heat takes seconds to answer.
    case heatSlow
    /// Heat says 202 and does nothing.
    case heatSilentDrop
    /// An update ends UPDATE_FAILED and has done nothing.
    case updateFails
    /// A new member ends CREATE_FAILED.
    case createFails
    /// A member ends DELETE_FAILED.
    case deleteFails
    /// A shrink takes a member that nobody marked, and replaces the marked one.
    case wrongVictim
    /// Somebody else updates the stack: a parameter that is not the size.
    case strangerUpdates
    /// A check of the stack holds a member for failed whose machine works.
    case memberDoubted
    /// A new machine never becomes a Node.
    case neverRegisters
    /// Kubernetes answers 500 without having done anything.
    case kubernetesError
    /// Kubernetes does it, and its answer is lost.
    case kubernetesAnswerLost
    /// The object changed between reading and writing: 409.
    case kubernetesConflict
    /// An eviction is refused with 429 though no budget says so.
    case evictionRefused
    /// A watch ends, and some time later there is a new list.
    case watchCut
    /// A binding takes long, so that a pod lands on a node that was cordoned meanwhile.
    case slowBinding
    /// A machine stops working.
    case nodeDies
    /// A process loses its connection to the broker.
    case brokerLost
    /// A message is delivered twice.
    case duplicate
    /// A perishable message is lost.
    case perishableLost
    /// A process dies between two of its actions.
    case crash
    /// A process does nothing for a while (SIGSTOP, a machine that is suspended), and does not notice.
    case freeze
}
