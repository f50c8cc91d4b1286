import JSONReader
import Support

/// A size of servers.
struct Flavor: Sendable {
    var id: String
    var name: String
    var vcpus: Int
    /// Memory in MiB.
    var ram: Int
    /// Disk in GiB.
    var disk: Int
    var extraSpecs: [String: String] = [:]
}

/// What a server's kubelet will tell about itself: what user data and labels of a member template do in life.
struct NodeTemplate: Sendable {
    var labels: [String: String] = [:]
    /// As `key=value:Effect`.
    var taints: [String] = []
    /// The node group, for the journal.
    var group: String = ""
}

/// A practice Nova: servers, flavors, quota. Event and time in; what happened is taken out by `takeEvents`.
struct NovaModel: Sendable {
    /// A server.
    struct Server: Sendable {
        var id: String
        var name: String
        var flavor: String
        /// BUILD, ACTIVE, ERROR, SHUTOFF.
        var status: String
        var created: Timestamp
        var updated: Timestamp
        var launched: Timestamp?
        var metadata: [String: String]
        var fault: String?
        var template: NodeTemplate
    }

    /// Limits of the project; -1 means none.
    struct Quota: Sendable {
        var instances = 500
        var cores = 4_000
        /// MiB.
        var ram = 8_000_000
    }

    /// What happened to servers.
    enum Event: Sendable {
        case created(Server)
        case becameActive(Server)
        case failed(Server)
        case deleted(Server)
    }

    var flavors: [Flavor]
    var quota = Quota()
    /// From the request until ACTIVE.
    var buildTime: Interval
    /// Each of the next servers goes to ERROR (no valid host).
    var failuresAhead = 0
    private(set) var servers: [String: Server] = [:]
    private var coresUsed = 0
    private var ramUsed = 0
    private var building = DeadlineQueue<String>()
    private var events: [Event] = []
    private var random: Generator

    init(flavors: [Flavor], buildTime: Interval, random: Generator) {
        self.flavors = flavors
        self.buildTime = buildTime
        self.random = random
    }

    /// What the project uses: instances, cores, MiB.
    var usage: (instances: Int, cores: Int, ram: Int) { (servers.count, coresUsed, ramUsed) }

    /// A flavor by id or name.
    func flavor(_ name: String) -> Flavor? {
        flavors.first { $0.id == name || $0.name == name }
    }

    /// A new server, or Nova's words when it refuses: `Quota exceeded for cores: Requested 1, but already used 10 of
    /// 10 cores` (docs/openstack/nova.md §6).
    mutating func create(
        name: String, flavor flavorName: String, metadata: [String: String], template: NodeTemplate, at now: Timestamp
    ) -> Result<String, NovaRefusal> {
        guard let flavor = flavor(flavorName) else {
            return .failure(NovaRefusal(status: 400, message: "Flavor \(flavorName) could not be found."))
        }
        let used = usage
        let checks = [
            ("instances", 1, used.instances, quota.instances), ("cores", flavor.vcpus, used.cores, quota.cores),
            ("ram", flavor.ram, used.ram, quota.ram),
        ]
        for (what, wanted, have, limit) in checks where limit >= 0 && have + wanted > limit {
            return .failure(
                NovaRefusal(
                    status: 403,
                    message: "Quota exceeded for \(what): Requested \(wanted), but already used \(have) of "
                        + "\(limit) \(what)"))
        }
        let server = Server(
            id: random.uuid(), name: name, flavor: flavor.id, status: "BUILD", created: now, updated: now,
            metadata: metadata, template: template)
        servers[server.id] = server
        coresUsed += flavor.vcpus
        ramUsed += flavor.ram
        building.add(server.id, due: now + buildTime)
        events.append(.created(server))
        return .success(server.id)
    }

    /// Deletes a server. False if there is none.
    @discardableResult
    mutating func delete(_ id: String) -> Bool {
        guard let server = servers.removeValue(forKey: id) else { return false }
        if let flavor = flavor(server.flavor) {
            coresUsed -= flavor.vcpus
            ramUsed -= flavor.ram
        }
        events.append(.deleted(server))
        return true
    }

    /// Puts a server into another status (ERROR, SHUTOFF, ACTIVE), as an operator or a failing host would.
    mutating func setStatus(_ id: String, _ status: String, at now: Timestamp) -> Bool {
        guard var server = servers[id] else { return false }
        server.status = status
        server.updated = now
        servers[id] = server
        events.append(status == "ACTIVE" ? .becameActive(server) : .failed(server))
        return true
    }

    /// When something happens next by itself.
    var nextDeadline: Timestamp? { building.next }

    /// Lets time pass.
    mutating func advance(to now: Timestamp) {
        while let id = building.pop(due: now) {
            guard var server = servers[id], server.status == "BUILD" else { continue }
            server.updated = now
            if failuresAhead > 0 {
                failuresAhead -= 1
                server.status = "ERROR"
                server.fault = "No valid host was found. "
            } else {
                server.status = "ACTIVE"
                server.launched = now
            }
            servers[id] = server
            events.append(server.status == "ACTIVE" ? .becameActive(server) : .failed(server))
        }
    }

    /// What happened since the last call, in order.
    mutating func takeEvents() -> [Event] {
        defer { events = [] }
        return events
    }
}

/// Nova's refusal of a new server.
struct NovaRefusal: Error, Sendable {
    var status: Int
    var message: String
}
