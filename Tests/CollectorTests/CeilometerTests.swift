import Crypto
import FoundationEssentials
import JSONReader
import Messages
import Support
import Testing

@testable import Collector

@Suite("Notifications for Ceilometer")
struct CeilometerTests {
    private let now = Timestamp(microseconds: 1_795_472_750_147_448)

    private func notification(secret: String? = nil, user: String? = nil) -> CeilometerNotification {
        CeilometerNotification(
            publisherID: "updraft-collector.host", projectID: "5452ad169c5f4a14924a9ec81b23e11b", userID: user,
            secret: secret.map { Array($0.utf8) })
    }

    private func batch() -> TelemetryCore.Batch {
        let points = TelemetryPoints(cluster: "prod", kinds: Set(TelemetryKind.allCases))
        var node = NodeStats.Sample(
            node: "worker-1", serverID: "b54dd5e6-776a-41f4-981e-0dd2bab87f64", at: now, cpuMillis: 1_500,
            cpuUtilization: 0.375, memoryBytes: 1_066_192_000, memoryUtilization: 0.1)
        node.podsRunning = 3
        var pod = PodStats.Sample(
            namespace: "default", pod: "web-0", node: "worker-1", at: now, cpuMillis: 1, memoryBytes: 5)
        pod.containers = [.init(name: "app")]
        pod.containers?[0].memoryBytes = 4
        let measured = UsageMeter.Measured(node: node, pods: [pod], rejected: [:])
        let all = points.points(measured, group: "workers") + points.cluster(running: 3, pending: 1, at: now)
        return TelemetryCore.Batch(entries: all.map { .init(points: [$0], withAttributes: true) }, number: 7)
    }

    private func samples(_ body: [UInt8]) throws -> (inner: JSONValue, samples: [JSONValue]) {
        let outer = try JSONValue.parse(body)
        #expect(outer["oslo.version"] == "2.0")
        let inner = try JSONValue.parse(try #require(outer["oslo.message"]?.stringValue))
        return (inner, try #require(inner[path: "payload", "samples"]?.arrayValue))
    }

    @Test("while the pods are not known the canary goes alone")
    func canaryAlone() {
        let points = TelemetryPoints(cluster: "prod", kinds: [.cluster])
        let gauges = points.cluster(running: nil, pending: nil, at: now).flatMap { $0.values.map(\.gauge) }
        #expect(gauges == [.canary])
    }

    @Test("network and disk that a failed page left old are not sent again; the rest is")
    func oldDetails() {
        let points = TelemetryPoints(
            cluster: "prod", kinds: [.node, .pod, .container], detailsLast: .seconds(90))
        func gauges(_ age: Double?) -> [Set<TelemetryGauge>] {
            let measured = age.map { now - .seconds($0) }
            var node = NodeStats.Sample(node: "n", at: now, cpuMillis: 5)
            (node.diskBytes, node.diskUtilization, node.receivedPerSecond, node.sentPerSecond) = (1, 0.5, 2, 3)
            node.detailsAt = measured
            var pod = PodStats.Sample(namespace: "a", pod: "p", node: "n", at: now, cpuMillis: 1)
            (pod.diskBytes, pod.receivedPerSecond, pod.sentPerSecond, pod.detailsAt) = (1, 2, 3, measured)
            var container = PodStats.Container(name: "c")
            (container.cpuMillis, container.diskBytes) = (1, 1)
            pod.containers = [container]
            return points.points(.init(node: node, pods: [pod], rejected: [:]), group: nil)
                .map { Set($0.values.map(\.gauge)) }
        }
        let all: [Set<TelemetryGauge>] = [
            [.cpuUsage, .received, .sent, .disk, .diskUtilization], [.cpuUsage, .received, .sent, .disk],
            [.cpuUsage, .disk],
        ]
        #expect(gauges(nil) == all && gauges(90) == all)
        #expect(gauges(91) == [[.cpuUsage], [.cpuUsage], [.cpuUsage]])
    }

    @Test("the form of a recorded one that Ceilometer took: envelope, priority, every key of every sample")
    func form() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let recorded = try samples(
            Array(
                try Data(
                    contentsOf: folder.appendingPathComponent(
                        "MessagesTests/Fixtures/oslo/telemetry.polling.minimal.body"))))
        let keys = Set(try #require(recorded.samples[0].objectValue).keys)
        #expect(keys.count == 11)
        let (inner, samples) = try samples(notification().body(batch(), at: now))
        #expect(inner["event_type"] == "telemetry.polling")
        #expect(inner["priority"] == "SAMPLE")
        #expect(inner["_unique_id"] == nil)
        #expect(samples.count == 5 + 5 + 2 + 1 + 3)
        for sample in samples {
            #expect(Set(try #require(sample.objectValue).keys) == keys)
            #expect(sample["counter_unit"]?.stringValue?.isEmpty == false)
            #expect(sample["counter_volume"]?.doubleValue?.isFinite == true)
            #expect(UUID5(try #require(sample["resource_id"]?.stringValue)) != nil)
            #expect(sample["project_id"] == "5452ad169c5f4a14924a9ec81b23e11b")
            #expect(sample["timestamp"]?.stringValue.flatMap { Timestamp($0) } == now)
            #expect(sample["user_id"]?.isNull == true)
        }
        #expect(Set(samples.compactMap { $0["message_id"]?.stringValue }).count == samples.count)
        let decoded = try MessageCoder.open(notification().body(batch(), at: now))
        #expect(decoded.envelope.eventType == "telemetry.polling")
    }

    @Test("a node's numbers stand on its server and on a resource of its own; names make the other ids")
    func resources() throws {
        let samples = try samples(notification().body(batch(), at: now)).samples
        func one(_ meter: String) throws -> JSONValue {
            try #require(samples.first { $0["counter_name"]?.stringValue == meter }, "\(meter) is missing")
        }
        let instance = try one("kubernetes.instance.cpu.utilization")
        #expect(instance["resource_id"] == "b54dd5e6-776a-41f4-981e-0dd2bab87f64")
        #expect(instance["counter_volume"] == 0.375)
        // Attributes of an instance are Nova's to say: none, so that Ceilometer changes none.
        #expect(instance["resource_metadata"] == [:])
        let node = try one("kubernetes.node.cpu.usage")
        // uuid5(uuid5(uuid5(NAMESPACE_DNS, "updraft.io"), "prod"), "node/worker-1"), by Python.
        #expect(node["resource_id"] == "1ae35f7e-5c3c-5459-b1aa-8babe8b03814")
        #expect(node["counter_volume"]?.doubleValue == 1.5)
        #expect(
            node["resource_metadata"] == [
                "name": "worker-1", "cluster": "prod", "group": "workers",
                "server_id": "b54dd5e6-776a-41f4-981e-0dd2bab87f64",
            ])
        #expect(
            try one("kubernetes.container.memory.working_set")["resource_id"]?.stringValue
                == "f7a340c5-1e07-5b01-af25-4b7b223ccccb")
        #expect(try one("kubernetes.cluster.canary")["counter_volume"]?.doubleValue == 1_795_472_750.147448)
    }

