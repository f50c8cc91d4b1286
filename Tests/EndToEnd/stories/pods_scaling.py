"""Replicas follow the load of their pods, and nodes follow the replicas."""
import datetime
import os
import uuid

from harness.hooks import PodServer
from harness.kubernetes import DEFINITIONS, MERGE, all_running, running
from harness.registry import story
from harness.services import free_port
from harness.waiting import NotYet, check, holds, until
from harness.web import WebError

from .removal_commands import says

SCALERS = "/apis/updraft.io/v1alpha1/namespaces/%s/podscalers"
TARGETS = {"web": ("apps/v1", "Deployment"), "work": ("v1", "ReplicationController")}
REQUEST = 600  # thousandths of a core that each pod asks for; a node of 2 CPU holds three
FULL = 355  # of it in use: just below the 60 % that the scalers keep


def define(stage):
    stage.kubernetes.define(os.path.join(stage.rigs.project, "deploy/kubernetes/podscaler-crd.yaml"),
                            "podscalers.updraft.io")


def scaler(stage, name, target=None, **spec):
    """Makes a PodScaler that keeps 60 % of the CPU requested in use, unless `spec` says otherwise."""
    version, kind = TARGETS[target or name]
    usual = {"scaleTargetRef": {"apiVersion": version, "kind": kind, "name": target or name}, "maxReplicas": 6,
             "thresholds": [{"intention": {"stat": "cpu", "utilization": 60}}],
             "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}}}
    stage.kubernetes.request("POST", SCALERS % stage.namespace, {
        "apiVersion": "updraft.io/v1alpha1", "kind": "PodScaler", "metadata": {"name": name},
        "spec": dict(usual, **spec)})


def status(stage, name):
    return stage.kubernetes.get(SCALERS % stage.namespace + "/" + name).get("status", {})


def condition(stage, name, kind, value, reason=None):
    """True once a condition of a scaler has this value (and reason); for `until`."""
    conditions = status(stage, name).get("conditions", [])
    if any(c["type"] == kind and c["status"] == value and reason in (None, c["reason"]) for c in conditions):
        return True
    raise NotYet("the conditions are %s" % conditions)


def replicas(stage, name):
    version, kind = TARGETS[name]
    path = "/api/v1" if version == "v1" else "/apis/" + version
    return stage.kubernetes.get("%s/namespaces/%s/%ss/%s" % (path, stage.namespace, kind.lower(), name))[
        "spec"]["replicas"]


def events(stage, kind, name):
    return [e for e in stage.kubernetes.events(stage.namespace)
            if (e["involvedObject"]["kind"], e["involvedObject"]["name"]) == (kind, name)
            and "updraft" in e.get("source", {}).get("component", "") + e.get("reportingComponent", "")]


def spread(stage, load):
    """Shares a load (thousandths of a core for each workload) among the pods that run, as a balancer would."""
    use = {}
    for name, whole in load.items():
        pods = running(stage.pods(name))
        for pod in pods:
            use["%s/%s" % (stage.namespace, pod["metadata"]["name"])] = "%dm" % (whole / len(pods))
    stage.machines.pods_use(use)


def both_run(stage, load, counts):
    """True once so many pods of each run under this load; for `until`."""
    spread(stage, load)
    for name, count in counts.items():
        all_running(stage.pods(name), count)
    return True


@story("pods-grow-and-shrink", long=True)
def grow_and_shrink(stage):
    """Load comes → replicas of a Deployment and of a ReplicationController and the nodes for them, in one decision; load
    goes → fewer replicas, and the nodes leave with notice."""
    stage.set(size=1)
    define(stage)
    hook = {"updraft.io/shutdown-hook": stage.hooks.annotation}
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="%dm" % REQUEST, annotations=hook)
    stage.kubernetes.replication_controller(stage.namespace, "work", 1, cpu="%dm" % REQUEST, annotations=hook)
    calm = {"web": 150, "work": 150}
    until("the first pods run", lambda: both_run(stage, calm, {"web": 1, "work": 1}), 30)
    for name in TARGETS:
        scaler(stage, name)
    stage.start_services()
    for name in TARGETS:
        until("%s is watched" % name,
              lambda name=name: spread(stage, calm) or condition(stage, name, "ScalingActive", "True"), 60)
        check(replicas(stage, name) == 1, "%s was scaled without load" % name)

    stage.say("load comes: what 5 pods of web and 3 of work can carry at 60 %; a node holds three")
    busy = {"web": 5 * FULL, "work": 3 * FULL}
    grown = {"web": 5, "work": 3}
    until("replicas are decided on", lambda: spread(stage, busy) or stage.recorder.all("pods.decided"), 60)
    until("five and three pods run", lambda: both_run(stage, busy, grown), 150)
    stage.say("all pods run")
    size = len(stage.stack.members())
    check(size >= 3, "eight pods run on %d nodes" % size)
    until("as many nodes everywhere", lambda: spread(stage, busy) or stage.sizes_agree(size), 60)
    one_decision(stage)
    # A balanced load: what is there suffices, and nothing more is asked for.
    holds("the replicas stay", lambda: both_run(stage, busy, grown), 10)
    for name, count in grown.items():
        shows(stage, name, count)

    stage.say("load goes")
    quiet = {"web": 60, "work": 60}
    until("both shrink to one pod", lambda: both_run(stage, quiet, {"web": 1, "work": 1}), 120)
    stage.say("one pod of each is left")
    until("one node is left", lambda: spread(stage, quiet) or stage.sizes_agree(1), 240)
    until("both pods run", lambda: both_run(stage, quiet, {"web": 1, "work": 1}), 60)
    for name in TARGETS:
        shows(stage, name, 1)
    left_with_notice(stage, size - 1)


