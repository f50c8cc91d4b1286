import JSONReader
import Support
import Testing

@testable import PracticeCloud

/// A practice cloud without sockets: a clock that is moved by hand.
final class CloudStory {
    var model: PracticeModel
    var now = Timestamp(seconds: 1_795_000_000)

    init(
        size: Int = 1, maximum: Int = 10, hook: Bool = false, minor: Int = 30,
        adjust: (inout PracticeSettings) -> Void = { _ in }
    ) {
        var settings = PracticeSettings()
        settings.kubernetesMinor = minor
        var group = GroupDefinition()
        group.desired = size
        group.maximum = maximum
        group.preDeleteHook = hook
        settings.stacks = [StackDefinition(name: "k8s", groups: [group])]
        adjust(&settings)
        model = PracticeModel(settings, at: now)
    }

    /// Lets `seconds` pass.
    func pass(_ seconds: Double) {
        now = now + .seconds(seconds)
        model.advance(to: now)
    }

    /// A request to the API server with every right.
    func call(
        _ method: String, _ path: String, _ body: JSONValue? = nil, type: String = "application/json",
        token: String = "practice-token"
    ) -> (status: Int, body: JSONValue) {
        let parts = path.split(separator: "?", maxSplits: 1)
        let query = parts.count > 1 ? parts[1].split(separator: "&") : []
        let request = PracticeRequest(
            method: method, path: String(parts[0]),
            query: query.map { pair in
                let halves = pair.split(separator: "=", maxSplits: 1)
                return (String(halves[0]), halves.count > 1 ? String(halves[1]) : "")
            }, headers: ["authorization": "Bearer \(token)", "content-type": type], body: body?.bytes ?? [])
        guard case .answer(let answer) = model.kubernetes(request, at: now) else { return (0, .null) }
        model.settle()
        return (answer.status, (try? JSONValue.parse(answer.body)) ?? .null)
    }

    /// A request to the control API; its status.
    @discardableResult
    func control(_ method: String, _ path: String, _ body: JSONValue = [:]) -> (status: Int, body: JSONValue) {
        let (answer, _) = model.control(
            PracticeRequest(method: method, path: "/practice/\(path)", body: body.bytes), at: now)
        return (answer.status, (try? JSONValue.parse(answer.body)) ?? .null)
    }

    /// Pods of an app that are not going.
    func pods(_ app: String) -> [PodFacts] {
        model.index.pods.values.filter { $0.labels["app"] == app && $0.isActive }.sorted { $0.key < $1.key }
    }

    var nodes: [NodeFacts] { model.index.nodes.values.sorted { $0.name < $1.name } }

    func journal(_ kind: String) -> [Journal.Entry] { model.journal.entries.filter { $0.kind == kind } }
}

@Suite struct KubernetesModelTests {
    @Test func theStackIsUpAndItsMachinesAreNodes() throws {
        let story = CloudStory(size: 3)
        #expect(story.nodes.count == 3)
        #expect(story.nodes.allSatisfy { $0.isReady })
        let servers = Set(story.model.heat.stacks[0].groups[0].members.compactMap(\.serverID))
        #expect(Set(story.nodes.compactMap(\.serverID)) == servers)
        #expect(story.nodes.allSatisfy { $0.taints.isEmpty })
    }

    @Test func manyNodesComeUpAndTheQuotaBitesOnlyWhenAsked() throws {
        let story = CloudStory(size: 600, maximum: 601)
        #expect(story.nodes.count == 600)
        #expect(story.model.heat.stacks[0].state.text == "CREATE_COMPLETE")
        story.control("POST", "actions/quota", ["instances": 600])
        let stack = story.model.heat.stacks[0].id
        try story.model.heat.update(
            stack: stack, parameters: ["desired": 601], user: "x", isDelegated: false, at: story.now)
        story.pass(60)
        #expect(story.model.heat.stacks[0].state.reason.contains("Quota exceeded for instances"))
    }

