"""Statistics in Ceilometer and Gnocchi: what the kubelet said, in the cloud's own store."""
import datetime
import json
import os
import subprocess
import sys
import time
import uuid

from harness.kubernetes import quantity
from harness.openstack import OpenStack
from harness.processes import Process
from harness.registry import story
from harness.waiting import NotYet, check, holds, until
from harness.web import WebError, call

GAUGES = {"kubernetes.node.memory.working_set": "memoryBytes", "kubernetes.node.cpu.usage": "cpuMillis"}


def identity_of(cloud):
    """(user id, project id) of a login, from Keystone's own words about its token."""
    cloud.login()
    text = call("GET", cloud.auth_url + "/auth/tokens", None,
                {"X-Auth-Token": cloud.token, "X-Subject-Token": cloud.token})[2]
    token = json.loads(text)["token"]
    return token["user"]["id"], token["project"]["id"]


def node_id(cluster, node):
    """The same name-based id as the Collector's."""
    root = uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "updraft.io"), cluster)
    return str(uuid.uuid5(root, "node/" + node))


def cluster_id(cluster):
    return str(uuid.uuid5(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "updraft.io"), cluster), "cluster"))


def gnocchi(cloud, method, path, body=None):
    return cloud.request("metric", method, "/v1" + path, body)


def measures(cloud, resource, metric):
    """{second: value} of a metric; NotYet while there is none."""
    try:
        found = gnocchi(cloud, "GET", "/resource/generic/%s/metric/%s/measures?granularity=1&aggregation=last&refresh=true"
                        % (resource, metric))
    except WebError as error:
        if error.status == 404:
            raise NotYet("%s of %s: %s" % (metric, resource, error.body[:200]))
        raise
    return {datetime.datetime.fromisoformat(t).timestamp(): value for t, _, value in found}


def said(stage):
    """What the Collector heard from kubelets, as it told the bus: {(node, second): sample}."""
    found = {}
    for message in stage.recorder.all("node.stats"):
        for sample in message.payload["samples"]:
            if not sample["stale"]:
                at = datetime.datetime.fromisoformat(sample["at"].replace("Z", "+00:00"))
                found[sample["node"], float(int(at.timestamp()))] = sample
    return found


def page_of(stage, node):
    """A kubelet's own page, read here and not by a Collector: {line's name and labels: (value, second)}."""
    found = {}
    for line in stage.kubernetes.get("/api/v1/nodes/%s/proxy/metrics/resource" % node).splitlines():
        parts = line.rsplit(" ", 2)
        if line[:1] != "#" and len(parts) == 3:
            found[parts[0]] = float(parts[1]), int(parts[2]) / 1000.0
    return found


def newest(cloud, resource, metric):
    values = measures(cloud, resource, metric)
    if not values:
        raise NotYet("%s of %s has no value" % (metric, resource))
    return values[max(values)]


def near(what, value, expected, part):
    if abs(value - expected) > part * abs(expected):
        raise NotYet("%s: Gnocchi has %r, the kubelet's own page says %r" % (what, value, expected))


def as_the_page_says(stage, cloud, node, before):
    """Gnocchi's newest values of a node with an even load are what its kubelet's page says by itself, in cores and bytes; before:
    the page a while ago. Values that come from the Collector's own messages would not show that it reads a wrong unit."""
    name, now = node["metadata"]["name"], page_of(stage, node["metadata"]["name"])
    (seconds, at), (earlier, since) = now["node_cpu_usage_seconds_total"], before["node_cpu_usage_seconds_total"]
    if at - since < 10:
        raise NotYet("%.0f s between the pages" % (at - since))
    cores, memory = (seconds - earlier) / (at - since), now["node_memory_working_set_bytes"][0]
    allocatable, resource = node["status"]["allocatable"], node_id(stage.cluster, name)
    whole_cpu, whole_memory = quantity(allocatable["cpu"]), quantity(allocatable["memory"])
    # The one page has seven digits, the other all.
    for gauge, expected, part in (
            ("cpu.usage", cores, 0.05), ("cpu.utilization", cores / whole_cpu, 0.05), ("memory.working_set", memory, 1e-6),
            ("memory.utilization", memory / whole_memory, 1e-6)):
        near("%s of %s" % (gauge, name), newest(cloud, resource, "kubernetes.node." + gauge), expected, part)
    root = uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "updraft.io"), stage.cluster)
    for pod in stage.pods("web"):
        own = pod["metadata"]["name"]
        line = 'pod_memory_working_set_bytes{namespace="%s",pod="%s"}' % (stage.namespace, own)
        if line not in now:
            raise NotYet("the page does not name %s" % own)
        identity = str(uuid.uuid5(root, "pod/%s/%s" % (stage.namespace, own)))
        near("memory of " + own, newest(cloud, identity, "kubernetes.pod.memory.working_set"), now[line][0], 1e-6)
    return True