def one_decision(stage):
    """The nodes were asked for in the evaluation that decided on the replicas, not when pods were pending."""
    decided = {m.payload["id"] for m in stage.recorder.all("pods.decided")}
    grown = {m.payload["id"]: m.payload["reason"]["reason"] for m in stage.recorder.all("scale.decided")}
    together = [set(m.payload["decisions"]) for m in stage.recorder.all("evaluation")]
    check(any(ids & decided and ids & set(grown) for ids in together),
          "no evaluation decided on replicas and nodes: %s and %s in %s" % (decided, grown, together))
    check("ReplicasComing" in grown.values(), "no node was asked for replicas to come: %s" % grown)


def shows(stage, name, count):
    """The scaler's status and the Events of its target say what happened."""
    kind = TARGETS[name][1]

    def is_told():
        known = status(stage, name)
        measured = known.get("thresholds") and "value" in known["thresholds"][0]  # a pod that was moved has none at first
        if measured and (known.get("currentReplicas"), known.get("desiredReplicas")) == (count, count):
            return condition(stage, name, "AbleToScale", "True")
        raise NotYet("its status is %s" % known)

    until("the status of %s says %d" % (name, count), is_told, 60)
    known = status(stage, name)
    check(known["target"] == "%s/%s/%s" % (kind, stage.namespace, name), "the target is %s" % known["target"])
    check(known["thresholds"][0]["stat"] == "cpu", "the thresholds are %s" % known["thresholds"])
    check("lastScaleTime" in known, "no time of the last change in %s" % known)
    told = [e["message"] for e in events(stage, kind, name)]
    check(any(m.startswith("replicas ") and "to %d:" % count in m for m in told), "Events of %s: %s" % (name, told))


def left_with_notice(stage, count):
    """Each node went by the steps of a removal, and pods that it still had were told."""
    recorder = stage.recorder
    gone = {m.payload["removal"]["node"] for m in recorder.all("removal.completed")}
    check(len(gone) == count, "%d nodes left in order, not %d: %s" % (len(gone), count, gone))
    check(not recorder.all("removal.failed"), "a removal failed: %s" % recorder.all("removal.failed"))
    for node in gone:
        cordoned = recorder.first("removal.cordoned", node=node)
        for step in ("noticed", "quiesced", "drained"):
            check(recorder.first("removal." + step, node=node), "%s was never %s" % (node, step))
        for pod in stage.pod_history.leaving(node):
            before = [p for at, _, p in stage.pod_history.seen
                      if p["metadata"]["uid"] == pod["metadata"]["uid"] and at < cordoned.seen
                      and "deletionTimestamp" in p["metadata"]]
            if not before:  # ended by the removal, not by a scaler
                annotations = pod["metadata"].get("annotations", {})
                check("updraft.io/removal-deadline" in annotations,
                      "%s was ended on %s without notice" % (pod["metadata"]["name"], node))
    check(not stage.hooks.errors, "; ".join(stage.hooks.errors))


