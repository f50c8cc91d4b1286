import JSONReader
import Kubernetes
import Messages
import Support
import Testing

@Suite("Recorded objects in the model")
struct DecodingTests {
    @Test("a running pod")
    func runningPod() throws {
        let object = try Fixture.object(PodObject.self, "pod-running.json")
        #expect(object.meta.resourceVersion == "379")
        #expect(object.pod.name == "web-86df7d9d5d-dwh6t")
        #expect(object.pod.uid == "3e8c5dc3-81ac-4947-9df4-948103098ab4")
        #expect(object.pod.node == "worker-0")
        #expect(object.pod.phase == .running)
        #expect(object.pod.scheduling == .scheduled)
        #expect(object.pod.ready)
        #expect(object.pod.createdAt == Timestamp("2026-11-23T21:39:41Z"))
        #expect(object.pod.deletedAt == nil)
        #expect(object.address == "10.32.0.7")
        let shape = object.shape
        #expect(shape.namespace == "default")
        #expect(shape.labels == ["app": "web", "pod-template-hash": "86df7d9d5d"])
        #expect(
            shape.owner
                == PodShape.Owner(
                    kind: "ReplicaSet", apiVersion: "apps/v1", name: "web-86df7d9d5d",
                    uid: "1253a074-9739-4566-8640-f8e303fbed12"))
        #expect(shape.requests == ResourceList(cpuMillis: 800, memoryBytes: 512 << 20))
        #expect(shape.priority == 0)
        #expect(shape.gracePeriodSeconds == 5)
        #expect(shape.tolerations.count == 2)
        #expect(shape.tolerations.first?.seconds == 300)
        #expect(shape.schedulerName == "default-scheduler")
    }

    @Test("a pod whose binding failed still asks for room; a gated one does not")
    func schedulerError() throws {
        let fixture = String(decoding: try Fixture.bytes("pod-pending-unschedulable.json"), as: UTF8.self)
        for (reason, scheduling) in [("SchedulerError", Pod.Scheduling.unschedulable), ("SchedulingGated", .gated)] {
            let text = fixture.replacing("\"Unschedulable\"", with: "\"\(reason)\"")
            let object = try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
                try PodObject.read(&reader, version: "v1")
            }
            #expect(object.pod.scheduling == scheduling)
        }
    }

    @Test("a pod that fits nowhere, and when that was said first")
    func unschedulablePod() throws {
        for name in ["pod-pending-unschedulable.json", "pod-pending-no-nodes.json"] {
            let object = try Fixture.object(PodObject.self, name)
            #expect(object.pod.scheduling == .unschedulable)
            #expect(object.pod.phase == .pending)
            #expect(object.pod.node == nil)
            #expect(object.pod.unschedulableSince != nil)
            #expect(object.pod.ready == false)
        }
    }

    @Test("a terminating pod has a time of deletion")
    func terminatingPod() throws {
        #expect(try Fixture.object(PodObject.self, "pod-terminating.json").pod.deletedAt != nil)
    }

    @Test("replicas share their shape")
    func shapes() throws {
        let events = try Fixture.lines("watch-pods.jsonl").map { WatchLine.decode(PodObject.self, $0) }
        let pods = events.compactMap { event -> PodObject? in
            switch event {
            case .added(let pod), .modified(let pod), .deleted(let pod): pod
            default: nil
            }
        }
        #expect(pods.count > 20)
        #expect(Set(pods.map(\.shape)).count == 2)
        #expect(Set(pods.map(\.pod.uid)).count > 4)
    }

    @Test("nodes: joining, ready, cordoned, tainted, silent")
    func nodes() throws {
        let fresh = try Fixture.object(NodeObject.self, "node-just-registered.json").node
        #expect(fresh.readiness != .ready)
        let ready = try Fixture.object(NodeObject.self, "node.json").node
        #expect(ready.name == "worker-0")
        #expect(ready.readiness == .ready)
        #expect(ready.readinessReason == nil)
        #expect(ready.serverID?.isEmpty == false)
        #expect(ready.labels["topology.kubernetes.io/zone"] == "nova")
        #expect(ready.allocatable.cpuMillis > 0)
        #expect(ready.allocatable.pods == 110)
        #expect(ready.address == "127.64.0.1")
        #expect(ready.kubeletPort == 10250)
        #expect(!ready.unschedulable)
        // Others' annotations are not kept.
        #expect(ready.annotations.isEmpty)
        #expect(try Fixture.object(NodeObject.self, "node-cordoned.json").node.unschedulable)
        let tainted = try Fixture.object(NodeObject.self, "node-cordoned-tainted.json").node
        #expect(tainted.taints == [Taint(key: "node.kubernetes.io/unschedulable", effect: .noSchedule)])
        let silent = try Fixture.object(NodeObject.self, "node-not-ready.json").node
        #expect(silent.readiness == .unknown)
        #expect(silent.readinessReason?.contains("Kubelet stopped posting node status") == true)
    }

    @Test("budgets, owners, leases, scales")
    func others() throws {
        let budget = try Fixture.object(BudgetObject.self, "poddisruptionbudget.json", version: "v1beta1").budget
        #expect(budget.id == "default/web")
        #expect(budget.disruptionsAllowed == 0)
        #expect(budget.isCurrent)
        #expect(budget.selector?.matches(["app": "web"]) == true)
        let owner = try Fixture.object(ReplicaSetObject.self, "replicaset.json").workload
        #expect(owner.kind == "ReplicaSet")
        #expect(owner.replicas == 3)
        let lease = try Fixture.object(LeaseObject.self, "lease.json")
        #expect(lease.holder == "worker-0")
        #expect(lease.durationSeconds == 40)
        #expect(lease.renewedAt == Timestamp("2026-11-23T21:39:42.192127Z"))
        let scale = try JSONReader.read(try Fixture.bytes("scale-replicationcontroller.json")) {
            (reader) throws(JSONError) in try Scale.read(&reader)
        }
        #expect(scale.replicas == 1)
        #expect(scale.selector == "app=rc")
        #expect(scale.meta.resourceVersion == "374")
    }

    @Test("an empty selector of a budget: nothing in v1beta1, everything in v1; none: nothing")
    func budgetSelectors() throws {
        let text = #"{"metadata":{"name":"b","namespace":"n"},"spec":{"selector":{}},"status":{}}"#
        #expect(try Fixture.decode(BudgetObject.self, text, version: "v1beta1").budget.selector == nil)
        #expect(try Fixture.decode(BudgetObject.self, text, version: "v1").budget.selector == LabelSelector())
        let none =
            #"{"metadata":{"name":"b","namespace":"n","generation":2},"spec":{},"status":{"observedGeneration":1}}"#
        let budget = try Fixture.decode(BudgetObject.self, none).budget
        #expect(budget.selector == nil)
        #expect(!budget.isCurrent)
    }

    @Test("a DaemonSet's template is the shape of its pods; its pods do not differ by node")
    func daemonSets() throws {
        let template = #"""
            {"metadata":{"labels":{"app":"log"}},"spec":{"nodeSelector":{"disk":"yes"},
             "containers":[{"name":"a","resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"1","memory":"64Mi"}}}],
             "hostNetwork":true,"tolerations":[{"operator":"Exists"}]}}
            """#
        let object = try Fixture.decode(
            DaemonSetObject.self,
            #"{"metadata":{"name":"log","namespace":"kube-system","uid":"u"},"spec":{"template":\#(template)},"#
                + #""status":{"currentNumberScheduled":3}}"#)
        let shape = try #require(object.template)
        #expect(shape.namespace == "kube-system")
        #expect(shape.owner?.kind == "DaemonSet")
        // What only a limit names is requested too: the server fills that in for pods, not for templates.
        #expect(shape.requests == ResourceList(cpuMillis: 100, memoryBytes: 64 << 20))
        #expect(shape.nodeSelector == ["disk": "yes"])
        #expect(object.workload.currentReplicas == 3)

        func pod(on node: String) throws -> PodShape {
            let affinity = #"""
                {"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":
                 [{"key":"metadata.name","operator":"In","values":["\#(node)"]}]}]}}}
                """#
            let owner = #"[{"kind":"DaemonSet","name":"log","uid":"u","controller":true,"apiVersion":"apps/v1"}]"#
            return try Fixture.decode(
                PodObject.self,
                #"{"metadata":{"uid":"\#(node)","name":"log-\#(node)","ownerReferences":\#(owner)},"#
                    + #""spec":{"affinity":\#(affinity)},"status":{}}"#
            ).shape
        }
        #expect(try pod(on: "a") == pod(on: "b"))
    }

    @Test("claims: by name, and those of ephemeral volumes named after pod and volume")
    func claims() throws {
        let object = try Fixture.decode(
            PodObject.self,
            #"""
            {"metadata":{"uid":"u","name":"db-0","namespace":"n"},"spec":{"volumes":[
              {"name":"data","persistentVolumeClaim":{"claimName":"data-db-0"}},{"name":"tmp","emptyDir":{"medium":"Memory"}},
              {"name":"cache","ephemeral":{"volumeClaimTemplate":{}}},{"name":"host","hostPath":{"path":"/"}}]},"status":{}}
            """#)
        #expect(object.pod.claims == ["data-db-0", "db-0-cache"])
        #expect(object.shape.localVolumes.map(\.kind) == ["emptyDirMemory", "hostPath"])
    }

    @Test("affinity, spread, gates, host ports, priority: all into the shape")
    func placement() throws {
        let object = try Fixture.decode(
            PodObject.self,
            #"""
            {"metadata":{"uid":"u","name":"p","namespace":"n","annotations":{"updraft.io/shutdown-hook":"http://:8080/",
              "cluster-autoscaler.kubernetes.io/safe-to-evict":"false","other/key":"x"}},
             "spec":{"priority":-5,"priorityClassName":"low","preemptionPolicy":"Never","readinessGates":[{"conditionType":
              "updraft.io/serving"}],"containers":[{"ports":[{"name":"web","containerPort":8080,"hostPort":80}]}],
              "topologySpreadConstraints":[{"maxSkew":2,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway",
               "labelSelector":{"matchLabels":{"a":"b"}},"minDomains":3,"nodeTaintsPolicy":"Honor"}],
              "affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
                {"matchExpressions":[{"key":"cpu","operator":"Gt","values":["4"]}]}]},
               "preferredDuringSchedulingIgnoredDuringExecution":[{"weight":7,"preference":{"matchExpressions":[
                {"key":"z","operator":"Exists"}]}}]},
               "podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchExpressions":[
                {"key":"app","operator":"In","values":["web"]}]},"topologyKey":"kubernetes.io/hostname"}],
               "preferredDuringSchedulingIgnoredDuringExecution":[{"weight":50,"podAffinityTerm":{"topologyKey":"zone",
                "namespaceSelector":{}}}]}}},
             "status":{"phase":"Running","conditions":[{"type":"Ready","status":"False","reason":"ReadinessGatesNotReady",
              "lastTransitionTime":"2026-01-01T00:00:00Z"},{"type":"updraft.io/serving","status":"False","reason":"Told"}]}}
            """#)
        let shape = object.shape
        #expect(shape.annotations.count == 2)
        #expect(shape.priority == -5)
        #expect(shape.hasServingGate)
        #expect(shape.hostPorts == [PodShape.HostPort(port: 80)])
        #expect(object.ports == [ContainerPort(name: "web", port: 8080)])
        #expect(shape.topologySpread.first?.isHard == false)
        #expect(shape.topologySpread.first?.minDomains == 3)
        #expect(shape.topologySpread.first?.nodeTaintsPolicy == .honor)
        #expect(shape.nodeAffinity?.first?.matches(labels: ["cpu": "8"], nodeName: "n") == true)
        #expect(shape.preferredNodeAffinity.first?.weight == 7)
        #expect(shape.podAntiAffinity.map(\.weight) == [nil, 50])
        #expect(shape.podAntiAffinity.last?.namespaceSelector == LabelSelector())
        #expect(
            object.gateConditions
                == [PodObject.Condition(type: "updraft.io/serving", status: "False", reason: "Told")])
        #expect(!object.pod.ready)
    }

    @Test("an old volume's zone labels are taken for its node affinity")
    func volumes() throws {
        let volume = try Fixture.decode(
            VolumeObject.self, #"{"metadata":{"name":"pv","labels":{"topology.kubernetes.io/zone":"a__b"}},"spec":{}}"#)
        let term = try #require(volume.nodeAffinity?.first)
        #expect(term.matches(labels: ["topology.kubernetes.io/zone": "b"], nodeName: "n"))
        #expect(!term.matches(labels: ["topology.kubernetes.io/zone": "c"], nodeName: "n"))
    }

    @Test("an object that makes no sense is left out of its list, the others stay")
    func rejectedItems() throws {
        let text = #"""
            {"kind":"PodList","metadata":{"resourceVersion":"7","continue":"more"},"items":[
             {"metadata":{"uid":"1","name":"a"},"spec":{},"status":{}},
             {"metadata":{"uid":"2","name":"b"},"spec":{"containers":[{"resources":{"requests":{"cpu":"lots"}}}]}},
             {"metadata":{"uid":"3","name":"c"},"spec":{},"status":{"phase":"Running"}}]}
            """#
        let page = try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
            try ListPage<PodObject>.read(&reader, version: "v1")
        }
        #expect(page.items.map(\.pod.uid) == ["1", "3"])
        #expect(page.rejected.map(\.code) == [.invalid])
        #expect(page.resourceVersion == "7")
        #expect(page.next == "more")
    }

    @Test("any line of a watch cut off anywhere is an event of its own, never a crash")
    func cutLines() throws {
        let line = try #require(try Fixture.lines("watch-pods.jsonl").first)
        for length in stride(from: 0, to: line.count, by: 7) {
            guard case .rejected = WatchLine.decode(PodObject.self, Array(line[..<length])) else {
                Issue.record("a line of \(length) bytes was taken for whole")
                return
            }
        }
    }

    @Test("the kinds of watch events, also with the type last")
    func watchEvents() throws {
        let last = WatchLine.decode(
            NamespaceObject.self, Array(#"{"object":{"metadata":{"name":"a"}},"type":"DELETED"}"#.utf8))
        guard case .deleted(let namespace) = last else {
            Issue.record("\(last)")
            return
        }
        #expect(namespace.namespace.name == "a")
        let recorded = try Fixture.lines("watch-nodes.jsonl").map { WatchLine.decode(NodeObject.self, $0) }
        guard case .bookmark(let version) = recorded.last else {
            Issue.record("no bookmark at the end")
            return
        }
        #expect(version == "399")
        for name in ["watch-410-cache.json", "watch-410-etcd.json"] {
            let event = WatchLine.decode(NodeObject.self, try Fixture.response(name).body)
            guard case .failed(let error) = event else {
                Issue.record("\(event)")
                return
            }
            #expect(error.code == .gone)
        }
        guard case .rejected = WatchLine.decode(NodeObject.self, Array(#"{"type":"NEWS","object":{}}"#.utf8)) else {
            Issue.record("an unknown type was accepted")
            return
        }
    }
}
