"""What a kubelet does with its pods: they start, run, end and terminate, without a container."""
import asyncio
import hashlib
import sys

from .api import STRATEGIC, ApiError
from .quantities import now

ANNOTATION = "hollow/"


class Pods:
    """The pods of one node."""

    def __init__(self, node):
        self.node = node
        self.seen = {}  # uid: pod as last seen
        self.busy = {}  # uid: task moving that pod on
        self.judging = {}  # uid: task saying whether that pod is ready, as its readiness gates changed
        self.next_address = 2

    def stop(self):
        for task in list(self.busy.values()) + list(self.judging.values()):
            task.cancel()

    def changed(self, kind, pod):
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self.seen.pop(uid, None)
            for task in (self.busy.pop(uid, None), self.judging.pop(uid, None)):
                if task:
                    task.cancel()
            self.node.statistics.forget(pod)
            return
        old = self.seen.get(uid)
        self.seen[uid] = pod
        if "deletionTimestamp" in pod["metadata"]:
            if not (old and "deletionTimestamp" in old["metadata"] and uid in self.busy):
                self._begin(uid, self._terminate(pod))
        elif pod["status"].get("phase") == "Pending" and uid not in self.busy:
            self._begin(uid, self._run(pod))
        elif pod["status"].get("phase") == "Running" and pod["spec"].get("readinessGates"):
            self._begin(uid, self._judge(uid), self.judging)

    def _begin(self, uid, work, where=None):
        where = self.busy if where is None else where
        task = where.pop(uid, None)
        if task:
            task.cancel()

        async def guarded():
            try:
                await work
            except asyncio.CancelledError:
                pass
            except ApiError as error:
                if error.code not in (404, 409):
                    print(f"{self.node.name} pod: {error}", file=sys.stderr, flush=True)
        where[uid] = asyncio.ensure_future(guarded())

    def _address(self, pod):
        if pod["spec"].get("hostNetwork"):
            return self.node.ip
        if pod["status"].get("podIP"):
            return pod["status"]["podIP"]
        self.next_address += 1
        net = self.node.pod_net
        return str(net[2 + self.next_address % (net.num_addresses - 3)])

    async def _set_status(self, pod, status):
        meta = pod["metadata"]
        return await self.node.rig.api(
            "PATCH", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status",
            {"metadata": {"uid": meta["uid"]}, "status": status}, STRATEGIC)

    async def _run(self, pod):
        annotations = pod["metadata"].get("annotations", {})
        start = pod["status"].get("startTime") or now()
        usual = self.node.spec.get("podStartDelay", self.node.rig.options.pod_start_delay)
        delay = float(annotations.get(ANNOTATION + "start-delay", usual))
        placed = {"startTime": start, "hostIP": self.node.ip}
        if delay:
            await self._set_status(pod, dict(
                placed, conditions=conditions(False, "ContainersNotReady"),
                containerStatuses=containers(pod, {"waiting": {"reason": "ContainerCreating"}}, False)))
            await asyncio.sleep(delay)
        address = self._address(pod)
        placed.update(phase="Running", podIP=address, podIPs=[{"ip": address}])
        if annotations.get(ANNOTATION + "crash") == "true":
            waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
            await self._set_status(pod, dict(
                placed, conditions=conditions(False, "ContainersNotReady"),
                containerStatuses=containers(pod, {"waiting": waiting}, False, 5)))
            return
        ready, begun = annotations.get(ANNOTATION + "ready", "true") != "false", now()
        latest = self.seen.get(pod["metadata"]["uid"], pod)
        await self._set_status(pod, dict(
            placed, conditions=conditions(ready, "ContainersNotReady", closed_gates(latest)),
            containerStatuses=containers(pod, {"running": {"startedAt": begun}}, ready)))
        if ANNOTATION + "run-for" in annotations:
            await asyncio.sleep(float(annotations[ANNOTATION + "run-for"]))
            code = int(annotations.get(ANNOTATION + "exit-code", 0))
            await self._set_status(pod, {
                "phase": "Failed" if code else "Succeeded", "conditions": conditions(False, "PodCompleted"),
                "containerStatuses": containers(pod, ended(code, begun), False)})

    async def _judge(self, uid):
        """Ready is: the containers are, and each readiness gate's condition, which others set, is True."""
        pod = self.seen[uid]
        now_is = {c["type"]: c["status"] for c in pod["status"].get("conditions") or []}
        containers_are = now_is.get("ContainersReady") == "True"
        wanted = readiness(containers_are, "ContainersNotReady", closed_gates(pod))
        if now_is.get("Ready") != wanted["status"]:
            await self._set_status(pod, {"conditions": [wanted]})

    async def _terminate(self, pod):
        meta = pod["metadata"]
        grace = float(meta.get("deletionGracePeriodSeconds") or 0)
        usual = self.node.rig.options.pod_stop_delay
        takes = float(meta.get("annotations", {}).get(ANNOTATION + "stop-delay", usual))
        await asyncio.sleep(min(grace, takes))
        if pod["status"].get("phase") == "Running":
            code = 137 if takes > grace else 0
            await self._set_status(pod, {
                "conditions": conditions(False, "ContainersNotReady"),
                "containerStatuses": containers(pod, ended(code, pod["status"].get("startTime")), False)})
        await self.node.rig.api("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", {
            "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
            "preconditions": {"uid": meta["uid"]}})


def containers(pod, state, ready, restarts=0):
    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest()

    return [{"name": c["name"], "image": c.get("image", ""),
             "imageID": "registry.example/hollow@sha256:" + digest(c.get("image", "")),
             "containerID": "containerd://" + digest(pod["metadata"]["uid"] + c["name"]),
             "ready": ready, "started": ready, "restartCount": restarts, "state": state, "lastState": {}}
            for c in pod["spec"]["containers"]]


def conditions(ready, reason=None, gates=()):
    """The kubelet's own three; conditions that others set are left alone by the merge."""
    return [{"lastProbeTime": None, "lastTransitionTime": now(), "type": "Initialized", "status": "True"},
            condition("ContainersReady", ready, reason, "containers with unready status"),
            readiness(ready, reason, gates)]


def readiness(ready, reason, gates):
    """The condition Ready, with these readiness gates closed."""
    if ready and gates:
        return condition("Ready", False, "ReadinessGatesNotReady",
                         "corresponding condition of pod readiness gate %s is not True" % ", ".join(gates))
    return condition("Ready", ready, reason, "containers with unready status")


def condition(kind, is_true, reason, message):
    why = {"reason": None, "message": None} if is_true else {"reason": reason, "message": message}
    return dict(why, lastProbeTime=None, lastTransitionTime=now(), type=kind, status="True" if is_true else "False")


def closed_gates(pod):
    """The pod's readiness gates whose condition is not True."""
    status = {c["type"]: c["status"] for c in pod["status"].get("conditions") or []}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    return [gate for gate in gates if status.get(gate) != "True"]


def ended(code, begun):
    return {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": begun,
                           "finishedAt": now()}}
