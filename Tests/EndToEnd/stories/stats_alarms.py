"""Aodh's alarms on our statistics make the group grow, and let nodes go with notice."""
import contextlib
import os
import subprocess
import sys

import yaml

from harness.kubernetes import all_running
from harness.processes import Process
from harness.registry import story
from harness.services import free_port
from harness.waiting import NotYet, check, holds, until

from .main_removal import told
from .stats_telemetry import identity_of, telemetry

BUSY, IDLE = "1900m", "100m"  # of two cores


def shipped_alarms(stage, **actions):
    """{name: definition} of deploy/telemetry/alarms.yaml with GROUP and CLUSTER filled in. Only what they look at is shorter,
    the last two points: the rig's archive policy also keeps single seconds, so that this takes half a minute and not three."""
    with open(os.path.join(stage.rigs.project, "deploy/telemetry/alarms.yaml"), encoding="utf-8") as f:
        text = f.read()
    check("GROUP" in text and "CLUSTER" in text, "alarms.yaml has no GROUP or CLUSTER to fill in")
    # In what the alarms say, not in the comments.
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found = {}
    for alarm in yaml.safe_load(text.replace("CLUSTER", stage.cluster).replace("GROUP", "workers")):
        name = alarm["name"]
        alarm[alarm["type"] + "_rule"].update(granularity=1, evaluation_periods=2)
        found[name] = dict(alarm, name="%s %s" % (name, stage.cluster), **actions)
    return found


