import JSONReader
import Messages
import Support

extension StatSource {
    /// An item of a PodScaler's `sources`.
    init(_ node: PodScalerNode) throws(PodScalerMistake) {
        let place: Place
        switch (node["gnocchi"], node["alarm"], node["kubernetes"]) {
        case (let metric?, nil, nil): place = .gnocchi(try GnocchiPlace(metric))
        case (nil, let alarm?, nil): place = .alarm(try AlarmPlace(alarm))
        case (nil, nil, let metric?): place = .kubernetes(try KubernetesPlace(metric))
        default: throw node.wrong("needs one of gnocchi, alarm and kubernetes, and no second")
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

extension KubernetesPlace {
    fileprivate init(_ node: PodScalerNode) throws(PodScalerMistake) {
        self.init(metric: try node.needed("metric").text(), selector: try node["selector"]?.selector())
        isOfPods = try node["pods"]?.flag() ?? false
        if let described = node["describedObject"] {
            object = TargetReference(
                apiVersion: try described["apiVersion"]?.text() ?? "v1", kind: try described.needed("kind").text(),
                name: try described.needed("name").text())
        }
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
