import JSONReader
import Support
import Testing

@testable import PracticeCloud

/// What the practice cloud answers has the shape of what the real services were recorded to answer: every key that the
/// recording has (but for `managedFields` and the like) is there, and of the same type.
@Suite struct FixtureTests {
    private static let folder: String = {
        let file = #filePath
        let end = file.lastIndex(of: "/") ?? file.startIndex
        return file[..<end] + "/Fixtures/"
    }()

    private func fixture(_ name: String) throws -> JSONValue {
        let bytes = try #require(Files.read(Self.folder + name))
        return try JSONValue.parse(bytes)
    }

    /// Where `answer` lacks something that `recorded` has.
    private func missing(
        _ recorded: JSONValue, _ answer: JSONValue?, at path: String = "", except: Set<String> = []
    ) -> [String] {
        guard let answer else { return [path] }
        switch (recorded, answer) {
        case (.object(let wanted), .object(let have)):
            return wanted.flatMap { name, value -> [String] in
                if except.contains(name) || value == .null { return [] }
                return missing(value, have[name], at: "\(path).\(name)", except: except)
            }.sorted()
        case (.array(let wanted), .array(let have)):
            guard let first = wanted.first else { return [] }
            guard let other = have.first else { return ["\(path)[]"] }
            return missing(first, other, at: "\(path)[]", except: except)
        case (.string, .string), (.bool, .bool), (.int, .int), (.double, .double), (.int, .double), (.double, .int):
            return []
        default: return ["\(path): \(recorded.text.prefix(40)) is \(answer.text.prefix(40))"]
        }
    }

    /// Fields of no consequence, and names that differ from cluster to cluster.
    private let ignored: Set<String> = [
        "managedFields", "volumes", "volumeMounts", "magnum.openstack.org/nodegroup", "pod-template-hash",
        "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas", "limits",
    ]

    private func story() -> CloudStory {
        let story = CloudStory(size: 1, minor: 20)
        story.control(
            "POST", "workloads",
            [
                "name": "web", "replicas": 3, "cpu": "1500m", "memory": "512Mi", "budget": ["minAvailable": 2],
                "grace": 5,
            ])
        story.control("POST", "workloads", ["name": "rc", "kind": "ReplicationController"])
        story.pass(5)
        return story
    }

