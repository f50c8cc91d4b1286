"""What comes before the job: a dry run, and the clients by themselves."""
import os
import subprocess

from harness.registry import story
from harness.waiting import check, holds, until


@story("main-dry-run-changes-nothing")
def dry_run(stage):
    """Everything is decided, explained and published; neither Heat nor Kubernetes nor any pod is changed."""
    stage.set(size=2, actuator__dry_run=True, notifier__dry_run=True)
    stage.start_services()
    stage.say("two nodes without work, in a dry run")
    until("a node is chosen", lambda: stage.recorder.first("removal.decided"), 60)
    refused = until("its removal is refused", lambda: stage.recorder.first("removal.failed"), 30)
    check(refused.payload["removal"]["reason"]["reason"] == "DryRun", "refused for %r" % refused.payload["removal"])

    stage.say("five pods of 0.9 CPU come")
    stage.kubernetes.deployment(stage.namespace, "web", 5, cpu="900m")
    until("a scale-up is decided", lambda: stage.recorder.first("scale.decided", group="workers"), 30)
    refused = until("it is refused", lambda: stage.recorder.first("scale.refused", group="workers"), 60)
    check(refused.payload["scale"]["reason"]["reason"] == "DryRun", "refused for %r" % refused.payload["scale"])

    def untouched():
        nodes = stage.kubernetes.nodes().values()
        return stage.stack.desired == 2 and len(nodes) == 2 and not any(
            n["spec"].get("unschedulable") or "updraft.io/removal" in n["metadata"].get("annotations", {})
            for n in nodes)

    holds("Heat and the nodes stay as they are", untouched, 10)
    check(len(stage.stack.members()) == 2, "a member went")


@story("main-clients-at-the-real-ones", alone=True)
def clients(stage):
    """The tests of the Kubernetes and OpenStack clients that need a real API server and a real cloud."""
    stage.set(size=1)  # a node, so that pods run
    environment = dict(os.environ, UPDRAFT_TEST_KUBECONFIG=stage.kubernetes.kubeconfig("admin"),
                       UPDRAFT_TEST_OPENRC=stage.rigs.openrc)
    log = os.path.join(stage.folder, "swift-test.log")
    command = ["swift", "test", "--disable-xctest", "-Xswiftc", "-warnings-as-errors", "--package-path", stage.rigs.project,
               "--filter", r"LiveServerTests|RealCloudTests"]
    if os.path.exists(os.path.join(stage.rigs.project, ".build/debug/updraftPackageTests.xctest")):
        command.append("--skip-build")
    with open(log, "w", encoding="utf-8") as f:
        status = subprocess.call(command, env=environment, stdout=f, stderr=subprocess.STDOUT)
    with open(log, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    told = [line for line in lines if "Test run with" in line]
    check(status == 0 and told, "swift test ended with %d:\n%s" % (
        status, "\n".join(line for line in lines if "✘" in line or "error:" in line)[:4000]))
    stage.say(told[-1].strip("✔ "))
    check("with 7 tests" in told[-1], "not all of them ran: %s" % told[-1])
