"""What is wrong is named and put aside; the rest goes on."""
import base64
import hashlib
import hmac
import json
import time
import uuid

from harness.kubernetes import all_running
from harness.registry import story
from harness.services import Service
from harness.waiting import NotYet, check, holds, until


def notification(event_type, payload, **fields):
    """An oslo notification as text; `fields` replace parts of the inner message."""
    inner = dict({"message_id": str(uuid.uuid4()), "publisher_id": "updraft-decider.intruder", "priority": "INFO",
                  "event_type": event_type, "payload": payload,
                  "timestamp": time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime())}, **fields)
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)})


def signature(key, routing_key, body):
    """The headers by which a service proves that it sent the body with that routing key."""
    text = json.loads(body)["oslo.message"]
    code = hmac.new(key["key"].encode(), (routing_key + "\n" + text).encode(), hashlib.sha256).digest()
    return {"x-updraft-key": key["id"], "x-updraft-signature": base64.b64encode(code).decode()}


def grows_from(stage, size, pods):
    """The real job still gets done."""
    stage.kubernetes.scale(stage.namespace, "web", pods)
    until("all %d pods run" % pods, lambda: all_running(stage.pods("web"), pods), 150)
    until("%d nodes everywhere" % (size + 1), lambda: stage.sizes_agree(size + 1), 60)


@story("main-bad-input-messages")
def bad_messages(stage):
    """Malformed, foreign, forged, misaddressed and too large messages are parked with their reason and counted."""
    key = stage.set(size=1)["bus"]["keys"][0]
    stage.start_services()
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="900m")

    def scale_to_five(cluster=stage.cluster, **without):
        def stamp(seconds):
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

        payload = {"schema": 1, "cluster": cluster, "id": str(uuid.uuid4()), "group": "workers", "from": 1, "to": 5,
                   "reason": {"reason": "PodsPending", "detail": ""}, "pods": [], "podCount": 0,
                   "decidedAt": stamp(0), "deadline": stamp(300)}
        return {name: value for name, value in payload.items() if name not in without}

    routing_key = "updraft.%s.decisions.info" % stage.cluster
    forged = notification("updraft.scale.decided", scale_to_five())
    altered = forged.replace("PodsPending", "RuleFired")
    imagined = notification("updraft.scale.imagined", {"schema": 1, "cluster": stage.cluster})
    incomplete = notification("updraft.scale.decided", scale_to_five(group=None))
    foreign = notification("updraft.scale.decided", scale_to_five("elsewhere"))
    bad = [  # body, headers, the reason that is expected
        ("{\"oslo.version\": \"2.0\", ", {}, "malformed"),
        (json.dumps({"hello": "world"}), {}, None),
        (b"x" * (5 << 20), {}, "too_large"),
        (forged, {}, "unsigned"),
        (altered, signature(key, routing_key, forged), "altered"),
        (imagined, signature(key, routing_key, imagined), "unknown_event"),
        (incomplete, signature(key, routing_key, incomplete), "invalid_field"),
        (foreign, signature(key, routing_key, foreign), "other_cluster"),
    ]
    for body, headers, _ in bad:
        stage.broker.publish("updraft", routing_key, body, headers)
    stage.say("%d bad messages among the decisions" % len(bad))

    # Whoever reads decisions gets each of them: the Actuator and the Notifier.
    parked = []

    def all_parked():
        parked.extend(stage.broker.parked(stage.cluster))
        by_actuator = [m for m in parked if m.headers.get("x-updraft-service") == "actuator"]
        if len(by_actuator) >= len(bad):
            return by_actuator
        raise NotYet("%d parked: %s" % (len(by_actuator), [m.headers for m in by_actuator]))

    found = until("the Actuator has parked all of them", all_parked, 60)
    check(len(found) == len(bad), "%d messages parked for %d" % (len(found), len(bad)))
    reasons = sorted(m.headers["x-updraft-reason"] for m in found)
    stage.say("parked: %s" % ", ".join(reasons))
    for _, _, reason in bad:
        check(reason is None or reason in reasons, "no reason %s among %s" % (reason, reasons))
    check(all(m.headers.get("x-updraft-detail") for m in found), "a message was parked without details")
    until("the Actuator counts them",
          lambda: stage.services["actuator"].metric("updraft_bus_parked_total") >= len(bad), 10)
    log = stage.services["actuator"].log()
    check("parked" in log and "too_large" in log, "the log does not name what was parked")
    holds("the forged decision has no effect", lambda: stage.stack.desired == 1, 5)
    stage.services.wait_ready()
    stage.say("and the job goes on")
    grows_from(stage, 1, 3)


