"""Every service is killed while it has work in hand; started again, the story ends well."""
from harness.kubernetes import all_running
from harness.registry import story
from harness.waiting import check, until

from .main_removal import three_nodes_one_idle, two_nodes_as_promised


def kill_at(stage, service, event_type, within=90, **fields):
    """SIGKILL as soon as the message was heard, and a fresh start."""
    until(event_type, lambda: stage.recorder.first(event_type, **fields), within, every=0.05)
    stage.services.kill(service)
    stage.say("%s: %s killed" % (event_type, service))
    stage.services.start(service)


@story("main-survives-kills-growing")
def survives_kills_growing(stage):
    """Decider, Actuator, Collector and Notifier are killed while the group grows."""
    stage.set(size=1)
    stage.start_services()
    first = next(iter(stage.kubernetes.nodes()))
    stage.kubernetes.deployment(stage.namespace, "web", 5, cpu="900m")
    kill_at(stage, "decider", "scale.decided")
    kill_at(stage, "actuator", "scale.started")
    until("a new node joins", lambda: any(
        m.payload["arrival"]["node"] != first for m in stage.recorder.all("node.joined")), 90, every=0.05)
    stage.services.kill("collector")
    stage.services.kill("notifier")
    stage.say("a new node joins: collector and notifier killed")
    stage.services.start("collector", "notifier")
    until("all five pods run", lambda: all_running(stage.pods("web"), 5), 150)
    until("three nodes everywhere", lambda: stage.sizes_agree(3), 90)
    stage.services.wait_ready()
    check(max(m.payload["to"] for m in stage.recorder.all("scale.decided")) == 3, "more was decided than needed")


@story("main-survives-kills-removing")
def survives_kills_removing(stage):
    """Each is killed at a step of a removal of its own, the Actuator at every one of its steps."""
    members, idle = three_nodes_one_idle(stage)
    stage.hooks.done_after = None
    stage.start_services()
    kill_at(stage, "decider", "removal.decided")
    kill_at(stage, "actuator", "removal.cordoned", node=idle)
    until("the pod's hook was called", stage.hooks.received_notices, 60, every=0.05)
    stage.services.kill("notifier")
    stage.say("the cooldown runs: notifier killed")
    stage.services.start("notifier")
    stage.services.wait_ready("notifier")
    stage.hooks.done_after = 1.0
    stage.hooks.say_done_to_all()
    kill_at(stage, "actuator", "removal.quiesced", node=idle)
    kill_at(stage, "collector", "removal.drained", node=idle)
    until("Heat works on the removal", lambda: stage.stack.show()["stack_status"] == "UPDATE_IN_PROGRESS"
          or len(stage.stack.members()) == 2, 60, every=0.1)
    stage.services.kill("actuator")
    stage.say("Heat removes the member: actuator killed")
    stage.services.start("actuator")
    until("the removal is complete", lambda: stage.recorder.first("removal.completed", node=idle), 120)
    two_nodes_as_promised(stage, members, idle)
    stage.services.wait_ready()
