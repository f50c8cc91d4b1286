import Testing

@Suite("Settings of pod scalers")
struct PodScalerSettingsTests {
    private func wrong(_ source: String) throws -> [String] {
        try mistakes(
            """
            cluster: prod
            pod_scalers:
            - name: web
              target: {name: web}
              intentions: [{stat: hits, external: true, average: 5}]
              sources:
              - {stat: hits, \(source)}
            """)
    }

    @Test(
        "An object without a name and a source without a metric are mistakes, not another kind of metric",
        arguments: [
            ("kubernetes: {metric: rps, object: {kind: Ingress}}", "kubernetes.object.name"),
            ("kubernetes: {metric: rps, object: {api_version: v1}}", "kubernetes.object.name"),
            ("kubernetes: {metric: rps, object: {}}", "kubernetes.object.name"),
            ("kubernetes: {object: {name: main}}", "kubernetes.metric"),
            ("kubernetes: {selector: {queue: orders}}", "kubernetes.metric"),
            ("kubernetes: {}, alarm: {name: slow}", "kubernetes.metric"),
        ])
    func incomplete(source: String, field: String) throws {
        #expect(try wrong(source) == ["FILE:7: pod_scalers[0].sources[0].\(field): is missing (allowed: text)"])
    }

    @Test(
        "What is whole is taken, with an object and without",
        arguments: [
            "kubernetes: {metric: rps}", "kubernetes: {metric: rps, object: {name: main}}",
            "kubernetes: {metric: rps, object: {kind: Ingress, name: main}}", "alarm: {name: slow}, kubernetes: null",
        ])
    func whole(source: String) throws {
        #expect(try wrong(source) == [])
    }

    @Test("No source at all is told once")
    func none() throws {
        let found = try wrong("max_age: 60s")
        #expect(found.count == 1 && found[0].contains("has no source, or more than one"), "\(found)")
    }
}