class Alarm:
    """An alarm in Aodh, which goes with the story."""

    def __init__(self, cloud, definition):
        self.cloud = cloud
        # Its API may still be starting when the first story begins.
        self.id = until("Aodh takes an alarm", lambda: cloud.request("alarming", "POST", "/v2/alarms", definition), 60)["alarm_id"]

    def state(self):
        return self.cloud.request("alarming", "GET", "/v2/alarms/" + self.id)["state"]

    def is_in(self, state):
        shown = self.cloud.request("alarming", "GET", "/v2/alarms/" + self.id)
        if shown["state"] == state:
            return True
        raise NotYet("it is %s: %s" % (shown["state"], shown.get("state_reason")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cloud.request("alarming", "DELETE", "/v2/alarms/" + self.id)


def one_node_with_a_pod(stage, project, **settings):
    # Only what alarms ask for may happen: nothing goes by itself.
    stage.set(size=1, most=3, collector__telemetry=telemetry(project, "ceilometer", resources=["cluster", "node"]),
              decider__scale_down={"enabled": False}, **settings)
    hook = {"updraft.io/shutdown-hook": stage.hooks.annotation}
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="300m", annotations=hook)
    until("the pod runs", lambda: all_running(stage.pods("web"), 1), 60)


def outcome(stage, who, change):
    """What became of a request, from the ledger."""
    for message in stage.recorder.all("evaluation"):
        for entry in message.payload.get("signals") or []:
            if entry["who"].startswith(who) and entry["change"] == change and entry["decided"] == change:
                return entry
    raise NotYet("signals: %s" % [m.payload["signals"] for m in stage.recorder.all("evaluation")
                                  if m.payload.get("signals")][-3:])


def grows_by_one(stage, who, reason):
    decided = until("the group is to grow", lambda: stage.recorder.first("scale.decided", group="workers"), 120)
    check(decided.payload["to"] == 2, "to %s" % decided.payload["to"])
    check(decided.payload["reason"]["reason"] == reason, "because of %s" % decided.payload["reason"])
    stage.say("grows: %s" % decided.payload["reason"]["detail"])
    until("the ledger says so", lambda: outcome(stage, who, 1), 30)
    until("two nodes everywhere", lambda: stage.sizes_agree(2), 120)
    # One pod on each node, so that whichever goes has one to be told.
    stage.kubernetes.scale(stage.namespace, "web", 2)
    until("both pods run", lambda: all_running(stage.pods("web"), 2), 60)
    check(len({p["spec"]["nodeName"] for p in stage.pods("web")}) == 2, "both pods are on one node")


def shrinks_with_notice(stage, who, reason):
    decided = until("a node is to go", lambda: stage.recorder.first("removal.decided", group="workers"), 150)
    check(len(decided.payload["nodes"]) == 1, "nodes: %s" % decided.payload["nodes"])
    target = decided.payload["nodes"][0]
    check(target["reason"]["reason"] == reason, "because of %s" % target["reason"])
    stage.say("%s goes: %s" % (target["node"], target["reason"]["detail"]))
    until("the ledger says so", lambda: outcome(stage, who, -1), 30)
    until("the pod was told", lambda: stage.recorder.first("removal.noticed", node=target["node"]), 60)
    until("the removal is complete", lambda: stage.recorder.first("removal.completed", node=target["node"]), 150)
    until("one node everywhere", lambda: stage.sizes_agree(1), 60)
    until("both pods run on the other", lambda: all_running(stage.pods("web"), 2), 60)
    ended = stage.pod_history.leaving(target["node"])
    check(len(ended) == 1, "%d pods of the node were ended, not one" % len(ended))
    told(stage, ended[0])


@story("stats-alarm-rule", long=True)
def alarm_on_the_bus(stage):
    """Load, samples, Ceilometer, Gnocchi, Aodh with the alarms that are shipped, a transition on the bus, a rule: the group grows; ok
    again, a node leaves with notice."""
    cloud = stage.rigs.cloud
    _, project = identity_of(cloud)
    with contextlib.ExitStack() as all_of_them:
        alarms = {name: all_of_them.enter_context(Alarm(cloud, definition))
                  for name, definition in shipped_alarms(stage).items()}
        alarm = alarms["group-cpu-high"]
        # One by its id, one by its name, which Aodh's notifications do not bear.
        rule = {"group": "workers", "alarm": alarm.id, "repeat": False, "cooldown": "10s"}
        by_name = dict(rule, alarm="group-cpu-high %s" % stage.cluster)
        one_node_with_a_pod(
            stage, project, collector__alarms={"enabled": True, "project_id": project},
            decider__rules=[dict(by_name, name="hot", direction="up"), dict(rule, name="cool", direction="down", state="ok")])
        stage.machines.load(IDLE)
        stage.start_services()
        until("the alarm is ok", lambda: alarm.is_in("ok"), 240, every=2)
        until("the Collector tells of it", lambda: stage.recorder.first("cloud.alarm", alarmID=alarm.id, state="ok"), 30)
        until("name and definition are looked up", lambda: [
            message for message in stage.recorder.all("cloud.alarm")
            if message.payload["alarmID"] == alarm.id and message.payload.get("name") == "group-cpu-high %s" % stage.cluster
            and "kubernetes.node.cpu.utilization" in message.payload.get("definition", "")], 30)
        kept = until("the ledger says why the node stays", lambda: [
            entry["outcome"] for message in stage.recorder.all("evaluation")
            for entry in message.payload.get("signals") or [] if entry["who"] == "rule cool" and entry["decided"] == 0], 30)[0]
        check(kept["reason"] in ("NoPlaceToMovePods", "MinimumReached"), "the only node stays because of %s" % kept)
        stage.say("the alarm is ok, and the only node stays: %s" % kept["reason"])
        for name, state in (("group-cpu-low", "alarm"), ("pods-wait-for-a-node", "ok"), ("statistics-are-missing", "ok")):
            until("%s is %s" % (name, state), lambda: alarms[name].is_in(state), 60, every=2)
        stage.machines.load(BUSY)
        until("the alarm fires", lambda: alarm.is_in("alarm"), 120, every=2)
        grows_by_one(stage, "rule hot", "RuleFired")
        stage.machines.load(IDLE)
        until("the alarm is ok again", lambda: alarm.is_in("ok"), 120, every=2)
        shrinks_with_notice(stage, "rule cool", "RuleFired")


@story("stats-hypervisor-rule")
def hypervisors(stage):
    """What Ceilometer's compute agent says of the nodes' servers, by its own code, makes the group grow: no kubelet is asked."""
    stage.set(size=1, most=2, collector__hypervisor={"enabled": True}, collector__stats={"enabled": False},
              decider__scale_down={"enabled": False}, decider__rules=[{
                  "name": "hot", "group": "workers", "direction": "up", "source": "hypervisor", "metric": "cpu",
                  "threshold": 1.2, "repeat": False}])
    stage.start_services()
    until("one node everywhere", lambda: stage.sizes_agree(1), 60)
    server = next(iter(stage.kubernetes.nodes().values()))["spec"]["providerID"].rsplit("/", 1)[-1]
    agent = Process("compute agent", [
        sys.executable, "-B", os.path.join(stage.rigs.project, "Tests/EndToEnd/compute_agent.py"), stage.broker.url, "1.5",
        server], os.path.join(stage.folder, "compute-agent.log")).start()
    stage.extra.append(agent)
    said = until("its samples are passed on", lambda: stage.recorder.first("cloud.stats"), 60)
    check({s["meter"] for s in said.payload["samples"]} == {"cpu", "memory.usage"}, "samples: %s" % said.payload["samples"])
    decided = until("the group is to grow", lambda: stage.recorder.first("scale.decided", group="workers"), 60)
    check(decided.payload["to"] == 2 and decided.payload["reason"]["reason"] == "RuleFired", "%s" % decided.payload)
    stage.say("grows: %s" % decided.payload["reason"]["detail"])
    until("two nodes everywhere", lambda: stage.sizes_agree(2), 120)


@story("stats-alarm-missed")
def alarm_while_away(stage):
    """An alarm that fired while nobody listened is found by asking Aodh for it by its name; the group grows, once."""
    cloud = stage.rigs.cloud
    _, project = identity_of(cloud)
    name = "missed %s" % stage.cluster
    # Nobody evaluates it: its state is what the API is told.
    with Alarm(cloud, {"name": name, "type": "event", "event_rule": {"event_type": "no.such.event"}}) as alarm:
        one_node_with_a_pod(
            stage, project, collector__alarms={"enabled": True, "project_id": project}, actuator__alarms_interval="5s",
            decider__rules=[{"name": "late", "group": "workers", "alarm": name, "repeat": False, "cooldown": "5s"}])
        cloud.request("alarming", "PUT", "/v2/alarms/%s/state" % alarm.id, "alarm")
        stage.start_services()
        heard = until("the Actuator tells of it", lambda: stage.recorder.first("cloud.alarm", alarmID=alarm.id), 60)
        check(heard.payload["state"] == "alarm" and heard.payload.get("name") == name, "it said %s" % heard.payload)
        grows_by_one(stage, "rule late", "RuleFired")
        told = [m.payload for m in stage.recorder.all("cloud.alarm") if m.payload["alarmID"] == alarm.id]
        check(len({m["at"] for m in told}) == 1, "each time with the time of the transition: %s" % told)
        holds("said again and again it does nothing more", lambda: stage.sizes_agree(2), 15)


@story("stats-alarm-signal-url")
def alarm_calls_us(stage):
    """The same with the alarm calling our addresses: up while it fires, down when it is ok."""
    cloud = stage.rigs.cloud
    _, project = identity_of(cloud)
    one_node_with_a_pod(stage, project, collector__signals={"listen": "127.0.0.1:%d" % free_port()})

    def address(direction):
        made = subprocess.run(
            [os.path.join(stage.rigs.binaries, "updraft"), "signal-url", "workers", direction, "--config",
             os.path.join(stage.folder, "updraft.yaml")], capture_output=True, text=True, timeout=30)
        check(made.returncode == 0, "updraft signal-url: %s%s" % (made.stdout, made.stderr))
        return made.stdout.strip()

    stage.machines.load(BUSY)
    stage.start_services()
    actions = {"alarm_actions": [address("up")], "ok_actions": [address("down")]}
    with Alarm(cloud, shipped_alarms(stage, **actions)["group-cpu-high"]) as alarm:
        until("the alarm fires", lambda: alarm.is_in("alarm"), 240, every=2)
        grows_by_one(stage, "alarm group-cpu-high", "Signalled")
        stage.machines.load(IDLE)
        until("the alarm is ok", lambda: alarm.is_in("ok"), 120, every=2)
        shrinks_with_notice(stage, "alarm group-cpu-high", "Signalled")
