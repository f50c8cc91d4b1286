"""OpenStack's own tools understand what the services say."""
import json
import os
import sys

from harness.kubernetes import all_running
from harness.processes import Process
from harness.registry import story
from harness.waiting import check, until


@story("main-oslo-listener")
def oslo_listener(stage):
    """An unmodified oslo.messaging listener hears the decision, what became of it, and why."""
    stage.set(size=1)
    topics = ["updraft.%s.%s" % (stage.cluster, topic) for topic in ("decisions", "lifecycle", "ledger")]
    listener = Process("oslo listener", [
        sys.executable, os.path.join(stage.rigs.project, "Tests/EndToEnd/oslo_listener.py"), stage.broker.url,
        "updraft", *topics], os.path.join(stage.folder, "listener.log")).start()
    stage.extra.append(listener)
    until("the listener listens", lambda: "listening" in listener.log(), 30)
    stage.start_services()
    stage.kubernetes.deployment(stage.namespace, "web", 3, cpu="900m")
    until("all three pods run", lambda: all_running(stage.pods("web"), 3), 150)

    def heard():
        lines = [json.loads(line) for line in listener.log().splitlines() if line.startswith('{"publisher_id"')]
        return {line["event_type"]: line for line in lines}

    wanted = {"updraft." + t for t in ("scale.decided", "scale.started", "scale.completed", "node.ready", "evaluation")}
    until("the listener heard all of it", lambda: wanted <= set(heard()), 30)
    decided, completed = heard()["updraft.scale.decided"], heard()["updraft.scale.completed"]
    check(decided["publisher_id"].startswith("updraft-decider."), "publisher %s" % decided["publisher_id"])
    check(completed["publisher_id"].startswith("updraft-actuator."), "publisher %s" % completed["publisher_id"])
    check(decided["payload"]["cluster"] == stage.cluster and decided["payload"]["to"] == 2,
          "payload %s" % decided["payload"])
    check(decided["metadata"].get("message_id") and decided["metadata"].get("timestamp"), "no message id or time stamp")
