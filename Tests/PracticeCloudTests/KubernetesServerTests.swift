import JSONReader
import Support
import Testing

@testable import PracticeCloud

/// Reading, writing and watching objects as the real API server does.
@Suite struct KubernetesServerTests {
    @Test func listsComeInPagesOfOneSnapshot() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 7])
        story.pass(1)
        var names: [String] = []
        var token = ""
        var versions: Set<String> = []
        repeat {
            let page = story.call("GET", "/api/v1/pods?limit=3&continue=\(token)").body
            names += (page["items"]?.arrayValue ?? []).compactMap { $0[path: "metadata", "name"]?.stringValue }
            versions.insert(page[path: "metadata", "resourceVersion"]?.stringValue ?? "")
            token = page[path: "metadata", "continue"]?.stringValue ?? ""
            story.control("PATCH", "workloads/default/web", ["replicas": .int(Int64(7 + names.count))])
            story.pass(1)
        } while !token.isEmpty
        #expect(names.count == 7)
        #expect(names == names.sorted())
        #expect(versions.count == 1)
        let stale = story.call("GET", "/api/v1/pods?limit=3&continue=unknown")
        #expect(stale.status == 410)
        #expect(stale.body["reason"]?.stringValue == "Expired")
        // The watch cache answers with everything.
        let all = story.call("GET", "/api/v1/pods?limit=3&resourceVersion=0").body["items"]?.arrayValue ?? []
        #expect(all.count > 7)
    }

    @Test(arguments: [
        ("fieldSelector=spec.nodeName=", 1), ("fieldSelector=status.phase=Running", 4),
        ("fieldSelector=status.phase!=Running", 1), ("labelSelector=app=web", 4), ("labelSelector=app!=web", 1),
        ("labelSelector=app in (web,big)", 5), ("labelSelector=!app", 0), ("labelSelector=app", 5),
        ("labelSelector=app notin (web)", 1),
    ])
    func selectorsSelect(query: String, count: Int) throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 4])
        story.control("POST", "workloads", ["name": "big", "replicas": 1, "cpu": "64"])
        story.pass(3)
        let parts = query.split(separator: "=", maxSplits: 1)
        let request = PracticeRequest(
            method: "GET", path: "/api/v1/pods", query: [(String(parts[0]), String(parts[1]))],
            headers: ["authorization": "Bearer practice-token"])
        guard case .answer(let answer) = story.model.kubernetes(request, at: story.now) else {
            Issue.record("no answer")
            return
        }
        #expect(try JSONValue.parse(answer.body)["items"]?.arrayValue?.count == count)
    }

    @Test func aLeaseIsTakenByOneOnly() throws {
        let story = CloudStory()
        let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        let lease: JSONValue = ["metadata": ["name": "decider"], "spec": ["holderIdentity": "a"]]
        #expect(story.call("POST", path, lease).status == 201)
        #expect(story.call("POST", path, lease).body["reason"]?.stringValue == "AlreadyExists")
        var mine = story.call("GET", "\(path)/decider").body
        var theirs = mine
        mine.set("spec", "holderIdentity", to: "a2")
        theirs.set("spec", "holderIdentity", to: "b")
        #expect(story.call("PUT", "\(path)/decider", mine).status == 200)
        let late = story.call("PUT", "\(path)/decider", theirs)
        #expect(late.status == 409)
        #expect(late.body["reason"]?.stringValue == "Conflict")
        let held = story.call("GET", "\(path)/decider").body
        #expect(held[path: "spec", "holderIdentity"]?.stringValue == "a2")
    }

    @Test func patchesMergeAsTheirKindSays() throws {
        let old: JSONValue = [
            "metadata": ["annotations": ["a": "1", "b": "2"], "finalizers": ["x"]],
            "spec": ["taints": [["key": "old", "effect": "NoSchedule"]]],
            "status": ["conditions": [["type": "Ready", "status": "True", "reason": "r"]]],
        ]
        let patch: JSONValue = [
            "metadata": ["annotations": ["a": nil, "c": "3"], "finalizers": ["y"]],
            "spec": ["taints": [["key": "new", "effect": "NoSchedule"]]],
            "status": ["conditions": [["type": "Other", "status": "False"], ["type": "Ready", "status": "False"]]],
        ]
        let strategic = KubernetesPatch.strategic.apply(patch, to: old)
        #expect(strategic[path: "metadata", "annotations"] == ["b": "2", "c": "3"])
        #expect(strategic[path: "metadata", "finalizers"] == ["x", "y"])
        #expect(strategic[path: "spec", "taints"]?.arrayValue?.count == 1)
        #expect(
            strategic[path: "status", "conditions"] == [
                ["type": "Ready", "status": "False", "reason": "r"], ["type": "Other", "status": "False"],
            ])
        let merge = KubernetesPatch.merge.apply(patch, to: old)
        #expect(merge[path: "status", "conditions"]?[0]?["type"]?.stringValue == "Other")
        #expect(merge[path: "metadata", "finalizers"] == ["y"])
    }

    @Test func aPatchOfAnOldVersionOrAnotherUidIsAConflict() throws {
        let story = CloudStory(size: 1)
        let name = story.nodes[0].name
        for metadata: JSONValue in [["resourceVersion": "1"], ["uid": "another"]] {
            let answer = story.call(
                "PATCH", "/api/v1/nodes/\(name)", ["metadata": metadata, "spec": ["unschedulable": true]],
                type: "application/merge-patch+json")
            #expect(answer.status == 409)
        }
        #expect(!story.nodes[0].isUnschedulable)
        let wrong = story.call("PATCH", "/api/v1/nodes/\(name)", [:], type: "application/json-patch+json")
        #expect(wrong.status == 415)
    }

    @Test func anEmptyPatchChangesNoVersion() throws {
        let story = CloudStory(size: 1)
        let path = "/api/v1/nodes/\(story.nodes[0].name)"
        let before = story.call("GET", path).body[path: "metadata", "resourceVersion"]
        _ = story.call("PATCH", path, ["metadata": ["labels": [:]]], type: "application/merge-patch+json")
        #expect(story.call("GET", path).body[path: "metadata", "resourceVersion"] == before)
    }

    @Test func tokensAreAskedFor() throws {
        let story = CloudStory(size: 1)
        let unknown = story.call("GET", "/api/v1/nodes", token: "wrong")
        #expect(unknown.status == 401)
        #expect(unknown.body["reason"]?.stringValue == "Unauthorized")
        #expect(story.call("GET", "/api/v1/nodes", token: "practice-reader-token").status == 200)
        let reader = story.call("DELETE", "/api/v1/nodes/x", token: "practice-reader-token")
        #expect(reader.status == 403)
        #expect(reader.body["reason"]?.stringValue == "Forbidden")
    }

    private func watch(_ story: CloudStory, _ query: [(String, String)]) throws -> WatchOpening {
        let request = PracticeRequest(
            method: "GET", path: "/api/v1/pods", query: [("watch", "1")] + query,
            headers: ["authorization": "Bearer practice-token"])
        guard case .watch(let opening) = story.model.kubernetes(request, at: story.now) else {
            throw KubernetesFailure(500, nil, "no watch")
        }
        return opening
    }

    @Test func aWatchBeginsWhereTheListEnded() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 1])
        story.pass(5)
        let list = story.call("GET", "/api/v1/pods").body
        let version = list[path: "metadata", "resourceVersion"]?.stringValue ?? ""
        #expect(try watch(story, [("resourceVersion", version)]).backlog.isEmpty)
        story.control("PATCH", "workloads/default/web", ["replicas": 2])
        story.pass(5)
        let lines = try watch(story, [("resourceVersion", version)]).backlog.map { try JSONValue.parse($0) }
        #expect(lines.first?["type"]?.stringValue == "ADDED")
        #expect(lines.dropFirst().allSatisfy { $0["type"]?.stringValue == "MODIFIED" })
        #expect(lines.last?[path: "object", "kind"]?.stringValue == "Pod")
        #expect(lines.last?[path: "object", "status", "phase"]?.stringValue == "Running")
    }

    @Test func aWatchFromTooLongAgoIsAnErrorEvent() throws {
        let story = CloudStory(size: 1)
        story.control("POST", "workloads", ["name": "web", "replicas": 1])
        story.pass(5)
        story.control("POST", "actions/expire-watches")
        let opening = try watch(story, [("resourceVersion", "1")])
        #expect(opening.isOver)
        let event = try JSONValue.parse(opening.backlog[0])
        #expect(event["type"]?.stringValue == "ERROR")
        #expect(event[path: "object", "code"]?.intValue == 410)
        #expect(event[path: "object", "reason"]?.stringValue == "Expired")
    }

    @Test func aWatchOfOneNodesPodsSeesThemComeAndGo() throws {
        let story = CloudStory(size: 1)
        let node = story.nodes[0].name
        let start = String(story.model.store.version)
        story.control("POST", "workloads", ["name": "web", "replicas": 1, "stopDelay": 0])
        story.pass(5)
        story.control("DELETE", "workloads/default/web")
        story.pass(5)
        let opening = try watch(story, [("resourceVersion", start), ("fieldSelector", "spec.nodeName=\(node)")])
        let types = try opening.backlog.map { try JSONValue.parse($0)["type"]?.stringValue ?? "" }
        // Its creation without a node is not seen; being bound makes it ADDED.
        #expect(types.first == "ADDED")
        #expect(types.last == "DELETED")
        #expect(types.filter { $0 == "ADDED" }.count == 1)
    }

    @Test func discoveryListsWhatThereIs() throws {
        let story = CloudStory(minor: 22)
        #expect(story.call("GET", "/version").body["minor"]?.stringValue == "22")
        let policy = story.call("GET", "/apis/policy").body
        #expect(policy["versions"]?.arrayValue?.compactMap { $0["version"]?.stringValue } == ["v1", "v1beta1"])
        let core = story.call("GET", "/api/v1").body["resources"]?.arrayValue ?? []
        let eviction = core.first { $0["name"]?.stringValue == "pods/eviction" }
        #expect(eviction?["version"]?.stringValue == "v1")
        #expect(eviction?["group"]?.stringValue == "policy")
        #expect(story.call("GET", "/apis/nothing").status == 404)
    }

    @Test(arguments: [
        "/api/v1/namespaces/default/pods/none", "/api/v1/nodes/none", "/api/v1/nonsense", "/apis/apps/v2/deployments",
        "/api/v1/namespaces/none", "/nothing",
    ])
    func whatIsNotThereIs404(path: String) throws {
        let story = CloudStory()
        let answer = story.call("GET", path)
        #expect(answer.status == 404)
        #expect(answer.body["reason"]?.stringValue == "NotFound")
    }

    @Test func malformedBodiesAreRefused() throws {
        let story = CloudStory()
        for body in ["{", "[]", "7", "{\"metadata\":{}}", "{\"metadata\":{\"name\":\"a/b\"}}"] {
            let request = PracticeRequest(
                method: "POST", path: "/api/v1/namespaces/default/pods",
                headers: ["authorization": "Bearer practice-token"], body: Array(body.utf8))
            guard case .answer(let answer) = story.model.kubernetes(request, at: story.now) else {
                Issue.record("no answer to \(body)")
                continue
            }
            #expect((400...422).contains(answer.status), "\(body)")
        }
    }
}