def equal_values(stage, cloud, at_least=3):
    """Gnocchi's values are those that the Collector says it heard from the kubelets, at the same second."""
    samples, compared = said(stage), 0
    for node in sorted({node for node, _ in samples}):
        for metric, field in GAUGES.items():
            for second, value in measures(cloud, node_id(stage.cluster, node), metric).items():
                sample = samples.get((node, second))
                if sample is None or sample.get(field) is None:
                    continue
                expected = sample[field] / 1000.0 if field == "cpuMillis" else sample[field]
                check(abs(value - expected) <= 1e-9 * max(1.0, abs(expected)),
                      "%s of %s at %s: Gnocchi has %r, the kubelet said %r" % (metric, node, second, value, expected))
                compared += 1
    if compared < at_least * len(GAUGES):
        raise NotYet("%d values compared" % compared)
    return True


def telemetry(project, to, **more):
    return dict({"to": to, "project_id": project, "interval": "5s", "resources": ["cluster", "node", "pod", "container"],
                 "attributes_interval": "10s"}, **more)


@story("stats-ceilometer")
def through_ceilometer(stage):
    """Kubelets' numbers go over the bus to an unmodified Ceilometer and stand in Gnocchi as they were said."""
    cloud = stage.rigs.cloud
    _, project = identity_of(cloud)
    stage.set(size=1, collector__telemetry=telemetry(
        project, "ceilometer", secret="e2e telemetry secret",
        resources=["cluster", "node", "instance", "pod", "container"]))
    for name in stage.kubernetes.nodes():
        stage.machines.use(name, cpu="700m", memory="700Mi")
    stage.start_services()
    stage.kubernetes.deployment(stage.namespace, "web", 2, cpu="200m")
    pages = {name: page_of(stage, name) for name in stage.kubernetes.nodes()}
    until("a node's numbers stand in Gnocchi", lambda: equal_values(stage, cloud), 180, every=2)
    for name, node in sorted(stage.kubernetes.nodes().items()):
        until("what the kubelet of %s says on its page stands in Gnocchi" % name,
              lambda node=node, page=pages[name]: as_the_page_says(stage, cloud, node, page), 120, every=2)
    node = next(iter(stage.kubernetes.nodes().values()))
    resource = gnocchi(cloud, "GET", "/resource/kubernetes_node/" + node_id(stage.cluster, node["metadata"]["name"]))
    check(resource["cluster"] == stage.cluster and resource["project_id"] == project, "the resource: %s" % resource)
    check(resource["server_id"] == node["spec"]["providerID"].rpartition("/")[2], "the server: %s" % resource)

    def joined():
        try:
            found = gnocchi(cloud, "GET", "/resource/instance/" + resource["server_id"])
        except WebError as error:
            if error.status == 404:
                raise NotYet("Ceilometer has not learnt of the server: %s" % error.body[:200])
            raise
        ours = {name for name in found["metrics"] if name.startswith("kubernetes.instance.")}
        theirs = set(found["metrics"]) - ours
        if len(ours) < 6 or not theirs:
            raise NotYet("metrics of the instance: %s" % sorted(found["metrics"]))
        return sorted(theirs)

    own = until("the node's numbers stand on its server's own resource", joined, 120, every=2)
    stage.say("beside Nova's own: %s" % ", ".join(own))
    samples, equal = said(stage), 0
    for second, value in measures(cloud, resource["server_id"], "kubernetes.instance.memory.working_set").items():
        sample = samples.get((node["metadata"]["name"], second))
        if sample is not None:
            check(value == sample["memoryBytes"], "at %s the instance has %r, the kubelet said %r" % (
                second, value, sample["memoryBytes"]))
            equal += 1
    check(equal > 0, "no value of the instance is one that the kubelet said")
    until("the group is known", lambda: gnocchi(
        cloud, "GET", "/resource/kubernetes_node/" + resource["id"])["group"] == "workers", 60)

    def pods():
        found = gnocchi(cloud, "POST", "/search/resource/kubernetes_pod", {"=": {"cluster": stage.cluster}})
        names = {pod["name"] for pod in found if pod["namespace"] == stage.namespace}
        wanted = {pod["metadata"]["name"] for pod in stage.pods("web")}
        if not wanted <= names:
            raise NotYet("pods %s of %s" % (sorted(names), sorted(wanted)))
        return all("kubernetes.pod.memory.working_set" in pod["metrics"] for pod in found if pod["name"] in wanted)

    until("the pods stand there too", pods, 120, every=2)
    until("and their containers", lambda: gnocchi(
        cloud, "POST", "/search/resource/kubernetes_container",
        {"and": [{"=": {"cluster": stage.cluster}}, {"=": {"namespace": stage.namespace}}]}), 120, every=2)
    until("the canary arrives", lambda: measures(cloud, cluster_id(stage.cluster), "kubernetes.cluster.canary"), 60)
    doctor = subprocess.run(
        [os.path.join(stage.rigs.binaries, "updraft"), "doctor", "telemetry", "--config",
         os.path.join(stage.folder, "updraft.yaml")], capture_output=True, text=True, timeout=60,
        env=dict(os.environ, **cloud.settings))
    check(doctor.returncode == 0, "updraft doctor telemetry: %s%s" % (doctor.stdout, doctor.stderr))

    admin = OpenStack(stage.rigs.openrc + ".admin")
    admin.login()
    stage.kubernetes.scale(stage.namespace, "web", 1)
    until("one pod is left", lambda: len(stage.pods("web")) == 1, 60)
    left = stage.pods("web")[0]["metadata"]["name"]

    def swept():
        done = subprocess.run(
            [os.path.join(stage.rigs.project, "deploy/telemetry/gnocchi-sweep"), stage.cluster, "20s", "1"],
            capture_output=True, text=True, timeout=120,
            env=dict(os.environ, OS_TOKEN=admin.token, GNOCCHI_URL=admin.endpoints["metric"]))
        check(done.returncode == 0, "gnocchi-sweep: %s%s" % (done.stdout, done.stderr))
        found = gnocchi(cloud, "POST", "/search/resource/kubernetes_pod", {"=": {"cluster": stage.cluster}})
        names = {pod["name"] for pod in found if pod["namespace"] == stage.namespace}
        check(left in names, "the pod that runs was swept away: %s" % done.stdout)
        if names != {left}:
            raise NotYet("pods: %s" % sorted(names))
        return True

    until("what is gone is swept out of Gnocchi", swept, 120, every=5)
    gnocchi(cloud, "GET", "/resource/kubernetes_node/" + resource["id"])


