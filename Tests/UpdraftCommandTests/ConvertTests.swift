import FoundationEssentials
import Testing

@testable import UpdraftCommand

@Suite("updraft convert hpa")
struct ConvertTests {
    private func hpa(_ metric: String) -> String {
        #"{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {"maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "metrics": [\#(metric)]}}"#
    }

    private let cpu =
        #"{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}"#

    /// The exit code for a file of this text.
    private func code(_ text: String) throws -> Int32 {
        let file = FileManager.default.temporaryDirectory.appending(path: "hpa-\(UInt64.random(in: 0 ... .max)).json")
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return ConvertCommand.run(["hpa", file.path])
    }

    @Test("0 if all is converted; 1 if a metric is left out, it will not scale, or it is none; 2 for wrong usage")
    func codes() throws {
        #expect(try code(hpa(cpu)) == 0)
        #expect(try code(hpa(cpu + #", {"type": "Object"}"#)) == 1)
        // Series that labels choose become a source, as those that they do not.
        let named = #"{"metric": {"name": "depth"}, "target": {"type": "AverageValue", "averageValue": "30"}}"#
        let chosen = named.replacing(#""depth""#, with: #""depth", "selector": {"matchLabels": {"queue": "a"}}"#)
        for (kind, key) in [("External", "external"), ("Pods", "pods")] {
            #expect(try code(hpa(#"{"type": "\#(kind)", "\#(key)": \#(named)}"#)) == 0)
            #expect(try code(hpa(#"{"type": "\#(kind)", "\#(key)": \#(chosen)}"#)) == 0)
        }
        let object =
            #"{"metric": {"name": "hits"}, "describedObject": {"kind": "Service", "name": "web"}, "target": {"type": "Value", "value": "2k"}}"#
        #expect(try code(hpa(#"{"type": "Object", "object": \#(object)}"#)) == 0)
        let container =
            #"{"name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 60}}"#
        #expect(try code(hpa(#"{"type": "ContainerResource", "containerResource": \#(container)}"#)) == 0)
        #expect(try code(hpa(#"{"type": "ContainerResource"}"#)) == 1, "it will not scale")
        #expect(try code(hpa(#"{"type": "Object"}"#)) == 1, "nothing is left to scale by")
        #expect(try code(#"{"kind": "Deployment", "metadata": {"name": "web"}}"#) == 1)
        #expect(try code("{") == 1)
        #expect(ConvertCommand.run(["hpa", "/nonexistent/hpa.yaml"]) == 1)
        for wrong in [[], ["hpa"], ["deployment", "x"], ["hpa", "--wide"]] {
            #expect(ConvertCommand.run(wrong) == 2, "\(wrong)")
        }
        #expect(ConvertCommand.run(["--help"]) == 0)
    }
}