    @Test("the signature is the one that Ceilometer's own algorithm computes")
    func signature() {
        // compute_signature of ceilometer/publisher/utils.py in Python 3 over the same dictionary, with
        // json.loads("0.30000000000000004") as volume and "s3cret". The algorithm was first checked to give the signature
        // that stands in Fixtures/oslo/telemetry.polling.signed.body.
        var sample = CeilometerNotification.Sample(
            meter: "kubernetes.node.cpu.utilization", unit: "1", volume: PythonText.of(0.1 + 0.2),
            messageID: "5fb6d1f3-0000-5000-8000-000000000000", projectID: "5452ad169c5f4a14924a9ec81b23e11b",
            userID: nil, resourceID: "b54dd5e6-776a-41f4-981e-0dd2bab87f64",
            metadata: ["name": "knoten-ü", "cluster": "prod", "group": "workers"],
            timestamp: "2026-11-23T22:25:50.147448Z")
        #expect(
            sample.signature(Array("s3cret".utf8)) == "7d16d0012934f2d300bf011bbe8debb185dc091749030be22efb2ed08b6004f9"
        )
        // The same with json.loads("1.152921504606847e+18"), a user, no metadata, and Ceilometer's default secret.
        sample.volume = PythonText.of(1.152921504606847e18)
        sample.userID = "u1"
        sample.metadata = [:]
        #expect(
            sample.signature(Array("change this for valid signing".utf8))
                == "3e11e209bd7b2d800e027547a30ff7693817d18a42b67de8612eaa64021fa843")
    }

    @Test("with a secret each sample is signed over what it says")
    func signed() throws {
        let secret = "s3cret"
        let samples = try samples(notification(secret: secret, user: "u1").body(batch(), at: now)).samples
        for sample in samples {
            let again = CeilometerNotification.Sample(
                meter: try #require(sample["counter_name"]?.stringValue),
                unit: try #require(sample["counter_unit"]?.stringValue),
                volume: PythonText.of(try #require(sample["counter_volume"]?.doubleValue)),
                messageID: try #require(sample["message_id"]?.stringValue),
                projectID: try #require(sample["project_id"]?.stringValue), userID: sample["user_id"]?.stringValue,
                resourceID: try #require(sample["resource_id"]?.stringValue),
                metadata: try #require(sample["resource_metadata"]?.objectValue).compactMapValues(\.stringValue),
                timestamp: try #require(sample["timestamp"]?.stringValue))
            #expect(sample["message_signature"]?.stringValue == again.signature(Array(secret.utf8)))
        }
    }

    @Test(
        "numbers as Python writes them",
        arguments: [
            // repr() of each in Python 3.
            "0.1", "0.0001", "1e-05", "123456789.0", "1000000000000000.0", "1e+16", "1.5e+22", "0.25", "5e-324",
            "1.7976931348623157e+308", "100.0", "2.5e-07", "9007199254740992.0", "1.2345678901234568e+16", "0.0",
            "-2.5", "-0.0", "1e+100", "0.30000000000000004",
        ])
    func python(text: String) throws {
        #expect(PythonText.of(try #require(Double(text))) == text)
    }

    @Test("what is stale is not sent again")
    func stale() {
        let points = TelemetryPoints(cluster: "prod", kinds: [.node])
        let node = NodeStats.Sample(node: "n", at: now, cpuMillis: 1, stale: true)
        #expect(points.points(.init(node: node, pods: [], rejected: [:]), group: nil).isEmpty)
    }
}