@story("pods-bad-input")
def bad_input(stage):
    """What is wrong with a scaler is refused by the schema or told in its conditions, and the replicas stay."""
    stage.set(size=1)
    define(stage)
    for name, kind in TARGETS.items():
        make = stage.kubernetes.deployment if kind[1] == "Deployment" else stage.kubernetes.replication_controller
        make(stage.namespace, name, 2, cpu="100m")
    for wrong in ({"maxReplicas": 0}, {"maxReplicas": "many"}, {"thresholds": [{"value": {"stat": "cpu"}}]},
                  {"pause": "sideways"}, {"behavior": {"scaleUp": {"selectPolicy": "Most"}}}):
        try:
            scaler(stage, "web", **wrong)
        except WebError as error:
            check(error.status == 422 and list(wrong)[0] in error.body, "%s was answered with %s" % (wrong, error))
        else:
            check(False, "the API server took a scaler with %s" % wrong)
    stage.say("the schema refuses what it can")

    # An API server of before 1.25 knows no validation rules: what they would refuse comes through, and is told.
    try:
        scaler(stage, "swapped", "web", minReplicas=5, maxReplicas=4)
        comes_through = True
    except WebError as error:
        check(error.status == 422 and "minReplicas" in error.body, "swapped was answered with %s" % error)
        comes_through = False
    scaler(stage, "owned", "work")
    stage.kubernetes.request(
        "POST", "/apis/autoscaling/v1/namespaces/%s/horizontalpodautoscalers" % stage.namespace, {
            "metadata": {"name": "rival"}, "spec": {
                "maxReplicas": 9, "scaleTargetRef": dict(zip(("apiVersion", "kind"), TARGETS["work"]), name="work")}})
    scaler(stage, "lost", "web", scaleTargetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "nowhere"})
    stage.start_services()
    use = {"web": 400, "work": 400}  # four times as much as requested

    def told(name, kind, reason):
        until("%s is told %s" % (name, reason),
              lambda: spread(stage, use) or condition(stage, name, kind, "False", reason), 60)
        until("an Event on %s says it" % name,
              lambda: any(e["reason"] == reason for e in events(stage, "PodScaler", name)), 30)
        stage.say("%s: %s" % (name, reason))

    if comes_through:
        told("swapped", "ScalingActive", "ScalerInvalid")
    told("owned", "AbleToScale", "AutoscalerOwnsTarget")
    told("lost", "AbleToScale", "TargetNotFound")
    says(stage, ["explain", "podscaler", stage.namespace + "/owned"], "AutoscalerOwnsTarget", "rival")
    scaler(stage, "silent", "web", thresholds=[{"intention": {"stat": "sessions", "averageValue": 10}}])
    told("silent", "ScalingActive", "StatUnknown")
    # A good one for the same target: neither acts.
    scaler(stage, "twin", "web")
    for name in ("twin", "silent"):
        told(name, "AbleToScale", "ScalerConflict")
    holds("the replicas stay", lambda: spread(stage, use) or [replicas(stage, n) for n in TARGETS] == [2, 2], 15)
    check(not stage.recorder.all("pods.decided"), "replicas were decided on: %s" % stage.recorder.all("pods.decided"))

    stage.say("a good scaler comes, and its target goes")
    # The good one goes first: without a rival it would act.
    for name in ["twin", "silent"] + (["swapped"] if comes_through else []):
        stage.kubernetes.request("DELETE", SCALERS % stage.namespace + "/" + name)
    scaler(stage, "web", minReplicas=3, maxReplicas=4)
    until("web grows", lambda: spread(stage, use) or replicas(stage, "web") >= 3, 90)
    stage.kubernetes.request("DELETE", "/apis/apps/v1/namespaces/%s/deployments/web" % stage.namespace)
    told("web", "AbleToScale", "TargetNotFound")
    stage.kubernetes.request("DELETE", "/apis/autoscaling/v1/namespaces/%s/horizontalpodautoscalers/rival"
                             % stage.namespace)
    until("work is free and grows", lambda: spread(stage, use) or replicas(stage, "work") > 2, 90)
    until("its condition turns", lambda: condition(stage, "owned", "AbleToScale", "True"), 30)


SHOPS = "/apis/example.org/v1/namespaces/%s/shops"
SHOP_KIND = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "shops.example.org"},
    "spec": {
        "group": "example.org", "scope": "Namespaced", "names": {"kind": "Shop", "plural": "shops"},
        "versions": [{
            "name": "v1", "served": True, "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            "subresources": {"status": {}, "scale": {
                "specReplicasPath": ".spec.tills", "statusReplicasPath": ".status.tills",
                "labelSelectorPath": ".status.selector"}}}]}}


