"""`updraft doctor telemetry` against a cloud in which one piece after the other is missing."""
import contextlib
import os
import subprocess

from harness.registry import story
from harness.waiting import NotYet, check, until

from .stats_alarms import Alarm
from .stats_telemetry import cluster_id, identity_of, measures, telemetry


class Rig:
    """Changes the configuration of Ceilometer or Aodh, and puts it back."""

    def __init__(self, stage):
        self.script = os.path.join(stage.rigs.project, "Tests/EndToEnd/openstack/telemetry")
        self.state = os.path.dirname(stage.rigs.openrc)

    def run(self, *arguments):
        done = subprocess.run([self.script, *arguments], capture_output=True, text=True, timeout=300)
        check(done.returncode == 0, "telemetry %s: %s%s" % (" ".join(arguments), done.stdout, done.stderr))

    @contextlib.contextmanager
    def changed(self, service, part, text):
        """With these lines at the end of a service's configuration, one of its parts started anew."""
        extra = os.path.join(self.state, "etc", service, "extra.conf")
        before = None
        if os.path.exists(extra):
            with open(extra, encoding="utf-8") as f:
                before = f.read()
        with open(extra, "w", encoding="utf-8") as f:
            f.write(text)
        try:
            self.run("--no-install", "--restart", part)
            yield
        finally:
            if before is None:
                os.remove(extra)
            else:
                with open(extra, "w", encoding="utf-8") as f:
                    f.write(before)
            self.run("--no-install", "--restart", part)


    @contextlib.contextmanager
    def without_meter(self, meter):
        """Ceilometer's notification agent with our definitions, but for one meter."""
        folder = os.path.join(self.state, "etc/ceilometer")
        with open(os.path.join(folder, "kubernetes_resources.yaml"), encoding="utf-8") as f:
            lines = f.readlines()
        with open(os.path.join(folder, "pipeline.yaml"), encoding="utf-8") as f:
            pipeline = f.read()
        left = [line for line in lines if line.strip() != meter + ":"]
        check(len(left) == len(lines) - 1, "%s is not in kubernetes_resources.yaml" % meter)
        check("kubernetes_resources.yaml" in pipeline, "pipeline.yaml does not name kubernetes_resources.yaml")
        made = {"partial_resources.yaml": "".join(left),
                "partial_pipeline.yaml": pipeline.replace("kubernetes_resources.yaml", "partial_resources.yaml")}
        for name, text in made.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        try:
            with self.changed("ceilometer", "ceilometer-notification", "[DEFAULT]\npipeline_cfg_file = partial_pipeline.yaml\n"):
                yield
        finally:
            for name in made:
                os.remove(os.path.join(folder, name))


@story("stats-doctor", alone=True)
def doctor_names_the_missing_piece(stage):
    """Nobody reads, no meter or one meter not declared, a coarse or missing archive policy, no history of alarms: each named, with its remedy."""
    cloud, rig = stage.rigs.cloud, Rig(stage)
    _, project = identity_of(cloud)

    def doctor(*flags):
        done = subprocess.run(
            [os.path.join(stage.rigs.binaries, "updraft"), "doctor", "telemetry", "--config",
             os.path.join(stage.folder, "updraft.yaml"), *flags], capture_output=True, text=True, timeout=60,
            env=dict(os.environ, **cloud.settings))
        return done.returncode, done.stdout + done.stderr

    def names(*words, flags=(), code=1):
        found, text = doctor(*flags)
        if found == code and all(word in text for word in words):
            return True
        raise NotYet("exit code %d: %s" % (found, text))

    stage.set(size=1, collector__telemetry=telemetry(project, "ceilometer", resources=["cluster", "node"]),
              collector__alarms={"enabled": True})
    # Ceilometer as it is packaged: it reads our samples and drops them.
    with rig.changed("ceilometer", "ceilometer-notification", "[DEFAULT]\npipeline_cfg_file = none.yaml\n"):
        stage.services["collector"].start()
        until("samples are taken", lambda: stage.services["collector"].metric("updraft_telemetry_points_total") > 3, 60)
        until("the meter is missed", lambda: names("no canary", "kubernetes_resources.yaml"), 60)
        stage.say("not declared: named")
        rig.run("--down", "ceilometer-notification")
        until("nobody reads", lambda: names("nobody reads the queue notifications.sample"), 60)
        stage.say("nobody reads: named")
        # A file of which somebody left a meter out: the canary arrives, and one number never does.
        with rig.without_meter("kubernetes.node.pods.running"):
            until("the canary arrives", lambda: measures(cloud, cluster_id(stage.cluster), "kubernetes.cluster.canary"), 90)
            until("the meter is missed", lambda: names("no metric kubernetes.node.pods.running", "not declared"), 240, every=5)
            stage.say("one meter not declared: named")
    until("the canary arrives", lambda: measures(cloud, cluster_id(stage.cluster), "kubernetes.cluster.canary"), 90)
    until("all is well", lambda: names("the last canary arrived", code=0), 60)
    until("a policy is too coarse", lambda: names(
        "the archive policy low keeps points of 300 s", flags=("--set", "collector.telemetry.archive_policy=low"), code=0), 30)
    until("a policy is missing", lambda: names(
        "no archive policy nope", "gnocchi-setup", flags=("--set", "collector.telemetry.archive_policy=nope")), 30)
    until("an exchange is missing", lambda: names(
        "exchange does not exist", flags=("--set", "collector.telemetry.exchange=nope")), 30)
    stage.say("policies and exchange: named")
    with rig.changed("aodh", "aodh-evaluator", "[DEFAULT]\nrecord_history = false\n"):
        with Alarm(cloud, {
                "name": "history %s" % stage.cluster, "type": "gnocchi_resources_threshold",
                "gnocchi_resources_threshold_rule": {
                    "metric": "kubernetes.cluster.canary", "resource_type": "kubernetes_cluster",
                    "resource_id": cluster_id(stage.cluster), "aggregation_method": "last", "granularity": 1,
                    "evaluation_periods": 1, "threshold": 0, "comparison_operator": "gt"}}) as alarm:
            until("the alarm fires", lambda: alarm.is_in("alarm"), 90, every=2)
            until("the history is missed", lambda: names("record_history is off", "record_history = true"), 30)
            stage.say("record_history: named")
