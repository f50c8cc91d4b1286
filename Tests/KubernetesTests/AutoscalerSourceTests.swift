import JSONReader
import Messages
import Support
import Testing
import YAML

@testable import Kubernetes

@Suite("updraft convert hpa: metrics that come from the metrics APIs of the cluster become sources")
struct AutoscalerSourceTests {
    private func converted(_ metrics: String) throws -> AutoscalerConversion.Converted {
        try #require(
            try AutoscalerConversion.convert(
                """
                apiVersion: autoscaling/v2
                kind: HorizontalPodAutoscaler
                metadata: {name: web, namespace: shop}
                spec:
                  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
                  maxReplicas: 10
                  metrics:
                \(metrics)
                """, file: "f.yaml"
            ).first)
    }

    private func scaler(_ manifest: String?) throws -> PodScaler {
        let value = JSONValue(try YAML.parse(try #require(manifest), file: "out.yaml"))
        var scaler = PodScaler(namespace: "shop", name: "web", maximum: 0)
        try scaler.fill(from: PodScalerNode(try #require(value["spec"]), at: "spec"))
        return scaler
    }

    @Test("Object and External, with labels and without: nothing is left out, and the YAML is a PodScaler's")
    func whole() throws {
        let one = try converted(
            """
              - type: Object
                object:
                  metric: {name: requests-per-second, selector: {matchLabels: {verb: GET}}}
                  describedObject: {apiVersion: networking.k8s.io/v1, kind: Ingress, name: main}
                  target: {type: Value, value: 2k}
              - type: External
                external:
                  metric:
                    name: depth
                    selector: {matchLabels: {queue: orders}, matchExpressions: [{key: zone, operator: In, values: [a, b]}]}
                  target: {type: AverageValue, averageValue: "30"}
              - type: External
                external: {metric: {name: depth, selector: {}}, target: {type: Value, value: 500m}}
            """)
        #expect(one.isWhole && one.notes.isEmpty, "\(one.notes)")
        let expected = """
            apiVersion: updraft.io/v1alpha1
            kind: PodScaler
            metadata:
              name: web
              namespace: shop
            spec:
              maxReplicas: 10
              metrics:
              - external:
                  metric:
                    name: requests-per-second
                  target:
                    type: Value
                    value: "2k"
                type: External
              - external:
                  metric:
                    name: depth
                  target:
                    averageValue: "30"
                    type: AverageValue
                type: External
              - external:
                  metric:
                    name: depth-2
                  target:
                    type: Value
                    value: "500m"
                type: External
              scaleTargetRef:
                apiVersion: apps/v1
                kind: Deployment
                name: web
              sources:
              - kubernetes:
                  describedObject:
                    apiVersion: networking.k8s.io/v1
                    kind: Ingress
                    name: main
                  metric: requests-per-second
                  selector:
                    matchLabels:
                      verb: GET
                stat: requests-per-second
              - kubernetes:
                  metric: depth
                  selector:
                    matchExpressions:
                    - key: zone
                      operator: In
                      values:
                      - a
                      - b
                    matchLabels:
                      queue: orders
                stat: depth
              - kubernetes:
                  metric: depth
                stat: depth-2

            """
        #expect(one.manifest == expected)
        let made = try scaler(one.manifest)
        #expect(made.problem == nil)
        #expect(
            made.intentions == [
                Intention(stat: "requests-per-second", isExternal: true, goal: .total(2_000)),
                Intention(stat: "depth", isExternal: true, goal: .average(30)),
                Intention(stat: "depth-2", isExternal: true, goal: .total(0.5)),
            ])
        let places = made.sources?.compactMap { source -> KubernetesPlace? in
            if case .kubernetes(let place) = source.place { place } else { nil }
        }
        #expect(
            places?.map { $0.selector?.text ?? "-" } == ["verb=GET", "queue=orders,zone in (a,b)", "-"])
        #expect(
            places?.first?.object
                == TargetReference(apiVersion: "networking.k8s.io/v1", kind: "Ingress", name: "main"))
    }

    @Test(
        "What names no metric or no object is left out and told; labels that are none make a scaler that will not scale"
    )
    func bad() throws {
        let cpu = "  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}\n"
        for (metric, note) in [
            ("{type: Object}", "spec.metrics[1]: names no object; left out"),
            (
                "{type: Object, object: {describedObject: {kind: Service, name: a}}}",
                "spec.metrics[1]: names no metric; left out"
            ),
            ("{type: External, external: 5}", "spec.metrics[1]: names no metric; left out"),
            ("{type: External}", "spec.metrics[1]: names no metric; left out"),
        ] {
            let one = try converted("\(cpu)  - \(metric)")
            #expect(!one.isWhole && one.notes == [note], "\(metric): \(one.notes)")
            #expect(try scaler(one.manifest).intentions.count == 1)
        }
        let target = "target: {type: Value, value: 1}"
        for (external, words) in [
            ("{metric: {name: a/b}, \(target)}", "metric is empty, too long or holds a slash"),
            ("{metric: {name: m, selector: {matchLabels: {\"a,b\": c}}}, \(target)}", "\"a,b\" is no key of a label"),
            (
                "{metric: {name: m, selector: {matchLabels: {a: \"b,c=d\"}}}, \(target)}",
                "\"b,c=d\" of \"a\" is no value"
            ),
            ("{metric: {name: m, selector: {matchLabels: 5}}, \(target)}", "is no mapping"),
            ("{metric: {name: m}}", "target: is missing"),
        ] {
            let one = try converted("  - {type: External, external: \(external)}")
            #expect(!one.isWhole && one.notes.count == 1 && one.notes[0].contains(words), "\(external): \(one.notes)")
        }
    }

    @Test("Pods, with labels and without, and by a name that kubelets have: each a source of pods")
    func pods() throws {
        let one = try converted(
            """
              - type: Pods
                pods: {metric: {name: rps, selector: {matchLabels: {verb: GET}}}, target: {type: AverageValue, averageValue: 1500m}}
              - type: Pods
                pods: {metric: {name: memory}, target: {type: AverageValue, averageValue: 1k}}
            """)
        #expect(one.isWhole && one.notes.isEmpty, "\(one.notes)")
        #expect(one.manifest?.contains("pods: true") == true)
        let made = try scaler(one.manifest)
        #expect(made.problem == nil, "\(String(describing: made.problem))")
        #expect(
            made.intentions == [
                Intention(stat: "rps", goal: .average(1.5)), Intention(stat: "memory-2", goal: .average(1_000)),
            ])
        let verb = LabelSelector([Requirement("verb", .in, ["GET"])])
        #expect(
            made.sources?.map(\.place) == [
                .kubernetes(KubernetesPlace(metric: "rps", selector: verb, isOfPods: true)),
                .kubernetes(KubernetesPlace(metric: "memory", isOfPods: true)),
            ])
    }

    @Test("autoscaling/v1 has an Object in its annotation, with a target or an average")
    func annotation() throws {
        for (amount, goal) in [
            (#"\"targetValue\":\"2k\""#, Intention.Goal.total(2_000)),
            (#"\"targetValue\":\"0\",\"averageValue\":\"20\""#, .average(20)),
        ] {
            let one = try #require(
                try AutoscalerConversion.convert(
                    """
                    {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
                     "metadata": {"name": "web", "namespace": "shop", "annotations": {"autoscaling.alpha.kubernetes.io/metrics": "[{\\"type\\":\\"Object\\",\\"object\\":{\\"target\\":{\\"kind\\":\\"Service\\",\\"name\\":\\"front\\",\\"apiVersion\\":\\"v1\\"},\\"metricName\\":\\"hits\\",\(amount)}}]"}},
                     "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 9}}
                    """, file: "f.json"
                ).first)
            let made = try scaler(one.manifest)
            #expect(one.isWhole && made.problem == nil, "\(one.notes)")
            #expect(made.intentions == [Intention(stat: "hits", isExternal: true, goal: goal)])
            let service = TargetReference(apiVersion: "v1", kind: "Service", name: "front")
            #expect(
                made.sources == [
                    StatSource(stat: "hits", place: .kubernetes(KubernetesPlace(metric: "hits", object: service)))
                ])
        }
    }

    @Test("A selector in text form is what it was read from")
    func selectors() {
        for text in ["a=b", "a in (b,c)", "a notin (b,c)", "a,!b", "a=b,example.org/c in (d,e),f", "a="] {
            #expect(LabelSelector(text: text)?.text == text)
        }
        #expect(LabelSelector().text.isEmpty)
        #expect(
            LabelSelector([Requirement("b", .in, ["2"]), Requirement("a", .notIn, ["1"])]).text == "a notin (1),b=2")
    }
}
