"""A node that is not needed leaves, with notice, and it is the chosen one."""
from harness.kubernetes import all_running, running
from harness.registry import story
from harness.waiting import check, until


def three_nodes_one_idle(stage, grace=10, annotations=None, pod_spec=None, **options):
    """Three nodes; the second oldest has one small pod (with this grace period, these annotations and this in its spec), the
    others are full. Heat by itself would remove the oldest. Returns (members, oldest first; the idle one's Node name)."""
    stage.set(size=3, **options)
    members = stage.stack.members()
    names = [stage.node_of(m)["metadata"]["name"] for m in members]
    idle = names[1]
    for name in (names[0], names[2]):
        stage.kubernetes.cordon(name)
    hook = {"updraft.io/shutdown-hook": stage.hooks.annotation}
    stage.kubernetes.deployment(stage.namespace, "small", 1, cpu="100m", annotations=dict(hook, **(annotations or {})),
                                grace=grace, **(pod_spec or {}))
    until("the small pod runs", lambda: all_running(stage.pods("small"), 1), 30)
    for name in (names[0], names[2]):
        stage.kubernetes.cordon(name, False)
    stage.kubernetes.cordon(idle)
    stage.kubernetes.deployment(stage.namespace, "busy", 4, cpu="850m")
    until("the other pods run", lambda: all_running(stage.pods("busy"), 4), 30)
    stage.kubernetes.cordon(idle, False)
    stage.say("three nodes; %s has one small pod, the others are full" % idle)
    return members, idle


def the_idle_node_leaves(stage, members, idle):
    """Follows the removal through its steps and checks what it promises."""
    recorder = stage.recorder
    decided = until("a removal is decided", lambda: recorder.first("removal.decided", group="workers"), 60)
    targets = [t["node"] for t in decided.payload["nodes"]]
    check(targets == [idle], "%s was to go, not %s" % (targets, idle))
    stage.say("decided: %s goes" % idle)
    until("the node is cordoned", lambda: recorder.first("removal.cordoned", node=idle), 30)
    stage.say("cordoned")
    until("the pods were told", lambda: recorder.first("removal.noticed", node=idle), 30)
    until("the pod's hook was called", stage.hooks.received_notices, 30)
    stage.say("the pod was told")
    until("the cooldown ends", lambda: recorder.first("removal.quiesced", node=idle), 90)
    stage.say("quiesced")
    until("the node is drained", lambda: recorder.first("removal.drained", node=idle), 60)
    stage.say("drained")
    until("the removal is complete", lambda: recorder.first("removal.completed", node=idle), 90)
    stage.say("member and Node are gone")
    check(not recorder.all("removal.failed"), "a removal failed: %s" % recorder.all("removal.failed"))
    two_nodes_as_promised(stage, members, idle)


def two_nodes_as_promised(stage, members, idle):
    """The invariants: nothing gone but the chosen member, sizes agree, no pod ended without notice."""
    until("two nodes everywhere", lambda: stage.sizes_agree(2), 60)
    left = {(m.name, m.server_id) for m in stage.stack.members()}
    promised = {(m.name, m.server_id) for m in members if m is not members[1]}
    check(left == promised, "the members left are %s, not %s" % (left, promised))
    check(idle not in stage.kubernetes.nodes(), "the Node %s is still there" % idle)
    check(members[1].server_id not in stage.rigs.cloud.servers(), "the server of %s lives on" % idle)
    until("the small pod runs elsewhere", lambda: all_running(stage.pods("small"), 1), 30)
    check(len(running(stage.pods("busy"))) == 4, "a pod of another node was ended")
    ended = stage.pod_history.leaving(idle)
    check(len(ended) == 1, "%d pods of the node were ended, not one" % len(ended))
    told(stage, ended[0])


def told(stage, pod):
    """The pod knew before it was ended: annotation, Event and hook."""
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    annotations = pod["metadata"].get("annotations", {})
    check("updraft.io/removal-deadline" in annotations, "no deadline on %s: %s" % (name, annotations))
    events = [e for e in stage.kubernetes.events(stage.namespace) if e["involvedObject"].get("uid") == uid]
    check(any("updraft" in e.get("source", {}).get("component", "") + e.get("reportingComponent", "") for e in events),
          "no Event of Updraft's about %s: %s" % (name, [e["reason"] for e in events]))
    check(any(n["podUID"] == uid for _, _, n in stage.hooks.received_notices()), "the hook of %s was not called" % name)
    check(not stage.hooks.errors, "; ".join(stage.hooks.errors))


@story("main-idle-node-leaves")
def idle_node_leaves(stage):
    """Load goes → cordoned → pods told → cooldown → evicted → the chosen member removed → Node gone."""
    members, idle = three_nodes_one_idle(stage)
    stage.start_services()
    the_idle_node_leaves(stage, members, idle)


@story("main-idle-node-leaves-held")
def idle_node_leaves_held(stage):
    """The same with the environment that holds deletions: our own removals let go of the server at once."""
    members, idle = three_nodes_one_idle(stage, hold_deletions=True)
    stage.start_services()
    the_idle_node_leaves(stage, members, idle)
    check(not stage.stack.held_deletions(), "a deletion is still held")
