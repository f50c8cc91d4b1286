"""What stands in the way of a removal: budgets, long goodbyes, hooks that do not answer or want more."""
import calendar
import json
import time

from harness.registry import story
from harness.waiting import NotYet, check, holds, until
from harness.web import call

from .main_removal import three_nodes_one_idle, two_nodes_as_promised


EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def removal_begins(stage, idle, lasts=True):
    """The notice is out, and load balancers leave the node out: (the record of the node's cordon, the record of the notice).
    `lasts`: not so for a removal that may be over before anybody looks."""
    cordoned = until("the node is cordoned", lambda: stage.recorder.first("removal.cordoned", node=idle), 60, every=0.1)
    labels = stage.kubernetes.nodes()[idle]["metadata"]["labels"]
    check(EXCLUDED in labels or not lasts, "cordoned, and load balancers still send to it: %s" % labels)
    until("the pod's hook was called", stage.hooks.received_notices, 30, every=0.1)
    noticed = until("the pods were told", lambda: stage.recorder.first("removal.noticed", node=idle), 30, every=0.1)
    stage.say("%s is cordoned, its pod was told" % idle)
    return cordoned, noticed


def removal_ends(stage, members, idle, within=120):
    until("the removal is complete", lambda: stage.recorder.first("removal.completed", node=idle), within)
    check(not stage.recorder.all("removal.failed"), "a removal failed: %s" % stage.recorder.all("removal.failed"))
    two_nodes_as_promised(stage, members, idle)


def reason(message):
    return message.payload["removal"]["reason"]["reason"]


@story("removal-budget-blocks")
def budget_blocks(stage):
    """A budget that appears during the cooldown blocks the eviction: the pod stays, the budget is named, and once it is
    lifted the removal ends well."""
    members, idle = three_nodes_one_idle(stage)
    stage.hooks.done_after = None
    stage.start_services()
    removal_begins(stage, idle)
    stage.kubernetes.budget(stage.namespace, "small", minAvailable=1)
    until("the budget allows nothing", lambda: stage.kubernetes.budget_holds(stage.namespace, "small"), 30)
    stage.hooks.say_done_to_all()
    until("the cooldown ends", lambda: stage.recorder.first("removal.quiesced", node=idle), 30)
    until("the Actuator names the budget", lambda: any(
        "EvictionBlocked" in str(line) and "small" in str(line) for line in stage.services["actuator"].log_lines()), 30)
    stage.say("the budget blocks the eviction, and the log names it")
    holds("the pod stays while its budget says so", lambda: not stage.pod_history.leaving(idle), 6)
    check(stage.stack.desired == 3, "Heat was called before the node was empty")
    stage.kubernetes.delete_budget(stage.namespace, "small")
    stage.say("the budget is lifted")
    removal_ends(stage, members, idle)


@story("removal-long-grace", long=True)
def long_grace(stage):
    """A pod with a grace period of 60 s that uses 25 of them: *drained* is said when it is gone, not when it is asked."""
    members, idle = three_nodes_one_idle(stage, grace=60, annotations={"hollow/stop-delay": "25"})
    stage.start_services()
    removal_begins(stage, idle)
    until("the pod is on its way out", lambda: stage.pod_history.leaving(idle), 60, every=0.1)
    asked, pod = time.time(), stage.pod_history.leaving(idle)[0]
    check(pod["metadata"]["deletionGracePeriodSeconds"] == 60, "its grace period is %r" % (
        pod["metadata"].get("deletionGracePeriodSeconds"),))
    stage.say("the pod was asked to end; it takes 25 s")

    def drained():
        message = stage.recorder.first("removal.drained", node=idle)
        left = any(p["metadata"]["uid"] == pod["metadata"]["uid"] for p in stage.pods())
        check(not (message and left), "drained was said while the pod was still there")
        return message

    said = until("the node is drained", drained, 90, every=0.1)
    check(said.seen - asked > 20, "drained was said %.1f s after the pod was asked to end" % (said.seen - asked))
    removal_ends(stage, members, idle)


@story("removal-hook-never-answers")
def hook_never_answers(stage):
    """A hook that takes the connection and says nothing holds the node until its deadline, and no longer."""
    members, idle = three_nodes_one_idle(stage, notifier__cooldown="12s", notifier__hooks={"timeout": "2s"})
    stage.hooks.silent, stage.hooks.done_after = True, None
    stage.start_services()
    cordoned, _ = removal_begins(stage, idle)
    quiesced = until("the cooldown ends", lambda: stage.recorder.first("removal.quiesced", node=idle), 60, every=0.1)
    lasted = quiesced.seen - cordoned.seen
    check(reason(quiesced) == "CooldownExpired", "it ended because of %s" % reason(quiesced))
    check(10 < lasted < 25, "the cooldown of 12 s took %.1f s" % lasted)
    stage.say("the cooldown ran out after %.1f s" % lasted)
    removal_ends(stage, members, idle)