@story("stats-oslo-listener")
def oslo_listener(stage):
    """oslo.messaging's own listener hears every message with statistics."""
    stage.set(size=1)
    topic = "updraft.%s.stats" % stage.cluster
    listener = Process("oslo listener", [
        sys.executable, os.path.join(stage.rigs.project, "Tests/EndToEnd/oslo_listener.py"), stage.broker.url,
        "updraft", topic], os.path.join(stage.folder, "listener.log")).start()
    stage.extra.append(listener)
    until("the listener listens", lambda: "listening" in listener.log(), 30)
    stage.start_services()

    def heard():
        lines = [json.loads(line) for line in listener.log().splitlines() if line.startswith('{"publisher_id"')]
        return {line["metadata"]["message_id"] for line in lines}

    def recorded():
        return {message.id for message in stage.recorder.all("node.stats", "pod.stats")}

    until("statistics were said", lambda: len(recorded()) >= 8, 90)
    wanted = recorded()
    until("the listener heard each of them", lambda: wanted <= heard(), 30)


def credential(cloud, name):
    """An application credential as docs/telemetry.md has it: the role reader, and only the calls that the Collector makes."""
    rules = [{"service": "metric", "method": "POST", "path": "/v1/batch/resources/metrics/measures"},
             {"service": "metric", "method": "POST", "path": "/v1/resource/*"},
             {"service": "metric", "method": "PATCH", "path": "/v1/resource/*/*"},
             {"service": "identity", "method": "GET", "path": "/v3/users/*/application_credentials/*"}]
    user, _ = identity_of(cloud)
    return cloud.request("identity", "POST", "/users/%s/application_credentials" % user, {"application_credential": {
        "name": name, "roles": [{"name": "reader"}], "access_rules": rules}})["application_credential"]