class ShopController:
    """Makes a Deployment follow a Shop, as somebody's own controller would."""

    def __init__(self, stage):
        self.stage, self.path = stage, SHOPS % stage.namespace + "/corner"

    def tills(self):
        return self.stage.kubernetes.get(self.path)["spec"]["tills"]

    def step(self):
        tills = self.tills()
        if replicas(self.stage, "web") != tills:
            self.stage.kubernetes.scale(self.stage.namespace, "web", tills)
        self.stage.kubernetes.request("PATCH", self.path + "/status", {
            "status": {"tills": len(running(self.stage.pods("web"))), "selector": "app=web"}}, MERGE)


SHOP_RIGHTS = {"collector": (["shops", "shops/scale"], ["get"]), "actuator": (["shops/scale"], ["get", "patch"])}


def allow_shops(stage, account, verbs=None):
    """Gives an account the rights that docs/podscaler.md asks of who has a kind of their own, or only some `verbs` of them."""
    resources, usual = SHOP_RIGHTS[account]
    name = "e2e-shops-" + account
    stage.kubernetes.replace("/apis/rbac.authorization.k8s.io/v1/clusterroles", {
        "metadata": {"name": name},
        "rules": [{"apiGroups": ["example.org"], "resources": resources, "verbs": verbs or usual}]})
    stage.kubernetes.replace("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "updraft-" + account, "namespace": "updraft"}]})


def forbid_shops(stage):
    for account in SHOP_RIGHTS:
        stage.kubernetes.remove("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/e2e-shops-" + account)


def shop_refusals(stage):
    """The Events on the shop that say that its tills were not changed, and how often."""
    return sorted((e["metadata"]["name"], e.get("count"), e["message"]) for e in events(stage, "Shop", "corner")
                  if e["reason"] == "KubernetesRefused")


@story("pods-kind-of-ones-own")
def kind_of_ones_own(stage):
    """A kind that only this cluster has grows and shrinks through its `scale`; without the right to read it, then without the one
    to change it, and for a kind without `scale`, it is said."""
    stage.set(size=1)
    define(stage)
    forbid_shops(stage)
    stage.kubernetes.replace(DEFINITIONS, SHOP_KIND)
    until("the API server serves shops", lambda: stage.kubernetes.get(SHOPS % stage.namespace), 30)
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="%dm" % REQUEST)
    stage.kubernetes.request("POST", SHOPS % stage.namespace, {
        "apiVersion": "example.org/v1", "kind": "Shop", "metadata": {"name": "corner"}, "spec": {"tills": 1}})
    shop = ShopController(stage)
    corner = {"apiVersion": "example.org/v1", "kind": "Shop", "name": "corner"}
    scaler(stage, "shop", "web", scaleTargetRef=corner)
    scaler(stage, "budget", "web", scaleTargetRef={
        "apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "name": "any"})
    stage.start_services()

    def work(load):
        shop.step()
        spread(stage, {"web": load})

    until("the missing right is said",
          lambda: work(150) or condition(stage, "shop", "AbleToScale", "False", "KubernetesRefused"), 60)
    until("a kind without scale is said",
          lambda: work(150) or condition(stage, "budget", "AbleToScale", "False", "TargetNotScalable"), 60)
    # The Actuator may look at the tills, and no more.
    allow_shops(stage, "actuator", ["get"])
    allow_shops(stage, "collector")
    until("with the right it is watched", lambda: work(150) or condition(stage, "shop", "ScalingActive", "True"), 60)
    stage.say("load comes, and the change is refused")
    until("the refused change is said",
          lambda: work(4 * FULL) or condition(stage, "shop", "AbleToScale", "False", "KubernetesRefused"), 90)
    until("an Event on the shop says it", lambda: work(4 * FULL) or shop_refusals(stage), 30)
    holds("the tills stay", lambda: work(4 * FULL) or shop.tills() == 1, 5)
    allow_shops(stage, "actuator")
    stage.say("with the right it is changed")
    until("four tills", lambda: work(4 * FULL) or shop.tills() == 4, 150)
    until("the refusal is over", lambda: work(4 * FULL) or condition(stage, "shop", "AbleToScale", "True"), 60)
    refused = shop_refusals(stage)
    until("four pods run on two nodes", lambda: work(4 * FULL) or all_running(stage.pods("web"), 4), 180)
    known = status(stage, "shop")
    check(known["target"] == "Shop.example.org/%s/corner" % stage.namespace, "the target is %s" % known["target"])
    check(events(stage, "Shop", "corner"), "no Event on the shop")
    stage.say("load goes, during a rollout")
    stage.kubernetes.request("PATCH", shop.path, {"metadata": {"annotations": {"updraft.io/rollout": "true"}}}, MERGE)
    until("the rollout holds the tills back",
          lambda: work(60) or condition(stage, "shop", "ScalingLimited", "True", "RolloutInProgress"), 90)
    check(shop.tills() == 4, "%s tills during the rollout" % shop.tills())
    stage.kubernetes.request("PATCH", shop.path, {"metadata": {"annotations": {"updraft.io/rollout": None}}}, MERGE)
    until("one till", lambda: work(60) or shop.tills() == 1, 120)
    check(shop_refusals(stage) == refused, "a change was refused: %s" % shop_refusals(stage))
    forbid_shops(stage)
    stage.kubernetes.remove(DEFINITIONS + "/shops.example.org")
    until("a target that is gone is said",
          lambda: condition(stage, "shop", "AbleToScale", "False"), 60)


class Pages(PodServer):
    """The pages of all pods."""
    path = "/metrics"

    def __init__(self):
        self.text, self.asked = "", set()
        super().__init__()

    def answered(self, request, body):
        self.asked.add(request.headers["Host"].rsplit(":", 1)[0])
        page = self.text.encode()
        self.answer(request, 200 if page else 500, page)


@story("pods-one-container")
def one_container(stage):
    """A metric as a HorizontalPodAutoscaler's ContainerResource: one container of each pod is busy while the pod as a whole is not, and
    replicas follow that one."""
    stage.set(size=1)
    define(stage)
    # The simulated kubelet spreads a pod's use evenly over its containers.
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="200m", beside={"log": "400m"})
    until("the first pod runs", lambda: both_run(stage, {"web": 150}, {"web": 1}), 30)
    scaler(stage, "web", thresholds=[], metrics=[{"type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "main", "target": {"type": "Utilization", "averageUtilization": 60}}}])
    stage.start_services()
    until("it is watched", lambda: spread(stage, {"web": 150}) or condition(stage, "web", "ScalingActive", "True"), 60)
    check(replicas(stage, "web") == 1, "it was scaled without load")
    stage.say("load comes: 170 of main's 200, and 340 of the pod's 600, which would be no reason")
    until("two pods run", lambda: both_run(stage, {"web": 340}, {"web": 2}), 90)
    holds("no more are asked for", lambda: both_run(stage, {"web": 340}, {"web": 2}), 15)
    known = status(stage, "web")["thresholds"]
    check([t["stat"] for t in known] == ["cpu of main"], "its status is %s" % known)
    stage.say("load goes")
    until("one pod is left", lambda: both_run(stage, {"web": 60}, {"web": 1}), 90)


@story("pods-stat-of-their-own")
def stat_of_their_own(stage):
    """Pods tell sessions on a page of their own: replicas follow; when the page fails they stay, and it is said."""
    stage.set(size=1, decider__pods={"stat_max_age": "10s"})
    define(stage)
    pages = Pages()
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="100m",
                                annotations={"updraft.io/scrape": pages.annotation})
    scaler(stage, "web", thresholds=[{"intention": {"stat": "sessions", "averageValue": 10}}])

    def sessions(whole):
        each = whole / max(1, len(running(stage.pods("web"))))
        pages.text = '# TYPE sessions gauge\nsessions{kind="a"} %f\nsessions{kind="b"} 0.1\nother 1\n' % each

    sessions(8)
    stage.start_services()
    until("the stat is known", lambda: sessions(8) or condition(stage, "web", "ScalingActive", "True"), 60)
    stage.say("38 sessions come; ten for each pod")

    def settled():
        """Pods are asked one after the other: until all have been, old values stand beside new ones."""
        sessions(38)
        known = status(stage, "web")
        if known.get("currentReplicas") == 4 and 9 < float(known["thresholds"][0].get("value", 0)) < 10:
            return all_running(stage.pods("web"), 4)
        raise NotYet("its status is %s" % known)

    until("four pods run", settled, 120)
    check({p["status"]["podIP"] for p in stage.pods("web")} <= pages.asked, "only %s were asked" % pages.asked)
    stage.say("the pages fail")
    pages.text = ""
    until("it is said", lambda: condition(stage, "web", "ScalingActive", "False", "StatStale"), 60)
    holds("the replicas stay", lambda: replicas(stage, "web") == 4, 10)
    stage.say("they work again, and sessions go")
    until("one pod is left", lambda: sessions(3) or all_running(stage.pods("web"), 1), 90)


class Metric:
    """A metric in Gnocchi with one value for each second."""

    def __init__(self, cloud, name):
        self.cloud, self.name, self.resource, self.until = cloud, name, str(uuid.uuid4()), 0
        until("Gnocchi has the metric", self.is_made, 60)

    def is_made(self):
        try:
            self.gnocchi("POST", "/resource/generic", {
                "id": self.resource, "metrics": {self.name: {"archive_policy_name": "kubernetes"}}})
        except WebError as error:
            if error.status != 409:  # there since a try whose answer was lost
                raise
        return True

    def gnocchi(self, method, path, body=None):
        return self.cloud.request("metric", method, "/v1" + path, body)

    def tell(self, value):
        now = int(datetime.datetime.now(datetime.timezone.utc).timestamp())
        seconds = range(max(self.until + 1, now - 5), now + 1)
        self.until = now
        if seconds:
            self.gnocchi("POST", "/resource/generic/%s/metric/%s/measures" % (self.resource, self.name), [
                {"timestamp": datetime.datetime.fromtimestamp(s, datetime.timezone.utc).isoformat(), "value": value}
                for s in seconds])

    def delete(self):
        until("Gnocchi has no such metric", self.is_gone, 60)

    def is_gone(self):
        try:
            self.gnocchi("DELETE", "/resource/generic/" + self.resource)
        except WebError as error:
            if error.status != 404:
                raise
        return True


@story("pods-stats-elsewhere", long=True)
def stats_elsewhere(stage):
    """A metric in Gnocchi and the depth of a RabbitMQ queue: each makes its workload grow and shrink; a metric that is gone is
    said, and nothing shrinks."""
    queue = "orders-" + stage.cluster
    with stage.broker.management(free_port()) as (url, user, password):
        stage.set(size=1, collector__openstack_stats={"enabled": True, "interval": "5s"}, collector__queues=[
            {"id": "orders", "url": url, "user": user, "password": password, "queue": queue,
             "namespace": stage.namespace}])
        define(stage)
        login = stage.environments()["actuator"]
        stage.services["collector"].environment.update({k: v for k, v in login.items() if k.startswith("OS_")})
        connections = Metric(stage.rigs.cloud, "connections")
        connection = stage.broker.connect()
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, auto_delete=False)
        stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="100m")
        stage.kubernetes.replication_controller(stage.namespace, "work", 1, cpu="100m")
        scaler(stage, "web", thresholds=[{"intention": {"stat": "connections", "external": True, "averageValue": 10}}],
               sources=[{"stat": "connections", "maxAgeSeconds": 30, "gnocchi": {
                   "metric": "connections", "resourceType": "generic", "resourceID": connections.resource,
                   "granularitySeconds": 1, "aggregation": "mean"}}])
        scaler(stage, "work", thresholds=[
            {"intention": {"stat": "orders.ready", "external": True, "averageValue": 10}}])
        connections.tell(9)
        stage.start_services()
        for name in TARGETS:
            until("the stat of %s is known" % name,
                  lambda: connections.tell(9) or condition(stage, name, "ScalingActive", "True"), 90)
        stage.say("38 connections and 25 orders; ten for each pod")
        for _ in range(25):
            stage.broker.publish("", queue, "an order")
        until("four pods serve connections", lambda: connections.tell(38) or all_running(stage.pods("web"), 4), 120)
        until("three pods work on orders", lambda: connections.tell(38) or all_running(stage.pods("work"), 3), 60)
        told = [stat["stat"] for message in stage.recorder.all("external.stats") for stat in message.payload["samples"]]
        check({"web/connections", "orders.ready", "orders.messages"} <= set(told), "told were %s" % sorted(set(told)))
        stage.say("the orders are done, and the metric is gone")
        channel.queue_purge(queue)
        connections.delete()
        until("one pod works", lambda: all_running(stage.pods("work"), 1), 90)
        until("the metric is missed", lambda: condition(stage, "web", "ScalingActive", "False", "StatStale"), 90)
        said = next(c for c in status(stage, "web")["conditions"] if c["type"] == "ScalingActive")["message"]
        check("Gnocchi has no connections" in said, "it is said: %s" % said)
        check(replicas(stage, "web") == 4, "%s replicas without a stat" % replicas(stage, "web"))
        connection.close()