@story("removal-hook-asks-for-more")
def hook_asks_for_more(stage):
    """A pod that asks for more time gets as much as it asks for; then it asks for far more and gets what policy has, and the
    node goes after that."""
    members, idle = three_nodes_one_idle(stage, notifier__cooldown="5s", notifier__max_cooldown="30s")
    stage.hooks.reply, stage.hooks.done_after = {"answer": "extend", "seconds": 14}, None
    stage.start_services()
    cordoned, _ = removal_begins(stage, idle)
    called, _, notice = stage.hooks.received_notices()[0]

    def granted():
        """How much more than the 5 s of the notice the pod has now, counted from its answer."""
        small = [p for p in stage.pods("small") if p["metadata"]["uid"] == notice["podUID"]]
        deadline = small[0]["metadata"]["annotations"]["updraft.io/removal-deadline"]
        seconds = calendar.timegm(time.strptime(deadline[:19], "%Y-%m-%dT%H:%M:%S")) - called
        if seconds < 8:
            raise NotYet("it has until %s, %.1f s after it was told" % (deadline, seconds))
        return seconds

    seconds = until("more time is granted", granted, 5, every=0.1)
    check(12 < seconds < 17, "14 s were asked for, %.1f s were granted" % seconds)
    stage.say("14 s were asked for and granted")
    # (The 5 s of its notice are over by then, the 14 s are not.)
    holds("the cooldown goes on", lambda: not stage.recorder.all("removal.quiesced"), max(1, called + 9 - time.time()))
    answer = json.loads(call("POST", notice["answerURL"], {
        "answer": "extend", "seconds": 3000, "token": notice["token"]})[2])
    check(answer["verdict"] == "clamped", "the answer to 50 minutes more is %s" % answer)
    quiesced = until("the cooldown ends", lambda: stage.recorder.first("removal.quiesced", node=idle), 60, every=0.1)
    lasted = quiesced.seen - cordoned.seen
    check(25 < lasted < 40, "the cooldown, at most 30 s by policy, took %.1f s" % lasted)
    check(reason(quiesced) == "CooldownExpired", "it ended because of %s" % reason(quiesced))
    stage.say("50 minutes were asked for, the policy's 30 s were given (%.1f s)" % lasted)
    removal_ends(stage, members, idle)


def the_node_stays(stage, members, idle):
    """Everything is undone: schedulable, without our marks, the pod told *stay*, Heat never called."""
    def undone():
        node = stage.kubernetes.nodes()[idle]
        taints = [t["key"] for t in node["spec"].get("taints", [])]
        labels = node["metadata"]["labels"]
        if node["spec"].get("unschedulable") or "updraft.io/removing" in taints or EXCLUDED in labels:
            raise NotYet("unschedulable %s, taints %s, labels %s" % (
                node["spec"].get("unschedulable"), taints, sorted(labels)))
        return True

    until("the node takes pods again", undone, 60)
    until("the pod is told to stay", lambda: stage.hooks.received_notices(withdrawn=True), 30)
    check(not stage.pod_history.leaving(idle), "a pod of the node was ended")
    check(stage.stack.desired >= 3, "Heat was called")
    check({m.server_id for m in members} <= {m.server_id for m in stage.stack.members()}, "a member was replaced")


@story("removal-refused")
def refused(stage):
    """A pod that may refuse, and does: the removal is cancelled, and nothing is left of it."""
    members, idle = three_nodes_one_idle(stage, notifier__may_refuse=True)
    stage.hooks.reply, stage.hooks.done_after = {"answer": "refuse"}, None
    stage.start_services()
    removal_begins(stage, idle, lasts=False)
    cancelled = until("the removal is cancelled", lambda: stage.recorder.first("removal.cancelled"), 30)
    check(cancelled.payload["reason"]["reason"] == "PodRefused", "because of %s" % cancelled.payload["reason"])
    stage.say("the pod refused, the removal is cancelled")
    the_node_stays(stage, members, idle)


@story("removal-load-returns")
def load_returns(stage):
    """Load comes back during the cooldown: the node is taken back instead of a new machine being made. The pod leaves the
    endpoints of its Service meanwhile, and comes back to them."""
    # (Time enough to see the pod serve before it is told.)
    members, idle = three_nodes_one_idle(
        stage, notifier__cooldown="60s", pod_spec={"readinessGates": [{"conditionType": "updraft.io/serving"}]},
        decider__scale_down={"unneeded_time": "20s", "delay_after_add": "5s", "delay_after_delete": "5s",
                             "delay_after_failure": "5s"})
    stage.hooks.done_after = None
    stage.kubernetes.service(stage.namespace, "small")
    small = stage.pods("small")[0]["metadata"]["name"]

    def serves(wanted):
        found = stage.kubernetes.serving(stage.namespace, "small")
        if found.get(small, False) == wanted:
            return True
        raise NotYet("%s among the addresses %s" % (small, found))

    until("its Service knows the pod, which is not ready before it is said to serve",
          lambda: small in stage.kubernetes.serving(stage.namespace, "small") and serves(False), 30)
    stage.start_services()
    until("the pod is an address of its Service", lambda: serves(True), 20, every=0.1)
    check(not stage.recorder.all("removal.noticed"), "the pod was told before it was seen to serve")
    removal_begins(stage, idle)
    until("the pod has left its Service", lambda: serves(False), 20, every=0.1)
    stage.say("the pod has left the endpoints of its Service")
    stage.kubernetes.deployment(stage.namespace, "late", 1, cpu="1500m")
    stage.say("a pod comes that only this node has room for")
    cancelled = until("the removal is cancelled", lambda: stage.recorder.first("removal.cancelled"), 30)
    check(cancelled.payload["reason"]["reason"] == "LoadReturned", "because of %s" % cancelled.payload["reason"])
    the_node_stays(stage, members, idle)
    until("the pod is an address of its Service again", lambda: serves(True), 30)
    check(stage.pods("small")[0]["metadata"]["name"] == small, "it is another pod")
    stage.say("and is back in them")
    pod = until("the pod runs", lambda: [p for p in stage.pods("late") if p["status"].get("phase") == "Running"], 60)[0]
    check(pod["spec"]["nodeName"] == idle, "it runs on %s" % pod["spec"]["nodeName"])
    check(not stage.recorder.all("scale.decided"), "a machine was asked for: %s" % stage.recorder.all("scale.decided"))
    check(stage.stack.desired == 3, "the group has %d members" % stage.stack.desired)
