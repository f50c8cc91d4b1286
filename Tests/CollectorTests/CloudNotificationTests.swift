import FoundationEssentials
import JSONReader
import Messages
import Support
import Testing

@testable import Collector

@Suite("Aodh's alarms and the hypervisors' samples")
struct CloudNotificationTests {
    private func recorded(_ name: String) throws -> String {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let body = try Data(contentsOf: folder.appendingPathComponent("MessagesTests/Fixtures/oslo/\(name).body"))
        return try MessageCoder.open(Array(body)).text
    }

    private func refusal(_ text: String, project: String? = nil) -> ForeignRefusal.Why? {
        do throws(ForeignRefusal) {
            _ = try AlarmNotification.alarm(text, cluster: "c", project: project)
            return nil
        } catch {
            return error.why
        }
    }

    private func alarm(_ fields: String) -> String {
        #"{"event_type":"alarm.state_transition","payload":{\#(fields)}}"#
    }

    @Test("as the evaluator writes it and as the API does")
    func forms() throws {
        let evaluated = try AlarmNotification.alarm(
            recorded("aodh.alarm.state_transition.alarm"), cluster: "prod", project: nil)
        #expect(evaluated.alarmID == "13c177ce-75f3-4f42-bfc2-dc98eb504822")
        #expect(evaluated.state == "alarm")
        #expect(evaluated.why == "Transition to alarm due to 1 samples outside threshold, most recent: 0.95")
        #expect(evaluated.at == Timestamp("2026-11-23T22:25:09.507629"))
        let byHand = try AlarmNotification.alarm(
            recorded("aodh.alarm.state_transition.insufficient-data.by-api"), cluster: "prod", project: nil)
        #expect(byHand.state == "insufficient data")
        #expect(byHand.why == "Manually set via API")
        for name in ["ok", "ok.group", "event-alarm", "insufficient-data.group", "alarm.group"] {
            #expect(refusal(try recorded("aodh.alarm.state_transition.\(name)")) == nil, "\(name)")
        }
    }

    @Test("an alarm that is deleted is unknown from then on")
    func deletion() throws {
        let gone = try AlarmNotification.alarm(recorded("aodh.alarm.deletion"), cluster: "prod", project: nil)
        #expect(gone.alarmID == "9ecf4474-1c15-45f1-b461-8db6d7b4c862" && gone.state == "insufficient data")
        #expect(gone.why == "the alarm was deleted" && gone.at == Timestamp("2026-11-23T22:23:37.617229"))
        #expect(AlarmNotification.eventTypes.contains("alarm.deletion"))
    }

    @Test("only alarms of the project, when one is named")
    func project() throws {
        let text = try recorded("aodh.alarm.state_transition.alarm")
        #expect(refusal(text, project: "5452ad169c5f4a14924a9ec81b23e11b") == nil)
        #expect(refusal(text, project: "another") == .otherProject)
    }

    @Test("what is wrong is refused by name")
    func wrong() {
        let id = #""alarm_id":"13c177ce-75f3-4f42-bfc2-dc98eb504822""#
        let time = #""timestamp":"2026-11-23T22:25:09""#
        #expect(refusal("{") == .malformed)
        #expect(refusal(#"{"payload":7}"#) == .malformed)
        #expect(refusal(alarm(#""alarm_id":"../../x",\#(time),"detail":{"state":"ok"}"#)) == .badID)
        #expect(refusal(alarm(#"\#(time),"detail":{"state":"ok"}"#)) == .badID)
        #expect(refusal(alarm(#"\#(id),\#(time),"detail":"{not json"# + "\"")) == .malformed)
        #expect(refusal(alarm(#"\#(id),\#(time),"detail":{"state":"on fire"}"#)) == .unknownState)
        #expect(refusal(alarm(#"\#(id),\#(time),"detail":{}"#)) == .malformed)
        #expect(refusal(alarm(#"\#(id),"timestamp":"soon","detail":{"state":"ok"}"#)) == .badTime)
        let long = String(repeating: "x", count: 100_000)
        let cut = try? AlarmNotification.alarm(
            alarm(#"\#(id),\#(time),"detail":{"state":"ok","transition_reason":"\#(long)"}"#), cluster: "c",
            project: nil)
        #expect(cut?.why.count == 500)
    }

    @Test("what Ceilometer 19's own code says of two servers is read, in whole and signed as it is")
    func recorded() throws {
        let text = String(decoding: try Recorded.bytes("telemetry-polling-compute.json"), as: UTF8.self)
        let server = "35d5e2b0-6f1c-4dd0-9d3e-0d9b8b1f7f11"
        let read = try HypervisorNotification(text, meters: ["cpu", "memory.usage"], nodes: [server: "n1"])
        #expect(read.refused.isEmpty)
        #expect(
            read.samples.map { "\($0.node) \($0.meter) \($0.kind) \($0.unit) \($0.value)" } == [
                "n1 cpu cumulative ns 1015000000000.0", "n1 memory.usage gauge MB 512.5",
            ])
        #expect(read.samples.allSatisfy { $0.serverID == server && $0.at.rfc3339.hasPrefix("2026-11-26T13:4") })
    }

