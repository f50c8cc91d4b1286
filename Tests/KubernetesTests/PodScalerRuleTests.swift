import FoundationEssentials
import JSONReader
import Messages
import Testing

@testable import Kubernetes

/// The validation rules of the CRD are kept by API servers of 1.25 or later only. `scripts/crd-rules` plays them on the same specs.
@Suite("What the validation rules of the CRD refuse, Updraft refuses as well")
struct PodScalerRuleTests {
    private struct Case {
        var name: String
        var spec: JSONValue
        var refused: [String]
    }

    private func cases() throws -> [Case] {
        try (JSONValue.parse(try Fixture.bytes("podscaler-rules.json")).arrayValue ?? []).map {
            Case(
                name: $0["name"]?.stringValue ?? "", spec: $0["spec"] ?? .null,
                refused: $0["refused"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        }
    }

    @Test("Each spec, good and bad")
    func specs() throws {
        let all = try cases()
        #expect(all.count > 20)
        for one in all {
            let object: JSONValue = ["metadata": ["name": "web", "namespace": "shop"], "spec": one.spec]
            let scaler = try JSONReader.read(object.bytes) { (reader) throws(JSONError) in
                try PodScalerObject.read(&reader, version: "v1alpha1")
            }.scaler
            #expect(
                scaler.problem?.reason == (one.refused.isEmpty ? nil : .scalerInvalid),
                "\(one.name): \(String(describing: scaler.problem))")
        }
    }

    @Test("Every rule refuses one of them")
    func rules() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("deploy/kubernetes/podscaler-crd.yaml")
        let lines = String(decoding: try Data(contentsOf: file), as: UTF8.self).split(separator: "\n")
        let rules = lines.indices.filter { lines[$0].contains(" - rule: ") }
        #expect(rules.count == 7)
        let refused = Set(try cases().flatMap(\.refused))
        for rule in rules {
            let message = lines[rule + 1].drop { $0 == " " }.dropFirst("message: ".count)
            #expect(refused.contains(String(message)), "\(lines[rule])")
        }
    }
}
