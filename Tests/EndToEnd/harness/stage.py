"""What a story plays on: a Heat stack, its machines, a namespace, the services, and a record of what happened."""
import os
import secrets
import shutil
import sys
import time

from .bus import Broker, Recorder
from .hooks import HookServer
from .kubernetes import DEFINITIONS, Kubernetes, is_ready, server_of
from .machines import Machines
from .openstack import OpenStack, Stack, delete_stacks
from .processes import Process
from .services import Services, free_port
from .waiting import NotYet, until

PREFIX = "updraft-e2e-"  # of every stack of the stories, whichever lane plays them
FLAVOR = {"name": "m1.medium", "cpu": "2", "memory": "4Gi"}


class Rigs:
    """Where the real things are; the same for every story."""

    def __init__(self, project, work, binaries, openstack_state, cluster, prefix=PREFIX):
        """`cluster`: folder of a Kubernetes rig and its port. `prefix`: of the stacks that are made and swept."""
        kubernetes_rig, kubernetes_port = cluster
        self.project, self.work, self.binaries, self.prefix = project, work, binaries, prefix
        self.openrc = os.path.join(openstack_state, "openrc")
        self.cloud = OpenStack(self.openrc)
        self.application_credential = os.path.join(openstack_state, "openrc.appcred")
        self.broker = Broker(self.cloud.settings["RIG_TRANSPORT_URL"],
                             os.path.join(openstack_state, "bin/rabbitmqctl"))
        self.kubernetes = Kubernetes(kubernetes_rig, "https://127.0.0.1:%d" % kubernetes_port)
        self.machines = Machines("http://127.0.0.1:%d" % (kubernetes_port + 5))

    def sweep(self):
        """Removes what an earlier story or run left, so that each story begins with an empty cluster."""
        # Begun here, waited for below: Kubernetes takes its namespaces down while Heat works.
        try:
            self.kubernetes.delete_namespaces("e2e-")
        except (OSError, LookupError, ValueError):
            pass  # below it is tried until it is done, and said what is in the way
        delete_stacks(self.cloud, self.prefix)
        self.machines.clear()
        until("the namespaces of earlier stories are gone",
              lambda: not self.kubernetes.delete_namespaces("e2e-"), within=90)
        for name in self.kubernetes.nodes():
            self.kubernetes.delete_node(name)
        for kind in ("podscalers.updraft.io", "shops.example.org"):
            self.kubernetes.remove("%s/%s" % (DEFINITIONS, kind))


