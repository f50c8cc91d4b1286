import Messages
import Support

/// The scalers that there are, in the order of their ids, with what depends on nothing but how each is written. Found anew only
/// when one of them has changed.
struct ScalerRoster: Sendable {
    /// One scaler.
    struct Item: Sendable {
        var scaler: PodScaler
        /// `namespace/name`.
        var id: String
        /// Why it cannot be used as it is written.
        var problem: Explanation?
        /// Id of the target that it names.
        var target: String?

        init(_ scaler: PodScaler) {
            self.scaler = scaler
            id = scaler.id
            problem = scaler.problem
            target = scaler.target.map { $0.id(in: scaler.namespace) }
        }
    }

    private(set) var items: [Item] = []
    private(set) var ids: Set<String> = []
    /// Containers that one of them looks at.
    private(set) var containers: Set<String> = []
    /// Whether one of them counts the pods that a selector of its own finds.
    private(set) var countsPods = false
    /// Grows when the scalers change.
    private(set) var revision = 0
    private var seen = -1
    private var configured: [PodScaler] = []

    /// Takes over the scalers of the cluster and of the configuration; of two with one id the object counts.
    mutating func update(_ table: ScalingTable, _ configuration: [PodScaler]) {
        guard seen != table.scalersRevision || configured != configuration else { return }
        seen = table.scalersRevision
        configured = configuration
        revision += 1
        var all = table.scalers
        for scaler in configuration where all[scaler.id] == nil { all[scaler.id] = scaler }
        items = all.values.map(Item.init).sorted { $0.id < $1.id }
        ids = Set(items.map(\.id))
        countsPods = items.contains { $0.scaler.monitorSelector != nil }
        containers = Set(items.flatMap { $0.scaler.intentions.compactMap(\.container) })
    }
}
