"""Pods that find no room make the group grow."""
from harness.registry import story
from harness.kubernetes import all_running
from harness.waiting import NotYet, check, holds, until


def dressed(stage):
    """True once all nodes have the label and the taint that their group declares; for `until`.

    Label and taint come in one change. Kubernetes' own controller takes its `not-ready` taint off a node that has just
    become ready by writing the whole list as it read it some moments before, and ours may be lost by that: then it is set
    once more (docs/operations/running.md)."""
    for name, node in stage.kubernetes.nodes().items():
        label = node["metadata"]["labels"].get("example.org/pool")
        taints = ["%s=%s:%s" % (t["key"], t.get("value", ""), t["effect"]) for t in node["spec"].get("taints", [])]
        if label != "blue" or "example.org/pool=blue:PreferNoSchedule" not in taints:
            raise NotYet("%s has the label %r and the taints %s" % (name, label, taints))
    return True


@story("main-pending-pods-grow-the-group")
def pending_pods_grow_the_group(stage):
    """Pods pending → explained and decided → Heat's group resized → nodes join, get what their group declares → pods run, no
    node too many."""
    configuration = stage.set(size=1)
    configuration["groups"][0]["template"].update(
        labels={"example.org/pool": "blue"}, taints=["example.org/pool=blue:PreferNoSchedule"], apply=True)
    stage.services.configure(configuration)
    stage.start_services()
    before = {m.server_id for m in stage.stack.members()}

    stage.say("five pods of 0.9 CPU come; a node of 2 CPU holds two")
    stage.kubernetes.deployment(stage.namespace, "web", 5, cpu="900m")
    decided = until("a scale-up is decided", lambda: stage.recorder.first("scale.decided", group="workers"), 30)
    stage.say("decided: %(from)s → %(to)s" % decided.payload)
    check(decided.payload["reason"]["reason"] == "PodsPending", "the reason is %r" % decided.payload["reason"])
    check(decided.payload["pods"], "the decision names no pod")
    until("Heat is told", lambda: stage.stack.desired == 3, 60)
    stage.say("Heat's parameter is 3")
    until("all five pods run", lambda: all_running(stage.pods("web"), 5), 120)
    stage.say("all pods run")
    until("three nodes everywhere", lambda: stage.sizes_agree(3), 60)

    until("the Actuator says that the group has its size",
          lambda: stage.recorder.first("scale.completed", group="workers", to=3), 30)
    new = {m.server_id for m in stage.stack.members()} - before
    until("both new nodes are announced as Ready",
          lambda: new <= {m.payload["arrival"]["serverID"] for m in stage.recorder.all("node.ready")}, 30)
    until("the nodes have the label and the taint of their group", lambda: dressed(stage), 15)
    check(before <= {m.server_id for m in stage.stack.members()}, "the first node was replaced")
    explained = [m for m in stage.recorder.all("evaluation") if decided.payload["id"] in m.payload["decisions"]]
    check(explained, "no evaluation on the ledger names the decision")
    check(max(m.payload["to"] for m in stage.recorder.all("scale.decided")) == 3, "more was decided than needed")
    holds("the group stays at three nodes", lambda: stage.stack.desired == 3, 10)
