import JSONReader

extension Scenario {
    /// The answer of the engine: `{"name": …, "result": {…}}`, or `unsupported` with the reason.
    public func answer() -> JSONValue {
        let result: JSONValue
        switch kind {
        case "estimate": result = estimate()
        case "scaleUp": result = scaleUp()
        case "pendingFilter": result = pendingFilter()
        case "balance": result = balance()
        case "similarNodes": result = similarNodes()
        case "expander": result = expander()
        case "drain": result = drain()
        case "nodeRemoval": result = nodeRemoval()
        case "eligibility": result = eligibility()
        case "utilization": result = utilization()
        case "scaleDownPlan": result = scaleDownPlan()
        case "deletionSet": result = deletionSet()
        case "deletionBudget": result = deletionBudget()
        case "clusterState": result = clusterState()
        case "clusterStateSteps": result = clusterStateSteps()
        case "loop": result = loop()
        case "template": result = templateKind()
        default: return .object(["name": .string(name), "unsupported": .string("kind \(kind) is not known")])
        }
        return .object(["name": .string(name), "result": result])
    }
}