    @Test func objectsHaveTheRecordedShape() throws {
        let story = story()
        let pods = story.pods("web")
        let running = try #require(pods.first { $0.phase == "Running" })
        let pending = try #require(pods.first { $0.node == nil })
        let node = story.nodes[0].name
        let owner = try #require(story.model.store.all(.replicaSet).first).name
        let answers: [(String, String)] = [
            ("pod-running.json", "/api/v1/namespaces/default/pods/\(running.name)"),
            ("pod-pending-unschedulable.json", "/api/v1/namespaces/default/pods/\(pending.name)"),
            ("node.json", "/api/v1/nodes/\(node)"),
            ("replicaset.json", "/apis/apps/v1/namespaces/default/replicasets/\(owner)"),
            ("deployment.json", "/apis/apps/v1/namespaces/default/deployments/web"),
            ("poddisruptionbudget.json", "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets/web"),
            ("lease.json", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/\(node)"),
            ("scale-deployment.json", "/apis/apps/v1/namespaces/default/deployments/web/scale"),
            ("version.json", "/version"), ("discovery-policy.json", "/apis/policy"),
        ]
        let optional: Set<String> = [
            "matchLabels", "strategy", "revisionHistoryLimit", "progressDeadlineSeconds", "message",
            "lastUpdateTime", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy",
            "restartPolicy", "dnsPolicy", "securityContext", "schedulerName", "creationTimestamp", "f:status",
            "preemptionPolicy", "annotations", "imageID", "containerID",
        ]
        for (name, path) in answers {
            let answer = story.call("GET", path)
            #expect(answer.status == 200, "\(path)")
            // Workloads are made by the control API, without the defaults of fields that nobody reads.
            let except =
                name.hasPrefix("deployment") || name.hasPrefix("replicaset") ? ignored.union(optional) : ignored
            #expect(missing(try fixture(name), answer.body, except: except) == [], "\(name)")
        }
    }

    @Test func refusalsHaveTheRecordedShapeAndWords() throws {
        let story = story()
        let pod = try #require(story.pods("web").first { $0.phase == "Running" }).name
        func check(_ name: String, _ answer: (status: Int, body: JSONValue)) throws {
            let recorded = try fixture(name)
            #expect(recorded["status"]?.intValue == Int64(answer.status), "\(name)")
            let body = try #require(recorded["body"])
            #expect(missing(body, answer.body, except: ignored) == [], "\(name)")
            #expect(body["reason"] == answer.body["reason"], "\(name)")
        }
        let eviction: JSONValue = ["metadata": ["name": .string(pod), "namespace": "default"]]
        let path = "/api/v1/namespaces/default/pods/\(pod)/eviction"
        try check("eviction-429.json", story.call("POST", path, eviction))
        story.control("DELETE", "workloads/default/rc")
        _ = story.call("DELETE", "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets/web")
        try check("eviction-201.json", story.call("POST", path, eviction))
        let terminating = story.call("GET", "/api/v1/namespaces/default/pods/\(pod)").body
        #expect(missing(try fixture("pod-terminating.json"), terminating, except: ignored) == [])
        story.pass(10)
        try check("eviction-404.json", story.call("POST", path, eviction))
        try check("unauthorized-401.json", story.call("GET", "/api/v1/nodes", token: "x"))
        try check(
            "forbidden-403.json",
            story.call("DELETE", "/api/v1/namespaces/default/pods/x", token: "practice-reader-token"))
        try check("list-continue-410.json", story.call("GET", "/api/v1/pods?limit=1&continue=x"))
        try check("node-delete.json", story.call("DELETE", "/api/v1/nodes/\(story.nodes[0].name)"))
    }

    @Test func kubeletStatisticsHaveTheRecordedForm() throws {
        let story = story()
        let node = story.nodes[0].name
        story.pass(60)
        let summary = story.call("GET", "/api/v1/nodes/\(node)/proxy/stats/summary").body
        let except: Set<String> = ["systemContainers", "network", "process_stats", "volume", "rootfs", "logs"]
        #expect(missing(try fixture("stats-summary.json"), summary, except: except) == [])
        let request = PracticeRequest(
            method: "GET", path: "/api/v1/nodes/\(node)/proxy/metrics/resource",
            headers: ["authorization": "Bearer practice-token"])
        guard case .answer(let answer) = story.model.kubernetes(request, at: story.now) else {
            Issue.record("no metrics")
            return
        }
        func families(_ text: String) -> [String] {
            text.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.map(String.init)
        }
        let recorded = String(decoding: try #require(Files.read(Self.folder + "metrics-resource.txt")), as: UTF8.self)
        #expect(families(String(decoding: answer.body, as: UTF8.self)) == families(recorded))
    }

    @Test func cpuCountersFollowTheLoad() throws {
        let story = story()
        let node = story.nodes[0].name
        func cores() -> Double {
            let summary = story.call("GET", "/api/v1/nodes/\(node)/proxy/stats/summary").body
            return (summary[path: "node", "cpu", "usageCoreNanoSeconds"]?.doubleValue ?? 0) / 1e9
        }
        let before = cores()
        story.control("POST", "load", ["share": ["cpu": 1.0], "system": .object([node: ["cpu": "500m"]])])
        story.pass(100)
        // Two pods of 1.5 cores, one of 0.1, and 0.5 of the system.
        #expect(abs(cores() - before - 360) < 4)
        story.control("POST", "load", ["pods": ["default/web": ["cpu": "200m"]]])
        let middle = cores()
        story.pass(100)
        #expect(abs(cores() - middle - 100) < 2)
    }

    @Test func heatsNotificationsHaveTheRecordedShape() throws {
        let story = try HeatStory(size: 3, hook: false, policies: [.up, .down])
        try story.signal("down")
        story.settle()
        try story.signal("up")
        story.settle()
        story.heat.memberFailuresAhead = 1
        try story.signal("up")
        story.settle()
        try story.patch(4)
        story.pass(3)
        try story.patch(3)
        story.settle()
        let expected: [(String, String)] = [
            ("autoscaling.start.change_in_capacity.shrink", "autoscaling.start"),
            ("autoscaling.end.change_in_capacity.grow", "autoscaling.end"),
            ("autoscaling.error.change_in_capacity.grow", "autoscaling.error"),
            ("stack.delete.start.member-stack", "stack.delete.start"),
            ("stack.update.end.group-stack", "stack.update.end"),
            ("stack.update.error.group-stack.cancelled", "stack.update.error"),
        ]
        for (name, type) in expected {
            let recorded = try fixture("oslo/heat.\(name).json")
            let envelope = try JSONValue.parse(recorded["body"]?.stringValue ?? "")
            let message = try JSONValue.parse(envelope["oslo.message"]?.stringValue ?? "")
            let payload = try #require(message["payload"])
            // User fields are null where a signal did it: one of ours must fit.
            let candidates = story.notifications.filter { $0.type == type }
            let ours = try #require(candidates.first { missing(payload, $0.payload).isEmpty }, "\(name)")
            #expect(message["event_type"]?.stringValue == "orchestration.\(type)")
            #expect((recorded["routing_key"]?.stringValue == "notifications.error") == ours.isError)
        }
    }

    @Test func theEnvelopeIsOslos() throws {
        let story = CloudStory(size: 1)
        _ = story.model.takeOutputs()
        let stack = story.model.heat.stacks[0].id
        try story.model.heat.update(
            stack: stack, parameters: ["desired": 2], user: "x", isDelegated: false, at: story.now)
        story.pass(30)
        var bodies: [[UInt8]] = []
        for output in story.model.takeOutputs() {
            if case .notification("heat", _, let body) = output { bodies.append(body) }
        }
        let envelope = try JSONValue.parse(try #require(bodies.first))
        let message = try JSONValue.parse(envelope["oslo.message"]?.stringValue ?? "")
        let recorded = try JSONValue.parse(
            try fixture("oslo/heat.stack.update.end.main-stack.json")["body"]?.stringValue ?? "")
        let wanted = try JSONValue.parse(recorded["oslo.message"]?.stringValue ?? "")
        #expect(missing(wanted, message, except: ["updated_at"]) == [])
        #expect(message["event_type"]?.stringValue == "orchestration.stack.update.start")
        #expect(Timestamp(message["timestamp"]?.stringValue ?? "") != nil)
    }
}
