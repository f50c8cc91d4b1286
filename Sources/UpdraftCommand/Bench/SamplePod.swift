/// A pod as a real API server gives it (recorded from Kubernetes 1.20.2, managedFields included), in many copies.
enum SamplePod {
    /// The JSON text of copy `index`: names, uid and node of its own, one of fifty workloads, one of a thousand nodes.
    static func json(_ index: Int) -> String {
        let digits = String(index)
        let number = String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
        var text = ""
        text.reserveCapacity(5_000)
        for (piece, mark) in pieces {
            text += piece
            switch mark {
            case "UID": text += "3e8c5dc3-81ac-4947-9df4-9481\(number)"
            case "NAME": text += "web-\(index % 50)-86df7d9d5d-\(number)"
            case "APP": text += String(index % 50)
            case "NODE": text += String(index % 1_000)
            default: break
            }
        }
        return text
    }

    /// The recorded text, cut at its marks: what stands before one, and which it is.
    private static let pieces: [(String, String)] = {
        let parts = recorded.split(separator: "~", omittingEmptySubsequences: false).map(String.init)
        return stride(from: 0, to: parts.count, by: 2).map {
            ($0 < parts.count ? parts[$0] : "", $0 + 1 < parts.count ? parts[$0 + 1] : "")
        }
    }()

    // One line of JSON, wrapped here.
    private static let recorded = #"""
        {"metadata":{"name":"~NAME~","generateName":"web-~APP~-86df7d9d5d-","namespace":"default","uid":"~UI\#
        D~","resourceVersion":"379","creationTimestamp":"2026-11-23T21:39:41Z","labels":{"app":"web-~APP~","\#
        pod-template-hash":"86df7d9d5d"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","nam\#
        e":"web-~APP~-86df7d9d5d","uid":"1253a074-9739-4566-8640-f8e303fbed12","controller":true,"blockOwner\#
        Deletion":true}],"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVers\#
        ion":"v1","time":"2026-11-23T21:39:41Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:generat\#
        eName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"\#
        uid\":\"1253a074-9739-4566-8640-f8e303fbed12\"}":{".":{},"f:apiVersion":{},"f:blockOwnerDeletion":{}\#
        ,"f:controller":{},"f:kind":{},"f:name":{},"f:uid":{}}}},"f:spec":{"f:containers":{"k:{\"name\":\"we\#
        b\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{".":{},"f:limits":{".":\#
        {},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},"f:t\#
        erminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:sch\#
        edulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}},{"manager":"kube-sched\#
        uler","operation":"Update","apiVersion":"v1","time":"2026-11-23T21:39:41Z","fieldsType":"FieldsV1","\#
        fieldsV1":{"f:status":{"f:conditions":{".":{},"k:{\"type\":\"PodScheduled\"}":{".":{},"f:lastProbeTi\#
        me":{},"f:lastTransitionTime":{},"f:message":{},"f:reason":{},"f:status":{},"f:type":{}}}}}},{"manag\#
        er":"hollow-nodes","operation":"Update","apiVersion":"v1","time":"2026-11-23T21:39:50Z","fieldsType"\#
        :"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:la\#
        stProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Initialized\"}":\#
        {".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Rea\#
        dy\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:contain\#
        erStatuses":{},"f:hostIP":{},"f:phase":{},"f:podIP":{},"f:podIPs":{".":{},"k:{\"ip\":\"10.32.0.7\"}"\#
        :{".":{},"f:ip":{}}},"f:startTime":{}}}}]},"spec":{"volumes":[{"name":"default-token-t7v6f","secret"\#
        :{"secretName":"default-token-t7v6f","defaultMode":420}}],"containers":[{"name":"web","image":"regis\#
        try.example/web:1","resources":{"limits":{"memory":"1Gi"},"requests":{"cpu":"800m","memory":"512Mi"}\#
        },"volumeMounts":[{"name":"default-token-t7v6f","readOnly":true,"mountPath":"/var/run/secrets/kubern\#
        etes.io/serviceaccount"}],"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy"\#
        :"File","imagePullPolicy":"IfNotPresent"}],"restartPolicy":"Always","terminationGracePeriodSeconds":\#
        5,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","nodeName":"w\#
        orker-~NODE~","securityContext":{},"schedulerName":"default-scheduler","tolerations":[{"key":"node.k\#
        ubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"key":"no\#
        de.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"pr\#
        iority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},"status":{"phase":"Ru\#
        nning","conditions":[{"type":"Initialized","status":"True","lastProbeTime":null,"lastTransitionTime"\#
        :"2026-11-23T21:39:50Z"},{"type":"ContainersReady","status":"True","lastProbeTime":null,"lastTransit\#
        ionTime":"2026-11-23T21:39:50Z"},{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitio\#
        nTime":"2026-11-23T21:39:50Z"},{"type":"PodScheduled","status":"True","lastProbeTime":null,"lastTran\#
        sitionTime":"2026-11-23T21:39:49Z"}],"hostIP":"127.64.0.1","podIP":"10.32.0.7","podIPs":[{"ip":"10.3\#
        2.0.7"}],"startTime":"2026-11-23T21:39:49Z","containerStatuses":[{"name":"web","state":{"running":{"\#
        startedAt":"2026-11-23T21:39:50Z"}},"lastState":{},"ready":true,"restartCount":0,"image":"registry.e\#
        xample/web:1","imageID":"registry.example/hollow@sha256:ec6e8757e69753f95ec02a633a598061002bd7790083\#
        13907235b9e47b846866","containerID":"containerd://968ac83bf442d6be3214324267947a678797dbbc2609013a1c\#
        93750e596cee25","started":true}],"qosClass":"Burstable"}}
        """#
}
