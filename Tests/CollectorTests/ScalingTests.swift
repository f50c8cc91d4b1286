import Collector
import Messages
import Support
import Testing

@Suite("Pod scalers and their targets in the state")
struct ScalingTests {
    private let selector = LabelSelector([Requirement("app", .in, ["web"])])

    private func target(_ name: String, replicas: Int = 2, app: String = "web") -> ObservedObject {
        .target(
            ObservedTarget(
                ScaleTarget(
                    apiVersion: "apps/v1", kind: "Deployment", namespace: "n", name: name, selector: selector,
                    replicas: replicas), template: PodShape(namespace: "n", labels: ["app": app])))
    }

    private func scaler(_ name: String = "s") -> ObservedObject {
        .scaler(
            PodScaler(
                namespace: "n", name: name,
                target: TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web"),
                maximum: 5))
    }

    private let autoscaler = ObservedObject.autoscaler(
        PodAutoscaler(
            namespace: "n", name: "h", target: TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web")))

    @Test("Without a scaler nobody is told of targets")
    func silent() {
        var talk = Talk()
        var actions = talk.sync([(.deployments, target("web")), (.autoscalers, autoscaler)])
        actions += talk.say(0.1, .probed)
        actions += talk.say(0.2, .ticked)
        #expect(actions.snapshots.first?.first?.scaling == nil)
        #expect(talk.core.shapeCount == 0)
        _ = talk.say(0.3, .published(ok: true))
        actions = talk.say(1, .observed(.deployments, [target("web", replicas: 3)])) + talk.say(1.1, .ticked)
        #expect(actions.deltas.isEmpty)
    }

    @Test("With the first scaler all that it could mean is told, with the shapes of the pods; then what changes")
    func firstScaler() throws {
        var talk = Talk.running([(.deployments, target("web")), (.autoscalers, autoscaler)])
        _ = talk.say(1, .observed(.podScalers, [scaler()]))
        let first = try #require(talk.say(1.1, .ticked).deltas.first)
        #expect(first.scaling?.changed.scalers.map(\.id) == ["n/s"])
        #expect(first.scaling?.changed.targets.map(\.id) == ["Deployment/n/web"])
        #expect(first.scaling?.changed.autoscalers.map(\.id) == ["n/h"])
        let number = try #require(first.scaling?.changed.targets.first?.template)
        #expect(first.shapes.map(\.id) == [number])
        _ = talk.say(1.2, .published(ok: true), .observed(.deployments, [target("web", replicas: 4)]))
        let second = try #require(talk.say(1.3, .ticked).deltas.first)
        #expect(second.scaling?.changed.targets.map(\.replicas) == [4])
        #expect(second.scaling?.changed.targets.first?.template == number && second.shapes.isEmpty)
        _ = talk.say(1.4, .published(ok: true), .gone(.deployments, key: "Deployment/n/web"))
        let third = try #require(talk.say(1.5, .ticked).deltas.first)
        #expect(third.scaling?.removedTargets == ["Deployment/n/web"])
        #expect(talk.core.shapeCount == 0)
        _ = talk.say(1.6, .published(ok: true), .gone(.podScalers, key: "n/s"))
        #expect(try #require(talk.say(1.7, .ticked).deltas.first).scaling?.removedScalers == ["n/s"])
    }

    @Test("A ReplicationController is owner and target; a snapshot holds both")
    func both() throws {
        var talk = Talk()
        let workload = Workload(
            kind: "ReplicationController", namespace: "n", name: "rc", replicas: 2, currentReplicas: 2)
        let target = ScaleTarget(
            apiVersion: "v1", kind: "ReplicationController", namespace: "n", name: "rc", selector: selector, replicas: 2
        )
        _ = talk.sync([
            (.replicationControllers, .workload(workload, template: nil, target: ObservedTarget(target))),
            (.podScalers, scaler()),
        ])
        let actions = talk.say(1, .probed) + talk.say(1.1, .ticked)
        let part = try #require(actions.snapshots.first?.first)
        #expect(part.workloads == [workload])
        #expect(part.scaling?.targets == [target])
        #expect(part.scaling?.scalers.count == 1)
    }

    @Test("Scalers of the configuration want the targets as well")
    func configured() {
        var options = CollectorCore.Options(cluster: "test", replica: "r1")
        options.wantsTargets = true
        var talk = Talk()
        talk.core = CollectorCore(options)
        _ = talk.sync([(.deployments, target("web"))])
        let actions = talk.say(1, .probed) + talk.say(1.1, .ticked)
        #expect(actions.snapshots.first?.first?.scaling?.targets.count == 1)
    }

    @Test(
        "A first list that fails keeps nobody waiting: readers are told that it is unknown, and get the whole once it is known",
        arguments: [ObservedKind.podScalers, .deployments])
    func unlistedScaling(kind: ObservedKind) throws {
        var talk = Talk()
        _ = talk.sync([(.podScalers, scaler()), (.deployments, target("web"))].filter { $0.0 != kind }, but: kind)
        var actions = talk.say(0.5, .failed(kind, reason: "500"), .probed) + talk.say(0.6, .ticked)
        let first = try #require(actions.snapshots.first?.first?.scaling)
        #expect((kind == .podScalers ? first.scalersProblem : first.deploymentsProblem) == "500")
        #expect((kind == .podScalers ? first.deploymentsProblem : first.scalersProblem) == nil)
        #expect(first.targets.count == (kind == .podScalers ? 1 : 0), "a scaler may be there that means it")
        _ = talk.say(0.7, .published(ok: true))
        // It fails again: nothing new, and no second snapshot.
        actions = talk.say(3, .probed, .failed(kind, reason: "503")) + talk.say(3.1, .ticked)
        #expect(actions.snapshots.isEmpty)
        let object = kind == .podScalers ? scaler() : target("web")
        actions = talk.say(4, .listing(kind), .observed(kind, [object]), .listed(kind)) + talk.say(4.1, .ticked)
        let second = try #require(actions.snapshots.first?.first?.scaling, "what readers kept may be gone by now")
        #expect(second.scalersProblem == nil && second.deploymentsProblem == nil)
        #expect(second.scalers.count == 1 && second.targets.count == 1)
        // Known once, it is known while its watch fails.
        _ = talk.say(4.2, .published(ok: true), .failed(kind, reason: "500"))
        actions = talk.say(6, .snapshotRequested(why: "a new reader")) + talk.say(6.1, .ticked)
        let third = try #require(actions.snapshots.first?.first?.scaling)
        #expect(third.scalersProblem == nil && third.deploymentsProblem == nil && third.scalers.count == 1)
    }

    @Test("HorizontalPodAutoscalers that cannot be listed are not none: readers are told, and when they can be")
    func unlisted() throws {
        var talk = Talk()
        _ = talk.sync([(.deployments, target("web")), (.podScalers, scaler())])
        _ = talk.say(0.5, .failed(.autoscalers, reason: "403"))
        let part = try #require(
            (talk.say(1, .probed) + talk.say(1.1, .ticked)).snapshots.first?.first, "the rest is known")
        #expect(part.scaling?.autoscalersProblem == nil, "they were listed before")
        talk = Talk()
        _ = talk.sync([(.deployments, target("web")), (.podScalers, scaler())], but: .autoscalers)
        _ = talk.say(0.5, .failed(.autoscalers, reason: "403"))
        let first = try #require((talk.say(1, .probed) + talk.say(1.1, .ticked)).snapshots.first?.first)
        #expect(first.scaling?.autoscalersProblem == "403")
        _ = talk.say(1.2, .published(ok: true), .listing(.autoscalers))
        _ = talk.say(1.3, .observed(.autoscalers, [autoscaler]), .listed(.autoscalers))
        let delta = try #require(talk.say(1.4, .ticked).deltas.first)
        #expect(delta.scaling?.changed.autoscalersProblem == "")
        #expect(delta.scaling?.changed.autoscalers.map(\.id) == ["n/h"])
    }

    @Test(
        "That there are no scalers is known also while the server is away, and a missing right alone sends no targets")
    func notThere() throws {
        var talk = Talk()
        _ = talk.sync([(.deployments, target("web"))], but: .podScalers)
        var actions = talk.say(0.5, .absent(.podScalers), .probed) + talk.say(0.6, .ticked)
        #expect(try #require(actions.snapshots.first?.first).scaling == nil)
        actions = talk.say(0.7, .published(ok: true), .failed(.podScalers, reason: "500")) + talk.say(1, .ticked)
        actions += talk.say(2, .observed(.deployments, [target("web", replicas: 5)])) + talk.say(2.1, .ticked)
        actions += talk.say(3, .snapshotRequested(why: "a new reader")) + talk.say(3.1, .ticked)
        #expect(actions.deltas.allSatisfy { $0.scaling == nil }, "\(actions.deltas)")
        #expect(actions.snapshots.first?.first != nil)
        #expect(actions.snapshots.joined().allSatisfy { $0.scaling == nil }, "\(actions.snapshots)")
        talk = Talk()
        _ = talk.sync([(.deployments, target("web"))], but: .podScalers)
        actions = talk.say(0.5, .failed(.podScalers, reason: "403", isForbidden: true), .probed)
        actions += talk.say(0.6, .ticked)
        let told = try #require(actions.snapshots.first?.first?.scaling, "what readers know is not gone")
        #expect(told.scalersProblem == "403" && told.targets.isEmpty)
        // A server that is away for a moment after that has not given the right.
        actions = talk.say(0.7, .published(ok: true), .failed(.podScalers, reason: "500")) + talk.say(1, .ticked)
        actions += talk.say(2, .observed(.deployments, [target("web", replicas: 5)])) + talk.say(2.1, .ticked)
        actions += talk.say(3, .snapshotRequested(why: "a new reader")) + talk.say(3.1, .ticked)
        #expect(actions.deltas.allSatisfy { $0.scaling?.changed.targets.isEmpty ?? true }, "\(actions.deltas)")
        let anew = try #require(actions.snapshots.first?.first?.scaling)
        #expect(anew.scalersProblem == "500" && anew.targets.isEmpty)
        // Once they were listed it has: what fails later may hide some.
        actions = talk.say(3.2, .published(ok: true), .listing(.podScalers), .observed(.podScalers, [scaler()]))
        actions += talk.say(3.3, .listed(.podScalers)) + talk.say(4, .ticked)
        let targets = actions.deltas.flatMap { $0.scaling?.changed.targets ?? [] }
        let all = actions.snapshots.joined().flatMap { $0.scaling?.targets ?? [] }
        #expect((targets + all).map(\.replicas) == [5])
    }

    @Test("The snapshot that says which scalers there are waits for targets of other kinds that they name")
    func foreignFirst() throws {
        var talk = Talk()
        _ = talk.sync([(.deployments, target("web"))], but: .podScalers)
        var actions = talk.say(0.4, .absent(.scales))
        actions += talk.say(0.5, .failed(.podScalers, reason: "500"), .probed) + talk.say(0.6, .ticked)
        #expect(actions.snapshots.count == 1)
        _ = talk.say(0.7, .published(ok: true))
        let reference = TargetReference(apiVersion: "example.org/v1", kind: "Rollout", name: "shop")
        let scaler = ObservedObject.scaler(PodScaler(namespace: "n", name: "s", target: reference, maximum: 5))
        actions = talk.say(4, .probed, .listing(.podScalers), .observed(.podScalers, [scaler]), .listed(.podScalers))
        // Who asked before the scalers were known says that nothing was to be read.
        actions += talk.say(4.1, .absent(.scales)) + talk.say(4.4, .ticked)
        #expect(actions.snapshots.isEmpty && actions.deltas.isEmpty)
        let found = ScaleTarget(
            apiVersion: "example.org/v1", kind: "Rollout", namespace: "n", name: "shop", selector: selector, replicas: 3
        )
        actions = talk.say(
            4.5, .listing(.scales), .observed(.scales, [.target(ObservedTarget(found))]), .listed(.scales))
        actions += talk.say(5, .ticked)
        let part = try #require(actions.snapshots.first?.first?.scaling)
        #expect(part.scalersProblem == nil && part.targets.map(\.id).contains("Rollout.example.org/n/shop"))
    }

    @Test("A cluster without the CRD is complete all the same")
    func absent() {
        var talk = Talk()
        _ = talk.sync()
        _ = talk.say(0.5, .absent(.podScalers), .failed(.autoscalers, reason: "403"))
        #expect(talk.core.notReady == nil)
        #expect(!(talk.say(1, .probed) + talk.say(1.1, .ticked)).snapshots.isEmpty)
    }
}
