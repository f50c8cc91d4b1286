"""One simulated machine: its Node object, its heartbeat, its kubelet endpoint."""
import asyncio
import hashlib
import ipaddress
import random
import ssl
import sys
import time
import uuid

from . import web
from .api import MERGE, STRATEGIC, ApiError
from .pods import Pods
from .quantities import now, now_micro, quantity
from .statistics import Statistics, broken_lines, broken_summary

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class Node:
    def __init__(self, rig, spec):
        self.rig, self.spec, self.name = rig, spec, spec["name"]
        self.ready, self.heartbeat, self.load, self.page = False, True, spec.get("load", {}), spec.get("page")
        self.pods, self.statistics = Pods(self), Statistics(self)
        self.connections = set()
        self.tasks, self.server, self.lease_version, self.conditions = [], None, None, {}
        self.pod_net = self.ip = self.port = self.uuid = self.provider_id = None

    # ---- what it is
    def amounts(self):
        """(capacity, allocatable)"""
        spec = self.spec
        capacity = {
            "cpu": str(spec.get("cpu", "4")), "memory": str(spec.get("memory", "8Gi")),
            "pods": str(spec.get("pods", 110)), "ephemeral-storage": str(spec.get("ephemeralStorage", "40Gi")),
            "hugepages-1Gi": "0", "hugepages-2Mi": "0"}
        capacity.update({k: str(v) for k, v in spec.get("resources", {}).items()})
        allocatable = dict(capacity)
        if "allocatable" in spec:
            allocatable.update({k: str(v) for k, v in spec["allocatable"].items()})
        else:
            allocatable["memory"] = f"{int(quantity(capacity['memory']) / 1024) - 100 * 1024}Ki"
        return capacity, allocatable

    def condition_list(self):
        stamp = now()
        wanted = {
            "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            "Ready": ("True", "KubeletReady", "kubelet is posting ready status") if self.ready else
            ("False", "KubeletNotReady", "runtime network not ready: cni plugin not initialized")}
        for kind, value in self.spec.get("conditions", {}).items():
            if isinstance(value, str):
                wanted[kind] = (value, "Simulated", "set through the control API")
            else:
                wanted[kind] = (value["status"], value.get("reason", "Simulated"), value.get("message", ""))
        for kind, (status, reason, message) in wanted.items():
            old = self.conditions.get(kind)
            since = old["lastTransitionTime"] if old and old["status"] == status else stamp
            self.conditions[kind] = {"type": kind, "status": status, "reason": reason, "message": message,
                                     "lastHeartbeatTime": stamp, "lastTransitionTime": since}
        return [self.conditions[kind] for kind in wanted]

    def status(self):
        capacity, allocatable = self.amounts()
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        return {
            "capacity": capacity, "allocatable": allocatable, "conditions": self.condition_list(),
            "addresses": [{"type": "InternalIP", "address": self.ip}, {"type": "Hostname", "address": self.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": {
                "machineID": digest[:32], "systemUUID": self.uuid, "bootID": str(uuid.UUID(digest[:32])),
                "kernelVersion": "5.10.0-0-amd64", "osImage": "Hollow Linux",
                "containerRuntimeVersion": "containerd://1.4.3", "kubeletVersion": "v1.20.2",
                "kubeProxyVersion": "v1.20.2", "operatingSystem": "linux", "architecture": "amd64"},
            "images": [{"names": ["registry.example/pause:3.2"], "sizeBytes": 683082}]}

    def cloud_labels(self):
        """What a cloud provider puts on a Node, under the old names and the new."""
        spec = self.spec
        zone, region = spec.get("zone", "nova"), spec.get("region", "RegionOne")
        flavor = spec.get("flavor", "m1.large")
        return {"topology.kubernetes.io/zone": zone, "failure-domain.beta.kubernetes.io/zone": zone,
                "topology.kubernetes.io/region": region, "failure-domain.beta.kubernetes.io/region": region,
                "node.kubernetes.io/instance-type": flavor, "beta.kubernetes.io/instance-type": flavor}

    def described(self):
        return {"name": self.name, "providerID": self.provider_id, "address": self.ip, "port": self.port,
                "ready": self.ready, "heartbeat": self.heartbeat, "registered": self.name in self.rig.seen,
                "pods": len(self.pods.seen), "load": self.load, "spec": self.spec}

    # ---- its life
    async def start(self):
        spec = self.spec
        self.uuid = spec.get("uuid") or str(uuid.uuid4())
        if "/" in spec.get("providerID", ""):
            self.uuid = spec["providerID"].rsplit("/", 1)[1]
        self.provider_id = spec.get("providerID") or f"openstack:///{self.uuid}"
        self.ip, self.port = self.rig.address(spec)
        self.pod_net = ipaddress.ip_network(spec["podCIDR"]) if "podCIDR" in spec else self.rig.pod_net()
        if self.rig.options.kubelets and spec.get("kubelet", True):
            await self._serve()
        await asyncio.sleep(float(spec.get("bootDelay", 0)))
        await self._register()
        self.tasks.append(asyncio.ensure_future(self._beat()))
        if not self.ready:
            self.tasks.append(asyncio.ensure_future(self._become_ready(float(spec["readyDelay"]))))
        if "cloudInitDelay" in spec:
            self.tasks.append(asyncio.ensure_future(self._initialize(float(spec["cloudInitDelay"]))))
        for name in spec.get("mirrorPods", []):
            await self._mirror(name)
        for pod in self.rig.orphans.pop(self.name, {}).values():
            self.pods.changed("MODIFIED", pod)

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        self.pods.stop()
        if self.server:
            self.server.close()
        # A machine that is gone answers nobody, also not on connections that the API server keeps: the next one at this
        # address would be asked through them.
        for writer in list(self.connections):
            writer.close()
        self.rig.orphans[self.name] = self.pods.seen

    async def _register(self):
        spec, external = self.spec, "cloudInitDelay" in self.spec
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                  "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64"}
        taints = list(spec.get("taints", []))
        if external:
            taints.append({"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"})
        else:
            labels.update(self.cloud_labels())
        labels.update(spec.get("labels", {}))
        self.ready = not float(spec.get("readyDelay", 0))
        annotations = {"volumes.kubernetes.io/controller-managed-attach-detach": "true", **spec.get("annotations", {})}
        # podCIDR: the controller that would set it costs 10 s at every start of the control plane, so it is off.
        body = {"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": self.name, "labels": labels, "annotations": annotations},
                "spec": {"taints": taints, "podCIDR": str(self.pod_net), "podCIDRs": [str(self.pod_net)]},
                "status": self.status()}
        if not external:
            body["spec"]["providerID"] = self.provider_id
        if spec.get("unschedulable"):
            body["spec"]["unschedulable"] = True
        try:
            made = await self.rig.api("POST", "/api/v1/nodes", body)
        except ApiError as error:
            if error.code != 409:
                raise
            made = await self.rig.api("GET", f"/api/v1/nodes/{self.name}")
            if made["spec"].get("podCIDR"):
                self.pod_net = ipaddress.ip_network(made["spec"]["podCIDR"])
            await self.post_status()
        self.uid = made["metadata"]["uid"]

    async def _become_ready(self, delay):
        await asyncio.sleep(delay)
        self.ready = True
        await self.post_status()

    async def _initialize(self, delay):
        """What a cloud controller manager does to a node that registered with --cloud-provider=external."""
        await asyncio.sleep(delay)
        path = f"/api/v1/nodes/{self.name}"
        node = await self.rig.api("GET", path)
        await self.rig.api("PATCH", path, {
            "metadata": {"labels": self.cloud_labels(), "resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"providerID": self.provider_id,
                     "taints": [t for t in node["spec"].get("taints", []) if t["key"] != UNINITIALIZED]}}, MERGE)

    async def _mirror(self, name):
        """A static pod's image in the API."""
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        owner = {"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": self.uid, "controller": True}
        requests = {"cpu": "100m", "memory": "64Mi"}
        body = {"metadata": {
                    "name": f"{name}-{self.name}", "namespace": "kube-system", "ownerReferences": [owner],
                    "annotations": {"kubernetes.io/config.mirror": digest, "kubernetes.io/config.source": "file"}},
                "spec": {
                    "nodeName": self.name, "hostNetwork": True, "priorityClassName": "system-node-critical",
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": name, "image": f"registry.example/{name}:v1",
                                    "resources": {"requests": requests}}]}}
        try:
            await self.rig.api("POST", "/api/v1/namespaces/kube-system/pods", body)
        except ApiError as error:
            if error.code != 409:
                raise

    # ---- heartbeat
    async def post_status(self):
        try:
            await self.rig.api("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": self.status()}, STRATEGIC)
        except ApiError as error:
            if error.code != 404:  # a kubelet whose Node was deleted does not register again by itself
                print(f"{self.name}: {error}", file=sys.stderr, flush=True)

    async def _beat(self):
        options, posted = self.rig.options, time.time()
        await asyncio.sleep(0 if len(self.rig.nodes) < 20 else random.random() * options.lease_interval)
        while True:
            try:
                if self.heartbeat:
                    await self._renew_lease()
                    if time.time() - posted > options.status_interval or self._shown_otherwise():
                        posted = time.time()
                        await self.post_status()
            except ApiError as error:
                print(f"{self.name}: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(options.lease_interval)

    def _shown_otherwise(self):
        """Somebody changed our conditions: the node controller, to Unknown, when heartbeats were missing."""
        status = self.rig.seen.get(self.name, {}).get("status", {})
        shown = {c["type"]: c["status"] for c in status.get("conditions", [])}
        return any(shown.get(kind, own["status"]) != own["status"] for kind, own in self.conditions.items())

    async def _renew_lease(self):
        owner = {"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": self.uid}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.name, "namespace": "kube-node-lease", "ownerReferences": [owner]},
                "spec": {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now_micro()}}
        for _ in range(3):
            try:
                if self.lease_version:
                    body["metadata"]["resourceVersion"] = self.lease_version
                    lease = await self.rig.api("PUT", f"{LEASES}/{self.name}", body)
                else:
                    body["metadata"].pop("resourceVersion", None)
                    lease = await self.rig.api("POST", LEASES, body)
                self.lease_version = lease["metadata"]["resourceVersion"]
                return
            except ApiError as error:
                if error.code == 409:
                    lease = await self.rig.api("GET", f"{LEASES}/{self.name}")
                    self.lease_version = lease["metadata"]["resourceVersion"]
                elif error.code == 404:
                    self.lease_version = None
                else:
                    raise

    # ---- the kubelet's HTTPS endpoint
    async def _serve(self):
        loop = asyncio.get_running_loop()
        certificate, key = await loop.run_in_executor(None, self.rig.certificate, self.name, self.ip)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(f"{self.rig.options.rig}/pki/ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server = await asyncio.start_server(
            self._connected, self.ip, self.port, ssl=context)

    async def _connected(self, reader, writer):
        self.connections.add(writer)
        try:
            await web.serve(reader, writer, self._answer)
        finally:
            self.connections.discard(writer)

    async def _answer(self, _method, path, _query, headers, _body, writer):
        prometheus = "text/plain; version=0.0.4"
        if path == "/healthz":
            return 200, "ok", "text/plain"
        refusal = await self.rig.refusal(headers, writer, self.name, path)
        if refusal:
            return refusal
        if path == "/stats/summary":
            if self.page:
                return 200, broken_summary(self.statistics.summary(), self.page), "application/json"
            return 200, self.statistics.summary(), None
        if path == "/metrics/resource":
            return 200, broken_lines(self.statistics.resource_metrics(), self.page), prometheus
        if path == "/metrics":
            return 200, ("# HELP kubelet_running_pods [ALPHA] Number of pods currently running\n"
                         f"# TYPE kubelet_running_pods gauge\nkubelet_running_pods {len(self.pods.seen)}\n"), prometheus
        if path == "/metrics/cadvisor":
            return 200, ("# HELP machine_cpu_cores Number of logical CPU cores.\n# TYPE machine_cpu_cores gauge\n"
                         f"machine_cpu_cores {self.amounts()[0]['cpu']}\n"), prometheus
        if path == "/pods":
            items = list(self.pods.seen.values())
            return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}, None
        return 404, "404 page not found\n", "text/plain"
