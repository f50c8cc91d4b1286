"""OpenStack's own tools understand what the services say."""
import json
import os
import sys

from harness.kubernetes import all_running
from harness.processes import Process
from harness.registry import story
from harness.waiting import check, until

from .main_removal import the_idle_node_leaves, three_nodes_one_idle

REMOVAL = ["removal." + step for step in (
    "decided", "cordoned", "noticed", "quiesced", "drained", "committed", "completed")]


@story("main-oslo-listener")
def oslo_listener(stage):
    """An unmodified oslo.messaging listener hears the whole story of a removal and of a growth: decisions, steps, reasons."""
    members, idle = three_nodes_one_idle(stage)
    topics = ["updraft.%s.%s" % (stage.cluster, topic) for topic in ("decisions", "lifecycle", "ledger")]
    listener = Process("oslo listener", [
        sys.executable, os.path.join(stage.rigs.project, "Tests/EndToEnd/oslo_listener.py"), stage.broker.url,
        "updraft", *topics], os.path.join(stage.folder, "listener.log")).start()
    stage.extra.append(listener)
    until("the listener listens", lambda: "listening" in listener.log(), 30)
    stage.start_services()
    the_idle_node_leaves(stage, members, idle)
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="900m")
    until("the new pod runs", lambda: all_running(stage.pods("web"), 1), 150)

    def heard():
        """The first message of each type."""
        first = {}
        for line in listener.log().splitlines():
            if line.startswith('{"publisher_id"'):
                message = json.loads(line)
                first.setdefault(message["event_type"].removeprefix("updraft."), message)
        return first

    wanted = {"scale.decided", "scale.started", "scale.completed", "node.ready", "evaluation"} | set(REMOVAL)
    until("the listener heard all of it", lambda: wanted <= set(heard()), 30)
    messages = heard()
    for event, service in [("scale.decided", "decider"), ("scale.completed", "actuator"), ("removal.decided", "decider"),
                           ("removal.noticed", "notifier"), ("removal.completed", "actuator")]:
        publisher = messages[event]["publisher_id"]
        check(publisher.startswith("updraft-%s." % service), "%s is of the publisher %s" % (event, publisher))
    decided = messages["scale.decided"]
    check(decided["payload"]["cluster"] == stage.cluster and decided["payload"]["to"] == 3,
          "payload %s" % decided["payload"])
    check(decided["metadata"].get("message_id") and decided["metadata"].get("timestamp"), "no message id or time stamp")
    for event in REMOVAL[1:]:
        check(messages[event]["payload"]["removal"]["node"] == idle, "%s tells of another node" % event)
    # (Of one service: clocks of two, and threads of the listener, give no order.)
    steps = ["removal." + step for step in ("cordoned", "drained", "committed", "completed")]
    times = [messages[event]["metadata"]["timestamp"] for event in steps]
    check(times == sorted(times), "the steps %s were said at %s" % (steps, times))
