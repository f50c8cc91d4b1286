"""Somebody else takes a node away; the stack holds it until its pods were told and are gone."""
import time

from harness.kubernetes import all_running, running
from harness.registry import story
from harness.waiting import NotYet, check, until

from .main_removal import told


def three_nodes_with_pods(stage, **options):
    """Three nodes, one pod with a hook on each. Returns (the oldest member, its Node's name, its pods)."""
    # Nothing of ours may shrink the group meanwhile.
    stage.set(size=3, policies=True, decider__scale_down={"enabled": False}, **options)
    stage.kubernetes.deployment(stage.namespace, "web", 3, cpu="900m",
                                annotations={"updraft.io/shutdown-hook": stage.hooks.annotation})
    until("the pods run", lambda: all_running(stage.pods("web"), 3), 60)
    oldest = stage.stack.members()[0]
    node = stage.node_of(oldest)["metadata"]["name"]
    on_it = [p["metadata"]["uid"] for p in running(stage.pods("web")) if p["spec"]["nodeName"] == node]
    check(on_it, "no pod runs on %s, the node that Heat will take" % node)
    return oldest, node, on_it


def it_leaves_with_notice(stage, oldest, node, on_it, left=2):
    """From the signal to the end: told, drained, released; and nothing that runs was lost. `left` members are there then."""
    recorder = stage.recorder
    cordoned = until("the node is cordoned", lambda: recorder.first("removal.cordoned", node=node), 60)
    check(cordoned.payload["removal"]["reason"]["reason"] == "ExternalScaleIn",
          "cordoned because of %s" % cordoned.payload["removal"]["reason"])
    stage.say("cordoned: %s" % cordoned.payload["removal"]["reason"]["detail"])
    until("the pods were told", lambda: recorder.first("removal.noticed", node=node), 60)
    check(oldest.server_id in stage.rigs.cloud.servers(), "the server was gone before its pods were told")
    until("the node is drained", lambda: recorder.first("removal.drained", node=node), 120)
    stage.say("told and drained")
    until("the removal is complete", lambda: recorder.first("removal.completed", node=node), 120)
    until("the server is gone", lambda: oldest.server_id not in stage.rigs.cloud.servers(), 60)
    until("the Node is gone", lambda: node not in stage.kubernetes.nodes(), 60)
    stage.say("let go: member, server and Node are gone")
    check(not recorder.all("removal.failed"), "a removal failed: %s" % recorder.all("removal.failed"))
    servers = {m.server_id for m in stage.stack.members()}
    check(oldest.server_id not in servers and len(servers) == left, "the servers of the members left are %s" % servers)
    ended = stage.pod_history.leaving(node)
    check({p["metadata"]["uid"] for p in ended} >= set(on_it), "pods of the node ended without being evicted")
    for pod in ended:
        if pod["metadata"]["uid"] in on_it:
            told(stage, pod)
    until("the pods run elsewhere", lambda: all_running(stage.pods("web"), 3), 60)


@story("removal-external-held-by-hook")
def held_by_hook(stage):
    """A scaling policy is signalled: Heat takes the oldest node, the hook holds it, its pods are told and moved."""
    oldest, node, on_it = three_nodes_with_pods(stage, hold_deletions=True)
    stage.start_services()
    until("the group is known", lambda: stage.recorder.first("group.state", group="workers"), 60)
    stage.say("the policy scale_in is signalled; %s is the oldest" % node)
    stage.stack.signal("scale_in")
    it_leaves_with_notice(stage, oldest, node, on_it)
    check(not stage.stack.held_deletions(), "a deletion is still held")


@story("removal-external-by-an-operator")
def by_an_operator(stage):
    """An operator sets a smaller size: the same, and the size is the operator's."""
    oldest, node, on_it = three_nodes_with_pods(stage, hold_deletions=True)
    stage.start_services()
    until("the group is known", lambda: stage.recorder.first("group.state", group="workers"), 60)
    stage.say("somebody updates the stack with the size 2; %s is the oldest" % node)
    stage.stack.update(desired=2)
    it_leaves_with_notice(stage, oldest, node, on_it)
    check(not stage.stack.held_deletions(), "a deletion is still held")
    check(stage.stack.desired == 2, "the size is %d" % stage.stack.desired)


@story("removal-external-replaced")
def replaced(stage):
    """Somebody marks a member and updates the stack with the size that it has: Heat replaces it, no list shows the old one
    any more, and the hook holds it all the same."""
    oldest, node, on_it = three_nodes_with_pods(stage, hold_deletions=True)
    stage.start_services()
    until("the group is known", lambda: stage.recorder.first("group.state", group="workers"), 60)
    stage.say("the member of %s is marked, and the stack updated with the size 3" % node)
    stage.stack.mark(oldest)
    stage.stack.update(desired=3)
    it_leaves_with_notice(stage, oldest, node, on_it, left=3)
    check(not stage.stack.held_deletions(), "a deletion is still held")
    until("three nodes everywhere", lambda: stage.sizes_agree(3), 60)


