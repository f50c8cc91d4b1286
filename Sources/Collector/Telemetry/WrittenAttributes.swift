/// The attributes that were written last, by resource, as hashes. Bounded: pods come and go. Pure.
///
/// Two tables: when one is full it takes the other's place, so that those that are asked for again are kept.
struct WrittenAttributes {
    private var young: [String: Int] = [:]
    private var old: [String: Int] = [:]
    private let most: Int

    /// - Parameter most: resources that are remembered, at most; others are written once more.
    init(most: Int = 200_000) {
        self.most = most
    }

    /// Resources that are remembered.
    var count: Int { young.count + old.count }

    /// Whether these attributes are what was written last.
    mutating func holds(_ attributes: [String: String], _ resource: String) -> Bool {
        guard let hash = young[resource] ?? old[resource], hash == attributes.hashValue else { return false }
        put(hash, resource)
        return true
    }

    /// They were written.
    mutating func wrote(_ attributes: [String: String], _ resource: String) {
        put(attributes.hashValue, resource)
    }

    /// The resource is gone.
    mutating func forget(_ resource: String) {
        young[resource] = nil
        old[resource] = nil
    }

    private mutating func put(_ hash: Int, _ resource: String) {
        old[resource] = nil
        if young[resource] == nil, young.count >= max(1, most / 2) {
            old = young
            young = [:]
        }
        young[resource] = hash
    }
}