    @Test("a meter of a node's disk is not the node's: refused by name; of a stranger's it is passed over")
    func devices() throws {
        func sample(_ resource: String, _ metadata: String) -> String {
            #"{"counter_name":"disk.device.usage","counter_type":"gauge","counter_unit":"B","counter_volume":5,"resource_id":"#
                + #""\#(resource)","timestamp":"2026-11-23T22:25:50","resource_metadata":\#(metadata)}"#
        }
        let samples = [
            sample("s1-vda", #"{"instance_id":"s1","disk_name":"vda"}"#), sample("s1-vdb", #"{"instance_id":"s1"}"#),
            sample("s9-vda", #"{"instance_id":"s9"}"#), sample("s1-vdc", "null"),
            sample("s1-vdd", #"{"instance_id":[7]}"#),
        ]
        let text = #"{"event_type":"telemetry.polling","payload":{"samples":[\#(samples.joined(separator: ","))]}}"#
        let read = try HypervisorNotification(text, meters: ["disk.device.usage"], nodes: ["s1": "n1"])
        #expect(read.samples.isEmpty)
        #expect(read.refused == [.ofDevice: 2])
        #expect(try HypervisorNotification(text, meters: ["cpu"], nodes: ["s1": "n1"]).refused.isEmpty)
    }

    @Test("samples of the nodes' servers, of the wanted meters; the rest is passed over or refused by name")
    func hypervisor() throws {
        func sample(_ meter: String, _ server: String, _ volume: String, _ time: String = "2026-11-23T22:25:50")
            -> String
        {
            #"{"counter_name":"\#(meter)","counter_type":"gauge","counter_unit":"MB","counter_volume":\#(volume),"#
                + #""resource_id":"\#(server)","timestamp":"\#(time)","resource_metadata":{"a":[1]},"message_id":"m"}"#
        }
        let samples = [
            sample("memory.usage", "s1", "512.5"), sample("cpu", "s2", "1e15"), sample("disk.root.size", "s1", "1"),
            sample("cpu", "stranger", "1"), sample("cpu", "s1", "\"7\""), sample("cpu", "s1", "null"),
            sample("cpu", "s1", "1e999"), sample("cpu", "s1", "1", "yesterday"), #"{"counter_name":7}"#,
        ]
        let text = #"{"event_type":"telemetry.polling","payload":{"samples":[\#(samples.joined(separator: ","))]}}"#
        let read = try HypervisorNotification(
            text, meters: ["cpu", "memory.usage"], nodes: ["s1": "n1", "s2": "n2"])
        #expect(read.samples.map(\.node) == ["n1", "n2"])
        #expect(read.samples.map(\.value) == [512.5, 1e15])
        #expect(read.samples[0].unit == "MB")
        #expect(read.refused.values.reduce(0, +) == 5, "\(read.refused)")
        #expect(read.refused[.badTime] == 1)
        #expect(throws: ForeignRefusal.self) { try HypervisorNotification("{", meters: [], nodes: [:]) }
        // The recorded ones of another Kubernetes source are none of a hypervisor's meters.
        #expect(
            try HypervisorNotification(recorded("telemetry.polling.nodes"), meters: ["cpu"], nodes: [:]).samples.isEmpty
        )
    }
}
