import JSONReader
import Messages
import Support
import Testing
import YAML

@testable import Kubernetes

@Suite("PodScaler objects, scale targets, and HorizontalPodAutoscalers turned into scalers")
struct PodScalerTests {
    private func scaler(_ spec: String) throws -> PodScaler {
        let text =
            #"{"metadata": {"name": "web", "namespace": "shop", "uid": "u1", "generation": 3}, "spec": \#(spec)}"#
        return try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
            try PodScalerObject.read(&reader, version: "v1alpha1")
        }.scaler
    }

    private let reference = #""scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}"#

    @Test("All fields")
    func all() throws {
        let scaler = try scaler(
            #"""
            {\#(reference), "minReplicas": 0, "maxReplicas": 40, "enabled": false, "pause": "down", "dryRun": true,
             "fallbackReplicas": 3, "monitorSelector": {"matchLabels": {"b": "2", "a": "1"},
             "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["x"]}, {"key": "d", "operator": "Exists"}]},
             "thresholds": [{"intention": {"stat": "cpu", "averageValue": "250m"}},
              {"value": {"stat": "queue", "external": true, "comparison": "at-least", "value": "1k", "durationSeconds": 30,
               "increment": "-50%"}},
              {"value": {"stat": "cpu", "utilization": true, "comparison": "above", "value": 90, "increment": 2}}],
             "metrics": [{"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": 5}}}],
             "behavior": {"scaleUp": {"stabilizationWindowSeconds": 10, "selectPolicy": "Min", "tolerance": "0.2",
              "policies": [{"type": "Pods", "value": 3, "periodSeconds": 20}]}, "scaleDown": {"selectPolicy": "Disabled"}}}
            """#)
        #expect(scaler.problem == nil, "\(scaler)")
        #expect(scaler.id == "shop/web" && scaler.uid == "u1" && scaler.generation == 3)
        #expect(
            scaler.minimum == 0 && scaler.maximum == 40 && !scaler.enabled && scaler.pause == .down && scaler.dryRun)
        #expect(scaler.fallback == 3)
        #expect(scaler.monitorSelector?.requirements.map(\.key) == ["a", "b", "c", "d"])
        #expect(
            scaler.intentions == [
                Intention(stat: "cpu", goal: .average(250)), Intention(stat: "q", isExternal: true, goal: .total(5)),
            ])
        #expect(scaler.values.first?.value == 1_000 && scaler.values.first?.step == .percent(-50))
        #expect(scaler.values.last?.isUtilization == true && scaler.values.last?.step == .replicas(2))
        #expect(scaler.scaleUp.tolerance == 0.2 && scaler.scaleUp.selection == .min)
        #expect(scaler.scaleUp.policies == [.init(.pods, 3, per: .seconds(20))])
        #expect(scaler.scaleDown.selection == .disabled && scaler.scaleDown.stabilization == .seconds(300))
    }

    @Test("Numbers beyond all bounds are the scaler's mistake, not an end of the service")
    func bounds() throws {
        for spec in [
            #""maxReplicas": 5, "thresholds": [{"value": {"stat": "q", "external": true, "comparison": "above", "value": 1, "increment": "-9223372036854775808"}}]"#,
            #""maxReplicas": 5, "thresholds": [{"value": {"stat": "q", "external": true, "comparison": "above", "value": 1, "increment": -9223372036854775808}}]"#,
            #""maxReplicas": 5, \#(threshold), "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 9223372036854775807, "periodSeconds": 15}]}}"#,
            #""maxReplicas": 9223372036854775807, \#(threshold)"#,
            #""maxReplicas": 5, \#(threshold), "behavior": {"scaleUp": {"stabilizationWindowSeconds": 9223372036854775807}}"#,
        ] {
            #expect(try scaler("{\(reference), \(spec)}").problem?.reason == .scalerInvalid, "\(spec)")
        }
    }

    private let threshold = #""thresholds": [{"intention": {"stat": "load", "external": true, "averageValue": 5}}]"#

    @Test("Sources of stats: a metric of Gnocchi and an alarm of Aodh, with what is usual where nothing is said")
    func sources() throws {
        let scaler = try scaler(
            #"""
            {\#(reference), "maxReplicas": 4, "thresholds": [{"intention": {"stat": "load", "external": true, "averageValue": 5}},
             {"value": {"stat": "slow", "external": true, "comparison": "at-least", "value": 1, "increment": 1}},
             {"value": {"stat": "sum", "external": true, "comparison": "above", "value": 1, "increment": 1}}],
             "sources": [{"stat": "load", "gnocchi": {"metric": "connections", "resourceID": "r1"}},
              {"stat": "slow", "maxAgeSeconds": 90, "alarm": {"name": "too slow", "firing": "500m", "insufficientData": 1}},
              {"stat": "sum", "gnocchi": {"metric": "m", "resourceType": "instance", "match": {"zone": "a"},
               "granularitySeconds": 300, "aggregation": "rate:mean", "across": "sum"}}]}
            """#)
        #expect(scaler.problem == nil, "\(scaler)")
        #expect(
            scaler.sources == [
                StatSource(stat: "load", place: .gnocchi(GnocchiPlace(metric: "connections", resourceID: "r1"))),
                StatSource(
                    stat: "slow", place: .alarm(AlarmPlace(name: "too slow", firing: 0.5, insufficientData: 1)),
                    maximumAge: .seconds(90)),
                StatSource(
                    stat: "sum",
                    place: .gnocchi(
                        GnocchiPlace(
                            metric: "m", resourceType: "instance", match: ["zone": "a"], granularity: .seconds(300),
                            aggregation: "rate:mean", across: .sum))),
            ])
    }

    @Test(
        "Sources that are none: each is the scaler's mistake, with its place",
        arguments: [
            (#"{"stat": "load"}"#, "spec.sources[0]: needs one of gnocchi, alarm and kubernetes, and no second"),
            (#"{"gnocchi": {"metric": "m", "resourceID": "r"}}"#, "spec.sources[0].stat: is missing"),
            (#"{"stat": "load", "gnocchi": {"resourceID": "r"}}"#, "spec.sources[0].gnocchi.metric: is missing"),
            (
                #"{"stat": "load", "gnocchi": {"metric": "m"}}"#,
                "source 0 (load): one of resourceID and match is needed, not both"
            ),
            (
                #"{"stat": "load", "gnocchi": {"metric": "../x", "resourceID": "r"}}"#,
                "source 0 (load): metric is empty, too long or holds a slash"
            ),
            (
                #"{"stat": "load", "gnocchi": {"metric": "m", "resourceID": "r", "aggregation": "100pct"}}"#,
                #"source 0 (load): aggregation "100pct" is no method of Gnocchi"#
            ),
            (
                #"{"stat": "load", "gnocchi": {"metric": "m", "resourceID": "r", "granularitySeconds": 0}}"#,
                "source 0 (load): granularitySeconds is not within 1…86400"
            ),
            (
                #"{"stat": "load", "maxAgeSeconds": 1, "gnocchi": {"metric": "m", "resourceID": "r"}}"#,
                "source 0 (load): maxAgeSeconds is not within 5…86400"
            ),
            (#"{"stat": "load", "alarm": {}}"#, "source 0 (load): one of id and name is needed, not both"),
            (
                #"{"stat": "load", "alarm": {"name": "a", "firing": -1}}"#,
                "source 0 (load): the value -1.0 of a state is negative or no number"
            ),
            (
                #"{"stat": "laod", "alarm": {"name": "a"}}"#,
                "source 0 (laod): no threshold with external: true names it"
            ),
            (
                #"{"stat": "load", "alarm": {"name": "a"}}, {"stat": "load", "alarm": {"name": "b"}}"#,
                "source 1 (load): another source has the same stat"
            ),
        ])
    func wrongSources(list: String, mistake: String) throws {
        let scaler = try scaler(#"{\#(reference), "maxReplicas": 4, \#(threshold), "sources": [\#(list)]}"#)
        #expect(scaler.problem == Explanation(.scalerInvalid, mistake))
    }

    @Test("The spec of a HorizontalPodAutoscaler v2 is one")
    func hpa() throws {
        let scaler = try scaler(
            #"""
            {\#(reference), "maxReplicas": 10, "metrics": [
             {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
             {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "500Mi"}}},
             {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "target": {"type": "AverageValue", "averageValue": "250m"}}},
             {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "1500m"}}}]}
            """#)
        #expect(scaler.problem == nil)
        #expect(
            scaler.intentions == [
                Intention(stat: "cpu", goal: .utilization(60)),
                Intention(stat: "memory", goal: .average(Double(500 << 20))),
                Intention(stat: "cpu", container: "app", goal: .average(250)),
                Intention(stat: "rps", goal: .average(1.5)),
            ])
        #expect(scaler.minimum == 1 && scaler.scaleUp == .up && scaler.scaleDown == .down)
    }

    @Test(
        "What is wrong is named with its place, and the object is there all the same",
        arguments: [
            (#""maxReplicas": "ten""#, "spec.maxReplicas: is no whole number"),
            (
                #""maxReplicas": 5, "targetSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}"#,
                #"spec.targetSelector.matchExpressions[0].operator: "Near" is none of In, NotIn, Exists, DoesNotExist"#
            ),
            (
                #""maxReplicas": 5, "monitorSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}"#,
                "spec.monitorSelector.matchExpressions[0]: needs values"
            ),
            (
                #""maxReplicas": 5, "metrics": [{"type": "Object"}]"#,
                #"spec.metrics[0].type: "Object" is none of Resource, ContainerResource, Pods, External"#
            ),
            (
                #""maxReplicas": 5, "metrics": [{"type": "ContainerResource", "containerResource": {"name": "disk", "container": "app"}}]"#,
                #"spec.metrics[0].containerResource: "disk" is neither cpu nor memory"#
            ),
            (
                #""maxReplicas": 5, "metrics": [{"type": "ContainerResource", "containerResource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]"#,
                "spec.metrics[0].containerResource.container: is missing"
            ),
            (
                #""maxReplicas": 5, "thresholds": [{"intention": {"stat": "rps", "container": "app", "averageValue": 5}}]"#,
                "intention 0 (rps of app): of a container only cpu and memory are known"
            ),
            (
                #""maxReplicas": 5, "thresholds": [{"intention": {"stat": "cpu", "container": "", "averageValue": 5}}]"#,
                "intention 0 (cpu of ): names a container without a name"
            ),
            (
                #""maxReplicas": 5, "thresholds": [{"intention": {"stat": "cpu"}}]"#,
                "spec.thresholds[0].intention: needs one of utilization, averageValue and value"
            ),
            (
                #""maxReplicas": 5, "thresholds": [{"value": {"stat": "x", "comparison": "above", "value": 1, "increment": "much"}}]"#,
                #"spec.thresholds[0].value.increment: "much" is neither a whole number nor a percentage"#
            ),
            (#""maxReplicas": 5, "pause": "left""#, #"spec.pause: "left" is none of none, up, down, both"#),
            (#""maxReplicas": 5"#, "has no threshold"),
        ])
    func mistakes(fields: String, words: String) throws {
        let hasTarget = fields.contains("targetSelector")
        let scaler = try scaler("{\(hasTarget ? "" : reference + ", ")\(fields)}")
        #expect(scaler.problem?.detail == words)
        #expect(scaler.id == "shop/web")
    }

    private func target<Kind: WorkloadKind>(_ type: WorkloadObject<Kind>.Type, _ text: String) throws -> WorkloadObject<
        Kind
    > {
        try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
            try WorkloadObject<Kind>.read(&reader, version: "v1")
        }
    }

    @Test(
        "A rollout of a kind of somebody's own shows in what controllers of workloads have in common; what is not there says nothing",
        arguments: [
            (#"{}"#, false), (#"{"status": null}"#, false), (#"{"status": {"replicas": 3}}"#, false),
            (#"{"metadata": {"annotations": {"updraft.io/rollout": "true"}}}"#, true),
            (#"{"metadata": {"annotations": {"updraft.io/rollout": "false"}}}"#, false),
            (#"{"metadata": {"generation": 4}, "status": {"observedGeneration": 3}}"#, true),
            (#"{"metadata": {"generation": 4}, "status": {"observedGeneration": "3"}}"#, true),
            (#"{"metadata": {"generation": 4}, "status": {"observedGeneration": "4"}}"#, false),
            (#"{"metadata": {"generation": 4}, "status": {"observedGeneration": "?"}}"#, false),
            (#"{"metadata": {"generation": 4}, "status": {}}"#, false),
            (#"{"status": {"replicas": 3, "updatedReplicas": 1}}"#, true),
            (#"{"status": {"replicas": 3, "updatedReplicas": 3}}"#, false),
            (#"{"status": {"replicas": 3, "currentRevision": "a", "updateRevision": "b"}}"#, true),
            (
                #"{"status": {"replicas": 3, "updatedReplicas": 3, "currentRevision": "a", "updateRevision": "b"}}"#,
                false
            ),
            (
                #"{"status": {"replicas": 3, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "a"}}"#,
                false
            ),
            (
                #"{"status": {"conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]}}"#,
                true
            ),
            (
                #"{"status": {"conditions": [{"type": "Progressing", "status": "False", "reason": "ReplicaSetUpdated"}]}}"#,
                false
            ),
            (
                #"{"status": {"conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}}"#,
                false
            ),
            (
                #"{"spec": {"updateStrategy": {"partition": 3}}, "status": {"replicas": 5, "updatedReplicas": 2}}"#,
                false
            ),
            (#"{"spec": {"updateStrategy": {"partition": 2}}, "status": {"replicas": 5, "updatedReplicas": 2}}"#, true),
            (
                #"{"spec": {"updateStrategy": {"partition": "x"}}, "status": {"replicas": 5, "updatedReplicas": 2}}"#,
                true
            ),
            (
                #"{"spec": {"updateStrategy": {"partition": -9223372036854775808}}, "status": {"replicas": 5, "updatedReplicas": 2}}"#,
                true
            ),
            (
                #"{"spec": {"updateStrategy": {"rollingUpdate": {"partition": 3}}}, "status": {"replicas": 5, "updatedReplicas": 2}}"#,
                false
            ),
            (
                #"{"spec": {"updateStrategy": {"type": "OnDelete"}}, "status": {"replicas": 5, "updatedReplicas": 0}}"#,
                false
            ),
            (#"{"status": {"conditions": [7, {"type": "Progressing", "status": "True"}]}}"#, false),
        ])
    func foreignRollout(object: String, isUnderWay: Bool) throws {
        #expect(ForeignRollout.isUnderWay(try JSONValue.parse(Array(object.utf8))) == isUnderWay)
    }

    @Test(
        "A StatefulSet whose old pods stay on purpose is not being rolled out",
        arguments: [
            (#"{"type": "OnDelete"}"#, 0, false), (#"{"type": "RollingUpdate"}"#, 2, true),
            (#"{"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}"#, 0, true),
            (#"{"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}"#, 1, false),
            (#"{"type": "RollingUpdate", "rollingUpdate": {"partition": 9}}"#, 0, false),
            (#"{"type": "RollingUpdate", "rollingUpdate": null}"#, 3, false), ("null", 0, true),
        ])
    func partition(strategy: String, updated: Int, isUnderWay: Bool) throws {
        let text = #"""
            {"metadata": {"name": "db", "namespace": "n"}, "spec": {"replicas": 3, "updateStrategy": \#(strategy),
             "selector": {"matchLabels": {"app": "db"}}}, "status": {"replicas": 3, "updatedReplicas": \#(updated),
             "currentRevision": "a", "updateRevision": "b"}}
            """#
        let object = try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
            try StatefulSetObject.read(&reader, version: "v1")
        }
        #expect(object.target?.isRollingOut == isUnderWay)
    }

    @Test("A rollout is pods of an old version; who rolls out by other means says so")
    func rollouts() throws {
        func deployment(_ replicas: Int, updated: Int, _ conditions: String = "[]") throws -> ScaleTarget {
            try target(
                DeploymentObject.self,
                #"{"metadata": {"name": "web", "namespace": "n", "labels": {"tier": "web"}}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "300m"}}}]}}}, "status": {"replicas": \#(replicas), "updatedReplicas": \#(updated), "conditions": \#(conditions)}}"#
            ).scaleTarget
        }
        #expect(try !deployment(3, updated: 3).isRollingOut)
        #expect(try deployment(4, updated: 1).isRollingOut)
        // No old pod is left (Recreate, or the last quarter of a rolling update), the new ones are not available yet.
        for (status, reason, isUnderWay) in [
            ("True", "ReplicaSetUpdated", true), ("True", "NewReplicaSetCreated", true),
            ("True", "NewReplicaSetAvailable", false), ("False", "ProgressDeadlineExceeded", false),
            ("Unknown", "DeploymentPaused", false),
        ] {
            let list =
                #"[{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}, {"type": "Progressing", "status": "\#(status)", "reason": "\#(reason)"}]"#
            #expect(try deployment(3, updated: 3, list).isRollingOut == isUnderWay, "\(reason)")
        }
        #expect(try !deployment(3, updated: 3, "null").isRollingOut)
        #expect(try deployment(3, updated: 3).labels == ["tier": "web"])
        let controller = try target(
            ReplicationControllerObject.self,
            #"{"metadata": {"name": "rc", "namespace": "n", "annotations": {"updraft.io/rollout": "true"}}, "spec": {"replicas": 2, "selector": {"app": "old"}}, "status": {"replicas": 2}}"#
        )
        #expect(controller.target?.isRollingOut == true && controller.target?.apiVersion == "v1")
        #expect(controller.target?.selector?.matches(["app": "old"]) == true)
    }

    @Test("The template says what new pods need; a ReplicaSet of a Deployment is no target of its own")
    func templates() throws {
        let text = { (owners: String) in
            #"{"metadata": {"name": "s", "namespace": "n"\#(owners)}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "300m"}}}]}}}, "status": {"replicas": 1}}"#
        }
        let free = try target(ReplicaSetObject.self, text(""))
        #expect(free.targetTemplate?.requests.cpuMillis == 300 && free.targetTemplate?.namespace == "n")
        #expect(free.template == nil)
        let owned = try target(
            ReplicaSetObject.self,
            text(
                #", "ownerReferences": [{"kind": "Deployment", "name": "d", "uid": "u", "apiVersion": "apps/v1", "controller": true}]"#
            ))
        #expect(owned.target == nil && owned.targetTemplate == nil)
        #expect(owned.scaleTarget.owner != nil)
    }

    @Test(
        "updraft convert hpa: what autoscaling/v1 carries in annotations is kept; annotations that cannot be read are no scaler"
    )
    func oldConversion() throws {
        func converted(_ annotations: String, _ more: String = "") throws -> AutoscalerConversion.Converted {
            try #require(
                try AutoscalerConversion.convert(
                    """
                    {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
                     "metadata": {"name": "web", "namespace": "n", "annotations": {\(annotations)}},
                     "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 9\(more)}}
                    """, file: "f.json"
                ).first)
        }
        func scaler(_ manifest: String?) throws -> PodScaler {
            let value = JSONValue(try YAML.parse(try #require(manifest), file: "out.yaml"))
            var scaler = PodScaler(namespace: "n", name: "web", maximum: 0)
            try scaler.fill(from: PodScalerNode(try #require(value["spec"]), at: "spec"))
            return scaler
        }
        let metrics =
            #""autoscaling.alpha.kubernetes.io/metrics": "[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"targetAverageUtilization\":70}},{\"type\":\"Pods\",\"pods\":{\"metricName\":\"rps\",\"targetAverageValue\":\"1k\"}},{\"type\":\"ContainerResource\",\"containerResource\":{\"name\":\"cpu\",\"container\":\"app\",\"targetAverageUtilization\":50}},{\"type\":\"External\",\"external\":{\"metricName\":\"q\",\"metricSelector\":{\"matchLabels\":{\"a\":\"b\"}},\"targetValue\":\"30\"}}]""#
        let behavior =
            #""autoscaling.alpha.kubernetes.io/behavior": "{\"ScaleUp\":{\"StabilizationWindowSeconds\":0,\"SelectPolicy\":\"Max\",\"Policies\":[{\"Type\":\"Pods\",\"Value\":2,\"PeriodSeconds\":60}],\"Tolerance\":null},\"ScaleDown\":{\"StabilizationWindowSeconds\":60}}""#
        var one = try converted("\(metrics), \(behavior)")
        var made = try scaler(one.manifest)
        #expect(
            made.intentions == [
                Intention(stat: "memory", goal: .utilization(70)), Intention(stat: "rps", goal: .average(1_000)),
                Intention(stat: "cpu", container: "app", goal: .utilization(50)),
                Intention(stat: "q", isExternal: true, goal: .total(30)),
            ])
        #expect(made.scaleUp.policies == [.init(.pods, 2, per: .seconds(60))])
        #expect(made.scaleDown.stabilization == .seconds(60) && made.problem == nil)
        #expect(
            made.sources == [
                StatSource(stat: "rps", place: .kubernetes(KubernetesPlace(metric: "rps", isOfPods: true))),
                StatSource(
                    stat: "q",
                    place: .kubernetes(
                        KubernetesPlace(metric: "q", selector: LabelSelector([Requirement("a", .in, ["b"])])))),
            ])
        one = try converted(metrics, #", "targetCPUUtilizationPercentage": 60"#)
        made = try scaler(one.manifest)
        #expect(made.intentions.count == 5 && made.intentions.first == Intention(stat: "cpu", goal: .utilization(60)))
        #expect(!one.notes.contains { $0.contains("80 %") })
        for wrong in ["{", "{}", #"[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\"}}]"#, "[1]"] {
            one = try converted(#""autoscaling.alpha.kubernetes.io/metrics": "\#(wrong)""#)
            #expect(one.manifest == nil && one.notes.count == 1, "\(wrong): \(one)")
        }
    }

    @Test("updraft convert hpa: kinds, documents, lists; what has no counterpart is said")
    func conversion() throws {
        let text = """
            apiVersion: autoscaling/v2
            kind: HorizontalPodAutoscaler
            metadata: {name: web, namespace: shop}
            spec:
              scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
              minReplicas: 2
              maxReplicas: 10
              metrics:
              - type: Resource
                resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
              - type: Object
                object: {metric: {name: x}}
              behavior:
                scaleDown: {stabilizationWindowSeconds: 60}
            ---
            apiVersion: autoscaling/v1
            kind: HorizontalPodAutoscaler
            metadata: {name: old}
            spec: {scaleTargetRef: {apiVersion: v1, kind: ReplicationController, name: old}, maxReplicas: 3, targetCPUUtilizationPercentage: 70}
            ---
            kind: Service
            metadata: {name: other}
            """
        let converted = try AutoscalerConversion.convert(text, file: "f.yaml")
        #expect(converted.map(\.name) == ["shop/web", "old", "other"])
        #expect(converted[0].notes == ["spec.metrics[1]: names no object; left out"] && !converted[0].isWhole)
        let expected = """
            apiVersion: updraft.io/v1alpha1
            kind: PodScaler
            metadata:
              name: web
              namespace: shop
            spec:
              behavior:
                scaleDown:
                  stabilizationWindowSeconds: 60
              maxReplicas: 10
              metrics:
              - resource:
                  name: cpu
                  target:
                    averageUtilization: 60
                    type: Utilization
                type: Resource
              minReplicas: 2
              scaleTargetRef:
                apiVersion: apps/v1
                kind: Deployment
                name: web

            """
        #expect(converted[0].manifest == expected)
        #expect(converted[1].notes.isEmpty && converted[1].manifest?.contains("averageUtilization: 70") == true)
        #expect(converted[2].manifest == nil && converted[2].notes == ["is no HorizontalPodAutoscaler but Service"])
    }

    private func converted(_ text: String) throws -> [AutoscalerConversion.Converted] {
        try AutoscalerConversion.convert(text, file: "f.yaml")
    }

    @Test("updraft convert hpa: a List, also in JSON, as kubectl prints it")
    func conversionOfAList() throws {
        let json = #"""
            {"apiVersion":"v1","kind":"List","items":[
             {"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"a","namespace":"n"},
              "spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"StatefulSet","name":"a"}},"status":{"currentReplicas":1}},
             {"apiVersion":"autoscaling/v2beta2","kind":"HorizontalPodAutoscaler","metadata":{"name":"b","namespace":"n","labels":{"team":"x"}},
              "spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"example.org/v1","kind":"Shop","name":"b"},
               "metrics":[{"type":"External","external":{"metric":{"name":"depth","selector":{"matchLabels":{"q":"a"}}},"target":{"type":"AverageValue","averageValue":"30"}}}]}}]}
            """#
        let all = try converted(json)
        #expect(all.map(\.name) == ["n/a", "n/b"])
        #expect(all[0].notes == ["it names no metric: 80 % of the requested CPU, as Kubernetes takes it"])
        #expect(all[0].manifest?.contains("averageUtilization: 80") == true)
        #expect(all[0].manifest?.contains("status") == false)
        #expect(all[1].notes.isEmpty && all[0].isWhole && all[1].isWhole)
        #expect(all[1].manifest?.contains("team: x") == true && all[1].manifest?.contains("kind: Shop") == true)
    }

    @Test("updraft convert hpa: one that may idle is told that a target at zero stays there")
    func conversionOfZero() throws {
        let json = #"""
            {"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"a"},"spec":{
              "minReplicas":0,"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"a"},
              "metrics":[{"type":"External","external":{"metric":{"name":"depth"},"target":{"type":"AverageValue","averageValue":"30"}}}]}}
            """#
        let one = try #require(try converted(json).first)
        let note =
            "minReplicas: 0: a target that is at 0 replicas when the scaler comes stays there; scale it to 1 once"
        #expect(one.isWhole && one.notes.contains(note) && one.manifest?.contains("minReplicas: 0") == true, "\(one)")
    }

    @Test("updraft convert hpa: what is made of it is what the HorizontalPodAutoscaler said")
    func conversionKeepsMeaning() throws {
        let text = """
            apiVersion: autoscaling/v2
            kind: HorizontalPodAutoscaler
            metadata: {name: web, namespace: shop}
            spec:
              scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
              minReplicas: 2
              maxReplicas: 10
              metrics:
              - type: Resource
                resource: {name: memory, target: {type: AverageValue, averageValue: 200Mi}}
              - type: Pods
                pods: {metric: {name: requests}, target: {type: AverageValue, averageValue: 1500m}}
              behavior:
                scaleUp:
                  stabilizationWindowSeconds: 15
                  selectPolicy: Min
                  policies: [{type: Pods, value: 2, periodSeconds: 30}, {type: Percent, value: 50, periodSeconds: 60}]
                scaleDown: {selectPolicy: Disabled}
            """
        let manifest = try #require(try converted(text).first?.manifest)
        var scaler = PodScaler(namespace: "shop", name: "web", maximum: 0)
        try scaler.fill(from: PodScalerNode(JSONValue(try YAML.parse(manifest))["spec"] ?? .null, at: "spec"))
        #expect(scaler.problem == nil && scaler.minimum == 2 && scaler.maximum == 10)
        #expect(scaler.target == TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web"))
        #expect(
            scaler.intentions == [
                Intention(stat: "memory", goal: .average(209_715_200)),
                Intention(stat: "requests", goal: .average(1.5)),
            ])
        #expect(scaler.scaleUp.stabilization == .seconds(15) && scaler.scaleUp.selection == .min)
        #expect(
            scaler.scaleUp.policies == [
                .init(.pods, 2, per: .seconds(30)), .init(.percent, 50, per: .seconds(60)),
            ])
        #expect(scaler.scaleDown.selection == .disabled)
    }

    @Test("updraft convert hpa: what cannot be read or would not scale is said, the rest is converted")
    func conversionOfBadInput() throws {
        #expect(throws: PodScalerMistake.self) { try converted("a: [1\n") }
        #expect(try converted("").isEmpty && converted("---\n---\n").isEmpty)
        let all = try converted(
            """
            apiVersion: autoscaling/v2beta1
            kind: HorizontalPodAutoscaler
            metadata: {name: ancient}
            ---
            apiVersion: autoscaling/v2
            kind: HorizontalPodAutoscaler
            metadata: {name: swapped}
            spec:
              scaleTargetRef: {kind: Deployment, name: web}
              minReplicas: 5
              maxReplicas: 2
              surprise: 1
            ---
            just text
            """)
        #expect(all.map(\.name) == ["ancient", "swapped", "?"])
        #expect(all[0].manifest == nil && all[0].notes[0].contains("autoscaling/v2beta1 is none of"))
        #expect(all[1].notes.contains("spec.surprise has no counterpart and is left out"))
        #expect(all[1].notes.last == "it will not scale: minReplicas: 5 is above maxReplicas 2")
        #expect(all[2].notes == ["is no HorizontalPodAutoscaler but without kind"])
    }
}
