"""The real Kubernetes API of the rig, as its administrator."""
import json
import os
import re
import ssl
import threading
import urllib.parse
import urllib.request

from .waiting import NotYet, until
from .web import WebError, call_patiently

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = {"Content-Type": "application/merge-patch+json"}
SUFFIXES = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def quantity(text):
    """A quantity of the API ("1900m", "3996Mi") in its unit: cores, bytes."""
    number, suffix = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", text).groups()
    return float(number) * (SUFFIXES[suffix] if suffix else 1)


class Kubernetes:
    def __init__(self, rig, server):
        self.rig, self.server = rig, server
        self.context = ssl.create_default_context(cafile=os.path.join(rig, "pki/ca.crt"))
        self.context.load_cert_chain(os.path.join(rig, "pki/admin.crt"), os.path.join(rig, "pki/admin.key"))

    def request(self, method, path, body=None, headers=None):
        text = call_patiently(method, self.server + path, body, headers, self.context)[2]
        return json.loads(text) if text[:1] == "{" else text

    def get(self, path):
        return self.request("GET", path)

    def kubeconfig(self, account):
        return os.path.join(self.rig, account + ".kubeconfig")

    # ---- nodes
    def nodes(self):
        return {n["metadata"]["name"]: n for n in self.get("/api/v1/nodes")["items"]}

    def delete_node(self, name):
        self._delete("/api/v1/nodes/" + name)

    def cordon(self, name, cordoned=True):
        self.request("PATCH", "/api/v1/nodes/" + name, {"spec": {"unschedulable": cordoned}}, MERGE)

    # ---- namespaces, pods
    def create_namespace(self, name):
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def delete_namespaces(self, prefix):
        """Begins to delete them; returns how many are still there."""
        names = [n["metadata"]["name"] for n in self.get("/api/v1/namespaces")["items"]]
        mine = [n for n in names if n.startswith(prefix)]
        for name in mine:
            for pod in self.pods(name):  # their kubelets may be gone: nobody else would end them
                self._delete("/api/v1/namespaces/%s/pods/%s?gracePeriodSeconds=0" % (name, pod["metadata"]["name"]))
            self._delete("/api/v1/namespaces/" + name)
        return len(mine)

    def namespace_ready(self, name):
        """Pods are refused until the namespace has its default account."""
        return self.get("/api/v1/namespaces/%s/serviceaccounts/default" % name)

    def pods(self, namespace):
        return self.get("/api/v1/namespaces/%s/pods" % namespace)["items"]

    def events(self, namespace):
        return self.get("/api/v1/namespaces/%s/events" % namespace)["items"]

    def deployment(self, namespace, name, replicas, cpu, memory="64Mi", annotations=None, grace=10, beside=None,
                   **pod_spec):
        """`beside`: more containers, each with the CPU that it requests."""
        labels = {"app": name}
        containers = [{"name": own, "image": "registry.example/%s:1" % name,
                       "resources": {"requests": {"cpu": amount, "memory": memory}}}
                      for own, amount in [("main", cpu), *(beside or {}).items()]]
        self.request("POST", "/apis/apps/v1/namespaces/%s/deployments" % namespace, {
            "metadata": {"name": name}, "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": annotations or {}},
                             "spec": dict(pod_spec, containers=containers, terminationGracePeriodSeconds=grace)}}})

    def service(self, namespace, app):
        """A Service over the pods of a deployment."""
        self.request("POST", "/api/v1/namespaces/%s/services" % namespace, {
            "metadata": {"name": app}, "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}})

    def serving(self, namespace, service):
        """What the EndpointSlices of a Service send traffic to: {name of the pod: whether it is ready}."""
        slices = self.get("/apis/discovery.k8s.io/v1beta1/namespaces/%s/endpointslices?labelSelector=%s" % (
            namespace, urllib.parse.quote("kubernetes.io/service-name=" + service)))["items"]
        return {e["targetRef"]["name"]: e["conditions"].get("ready") is True
                for s in slices for e in s.get("endpoints") or [] if e.get("targetRef")}

    def replication_controller(self, namespace, name, replicas, cpu, memory="64Mi", annotations=None, grace=10):
        labels = {"app": name}
        container = {"name": "main", "image": "registry.example/%s:1" % name,
                     "resources": {"requests": {"cpu": cpu, "memory": memory}}}
        self.request("POST", "/api/v1/namespaces/%s/replicationcontrollers" % namespace, {
            "metadata": {"name": name}, "spec": {
                "replicas": replicas, "selector": labels,
                "template": {"metadata": {"labels": labels, "annotations": annotations or {}},
                             "spec": {"containers": [container], "terminationGracePeriodSeconds": grace}}}})

    # ---- any object
    def replace(self, path, body):
        """Makes an object anew, whether or not there is one."""
        self.remove("%s/%s" % (path, body["metadata"]["name"]))
        self.request("POST", path, body)

    def remove(self, path):
        """Deletes an object, and waits until it is gone."""
        def is_gone():
            self._delete(path)
            try:
                self.get(path)
            except WebError as error:
                return error.status == 404
            return False

        until("%s is gone" % path, is_gone, 60)

    # ---- kinds of ours
    def define(self, file, name):
        """Applies a CustomResourceDefinition as it is shipped, and waits until the API server serves it."""
        with open(file, "rb") as f:
            try:
                self.request("POST", DEFINITIONS, f.read(), {"Content-Type": "application/yaml"})
            except WebError as error:
                if error.status != 409:
                    raise
        def is_served():
            kind = self.get("%s/%s" % (DEFINITIONS, name))
            conditions = kind["status"].get("conditions") or []
            if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                raise NotYet("its conditions are %s" % conditions)
            # What is established is served a moment later.
            spec = kind["spec"]
            return self.get("/apis/%s/%s/%s" % (spec["group"], spec["versions"][0]["name"], spec["names"]["plural"]))

        until("the API server serves %s" % name, is_served, 60)

    def budget(self, namespace, app, **spec):
        """A PodDisruptionBudget over the pods of a deployment; without it `delete_budget`."""
        self.request("POST", "/apis/policy/v1beta1/namespaces/%s/poddisruptionbudgets" % namespace, {
            "metadata": {"name": app}, "spec": dict(spec, selector={"matchLabels": {"app": app}})})

    def budget_holds(self, namespace, app):
        """True once the API server has counted it, and it allows nothing; for `until`."""
        status = self.get("/apis/policy/v1beta1/namespaces/%s/poddisruptionbudgets/%s" % (namespace, app))["status"]
        return status.get("observedGeneration") and status.get("disruptionsAllowed") == 0

    def delete_budget(self, namespace, app):
        self._delete("/apis/policy/v1beta1/namespaces/%s/poddisruptionbudgets/%s" % (namespace, app))

    def scale(self, namespace, name, replicas):
        self.request("PATCH", "/apis/apps/v1/namespaces/%s/deployments/%s" % (namespace, name),
                     {"spec": {"replicas": replicas}}, MERGE)

    def _delete(self, path):
        try:
            self.request("DELETE", path)
        except WebError as error:
            if error.status not in (404, 409):
                raise

    # ---- watching
    def watch(self, path, handle):
        """Calls `handle(type, object)` for what changes from now on, on a thread of its own, until the returned
        function is called."""
        stopped = threading.Event()
        parameters = urllib.parse.urlencode({
            "watch": "1", "timeoutSeconds": "3000", "resourceVersion": self.get(path)["metadata"]["resourceVersion"]})
        request = urllib.request.Request("%s%s?%s" % (self.server, path, parameters))

        def follow():
            try:
                with urllib.request.urlopen(request, context=self.context, timeout=3000) as answer:
                    for line in answer:
                        if stopped.is_set():
                            return
                        event = json.loads(line)
                        handle(event["type"], event["object"])
            except OSError:
                pass  # the API server went away: the end of the run

        threading.Thread(target=follow, daemon=True).start()
        return stopped.set


def is_ready(node):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def server_of(node):
    """The server id in a Node's providerID."""
    return node["spec"].get("providerID", "").rsplit("/", 1)[-1]


def running(pods):
    return [p for p in pods if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]


def all_running(pods, count):
    """True, or NotYet with what they are."""
    if len(running(pods)) == count and len(pods) == count:
        return True
    raise NotYet(", ".join("%s %s on %s%s" % (
        p["metadata"]["name"], p["status"].get("phase"), p["spec"].get("nodeName"),
        " (terminating)" if "deletionTimestamp" in p["metadata"] else "") for p in pods) or "no pods")