@story("removal-external-held-by-deployment")
def held_by_deployment(stage):
    """The same where a software deployment in the member holds it."""
    oldest, node, on_it = three_nodes_with_pods(stage, hold_by_deployment=True)
    stage.start_services()
    until("the group is known", lambda: stage.recorder.first("group.state", group="workers"), 60)
    stage.say("the policy scale_in is signalled; %s is the oldest" % node)
    stage.stack.signal("scale_in")
    it_leaves_with_notice(stage, oldest, node, on_it)


@story("removal-external-refused", long=True)
def refused(stage):
    """A budget keeps the pod and the machine is not to go with it: the deployment refuses the deletion before Heat's timeout,
    and once the budget is lifted the node goes in order."""
    oldest, node, on_it = three_nodes_with_pods(
        stage, hold_by_deployment=True, timeout_mins=2, actuator__external={"release_at_limit": False})
    stage.kubernetes.budget(stage.namespace, "web", minAvailable=3)
    until("the budget allows nothing", lambda: stage.kubernetes.budget_holds(stage.namespace, "web"), 30)
    stage.start_services()
    until("the group is known", lambda: stage.recorder.first("group.state", group="workers"), 60)
    stage.say("the policy scale_in is signalled; %s is the oldest" % node)
    stage.stack.signal("scale_in")
    begun = time.monotonic()
    until("the cooldown ends", lambda: stage.recorder.first("removal.quiesced", node=node), 90)

    def is_refused():
        member = next((e for e in stage.stack.listed() if e["physical_resource_id"] == oldest.stack_id), None)
        if member is None or member["resource_status"] != "DELETE_FAILED":
            raise NotYet("the member is %s" % (member and member["resource_status"]))
        return member["resource_status_reason"]

    why = until("Heat has failed the deletion", is_refused, 150, every=1.0)
    took = time.monotonic() - begun
    stage.say("refused after %.0f s: %s" % (took, why))
    # Had nobody refused, Heat would have given up after its two minutes, with another reason.
    check("non-zero status code" in why, "it failed because of %s" % why)
    check(60 < took < 118, "a quarter of Heat's two minutes was to be left, and it took %.0f s" % took)
    check(oldest.server_id in stage.rigs.cloud.servers(), "its server is gone")
    check(not stage.pod_history.leaving(node), "a pod was ended against its budget")
    check(not stage.recorder.all("removal.drained"), "drained was said while the pod was there")
    stage.kubernetes.delete_budget(stage.namespace, "web")
    stage.say("the budget is lifted")
    it_leaves_with_notice(stage, oldest, node, on_it)


@story("removal-external-found-after-a-restart")
def found_after_a_restart(stage):
    """The policy is signalled while no service runs; those that start later find the node that is held."""
    oldest, node, on_it = three_nodes_with_pods(stage, hold_deletions=True)
    stage.stack.signal("scale_in")

    def is_held():
        if stage.stack.held_deletions():
            return True
        raise NotYet("nothing is held")

    until("the deletion is held", is_held, 60, every=1.0)
    stage.say("Heat waits at the hook of %s; nobody is there yet" % node)
    stage.start_services()
    it_leaves_with_notice(stage, oldest, node, on_it)


@story("removal-external-server-deleted")
def server_deleted(stage):
    """A server is deleted in Nova, of which Heat knows nothing: Nova's notification is heard, the member goes as well."""
    oldest, node, _ = three_nodes_with_pods(stage)
    stage.start_services()
    until("the group is known", lambda: stage.recorder.first("group.state", group="workers"), 60)
    stage.say("the server of %s is deleted by hand" % node)
    stage.rigs.cloud.nova("DELETE", "/servers/%s" % oldest.server_id)
    heard = until("Nova was heard", lambda: stage.recorder.first("cloud.server", serverID=oldest.server_id), 30)
    check(set(heard.payload) <= {"schema", "cluster", "serverID", "state", "event", "at"},
          "more than id and state was handed on: %s" % sorted(heard.payload))
    until("the node is cordoned", lambda: stage.recorder.first("removal.cordoned", node=node), 30)
    stage.say("cordoned")
    until("the removal is complete", lambda: stage.recorder.first("removal.completed", node=node), 180)
    until("two nodes everywhere", lambda: stage.sizes_agree(2), 90)
    check(oldest.name not in {m.name for m in stage.stack.members()}, "the dead member is still there")
