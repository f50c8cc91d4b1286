import HTTPServer
import JSONReader
import Kubernetes
import Messages
import ServiceRuntime
import Support
import Testing

@testable import Actuator

/// Pod scaling on a practice cloud: replicas through `scale`, and the standing of a scaler in its status.
@Suite("Replicas of workloads, on a practice cloud", .serialized)
struct ScalingPracticeTests {
    private static let controllers = "/api/v1/namespaces/default/replicationcontrollers"
    private static let scalers = "/apis/updraft.io/v1alpha1/namespaces/default/podscalers"

    private func post(_ stage: PracticeStage, _ path: String, _ body: JSONValue) async throws {
        _ = try await stage.kubernetes.request(.init(.post, path, body: body.bytes))
    }

    private func decision(
        _ id: String, from: Int, to: Int, _ apiVersion: String = "v1", _ kind: String = "ReplicationController",
        name: String = "work"
    ) -> PodsDecided {
        PodsDecided(
            cluster: "practice", id: id, apiVersion: apiVersion, kind: kind, namespace: "default", name: name,
            from: from, to: to, reason: Explanation(.statAbove, "cpu 160%"), decidedAt: .now(),
            deadline: .now() + .seconds(60))
    }

    /// A ready node and a ReplicationController with two pods that run.
    private func stage() async throws -> PracticeStage {
        let stage = try PracticeStage(desired: 1)
        try await stage.ready(1)
        try await post(
            stage, Self.controllers,
            [
                "metadata": ["name": "work"],
                "spec": [
                    "replicas": 2, "selector": ["app": "work"],
                    "template": [
                        "metadata": ["labels": ["app": "work"]],
                        "spec": ["containers": [["name": "main", "resources": ["requests": ["cpu": "100m"]]]]],
                    ],
                ],
            ])
        try await running(stage, 2)
        stage.startActuator()
        return stage
    }

    private func running(_ stage: PracticeStage, _ count: Int) async throws {
        try await stage.wait("\(count) pods run") {
            try await stage.kubernetes.all(PodObject.self).filter {
                $0.shape.labels["app"] == "work" && $0.pod.phase == .running && $0.pod.deletedAt == nil
            }.count == count
        }
    }

    private func refusals(_ stage: PracticeStage) -> [Reason] {
        stage.events.compactMap { if case .scaleRefused(let event) = $0 { event.scale.reason.reason } else { nil } }
    }

    @Test(
        "A ReplicationController gets its replicas once; what saw others, or cannot be scaled, is refused with its reason"
    )
    func replicas() async throws {
        let stage = try await stage()
        let grow = decision("p1", from: 2, to: 4)
        try await stage.decide { .podsDecided(grow, ticket: $0) }
        try await running(stage, 4)
        // The same again, as a broker may deliver it: answered, and done once.
        try await stage.decide { .podsDecided(grow, ticket: $0) }
        #expect(stage.story.filter { $0 == .scaleCompleted }.count == 2 && refusals(stage).isEmpty)
        let wrong = [
            decision("p2", from: 2, to: 3), decision("p3", from: 4, to: 5, name: "gone"),
            decision("p4", from: 4, to: 5, "updraft.io/v1alpha1", "PodScaler"),
            decision("p5", from: 4, to: 5, "example.org/v1", "Shop"),
        ]
        for one in wrong { try await stage.decide { .podsDecided(one, ticket: $0) } }
        #expect(refusals(stage) == [.decisionStale, .targetNotFound, .targetNotScalable, .targetNotScalable])
        try await running(stage, 4)
        // Decided on one that was deleted and made anew since.
        var anew = decision("p7", from: 4, to: 0)
        anew.uid = "another"
        let former = anew
        try await stage.decide { .podsDecided(former, ticket: $0) }
        #expect(refusals(stage).dropFirst(4) == [.decisionStale])
        try await running(stage, 4)
        let object = try await stage.kubernetes.request(.init(.get, Self.controllers + "/work"))
        let work = try JSONValue.parse(object.body)
        #expect(work[path: "spec", "replicas"]?.intValue == 4)
        var shrink = decision("p6", from: 4, to: 1)
        shrink.uid = work[path: "metadata", "uid"]?.stringValue
        #expect(shrink.uid != nil)
        let same = shrink
        try await stage.decide { .podsDecided(same, ticket: $0) }
        try await running(stage, 1)
        let events = try await stage.kubernetes.request(.init(.get, "/api/v1/namespaces/default/events"))
        let told = (try JSONValue.parse(events.body)["items"]?.arrayValue ?? []).filter {
            $0[path: "involvedObject", "kind"]?.stringValue == "ReplicationController"
        }.compactMap { $0["message"]?.stringValue }
        #expect(told.contains("replicas 2 to 4: cpu 160%") && told.contains("replicas 4 to 1: cpu 160%"), "\(told)")
        await stage.close()
    }