    @Test func pendingPodsRunOnceTheGroupHasGrown() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 7, "cpu": "1", "memory": "1Gi"])
        story.pass(3)
        let pending = story.pods("web").filter { $0.node == nil }
        #expect(story.pods("web").filter { $0.isReady }.count == 4)
        #expect(pending.count == 3)
        #expect(pending[0].schedulingMessage == "0/1 nodes are available: 1 Insufficient cpu.")
        let stack = story.model.heat.stacks[0].id
        try story.model.heat.update(
            stack: stack, parameters: ["desired": 2], user: "x", isDelegated: false, at: story.now)
        story.pass(60)
        #expect(story.nodes.count == 2)
        #expect(story.pods("web").filter(\.isReady).count == 7)
        #expect(story.journal("node.joined").count == 2)
    }

    @Test func anUnschedulablePodHasTheRecordedCondition() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "big", "replicas": 1, "cpu": "64"])
        story.pass(1)
        let pod = try #require(story.pods("big").first)
        let object = story.call("GET", "/api/v1/namespaces/default/pods/\(pod.name)").body
        let condition = try #require(object[path: "status", "conditions"]?[0])
        #expect(condition["type"]?.stringValue == "PodScheduled")
        #expect(condition["status"]?.stringValue == "False")
        #expect(condition["reason"]?.stringValue == "Unschedulable")
        let events = story.call("GET", "/api/v1/namespaces/default/events").body["items"]?.arrayValue ?? []
        #expect(events.contains { $0["reason"]?.stringValue == "FailedScheduling" })
    }

    @Test func aSmallerGroupKillsWhatWasNotDrained() throws {
        let story = CloudStory(size: 2)
        story.control("POST", "workloads", ["name": "web", "replicas": 8, "cpu": "1"])
        story.pass(5)
        #expect(story.pods("web").filter(\.isReady).count == 8)
        let stack = story.model.heat.stacks[0].id
        try story.model.heat.update(
            stack: stack, parameters: ["desired": 1], user: "x", isDelegated: false, at: story.now)
        story.pass(30)
        let killed = story.journal("pod.killed")
        #expect(killed.count == 4)
        #expect(killed.allSatisfy { $0.facts["told"]?.boolValue == false })
        let verdict = story.control("GET", "verdict").body
        #expect(verdict["holds"]?.boolValue == false)
        // The Node stays until somebody deletes it: NotReady after 40 s.
        story.pass(60)
        #expect(story.nodes.count == 2)
        #expect(story.nodes.filter(\.isReady).count == 1)
    }

    @Test func evictionIsGracefulAndTheOwnerMakesANewPod() throws {
        let story = CloudStory(size: 2)
        story.control("POST", "workloads", ["name": "web", "replicas": 2, "cpu": "1", "grace": 10, "stopDelay": 4])
        story.pass(5)
        let pod = story.pods("web")[0]
        let eviction: JSONValue = [
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": ["name": .string(pod.name), "namespace": "default"],
            "deleteOptions": ["preconditions": ["uid": .string(pod.uid)]],
        ]
        let path = "/api/v1/namespaces/default/pods/\(pod.name)/eviction"
        let answer = story.call("POST", path, eviction)
        #expect(answer.status == 201)
        #expect(answer.body["status"]?.stringValue == "Success")
        story.pass(2)
        let going = story.call("GET", "/api/v1/namespaces/default/pods/\(pod.name)").body
        #expect(going[path: "metadata", "deletionTimestamp"] != nil)
        #expect(going[path: "metadata", "deletionGracePeriodSeconds"]?.intValue == 10)
        #expect(story.pods("web").count == 2)
        story.pass(3)
        #expect(story.call("GET", "/api/v1/namespaces/default/pods/\(pod.name)").status == 404)
        #expect(story.call("POST", path, eviction).status == 404)
        #expect(story.journal("pod.evicted").first?.facts["told"]?.boolValue == false)
    }

    @Test func aBudgetRefusesInTheRecordedWords() throws {
        let story = CloudStory(size: 2)
        story.control(
            "POST", "workloads",
            ["name": "web", "replicas": 2, "cpu": "1", "budget": ["minAvailable": 2]])
        func evict(_ name: String) -> (status: Int, body: JSONValue) {
            story.call(
                "POST", "/api/v1/namespaces/default/pods/\(name)/eviction",
                ["metadata": ["name": .string(name)]])
        }
        story.pass(5)
        let pod = story.pods("web")[0]
        let refused = evict(pod.name)
        #expect(refused.status == 429)
        #expect(refused.body["reason"]?.stringValue == "TooManyRequests")
        let cause = refused.body[path: "details", "causes"]?[0]
        #expect(cause?["reason"]?.stringValue == "DisruptionBudget")
        #expect(
            cause?["message"]?.stringValue == "The disruption budget web needs 2 healthy pods and has 2 currently")
        story.control("PATCH", "workloads/default/web", ["replicas": 3])
        story.pass(5)
        #expect(evict(pod.name).status == 201)
        // At once: the budget is spent.
        #expect(evict(story.pods("web")[0].name).status == 429)
        // A second budget on the same pods: 500 without a reason.
        _ = story.call(
            "POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
            [
                "metadata": ["name": "other"],
                "spec": ["maxUnavailable": 1, "selector": ["matchLabels": ["app": "web"]]],
            ])
        let two = evict(story.pods("web")[0].name)
        #expect(two.status == 500)
        #expect(two.body["reason"] == nil)
    }

    @Test func aBudgetNotYetSeenIsStillBeingProcessed() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 1, "budget": ["maxUnavailable": 1]])
        story.pass(5)
        let pod = story.pods("web")[0]
        story.model.store.update(.podDisruptionBudget, "default/web") { $0.set("spec", "maxUnavailable", to: 0) }
        let refused = story.call(
            "POST", "/api/v1/namespaces/default/pods/\(pod.name)/eviction", ["metadata": ["name": .string(pod.name)]])
        #expect(refused.status == 429)
        #expect(
            refused.body[path: "details", "causes"]?[0]?["message"]?.stringValue
                == "The disruption budget web is still being processed by the server.")
    }

    @Test func versionsOfPolicyFollowTheServersVersion() throws {
        let old = CloudStory(minor: 20)
        #expect(old.call("GET", "/apis/policy/v1/namespaces/default/poddisruptionbudgets").status == 404)
        #expect(old.call("GET", "/apis/policy/v1beta1/poddisruptionbudgets").status == 200)
        old.control("POST", "workloads", ["name": "web", "replicas": 1])
        old.pass(3)
        let pod = old.pods("web")[0].name
        let refused = old.call(
            "POST", "/api/v1/namespaces/default/pods/\(pod)/eviction",
            ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(pod)]])
        #expect(refused.status == 400)
        let new = CloudStory(minor: 30)
        #expect(new.call("GET", "/apis/policy/v1beta1/poddisruptionbudgets").status == 404)
        #expect(new.call("GET", "/apis/policy/v1/poddisruptionbudgets").status == 200)
    }

    @Test func aReadinessGateKeepsThePodUnreadyUntilItIsOpen() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 1, "gate": true])
        story.pass(5)
        let pod = story.pods("web")[0]
        #expect(pod.phase == "Running")
        #expect(!pod.isReady)
        func gate(_ status: JSONValue) -> Int {
            story.call(
                "PATCH", "/api/v1/namespaces/default/pods/\(pod.name)/status",
                ["status": ["conditions": [["type": "updraft.io/serving", "status": status]]]],
                type: "application/strategic-merge-patch+json"
            ).status
        }
        #expect(gate("True") == 200)
        story.pass(1)
        #expect(story.pods("web")[0].isReady)
        #expect(gate("False") == 200)
        story.pass(1)
        #expect(!story.pods("web")[0].isReady)
        #expect(story.journal("pod.gate-closed").count == 1)
    }

    @Test func aCordonedNodeIsTaintedAMomentLater() throws {
        let story = CloudStory(size: 1)
        let name = story.nodes[0].name
        let patched = story.call(
            "PATCH", "/api/v1/nodes/\(name)", ["spec": ["unschedulable": true]],
            type: "application/strategic-merge-patch+json")
        #expect(patched.status == 200)
        #expect(patched.body[path: "spec", "taints"] == nil)
        story.pass(1)
        #expect(story.nodes[0].taints.map(\.key) == ["node.kubernetes.io/unschedulable"])
        story.control("POST", "workloads", ["name": "web", "replicas": 1])
        story.pass(1)
        #expect(story.pods("web")[0].node == nil)
        _ = story.call(
            "PATCH", "/api/v1/nodes/\(name)", ["spec": ["unschedulable": nil]], type: "application/merge-patch+json")
        story.pass(3)
        #expect(story.pods("web")[0].isReady)
    }

    @Test func podsOfADeletedNodeAreCollected() throws {
        let story = CloudStory(size: 2)
        story.control("POST", "workloads", ["name": "web", "replicas": 2, "antiAffinity": "hostname"])
        story.pass(3)
        let pod = story.pods("web")[0]
        let server = story.model.index.nodes[pod.node ?? ""]?.serverID ?? ""
        #expect(story.control("POST", "actions/delete-server", ["server": .string(server)]).status == 200)
        #expect(story.call("DELETE", "/api/v1/nodes/\(pod.node ?? "")").status == 200)
        story.pass(30)
        #expect(!story.model.index.pods.keys.contains(pod.key))
        // The other node has one already: it waits.
        let waiting = try #require(story.pods("web").first { $0.node == nil })
        #expect(
            waiting.schedulingMessage
                == "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.")
    }

    @Test func podsOfALostNodeWaitForTheirTolerationsThenForTheNodesDeletion() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 1])
        story.pass(3)
        let node = story.nodes[0].name
        story.control("POST", "actions/silence-node", ["node": .string(node)])
        story.pass(45)
        #expect(!story.nodes[0].isReady)
        #expect(story.nodes[0].taints.contains { $0.key == "node.kubernetes.io/unreachable" })
        let pod = story.pods("web")[0]
        #expect(!pod.isReady)
        story.pass(301)
        #expect(story.model.index.pods[pod.key]?.deletion != nil)
        story.pass(600)
        #expect(story.model.index.pods[pod.key] != nil)
        _ = story.call("DELETE", "/api/v1/nodes/\(node)")
        story.pass(30)
        #expect(story.model.index.pods[pod.key] == nil)
    }

    @Test func daemonSetsHaveAPodOnEachNodeAndCordonedOnesToo() throws {
        let story = CloudStory(size: 3)
        story.control("POST", "workloads", ["name": "agent", "kind": "DaemonSet"])
        story.pass(3)
        #expect(Set(story.pods("agent").compactMap(\.node)).count == 3)
        _ = story.call(
            "PATCH", "/api/v1/nodes/\(story.nodes[0].name)", ["spec": ["unschedulable": true]],
            type: "application/merge-patch+json")
        story.pass(3)
        #expect(story.pods("agent").filter(\.isReady).count == 3)
    }

    @Test func statefulSetsStartInOrder() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "db", "kind": "StatefulSet", "replicas": 3])
        story.pass(0.5)
        #expect(story.pods("db").map(\.name) == ["db-0"])
        story.pass(5)
        #expect(story.pods("db").map(\.name) == ["db-0", "db-1", "db-2"])
        story.control("PATCH", "workloads/default/db", ["replicas": 1])
        story.pass(10)
        #expect(story.pods("db").map(\.name) == ["db-0"])
    }

    @Test func scaleSubresourceChangesReplicas() throws {
        let story = CloudStory(size: 1)
        for (kind, path) in [
            ("Deployment", "apis/apps/v1/namespaces/default/deployments/a"),
            ("ReplicationController", "api/v1/namespaces/default/replicationcontrollers/b"),
            ("StatefulSet", "apis/apps/v1/namespaces/default/statefulsets/c"),
        ] {
            let name = String(path.suffix(1))
            story.control("POST", "workloads", ["name": .string(name), "kind": .string(kind), "replicas": 1])
            let scale = story.call("GET", "/\(path)/scale").body
            #expect(scale[path: "status", "selector"]?.stringValue == "app=\(name)")
            var wanted = scale
            wanted.set("spec", "replicas", to: 2)
            #expect(story.call("PUT", "/\(path)/scale", wanted).status == 200)
            // The version has passed.
            #expect(story.call("PUT", "/\(path)/scale", wanted).status == 409)
            story.pass(5)
            #expect(story.pods(name).count == 2)
        }
        let patched = story.call(
            "PATCH", "/apis/apps/v1/namespaces/default/deployments/a/scale", ["spec": ["replicas": 0]],
            type: "application/merge-patch+json")
        #expect(patched.body[path: "spec", "replicas"]?.intValue == 0)
        story.pass(5)
        #expect(story.pods("a").isEmpty)
    }
}