class Stage:
    def __init__(self, rigs, story, say):
        self.rigs, self.story, self.say = rigs, story, say
        self.cluster = "e2e-" + secrets.token_hex(3)
        self.namespace = "e2e-" + story
        self.folder = os.path.join(rigs.work, story)
        shutil.rmtree(self.folder, ignore_errors=True)  # the logs of an earlier run
        os.makedirs(self.folder)
        self.kubernetes, self.machines, self.broker = rigs.kubernetes, rigs.machines, rigs.broker
        self.stack = Stack(rigs.cloud, rigs.prefix + story)
        self.follower = self.services = self.recorder = self.hooks = None
        self.pod_history, self.stop_watch = PodHistory(), lambda: None
        self.extra = []  # further processes that a story starts

    # ---- setting it
    def set(self, size, most=5, hold_deletions=False, hold_by_deployment=False, policies=False, timeout_mins=20,
            **settings):
        """An empty cluster, a stack of `size` nodes that have joined; the services are configured, not started. What Heat does
        fails after `timeout_mins`."""
        self.rigs.sweep()
        self.say("a Heat stack with %d node%s" % (size, "" if size == 1 else "s"))
        self.stack.create(os.path.join(self.rigs.project, "deploy/heat"), {
            "desired": size, "min_size": 1, "max_size": most, "flavor": FLAVOR["name"], "image": "tiny",
            "networks": [{"allocate_network": "none"}], "with_policies": policies,
            "hold_by_deployment": hold_by_deployment}, hold_deletions, timeout_mins)
        self.follower = Process(
            "machines", [sys.executable, os.path.join(self.rigs.project, "Tests/EndToEnd/machines"), "--openrc",
                         self.rigs.openrc, "--stack", self.stack.name, "--nodes", self.machines.url],
            os.path.join(self.folder, "machines.log")).start()
        self.kubernetes.create_namespace(self.namespace)
        until("the stack is made", lambda: self.stack.settled() == "CREATE_COMPLETE", 120)
        until("%d nodes are Ready" % size, lambda: self.nodes_ready(size), 60)
        until("pods are admitted", lambda: self.kubernetes.namespace_ready(self.namespace), 30)
        self.stop_watch = self.kubernetes.watch("/api/v1/namespaces/%s/pods" % self.namespace, self.pod_history.take)
        self.hooks = HookServer()
        self.recorder = Recorder(self.broker, self.cluster)
        configuration = self.configuration(most)
        for path, value in settings.items():
            section, _, field = path.partition("__")
            configuration.setdefault(section, {})[field] = value
        self.services = Services(self.rigs.binaries, self.folder, configuration, self.environments())
        return configuration

    def configuration(self, most):
        """One file for the four services. The timers are short; what the services do is not."""
        answers = free_port()
        return {
            "cluster": self.cluster,
            "bus": {"transport_url": self.broker.url,
                    "keys": [{"id": "e2e", "key": secrets.token_hex(16)}]},
            "groups": [{
                "id": "workers", "stack": self.stack.name, "resource": "workers", "desired_parameter": "desired",
                "min": 1, "max": most, "template": {"cpu": FLAVOR["cpu"], "memory": FLAVOR["memory"], "pods": 110}}],
            "collector": {"stats": {"interval": "5s"}},
            "decider": {"resync": "5s", "scale_down": {
                "unneeded_time": "6s", "delay_after_add": "5s", "delay_after_delete": "5s",
                "delay_after_failure": "5s"}},
            "actuator": {"resync": "5s", "drain": {"eviction_retry": "1s"}, "heat": {"poll_interval": "1s"}},
            # A port of its own: pods told before a restart still reach it. Pods here are processes of this machine.
            "notifier": {"cooldown": "30s", "max_cooldown": "60s", "listen": "127.0.0.1:%d" % answers,
                         "advertise_url": "http://127.0.0.1:%d" % answers},
            "log": {"level": "debug"},
        }

    def environments(self):
        """Each service gets its own account and nothing of the others'."""
        def kubeconfig(account):
            return {"UPDRAFT_KUBERNETES_KUBECONFIG": self.kubernetes.kubeconfig(account)}

        with open(self.rigs.application_credential, encoding="utf-8") as f:
            exports = [line.split() for line in f if line.startswith("export")]
        login = dict(word.split("=", 1) for words in exports for word in words[1:] if word.startswith("OS_"))
        return {"collector": kubeconfig("collector"), "notifier": kubeconfig("notifier"),
                "actuator": dict(kubeconfig("actuator"), **login)}

    def start_services(self):
        self.say("the four services start")
        self.services.start()
        self.services.wait_ready()

    # ---- looking
    def nodes_ready(self, count):
        nodes = self.kubernetes.nodes()
        ready = [n for n in nodes.values() if is_ready(n)]
        if len(ready) == count == len(nodes):
            return True
        raise NotYet("%d nodes, %d of them Ready" % (len(nodes), len(ready)))

    def node_of(self, member):
        """The Node on a member's server."""
        return next(n for n in self.kubernetes.nodes().values() if server_of(n) == member.server_id)

    def pods(self, app=None):
        return [p for p in self.kubernetes.pods(self.namespace)
                if app is None or p["metadata"]["labels"].get("app") == app]

    def sizes_agree(self, size):
        """Heat's parameter, the members, Nova's servers and the Ready Nodes: one and the same."""
        status = self.stack.settled()
        members = self.stack.members()
        servers = {m.server_id for m in members}
        nodes = {server_of(n) for n in self.kubernetes.nodes().values() if is_ready(n)}
        if status.endswith("_COMPLETE") and self.stack.desired == size == len(members) and nodes == servers:
            return True
        raise NotYet("%s, desired %d, members %s, nodes on %s" % (status, self.stack.desired, members, sorted(nodes)))

    # ---- ending
    def report(self):
        """What somebody needs who looks at a story that failed."""
        yield from self._section("messages", lambda: [repr(m) for m in self.recorder.all(
            "scale.decided", "scale.started", "scale.completed", "scale.failed", "scale.refused", "removal.decided",
            "removal.cancelled", "removal.cordoned", "removal.noticed", "removal.quiesced", "removal.drained",
            "removal.committed", "removal.completed", "removal.failed", "node.joined", "node.ready")][-40:])
        yield from self._section("last evaluations", lambda: [repr(m) for m in self.recorder.all("evaluation")[-3:]])
        yield from self._section("pods", lambda: ["%s %s on %s" % (
            p["metadata"]["name"], p["status"].get("phase"), p["spec"].get("nodeName")) for p in self.pods()])
        yield from self._section("nodes", lambda: ["%s %s %s" % (
            name, "Ready" if is_ready(n) else "not Ready", n["spec"]) for name, n in self.kubernetes.nodes().items()])
        yield from self._section("members", lambda: [repr(m) for m in self.stack.members()])
        yield from self._section("Heat events", self.stack.events)
        yield from self._section("events", lambda: ["%s %s %s" % (
            e["involvedObject"].get("name"), e["reason"], e["message"])
            for e in self.kubernetes.events(self.namespace)][-20:])
        processes = [] if self.services is None else list(self.services.each.values())
        for process in processes + [self.follower] + self.extra:
            if process is not None:
                yield from self._section("log of " + process.name, process.tail)

    def _section(self, title, lines):
        yield "---- " + title
        try:
            yield from lines()
        except Exception as error:  # one thing that cannot be shown must not hide the others
            yield "cannot be shown: %s: %s" % (type(error).__name__, error)

    def close(self):
        """Stops every process; what is in the clouds is removed by `strike`."""
        if self.services is not None:
            self.services.stop()
        for process in self.extra + [self.follower]:
            if process is not None:
                process.stop(5)
        self.stop_watch()
        if self.hooks is not None:
            self.hooks.close()
        if self.recorder is not None:
            self.recorder.close()

    def strike(self):
        self.rigs.sweep()
        self.broker.delete_queues(self.cluster)


class PodHistory:
    """What was seen of each pod, in the API server's order."""

    def __init__(self):
        self.seen = []  # (time, type, pod)

    def take(self, kind, pod):
        self.seen.append((time.time(), kind, pod))

    def leaving(self, node):
        """For each pod of the node that was told to end: its state at that moment."""
        first = {}
        for _, _, pod in self.seen:
            if "deletionTimestamp" in pod["metadata"] and pod["spec"].get("nodeName") == node:
                first.setdefault(pod["metadata"]["uid"], pod)
        return list(first.values())