@story("stats-gnocchi-trust", long=True)
def gnocchi_under_a_trust(stage):
    """Gnocchi directly, under a trust of another user; revoked, it is told, samples wait, nothing else suffers, and another credential
    in the file is taken without a restart."""
    cloud = stage.rigs.cloud
    _, project = identity_of(cloud)
    reader_rc = stage.rigs.openrc + ".reader"
    trustee, _ = identity_of(OpenStack(reader_rc))
    updraft = os.path.join(stage.rigs.binaries, "updraft")
    environment = dict({k: v for k, v in os.environ.items() if not k.startswith("OS_")}, **cloud.settings)

    def trust(*arguments):
        return subprocess.run([updraft, "trust", *arguments], capture_output=True, text=True, timeout=60,
                              env=environment)

    def create():
        made = trust("create", "--trustee", trustee, "--role", "reader", "--expires", "1")
        check(made.returncode == 0, "updraft trust create: %s%s" % (made.stdout, made.stderr))
        return made.stdout.split()[1].rstrip(":")

    first = create()
    shown = trust("show", first)
    check(shown.returncode == 0 and trustee in shown.stdout and "reader" in shown.stdout, "show: %s" % shown.stdout)

    reader = OpenStack(reader_rc).settings

    clouds = os.path.join(stage.folder, "telemetry-clouds.yaml")

    def login(auth_type, **auth):
        with open(clouds + ".new", "w") as file:  # JSON is YAML
            json.dump({"clouds": {"telemetry": {
                "auth_type": auth_type, "auth": dict(auth, auth_url=cloud.auth_url)}}}, file)
        os.replace(clouds + ".new", clouds)

    login("v3password", username=reader["OS_USERNAME"], user_domain_name=reader["OS_USER_DOMAIN_NAME"],
          password=reader["OS_PASSWORD"], trust_id=first)
    stage.set(size=1, collector__telemetry=telemetry(
        project, "gnocchi", max_waiting=200, cloud="telemetry", clouds_file=clouds))
    collector = stage.services["collector"]
    stage.start_services()
    until("a node's numbers stand in Gnocchi", lambda: equal_values(stage, cloud), 120, every=2)

    revoked = trust("revoke", first)
    check(revoked.returncode == 0, "updraft trust revoke: %s%s" % (revoked.stdout, revoked.stderr))
    check(trust("show", first).returncode == 1, "a revoked trust is still shown")
    # Gnocchi goes on taking the old token for some minutes (its cache); a new login fails at once.
    collector.stop()
    collector.start()
    until("the Collector is ready without it", collector.ready, 60)
    until("the refusal is told", lambda: any(
        line.get("code") == "unauthorized" and "revoked" in line.get("error", "") for line in collector.log_lines()), 60)
    until("samples wait", lambda: collector.metric("updraft_telemetry_waiting_points") >= 3, 60)
    waited_from = time.time()
    before = len(stage.recorder.all("node.stats"))
    until("statistics go on over the bus", lambda: len(stage.recorder.all("node.stats")) > before + 2, 60)
    holds("no more wait than may", lambda: collector.metric("updraft_telemetry_waiting_points") <= 200, 10)

    stage.say("a restricted application credential, put into the file; the Collector goes on")
    made = credential(cloud, stage.cluster)
    renewed = time.time()
    login("v3applicationcredential", application_credential_id=made["id"], application_credential_secret=made["secret"])
    until("samples are taken again", lambda: collector.metric("updraft_telemetry_points_total", kind="node") >= 2, 240)
    until("none waits for long", lambda: collector.metric("updraft_telemetry_waiting_points") < 20, 60)

    def arrived():
        for name in stage.kubernetes.nodes():
            found = measures(cloud, node_id(stage.cluster, name), "kubernetes.node.memory.working_set")
            late = [second for second in found if waited_from <= second < renewed - 1]
            if len(late) < 2:
                raise NotYet("of %s %d numbers stand there from while they waited" % (name, len(late)))
        return True

    until("what waited stands in Gnocchi", arrived, 60, every=2)
    equal_values(stage, cloud)
