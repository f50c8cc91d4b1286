"""What an operator sees of a removal, and how it is taken back: the user's command against the live system."""
import os
import subprocess

from harness.registry import story
from harness.waiting import check, until

from .main_removal import three_nodes_one_idle
from .removal_obstacles import removal_begins, the_node_stays


def command(stage, *words):
    """Runs `updraft` as the operator does: with the services' configuration, an account for the cluster and a login."""
    environment = dict(os.environ, **stage.rigs.cloud.settings)
    environment["KUBECONFIG"] = stage.kubernetes.kubeconfig("actuator")
    done = subprocess.run(
        [os.path.join(stage.rigs.binaries, "updraft"), *words, "--config", os.path.join(stage.folder, "updraft.yaml")],
        capture_output=True, text=True, timeout=120, env=environment, check=False)
    return done.returncode, done.stdout + done.stderr


def says(stage, words, *wanted, code=0):
    found, text = command(stage, *words)
    missing = [word for word in wanted if word not in text]
    check(found == code and not missing, "updraft %s: exit code %d (%d wanted), without %s:\n%s" % (
        " ".join(words), found, code, missing, text))
    return text


@story("removal-operator-cancels")
def operator_cancels(stage):
    """During the cooldown the commands tell what is under way, and `updraft cancel` takes the node back."""
    members, idle = three_nodes_one_idle(stage, notifier__cooldown="60s")
    stage.hooks.done_after = None
    stage.start_services()
    removal_begins(stage, idle)
    says(stage, ["status"], "workers", idle, "noticed")
    says(stage, ["explain", "node", idle], idle, "CurrentlyBeingDeleted")
    says(stage, ["explain", "group", "workers"], "workers")
    says(stage, ["timeline", idle], "decided", "cordoned", "noticed")
    code, text = command(stage, "doctor", "heat")
    check(code in (0, 1) and "workers" in text and "3 of" in text, "updraft doctor heat: exit code %d:\n%s" % (code, text))
    stage.say("status, explain, timeline and doctor tell of it")
    says(stage, ["cancel", idle, "--reason", "needed for a test"], idle)
    cancelled = until("the removal is cancelled", lambda: stage.recorder.first("removal.cancelled"), 30)
    check(cancelled.payload["reason"]["reason"] == "CancelledByOperator", "because of %s" % cancelled.payload["reason"])
    stage.say("it is taken back")
    the_node_stays(stage, members, idle)
    says(stage, ["timeline", idle], "cancelled by operator")
    # A node that is not under removal: said, and nothing happens.
    other = next(name for name in sorted(stage.kubernetes.nodes()) if name != idle)
    says(stage, ["cancel", other], other, code=1)
