"""Who asks which kubelet: replicas share the nodes; or one Collector on each node asks its own."""
import datetime

from harness.registry import story
from harness.services import Service
from harness.waiting import NotYet, holds, until


def nodes_heard(stage, since):
    """Names of the nodes that statistics were said of, measured after a time."""
    names = set()
    for message in stage.recorder.all("node.stats"):
        for sample in message.payload["samples"]:
            at = datetime.datetime.fromisoformat(sample["at"].replace("Z", "+00:00")).timestamp()
            if at > since and not sample["stale"]:
                names.add(sample["node"])
    return names


def collector(stage, replica, *flags):
    """One more Collector over the same configuration."""
    environment = stage.environments()["collector"]
    process = Service("collector", stage.rigs.binaries, stage.folder, environment, flags, replica)
    stage.extra.append(process)
    return process.start()


def shared_out(processes, names):
    """Each asks something, and together they ask each node once."""
    shares = [int(p.metric("updraft_stats_nodes")) for p in processes]
    if sum(shares) == len(names) and all(p.running for p in processes):
        return True
    raise NotYet("they ask %s of %d nodes" % (shares, len(names)))


@story("stats-malformed-kubelet")
def malformed_kubelet(stage):
    """One kubelet's pages are cut off, then hold no numbers: rejected by name, in the log and in a metric; the others go on."""
    stage.set(size=2)
    bad, good = sorted(stage.kubernetes.nodes())
    process = stage.services["collector"].start()
    until("the Collector is ready", process.ready, 60)

    def told(node, since, memory):
        """A sample of the node that was measured since then tells its memory, or does not."""
        for message in stage.recorder.all("node.stats"):
            for sample in message.payload["samples"]:
                at = datetime.datetime.fromisoformat(sample["at"].replace("Z", "+00:00")).timestamp()
                if sample["node"] == node and at > since and not sample["stale"]:
                    if (sample.get("memoryBytes") is not None) == memory:
                        return True
        raise NotYet("no such sample of %s" % node)

    for node in (bad, good):
        until("%s is heard of" % node, lambda node=node: told(node, 0, True), 60)
    for how, why in (("truncated", "truncated"), ("nan", "not_finite")):
        stage.machines.page(bad, how)
        since = datetime.datetime.now().timestamp() + 1
        until("it is counted as %s" % why, lambda why=why: process.metric("updraft_stats_rejected_total", why=why), 60)
        until("the log names node and reason", lambda why=why: any(
            bad in str(line) and why in str(line) for line in process.log_lines()), 30)
        until("what is good of the page is used", lambda since=since: told(bad, since, False), 60)
        until("the other goes on", lambda since=since: told(good, since, True), 60)
    stage.machines.page(bad, None)
    since = datetime.datetime.now().timestamp() + 1
    until("the page is whole again", lambda: told(bad, since, True), 60)


@story("stats-shared-and-on-each-node")
def shared_and_on_each_node(stage):
    """Two replicas share three nodes without configuration, and one takes over from the other; then one Collector runs on each node."""
    stage.set(size=3)
    names = set(stage.kubernetes.nodes())
    first = stage.services["collector"].start()
    second = collector(stage, "-2")
    for process in (first, second):
        until("%s is ready" % process.name, process.ready, 60)
    until("two share the nodes", lambda: shared_out([first, second], names), 60)
    until("all nodes are heard of", lambda: nodes_heard(stage, 0) == names, 60)
    holds("each node is asked by one", lambda: shared_out([first, second], names), 5)
    first.kill()
    killed = datetime.datetime.now().timestamp()
    until("the other asks all", lambda: shared_out([second], names), 60)
    until("all nodes are heard of again", lambda: nodes_heard(stage, killed) == names, 60)
    second.stop()

    stage.say("now one Collector on each node")
    begun = datetime.datetime.now().timestamp()
    own = {}
    for number, name in enumerate(sorted(names)):
        own[name] = collector(stage, "-n%d" % number, "--node", name)
    for name, process in own.items():
        until("the Collector of %s is ready" % name, process.ready, 60)
    until("each node is heard of", lambda: nodes_heard(stage, begun) == names, 60)
    for process in own.values():
        until("it asks its own node", lambda: shared_out([process], ["one"]), 30)
    gone = sorted(names)[0]
    own[gone].kill()
    killed = datetime.datetime.now().timestamp() + 1
    until("the others go on", lambda: nodes_heard(stage, killed) == names - {gone}, 60)
    holds("nobody asks for the one that is gone", lambda: gone not in nodes_heard(stage, killed), 12)
