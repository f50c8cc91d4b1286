"""Two replicas of each service; the one that acts is killed in the middle, and the other goes on."""
from harness.registry import story
from harness.waiting import NotYet, check, until

from .main_removal import three_nodes_one_idle, two_nodes_as_promised


def kill_the_active(stage, service):
    """SIGKILL for good; returns once the other replica acts."""
    services = stage.services
    first = until("one %s acts" % service, lambda: services.active(service), 30, every=0.1)
    services.kill(first)

    def other():
        name = services.active(service)
        if name == first:
            raise NotYet("%s still acts" % first)
        return name

    second = until("the other %s acts" % service, other, 30, every=0.1)
    stage.say("%s killed, %s acts" % (first, second))


@story("removal-two-replicas")
def two_replicas(stage):
    """The acting Decider, Actuator, Notifier, Collector and Actuator again die at steps of one removal. Nothing is done
    twice."""
    members, idle = three_nodes_one_idle(stage)
    stage.hooks.done_after = None
    stage.services.add_replicas()
    stage.start_services()
    recorder = stage.recorder
    until("a removal is decided", lambda: recorder.first("removal.decided"), 90, every=0.05)
    kill_the_active(stage, "decider")
    until("the node is cordoned", lambda: recorder.first("removal.cordoned", node=idle), 60, every=0.05)
    kill_the_active(stage, "actuator")
    until("the pod's hook was called", stage.hooks.received_notices, 60, every=0.05)
    kill_the_active(stage, "notifier")
    # Whoever publishes the cluster's state goes while the Decider that took over looks whether the removal still holds.
    kill_the_active(stage, "collector")
    # The notice names the address of the Notifier that sent it: it is there again, whether it acts or stands by.
    stage.services.start(*[n for n in ("collector", "collector-2", "decider", "decider-2", "actuator", "actuator-2",
                                       "notifier", "notifier-2") if not stage.services[n].running])
    stage.services.wait_ready()
    stage.hooks.say_done_to_all()
    until("the cooldown ends", lambda: recorder.first("removal.quiesced", node=idle), 90, every=0.05)
    kill_the_active(stage, "actuator")
    until("the removal is complete", lambda: recorder.first("removal.completed", node=idle), 120)
    two_nodes_as_promised(stage, members, idle)
    changes = {(m.payload["group"], m.payload["id"]) for m in recorder.all("removal.decided")}
    check(len(changes) == 1, "%d removals were decided: %s" % (len(changes), changes))
