/// The Nodes by name, and by what else they are asked for: a look through a thousand of them for each of a thousand
/// members would take most of the time.
struct NodeTable: Sendable {
    private(set) var byName: [String: NodeView] = [:]
    /// Names of the Nodes that say that they are on a server, by its id.
    private var namesOnServer: [String: Set<String>] = [:]
    private var ofUnknownMachine: Set<String> = []

    /// All of them, in no order.
    var values: Dictionary<String, NodeView>.Values { byName.values }
    /// Their names, in no order.
    var names: Dictionary<String, NodeView>.Keys { byName.keys }
    /// A Node that does not say which server of OpenStack it is.
    var nameOfUnknownMachine: String? { ofUnknownMachine.min() }

    /// The Node of this name. Setting nil forgets it.
    subscript(name: String) -> NodeView? {
        get { byName[name] }
        set {
            let before = byName[name]
            byName[name] = newValue
            if before?.serverID != newValue?.serverID {
                if let server = before?.serverID { leave(server, name) }
                if let server = newValue?.serverID { namesOnServer[server, default: []].insert(name) }
            }
            if newValue?.isOfUnknownMachine == true {
                ofUnknownMachine.insert(name)
            } else {
                ofUnknownMachine.remove(name)
            }
        }
    }

    /// The Node on this server; of several, which should not be, the first by name.
    func on(server id: String) -> NodeView? {
        namesOnServer[id]?.min().flatMap { byName[$0] }
    }

    private mutating func leave(_ server: String, _ name: String) {
        namesOnServer[server]?.remove(name)
        if namesOnServer[server]?.isEmpty == true { namesOnServer[server] = nil }
    }
}
