import JSONReader
import Messages
import Support

extension StatSource {
    /// An item of a PodScaler's `sources`.
    init(_ node: PodScalerNode) throws(PodScalerMistake) {
        let place: Place
        switch (node["gnocchi"], node["alarm"]) {
        case (let metric?, nil): place = .gnocchi(try GnocchiPlace(metric))
        case (nil, let alarm?): place = .alarm(try AlarmPlace(alarm))
        default: throw node.wrong("is neither a metric of gnocchi nor an alarm, or both")
        }
        self.init(
            stat: try node.needed("stat").text(), place: place, maximumAge: try node["maxAgeSeconds"]?.seconds())
    }
}

extension GnocchiPlace {
    fileprivate init(_ node: PodScalerNode) throws(PodScalerMistake) {
        self.init(metric: try node.needed("metric").text())
        resourceType = try node["resourceType"]?.text() ?? resourceType
        resourceID = try node["resourceID"]?.text()
        if let match = node["match"] {
            guard let members = match.value.objectValue else { throw match.wrong("is no mapping") }
            for (key, value) in members {
                self.match[key] = try PodScalerNode(value, at: "\(match.path).\(key)").text()
            }
        }
        granularity = try node["granularitySeconds"]?.seconds() ?? granularity
        aggregation = try node["aggregation"]?.text() ?? aggregation
        across = try node["across"]?.choice(Across.self) ?? across
    }
}

extension AlarmPlace {
    fileprivate init(_ node: PodScalerNode) throws(PodScalerMistake) {
        self.init(id: try node["id"]?.text(), name: try node["name"]?.text())
        firing = try node["firing"]?.quantity() ?? firing
        ok = try node["ok"]?.quantity() ?? ok
        insufficientData = try node["insufficientData"]?.quantity()
    }
}