@story("main-bad-input-clouds")
def bad_clouds(stage):
    """A stack that does not exist, a credential revoked at work, a wrong broker password: named in /readyz, log and metric
    while they last, and over when they are over."""
    configuration = stage.set(size=1)
    good_group = configuration["groups"][0]
    ghost = dict(good_group, id="ghost", stack="updraft-e2e-no-such-stack")
    configuration["groups"] = [good_group, ghost]
    stage.services.configure(configuration)
    stage.services.start()
    actuator = stage.services["actuator"]
    until("the Actuator names the stack that does not exist",
          lambda: actuator.unready_because("ghost", "updraft-e2e-no-such-stack"), 60)
    until("the group's state says so", lambda: [
        m for m in stage.recorder.all("group.state")
        if m.payload["group"] == "ghost" and (m.payload.get("problem") or {}).get("reason") == "StackNotFound"], 30)
    stage.say("a stack that does not exist: named")
    stage.kubernetes.deployment(stage.namespace, "web", 1, cpu="900m")
    grows_from(stage, 1, 3)
    stage.say("the other group grew all the same")
    configuration["groups"] = [good_group]
    stage.services.configure(configuration)

    actuator.stop()
    right = dict(actuator.environment)
    credential, secret = stage.rigs.cloud.make_application_credential("revoked-" + stage.cluster)
    actuator.environment.update(OS_APPLICATION_CREDENTIAL_ID=credential, OS_APPLICATION_CREDENTIAL_SECRET=secret)
    actuator.start()
    stage.services.wait_ready("actuator")
    stage.rigs.cloud.revoke_application_credential(credential)
    stage.say("the credential is revoked in Keystone while the Actuator works with it")
    # Heat takes the token for a while yet; the rig's remembers it for 10 s.
    until("the Actuator names the refused credential", lambda: actuator.unready_because("CredentialRefused"), 90)
    check(actuator.running, "the Actuator left over a refused credential")
    until("the Actuator counts it",
          lambda: actuator.metric("updraft_actuator_troubles_total", reason="CredentialRefused") >= 1, 10)
    check(any(line.get("reason") == "CredentialRefused" and line.get("level") in ("warning", "error")
              for line in actuator.log_lines()), "the log does not name the refused credential")
    check(secret not in actuator.log(), "the log shows the secret")
    stage.say("a revoked credential: named")
    actuator.stop()
    actuator.environment = right
    actuator.start()
    stage.services.wait_ready("actuator")

    user, _, rest = stage.broker.url.partition("@")
    wrong = Service("decider", stage.rigs.binaries, stage.folder, {
        "UPDRAFT_BUS_TRANSPORT_URL": user.rpartition(":")[0] + ":wrong-password@" + rest})
    wrong.name, wrong.log_path = "decider with a wrong password", wrong.log_path.replace("decider", "decider-wrong")
    stage.extra.append(wrong.start())
    until("the Decider names the broker's refusal", lambda: wrong.unready_because("access"), 30)
    check(wrong.running, "the Decider left over a wrong password")
    check(wrong.metric("updraft_bus_connection_events_total", event="disconnected") >= 1,
          "no metric counts the broker's refusal")
    check("not connected to the broker" in wrong.log(), "the log does not name the broker's refusal")
    check("wrong-password" not in wrong.log(), "the log shows the password")
    stage.say("a wrong broker password: named")
    wrong.stop()
    stage.services.wait_ready()


@story("main-bad-input-node", long=True)
def bad_node(stage):
    """A node that no cloud controller gave its provider id: told in log, metric and an Event at the node; the rest goes on."""
    stage.set(size=1)
    stage.start_services()
    actuator = stage.services["actuator"]
    # As with --cloud-provider=external and no controller that runs: the kubelet itself never knows the id.
    stage.machines.boot({"name": "stranger", "cpu": "2", "memory": "4Gi", "cloudInitDelay": 100000})
    until("the node joins", lambda: "stranger" in stage.kubernetes.nodes(), 30)
    check("providerID" not in stage.kubernetes.nodes()["stranger"]["spec"], "the node has a provider id")
    stage.say("a node without provider id has joined")
    stage.kubernetes.deployment(stage.namespace, "web", 3, cpu="900m")
    until("all pods run", lambda: all_running(stage.pods("web"), 3), 150)
    check(not any(p["spec"].get("nodeName") == "stranger" for p in stage.pods()), "a pod went to the stranger")
    stage.say("the group grew all the same")
    # Said once it has lasted for a minute: a cloud controller may be slow.
    until("the log names it", lambda: any(
        line.get("resource") == "stranger" and line.get("reason") == "ProviderUnknown" and line.get("level") == "warning"
        and "cloud controller manager" in line.get("message", "") for line in actuator.log_lines()), 120)
    until("the metric counts it", lambda: actuator.metric("updraft_actuator_nodes_without_group") == 1, 10)
    until("an Event at the node names it", lambda: any(
        e["involvedObject"].get("name") == "stranger" and e["reason"] == "ProviderUnknown"
        for e in stage.kubernetes.events("default")), 30)
    check(stage.recorder.first("removal.decided", node="stranger") is None, "the stranger was to be removed")
    stage.machines.remove("stranger")
    stage.kubernetes.delete_node("stranger")
    until("the metric forgets it", lambda: actuator.metric("updraft_actuator_nodes_without_group") == 0, 30)