    @Test(
        "Deployments, ReplicaSets and StatefulSets are scaled as well, up and down",
        arguments: ["Deployment", "ReplicaSet", "StatefulSet"])
    func kinds(kind: String) async throws {
        let stage = try PracticeStage(desired: 1)
        try await stage.ready(1)
        try await post(
            stage, "/apis/apps/v1/namespaces/default/\(kind.lowercased())s",
            [
                "apiVersion": "apps/v1", "kind": .string(kind), "metadata": ["name": "work"],
                "spec": [
                    "replicas": 2, "selector": ["matchLabels": ["app": "work"]], "serviceName": "work",
                    "template": [
                        "metadata": ["labels": ["app": "work"]],
                        "spec": ["containers": [["name": "main", "resources": ["requests": ["cpu": "100m"]]]]],
                    ],
                ],
            ])
        try await running(stage, 2)
        stage.startActuator()
        for (from, to) in [(2, 4), (4, 1)] {
            let change = decision("p\(to)", from: from, to: to, "apps/v1", kind)
            try await stage.decide { .podsDecided(change, ticket: $0) }
            try await running(stage, to)
        }
        #expect(stage.story.filter { $0 == .scaleCompleted }.count == 2 && refusals(stage).isEmpty)
        await stage.close()
    }

    @Test("An Event that fails is tried again before the status says that it is no news any more")
    func eventFails() async throws {
        let (posts, order) = (Lock(0), Lock<[String]>([]))
        let server = try HTTPServer { request in
            order.withLock { $0.append("\(request.method) \(request.path.split(separator: "/").last ?? "")") }
            switch (request.method, request.path.hasSuffix("/events")) {
            case ("POST", true):
                let isFirst = posts.withLock { count in
                    count += 1
                    return count == 1
                }
                return .response(.json(isFirst ? 500 : 201, isFirst ? #"{"kind":"Status","code":500}"# : "{}"))
            default:
                return .response(
                    .json(
                        200,
                        #"{"apiVersion":"updraft.io/v1alpha1","kind":"PodScaler","metadata":{"name":"work","namespace":"default","uid":"u","resourceVersion":"3"},"spec":{"maxReplicas":5}}"#
                    ))
            }
        }
        let client = KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:\(server.port)"))
        let lines = Lock<[String]>([])
        let door = ScalerDoor(
            client: client, recorder: EventRecorder(client, component: "updraft-actuator", host: "test"),
            isDryRun: false,
            log: Logger(
                service: "test", write: { line in lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }),
            lease: .unlimited)
        var entry = Evaluation.ScalerEntry(
            scaler: "default/work", generation: 1, isObject: true, target: "Deployment/default/work",
            outcome: Explanation(.targetNotFound, "there is no work"))
        entry.problem = entry.outcome
        await door.tell([entry], at: .now())
        let calls = order.withLock { $0 }
        #expect(posts.withLock { $0 } == 2 && calls.last == "PATCH status", "\(calls)")
        // One of the configuration: the log says it when it turns.
        entry.isObject = false
        for _ in 1...2 { await door.tell([entry], at: .now()) }
        (entry.problem, entry.outcome) = (nil, Explanation(.scalerSatisfied))
        await door.tell([entry], at: .now())
        let said = lines.withLock { $0 }
        #expect(said.filter { $0.contains("a pod scaler of the configuration cannot scale") }.count == 1, "\(said)")
        #expect(said.filter { $0.contains("can scale again") }.count == 1)
        server.stop()
        await client.close()
    }

    @Test(
        "A change that the API server refuses has its reason: somebody else was faster, it may not, it fails",
        arguments: [
            (409, Reason.kubernetesConflict, true), (403, .kubernetesRefused, false), (422, .kubernetesRefused, false),
        ])
    func refusal(status: Int, reason: Reason, isRetriable: Bool) async throws {
        let patches = Lock(0)
        let events = Lock<[JSONValue]>([])
        let server = try HTTPServer { request in
            if request.path.hasSuffix("/events") {
                events.withLock { $0.append((try? JSONValue.parse(request.body)) ?? .null) }
                return .response(.json(201, "{}"))
            }
            guard request.method == "PATCH" else {
                return .response(
                    .json(
                        200,
                        #"{"metadata":{"name":"work","namespace":"default","uid":"d-1","resourceVersion":"7"},"spec":{"replicas":2}}"#
                    ))
            }
            patches.withLock { $0 += 1 }
            return .response(.json(status, #"{"kind":"Status","message":"no","code":\#(status)}"#))
        }
        let client = KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:\(server.port)"))
        let door = ClusterDoor(client, host: "test", isDryRun: false)
        var wanted = decision("p1", from: 2, to: 3)
        wanted.uid = "d-1"
        guard case .failed(let failure) = await door.scale(wanted) else {
            Issue.record("it was not refused")
            return
        }
        #expect(failure.reason == reason && failure.isRetriable == isRetriable)
        #expect(patches.withLock { $0 } >= 1)
        // What may pass is told only once it does not.
        #expect(events.withLock { $0.map { $0["reason"]?.stringValue } } == (isRetriable ? [] : [reason.rawValue]))
        #expect(events.withLock { $0.allSatisfy { $0[path: "involvedObject", "uid"]?.stringValue == "d-1" } })
        server.stop()
        await client.close()
    }

    @Test("The standing of a scaler is written into its status when it is news, and never over somebody's change")
    func status() async throws {
        let stage = try await stage()
        try await post(
            stage, Self.scalers,
            [
                "apiVersion": "updraft.io/v1alpha1", "kind": "PodScaler", "metadata": ["name": "work"],
                "spec": ["maxReplicas": 5],
            ])
        let door = ScalerDoor(
            client: stage.kubernetes,
            recorder: EventRecorder(stage.kubernetes, component: "updraft-actuator", host: "test"), isDryRun: false,
            log: Logger(service: "test", write: { _ in }), lease: .unlimited)
        func object() async throws -> JSONValue {
            try await stage.kubernetes.getValue(PodScalerObject.resource, namespace: "default", "work")
        }
        func condition(_ type: String) async throws -> JSONValue? {
            try await object()[path: "status", "conditions"]?.arrayValue?.first { $0["type"]?.stringValue == type }
        }
        var entry = Evaluation.ScalerEntry(
            scaler: "default/work", generation: 1, isObject: true, target: "ReplicationController/default/work",
            current: 2, desired: 3, outcome: Explanation(.statAbove, "cpu 160%, goal 50%"))
        await door.tell([entry], at: .now())
        let first = try await object()
        #expect(first[path: "status", "desiredReplicas"]?.intValue == 3)
        #expect(try await condition("ScalingActive")?["status"]?.stringValue == "True")
        #expect(first[path: "spec", "maxReplicas"]?.intValue == 5, "the status is written without touching the spec")
        await door.tell([entry], at: .now())
        #expect(try await object()[path: "metadata", "resourceVersion"] == first[path: "metadata", "resourceVersion"])
        entry.problem = Explanation(.targetNotFound, "there is no work")
        entry.outcome = Explanation(.targetNotFound, "there is no work")
        await door.tell([entry], at: .now())
        #expect(try await condition("AbleToScale")?["reason"]?.stringValue == "TargetNotFound")
        // One of the configuration has no object: its Events are on the target, by its UID, as `kubectl describe` looks for them.
        var configured = entry
        configured.isObject = false
        configured.targetUID = "u-7"
        await door.tell([configured], at: .now())
        configured.target = nil
        await door.tell([configured], at: .now())
        // Of a kind of somebody's own the version is known as well.
        (configured.target, configured.targetAPIVersion) = ("Rollout.argoproj.io/default/work", "argoproj.io/v1alpha1")
        let place = ScalerDoor.place(of: configured)
        #expect(place.kind == "Rollout" && place.apiVersion == "argoproj.io/v1alpha1" && place.name == "work")
        let events = try await stage.kubernetes.request(.init(.get, "/api/v1/namespaces/default/events"))
        let told = (try JSONValue.parse(events.body)["items"]?.arrayValue ?? []).filter {
            $0["message"]?.stringValue == "pod scaler default/work: there is no work"
        }.map { event in
            ["kind", "name", "uid"].map { event[path: "involvedObject", $0]?.stringValue ?? "" }.joined(separator: " ")
        }
        #expect(told.sorted() == ["PodScaler work ", "ReplicationController work u-7"])
        // One that is gone harms nobody.
        entry.scaler = "default/nobody"
        await door.tell([entry], at: .now())
        await stage.close()
    }
}
